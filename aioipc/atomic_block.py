"""`segment.atomic()`: several changes to names that become true together, or not at all."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _waiting
from ._native import _core

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["AtomicBlock", "AtomicStatistics"]


@dataclass(frozen=True, slots=True)
class AtomicStatistics:
    """The atomic blocks of a segment at one moment."""

    open: bool
    """Whether a living process is in one, or just about to be."""
    mine: bool
    """Whether the task or thread that asks is in it."""
    owner_pid: int | None
    """The process that is in it, in its own pid namespace."""
    owner_task: str | None
    """The name of its task, or "thread 1234"; as in `LockStatistics`."""
    waiters: int
    """Tasks and threads of all processes that wait to enter one."""
    contended: int
    """How many had to wait, since the segment was created."""
    abandoned_count: int
    """How many were taken back because their process died, or closed the segment."""


class AtomicBlock(_core.AtomicBlockHandle):
    """What `segment.atomic()` gives: enter it with `with` or `async with`.

    A block is of the task that enters it (of the thread, when there is no task): what that one constructs and
    destroys, others see when the block ends, all of it at one moment.  When the block raises, or its process
    dies, it has done nothing.  What others do meanwhile is not held up, and seen inside at once.  An
    object that the block touched, or a name that it took, others cannot change until it ends: WouldBlock.

    One block of a segment is open at a time.  The next one waits: `with` blocks the thread, with the GIL
    released and obeying Ctrl-C; `async with` awaits, first come first served, and leaves no trace when it is
    cancelled.  A block inside of one's own joins it; when it raises, its own part is taken back.

    Only names and the existence of objects are covered: not what is written into objects, not blocks of raw
    memory.

    Example::

        async with segment.atomic():
            segment.destroy(Queue, "jobs")
            jobs = Queue(segment, "jobs", maxsize=10)      # nobody ever sees that there is none
            Lock(segment, "jobs-lock")
    """

    __slots__ = ()

    def __init__(self, segment: "ManagedSegment", *, at_once: bool = False) -> None:
        self._prepare(segment, segment._opening_checked(), at_once)

    def statistics(self) -> AtomicStatistics:
        """The segment's blocks at this moment, as a frozen record."""
        locked, _, _, pid, task, waiters, contended, takeovers = self._statistics()
        return AtomicStatistics(locked, self._is_inside(), pid, task, waiters, contended, takeovers)

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def __repr__(self) -> str:
        if self.opening.closed:
            return f"<aioipc.AtomicBlock of {self.segment!r}>"
        record = self.statistics()
        state = f"open in {record.owner_pid}" if record.open else "not open"
        waiters = f", waiters:{record.waiters}" if record.waiters else ""
        return f"<aioipc.AtomicBlock of {self.segment!r} [{state}{waiters}]>"
