"""How tasks and threads wait for memory in a segment."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ._attachments import checked_size
from ._native import _core
from ._native._core import Block
from ._opened import OpenedSegment

if TYPE_CHECKING:
    from ._native._core import AllocateOperation

__all__ = ["BlockingSegment", "SegmentRoom"]


class SegmentRoom(OpenedSegment):
    """Memory that is waited for."""

    def allocate_when_free(
        self, n: int, *, alignment: int | None = None, owned: bool = False
    ) -> Coroutine[Any, Any, Block]:
        """Allocates `n` bytes of zeros as `allocate` does, waiting for the memory as long as it takes.

        An `owned` block is given back when this process dies.

        Whatever makes room ends the wait: somebody frees, in any process and by whatever means, a process
        dies that had something to give back, or the segment grows. Those who wait are served first come
        first served, also when a later request is smaller; `allocate` does not queue, and may be faster.
        Cancelled while it waits, it leaves no trace, and memory that came in the same instant goes to the
        next. Under asyncio it does not suspend when there is room and nobody waits.

        Raises SegmentFullError at once for more than the segment could ever hold in one block, ClosedError
        when it is closed meanwhile.
        """
        return self._allocating(n, alignment, owned)

    @property
    def blocking(self) -> "BlockingSegment":
        """The same for threads: `segment.blocking.allocate_when_free(n, timeout=1.5)`."""
        return BlockingSegment(self)

    @property
    def waiting_for_memory(self) -> int:
        """Tasks and threads of all processes that wait in `allocate_when_free`."""
        return _core.allocators(self._attachment)

    def _allocating(self, n: int, alignment: int | None, owned: bool) -> "AllocateOperation":
        at = 16 if alignment is None else checked_size(alignment)
        return _core.allocating(self, self._opening_checked(), checked_size(n), at, owned)


class BlockingSegment:
    """A segment for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    __slots__ = ("_segment",)

    def __init__(self, segment: SegmentRoom) -> None:
        self._segment = segment

    def allocate_when_free(
        self, n: int, timeout: float | None = None, *, alignment: int | None = None, owned: bool = False
    ) -> Block:
        """Allocates `n` bytes; waits for them up to `timeout` seconds, None for ever, 0 not at all.

        Raises SegmentFullError when the time is over, or for more than the segment could ever hold.
        """
        operation = self._segment._allocating(n, alignment, owned)
        if not _core.blocked(operation, timeout):
            operation.refuse(f"waiting {timeout} s for memory")
        block: Block = operation.result
        return block

    def __repr__(self) -> str:
        return f"<blocking view of {self._segment!r}>"
