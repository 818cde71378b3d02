"""FileLock: locks on files, which other programs see, awaited in order."""

import os
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar

from . import _file_turn
from ._file_hold import Awaiting, Blocking, File, FileProtocol, Hold, LateError, Way
from .errors import IPCError, NotFoundError, NotOwnerError, WouldBlock

__all__ = ["BlockingFileGuard", "BlockingFileLock", "FileGuard", "FileLock", "FileLockStatistics"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileLockStatistics:
    """A file's lock at one moment; each value is right by itself."""

    locked: bool
    """Whether any program holds it, for reading or writing."""
    writing: bool
    """Whether any program holds it for writing."""
    mine: bool
    """Whether this very object holds it; its guards are objects of their own."""
    abandoned: bool
    """Whether an aioipc process died holding it for writing, and nobody has held it so since."""
    owner_pid: int | None
    """Who holds it for writing, where that can be known: a process of this user that uses aioipc, or one that
    uses fcntl's locks."""
    waiters: int
    """Tasks and threads of this user's processes that stand in line."""


class FileGuard:
    """One way to hold a FileLock; made by `FileLock.read` and `FileLock.write`.

    Awaited or blocking it is used as the FileLock itself.  Each acquisition has to be released; when it is
    acquired for reading several times at once, any release gives back one of them.
    """

    __slots__ = ("__weakref__", "_file", "_holds", "_shared")

    def __init__(self, file: File, shared: bool) -> None:
        self._file = file
        self._shared = shared
        self._holds: list[Hold] = []

    async def acquire(self) -> Literal[True]:
        """Takes the lock, waiting for it as long as it takes; gives True.

        Cancelled while it waits, it leaves no trace, with the kernel neither.  Raises NotFoundError when
        there is no such file or directory; PermissionDeniedError; ClosedError when the segment of named
        primitives is closed; what `named.segment` raises.
        """
        self._holds.append(await self._acquired(Awaiting()))
        return True

    def acquire_nowait(self) -> None:
        """Takes the lock if that needs no waiting; raises WouldBlock otherwise, and as `acquire`."""
        if not self._acquire_blocking(0):
            raise WouldBlock(f"{self!r}: await acquire() to wait for it")

    def release(self) -> None:
        """Gives the lock back; NotOwnerError when this object does not hold it."""
        while self._holds:
            if self._holds.pop().close():
                return
        raise NotOwnerError(f"{self!r} is not held through this object")

    @property
    def abandoned(self) -> bool:
        """Whether an aioipc process died holding it for writing before this object got it, and nobody held it
        so in between.

        True until release.  What the lock protects may be half-written.  Of other programs nothing is known.
        """
        return any(hold.abandoned for hold in self._holds if hold.mine)

    def locked(self) -> bool:
        """Whether any program holds the lock, for reading or writing."""
        return self.statistics().locked

    def statistics(self) -> FileLockStatistics:
        """The lock at this moment, as a frozen record.  With flock it is taken for an instant."""
        mine = any(hold.mine for hold in self._holds)
        try:
            kernel = self._file.opened(shared=True, create=False)
        except NotFoundError:
            return FileLockStatistics(False, False, mine, False, None, 0)
        locked, _ = kernel.probe(shared=False)
        writing, pid = kernel.probe(shared=True)
        line = _file_turn.state(self._file.line(kernel))
        gate = _file_turn.state(self._file.gate(kernel))
        kernel.close()
        owner = line.owner_pid or pid or None
        waiters = line.waiters + gate.waiters
        return FileLockStatistics(locked, writing, mine, line.abandoned, owner if writing else None, waiters)

    @property
    def blocking(self) -> "BlockingFileGuard":
        """The same for threads."""
        return BlockingFileGuard(self)

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __enter__(self) -> NoReturn:
        raise TypeError("use 'async with lock:' in a coroutine, or 'with lock.blocking:' in a thread")

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""

    async def _acquired(self, way: Way) -> Hold:
        while True:
            hold = Hold(self._file, self._shared)
            try:
                if await hold.acquired(way):
                    return hold
            except BaseException:
                hold.close()
                raise
            hold.close()

    def _acquire_blocking(self, timeout: float | None) -> bool:
        hold = None
        try:
            hold = _at_once(self._acquired(Blocking(timeout)))
            self._holds.append(hold)
        except LateError:
            return False
        except BaseException:  # of a signal handler too; after this block none runs before the `with` does
            if hold is not None:
                hold.close()
            raise
        return True

    def __reduce__(self) -> NoReturn:
        raise TypeError("pickle the FileLock; a guard belongs to the process that made it")

    def __repr__(self) -> str:
        kind = f"aioipc.{type(self).__name__} {self._file.path!r}"
        kind += " for reading" if self._shared else ""
        try:
            return f"<{kind} [{_described(self.statistics())}]>"
        except IPCError:
            return f"<{kind}>"


class FileLock(FileGuard):
    """A lock on a file, for reading or writing, which other programs see.

    Parameters: the `path`, made absolute; `protocol`, which of the kernel's locks it is: "ofd" excludes
    programs that use fcntl or lockf, and works on NFS, "flock" those that use flock(2); `create`, whether a
    missing file is made, empty, with exactly the permissions `mode`.

    Each acquisition opens the file anew, so two FileLocks of one process exclude each other as those of two
    processes do.  For reading, others may hold it for reading too.  The lock itself is for writing, and not
    reentrant; `read()` and `write()` give guards.

    The processes of one user are served first come first served, and wake each other.  Behind other programs
    the kernel's order holds, and one thread waits for all.  When the holder dies, the next has the lock at
    once; when it was an aioipc process of this user, it sees `abandoned`.  A forked child holds nothing of
    its parent's.

    Example::

        lock = FileLock("/var/lib/shop/orders.lock")
        async with lock:                  # for writing
            ...
        async with lock.read():
            ...
        with lock.blocking.read():        # in a thread
            ...
    """

    __slots__ = ()

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        *,
        protocol: FileProtocol = "ofd",
        create: bool = True,
        mode: int = 0o600,
    ) -> None:
        if protocol not in ("ofd", "flock"):
            raise ValueError(f"protocol must be 'ofd' or 'flock', not {protocol!r}")
        if mode & ~0o777:
            raise ValueError(f"mode must be permission bits, at most 0o777, not {mode:#o}")
        name = os.fsdecode(path)
        if not name or "\0" in name:
            raise ValueError(f"a path is not empty and has no NUL in it: {name!r}")
        super().__init__(File(os.path.abspath(name), protocol, create, mode), shared=False)

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._file.path

    def read(self) -> FileGuard:
        """A guard that holds the lock for reading: `async with lock.read():`."""
        return FileGuard(self._file, shared=True)

    def write(self) -> FileGuard:
        """A guard that holds the lock for writing: `async with lock.write():`."""
        return FileGuard(self._file, shared=False)

    @property
    def blocking(self) -> "BlockingFileLock":
        """The same lock for threads: `lock.blocking.acquire(timeout=1.5)`, `with lock.blocking.read():`."""
        return BlockingFileLock(self)

    def __reduce__(self) -> Any:
        return _again, (self._file,)


class BlockingFileGuard:
    """A FileGuard for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    __slots__ = ("_guard",)

    def __init__(self, guard: FileGuard) -> None:
        self._guard = guard

    def acquire(self, timeout: float | None = None) -> bool:
        """Takes the lock; waits up to `timeout` seconds, None for ever, 0 not at all.

        Returns True when it holds the lock, False when the time was over.  Raises as the awaited form.
        """
        return self._guard._acquire_blocking(timeout)

    def release(self) -> None:
        """Gives the lock back; NotOwnerError when the object does not hold it."""
        self._guard.release()

    def locked(self) -> bool:
        """Whether any program holds the lock."""
        return self._guard.locked()

    def __enter__(self) -> Self:
        self._guard._acquire_blocking(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._guard.release()

    def __repr__(self) -> str:
        return f"<blocking view of {self._guard!r}>"


class BlockingFileLock(BlockingFileGuard):
    """A FileLock for threads; made by `FileLock.blocking`."""

    __slots__ = ()
    _guard: FileLock

    def read(self) -> BlockingFileGuard:
        """A guard that holds the lock for reading: `with lock.blocking.read():`."""
        return self._guard.read().blocking

    def write(self) -> BlockingFileGuard:
        """A guard that holds the lock for writing: `with lock.blocking.write():`."""
        return self._guard.write().blocking


def _again(file: File) -> FileLock:
    return FileLock(file.path, protocol=file.protocol, create=file.create, mode=file.mode)


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a thread was to be suspended")


def _described(statistics: FileLockStatistics) -> str:
    how = "locked" if statistics.writing else "locked for reading"
    owner = f" by {statistics.owner_pid}" if statistics.owner_pid else ""
    abandoned = ", abandoned" if statistics.abandoned else ""
    waiters = f", waiters:{statistics.waiters}" if statistics.waiters else ""
    return f"{how if statistics.locked else 'unlocked'}{owner}{abandoned}{waiters}"
