"""Waiting for memory against a list: tasks of one loop and plain allocations, in any order.

After every step, with the loop at rest: they were served first come first served, nobody waits beside a block
that is large enough for the first, and who was given memory has it alone.
"""

import asyncio
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

from aioipc import Block, ManagedHeapMemory

sizes = st.one_of(st.integers(0, 200), st.integers(200, 30_000))
picks = st.integers(0, 1 << 30)


class Room(RuleBasedStateMachine):
    algorithm = "best_fit"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.segment = ManagedHeapMemory.create(240_000, algorithm=self.algorithm)
        self.waiting: list[tuple[int, asyncio.Task[Block]]] = []
        self.blocks: list[Block] = []

    @initialize()
    def fill(self) -> None:
        while block := self.segment.try_allocate(3000):
            self.keep(block)

    def keep(self, block: Block) -> None:
        with memoryview(block) as view:
            assert bytes(view) == bytes(block.size)
            view[:] = len(self.blocks).to_bytes(2, "little") * (block.size // 2) + b"x" * (block.size % 2)
        assert not any(
            other.handle < block.handle + block.size and block.handle < other.handle + other.size
            for other in self.blocks
        )
        self.blocks.append(block)

    def rest(self) -> None:
        """Lets the loop run until nothing happens any more, and takes what was given."""
        for _ in range(3 * len(self.waiting) + 6):
            self.loop.run_until_complete(asyncio.sleep(0))
        for _, task in [entry for entry in self.waiting if entry[1].done()]:
            self.keep(task.result())
        served = [task.done() for _, task in self.waiting]
        assert served == sorted(served, reverse=True), "somebody was overtaken"
        self.waiting = [entry for entry in self.waiting if not entry[1].done()]

    @rule(size=sizes)
    def wait(self, size: int) -> None:
        coroutine: Any = self.segment.allocate_when_free(size)
        self.waiting.append((size, self.loop.create_task(coroutine)))
        self.rest()

    @precondition(lambda self: self.blocks)
    @rule(pick=picks, count=st.integers(1, 3))
    def free(self, pick: int, count: int) -> None:
        for _ in range(min(count, len(self.blocks))):
            self.segment.deallocate(self.blocks.pop(pick % len(self.blocks)))
        self.rest()

    @precondition(lambda self: self.waiting)
    @rule(pick=picks, freed_too=st.booleans())
    def cancel(self, pick: int, freed_too: bool) -> None:
        """Also in the instant in which something is freed."""
        _, task = self.waiting[pick % len(self.waiting)]
        if freed_too and self.blocks:
            self.segment.deallocate(self.blocks.pop(pick % len(self.blocks)))
        task.cancel()
        self.loop.run_until_complete(asyncio.wait([task]))
        self.waiting = [entry for entry in self.waiting if entry[1] is not task]
        if not task.cancelled():
            self.keep(task.result())
        self.rest()

    @rule(size=sizes)
    def allocate(self, size: int) -> None:
        block = self.segment.try_allocate(size)
        if block is not None:
            self.keep(block)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        assert self.segment.waiting_for_memory == len(self.waiting)
        if self.waiting:
            assert self.segment.try_allocate(self.waiting[0][0]) is None

    def teardown(self) -> None:
        for _, task in self.waiting:
            task.cancel()
        if self.waiting:
            self.loop.run_until_complete(asyncio.wait([task for _, task in self.waiting]))
        self.loop.close()
        assert self.segment.waiting_for_memory == 0
        assert self.segment.check_sanity()
        self.segment.close()


class SeqFitRoom(Room):
    algorithm = "seq_fit"


@pytest.mark.parametrize("machine", [Room, SeqFitRoom])
def test_waiting_for_memory_is_a_line(machine: type[Room]) -> None:
    limits = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=limits)
