"""What every kind of pool promises, cached or not."""

import copy
import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aioipc import (
    AdaptivePool,
    Block,
    ClosedError,
    ManagedSharedMemory,
    NotFoundError,
    OptionMismatchError,
    Pool,
    PoolStatistics,
    PrivatePool,
    Queue,
    SegmentFullError,
    TypeMismatchError,
    anonymous_instance,
    unique_instance,
)
from tests.support.forked import forked
from tests.support.peers import Link

SIZE, CHUNK = 40, 8
Make = Callable[..., Any]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


@pytest.fixture(params=[Pool, AdaptivePool, PrivatePool])
def kind(request: pytest.FixtureRequest) -> type[Pool]:
    made: type[Pool] = request.param
    return made


@pytest.fixture(params=[False, True], ids=["plain", "cached"])
def make(segment: ManagedSharedMemory, kind: type[Pool], request: pytest.FixtureRequest) -> Make:
    def make(**options: Any) -> Pool:
        options = {"blocks_per_chunk": CHUNK, "cached": request.param} | options
        name = None if kind is PrivatePool else "pool"
        return kind(segment, name, SIZE, **options)

    return make


def used(pool: Pool) -> int:
    """Blocks that somebody has."""
    statistics = pool.statistics()
    return statistics.used - statistics.cached


def test_blocks_are_apart_of_one_size_and_zero(make: Make) -> None:
    pool = make()
    blocks = [pool.allocate() for _ in range(3 * CHUNK)]
    for number, block in enumerate(blocks):
        assert (type(block), block.size) == (Block, SIZE)
        assert bytes(block) == bytes(SIZE)
        memoryview(block)[:] = bytes([number]) * SIZE
    for number, block in enumerate(blocks):
        assert bytes(block) == bytes([number]) * SIZE
    assert used(pool) == 3 * CHUNK
    for block in blocks:
        pool.deallocate(block)
    assert used(pool) == 0
    assert bytes(pool.allocate()) == bytes(SIZE)


def test_memory_is_used_again(make: Make, segment: ManagedSharedMemory) -> None:
    pool = make()
    for block in pool.allocate_many(5 * CHUNK):
        pool.deallocate(block)
    chunks, free = pool.statistics().chunks, segment.free_memory
    for _ in range(20):
        for block in [pool.allocate() for _ in range(2 * CHUNK)]:
            pool.deallocate(block)
    assert pool.statistics().chunks <= max(chunks, 2 + CHUNK)
    assert segment.free_memory <= free or isinstance(pool, AdaptivePool)


def test_free_blocks_can_be_given_back_to_the_segment(make: Make, segment: ManagedSharedMemory) -> None:
    pool = make()
    free = segment.free_memory
    blocks = pool.allocate_many(6 * CHUNK)
    for block in blocks[1:]:
        pool.deallocate(block)
    assert pool.deallocate_free_blocks() >= 2
    statistics = pool.statistics()
    assert (statistics.chunks, statistics.free_chunks, statistics.used) == (1, 0, 1)
    pool.deallocate(blocks[0])
    assert pool.deallocate_free_blocks() == 1
    assert segment.free_memory == free
    assert pool.deallocate_free_blocks() == 0


def test_an_adaptive_pool_keeps_a_few_free_chunks(segment: ManagedSharedMemory) -> None:
    for kept in (0, 1, 3):
        pool = AdaptivePool(segment, None, SIZE, blocks_per_chunk=CHUNK, max_free_chunks=kept)
        for block in pool.allocate_many(6 * CHUNK):
            pool.deallocate(block)
        assert (pool.statistics().chunks, pool.statistics().free) == (kept, kept * CHUNK)
    pool = AdaptivePool(segment, "by default", SIZE, blocks_per_chunk=CHUNK)
    for block in pool.allocate_many(6 * CHUNK):
        pool.deallocate(block)
    assert pool.statistics().chunks == 2
    plain = Pool(segment, "plain", SIZE, blocks_per_chunk=CHUNK)
    for block in plain.allocate_many(6 * CHUNK):
        plain.deallocate(block)
    assert plain.statistics().chunks == 6


# ------------------------------------------------------------------------------------ what is refused


def test_a_second_free_is_refused_and_harms_nothing(make: Make) -> None:
    pool = make()
    block, other = pool.allocate_many(2)
    same = pool.block(block.handle)
    pool.deallocate(block)
    with pytest.raises(ClosedError, match="deallocated"):
        pool.deallocate(block)
    with pytest.raises(NotFoundError, match="another handle"):
        pool.deallocate(same)
    with pytest.raises(ClosedError):
        memoryview(same)
    assert used(pool) == 1
    pool.deallocate(other)


def test_what_is_no_block_of_the_pool_is_refused(make: Make, segment: ManagedSharedMemory) -> None:
    pool, other = make(), Pool(segment, "other", SIZE)
    block, foreign, raw = pool.allocate(), other.allocate(), segment.allocate(SIZE)
    for wrong in (foreign, raw):
        with pytest.raises(ValueError, match="is no block of"):
            pool.deallocate(wrong)
    with pytest.raises(ValueError, match="deallocate it there"):
        segment.deallocate(block)
    with pytest.raises(ValueError, match="it is of"):
        segment.deallocate_many([block])
    with pytest.raises(ValueError, match="it is of"):
        segment.resize(block, 2 * SIZE)
    for handle in (
        0,
        1,
        block.handle + 16,
        block.handle - 8,
        foreign.handle,
        raw.handle,
        1 << 40,
        (1 << 64) - 16,
    ):
        with pytest.raises(NotFoundError):
            pool.block(handle)
    with pytest.raises(NotFoundError):
        segment.block(block.handle)
    pool.deallocate(pool.block(block.handle))
    with pytest.raises(NotFoundError):
        pool.block(block.handle)


def test_a_block_in_use_is_not_freed(make: Make) -> None:
    pool = make()
    block = pool.allocate()
    with memoryview(block), pytest.raises(BufferError, match="in use"):
        pool.deallocate(block)
    pool.deallocate(block)


@pytest.mark.parametrize("size", [0, -1, (1 << 40) + 1, 1 << 70])
def test_sizes_out_of_range_are_refused(segment: ManagedSharedMemory, kind: type[Pool], size: int) -> None:
    with pytest.raises(ValueError, match="block of a pool"):
        kind(segment, None, size)
    with pytest.raises(ValueError, match="a chunk has"):
        kind(segment, None, SIZE, blocks_per_chunk=abs(size) // (1 << 30) * 100)
    with pytest.raises(TypeError):
        kind(segment, None, "40")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs a block_size"):
        kind(segment, None)
    with pytest.raises(ValueError, match="max_free_chunks"):
        AdaptivePool(segment, None, SIZE, max_free_chunks=-1)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 24, 25, 100, 5000])
def test_all_sizes(segment: ManagedSharedMemory, kind: type[Pool], size: int) -> None:
    pool = kind(segment, None, size, blocks_per_chunk=3)
    blocks = pool.allocate_many(7)
    assert pool.block_size == size
    for number, block in enumerate(blocks):
        memoryview(block)[:] = bytes([number + 1]) * size
    assert segment.check_sanity()
    for number, block in enumerate(blocks):
        assert bytes(block) == bytes([number + 1]) * size
        pool.deallocate(block)


def test_options_that_disagree_are_refused(segment: ManagedSharedMemory) -> None:
    pool = AdaptivePool(segment, "p", SIZE, blocks_per_chunk=CHUNK, max_free_chunks=1, owned=True)
    same = AdaptivePool(segment, "p", SIZE, blocks_per_chunk=CHUNK, max_free_chunks=1, owned=True)
    assert same == pool == AdaptivePool(segment, "p") == segment.find(AdaptivePool, "p")
    for options in (
        {"block_size": SIZE + 1},
        {"blocks_per_chunk": CHUNK + 1},
        {"max_free_chunks": 2},
        {"owned": False},
    ):
        with pytest.raises(OptionMismatchError, match=next(iter(options))):
            AdaptivePool(segment, "p", **options)  # type: ignore[arg-type]
    with pytest.raises(TypeMismatchError, match="AdaptivePool"):
        Pool(segment, "p", SIZE)
    with pytest.raises(TypeMismatchError):
        Queue(segment, "p")
    assert segment.find(Pool, "nobody") is None
    with pytest.raises(TypeError, match="needs a block_size"):
        Pool(segment, "nobody")


def test_a_full_segment_is_said_so_and_nothing_is_lost(make: Make, segment: ManagedSharedMemory) -> None:
    pool = make()
    while segment.largest_free_block:
        segment.allocate(segment.largest_free_block)
    with pytest.raises(SegmentFullError, match="from a pool") as full:
        pool.allocate()
    assert full.value.asked >= SIZE * CHUNK
    with pytest.raises(SegmentFullError):
        pool.allocate_many(100_000)
    assert pool.statistics().used == 0


def test_all_or_nothing(make: Make, segment: ManagedSharedMemory) -> None:
    pool = make()
    assert pool.allocate_many(0) == []
    with pytest.raises(SegmentFullError):
        pool.allocate_many(1_000_000)
    assert used(pool) == 0
    with pytest.raises(OverflowError):
        pool.allocate_many(-1)
    assert len({block.handle for block in pool.allocate_many(100)}) == 100


# --------------------------------------------------------------------------------------- sharing by size


def test_a_pool_may_be_shared_by_size(segment: ManagedSharedMemory) -> None:
    pool = Pool.of_size(segment, 33)
    assert pool.block_size == 40
    assert Pool.of_size(segment, 40) == pool != Pool.of_size(segment, 41)
    assert Pool.of_size(segment, 1).block_size == 8
    assert AdaptivePool.of_size(segment, 40) != pool
    pool.deallocate(Pool.of_size(segment, 36).block(pool.allocate().handle))
    assert pool.name is None
    assert Pool(segment, unique_instance, 24) == Pool(segment, unique_instance) != Pool.of_size(segment, 24)
    with pytest.raises(TypeError, match="nobody"):
        PrivatePool.of_size(segment, 40)
    with pytest.raises(ValueError, match="block of a pool"):
        Pool.of_size(segment, 0)


def test_a_private_pool_has_no_name_and_does_not_travel(segment: ManagedSharedMemory) -> None:
    with pytest.raises(ValueError, match="no name"):
        PrivatePool(segment, "p", SIZE)
    pool = PrivatePool(segment, anonymous_instance, SIZE)
    for travel in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="this process"):
            travel(pool)
    named = Pool(segment, "p", SIZE)
    assert pickle.loads(pickle.dumps(named)) == named


# ----------------------------------------------------------------------------------------------- caches


def test_a_cache_keeps_as_many_as_it_may(segment: ManagedSharedMemory) -> None:
    pool = Pool(segment, "p", SIZE, cached=True)
    assert pool.max_cached_nodes == 64
    assert Pool(segment, "p").max_cached_nodes == 64  # the process's, not the handle's
    pool.max_cached_nodes = 5
    for block in pool.allocate_many(20):
        pool.deallocate(block)
    assert pool.statistics().cached <= 5
    pool.deallocate_cache()
    assert (pool.statistics().cached, pool.statistics().used) == (0, 0)
    pool.deallocate(pool.allocate())
    assert pool.statistics().cached > 0
    pool.max_cached_nodes = 0
    assert pool.statistics().cached == 0
    with pytest.raises(OverflowError):
        pool.max_cached_nodes = -1


def test_the_cache_goes_back_with_the_last_handle(segment: ManagedSharedMemory) -> None:
    pool = Pool(segment, "p", SIZE, cached=True)
    pool.deallocate(pool.allocate())
    assert pool.statistics().cached > 0
    del pool
    gc.collect()
    assert Pool(segment, "p").statistics().used == 0


def test_threads_share_a_pool(make: Make) -> None:
    pool = make()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(200):
                blocks = [pool.allocate(), *pool.allocate_many(3)]
                for block in blocks:
                    memoryview(block)[:] = bytes([number]) * SIZE
                for block in blocks:
                    assert bytes(block) == bytes([number]) * SIZE
                    pool.deallocate(block)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert used(pool) == 0


# ------------------------------------------------------------------------------------------- their end


def test_destroying_it_takes_its_blocks_along(make: Make, segment: ManagedSharedMemory) -> None:
    def use_and_destroy() -> None:
        pool = make()
        block = pool.allocate_many(3 * CHUNK)[0]
        assert segment.destroy_object(pool)
        for use in (pool.allocate, lambda: pool.deallocate(block), lambda: pool.block(block.handle)):
            with pytest.raises(ClosedError):
                use()
        assert "[destroyed]" in repr(pool)

    free = segment.free_memory
    use_and_destroy()
    gc.collect()
    assert segment.free_memory == free


def test_closing_the_segment(make: Make, segment: ManagedSharedMemory) -> None:
    pool = make()
    block = pool.allocate()
    segment.close()
    for use in (pool.allocate, lambda: pool.deallocate(block), pool.statistics, lambda: memoryview(block)):
        with pytest.raises(ClosedError):
            use()


def test_repr_says_how_many(make: Make) -> None:
    pool = make(cached=False)
    pool.max_cached_nodes = 0
    pool.allocate()
    assert f"[1 of {CHUNK} blocks of {SIZE} bytes]" in repr(pool)
    statistics = pool.statistics()
    assert statistics == PoolStatistics(SIZE, 1, CHUNK - 1, 0, 1, 0)


# ------------------------------------------------------------------------------------ other processes


def take_some(test: Link, name: str, kind: str, cached: bool) -> None:
    with ManagedSharedMemory.open(name) as segment:
        if kind == "PrivatePool":
            pool: Pool = PrivatePool(segment, None, SIZE, cached=cached)
        else:
            pool = Pool(segment, "p", cached=cached)
        if cached:
            pool.deallocate(pool.allocate())
        test.sync([block.handle for block in pool.allocate_many(10)])


def test_what_a_dead_process_had_cached_comes_back(segment: ManagedSharedMemory) -> None:
    for owned in (False, True):
        pool = Pool(segment, "p", SIZE, owned=owned)
        for cached in (False, True):
            before = pool.statistics().used
            with forked(take_some, segment.name, "Pool", cached) as child:
                handles = child.receive()
                assert pool.statistics().used >= before + 10
                child.kill()
            assert segment.check_sanity()  # recovers
            assert pool.statistics().used == before + (0 if owned else 10)
            for handle in [] if owned else handles:
                pool.deallocate(pool.block(handle))
        segment.destroy_object(pool)


def test_owned_blocks_come_back_when_their_process_leaves(segment: ManagedSharedMemory) -> None:
    pool = Pool(segment, "p", SIZE, owned=True)
    with forked(take_some, segment.name, "Pool", True) as child:
        child.receive()
        child.go()
        child.result()
    assert segment.check_sanity()  # a forked child ends without closing what it inherited
    assert pool.statistics().used == 0


@pytest.mark.parametrize("killed", [False, True])
def test_a_private_pool_goes_with_its_process(segment: ManagedSharedMemory, killed: bool) -> None:
    free = segment.free_memory
    with forked(take_some, segment.name, "PrivatePool", True) as child:
        child.receive()
        assert segment.free_memory < free - 10 * SIZE
        if killed:
            child.kill()
        else:
            child.go()
            child.result()
    assert segment.check_sanity()
    assert segment.free_memory == free


def use_the_parents(test: Link, pool: Pool) -> str:
    try:
        pool.allocate()
    except ClosedError as error:
        return str(error)
    return f"{pool.statistics().used} used"


def test_a_forked_child_has_a_cache_of_its_own_and_no_private_pool(segment: ManagedSharedMemory) -> None:
    pool, private = Pool(segment, "p", SIZE, cached=True), PrivatePool(segment, None, SIZE)
    pool.deallocate(pool.allocate())
    before, cached = pool.statistics().used, pool.statistics().cached
    with forked(use_the_parents, pool) as child:
        assert child.result().endswith("used")
    assert segment.check_sanity()
    assert pool.statistics().cached == cached
    assert before <= pool.statistics().used <= before + 1  # the child kept one, which is not owned
    blocks = private.allocate_many(5)
    with forked(use_the_parents, private) as child:
        assert "another process" in child.result()
    assert segment.check_sanity()
    for block in blocks:
        private.deallocate(block)
