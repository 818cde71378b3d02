"""Pools against a plain dict of bytes: every kind, any order of taking and freeing, caches of any size."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aioipc import (
    AdaptivePool,
    Block,
    ManagedHeapMemory,
    NotFoundError,
    Pool,
    PrivatePool,
    SegmentFullError,
)

picks = st.integers(0, 1 << 30)


class Pools(RuleBasedStateMachine):
    kind: type[Pool] = Pool

    def __init__(self) -> None:
        super().__init__()
        self.segment = ManagedHeapMemory.create(400_000)
        self.blocks: dict[int, tuple[Block, bytes]] = {}
        self.stamp = 0

    @initialize(size=st.integers(1, 100), chunk=st.integers(1, 9), kept=st.integers(0, 3))
    def make(self, size: int, chunk: int, kept: int) -> None:
        options: dict[str, Any] = {"blocks_per_chunk": chunk}
        if self.kind is AdaptivePool:
            options["max_free_chunks"] = kept
        self.size, self.chunk, self.kept = size, chunk, kept
        self.pool = self.kind(self.segment, None, size, **options)

    def keep(self, block: Block) -> None:
        assert block.handle not in self.blocks
        assert bytes(block) == bytes(self.size)
        self.stamp += 1
        content = (self.stamp.to_bytes(4, "little") * self.size)[: self.size]
        memoryview(block)[:] = content
        self.blocks[block.handle] = (block, content)

    @rule()
    def allocate(self) -> None:
        self.keep(self.pool.allocate())

    @rule(count=st.integers(0, 30))
    def allocate_many(self, count: int) -> None:
        for block in self.pool.allocate_many(count):
            self.keep(block)

    @rule()
    def too_many(self) -> None:
        with pytest.raises(SegmentFullError):
            self.pool.allocate_many(400_000)

    @precondition(lambda self: self.blocks)
    @rule(pick=picks, by_handle=st.booleans())
    def free(self, pick: int, by_handle: bool) -> None:
        handle = sorted(self.blocks)[pick % len(self.blocks)]
        block, content = self.blocks.pop(handle)
        assert bytes(block) == content
        self.pool.deallocate(self.pool.block(handle) if by_handle else block)
        with pytest.raises(NotFoundError):
            self.pool.block(handle)

    @rule(most=st.integers(0, 40))
    def cache(self, most: int) -> None:
        self.pool.max_cached_nodes = most

    @rule()
    def deallocate_cache(self) -> None:
        self.pool.deallocate_cache()
        assert self.pool.statistics().used == len(self.blocks)

    @rule()
    def deallocate_free_blocks(self) -> None:
        self.pool.deallocate_free_blocks()
        assert self.pool.statistics().free_chunks == 0

    @invariant()
    def all_is_there(self) -> None:
        if not hasattr(self, "pool"):
            return
        report = self.segment.check_sanity()
        assert report, report
        statistics = self.pool.statistics()
        assert statistics.used - statistics.cached == len(self.blocks)
        assert statistics.used + statistics.free == statistics.chunks * self.chunk
        assert statistics.cached <= self.pool.max_cached_nodes or statistics.cached <= 1
        if self.kind is AdaptivePool and self.pool.max_cached_nodes == 0:
            assert statistics.free_chunks <= max(self.kept, 1)
        assert all(bytes(block) == content for block, content in self.blocks.values())

    def teardown(self) -> None:
        self.segment.close()


class AdaptivePools(Pools):
    kind = AdaptivePool


class PrivatePools(Pools):
    kind = PrivatePool


@pytest.mark.parametrize("machine", [Pools, AdaptivePools, PrivatePools])
def test_a_pool_is_a_dict_of_bytes(machine: type[Pools]) -> None:
    limits = settings(
        max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=limits)
