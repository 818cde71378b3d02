"""Lock: mutual exclusion between the tasks and threads of many processes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from . import _waiting
from ._native import _core
from .errors import WouldBlock
from .objects import New, ObjectName, SharedObject

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["Lock", "LockStatistics", "Lockable"]


@dataclass(frozen=True, slots=True)
class LockStatistics:
    """A lock at one moment."""

    locked: bool
    """Whether a living process holds it, or it is on its way to a waiter."""
    mine: bool
    """Whether this process holds it."""
    abandoned: bool
    """Whether its holder died, or the holder before the present one died holding it."""
    owner_pid: int | None
    """The holder's process, in its own pid namespace."""
    owner_task: str | None
    """The name of the holder's task (its first 32 bytes; trio's own names: the last), or "thread 1234", the
    kernel's number of its thread; of the last one that held it, when that died.  For people: for an instant
    after the lock changed hands it is another's."""
    waiters: int
    """Tasks and threads of all processes that stand in its queue."""
    contended: int
    """How many acquisitions had to queue, since it was constructed."""
    abandoned_count: int
    """How many times it was taken over from a process that died."""


class Lockable(SharedObject, _core.Lockable):
    """What Lock, RLock, Once and Leader have in common.

    Their shells stand before it among their bases: of two bases with the same memory, Python makes instances
    as the first one does.
    """

    __slots__ = ()
    _size: ClassVar[int] = _core.LOCK_SIZE
    _entrances: ClassVar[str]  # how to enter it

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def __enter__(self) -> NoReturn:
        raise TypeError(f"use {self._entrances}")

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""

    def _record(self) -> LockStatistics:
        return LockStatistics(*self._statistics())

    def _found(self) -> None:
        self.spin_us = None

    def _local_state(self) -> Any:
        return self.spin_us

    def _restore_local_state(self, state: Any) -> None:
        self.spin_us = state

    def _describe(self) -> str:
        record = self._record()
        state = f"locked by {record.owner_pid}" if record.locked else "unlocked"
        abandoned = ", abandoned" if record.abandoned else ""
        waiters = f", waiters:{record.waiters}" if record.waiters else ""
        return f"[{state}{abandoned}{waiters}]"


class Lock(_core.LockHandle, Lockable):
    """A lock for the tasks and threads of any number of processes.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one;
    `spin_us`, how many microseconds an acquire may spin before it sleeps, while another process holds the
    lock and spinning has paid lately (50; 0 on a machine with one processor).

    Waiters are served first come first served; a running process may still take a free lock ahead of a
    sleeping one, until that one has waited 1 ms.  Within one event loop the order is strict.  As asyncio's,
    it is not reentrant and may be released by any task or thread of the process that holds it, by no
    other process.

    When the holder's process dies, the next waiter gets the lock at once, and `abandoned` is True until it
    releases.  When a waiter dies or is cancelled, it is skipped.  A stopped holder keeps the lock.

    Example::

        orders = Lock(segment, "orders")
        async with orders:
            ...
        with orders.blocking:        # the same lock, in a thread
            ...
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_LOCK
    _inside = (_core.TYPE_CONDITION,)
    _entrances = "'async with lock:' in a coroutine, or 'with lock.blocking:' in a thread"

    def __init__(
        self, segment: "ManagedSegment", name: ObjectName | New = None, *, spin_us: float | None = None
    ) -> None:
        self._attach(segment, name)
        self.spin_us = spin_us

    def acquire_nowait(self) -> None:
        """Takes the lock if that needs no waiting; raises WouldBlock otherwise, ClosedError as `acquire`."""
        if not self.try_recover():
            raise WouldBlock(f"{self!r}: await acquire() to wait for it")

    def statistics(self) -> LockStatistics:
        """The lock at this moment, as a frozen record."""
        return self._record()
