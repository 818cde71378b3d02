"""What raw memory promises, whichever algorithm finds it and however it is aligned."""

from collections.abc import Callable, Iterator

import pytest

from aioipc import (
    Block,
    ClosedError,
    ManagedSharedMemory,
    NotFoundError,
    SegmentFullError,
    SharedDict,
)
from aioipc._attachments import Algorithm

SIZE = 1 << 20
ALGORITHMS: tuple[Algorithm, ...] = ("best_fit", "tlsf", "seq_fit")
aligned = pytest.mark.parametrize("alignment", [None, 1, 64, 4096])


@pytest.fixture(params=ALGORITHMS)
def segment(request: pytest.FixtureRequest, segment_name: str) -> Iterator[ManagedSharedMemory]:
    options = {"participants": 8, "lifetime": "last_detach", "algorithm": request.param}
    with ManagedSharedMemory.create(segment_name, SIZE, **options) as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


def filled(block: Block, byte: int) -> Block:
    with memoryview(block) as view:
        view[:] = bytes([byte]) * len(view)
    return block


def begins(block: Block, byte: int, count: int) -> bool:
    """Whether the block's first bytes are those, and the others zeros."""
    return bytes(block) == bytes([byte]) * count + bytes(block.size - count)


# ------------------------------------------------------------------------------------------ many


@aligned
def test_many_of_one_size(segment: ManagedSharedMemory, alignment: int | None) -> None:
    free = segment.free_memory
    blocks = segment.allocate_many(100, 100, alignment=alignment)
    assert [(block.size, bytes(block)) for block in blocks] == [(100, bytes(100))] * 100
    assert {block.handle % (alignment or 16) for block in blocks} == {0}
    for i, block in enumerate(blocks):
        filled(block, i + 1)
    assert all(begins(block, i + 1, 100) for i, block in enumerate(blocks))
    segment.deallocate_many(blocks)
    assert segment.free_memory == free
    with pytest.raises(ClosedError):
        memoryview(blocks[50])


@aligned
def test_many_of_different_sizes(segment: ManagedSharedMemory, alignment: int | None) -> None:
    sizes = [0, 1, 5000, 17, *range(100, 140)]
    blocks = segment.allocate_many(iter(sizes), alignment=alignment)
    assert [block.size for block in blocks] == sizes
    assert {block.handle % (alignment or 16) for block in blocks} == {0}
    for i, block in enumerate(blocks):
        filled(block, i + 1)
    for block in blocks[::2]:
        segment.deallocate(block)
    assert all(begins(block, i + 1, sizes[i]) for i, block in enumerate(blocks) if i % 2)
    segment.deallocate_many(blocks[1::2])
    assert segment.all_memory_deallocated()


def test_none_of_many(segment: ManagedSharedMemory) -> None:
    assert segment.allocate_many(100, 0) == segment.allocate_many([]) == []
    segment.deallocate_many([])


def test_all_or_nothing(segment: ManagedSharedMemory) -> None:
    free = segment.free_memory
    with pytest.raises(SegmentFullError, match="allocating 60 blocks: 1200000 bytes asked"):
        segment.allocate_many(20_000, 60)
    with pytest.raises(SegmentFullError):
        segment.allocate_many([10, 20, 1 << 40])
    assert segment.free_memory == free
    assert segment.all_memory_deallocated()


def test_what_makes_no_sense_among_many_is_refused(segment: ManagedSharedMemory) -> None:
    calls: list[Callable[[], object]] = [
        lambda: segment.allocate_many(10),
        lambda: segment.allocate_many([10], 2),
        lambda: segment.allocate_many([-1]),
        lambda: segment.allocate_many(10, -1),
        lambda: segment.allocate_many(10, 1 << 50),
        lambda: segment.allocate_many(10, 2, alignment=48),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError)):
            call()
    assert segment.all_memory_deallocated()


def test_many_are_not_freed_when_one_cannot_be(segment: ManagedSharedMemory) -> None:
    blocks = segment.allocate_many(100, 10)
    with memoryview(blocks[7]), pytest.raises(BufferError, match="memoryviews"):
        segment.deallocate_many(blocks)
    with pytest.raises(ValueError, match="twice"):
        segment.deallocate_many([*blocks, blocks[0]])
    assert [bytes(block) for block in blocks] == [bytes(100)] * 10
    segment.deallocate(segment.block(blocks[4].handle))
    with pytest.raises(NotFoundError, match="so were the 4 blocks before it"):
        segment.deallocate_many(blocks)
    segment.deallocate_many(blocks[5:])
    assert segment.all_memory_deallocated()


# ---------------------------------------------------------------------------------- another size


def neighbours(segment: ManagedSharedMemory, before: int, size: int, after: int) -> tuple[Block, list[Block]]:
    """A block between free memory of so many bytes, and what keeps that from being more."""
    blocks = [segment.allocate(n) for n in (40, before, size, after, 40)]
    for i, block in enumerate(blocks):
        filled(block, i + 1)
    segment.deallocate(blocks[1])
    segment.deallocate(blocks[3])
    return blocks[2], [blocks[0], blocks[4]]


def test_forward_where_it_is(segment: ManagedSharedMemory) -> None:
    block, others = neighbours(segment, 1000, 200, 1000)
    larger = segment.resize(block, 800, allocate_new=False)
    assert (larger.handle, larger.size >= 800, larger.usable) == (block.handle, True, larger.size)
    assert begins(larger, 3, 200)
    assert [bytes(other)[0] for other in others] == [1, 5]


def test_as_much_as_there_is_but_not_less_than_the_minimum(segment: ManagedSharedMemory) -> None:
    block, _ = neighbours(segment, 100, 200, 1000)
    with pytest.raises(SegmentFullError, match="might be had") as caught:
        segment.resize(block, 9000, minimum=2000, allocate_new=False)
    largest = caught.value.largest
    assert largest is not None
    assert 1200 <= largest < 1300
    assert begins(block, 3, 200)
    got = segment.resize(block, 9000, minimum=500, allocate_new=False)
    assert got.size == largest
    assert begins(got, 3, 200)


def test_backward_the_contents_move_to_the_new_front(segment: ManagedSharedMemory) -> None:
    block, others = neighbours(segment, 1000, 200, 40)
    with pytest.raises(SegmentFullError):
        segment.resize(block, 900, allocate_new=False)
    larger = segment.resize(block, 900, grow_backward=True, allocate_new=False)
    assert larger.handle < block.handle
    assert larger.size >= 900
    assert begins(larger, 3, 200)
    assert [bytes(other)[0] for other in others] == [1, 5]
    with pytest.raises(NotFoundError):
        segment.block(block.handle)


def test_both_ways(segment: ManagedSharedMemory) -> None:
    block, _ = neighbours(segment, 600, 200, 600)
    larger = segment.resize(block, 1300, grow_backward=True, allocate_new=False)
    assert larger.handle < block.handle
    assert larger.size >= 1300
    assert begins(larger, 3, 200)


@aligned
def test_into_a_new_block(segment: ManagedSharedMemory, alignment: int | None) -> None:
    block, _ = neighbours(segment, 100, 200, 100)
    larger = segment.resize(block, 100_000, alignment=alignment)
    assert larger.handle % (alignment or 16) == 0
    assert larger.handle != block.handle
    assert begins(larger, 3, 200)
    with pytest.raises(NotFoundError):
        segment.block(block.handle)


def test_shrinking_only_when_asked(segment: ManagedSharedMemory) -> None:
    block = filled(segment.allocate(10_000), 9)
    free = segment.free_memory
    same = segment.resize(block, 100)
    assert (same.handle, same.size, segment.free_memory) == (block.handle, same.usable, free)
    less = segment.resize(same, 100, shrink=True)
    assert less.handle == block.handle
    assert 100 <= less.size < 130
    assert segment.free_memory - free > 9800
    assert bytes(less)[:100] == bytes([9]) * 100


def test_the_block_given_is_spent_whether_it_moved_or_not(segment: ManagedSharedMemory) -> None:
    for want, moves in ((90, False), (5000, True)):
        block = segment.allocate(100)
        wall = segment.allocate(100)
        other = segment.resize(block, want)
        assert (other.handle != block.handle) is moves
        for use in (lambda: memoryview(block), lambda: segment.resize(block, 10)):  # noqa: B023
            with pytest.raises(ClosedError):
                use()
        segment.deallocate_many([other, wall])
    assert segment.all_memory_deallocated()


def test_nothing_changes_when_it_fails(segment: ManagedSharedMemory) -> None:
    block = filled(segment.allocate(100), 4)
    free = segment.free_memory
    with memoryview(block), pytest.raises(BufferError, match="memoryviews"):
        segment.resize(block, 1000)
    with pytest.raises(SegmentFullError) as caught:
        segment.resize(block, SIZE * 2)
    largest = caught.value.largest
    assert largest is not None
    assert largest >= segment.largest_free_block
    calls: list[Callable[[], object]] = [
        lambda: segment.resize(block, 10, minimum=11),
        lambda: segment.resize(block, -1),
        lambda: segment.resize(block, 10, alignment=3),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"minimum|bytes|power of two"):
            call()
    assert segment.free_memory == free
    assert begins(block, 4, 100)
    segment.deallocate(segment.block(block.handle))
    with pytest.raises(NotFoundError, match="deallocated before"):
        segment.resize(block, 1000)
    assert segment.resize(segment.allocate(100), largest).size == largest


def test_an_owned_block_grows_and_shrinks_and_moves(segment: ManagedSharedMemory) -> None:
    block = filled(segment.allocate(100, owned=True), 6)
    for size in (300, 100_000, 50):
        block = segment.resize(block, size, shrink=True, grow_backward=True)
        assert size <= block.size < size + 32
        assert bytes(block)[:50] == bytes([6]) * 50
        assert segment.check_sanity()
        assert segment.check_sanity().counts["owned_blocks"] == 1
    wall = segment.allocate(10)
    block = segment.resize(block, 5000)
    assert bytes(block)[:50] == bytes([6]) * 50
    segment.deallocate_many([wall, block])
    assert segment.all_memory_deallocated()


# ---------------------------------------------------------------------------------- all of it


def test_what_was_freed_can_be_cleared(segment: ManagedSharedMemory, segment_name: str) -> None:
    keep = filled(segment.allocate(1000), 7)
    secrets = [segment.allocate(n) for n in (20, 100, 5000, 200_000, 40)]
    for secret in secrets:
        with memoryview(secret) as view:
            view[:] = (b"secret! " * (len(view) // 8 + 1))[: len(view)]
    free = segment.free_memory
    for secret in secrets[::2] + secrets[1::2]:
        segment.deallocate(secret)
    with open(f"/dev/shm/{segment_name}", "rb") as file:
        assert b"secret! secret!" in file.read()
        segment.zero_free_memory()
        file.seek(0)
        assert b"secret" not in file.read()
    assert bytes(keep) == bytes([7]) * 1000
    assert segment.free_memory > free


def test_memory_is_deallocated_when_no_block_and_no_object_is_left(segment: ManagedSharedMemory) -> None:
    assert segment.all_memory_deallocated()
    for owned in (False, True):
        block = segment.allocate(10, owned=owned)
        assert not segment.all_memory_deallocated()
        segment.deallocate(block)
        assert segment.all_memory_deallocated()
    SharedDict(segment, "d")["k"] = 1
    assert not segment.all_memory_deallocated()
    segment.destroy(SharedDict, "d")
    segment.allocate_many(20, 3)
    assert not segment.all_memory_deallocated()


def test_what_was_trimmed_is_free_memory_like_other(segment: ManagedSharedMemory) -> None:
    keep = filled(segment.allocate(200), 7)
    free = segment.free_memory
    assert segment.trim() > SIZE // 2
    segment.zero_free_memory()
    assert segment.free_memory == free
    blocks = segment.allocate_many(40_000, 15)
    for i, block in enumerate(blocks):
        filled(block, i + 1)
    assert all(begins(block, i + 1, 40_000) for i, block in enumerate(blocks))
    segment.deallocate_many(blocks)
    assert segment.trim() > SIZE // 2
    larger = segment.resize(keep, 600_000)
    assert begins(larger, 7, 200)
    segment.deallocate(larger)
    segment.trim()
    assert segment.all_memory_deallocated()


def test_usable_is_what_a_block_really_has(segment: ManagedSharedMemory) -> None:
    for n in range(0, 100, 7):
        for owned in (False, True):
            block = segment.allocate(n, owned=owned)
            assert n <= block.usable < n + 40
            again = segment.block(block.handle)
            assert again.size == block.usable
            assert bytes(again) == bytes(again.size)  # all of it is zero, and none of it the segment's
            filled(again, 255)
            assert segment.check_sanity()
            segment.deallocate(block)
            with pytest.raises(ClosedError):
                _ = block.usable
            with pytest.raises(NotFoundError):
                _ = again.usable


@pytest.mark.parametrize("owned", [False, True])
def test_freeing_twice_harms_nothing(segment: ManagedSharedMemory, owned: bool) -> None:
    blocks = [segment.allocate(100, owned=owned) for _ in range(5)]
    twice = [segment.block(block.handle) for block in blocks]
    for block in blocks[1:4]:
        segment.deallocate(block)
    free = segment.free_memory
    for block in twice[1:4]:
        with pytest.raises(NotFoundError, match="deallocated before"):
            segment.deallocate(block)
    assert segment.free_memory == free
    assert segment.check_sanity()
