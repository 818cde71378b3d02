"""RWLock: many read at once, or one writes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NoReturn

from . import _waiting
from ._native import _core
from .errors import OptionMismatchError, WouldBlock
from .objects import New, ObjectName, SharedObject

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["BlockingRWGuard", "BlockingRWLock", "RWGuard", "RWLevel", "RWLock", "RWLockStatistics"]

RWLevel = Literal["read", "upgradable", "write"]
_LEVELS: Final[dict[RWLevel, int]] = {
    "read": _core.READ,
    "upgradable": _core.UPGRADABLE,
    "write": _core.WRITE,
}


@dataclass(frozen=True, slots=True)
class RWLockStatistics:
    """A read-write lock at one moment."""

    readers: int
    """Reads that living processes hold."""
    writing: bool
    """Whether a living process writes."""
    upgradable: bool
    """Whether a living process holds it upgradable."""
    mine: bool
    """Whether the one who writes or is upgradable is this process."""
    my_reads: int
    """Reads that this process holds."""
    abandoned: bool
    """Whether a writer died, and no other writer has let go since."""
    owner_pid: int | None
    """Who writes or is upgradable, in its own pid namespace."""
    owner_task: str | None
    """Its task or thread, see LockStatistics."""
    waiting_readers: int
    """Tasks and threads of all processes that wait to read."""
    waiting_writers: int
    """The same, to write."""
    waiting_upgradables: int
    """The same, to be upgradable."""
    waiting_upgrades: int
    """1 while the upgradable one waits for the readers to leave."""
    contended: int
    """How many acquisitions had to wait, since it was constructed."""
    abandoned_count: int
    """How many times somebody who came for it found that a writer had died."""


class RWLock(_core.RWLockHandle, SharedObject):
    """A lock that many may hold to read, or one to write; and beside the readers one who may become the
    writer.

    Parameters: the segment; the name (found or constructed), none for a new anonymous one; `fair`: False,
    whoever wants to read waits while somebody waits to write (readers can starve, writers cannot); True,
    strictly first come first served.  Another `fair` than an existing lock's raises OptionMismatchError.

    `read()`, `write()` and `upgradable()` each make a guard, to be entered once.  Holds are the process's: a
    guard may be released by any of its tasks.  Not reentrant: who reads and waits to write waits for itself.

    When a reader's process dies, its read is given back.  When a writer's dies, the next ones get the lock at
    once, and `abandoned` is True, for readers too, until somebody has held it to write.  A stopped process
    keeps what it holds.  Cancelling leaves no trace.

    Example::

        prices = RWLock(segment, "prices")
        async with prices.read():
            ...
        async with prices.upgradable() as guard:     # beside readers
            if outdated():
                await guard.upgrade()                # alone
                ...
        with prices.blocking.write():                # the same lock, in a thread
            ...
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_RWLOCK

    def __init__(
        self, segment: "ManagedSegment", name: ObjectName | New = None, *, fair: bool | None = None
    ) -> None:
        image = _core.rwlock_image(segment._opening_checked().attachment, bool(fair))
        if not self._attach(segment, name, image) and fair is not None and self.fair != bool(fair):
            raise OptionMismatchError(
                f"the lock {self.name!r} exists with fair={self.fair}; leave fair out, or destroy the lock"
            )

    @classmethod
    def _payload_size(cls, segment: "ManagedSegment") -> int:
        return _core.rwlock_size(segment._opening_checked().attachment)

    def read(self) -> "RWGuard":
        """To read, beside other readers: `async with lock.read():`."""
        return RWGuard(self, _core.READ)

    def write(self) -> "RWGuard":
        """To write, alone: `async with lock.write():`."""
        return RWGuard(self, _core.WRITE)

    def upgradable(self) -> "RWGuard":
        """To read, beside readers but no second upgradable or writer: `async with lock.upgradable() as
        guard:`."""
        return RWGuard(self, _core.UPGRADABLE)

    @property
    def blocking(self) -> "BlockingRWLock":
        """The same lock for threads: `with lock.blocking.write():`."""
        return BlockingRWLock(self)

    @property
    def fair(self) -> bool:
        """Whether all are served strictly first come first served."""
        return self._fair()

    @property
    def abandoned(self) -> bool:
        """Whether a writer died holding it, and no other writer has let go since: what the lock protects may
        be half-written, and only the program can say."""
        return self.statistics().abandoned

    def locked(self) -> bool:
        """Whether anybody holds it in any way."""
        record = self.statistics()
        return record.readers > 0 or record.writing or record.upgradable

    def statistics(self) -> RWLockStatistics:
        """The lock at this moment, as a frozen record."""
        return RWLockStatistics(*self._statistics())

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "use 'async with lock.read():' or 'lock.write()' in a coroutine, "
            "'with lock.blocking.read():' in a thread"
        )

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def _describe(self) -> str:
        record = self.statistics()
        if record.writing:
            state = f"written by {record.owner_pid}"
        elif record.readers or record.upgradable:
            upgradable = f", upgradable by {record.owner_pid}" if record.upgradable else ""
            state = f"readers:{record.readers}{upgradable}"
        else:
            state = "unlocked"
        waiting = record.waiting_readers + record.waiting_writers + record.waiting_upgradables
        abandoned = ", abandoned" if record.abandoned else ""
        return f"[{state}{abandoned}{f', waiters:{waiting}' if waiting else ''}]"


class _Guard:
    """What both kinds of guards do without waiting.

    Their shells stand before it among their bases, as those of Lockable.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def level(self) -> RWLevel | None: ...

        @property
        def _lock(self) -> RWLock: ...

        def _take(self) -> bool: ...

        def _convert(self, wanted: int) -> bool: ...

    @property
    def abandoned(self) -> bool:
        """The lock's `abandoned`."""
        return self._lock.abandoned

    def acquire_nowait(self) -> None:
        """Acquires what the guard was made for if that needs no waiting; raises WouldBlock otherwise."""
        if not self._take():
            raise WouldBlock(f"{self._lock!r} cannot be had now: wait with acquire()")

    def try_upgrade(self, to: Literal["write", "upgradable"] = "write") -> bool:
        """Turns the hold into a higher one if that needs no waiting; False: not possible now, it is
        unchanged.

        "upgradable" to "write": while nobody reads.  "read" to "write": as the only one who holds the lock.
        "read" to "upgradable": while nobody is upgradable or writes, whoever else reads.
        """
        level = self._held()
        if (level, to) not in (("upgradable", "write"), ("read", "write"), ("read", "upgradable")):
            raise ValueError(f"a hold to {level!r} cannot be upgraded to {to!r}")
        return self._convert(_LEVELS[to])

    def downgrade(self, to: Literal["read", "upgradable"] = "read") -> None:
        """Turns a write into a read or upgradable hold, or an upgradable into a read; never waits, and nobody
        writes in between."""
        level = self._held()
        if (level, to) not in (("write", "read"), ("write", "upgradable"), ("upgradable", "read")):
            raise ValueError(f"a hold to {level!r} cannot be downgraded to {to!r}")
        self._convert(_LEVELS[to])

    def _held(self) -> RWLevel:
        level = self.level
        if level is None:
            raise RuntimeError(f"this guard holds nothing of {self._lock!r}")
        return level

    def __reduce__(self) -> NoReturn:
        raise TypeError("a guard belongs to the process that holds it: pickle the lock")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._lock!r}: {self.level or 'nothing'}>"


class RWGuard(_core.AwaitingGuard, _Guard):
    """One hold of a read-write lock: `async with lock.read() as guard:`.  Made by `read`, `write`,
    `upgradable`."""

    __slots__ = ()

    def __enter__(self) -> NoReturn:
        raise TypeError("use 'async with lock.read():', or 'with lock.blocking.read():' in a thread")

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""


class BlockingRWLock:
    """A read-write lock for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    __slots__ = ("_lock",)

    def __init__(self, lock: RWLock) -> None:
        self._lock = lock

    def read(self) -> "BlockingRWGuard":
        """To read, beside other readers: `with lock.blocking.read():`."""
        return BlockingRWGuard(self._lock, _core.READ)

    def write(self) -> "BlockingRWGuard":
        """To write, alone: `with lock.blocking.write():`."""
        return BlockingRWGuard(self._lock, _core.WRITE)

    def upgradable(self) -> "BlockingRWGuard":
        """To read, beside readers but no second upgradable or writer: `with lock.blocking.upgradable() as
        guard:`."""
        return BlockingRWGuard(self._lock, _core.UPGRADABLE)

    def __repr__(self) -> str:
        return f"<blocking view of {self._lock!r}>"


class BlockingRWGuard(_core.BlockingGuard, _Guard):
    """One hold of a read-write lock, for a thread."""

    __slots__ = ()
