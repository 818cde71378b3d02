"""Raw memory when processes die: what they owned, what they were in the middle of."""

import random
from collections.abc import Callable

import pytest

from aioipc import Block, ManagedSharedMemory, SegmentFullError
from aioipc._attachments import Algorithm
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]
ALGORITHMS: tuple[Algorithm, ...] = ("best_fit", "tlsf", "seq_fit")
MANY = 50


def fill(block: Block, byte: int) -> None:
    with memoryview(block) as view:
        view[:] = bytes([byte]) * len(view)


def holding_both(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        owned, left = segment.allocate(1000, owned=True), segment.allocate(1000)
        fill(owned, 1)
        fill(left, 2)
        test.sync([owned.handle, left.handle])


def test_what_a_killed_process_owned_is_free_again_and_the_rest_stays(
    spawn: Spawn, segment_name: str
) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        free = segment.free_memory
        peer = spawn(holding_both, segment_name)
        owned, left = peer.receive()
        assert set(bytes(segment.block(owned, 1000))) == {1}  # others may use it while its owner lives
        peer.kill()
        assert segment.check_sanity().counts["owned_blocks"] == 0
        assert set(bytes(segment.block(left, 1000))) == {2}
        segment.deallocate(segment.block(left))
        assert segment.free_memory == free
        assert segment.all_memory_deallocated()


def test_closing_gives_back_what_the_process_owned(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        peer = spawn(holding_both, segment_name)
        _, left = peer.receive()
        peer.go()
        peer.result()
        segment.deallocate(segment.block(left))
        assert segment.all_memory_deallocated()


def test_an_owned_block_can_be_freed_by_another_process(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        peer = spawn(holding_both, segment_name)
        for handle in peer.receive():
            segment.deallocate(segment.block(handle))
        assert segment.all_memory_deallocated()
        peer.kill()
        assert segment.check_sanity()
        assert segment.all_memory_deallocated()


def busy(test: Link, name: str, seed: int) -> None:
    """Takes many blocks, gives one another size, clears: until it is killed."""
    dice = random.Random(seed)
    with ManagedSharedMemory.open(name) as segment:
        test.send("ready")
        block = segment.allocate(10, owned=True)
        while True:
            try:
                blocks = segment.allocate_many([dice.randrange(2000) for _ in range(MANY)])
                for other in blocks:
                    fill(other, 3)
                segment.deallocate_many(blocks)
                kept = block.size
                fill(block, 7)
                block = segment.resize(block, dice.randrange(20_000), shrink=True)
                assert set(bytes(block)[: min(kept, block.size)]) <= {7}
                if dice.randrange(20) == 0:
                    segment.zero_free_memory()
            except SegmentFullError:
                pass


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_deaths_in_the_middle_lose_at_most_what_was_in_use(
    spawn: Spawn, segment_name: str, algorithm: Algorithm
) -> None:
    dice = random.Random(algorithm)
    deaths = 12
    with ManagedSharedMemory.create(segment_name, 4 << 20, algorithm=algorithm) as segment:
        mine = segment.allocate_many([dice.randrange(3000) for _ in range(100)])
        for i, block in enumerate(mine):
            fill(block, i + 1)
        peers = [spawn(busy, segment_name, seed) for seed in range(2)]
        for death in range(deaths):
            peers[death % 2].receive()
            for i in range(dice.randrange(200)):  # as long as that takes
                mine[i % 50] = segment.resize(mine[i % 50], dice.randrange(3000), grow_backward=True)
                fill(mine[i % 50], i % 50 + 1)
            peers[death % 2].kill()
            assert segment.check_sanity()
            peers[death % 2] = spawn(busy, segment_name, death + 2)
        for peer in peers:
            peer.kill()
        for i, block in enumerate(mine):
            assert set(bytes(block)) <= {i + 1}
        segment.deallocate_many(mine)
        counts = segment.check_sanity().counts
        assert counts["owned_blocks"] == 0
        assert counts["user_blocks"] <= (deaths + 2) * MANY
