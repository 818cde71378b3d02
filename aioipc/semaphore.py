"""Semaphore and BoundedSemaphore: permits that tasks and threads of many processes take and give."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from . import _waiting
from ._native import _core
from .errors import OptionMismatchError, WouldBlock
from .objects import New, ObjectName, SharedObject, whole

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .segment import ManagedSegment

__all__ = ["BlockingSemaphore", "BoundedSemaphore", "Semaphore", "SemaphoreStatistics"]


@dataclass(frozen=True, slots=True)
class SemaphoreStatistics:
    """A semaphore at one moment."""

    value: int
    """Permits to be had."""
    initial: int
    """Permits it was constructed with."""
    bound: int | None
    """Permits it can have at most; None for a plain Semaphore."""
    waiters: int
    """Tasks and threads of all processes that wait."""
    contended: int
    """How many acquisitions had to wait, since it was constructed."""


class Semaphore(_core.SemaphoreHandle, SharedObject):
    """A number of permits, as `asyncio.Semaphore`, for any number of processes.

    Parameters: the segment; the name (found or constructed), none for a new anonymous one; `value`, the
    permits it begins with (1).  The value of an existing semaphore is what it is; another initial value than
    it was constructed with raises OptionMismatchError.

    Permits are counted, not owned: anybody may `release`, and a process that dies keeps what it had taken
    from the others, as with POSIX semaphores.  For permits that come back by themselves use
    `CapacityLimiter`.

    Waiters are served first come first served; a running process may take a permit ahead of those that have
    waited for less than 1 ms.  Cancelling `acquire` leaves no trace.

    Example::

        slots = Semaphore(segment, "slots", 4)
        async with slots:
            ...
        with slots.blocking:             # the same semaphore, in a thread
            ...
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_SEMAPHORE
    _size: ClassVar[int] = _core.SEMAPHORE_SIZE
    _bounded: ClassVar[bool] = False

    def __init__(
        self, segment: "ManagedSegment", name: ObjectName | New = None, value: int | None = None
    ) -> None:
        permits = 1 if value is None else whole("value", value)
        if not 0 <= permits <= _core.SEMAPHORE_MAX:
            raise ValueError(f"a semaphore has between 0 and {_core.SEMAPHORE_MAX} permits, not {value!r}")
        image = _core.semaphore_image(permits, permits if self._bounded else _core.SEMAPHORE_MAX)
        if not self._attach(segment, name, image) and value is not None:
            initial = self.statistics().initial
            if initial != permits:
                raise OptionMismatchError(
                    f"the semaphore {self.name!r} was constructed with {initial} permits, not {permits}; "
                    "leave the value out, or destroy the semaphore"
                )

    def acquire(self) -> "Coroutine[Any, Any, Literal[True]]":
        """Takes a permit, waiting for it as long as it takes; gives True.

        Cancelled while it waits, it leaves no trace.  Under asyncio it does not suspend when a permit is
        there. Raises ClosedError when the segment is closed or the semaphore destroyed.
        """
        return self._acquiring(True)

    def acquire_nowait(self) -> None:
        """Takes a permit if that needs no waiting; raises WouldBlock otherwise, ClosedError as `acquire`."""
        if not self._take():
            raise WouldBlock(f"{self!r}: await acquire() to wait for a permit")

    @property
    def value(self) -> int:
        """The permits that are there now."""
        return self._statistics()[0]

    def statistics(self) -> SemaphoreStatistics:
        """The semaphore at this moment, as a frozen record."""
        value, bound, initial, waiters, contended = self._statistics()
        return SemaphoreStatistics(value, initial, bound if self._bounded else None, waiters, contended)

    @property
    def blocking(self) -> "BlockingSemaphore":
        """The same semaphore for threads: `semaphore.blocking.acquire(timeout=1.5)`, `with
        semaphore.blocking:`."""
        return BlockingSemaphore(self)

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "use 'async with semaphore:' in a coroutine, or 'with semaphore.blocking:' in a thread"
        )

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def _describe(self) -> str:
        record = self.statistics()
        waiters = f", waiters:{record.waiters}" if record.waiters else ""
        return f"[{'locked' if self.locked() else f'unlocked, value:{record.value}'}{waiters}]"


class BoundedSemaphore(Semaphore):
    """A Semaphore that never has more permits than it began with: a `release` too many is a ValueError.

    Example::

        slots = BoundedSemaphore(segment, "slots", 4)
        async with slots:
            ...
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_BOUNDED_SEMAPHORE
    _bounded: ClassVar[bool] = True


class BlockingSemaphore(_core.BlockingPermits):
    """A Semaphore for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    __slots__ = ()

    def acquire(self, timeout: float | None = None) -> bool:
        """Takes a permit; waits up to `timeout` seconds, None for ever, 0 not at all.  False: the time was
        over."""
        return _core.blocked(self._semaphore._acquiring(True), timeout)

    def release(self, n: int = 1) -> None:
        """Gives `n` permits; ValueError beyond what it can have."""
        self._semaphore.release(n)

    def locked(self) -> bool:
        """Whether `acquire` would have to wait."""
        return self._semaphore.locked()

    def __repr__(self) -> str:
        return f"<blocking view of {self._semaphore!r}>"
