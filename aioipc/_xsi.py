"""Where segments in System V memory live: keys, control files, and what killed creators leave behind.

System V memory has no descriptor to lock, so beside it stands a control file,
`/dev/shm/.aioipc-xsi-<key>` (`-id-<id>` of private memory), whose locks say who is alive. Memory gets its key
when it is still empty; whoever makes, opens or removes a segment therefore has the turn, a lock on the whole
control file, and says in it what it makes. What somebody killed has left half made is known by that.
"""

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import sysv_ipc

from . import _names
from ._native import _core
from .errors import (
    AlreadyExistsError,
    IncompatibleSegmentError,
    IPCError,
    NotFoundError,
    PeerStalledError,
    PermissionDeniedError,
    SegmentFullError,
)

__all__ = ["XSIKey", "XSIPlace"]

_CONTROL = _names.RESERVED + "xsi-"
_PATIENCE, _SLICE = 5.0, 0.001  # seconds


@dataclass(frozen=True)
class XSIKey:
    """What System V memory is found by: a number of 32 bits that programs have agreed on, or an id.

    Example::

        XSIKey(0x5E6)                              # the same as 0x5E6
        XSIKey.of_path("/etc/shop.conf", 1)        # ftok(3)
        XSIKey.private()                           # of nobody else: segment.key is then its id
    """

    value: int
    id: int | None = None
    """Of private memory that exists; other processes can open the segment by it."""

    @classmethod
    def of(cls, where: "int | XSIKey") -> "XSIKey":
        """The key that this number is; TypeError, ValueError."""
        if isinstance(where, XSIKey):
            return where
        if not isinstance(where, int) or isinstance(where, bool):
            raise TypeError(f"a key is an int or an XSIKey, not {type(where).__name__}")
        return cls(where)

    @classmethod
    def of_path(cls, path: "str | os.PathLike[str]", project: int = 1) -> Self:
        """The key that ftok(3) makes of a file that exists, and 8 bits. Raises NotFoundError.

        It follows from the file's inode and device: other files may give the same key.
        """
        if not 1 <= project <= 255:
            raise ValueError(f"project is a number from 1 to 255, not {project}")
        try:
            return cls(sysv_ipc.ftok(os.fspath(path), project, silence_warning=True))
        except OSError as error:
            raise NotFoundError(f"there is no file {os.fspath(path)!r}") from error

    @classmethod
    def private(cls) -> Self:
        """Memory that is found by no key."""
        return cls(0)

    def __post_init__(self) -> None:
        if not -(1 << 31) <= self.value < 1 << 32:
            raise ValueError(f"a key has 32 bits: {self.value:#x}")

    def __str__(self) -> str:
        return f"{self.value & 0xFFFFFFFF:#010x}" if self.value else f"private, id {self.id}"

    @property
    def number(self) -> int:
        """As the system has it: signed."""
        return self.value - (1 << 32) if self.value >= 1 << 31 else self.value


class XSIMemory:
    """System V memory, attached to this process until it is let go."""

    def __init__(self, memory: Any) -> None:
        self.buffer = memory
        self.id: int = memory.id

    @classmethod
    def make(cls, key: XSIKey, size: int, mode: int) -> Self:
        """New memory, all zeros, that has its pages. Raises AlreadyExistsError, SegmentFullError."""
        try:
            return cls(sysv_ipc.SharedMemory(key.number, sysv_ipc.IPC_CREX, mode, size, b"\0"))
        except sysv_ipc.ExistentialError:
            raise already_exists(key) from None
        except (MemoryError, ValueError, OSError) as error:
            raise SegmentFullError(
                f"creating System V memory of {size} bytes: {error}; kernel.shmmax, kernel.shmall and "
                "kernel.shmmni limit it (ipcs -l), and the machine's memory"
            ) from error

    @classmethod
    def find(cls, key: XSIKey) -> Self:
        """What has the key. Raises NotFoundError, PermissionDeniedError."""
        try:
            return cls(sysv_ipc.attach(key.id) if key.id is not None else sysv_ipc.SharedMemory(key.number))
        except (sysv_ipc.ExistentialError, ValueError):
            raise NotFoundError(f"there is no System V memory with key {key}") from None
        except sysv_ipc.PermissionsError:
            raise PermissionDeniedError(f"no permission to attach System V memory with key {key}") from None

    def let_go(self) -> None:
        """Detaches it; again does nothing."""
        if self.buffer.attached:
            self.buffer.detach()

    def remove(self) -> None:
        """Takes the key away; it goes when nobody has it attached."""
        with contextlib.suppress(sysv_ipc.ExistentialError):
            sysv_ipc.remove_shared_memory(self.id)


def already_exists(key: XSIKey) -> AlreadyExistsError:
    """The error that says so."""
    return AlreadyExistsError(
        f"System V memory with key {key} exists already; open() it, or use open_or_create()"
    )


@dataclass(frozen=True)
class XSIPlace:
    """A key, and the control file beside what it leads to."""

    key: XSIKey
    allow_other_owner: bool = False

    @property
    def path(self) -> str:
        """Of the control file."""
        key = self.key
        name = f"id-{key.id}" if key.value == 0 else f"{key.value & 0xFFFFFFFF:08x}"
        return str(_names.SHM / (_CONTROL + name))

    @contextmanager
    def turn(self, mode: int = 0o600) -> Iterator[int]:
        """A descriptor of the control file, made if it is missing, while nobody else has the turn."""
        while True:
            fd = _open_or_make(self.path, mode)
            try:
                _names.check_owner(f"of key {self.key}", fd, self.allow_other_owner)
                _take_turn(fd, self.key)
                if _is_at(fd, self.path):  # not removed by who had the turn before
                    yield fd
                    return
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_UN)  # a child forked meanwhile has it too
                os.close(fd)

    def found(self, control: int) -> XSIMemory:
        """The memory, if it is a whole segment's that fits its control file; else IncompatibleSegmentError.

        What a killed creator has left is removed. Raises NotFoundError. With the turn.
        """
        try:
            memory = XSIMemory.find(self.key)
        except NotFoundError:
            os.unlink(self.path)  # was left behind, or just made
            raise
        try:
            self._check(memory, control)
        except BaseException:
            memory.let_go()
            raise
        return memory

    def _check(self, memory: XSIMemory, control: int) -> None:
        said, shared = _said(control), memory.buffer
        if _half_made(memory, said):
            memory.remove()
            os.unlink(self.path)
            raise NotFoundError(f"there is no System V memory with key {self.key}: its creator was killed")
        if _core.uuid_in(shared) is None:
            if not said:
                os.unlink(self.path)
            raise IncompatibleSegmentError(
                f"the System V memory with key {self.key} is no aioipc segment: {shared.size} bytes, made by "
                f"pid {shared.creator_pid} of user {shared.cuid}; use another key"
            )
        if shared.uid != os.geteuid() and not self.allow_other_owner:
            raise PermissionDeniedError(
                f"the segment with key {self.key} belongs to user {shared.uid}, not to {os.geteuid()}; "
                "if you trust that user, use allow_other_owner=True"
            )
        if said != whole(memory):
            if shared.number_attached > 1:
                os.unlink(self.path)
                raise IncompatibleSegmentError(
                    f"somebody has the segment with key {self.key} open, and its control file {self.path} is "
                    "gone: nobody can tell who is alive until all have closed it"
                )
            say(control, whole(memory))  # nobody has it: it is checked and adopted, as a copy is

    def clear(self, control: int) -> bool:
        """Removes what a killed creator has left; AlreadyExistsError for anything else. With the turn.

        False: the control file was that of memory which somebody has removed by other means (ipcrm), and may
        still have open; it is gone, take the turn again.
        """
        try:
            memory = XSIMemory.find(self.key)
        except NotFoundError:
            if _said(control).startswith(b"id"):
                os.unlink(self.path)
                return False
            return True
        said = _said(control)
        try:
            if not _half_made(memory, said):
                if not said:
                    os.unlink(self.path)  # we have just made it
                raise already_exists(self.key)
            memory.remove()
        finally:
            memory.let_go()
        return True

    def exists(self) -> bool:
        """Whether something has the key."""
        try:
            XSIMemory.find(self.key).let_go()
        except NotFoundError:
            return False
        except IPCError:
            return True
        return True

    def remove(self) -> bool:
        """Takes the key away; False when nothing has it."""
        if not self.exists():
            return False
        with self.turn() as control:
            try:
                memory = self.found(control)
            except NotFoundError:
                return False
            try:
                identity = _core.uuid_in(memory.buffer)
                memory.remove()
                os.unlink(self.path)
                if identity is not None and not _core.in_use(control):
                    bells = _names.SHM / (_names.RESERVED + uuid.UUID(bytes=identity).hex)
                    shutil.rmtree(bells, ignore_errors=True)
            finally:
                memory.let_go()
        return True


def say(control: int, text: bytes) -> None:
    """Writes what the control file is beside."""
    os.ftruncate(control, 0)
    os.pwrite(control, text, 0)


def making(pid: int) -> bytes:
    """What a control file says while this process makes the memory."""
    return f"made by {pid}".encode()


def whole(memory: XSIMemory) -> bytes:
    """What it says beside a segment."""
    return f"id {memory.id}".encode()


def _half_made(memory: XSIMemory, said: bytes) -> bool:
    """Whether it is what a creator has left who does not have the turn any more: a killed one."""
    return said == making(memory.buffer.creator_pid) and _core.uuid_in(memory.buffer) is None


def _said(control: int) -> bytes:
    return os.pread(control, 100, 0)


def _open_or_make(path: str, mode: int) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            try:
                return os.open(path, flags)
            except FileNotFoundError:
                fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
                os.fchmod(fd, mode)
                return fd
            except PermissionError:
                raise PermissionDeniedError(f"no permission to open {path}") from None


def _take_turn(fd: int, key: XSIKey) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise PeerStalledError(
                    f"a stopped process is making, opening or removing what has key {key}"
                ) from None
            time.sleep(_SLICE)
        else:
            return


def _is_at(fd: int, path: str) -> bool:
    try:
        there, ours = os.stat(path, follow_symlinks=False), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
