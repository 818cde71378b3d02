"""Where segments in files live: paths, owners, filesystems, and how a file appears whole.

A segment's file is built without a name (O_TMPFILE) and linked into place when it is whole, so a killed
creator leaves nothing. A filesystem that cannot do that gets `.aioipc-tmp-<pid>-<random>` beside the file.
"""

import contextlib
import errno
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from . import _names
from ._native import _core
from .errors import AlreadyExistsError, IPCError, NotFoundError, PermissionDeniedError

_LONGEST = 4000  # bytes; the core keeps the path
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
# They may not tell one machine's locks, or even the pages, from another's.
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "gpfs", "fuse.sshfs"}


@dataclass(frozen=True)
class FilePlace:
    """A path, absolute and with no symbolic link at its end."""

    path: str

    @classmethod
    def of(cls, where: "str | os.PathLike[str]") -> "FilePlace":
        """TypeError, ValueError for what cannot be a path."""
        path = os.fspath(where)
        if not isinstance(path, str):
            raise TypeError(f"a segment's path is a str or os.PathLike[str], not {type(path).__name__}")
        if not path or "\0" in path:
            raise ValueError(f"not a path: {path!r}")
        path = os.path.abspath(path)
        if len(os.fsencode(path)) > _LONGEST:
            raise ValueError(f"a segment's path has at most {_LONGEST} bytes: {path!r}")
        return cls(path)

    @property
    def name(self) -> str:
        """What the segment is called."""
        return self.path

    def open_fd(self, allow_other_owner: bool, read_only: bool = False) -> int:
        """A descriptor; NotFoundError, PermissionDeniedError."""
        try:
            access = os.O_RDONLY if read_only else os.O_RDWR
            fd = os.open(self.path, access | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NotFoundError(f"there is no file {self.path!r}") from None
        except PermissionError:
            raise PermissionDeniedError(f"no permission to open {self.path!r}") from None
        except OSError as error:
            raise IPCError(f"{self.path!r} cannot be opened as a segment: {error}") from error
        try:
            _names.check_owner(self.path, fd, allow_other_owner)
            _check_filesystem(self.path, os.fstat(fd).st_dev)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def draft(self, size: int, mode: int) -> "FileDraft":
        """The file before it has its name."""
        return FileDraft(self, size, mode)

    def exists(self) -> bool:
        """Whether something has this name; finishes off a last_detach segment whose last user was killed."""
        try:
            return _names.peek(self.path) is not None
        except NotFoundError:
            return False
        except IPCError:
            return True

    def remove(self, allow_other_owner: bool) -> bool:
        """Takes the name away; False when there is none."""
        try:
            fd = self.open_fd(allow_other_owner)
        except NotFoundError:
            return False
        try:
            return _core.remove(fd, self.path)
        finally:
            os.close(fd)

    def already_exists(self) -> AlreadyExistsError:
        """The error that says so."""
        return AlreadyExistsError(f"{self.path!r} exists already; open() it, or use open_or_create()")


class FileDraft:
    """A file that is being built; leaving the context forgets what was not published."""

    def __init__(self, place: FilePlace, size: int, mode: int) -> None:
        self._place = place
        self._folder = Path(place.path).parent
        self._temporary: Path | None = None
        try:
            _check_filesystem(place.path, self._folder.stat().st_dev)
            _names.check_room(place.path, size, self._folder, "put it on a larger filesystem")
            self.fd = self._make()
        except FileNotFoundError:
            raise NotFoundError(f"there is no directory {str(self._folder)!r}") from None
        except PermissionError:
            raise PermissionDeniedError(f"no permission to create files in {str(self._folder)!r}") from None
        os.fchmod(self.fd, mode)

    def _make(self) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            return os.open(self._folder, flags | os.O_TMPFILE, 0o600)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        self._temporary = self._folder / f"{_names.TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        return os.open(self._temporary, flags | os.O_CREAT | os.O_EXCL, 0o600)

    def __enter__(self) -> "FileDraft":
        return self

    def __exit__(self, *_: object) -> None:
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def publish(self) -> None:
        """Gives the file its name, at once and whole; AlreadyExistsError when another was faster."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Only with a descriptor of a directory does os.link follow the link that /proc has.
            os.link(f"/proc/self/fd/{self.fd}", self._place.path, src_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            raise self._place.already_exists() from None
        finally:
            os.close(folder)


def _check_filesystem(path: str, device: int) -> None:
    """IPCError on filesystems whose locks cannot tell who is alive."""
    kind = _filesystem(device)
    if kind in _REMOTE:
        raise IPCError(
            f"{path!r} lies on {kind}, whose locks do not tell reliably which processes are alive; "
            "put the segment on a local filesystem"
        )


def _filesystem(device: int) -> str | None:
    """The type of the mounted filesystem with this device number."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with (
        contextlib.suppress(OSError),
        open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table,
    ):
        for line in table:
            if line.split(maxsplit=3)[2] == number:
                return line.partition(" - ")[2].split()[0]
    return None
