"""Locks and other primitives of a segment that is only read: their state, and who holds or waits."""

import math
from typing import Any

from ._native import _core
from ._refusing import Refusing
from .barrier import Barrier, BarrierStatistics
from .capacity_limiter import CapacityLimiter, CapacityLimiterStatistics
from .condition import Condition, ConditionStatistics
from .event import Event, EventStatistics
from .leader import Leader
from .lock import Lock, LockStatistics
from .objects import ObjectName, SharedObject
from .once import Once
from .rlock import RLock
from .rwlock import RWLock, RWLockStatistics
from .semaphore import BoundedSemaphore, Semaphore, SemaphoreStatistics

__all__ = ["PEEKS", "ReadOnlyPrimitive"]


class ReadOnlyPrimitive(Refusing):
    """A primitive that is only looked at; what would change it, or wait for it, raises ReadOnlyError.

    Taking one is nobody's business here, so nothing is ever this process's own.  A destroyed one raises
    ClosedError.
    """

    __slots__ = ("_model", "_name", "_seen")

    def __init__(self, model: type[SharedObject], seen: _core.Seen, name: ObjectName) -> None:
        self._model, self._seen, self._name = model, seen, name

    @property
    def name(self) -> str | None:
        """The object's name; None when it is the unique instance of its type."""
        return self._name if isinstance(self._name, str) else None

    def statistics(self) -> Any:
        """The primitive at this moment: the frozen record that its own `statistics()` gives."""
        raise NotImplementedError

    def _record(self) -> tuple[Any, ...]:
        return _core.seen_statistics(self._seen)

    def __repr__(self) -> str:
        return f"<aioipc.ReadOnly{self._model.__name__} {self._name!r}>"


class ReadOnlyLock(ReadOnlyPrimitive):
    """A Lock or RLock."""

    __slots__ = ()

    def locked(self) -> bool:
        """Whether a living process holds it."""
        return self.statistics().locked

    @property
    def abandoned(self) -> bool:
        """Whether the process that held it before died holding it."""
        return self.statistics().abandoned

    def statistics(self) -> LockStatistics:
        """The lock at this moment, as a frozen record."""
        return LockStatistics(*self._record())


class ReadOnlyOnce(ReadOnlyLock):
    """A Once."""

    __slots__ = ()

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return _core.seen_done(self._seen)


class ReadOnlyLeader(ReadOnlyLock):
    """A Leader."""

    __slots__ = ()

    @property
    def term(self) -> int:
        """The term of the present leader, or of the last one; 0 before the first."""
        return _core.seen_term(self._seen)


class ReadOnlyRWLock(ReadOnlyPrimitive):
    """An RWLock."""

    __slots__ = ()

    def locked(self) -> bool:
        """Whether anybody reads, writes, or may upgrade."""
        record = self.statistics()
        return record.readers > 0 or record.writing or record.upgradable

    @property
    def abandoned(self) -> bool:
        """Whether the last writer died writing."""
        return self.statistics().abandoned

    def statistics(self) -> RWLockStatistics:
        """The lock at this moment, as a frozen record."""
        return RWLockStatistics(*self._record())


class ReadOnlySemaphore(ReadOnlyPrimitive):
    """A Semaphore or BoundedSemaphore."""

    __slots__ = ()

    @property
    def value(self) -> int:
        """Permits to be had now."""
        return self.statistics().value

    def locked(self) -> bool:
        """Whether there is no permit."""
        return self.value == 0

    def statistics(self) -> SemaphoreStatistics:
        """The semaphore at this moment, as a frozen record."""
        value, bound, initial, waiters, contended = self._record()
        bounded = self._model is BoundedSemaphore
        return SemaphoreStatistics(value, initial, bound if bounded else None, waiters, contended)


class ReadOnlyEvent(ReadOnlyPrimitive):
    """An Event."""

    __slots__ = ()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self.statistics().set

    def statistics(self) -> EventStatistics:
        """The event at this moment, as a frozen record."""
        return EventStatistics(*self._record())


class ReadOnlyBarrier(ReadOnlyPrimitive):
    """A Barrier."""

    __slots__ = ()

    @property
    def parties(self) -> int:
        """How many it waits for."""
        return self.statistics().parties

    @property
    def n_waiting(self) -> int:
        """How many wait, the dead included that nobody has cleaned up after."""
        return self.statistics().waiting

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self.statistics().broken

    def statistics(self) -> BarrierStatistics:
        """The barrier at this moment, as a frozen record."""
        return BarrierStatistics(*self._record())


class ReadOnlyCapacityLimiter(ReadOnlyPrimitive):
    """A CapacityLimiter."""

    __slots__ = ()

    @property
    def total_tokens(self) -> float:
        """Tokens there are."""
        return self.statistics().total_tokens

    @property
    def borrowed_tokens(self) -> int:
        """Tokens on loan to living processes."""
        return self.statistics().borrowed_tokens

    @property
    def available_tokens(self) -> float:
        """Tokens to be had now."""
        record = self.statistics()
        return record.total_tokens - record.borrowed_tokens

    def statistics(self) -> CapacityLimiterStatistics:
        """The limiter at this moment, as a frozen record."""
        total, borrowed, waiters, contended, by_process = self._record()
        tokens = math.inf if total is None else total
        return CapacityLimiterStatistics(borrowed, tokens, (), dict(by_process), waiters, contended)


class ReadOnlyCondition(ReadOnlyPrimitive):
    """A Condition."""

    __slots__ = ()

    def locked(self) -> bool:
        """Whether a living process holds its lock."""
        return self.statistics().locked

    def statistics(self) -> ConditionStatistics:
        """The condition at this moment, as a frozen record; of a lock that is gone, unlocked."""
        lock, record = _core.seen_condition(self._seen)
        locked, _, _, owner, task, *_ = lock or (False, False, False, None, None)
        return ConditionStatistics(locked, owner, task, *record)


PEEKS: dict[type[SharedObject], type[ReadOnlyPrimitive]] = {
    Lock: ReadOnlyLock,
    RLock: ReadOnlyLock,
    Once: ReadOnlyOnce,
    Leader: ReadOnlyLeader,
    RWLock: ReadOnlyRWLock,
    Semaphore: ReadOnlySemaphore,
    BoundedSemaphore: ReadOnlySemaphore,
    Event: ReadOnlyEvent,
    Barrier: ReadOnlyBarrier,
    CapacityLimiter: ReadOnlyCapacityLimiter,
    Condition: ReadOnlyCondition,
}
