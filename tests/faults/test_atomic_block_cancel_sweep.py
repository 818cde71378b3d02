"""Cancellation at every suspension of `async with segment.atomic()`: nobody waits on, no block stays open.

What the block did is there as a whole, or not at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioipc import Lock, ManagedSharedMemory
from tests.support.blocks import names
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


class Sweep:
    """A rival is in a block; what is swept waits for its turn, changes names, and changes some in a part."""

    def __init__(self, segment: ManagedSharedMemory) -> None:
        self.segment = segment
        self.entered = anyio.Event()
        for name in names(segment):
            segment.destroy(Lock, str(name))
        Lock(segment, "old")

    async def rival(self) -> None:
        async with self.segment.atomic():
            self.entered.set()
            for _ in range(4):
                await anyio.lowlevel.checkpoint()
        async with self.segment.atomic():
            await anyio.lowlevel.checkpoint()

    async def swept(self) -> None:
        async with self.segment.atomic():
            self.segment.destroy(Lock, "old")
            Lock(self.segment, "one")
            await anyio.lowlevel.checkpoint()
            async with self.segment.atomic():
                Lock(self.segment, "two")
                await anyio.lowlevel.checkpoint()
            Lock(self.segment, "three")
            await anyio.lowlevel.checkpoint()

    def settled(self) -> None:
        """All or nothing, and the next one can enter."""
        assert names(self.segment) in (["old"], ["one", "three", "two"])
        record = self.segment.atomic().statistics()
        assert (record.open, record.waiters) == (False, 0)
        with self.segment.atomic_nowait():
            Lock(self.segment, "another")
        assert self.segment.destroy(Lock, "another")


def test_a_cancellation_at_any_suspension_leaves_all_or_nothing(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        sweep = Sweep(segment)
        async with anyio.create_task_group() as group:
            group.start_soon(sweep.rival)
            await sweep.entered.wait()
            with anyio.CancelScope() as scope:
                swept = Interrupter(sweep.swept(), nth, scope.cancel)
                await swept
        sweep.settled()
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 4
        assert names(segment) == ["one", "three", "two"]

    run_async(body)


@pytest.mark.asyncio
async def test_task_cancel_at_any_suspension_leaves_all_or_nothing(segment: ManagedSharedMemory) -> None:
    async def cancelled_at(nth: int) -> bool:
        sweep = Sweep(segment)

        async def cancelled() -> None:
            await interrupter

        rival = asyncio.create_task(sweep.rival())
        await sweep.entered.wait()
        task = asyncio.create_task(cancelled())
        interrupter = Interrupter(sweep.swept(), nth, task.cancel)
        outcomes = await asyncio.gather(task, rival, return_exceptions=True)
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        sweep.settled()
        return interrupter.suspensions >= nth

    nth = 1
    while await cancelled_at(nth):
        nth += 1
    assert nth > 4


@pytest.mark.parametrize("order", ["grant first", "cancel first"])
@pytest.mark.parametrize("yields", [0, 1, 2, 3])
def test_cancelled_in_the_instant_of_its_turn_it_goes_to_the_next(
    run_async: RunAsync, segment: ManagedSharedMemory, order: str, yields: int
) -> None:
    async def body() -> None:
        served: list[str] = []

        async def waiter(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                async with segment.atomic():
                    served.append(name)

        async with anyio.create_task_group() as group:
            first = anyio.CancelScope()
            holder = segment.atomic()
            await holder.__aenter__()
            group.start_soon(waiter, "first", first)
            while segment.atomic().statistics().waiters < 1:
                await anyio.lowlevel.checkpoint()
            group.start_soon(waiter, "second", anyio.CancelScope())
            while segment.atomic().statistics().waiters < 2:
                await anyio.lowlevel.checkpoint()
            events: list[Callable[[], Any]] = [lambda: holder.__exit__(None, None, None), first.cancel]
            if order == "cancel first":
                events.reverse()
            events[0]()
            for _ in range(yields):
                await anyio.lowlevel.checkpoint()
            events[1]()
        assert served in (["first", "second"], ["second"])
        assert segment.atomic().statistics().waiters == 0

    run_async(body)
