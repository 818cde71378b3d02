"""Where named segments live: names, owners, modes, and what creators and the dead leave behind.

A segment "shop" is the POSIX shared memory object /shop, the file /dev/shm/shop.  It is built under a
temporary name and linked into place when it is whole, so nobody ever sees a half-made one.  The prefix
`.aioipc-` is ours: `.aioipc-tmp-<pid>-<random>` is a segment being built, the directory
`.aioipc-<uuid>` has a segment's bells.
"""

import contextlib
import os
import secrets
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import posix_ipc

from ._native import _core
from .errors import (
    AlreadyExistsError,
    CorruptSegmentError,
    IPCError,
    NotFoundError,
    PermissionDeniedError,
    SegmentFullError,
)

SHM = Path("/dev/shm")
RESERVED = ".aioipc-"
TEMPORARY = ".aioipc-tmp-"
LONGEST = 200
_YOUNG = 60.0  # seconds for which what looks stale may be just being made


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What can be said of a named segment without attaching to it."""

    name: str
    uuid: uuid.UUID
    size: int
    """Bytes that exist."""
    max_size: int
    """Bytes it may grow to."""
    alive: bool
    """Whether any process is attached."""
    participants: int
    """Slots for processes."""
    last_detach: bool
    """Whether it goes with its last user."""
    created_at: float
    """Seconds since the epoch."""
    creator_pid: int
    uid: int
    mode: int


def checked(name: str) -> str:
    """The name, when it can be a segment's; ValueError says why not."""
    if not isinstance(name, str):
        raise TypeError(f"a segment's name is a str, not {type(name).__name__}")
    encoded = os.fsencode(name)
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"a segment's name is not empty and has no '/' and no NUL in it: {name!r}")
    if name.startswith(RESERVED):
        raise ValueError(f"names that begin with {RESERVED!r} are aioipc's own: {name!r}")
    if len(encoded) > LONGEST:
        raise ValueError(f"a segment's name has at most {LONGEST} bytes, not {len(encoded)}: {name!r}")
    return name


def path_of(name: str) -> str:
    """The file behind a name."""
    return str(SHM / checked(name))


def open_fd(name: str, allow_other_owner: bool, read_only: bool = False) -> int:
    """A descriptor of the object; NotFoundError, PermissionDeniedError."""
    path = path_of(name)
    try:
        fd = posix_ipc.SharedMemory(f"/{name}", read_only=read_only).fd
    except posix_ipc.ExistentialError:
        raise NotFoundError(f"there is no segment named {name!r}") from None
    except posix_ipc.PermissionsError:
        raise PermissionDeniedError(f"no permission to open segment {name!r} ({path})") from None
    except OSError as error:
        raise IPCError(f"segment {name!r} cannot be opened: {error}") from error
    try:
        check_owner(name, fd, allow_other_owner)
    except BaseException:
        os.close(fd)
        raise
    return int(fd)


def check_owner(name: str, fd: int, allow_other_owner: bool) -> None:
    """PermissionDeniedError when the object belongs to somebody else: it may have been prepared."""
    owner = os.fstat(fd).st_uid
    if owner != os.geteuid() and not allow_other_owner:
        raise PermissionDeniedError(
            f"segment {name!r} belongs to user {owner}, not to {os.geteuid()}; "
            "if you trust that user, use allow_other_owner=True"
        )


class Draft:
    """A segment being built under a temporary name; leaving the context removes that name.

    `fd` is open and empty; the mode is exact, whatever the umask.
    """

    def __init__(self, name: str, size: int, mode: int) -> None:
        self.name = name
        self.path = path_of(name)
        check_room(name, size, SHM, "enlarge it (docker run --shm-size=...)")
        self._temporary = f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        self.fd: int = posix_ipc.SharedMemory(f"/{self._temporary}", posix_ipc.O_CREX, mode=0o600).fd
        os.fchmod(self.fd, mode)

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_shared_memory(f"/{self._temporary}")

    def publish(self) -> None:
        """Gives the segment its name, at once and whole; AlreadyExistsError when another was faster."""
        temporary = SHM / self._temporary
        try:
            os.link(temporary, self.path)
        except FileExistsError:
            fd = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
            _core.remove(fd, str(temporary))  # nobody will know it: its bells go with its creator
            os.close(fd)
            raise already_exists(self.name) from None


def check_room(name: str, size: int, folder: Path, remedy: str) -> None:
    """Says so before filling a filesystem, and with /dev/shm the machine's memory, to the brim in vain."""
    filesystem = os.statvfs(folder)
    free = filesystem.f_bavail * filesystem.f_frsize
    if size > free and filesystem.f_blocks > 0:  # 0: a tmpfs without a limit
        error = SegmentFullError(
            f"creating segment {name!r}: {folder} has room for {free} bytes, not {size}; "
            f"create a smaller segment, or {remedy}"
        )
        error.asked, error.free = size, free
        raise error


def already_exists(name: str) -> AlreadyExistsError:
    """The error that says so."""
    return AlreadyExistsError(f"segment {name!r} exists already; open() it, or use open_or_create()")


def exists(name: str) -> bool:
    """Whether the name is taken; finishes off a last_detach segment whose last user was killed."""
    try:
        return peek(path_of(name)) is not None
    except NotFoundError:
        return False
    except IPCError:
        return True  # something else has the name


def remove(name: str, allow_other_owner: bool) -> bool:
    """Takes a segment's name away; False when there is none."""
    try:
        fd = open_fd(name, allow_other_owner)
    except NotFoundError:
        return False
    try:
        return _core.remove(fd, path_of(name))
    finally:
        os.close(fd)


def peek(path: str) -> "_core.Peeked | None":
    """What the header of the segment there says; None when it has just been finished off."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"there is no {path}") from None
    except OSError as error:
        raise IPCError(f"{path} cannot be read: {error}") from error
    try:
        return _core.peek(fd, path)
    finally:
        os.close(fd)


def is_segment(path: str) -> bool:
    """Whether there is a segment, sound or not."""
    try:
        return peek(path) is not None
    except CorruptSegmentError:
        return True
    except IPCError:
        return False


def segments() -> Iterator[str]:
    """The names of all segments that this user can read, sound or not; what is none is left out."""
    for name in sorted(os.listdir(SHM)):
        if not name.startswith(RESERVED) and is_segment(str(SHM / name)):
            yield name


def listing() -> Iterator[SegmentInfo]:
    """Every named segment that this user can read, by name, but for the damaged."""
    for name in segments():
        with contextlib.suppress(IPCError):
            found = peek(str(SHM / name))
            if found is not None:
                yield described(name, found)


def described(name: str, found: "_core.Peeked") -> SegmentInfo:
    """What the header of that segment says."""
    return SegmentInfo(
        name,
        uuid.UUID(bytes=found["uuid"]),
        found["size"],
        found["max_size"],
        found["alive"],
        found["participants"],
        bool(found["flags"] & _core.LAST_DETACH),
        found["created_at"] / 1e9,
        found["creator_pid"],
        found["uid"],
        found["mode"],
    )


def remove_stale() -> list[str]:
    """Removes what killed creators and users left: half-made segments, and bells of segments that are gone.

    Returns the names of the entries of /dev/shm that were removed.  Things younger than a minute stay.
    """
    used = {info.uuid.hex for info in listing()}
    removed = []
    for name in sorted(os.listdir(SHM)):
        path = SHM / name
        with contextlib.suppress(OSError):
            if not name.startswith(RESERVED) or time.time() - path.lstat().st_mtime < _YOUNG:
                continue
            if name.startswith(TEMPORARY):
                gone = _remove_temporary(path)
            else:
                gone = name.removeprefix(RESERVED) not in used and _remove_bells(path)
            if gone:
                removed.append(name)
    return removed


def _remove_temporary(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if _core.in_use(fd):
            return False
        path.unlink()
        return True
    finally:
        os.close(fd)


def _remove_bells(folder: Path) -> bool:
    """Removes a bell directory none of whose FIFOs has a reader."""
    fifos = [entry for entry in folder.iterdir() if stat.S_ISFIFO(entry.lstat().st_mode)]
    for fifo in fifos:
        with contextlib.suppress(OSError):  # ENXIO: nobody reads it
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            return False
    for fifo in fifos:
        fifo.unlink(missing_ok=True)
    folder.rmdir()
    return True
