"""Processes that wait for each other's memory while some of them are killed, or stopped: nobody hangs, and
every byte comes back."""

import functools
import os
import random
from typing import Any

import pytest

from aioipc import Event, ManagedSharedMemory
from tests.support.company import HOLDING, IDLE, TRYING, Company, Face, Job
from tests.support.forked import forked
from tests.support.peers import Link

ROOM = 100_008  # one block


def leave_room(segment: ManagedSharedMemory) -> None:
    """Of the whole segment; and some for handles, which would cut it into pieces."""
    blocks = [segment.allocate(ROOM), segment.allocate(16), segment.allocate(10_000), segment.allocate(16)]
    while segment.largest_free_block:
        segment.allocate(segment.largest_free_block)
    for block in blocks[::2]:
        segment.deallocate(block)


class MemoryJob(Job):
    """Each wants more than a third of it."""

    def make(self) -> Any:
        return Event(self.segment, self.name)

    async def turn(self, face: Face) -> None:
        self.is_about(TRYING)
        size = random.randrange(ROOM // 3, ROOM // 2)  # two of them, and no handle in the middle
        block = await face.call(functools.partial(face.of(self.segment).allocate_when_free, size, owned=True))
        self.is_about(HOLDING)
        with memoryview(block) as view:
            assert view[0] == view[-1] == 0
            view[0] = view[-1] = self.seat + 1
            await face.pause()
            assert (view[0], view[-1]) == (self.seat + 1, self.seat + 1), "two have it"
        self.segment.deallocate(block)
        self.is_about(IDLE)

    def account(self, killed: list[int]) -> None:
        report = self.segment.check_sanity()  # recovers
        assert report, report
        assert self.segment.waiting_for_memory == 0
        assert self.segment.largest_free_block > ROOM * 8 // 10


def hammer(segment_name: str, rounds: int, kills: int, pace: float) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        Event(segment, "gate")
        Event(segment, MemoryJob.name)
        with Company(segment, MemoryJob) as company:
            leave_room(segment)
            for _ in range(rounds):
                company.kill_and_account(kills, pace)
            company.end()
        assert segment.check_sanity()  # recovers those that ended without closing what they inherited
        assert segment.largest_free_block >= ROOM


def test_kills_leave_no_byte_behind_and_nobody_waiting(segment_name: str) -> None:
    hammer(segment_name, rounds=4, kills=2, pace=0.01)


@pytest.mark.slow
def test_many_kills_leave_no_byte_behind_and_nobody_waiting(segment_name: str) -> None:
    hammer(segment_name, rounds=100, kills=6, pace=0.025)


# ----------------------------------------------------------------------------------- one death, one stop


def hold(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        segment.blocking.allocate_when_free(ROOM - 1000, owned=True)
        test.sync("holds")


def wait_in_line(test: Link, name: str) -> int:
    test.sync("ready")
    with ManagedSharedMemory.open(name) as segment:
        return segment.blocking.allocate_when_free(ROOM // 2).handle


def test_a_death_elsewhere_ends_the_wait(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        leave_room(segment)
        with forked(hold, segment_name) as holder, forked(wait_in_line, segment_name) as waiter:
            assert holder.receive() == "holds"
            assert waiter.receive() == "ready"
            waiter.go()
            while not segment.waiting_for_memory:
                os.sched_yield()
            holder.kill()
            assert waiter.result()


def test_a_stopped_process_is_passed_over_and_served_later(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        leave_room(segment)
        block = segment.allocate(ROOM // 2)
        segment.allocate(ROOM // 3)
        with forked(wait_in_line, segment_name) as waiter:
            assert waiter.receive() == "ready"
            waiter.go()
            while not segment.waiting_for_memory:
                os.sched_yield()
            waiter.stop()
            segment.deallocate(block)
            taken = segment.blocking.allocate_when_free(ROOM // 2)  # a second or two later
            assert segment.waiting_for_memory == 1
            waiter.resume()
            segment.deallocate(taken)
            assert waiter.result()
