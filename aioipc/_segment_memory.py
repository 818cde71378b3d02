"""What every segment can do with raw memory."""

from collections.abc import Callable, Iterable
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
    SegmentInUseError when somebody has. It takes `allow_other_owner=`, raises what `open` raises, and creates
    nothing.

    Example::

        segment = ManagedSharedMemory.create("shop", 1 << 20, max_size=1 << 30)
        segment.grow(64 << 20)
        ...
        ManagedSharedMemory.grow("shop", 4 << 30)      # beyond 1 GiB: nobody may have it open
    """

    @overload
    def __get__(self, segment: None, kind: "type[SegmentMemory]") -> Callable[..., int]: ...
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

    def allocate(self, n: int, *, alignment: int | None = None, owned: bool = False) -> Block:
        """Allocates `n` bytes of zeros, at an address that is a multiple of `alignment` (a power of two; 16).

        The block lives until `deallocate`, also after this process has gone; with `owned=True` until this
        process deallocates it, closes the segment or dies: then nobody else may use it any more. Killed in
        here, the process leaves nothing. Raises SegmentFullError.
        """
        block = self._allocate(n, alignment, owned, True)
        assert block is not None
        return block

    def try_allocate(self, n: int, *, alignment: int | None = None, owned: bool = False) -> Block | None:
        """`allocate`, but None when no free block is large enough."""
        return self._allocate(n, alignment, owned, False)

    def allocate_many(
        self, n: int | Iterable[int], count: int | None = None, *, alignment: int | None = None
    ) -> list[Block]:
        """Allocates `count` blocks of `n` bytes, or one for each size in `n`: all of them or none.

        Cheaper than as many calls of `allocate`, and the blocks lie side by side where there is room. Each is
        deallocated by itself, or with `deallocate_many`. A process killed in here leaves none of them. Raises
        SegmentFullError.
        """
        if isinstance(n, int):
            if count is None:
                raise TypeError("allocate_many(n, count) needs a count, or the sizes")
            sizes = [checked_size(n)]
        else:
            sizes = [checked_size(size) for size in n]
            if count not in (None, len(sizes)):
                raise ValueError(f"count is {count}, but there are {len(sizes)} sizes")
        number = len(sizes) if count is None else checked_size(count)
        if number == 0:
            self._opening_checked()
            return []
        if number > self._attachment.max_size:
            raise ValueError(f"{number} blocks are more than the segment has bytes")
        return _core.allocate_many(self._opening, self, sizes, number, _alignment(alignment))

    def deallocate(self, block: Block) -> None:
        """Frees a block for all processes; the Block then raises ClosedError.

        Raises BufferError while memoryviews of it are in use here, NotFoundError when it was freed before.
        """
        self._opening.deallocate(block)

    def deallocate_many(self, blocks: Iterable[Block]) -> None:
        """Frees blocks for all processes, one after the other.

        Raises what `deallocate` raises. Nothing is freed when a block is in use here, of another segment, or
        there twice; one that another process freed before ends it. A process killed in here has freed some.
        """
        _core.deallocate_many(self._opening, list(blocks))

    def resize(
        self,
        block: Block,
        preferred: int,
        *,
        minimum: int | None = None,
        grow_forward: bool = True,
        grow_backward: bool = False,
        allocate_new: bool = True,
        shrink: bool = False,
        alignment: int | None = None,
    ) -> Block:
        """Gives a block another size: `preferred` bytes, or at least `minimum` (by default `preferred`).

        Tried in this order: memory behind the block (`grow_forward`); memory before it (`grow_backward`), to
        which the contents move, if all of them find room there; a new block (`allocate_new`, at a multiple of
        `alignment`), to which they move. Of a block that is larger, the rest is given back with `shrink=True`
        only. What the block contained it contains, up to its new size; what is new is zero.

        Returns the Block to use from now on, `size` being what was received; its handle differs when the
        contents moved. The Block given raises ClosedError, whether they moved or not; other processes, and
        other Blocks of that handle, have to be told. Nobody may write to the block meanwhile.

        Raises SegmentFullError, whose `largest` says what might be had this way; BufferError while
        memoryviews of it are in use here; NotFoundError. Nothing has changed then. A process killed in here
        leaves the block as it was, or with another size, whole in any case. An owned block does not grow
        backward, and when it moves it is owned by this process.
        """
        checked_size(preferred)
        least = preferred if minimum is None else checked_size(minimum)
        if least > preferred:
            raise ValueError(f"minimum is {least}, more than the {preferred} bytes that are preferred")
        ways = _core.GROW_FORWARD * grow_forward | _core.GROW_BACKWARD * grow_backward | _core.SHRINK * shrink
        return _core.resize(self._opening, block, least, preferred, ways, allocate_new, _alignment(alignment))

    def zero_free_memory(self) -> None:
        """Writes zeros over all memory that is free, so that nothing of what was freed can be read any more.

        The others go on; up to a MiB at a time counts as used meanwhile. What they free meanwhile may keep
        its bytes. Killed in here, the process leaves some of it as it was.
        """
        _core.zero_free_memory(self._opening)

    def all_memory_deallocated(self) -> bool:
        """Whether nobody has anything in the segment: no block, no object.

        What the segment keeps for itself, the table of names above all, does not count.
        """
        return _core.all_deallocated(self._opening)

    def block(self, handle: int, size: int | None = None) -> Block:
        """The block that has this handle, in whichever process it was allocated.

        `size` is the number of bytes to show; by default all that the block has, which may be a few more
        than were asked for.  Raises NotFoundError when there is no such block.
        """
        return self._opening.block(self, handle, size)

    @classmethod
    def _grow_by_name(cls, where: Any, extra: int, *, allow_other_owner: bool = False) -> int:
        raise NotImplementedError

    def _grow(self, extra: int) -> int:
        return _core.grow(self._attachment, whole_pages(extra))

    def _allocate(self, n: int, alignment: int | None, owned: bool, must: bool) -> Block | None:
        return self._opening.allocate(self, checked_size(n), _alignment(alignment), must, owned)


def whole_pages(extra: int) -> int:
    """The number of bytes, rounded up to pages; ValueError."""
    return -(-checked_size(extra) // PAGE_SIZE) * PAGE_SIZE


def _alignment(alignment: int | None) -> int:
    """The alignment, when it can be one."""
    if alignment is None:
        return 16
    if checked_size(alignment) & (alignment - 1) or alignment == 0:
        raise ValueError(f"alignment must be a power of two, not {alignment}")
    return alignment
