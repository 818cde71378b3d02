"""A wait for a Condition that is cut short: cancelled, destroyed, closed, collected.  The lock is held again
before anything is raised, and a notification that was not used goes to the next."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import uvloop

from aioipc import ClosedError, Condition, Lock, ManagedSharedMemory, NotOwnerError, RLock
from tests.support.conditions import FACES, Face, free, waiting
from tests.support.faces import THREE_LOOPS, in_thread, turns, until
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def condition(segment: ManagedSharedMemory) -> Condition:
    return Condition(segment, "condition")


@pytest.fixture(params=["Lock", "RLock"])
def shared(request: pytest.FixtureRequest, segment: ManagedSharedMemory) -> Condition:
    """With a lock of somebody else's."""
    lock = (Lock if request.param == "Lock" else RLock)(segment, "lock")
    return Condition(segment, "condition", lock)


async def locking(condition: Condition, count: int) -> None:
    """Returns when so many wait for the lock."""
    await until(lambda: condition.lock.statistics().waiters == count)


# -------------------------------------------------------------------------------------------- cancellation


def test_cancelled_while_it_waits_it_raises_with_the_lock_held(
    run_async: RunAsync, shared: Condition
) -> None:
    async def body() -> None:
        with anyio.CancelScope() as scope:
            async with shared:
                try:
                    async with anyio.create_task_group() as group:

                        async def cancel() -> None:
                            await waiting(shared, 1)
                            scope.cancel()

                        group.start_soon(cancel)
                        await shared.wait()
                finally:
                    assert shared.locked()
                    assert shared.statistics().waiters == 0
        assert scope.cancelled_caught
        assert free(shared)

    run_async(body)


@pytest.mark.parametrize("cancellations", [1, 3])
def test_cancelled_while_others_hold_the_lock_it_raises_once_it_has_it(
    run_async: RunAsync, shared: Condition, cancellations: int
) -> None:
    ended: list[bool] = []

    async def waiter(scope: anyio.CancelScope) -> None:
        with scope:
            async with shared:
                try:
                    await shared.wait()
                finally:
                    ended.append(shared.lock.statistics().mine)

    async def body() -> None:
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, scope)
            await waiting(shared, 1)
            async with shared:
                for _ in range(cancellations):
                    scope.cancel()
                    await turns(3)
                await locking(shared, 1)
                await turns(5)
                assert not ended
        assert ended == [True]
        assert free(shared)

    run_async(body)


@pytest.mark.asyncio
@pytest.mark.parametrize("cancellations", [1, 3])
async def test_a_notification_goes_to_the_next_when_its_taker_is_cancelled_on_its_way_to_the_lock(
    shared: Condition, cancellations: int
) -> None:
    woken: list[str] = []

    async def waiter(name: str) -> None:
        async with shared:
            await shared.wait()
            assert shared.locked()
            woken.append(name)

    tasks = []
    for number, name in enumerate(("first", "second")):
        tasks.append(asyncio.create_task(waiter(name)))
        await waiting(shared, number + 1)
    async with shared:
        shared.notify()
        await locking(shared, 1)  # the first was told
        for _ in range(cancellations):
            tasks[0].cancel()
            await turns(2)
        assert not tasks[0].done()
        assert shared.statistics().waiters == 1
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await tasks[1]
    assert woken == ["second"]
    assert free(shared)


@pytest.mark.parametrize("order", ["notify first", "cancel first"])
@pytest.mark.parametrize("between", [0, 1, 2])
def test_cancelled_in_the_instant_of_a_notification_it_goes_to_the_next_or_is_used(
    run_async: RunAsync, condition: Condition, order: str, between: int
) -> None:
    woken: list[str] = []

    async def waiter(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with condition:
                await condition.wait()
                woken.append(name)

    async def body() -> None:
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, "first", scope)
            await waiting(condition, 1)
            group.start_soon(waiter, "second", anyio.CancelScope())
            await waiting(condition, 2)
            async with condition:
                events = [condition.notify, scope.cancel]
                if order == "cancel first":
                    events.reverse()
                events[0]()
                await turns(between)
                events[1]()
            await until(lambda: len(woken) == 1)
            await condition.acquire()
            condition.notify_all()
            condition.release()
        assert "second" in woken
        assert free(condition)

    run_async(body)


async def wait_twice(condition: Condition) -> None:
    """What is swept."""
    async with condition:
        for _ in range(2):
            try:
                await condition.wait()
            finally:
                assert condition.lock.statistics().mine


async def notify_until(condition: Condition, scope: anyio.CancelScope) -> None:
    """Until that is cancelled."""
    while not scope.cancel_called:
        async with condition:
            condition.notify()
            await turns(2)
        await turns(2)


def test_a_cancellation_at_any_suspension_finds_the_lock_held(
    run_async: RunAsync, condition: Condition
) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(notify_until, condition, scope)
                group.start_soon(notify_until, condition, scope)
                interrupter = Interrupter(wait_twice(condition), nth, scope.cancel)
                await interrupter
            scope.cancel()
        assert free(condition), f"cancelled at suspension {nth}"
        return interrupter.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 3

    run_async(body)


@pytest.mark.asyncio
async def test_two_time_limits_that_end_at_once_are_told_apart(condition: Condition) -> None:
    ended: list[str] = []

    async def waiter() -> None:
        async with condition:
            try:
                async with asyncio.timeout(0.002) as outer:
                    try:
                        async with asyncio.timeout(0.001):
                            await condition.wait()
                    except TimeoutError:
                        ended.append("inner")
                    await until(outer.expired)
                    await asyncio.sleep(0)
            except TimeoutError:
                ended.append("outer")

    task = asyncio.create_task(waiter())
    await waiting(condition, 1)
    async with condition:
        await locking(condition, 1)
        await in_thread(threading.Event().wait, 0.005)
    await task
    assert ended[-1] == "outer"
    assert task.cancelling() == 0
    assert free(condition)


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_loop_that_ends_lets_those_on_their_way_to_the_lock_have_it(
    condition: Condition, make: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """What `asyncio.run` cancels at its end raises as always: with the lock held."""
    mine: list[str | None] = []
    ended = threading.Event()

    async def waiter() -> None:
        async with condition:
            try:
                await condition.wait()
            finally:
                mine.append(condition.statistics().owner_task)

    async def main() -> None:
        task = asyncio.create_task(waiter(), name="waiter")
        await waiting(condition, 1)
        condition.blocking.acquire()
        condition.notify()
        await locking(condition, 1)
        task.add_done_callback(lambda _: ended.set())
        threading.Thread(target=release_later).start()

    def release_later() -> None:
        assert not ended.wait(0.02)
        condition.release()

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())
    assert mine == ["waiter"]
    assert free(condition)


def test_trio_delivers_a_cancellation_after_the_wait_has_the_lock(condition: Condition) -> None:
    mine: list[bool] = []

    async def waiter(scope: trio.CancelScope) -> None:
        async with condition:
            with scope:
                await (
                    condition.wait()
                )  # notified, so it returns; what cancels it comes at the next checkpoint
                mine.append(condition.lock.statistics().mine)
                await trio.lowlevel.checkpoint()
                pytest.fail("was cancelled before")

    async def body() -> None:
        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter, scope)
            await waiting(condition, 1)
            async with condition:
                condition.notify()
                await locking(condition, 1)
                scope.cancel()
                await turns(3)
                assert not mine

    trio.run(body)
    assert mine == [True]
    assert free(condition)


# ----------------------------------------------------------------------------------- destroyed and closed


@pytest.mark.parametrize("what", [Condition, Lock])
@pytest.mark.parametrize("face_of", FACES)
def test_destroying_it_or_its_lock_ends_all_waiting(
    run_async: RunAsync, segment: ManagedSharedMemory, face_of: type[Face], what: type[Any]
) -> None:
    ended = 0

    async def waiter(face: Face) -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face.wait(lambda: pytest.fail("it was notified"))
        ended += 1

    async def body() -> None:
        condition = Condition(segment, "it", Lock(segment, "lock") if what is Lock else None)
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(waiter, face_of(condition))
                await waiting(condition, number + 1)
            assert segment.destroy(what, "lock" if what is Lock else "it")
        assert ended == 3
        with pytest.raises(ClosedError):
            async with condition:
                pytest.fail("it has no lock")

    run_async(body)


@pytest.mark.parametrize("face_of", FACES)
def test_a_condition_destroyed_beside_a_lock_that_stays_leaves_the_lock_free(
    run_async: RunAsync, shared: Condition, segment: ManagedSharedMemory, face_of: type[Face]
) -> None:
    async def waiter(face: Face) -> None:
        with pytest.raises(ClosedError, match="destroyed"):
            await face.wait(lambda: None)

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(waiter, face_of(shared))
                await waiting(shared, number + 1)
            segment.destroy(Condition, "condition")
        async with shared:
            with pytest.raises(ClosedError):
                shared.notify()
            with pytest.raises(ClosedError):
                await shared.wait()
            assert shared.locked()
        assert not shared.locked()

    run_async(body)


def test_a_notified_waiter_of_a_condition_that_is_destroyed_was_notified(
    run_async: RunAsync, shared: Condition, segment: ManagedSharedMemory
) -> None:
    woken: list[bool] = []

    async def waiter() -> None:
        async with shared:
            woken.append(await shared.wait())

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await waiting(shared, 1)
            async with shared:
                shared.notify()
                await locking(shared, 1)
                segment.destroy(Condition, "condition")
        assert woken == [True]
        assert not shared.locked()

    run_async(body)


@pytest.mark.parametrize("face_of", FACES)
@pytest.mark.parametrize("notified", [False, True])
def test_closing_the_segment_ends_all_waiting(
    run_async: RunAsync,
    condition: Condition,
    segment: ManagedSharedMemory,
    face_of: type[Face],
    notified: bool,
) -> None:
    ended = 0

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face_of(condition).wait(lambda: None)
        ended += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(waiter)
                await waiting(condition, number + 1)
            if notified:
                await condition.acquire()
                condition.notify_all()
                await locking(condition, 2)
            segment.close()
        assert ended == 2

    run_async(body)


# ----------------------------------------------------------------------------------------------- collected


@pytest.mark.asyncio
async def test_a_coroutine_closed_while_it_waits_leaves_the_lock_to_who_has_it(shared: Condition) -> None:
    async def waiter() -> None:
        async with shared:
            await shared.wait()

    coroutine = waiter()
    coroutine.send(None)
    assert shared.statistics().waiters == 1
    async with shared:
        coroutine.close()
        assert shared.lock.statistics().mine
        assert shared.statistics().waiters == 0
    with pytest.raises(NotOwnerError):
        shared.release()
    assert free(shared)


@pytest.mark.asyncio
async def test_a_coroutine_closed_on_its_way_to_the_lock_never_gets_it(condition: Condition) -> None:
    woken: list[bool] = []

    async def waiter() -> None:
        async with condition:
            woken.append(await condition.wait())

    coroutine = waiter()
    coroutine.send(None)
    other = asyncio.create_task(waiter())
    await waiting(condition, 2)
    async with condition:
        condition.notify()
        with contextlib.suppress(StopIteration):
            while not condition.lock.statistics().waiters:
                coroutine.send(None)
        coroutine.close()
        assert condition.lock.statistics().mine
        assert condition.lock.statistics().waiters == 0
    await other  # the notification went to it
    assert woken == [True]
    assert free(condition)


@pytest.mark.asyncio
async def test_a_holder_that_is_collected_outside_of_wait_gives_the_lock_back(condition: Condition) -> None:
    async def waiter() -> None:
        async with condition:
            await asyncio.get_running_loop().create_future()

    await condition.acquire()
    bare = condition.wait()
    bare.send(None)
    bare.close()  # belongs to no `async with`
    coroutine = waiter()
    coroutine.send(None)
    assert condition.locked()
    coroutine.close()
    assert free(condition)


def test_a_loop_closed_with_waiters_pending_withdraws_them(condition: Condition) -> None:
    async def waiter() -> None:
        async with condition:
            await condition.wait()

    for make in (asyncio.new_event_loop, uvloop.new_event_loop):
        loop = make()
        loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
        task = loop.create_task(waiter())
        while not condition.statistics().waiters:
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        del task, loop
        gc.collect()
        with condition.blocking:
            condition.blocking.notify()
        assert free(condition)
