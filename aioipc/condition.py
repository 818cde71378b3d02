"""Condition: tasks and threads of many processes wait until somebody notifies them, beside a lock."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar

from . import _waiting
from ._native import _core
from .errors import (
    NotFoundError,
    OptionMismatchError,
    TooManyWaitersError,
)
from .lock import Lock
from .objects import New, ObjectName, SharedObject
from .rlock import RLock

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .segment import ManagedSegment

__all__ = ["BlockingCondition", "Condition", "ConditionStatistics"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConditionStatistics:
    """A condition at one moment."""

    locked: bool
    """Whether its lock is held."""
    owner_pid: int | None
    """The process that holds its lock, in its own pid namespace."""
    owner_task: str | None
    """The task or thread that holds it, see LockStatistics."""
    waiters: int
    """Tasks and threads of all processes that wait and were not notified yet."""
    contended: int
    """How many ever waited."""
    notified: int
    """How many were notified."""


class Condition(_core.ConditionHandle, SharedObject):
    """A condition variable for any number of processes, as `asyncio.Condition` of Python 3.13.

    Parameters: the segment; the name (found or constructed), none for a new anonymous one; `lock`, a Lock or
    RLock of the same segment that several conditions may share.  Left out, an existing condition's own is
    used, and a new one gets a Lock of its own.  Another lock than an existing condition's raises
    OptionMismatchError.

    `wait` releases the lock and waits until somebody notifies, then holds the lock again, also when it is
    cancelled meanwhile.  Notifications go to waiters first come first served.  One that was given to a waiter
    which is cancelled, or whose process dies before it holds the lock again, goes to the next: none is lost,
    none is doubled.

    Example::

        filled = Condition(segment, "filled")
        async with filled:
            await filled.wait_for(lambda: len(store) > 0)
        async with filled:                   # in another process
            store["key"] = 1
            filled.notify()
    """

    __slots__ = ("_lock",)
    _type: ClassVar[int] = _core.TYPE_CONDITION
    _size: ClassVar[int] = _core.CONDITION_SIZE
    _lock: Lock | RLock

    def __init__(
        self,
        segment: "ManagedSegment",
        name: ObjectName | New = None,
        lock: Lock | RLock | None = None,
    ) -> None:
        if lock is not None:
            _belongs(lock, segment)
        created = self._attach(segment, name, _core.condition_image(lock))
        self._found()
        if not created and lock is not None and lock.pin is not self._lock.pin:
            raise OptionMismatchError(
                f"the condition {self.name!r} exists with another lock than {lock!r}: {self._lock!r}; leave "
                "the lock out, or destroy the condition"
            )

    # --- the lock

    @property
    def lock(self) -> Lock | RLock:
        """The lock beside it."""
        return self._lock

    def acquire(self) -> "Coroutine[Any, Any, Literal[True]]":
        """Acquires the lock beside it."""
        return self._lock.acquire()

    def release(self) -> None:
        """Releases the lock beside it."""
        self._lock.release()

    def locked(self) -> bool:
        """Whether the lock beside it is held."""
        return self._lock.locked()

    # --- waiting and notifying

    async def wait(self) -> Literal[True]:
        """Releases the lock, waits until it is notified, and acquires the lock again; gives True.

        Cancelled at any time it raises once it holds the lock again; a notification that came all the same
        goes to the next waiter.  NotOwnerError (a RuntimeError) when the lock is not held; ClosedError when
        the segment is closed, or the condition or its lock destroyed.
        """
        waiting: _core.ConditionOperation = self._waiting(False)
        try:
            try:
                await waiting
            except GeneratorExit:  # collected: nothing can be awaited any more
                raise
            except BaseException:
                await self._reacquire(waiting)
                raise
            await self._reacquire(waiting)
            waiting.settle()
        except BaseException as error:
            waiting.forsake()
            self._collected = waiting.released and isinstance(error, GeneratorExit)
            raise
        return True

    async def _reacquire(self, waiting: "_core.ConditionOperation") -> None:
        if waiting.released:
            try:
                interruption = await _waiting.shielded(waiting.reacquiring())
            except TooManyWaitersError:  # the place it still has is one that the lock's queue can have
                waiting.settle()
                interruption = await _waiting.shielded(waiting.reacquiring())
            waiting.reacquired()
            if interruption is not None:
                raise interruption

    async def wait_for(self, predicate: Callable[[], T]) -> T:
        """Waits until `predicate()`, called with the lock held, gives something true; gives that."""
        while not (result := predicate()):
            await self.wait()
        return result

    # --- the rest

    def statistics(self) -> ConditionStatistics:
        """The condition at this moment, as a frozen record."""
        lock = self._lock.statistics()
        return ConditionStatistics(lock.locked, lock.owner_pid, lock.owner_task, *self._statistics())

    @property
    def blocking(self) -> "BlockingCondition":
        """The same condition for threads: `with condition.blocking: condition.blocking.wait(timeout=1.5)`."""
        return BlockingCondition(self)

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "use 'async with condition:' in a coroutine, or 'with condition.blocking:' in a thread"
        )

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def _found(self) -> None:
        offset, serial, type_number = self._lock_identity()
        kind = RLock if type_number == _core.TYPE_RLOCK else Lock
        lock: Lock | RLock | None
        if offset == 0:
            lock = Lock._of(self.segment, self.pin)
        else:
            lock = kind._at(self.segment, offset, serial, "the condition's lock")
        if lock is None:
            raise NotFoundError(
                f"the lock of the condition {self.name!r} was destroyed; destroy the condition too"
            )
        self._lock = lock
        self._beside(lock)

    def _describe(self) -> str:
        record = self.statistics()
        waiters = f", waiters:{record.waiters}" if record.waiters else ""
        return f"[{'locked' if record.locked else 'unlocked'}{waiters}]"


class BlockingCondition(_core.BlockingLockBeside):
    """A Condition for threads, as `threading.Condition`."""

    __slots__ = ("_lock",)

    def __init__(self, condition: Condition) -> None:
        super().__init__(condition)
        self._lock = condition.lock.blocking

    def acquire(self, timeout: float | None = None) -> bool:
        """Acquires the lock beside it; waits up to `timeout` seconds, None for ever.  False: the time was
        over."""
        return self._lock.acquire(timeout)

    def release(self) -> None:
        """Releases the lock beside it."""
        self._lock.release()

    def locked(self) -> bool:
        """Whether the lock beside it is held."""
        return self._lock.locked()

    def wait(self, timeout: float | None = None) -> bool:
        """Releases the lock, waits until it is notified, `timeout` seconds at most, and acquires the lock
        again.

        False: the time was over.  A KeyboardInterrupt is raised once the lock is held again.
        """
        waiting: _core.ConditionOperation = self._condition._waiting(True)
        try:
            try:
                notified = _core.blocked(waiting, timeout)
            except BaseException:
                waiting.reacquire()
                raise
            waiting.reacquire()
            if notified:
                waiting.settle()
        except BaseException:
            waiting.forsake()
            raise
        return notified

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Waits until `predicate()`, called with the lock held, gives something true; gives what it gave
        last."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not (result := predicate()) and (left := end - time.monotonic()) > 0:
            self.wait(None if left == math.inf else left)
        return result

    def __repr__(self) -> str:
        return f"<blocking view of {self._condition!r}>"


def _belongs(lock: Lock | RLock, segment: "ManagedSegment") -> None:
    if not isinstance(lock, Lock | RLock):
        raise TypeError(f"a condition's lock is a Lock or an RLock, not {lock!r}")
    if lock.opening.attachment is not segment._opening_checked().attachment:
        raise ValueError(f"{lock!r} is not in {segment!r}: a condition and its lock are in one segment")
