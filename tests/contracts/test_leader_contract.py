"""What a Leader promises beside what test_holders_contract.py asks of all that is held: terms."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from aioipc import ClosedError, Leader, ManagedSharedMemory, NotOwnerError, WouldBlock
from tests.support.forked import forked
from tests.support.holders import THREE_LOOPS, in_thread, until
from tests.support.peers import Link

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture
def leader(segment: ManagedSharedMemory) -> Leader:
    return Leader(segment, "leader")


def test_terms_grow_with_every_leader_however_it_campaigns(run_async: RunAsync, leader: Leader) -> None:
    async def body() -> None:
        assert (leader.term, leader.leading) == (0, False)
        assert await leader.campaign() == 1
        assert (leader.term, leader.leading) == (1, True)
        leader.resign()
        assert (leader.term, leader.leading) == (1, False)
        async with leader as term:
            assert term == 2
        assert leader.campaign_nowait() == 3
        leader.blocking.resign()
        assert await in_thread(leader.blocking.campaign) == 4
        assert leader.blocking.campaign(timeout=0) is None
        assert leader.blocking.campaign(timeout=0.001) is None
        leader.resign()
        assert leader.blocking.campaign(timeout=0) == 5
        leader.resign()
        with leader.blocking as term:
            assert term == 6
        with pytest.raises(NotOwnerError):
            leader.resign()
        with pytest.raises(NotOwnerError):
            leader.blocking.resign()

    run_async(body)
    assert leader.term == 6
    assert "[vacant]" in repr(leader)


def test_candidates_lead_in_turn_each_with_a_higher_term(run_async: RunAsync, leader: Leader) -> None:
    terms: list[int] = []

    async def candidate() -> None:
        async with leader as term:
            assert leader.term == term
            terms.append(term)

    async def body() -> None:
        async with anyio.create_task_group() as group, leader as term:
            assert f"[led by {os.getpid()}" in repr(leader)
            for number in range(4):
                group.start_soon(candidate)
                await until(lambda: leader.statistics().waiters == number + 1)  # noqa: B023
            with pytest.raises(WouldBlock):
                leader.campaign_nowait()
            terms.append(term)
        assert terms == [1, 2, 3, 4, 5]

    run_async(body)


def test_a_cancelled_campaign_costs_no_term(run_async: RunAsync, leader: Leader) -> None:
    async def body() -> None:
        async with leader:
            with anyio.move_on_after(0.001) as scope:
                await leader.campaign()
            assert scope.cancelled_caught
        assert await leader.campaign() == 2
        leader.resign()

    run_async(body)


def test_any_task_of_the_process_may_resign_and_no_other_process(run_async: RunAsync, leader: Leader) -> None:
    async def resign() -> None:
        leader.resign()

    async def body() -> None:
        await leader.campaign()
        async with anyio.create_task_group() as group:
            group.start_soon(resign)
        assert not leader.leading

    run_async(body)
    with leader.blocking, forked(cannot_resign, leader) as child:
        assert child.result() == [False, 2]


def cannot_resign(_: Link, leader: Leader) -> list[object]:
    for resign in (leader.resign, leader.blocking.resign):
        with pytest.raises(NotOwnerError):
            resign()
    return [leader.leading, leader.term]


def test_the_next_candidate_leads_when_the_leader_is_killed(run_async: RunAsync, leader: Leader) -> None:
    async def body(child: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(succeed)
            await until(lambda: leader.statistics().waiters == 1)
            child.kill()

    async def succeed() -> None:
        async with leader as term:
            assert term == before + 1
            assert leader.abandoned
        assert not leader.abandoned

    with forked(leads, leader) as child:
        before = child.receive()
        run_async(lambda: body(child))


def leads(test: Link, leader: Leader) -> None:
    async def body() -> None:
        async with leader as term:
            test.sync(term)

    asyncio.run(body())


@pytest.mark.asyncio
async def test_a_campaign_can_be_made_a_task_and_given_a_timeout(leader: Leader) -> None:
    assert await asyncio.create_task(leader.campaign()) == 1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(leader.campaign(), 0.001)
    leader.resign()
    assert await asyncio.wait_for(leader.campaign(), 5) == 2
    leader.resign()


def test_bad_arguments_and_closed_segments_are_refused(leader: Leader, segment: ManagedSharedMemory) -> None:
    with pytest.raises(ValueError, match="timeout"):
        leader.blocking.campaign(-1)
    with pytest.raises(TypeError):
        leader.blocking.campaign("soon")  # type: ignore[arg-type]
    assert not leader.leading
    with ManagedSharedMemory.open(segment.name) as again:
        other = Leader(again, "leader")
        other.campaign_nowait()
    for use in (other.resign, other.campaign_nowait, lambda: other.leading, lambda: other.term):
        with pytest.raises(ClosedError):
            use()
    leader.resign()  # leadership is the process's
    assert segment.destroy_object(leader)
    with pytest.raises(ClosedError):
        leader.campaign_nowait()
