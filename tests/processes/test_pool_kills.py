"""Processes that take blocks from one pool while some of them are killed: no block is had by two, and every
one comes back."""

from typing import Any, ClassVar

import pytest

from aioipc import AdaptivePool, Event, ManagedSharedMemory, Pool
from tests.support.company import HOLDING, IDLE, SEATS, TRYING, Company, Face, Job


class PoolJob(Job):
    """Each has some for a while."""

    kind: ClassVar[type[Pool]] = Pool
    cached: ClassVar[bool] = False

    def make(self) -> Any:
        return self.kind(self.segment, self.name, 40, owned=True, blocks_per_chunk=8, cached=self.cached)

    async def turn(self, face: Face) -> None:
        pool = self.handle
        self.is_about(TRYING)
        blocks = [pool.allocate(), *pool.allocate_many(5)]
        self.is_about(HOLDING)
        for block in blocks:
            with memoryview(block) as view:
                assert bytes(view) == bytes(40)
                view[:] = bytes([self.seat + 1]) * 40
        await face.pause()
        for block in blocks:
            assert bytes(block) == bytes([self.seat + 1]) * 40, "two have it"
            pool.deallocate(block)
        self.is_about(IDLE)

    def account(self, killed: list[int]) -> None:
        report = self.segment.check_sanity()  # recovers
        assert report, report
        statistics = self.handle.statistics()
        assert statistics.used <= (SEATS * 64 if self.cached else 0)


class CachedPoolJob(PoolJob):
    kind = AdaptivePool
    cached = True


def hammer(segment_name: str, kind: type[Job], rounds: int, kills: int, pace: float) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        with Company(segment, kind) as company:
            for _ in range(rounds):
                company.kill_and_account(kills, pace)
            company.end()
        assert segment.check_sanity()
        company.job.handle.deallocate_cache()
        assert company.job.handle.statistics().used == 0
        assert segment.find(Event, "gate") is not None


@pytest.mark.parametrize("kind", [PoolJob, CachedPoolJob])
def test_kills_lose_no_block(segment_name: str, kind: type[Job]) -> None:
    hammer(segment_name, kind, rounds=4, kills=2, pace=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PoolJob, CachedPoolJob])
def test_many_kills_lose_no_block(segment_name: str, kind: type[Job]) -> None:
    hammer(segment_name, kind, rounds=60, kills=6, pace=0.025)
