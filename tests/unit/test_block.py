"""Blocks: raw memory of a segment as writable buffers."""

import gc
from collections.abc import Iterator

import pytest

from aioipc import Block, ClosedError, ManagedSharedMemory, NotFoundError, SegmentFullError

SIZE = 1 << 20


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach") as segment:
        yield segment


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 17, 24, 25, 1000, 4096, 100_000])
def test_a_block_is_a_writable_buffer_of_the_size_asked_for(segment: ManagedSharedMemory, size: int) -> None:
    block = segment.allocate(size)
    assert (block.size, len(block)) == (size, size)
    with memoryview(block) as view:
        assert (view.nbytes, view.readonly, view.format) == (size, False, "B")
        view[:] = bytes(i % 251 for i in range(size))
    assert bytes(block) == bytes(i % 251 for i in range(size))
    assert bytes(segment.block(block.handle))[:size] == bytes(block)


def test_a_new_block_is_zero_also_where_memory_is_used_again(segment: ManagedSharedMemory) -> None:
    for size in (64, 200_000):
        block = segment.allocate(size)
        memoryview(block)[:] = b"\xff" * size
        segment.deallocate(block)
        assert bytes(segment.allocate(size)) == bytes(size)


@pytest.mark.parametrize("alignment", [1, 16, 64, 256, 4096])
def test_a_block_is_aligned_as_asked(segment: ManagedSharedMemory, alignment: int) -> None:
    blocks = [segment.allocate(40, alignment=alignment) for _ in range(5)]
    assert [block.handle % alignment for block in blocks] == [0] * 5
    assert segment.check_sanity()


@pytest.mark.parametrize("alignment", [0, 3, 48, 1 << 62])
def test_an_impossible_alignment_is_refused(segment: ManagedSharedMemory, alignment: int) -> None:
    with pytest.raises((ValueError, SegmentFullError)):
        segment.allocate(40, alignment=alignment)


@pytest.mark.parametrize("size", [-1, 1 << 64])
def test_an_impossible_size_is_refused(segment: ManagedSharedMemory, size: int) -> None:
    with pytest.raises(ValueError, match="number of bytes"):
        segment.allocate(size)


@pytest.mark.parametrize("size", [SIZE, 1 << 62])
def test_a_full_segment_says_what_was_asked_and_what_is_there(
    segment: ManagedSharedMemory, size: int
) -> None:
    with pytest.raises(SegmentFullError, match=f"{size} bytes asked") as caught:
        segment.allocate(size)
    error = caught.value
    assert (error.asked, error.free, error.largest) == (size, segment.free_memory, segment.largest_free_block)
    assert segment.try_allocate(size) is None


def test_the_largest_free_block_can_be_had(segment: ManagedSharedMemory) -> None:
    largest = segment.largest_free_block
    assert segment.try_allocate(largest + 1) is None
    assert segment.allocate(largest).size == largest


def test_memory_comes_back(segment: ManagedSharedMemory) -> None:
    free = segment.free_memory
    blocks = [segment.allocate(n) for n in range(1, 200)]
    assert len({block.handle for block in blocks}) == len(blocks)
    for block in blocks[::2] + blocks[1::2]:
        segment.deallocate(block)
    assert segment.free_memory == free
    assert segment.check_sanity()


def test_a_deallocated_block_is_closed(segment: ManagedSharedMemory) -> None:
    block = segment.allocate(10)
    segment.deallocate(block)
    assert "deallocated" in repr(block)
    with pytest.raises(ClosedError):
        memoryview(block)
    with pytest.raises(ClosedError):
        segment.deallocate(block)


def test_a_block_freed_through_another_handle_is_not_found(segment: ManagedSharedMemory) -> None:
    block = segment.allocate(10)
    other = segment.block(block.handle)
    segment.deallocate(other)
    with pytest.raises(NotFoundError, match="deallocated before"):
        segment.deallocate(block)


def test_a_block_in_use_cannot_be_deallocated(segment: ManagedSharedMemory) -> None:
    block = segment.allocate(10)
    with memoryview(block), pytest.raises(BufferError, match="memoryviews"):
        segment.deallocate(block)
    segment.deallocate(block)


@pytest.mark.parametrize("handle", [0, 1, 8, 16, 4096, SIZE - 16, SIZE, 1 << 63])
def test_a_handle_that_is_no_blocks_is_not_found(segment: ManagedSharedMemory, handle: int) -> None:
    with pytest.raises(NotFoundError, match=str(handle)):
        segment.block(handle)


def test_a_block_can_be_had_in_part(segment: ManagedSharedMemory) -> None:
    block = segment.allocate(100)
    assert segment.block(block.handle).size >= 100
    assert segment.block(block.handle, 10).size == 10
    with pytest.raises(ValueError, match="bytes, not 1000"):
        segment.block(block.handle, 1000)


def test_a_block_of_another_segment_is_refused(segment: ManagedSharedMemory, segment_name: str) -> None:
    with ManagedSharedMemory.create(f"{segment_name}-2", SIZE, lifetime="last_detach") as other:
        block = other.allocate(10)
        with pytest.raises(ValueError, match="another segment"):
            segment.deallocate(block)


def test_blocks_and_views_in_garbage_cycles_are_collected(segment_name: str) -> None:
    for _ in range(20):
        segment = ManagedSharedMemory.create(f"{segment_name}-2", SIZE, lifetime="last_detach")
        block = segment.allocate(10)
        cycle = [block, memoryview(block), segment]
        cycle.append(cycle)  # type: ignore[arg-type]
        segment.close(when_released=True)
        del segment, block, cycle
        gc.collect()
        assert not ManagedSharedMemory.exists(f"{segment_name}-2")


def test_a_block_is_not_made_by_its_constructor() -> None:
    with pytest.raises(TypeError, match="allocate"):
        Block()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_view_keeps_the_segment_alive_when_its_handle_is_dropped(segment_name: str) -> None:
    name = f"{segment_name}-2"
    view = memoryview(ManagedSharedMemory.create(name, SIZE, lifetime="last_detach").allocate(10))
    gc.collect()
    view[:4] = b"here"
    assert bytes(view[:4]) == b"here"
    view.release()
    assert not ManagedSharedMemory.exists(name)


def test_an_exact_fit_is_found_behind_many_that_do_not_fit(segment_name: str) -> None:
    """When nothing larger is free, and the block stands beyond the first few of its bin."""
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        blocks = [segment.allocate(size) for size in (2192, 16, *[2064, 16] * 6)]
        for size in (1 << 16, 4096, 1024, 256, 64, 16):
            while segment.try_allocate(size) is not None:
                pass
        deep, *others = blocks[::2]  # no two of them touch
        for block in (deep, *others):
            segment.deallocate(block)
        assert segment.allocate(2192).handle == deep.handle
