"""Barrier: a number of parties wait for each other."""

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from . import _waiting
from ._native import _core
from .errors import BrokenBarrierError, OptionMismatchError
from .objects import New, ObjectName, SharedObject, whole

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .segment import ManagedSegment

__all__ = ["Barrier", "BarrierStatistics", "BlockingBarrier"]


@dataclass(frozen=True, slots=True)
class BarrierStatistics:
    """A barrier at one moment."""

    parties: int
    """How many must come."""
    waiting: int
    """How many have come, and wait for the others."""
    broken: bool
    """Whether it was aborted, and not reset since."""
    contended: int
    """How many ever waited."""


class Barrier(_core.BarrierHandle, SharedObject):
    """A point that a number of tasks or threads of any processes pass together, as `asyncio.Barrier`.

    Parameters: the segment; the name (found or constructed), none for a new anonymous one; `parties`, at
    least 1, needed to construct it; another number than an existing barrier's raises OptionMismatchError.

    A party that is cancelled or whose process dies while it waits has not come: the others wait on, for
    whoever comes instead.  (Break the barrier with `abort` if nobody will.)  Who has passed has passed, also
    when another party dies right then.  The barrier can be used again at once.

    Example::

        start = Barrier(segment, "start", 3)
        async with start as place:       # 0, 1 or 2: a different one for each party
            if place == 0:
                print("all are here")
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_BARRIER
    _size: ClassVar[int] = _core.BARRIER_SIZE

    def __init__(
        self, segment: "ManagedSegment", name: ObjectName | New = None, parties: int | None = None
    ) -> None:
        if parties is not None and not 1 <= whole("parties", parties) <= _core.PARTIES_MAX:
            raise ValueError(f"a barrier has between 1 and {_core.PARTIES_MAX} parties, not {parties!r}")
        if parties is None:
            self._find_or_refuse(
                segment, name, "a new barrier needs its number of parties: Barrier(segment, name, parties)"
            )
            return
        if not self._attach(segment, name, _core.barrier_image(parties)) and self.parties != parties:
            raise OptionMismatchError(
                f"the barrier {self.name!r} exists with {self.parties} parties, not {parties}; leave the "
                "number out, or destroy the barrier"
            )

    def wait(self) -> "Coroutine[Any, Any, int]":
        """Waits until all parties have come; gives the order in which this one came, from 0 on.

        Cancelled while it waits, this party has not come.  Raises BrokenBarrierError when the barrier is
        broken, or is reset or aborted meanwhile; ClosedError when it is destroyed or the segment closed.
        """
        return self._waiting()

    def reset(self) -> None:
        """Makes it as new; whoever waits gets BrokenBarrierError."""
        self._end(False)

    def abort(self) -> None:
        """Breaks it: whoever waits, and whoever comes until it is reset, gets BrokenBarrierError."""
        self._end(True)

    @property
    def parties(self) -> int:
        """How many must come."""
        return self._statistics()[0]

    @property
    def n_waiting(self) -> int:
        """How many have come and wait."""
        return self._statistics()[1]

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._statistics()[2]

    def statistics(self) -> BarrierStatistics:
        """The barrier at this moment, as a frozen record."""
        return BarrierStatistics(*self._statistics())

    @property
    def blocking(self) -> "BlockingBarrier":
        """The same barrier for threads: `barrier.blocking.wait(timeout=5)`."""
        return BlockingBarrier(self)

    async def __aenter__(self) -> int:
        return await self.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to do: who has passed has passed."""

    def __enter__(self) -> NoReturn:
        raise TypeError("use 'async with barrier:' in a coroutine, or 'with barrier.blocking:' in a thread")

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def _describe(self) -> str:
        record = self.statistics()
        return "[broken]" if record.broken else f"[filling, waiters:{record.waiting}/{record.parties}]"


class BlockingBarrier:
    """A Barrier for threads, as `threading.Barrier`: blocks the calling thread, with the GIL released, and
    obeys Ctrl-C."""

    __slots__ = ("_barrier",)

    def __init__(self, barrier: Barrier) -> None:
        self._barrier = barrier

    def wait(self, timeout: float | None = None) -> int:
        """Waits until all parties have come; gives the order in which this one came.

        After `timeout` seconds (0: unless it is the last one) it breaks the barrier for everybody, and raises
        BrokenBarrierError.
        """
        operation: Any = self._barrier._waiting()
        if not _core.blocked(operation, timeout):
            raise BrokenBarrierError(f"{self._barrier!r}: not all parties came within {timeout} s")
        place: int = operation.result
        return place

    def reset(self) -> None:
        """Makes it as new; whoever waits gets BrokenBarrierError."""
        self._barrier.reset()

    def abort(self) -> None:
        """Breaks it: whoever waits, and whoever comes until it is reset, gets BrokenBarrierError."""
        self._barrier.abort()

    @property
    def parties(self) -> int:
        """How many must come."""
        return self._barrier.parties

    @property
    def n_waiting(self) -> int:
        """How many have come and wait."""
        return self._barrier.n_waiting

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._barrier.broken

    def __enter__(self) -> int:
        return self.wait()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to do: who has passed has passed."""

    def __repr__(self) -> str:
        return f"<blocking view of {self._barrier!r}>"
