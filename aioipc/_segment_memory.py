"""What every segment can do with raw memory."""

from collections.abc import Callable
from typing import Any, overload

from ._attachments import PAGE_SIZE, checked_size
from ._native import _core
from ._native._core import Block
from ._opened import OpenedSegment

__all__ = ["SegmentMemory", "whole_pages"]


class _Grow:
    """`segment.grow(extra)` makes an open segment larger, `Kind.grow(where, extra)` one that has a name.

    `extra` is in bytes, rounded up to whole pages; both return the new size. Every process that has the
    segment open can use the room at once: nobody waits, nothing is mapped again, views stay valid. A caller
    that is killed has grown it, or not; others never notice. Blocks with the GIL released while the
    filesystem finds the room (0.3 s for each GiB of memory): under an event loop use `asyncio.to_thread`.

    Raises SegmentFullError, and has changed nothing, when that would be more than `max_size`, or when the
    filesystem or this process's RLIMIT_FSIZE has no room; ValueError; PeerStalledError when a stopped process
    is in the middle of growing it; io.UnsupportedOperation where the memory's size is fixed.

    By name, a segment that nobody has open may grow beyond its `max_size`, which becomes the new size;
    SegmentInUseError when somebody has. Raises what `open` raises too, and creates nothing.

    Example::

        segment = ManagedSharedMemory.create("shop", 1 << 20, max_size=1 << 30)
        segment.grow(64 << 20)
        ...
        ManagedSharedMemory.grow("shop", 4 << 30)      # beyond 1 GiB: nobody may have it open
    """

    @overload
    def __get__(self, segment: None, kind: "type[SegmentMemory]") -> Callable[[Any, int], int]: ...
    @overload
    def __get__(self, segment: "SegmentMemory", kind: "type[SegmentMemory]") -> Callable[[int], int]: ...
    def __get__(self, segment: "SegmentMemory | None", kind: "type[SegmentMemory]") -> Callable[..., int]:
        return kind._grow_by_name if segment is None else segment._grow


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

    grow = _Grow()

    def trim(self) -> int:
        """Gives the pages of free memory back to the system; how many bytes that were.

        They stay room of the segment: `free_memory` is what it was, and an allocation that needs them gets
        pages again, up to 32 MiB at a time (about 10 ms). Where there are none left it raises
        SegmentFullError. Free blocks of less than 16 KiB, and the reserve, keep their pages.

        Others go on meanwhile. A caller that is killed leaves some pages for the next `trim`. Releases the
        GIL for the system's part; under an event loop use `asyncio.to_thread`. Raises OSError on a filesystem
        that cannot do it, io.UnsupportedOperation for memory that is the caller's own.
        """
        return _core.trim(self._attachment)

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

    @classmethod
    def _grow_by_name(cls, where: Any, extra: int) -> int:
        raise NotImplementedError

    def _grow(self, extra: int) -> int:
        return _core.grow(self._attachment, whole_pages(extra))

    def _allocate(self, n: int, alignment: int | None, must: bool) -> Block | None:
        at = 16 if alignment is None else checked_size(alignment)
        return self._opening.allocate(self, checked_size(n), at, must)


def whole_pages(extra: int) -> int:
    """The number of bytes, rounded up to pages; ValueError."""
    return -(-checked_size(extra) // PAGE_SIZE) * PAGE_SIZE
