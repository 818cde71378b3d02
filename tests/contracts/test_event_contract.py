"""What every way of using an Event promises: awaited under each event loop, and blocking in threads.  What
asyncio's own tests of its event check is here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from aioipc import ClosedError, Event, ManagedSharedMemory, Semaphore, TypeMismatchError, unique_instance
from tests.support.faces import FACES, THREE_LOOPS, Face, together, turns, until
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def event(segment: ManagedSharedMemory) -> Event:
    return Event(segment, "event")


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, event: Event) -> Face:
    made: Face = request.param(event)
    return made


async def waiting(event: Event, count: int) -> None:
    """Returns when so many stand in line."""
    await until(lambda: event.statistics().waiters == count)


def works(event: Event) -> bool:
    """Nobody waits, and it can be set and cleared."""
    event.clear()
    unset = event.blocking.wait(timeout=0)
    event.set()
    return not unset and event.blocking.wait(timeout=0) and event.statistics().waiters == 0


def test_it_is_set_and_cleared(run_async: RunAsync, face: Face, event: Event) -> None:
    async def body() -> None:
        assert not event.is_set()
        event.set()
        event.set()
        assert event.is_set()
        assert event.blocking.is_set()
        for _ in range(3):
            assert await face("wait") is True
        event.blocking.clear()
        event.clear()
        assert not event.is_set()
        event.blocking.set()
        statistics = event.statistics()
        assert (statistics.set, statistics.waiters, statistics.contended) == (True, 0, 0)
        assert works(event)

    run_async(body)


def test_set_wakes_everybody(run_async: RunAsync, face: Face, event: Event) -> None:
    woken = 0

    async def waiter() -> None:
        nonlocal woken
        assert await face("wait") is True
        woken += 1

    async def body() -> None:
        for cycle in (1, 2):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(waiter)
                await waiting(event, 5)
                assert woken == 5 * (cycle - 1)
                event.set()
            assert woken == 5 * cycle
            event.clear()
        assert works(event)

    run_async(body)


def test_set_and_cleared_at_once_wakes_those_who_waited(
    run_async: RunAsync, face: Face, event: Event
) -> None:
    """And nobody who comes afterwards."""

    async def late() -> None:
        await event.wait()
        pytest.fail("was not set again")

    async def body() -> None:
        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as first:
                for _ in range(3):
                    first.start_soon(face, "wait")
                await waiting(event, 3)
                event.set()
                event.clear()
                group.start_soon(late)
            await waiting(event, 1)
            assert not event.is_set()
            group.cancel_scope.cancel()
        assert works(event)

    run_async(body)


def test_who_has_called_wait_is_woken_also_before_it_stands_in_line(
    run_async: RunAsync, event: Event
) -> None:
    called = False

    async def waiter() -> None:
        nonlocal called
        called = True
        await event.wait()

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await until(lambda: called)
            event.set()
            event.clear()
        assert works(event)

    run_async(body)


def test_a_cancelled_waiter_leaves_nothing(run_async: RunAsync, event: Event) -> None:
    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(event.wait)
            await waiting(event, 3)
            group.cancel_scope.cancel()
        assert event.statistics().waiters == 0
        assert works(event)

    run_async(body)


@pytest.mark.parametrize("order", ["set first", "cancel first"])
@pytest.mark.parametrize("between", [0, 1, 2])
def test_cancelled_in_the_instant_of_a_set_the_others_are_woken(
    run_async: RunAsync, event: Event, order: str, between: int
) -> None:
    woken = 0

    async def waiter(scope: anyio.CancelScope) -> None:
        nonlocal woken
        with scope:
            await event.wait()
            woken += 1

    async def body() -> None:
        cancelled = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            for scope in (anyio.CancelScope(), cancelled, anyio.CancelScope()):
                group.start_soon(waiter, scope)
            await waiting(event, 3)
            events = [event.set, cancelled.cancel]
            if order == "cancel first":
                events.reverse()
            events[0]()
            await turns(between)
            events[1]()
        assert woken >= 2
        assert works(event)

    run_async(body)


def test_a_cancellation_at_any_suspension_leaves_nothing(run_async: RunAsync, event: Event) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        event.clear()
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                swept = Interrupter(event.wait(), nth, scope.cancel)

                async def setter() -> None:
                    await until(lambda: event.statistics().waiters == 1 or scope.cancel_called)
                    event.set()

                group.start_soon(setter)
                await swept
        assert works(event), f"cancelled at suspension {nth}"
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 1

    run_async(body)


def test_destroying_it_ends_all_waiting(
    run_async: RunAsync, face: Face, event: Event, segment: ManagedSharedMemory
) -> None:
    ended = 0

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face("wait")
        ended += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter)
            await waiting(event, 3)
            assert segment.destroy(Event, "event")
        assert ended == 3
        for use in (event.set, event.clear, event.is_set):
            with pytest.raises(ClosedError):
                use()
        with pytest.raises(ClosedError):
            await face("wait")
        assert "[destroyed]" in repr(event)
        assert not Event(segment, "event").is_set()

    run_async(body)


def test_closing_the_segment_ends_all_waiting(
    run_async: RunAsync, face: Face, event: Event, segment: ManagedSharedMemory
) -> None:
    ended = 0

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face("wait")
        ended += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter)
            await waiting(event, 3)
            segment.close()
        assert ended == 3
        for use in (event.set, event.clear, event.is_set, event.statistics):
            with pytest.raises(ClosedError):
                use()

    run_async(body)


def test_a_wait_closed_between_call_and_await_says_so(segment: ManagedSharedMemory, event: Event) -> None:
    called = event.wait()
    segment.close()
    with pytest.raises(ClosedError):
        asyncio.run(called)


def test_a_name_that_is_something_else_is_refused(segment: ManagedSharedMemory, event: Event) -> None:
    with pytest.raises(TypeMismatchError, match="Event"):
        Semaphore(segment, "event")
    Semaphore(segment, "semaphore")
    with pytest.raises(TypeMismatchError, match="Semaphore"):
        Event(segment, "semaphore")
    assert segment.find(Event, "nothing") is None
    assert segment.find(Event, "event") == event == Event(segment, "event")
    assert Event(segment) != event


def test_a_blocking_wait_gives_up_when_the_time_is_over(event: Event) -> None:
    assert event.blocking.wait(timeout=0) is False
    assert event.blocking.wait(0.001) is False
    assert event.statistics().waiters == 0
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            event.blocking.wait(timeout=timeout)
    event.set()
    assert event.blocking.wait(timeout=0) is True
    assert event.blocking.wait() is True
    assert works(event)


def test_repr_says_whether_it_is_set_and_who_waits(
    run_async: RunAsync, segment: ManagedSharedMemory, event: Event
) -> None:
    async def body() -> None:
        assert repr(event) == "<aioipc.Event 'event' [unset]>"
        assert repr(Event(segment, unique_instance)) == "<aioipc.Event unique [unset]>"
        async with anyio.create_task_group() as group:
            group.start_soon(event.wait)
            await waiting(event, 1)
            assert repr(event) == "<aioipc.Event 'event' [unset, waiters:1]>"
            event.set()
        assert repr(event) == "<aioipc.Event 'event' [set]>"
        assert repr(event.blocking) == "<blocking view of <aioipc.Event 'event' [set]>>"

    run_async(body)


def test_with_is_no_way_to_use_it(event: Event) -> None:
    with pytest.raises(TypeError), event:  # type: ignore[attr-defined]
        pass


@pytest.mark.asyncio
async def test_under_asyncio_what_has_happened_does_not_suspend(event: Event) -> None:
    event.set()
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    for _ in range(10):
        await event.wait()
    assert not ran


@pytest.mark.asyncio
async def test_what_wait_returns_can_be_made_a_task_and_given_a_timeout(event: Event) -> None:
    task = asyncio.create_task(event.wait())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(event.wait(), 0.001)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await event.wait()
    await waiting(event, 1)
    event.set()
    assert await task is True
    assert await asyncio.gather(*(event.wait() for _ in range(3))) == [True] * 3


def test_under_trio_every_await_is_a_checkpoint(event: Event) -> None:
    event.set()

    async def body() -> None:
        with trio.testing.assert_checkpoints():
            await event.wait()
        with trio.CancelScope() as scope:
            scope.cancel()
            await event.wait()
        assert scope.cancelled_caught

    trio.run(body)
    assert works(event)


def test_asyncio_trio_and_threads_wait_for_one_event(segment: ManagedSharedMemory) -> None:
    """And answer with events of their own, over and over."""
    rounds = 20
    go = [Event(segment, f"go {number}") for number in range(rounds)]
    come = Semaphore(segment, "come", 0)

    async def awaiting() -> None:
        for event in go:
            await event.wait()
            come.release()

    def blocking() -> None:
        for event in go:
            event.blocking.wait()
            come.release()

    join = together(awaiting, blocking)
    for event in go:
        event.set()
        event.clear() if event.statistics().waiters == 5 else None
        for _ in range(5):
            come.blocking.acquire()
    join()
    assert all(event.statistics().waiters == 0 for event in go)
