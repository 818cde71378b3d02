"""What every way of using a Barrier promises: awaited under each event loop, and blocking in threads.  What
asyncio's own tests of its barrier check is here."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from aioipc import (
    Barrier,
    BrokenBarrierError,
    ClosedError,
    Event,
    ManagedSharedMemory,
    OptionMismatchError,
    TypeMismatchError,
    anonymous_instance,
    unique_instance,
)
from tests.support.faces import FACES, THREE_LOOPS, Face, in_thread, together, turns, until
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
ENDINGS = {"reset": Barrier.reset, "abort": Barrier.abort}


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def barrier(segment: ManagedSharedMemory) -> Barrier:
    return Barrier(segment, "barrier", 3)


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, barrier: Barrier) -> Face:
    made: Face = request.param(barrier)
    return made


async def waiting(barrier: Barrier, count: int) -> None:
    """Returns when so many have come."""
    await until(lambda: barrier.n_waiting == count)


async def works(barrier: Barrier) -> bool:
    """Nobody waits, and as many as it takes pass it."""
    if barrier.broken or barrier.n_waiting:
        return False
    places: list[int] = []

    async def party() -> None:
        places.append(await barrier.wait())

    async with anyio.create_task_group() as group:
        for _ in range(barrier.parties):
            group.start_soon(party)
    return sorted(places) == list(range(barrier.parties)) and barrier.n_waiting == 0


def test_the_last_one_lets_all_pass_each_with_its_place(
    run_async: RunAsync, face: Face, barrier: Barrier
) -> None:
    async def body() -> None:
        assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)
        for _ in range(3):  # it can be used again at once
            places: dict[int, int] = {}

            async def party(number: int, places: dict[int, int] = places) -> None:
                places[number] = await face("wait")

            async with anyio.create_task_group() as group:
                for number in range(2):
                    group.start_soon(party, number)
                    await waiting(barrier, number + 1)
                assert not places
                group.start_soon(party, 2)
            assert places == {0: 0, 1: 1, 2: 2}  # the order in which they came
            assert barrier.n_waiting == 0
        statistics = barrier.statistics()
        assert (statistics.parties, statistics.waiting, statistics.broken) == (3, 0, False)
        assert statistics.contended == 6
        assert await works(barrier)

    run_async(body)


def test_async_with_gives_the_place(run_async: RunAsync, face: Face, barrier: Barrier) -> None:
    places: list[int] = []

    async def party() -> None:
        async with face.entered() as place:
            places.append(place)
        with pytest.raises(KeyError):
            async with face.entered():
                raise KeyError

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(party)
        assert sorted(places) == [0, 1, 2]
        assert await works(barrier)

    run_async(body)


def test_one_party_never_waits(run_async: RunAsync, segment: ManagedSharedMemory) -> None:
    async def body() -> None:
        alone = Barrier(segment, None, 1)
        for _ in range(3):
            assert await alone.wait() == 0
            assert alone.blocking.wait(timeout=0) == 0
            assert alone.blocking.wait() == 0
        async with alone as place:
            assert place == 0

    run_async(body)


def test_more_parties_than_it_takes_pass_in_turns(run_async: RunAsync, face: Face, barrier: Barrier) -> None:
    places: list[int] = []

    async def party() -> None:
        places.append(await face("wait"))

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(9):
                group.start_soon(party)
        assert sorted(places) == sorted([0, 1, 2] * 3)
        assert await works(barrier)

    run_async(body)


def test_who_has_passed_may_come_again_before_the_others_have_left(
    run_async: RunAsync, barrier: Barrier
) -> None:
    rounds: list[int] = []

    async def party(number: int) -> None:
        for cycle in range(20):
            await barrier.wait()
            rounds.append(cycle)
            await turns(number)

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(party, number)
        assert rounds == sorted(rounds)  # nobody is a cycle ahead
        assert await works(barrier)

    run_async(body)


# ---------------------------------------------------------------------------------------- cancellation


def test_who_is_cancelled_has_not_come(run_async: RunAsync, barrier: Barrier) -> None:
    places: list[int] = []

    async def party() -> None:
        places.append(await barrier.wait())

    async def body() -> None:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(party)
                await waiting(barrier, 1)
                async with anyio.create_task_group() as cancelled:
                    cancelled.start_soon(party)
                    await waiting(barrier, 2)
                    scope.cancel()
            assert (barrier.n_waiting, barrier.broken) == (1, False)
            group.start_soon(party)
            await waiting(barrier, 2)
            assert not places
            group.start_soon(party)
        assert sorted(places) == [0, 1, 2]
        assert await works(barrier)

    run_async(body)


@pytest.mark.parametrize("order", ["last first", "cancel first"])
def test_cancelled_in_the_instant_in_which_the_last_one_comes(
    run_async: RunAsync, barrier: Barrier, order: str
) -> None:
    """It has come, or it has not; for all of them alike."""
    places: list[int] = []

    async def party(scope: anyio.CancelScope) -> None:
        with scope:
            places.append(await barrier.wait())

    async def body() -> None:
        cancelled = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(party, cancelled)
            await waiting(barrier, 1)
            group.start_soon(party, anyio.CancelScope())
            await waiting(barrier, 2)
            if order == "cancel first":
                cancelled.cancel()
                await waiting(barrier, 1)
                group.start_soon(party, anyio.CancelScope())
                await waiting(barrier, 2)
                assert not places
            places.append(await in_thread(barrier.blocking.wait))
            if order == "last first":
                cancelled.cancel()
        assert len(places) >= 2
        assert len(set(places)) == len(places)
        assert {1, 2} <= set(places)
        assert await works(barrier)

    run_async(body)


def test_a_cancellation_at_any_suspension_leaves_it_working(run_async: RunAsync, barrier: Barrier) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(barrier.wait)
            with anyio.CancelScope() as scope:
                swept = Interrupter(barrier.wait(), nth, scope.cancel)
                await swept
            group.cancel_scope.cancel()
        assert await works(barrier), f"cancelled at suspension {nth}"
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1

    run_async(body)


# --------------------------------------------------------------------------------------- reset and abort


@pytest.mark.parametrize("ending", ENDINGS)
def test_who_waits_when_it_is_reset_or_aborted_is_told(
    run_async: RunAsync, face: Face, barrier: Barrier, ending: str
) -> None:
    told = 0

    async def party() -> None:
        nonlocal told
        with pytest.raises(BrokenBarrierError, match="reset or aborted") as caught:
            await face("wait")
        assert isinstance(caught.value, asyncio.BrokenBarrierError)
        assert isinstance(caught.value, threading.BrokenBarrierError)
        told += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(party)
            await waiting(barrier, 2)
            getattr(barrier if isinstance(face, FACES[0]) else barrier.blocking, ending)()
            assert (barrier.n_waiting, barrier.broken) == (0, ending == "abort")
        assert told == 2
        if ending == "abort":
            for _ in range(2):
                with pytest.raises(BrokenBarrierError):
                    await face("wait")
            barrier.abort()
            barrier.reset()
        assert await works(barrier)

    run_async(body)


@pytest.mark.parametrize("ending", [*ENDINGS, "destroy"])
def test_who_has_passed_has_passed_whatever_comes_in_the_same_instant(
    run_async: RunAsync, barrier: Barrier, segment: ManagedSharedMemory, ending: str
) -> None:
    places: list[int] = []

    async def party() -> None:
        places.append(await barrier.wait())

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(party)
            await waiting(barrier, 2)
            places.append(barrier.blocking.wait())  # the others have not run yet
            ENDINGS.get(ending, segment.destroy_object)(barrier)
        assert sorted(places) == [0, 1, 2]
        assert barrier.broken == (ending == "abort")

    run_async(body)


@pytest.mark.parametrize("ending", ENDINGS)
def test_reset_and_abort_without_waiters(run_async: RunAsync, barrier: Barrier, ending: str) -> None:
    async def body() -> None:
        for _ in range(2):
            ENDINGS[ending](barrier)
            assert barrier.broken == (ending == "abort")
        barrier.reset()
        assert await works(barrier)

    run_async(body)


def test_who_comes_after_a_reset_is_of_the_next_cycle(run_async: RunAsync, barrier: Barrier) -> None:
    ended: list[str] = []

    async def early() -> None:
        with pytest.raises(BrokenBarrierError):
            await barrier.wait()
        ended.append("early")

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(early)
            await waiting(barrier, 2)
            barrier.reset()
            assert await works(barrier)
        assert ended == ["early"] * 2

    run_async(body)


def test_cancelled_in_the_instant_of_a_reset_leaves_nothing(run_async: RunAsync, barrier: Barrier) -> None:
    async def party() -> None:
        with contextlib.suppress(BrokenBarrierError):  # or cancelled
            await barrier.wait()
            pytest.fail("nobody passed")

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(party)
            await waiting(barrier, 2)
            barrier.reset()
            group.cancel_scope.cancel()
        assert await works(barrier)

    run_async(body)


# -------------------------------------------------------------------------------------------- time limits


def test_a_thread_whose_time_is_over_breaks_it_for_everybody(run_async: RunAsync, barrier: Barrier) -> None:
    async def party() -> None:
        with pytest.raises(BrokenBarrierError):
            await barrier.wait()

    async def body() -> None:
        for timeout in (0, 0.001):
            async with anyio.create_task_group() as group:
                group.start_soon(party)
                await waiting(barrier, 1)
                with pytest.raises(BrokenBarrierError, match=f"within {timeout} s"):
                    await in_thread(barrier.blocking.wait, timeout)
            assert barrier.blocking.broken
            with pytest.raises(BrokenBarrierError):
                barrier.blocking.wait(timeout=0)
            barrier.blocking.reset()
            assert (barrier.blocking.n_waiting, barrier.blocking.parties) == (0, 3)
        assert await works(barrier)

    run_async(body)


def test_the_last_thread_needs_no_time(run_async: RunAsync, barrier: Barrier) -> None:
    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(barrier.wait)
            await waiting(barrier, 2)
            assert barrier.blocking.wait(timeout=0) == 2
        assert await works(barrier)

    run_async(body)


def test_a_timeout_never_breaks_a_cycle_that_was_complete(segment: ManagedSharedMemory) -> None:
    """Two threads come at about the time at which one's patience ends: both pass, or neither."""
    barrier = Barrier(segment, None, 2)
    for n in range(60):
        outcomes: list[object] = []

        def party(timeout: float | None, outcomes: list[object] = outcomes) -> None:
            try:
                outcomes.append(barrier.blocking.wait(timeout))
            except BrokenBarrierError:
                outcomes.append("broken")

        threads = [threading.Thread(target=party, args=(timeout,)) for timeout in (n * 2e-5, None)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, outcomes)) in (["0", "1"], ["broken", "broken"])
        assert barrier.broken == ("broken" in outcomes)
        barrier.reset()


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_wrong_timeout_changes_nothing(barrier: Barrier, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        barrier.blocking.wait(timeout)
    assert not barrier.broken


# ---------------------------------------------------------------------------------- arguments and its end


@pytest.mark.parametrize("parties", [0, -1, 1 << 14 | 1, 1 << 70, 2.0, "2"])
def test_a_number_of_parties_out_of_range_or_none_constructs_nothing(
    segment: ManagedSharedMemory, parties: Any
) -> None:
    with pytest.raises((ValueError, TypeError), match=r"between 1 and|must be an int"):
        Barrier(segment, "b", parties)
    assert segment.find(Barrier, "b") is None


def test_a_new_barrier_needs_its_number_of_parties(segment: ManagedSharedMemory, barrier: Barrier) -> None:
    for name in ("b", None, anonymous_instance, unique_instance):
        with pytest.raises(TypeError, match="number of parties"):
            Barrier(segment, name)
    with pytest.raises(TypeError, match="number of parties"):
        segment.construct(Barrier, "b")
    assert segment.find(Barrier, "b") is None
    assert Barrier(segment, "barrier") == barrier == Barrier(segment, "barrier", 3)
    with pytest.raises(OptionMismatchError, match="3 parties"):
        Barrier(segment, "barrier", 2)
    assert not barrier.broken


def test_a_name_that_is_something_else_is_refused(segment: ManagedSharedMemory, barrier: Barrier) -> None:
    Event(segment, "event")
    for use in (
        lambda: Barrier(segment, "event"),
        lambda: Barrier(segment, "event", 2),
        lambda: segment.find(Barrier, "event"),
        lambda: Event(segment, "barrier"),
    ):
        with pytest.raises(TypeMismatchError):
            use()


def test_destroying_it_ends_all_waiting(
    run_async: RunAsync, face: Face, barrier: Barrier, segment: ManagedSharedMemory
) -> None:
    ended = 0

    async def party() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face("wait")
        ended += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(party)
            await waiting(barrier, 2)
            assert segment.destroy(Barrier, "barrier")
        assert ended == 2
        with pytest.raises(ClosedError):
            await face("wait")
        for use in (barrier.reset, barrier.abort):
            with pytest.raises(ClosedError):
                use()
        assert await works(Barrier(segment, "barrier", 2))

    run_async(body)


def test_closing_the_segment_ends_all_waiting(
    run_async: RunAsync, face: Face, barrier: Barrier, segment: ManagedSharedMemory
) -> None:
    ended = 0

    async def party() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face("wait")
        ended += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(party)
            await waiting(barrier, 2)
            segment.close()
        assert ended == 2
        for use in (barrier.reset, barrier.abort, barrier.wait, barrier.blocking.wait, barrier.statistics):
            with pytest.raises(ClosedError):
                use()

    run_async(body)


# ----------------------------------------------------------------------------------------------- its forms


def test_with_names_the_two_forms_there_are(barrier: Barrier) -> None:
    with pytest.raises(TypeError, match=r"async with barrier.*with barrier\.blocking"), barrier:
        pass
    assert barrier.n_waiting == 0


def test_a_wait_that_is_never_awaited_has_not_come(barrier: Barrier) -> None:
    barrier.wait().close()
    assert barrier.n_waiting == 0


def test_repr_says_how_many_have_come(
    run_async: RunAsync, barrier: Barrier, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        assert repr(barrier) == "<aioipc.Barrier 'barrier' [filling, waiters:0/3]>"
        assert repr(Barrier(segment, None, 2)) == "<aioipc.Barrier [filling, waiters:0/2]>"
        async with anyio.create_task_group() as group:
            group.start_soon(barrier.wait)
            await waiting(barrier, 1)
            assert repr(barrier) == "<aioipc.Barrier 'barrier' [filling, waiters:1/3]>"
            group.cancel_scope.cancel()
        barrier.abort()
        assert repr(barrier.blocking) == "<blocking view of <aioipc.Barrier 'barrier' [broken]>>"

    run_async(body)


@pytest.mark.asyncio
async def test_what_wait_returns_can_be_made_a_task_and_given_a_timeout(barrier: Barrier) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(barrier.wait(), 0.001)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await barrier.wait()
    assert (barrier.n_waiting, barrier.broken) == (0, False)
    task = asyncio.create_task(barrier.wait())
    assert sorted(await asyncio.gather(task, barrier.wait(), barrier.wait())) == [0, 1, 2]
    assert await works(barrier)


def test_under_trio_every_await_is_a_checkpoint(segment: ManagedSharedMemory) -> None:
    alone = Barrier(segment, None, 1)

    async def body() -> None:
        with trio.testing.assert_checkpoints():
            await alone.wait()
        with trio.CancelScope() as scope:
            scope.cancel()
            await alone.wait()
        assert scope.cancelled_caught

    trio.run(body)


def test_asyncio_trio_and_threads_meet_at_one_barrier(segment: ManagedSharedMemory) -> None:
    rounds = 25
    barrier = Barrier(segment, "all", 5)
    places: list[tuple[int, int]] = []

    async def awaiting() -> None:
        for cycle in range(rounds):
            places.append((cycle, await barrier.wait()))

    def blocking() -> None:
        for cycle in range(rounds):
            places.append((cycle, barrier.blocking.wait()))

    join = together(awaiting, blocking)
    join()
    assert sorted(places) == [(cycle, place) for cycle in range(rounds) for place in range(5)]
    assert barrier.n_waiting == 0
