"""The heap's model once more, in a segment that any of the processes grows and trims in between.

Growing adds what was asked for; trimming changes nothing that anybody can see but the pages that it takes.
"""

import os
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from aioipc import ManagedSharedMemory, SegmentFullError
from tests.properties.test_heap_model import ALGORITHMS, OPERATIONS, HeapMachine
from tests.support.machine import SIZE, explore, serve, who
from tests.support.peers import Link

MOST = 8 * SIZE


def worker(test: Link, name: str) -> None:
    serve(test, name, GROWING)


def grow(segment: ManagedSharedMemory, extra: int) -> int | None:
    try:
        return segment.grow(extra)
    except SegmentFullError:
        return None


def trim(segment: ManagedSharedMemory) -> int:
    return segment.trim()


def room(segment: ManagedSharedMemory) -> list[int]:
    return [segment.size, segment.free_memory, segment.largest_free_block]


GROWING: dict[str, Any] = {**OPERATIONS, "grow": grow, "trim": trim, "room": room}


class GrowingMachine(HeapMachine):
    role = worker

    def __init__(self) -> None:
        super().__init__()
        self.size = SIZE

    @rule(who=who, extra=st.sampled_from([1, 4096, 100_000, SIZE, 2 * SIZE]))
    def grow(self, who: int, extra: int) -> None:
        pages = -(-extra // 4096) * 4096
        expected = self.size + pages if self.size + pages <= MOST else None
        assert self.ask(who, "grow", extra) == expected
        if expected is not None:
            self.size, self.empty = expected, self.empty + pages

    @rule(who=who)
    def trim(self, who: int) -> None:
        _, free, largest = room(self.segment)
        before = os.stat(f"/dev/shm/{self.name}").st_blocks * 512
        given = self.ask(who, "trim")
        assert os.stat(f"/dev/shm/{self.name}").st_blocks * 512 <= before - given
        assert self.segment.free_memory == free
        assert self.segment.largest_free_block >= largest - 64

    @rule(who=who)
    def all_see_the_same(self, who: int) -> None:
        assert self.ask(who, "room") == room(self.segment)
        assert self.segment.size == self.size

    @rule(who=who)
    def the_largest_fits(self, who: int) -> None:
        largest = self.segment.largest_free_block
        handle = self.ask(who, "allocate", largest, 1, 7)
        assert handle is not None
        assert self.ask(who, "free", handle)

    def everything_given_back(self) -> None:
        assert (
            abs(self.segment.free_memory - self.empty) <= 4096 + 64 * 8
        )  # the reserve grows too, up to that
        assert self.segment.size == self.size


def machine(algorithm: str) -> type[GrowingMachine]:
    return type("Machine", (GrowingMachine,), {"options": {"algorithm": algorithm, "max_size": MOST}})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_growing_heap_agrees_with_a_dict(segment_name: str, algorithm: str) -> None:
    explore(machine(algorithm), segment_name, examples=3, steps=25)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_growing_heap_agrees_with_a_dict_for_long(segment_name: str, algorithm: str) -> None:
    explore(machine(algorithm), segment_name, examples=60, steps=60)
