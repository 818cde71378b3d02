"""Every primitive while its users are killed at random: nobody hangs, nothing is broken, all adds up."""

import gc
import os

import pytest

from aioipc import Event, ManagedSharedMemory, Semaphore
from tests.support.company import FAILED, Company, Job
from tests.support.company_jobs import JOBS, LockJob
from tests.support.peers import PeerFailedError


def grow_names(segment: ManagedSharedMemory) -> None:
    """The segment's table of names keeps the size that it has once had."""
    events = [Event(segment, str(number)) for number in range(100)]
    for event in events:
        assert segment.destroy_object(event)


def hammer(segment_name: str, kind: type[Job], rounds: int, kills: int, pace: float) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        grow_names(segment)
        free = segment.free_memory
        with Company(segment, kind) as company:
            for _ in range(rounds):
                company.kill_and_account(kills, pace)
            company.end()
        assert segment.destroy_object(company.job.handle)
        assert segment.destroy(Event, "gate")
        del company
        gc.collect()
        report = segment.check_sanity()
        assert report, report
        assert [peer.is_self for peer in segment.participants()] == [True]
        assert segment.free_memory == free


@pytest.mark.parametrize("kind", JOBS)
def test_kills_break_and_lose_nothing(segment_name: str, kind: type[Job]) -> None:
    hammer(segment_name, kind, rounds=4, kills=2, pace=0.01)


class UnguardedJob(LockJob):
    """What is no lock."""

    def make(self) -> Semaphore:
        return Semaphore(self.segment, self.name, 2)


def test_two_at_once_are_found_out(segment_name: str) -> None:
    with (
        ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment,
        Company(segment, UnguardedJob) as company,
    ):
        company.job.gate.set()
        while FAILED not in company.job.states():
            os.sched_yield()
        with pytest.raises(PeerFailedError, match=r"has it too|came in"):
            company.pause()


@pytest.mark.slow
@pytest.mark.parametrize("kind", JOBS)
def test_thousands_of_kills_break_and_lose_nothing(segment_name: str, kind: type[Job]) -> None:
    hammer(segment_name, kind, rounds=500, kills=2, pace=0.02)
