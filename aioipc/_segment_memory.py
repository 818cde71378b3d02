"""What every segment can do with raw memory."""

from ._attachments import checked_size
from ._native._core import Block
from ._opened import OpenedSegment

__all__ = ["SegmentMemory"]


class SegmentMemory(OpenedSegment):
    """Blocks of bytes in a segment, and how much room there is."""

    @property
    def free_memory(self) -> int:
        """Bytes that are free, in all free blocks together, without the reserve.

        The last 4 KiB and 64 bytes for each participant (a 32nd of a small segment) are left to handles and
        leases, so that a full segment can be emptied.
        """
        return self._attachment.heap_stats()[1]

    @property
    def largest_free_block(self) -> int:
        """Bytes of the largest allocation that would succeed now."""
        return self._attachment.heap_stats()[2]

    def allocate(self, n: int, *, alignment: int | None = None) -> Block:
        """Allocates `n` bytes of zeros, at an address that is a multiple of `alignment` (a power of two; 16).

        The block lives until `deallocate`, also after this process has gone.  Raises SegmentFullError.
        """
        block = self._allocate(n, alignment, True)
        assert block is not None
        return block

    def try_allocate(self, n: int, *, alignment: int | None = None) -> Block | None:
        """`allocate`, but None when no free block is large enough."""
        return self._allocate(n, alignment, False)

    def deallocate(self, block: Block) -> None:
        """Frees a block for all processes; the Block then raises ClosedError.

        Raises BufferError while memoryviews of it are in use here, NotFoundError when it was freed before.
        """
        self._opening.deallocate(block)

    def block(self, handle: int, size: int | None = None) -> Block:
        """The block that has this handle, in whichever process it was allocated.

        `size` is the number of bytes to show; by default all that the block has, which may be a few more
        than were asked for.  Raises NotFoundError when there is no such block.
        """
        return self._opening.block(self, handle, size)

    def _allocate(self, n: int, alignment: int | None, must: bool) -> Block | None:
        at = 16 if alignment is None else checked_size(alignment)
        return self._opening.allocate(self, checked_size(n), at, must)
