"""Cancellation at every instant of an acquire: the lock is never lost, no waiter is left, and it still works.

The sweep cancels a task at its n-th suspension, for every n until there is none, in each of the ways a lock
comes to a waiter.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import uvloop

from aioipc import Lock, ManagedSharedMemory
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture
def lock(segment_name: str) -> Iterator[Lock]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield Lock(segment, "lock", spin_us=0)
        assert segment.check_sanity()


async def waiting(lock: Lock, count: int) -> None:
    while lock.statistics().waiters != count:
        await anyio.lowlevel.checkpoint()


async def works(lock: Lock) -> bool:
    """Nobody holds it or waits, and two tasks can have it one after the other."""
    if lock.locked() or lock.statistics().waiters:
        return False
    async with anyio.create_task_group() as group, lock:
        group.start_soon(hold_once, lock)
        await waiting(lock, 1)
    return not lock.locked() and lock.statistics().waiters == 0


async def hold_once(lock: Lock) -> None:
    async with lock:
        await anyio.lowlevel.checkpoint()


async def hold_under_contention(lock: Lock) -> None:
    """What is swept: three acquisitions, each of which has to wait."""
    for _ in range(3):
        await lock.acquire()
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            lock.release()
    async with lock:
        await anyio.lowlevel.checkpoint()


async def rival(lock: Lock) -> None:
    for _ in range(6):
        async with lock:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()


def test_a_cancellation_at_any_suspension_leaves_the_lock_working(run_async: RunAsync, lock: Lock) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        swept: Interrupter | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(rival, lock)
            with anyio.CancelScope() as scope:
                swept = Interrupter(hold_under_contention(lock), nth, scope.cancel)
                await swept
        assert await works(lock), f"cancelled at suspension {nth}"
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 5

    run_async(body)


@pytest.mark.asyncio
async def test_task_cancel_at_any_suspension_leaves_the_lock_working(lock: Lock) -> None:
    async def cancelled_at(nth: int) -> bool:
        async def swept() -> None:
            await interrupter

        task = asyncio.create_task(swept())
        interrupter = Interrupter(hold_under_contention(lock), nth, task.cancel)
        await asyncio.gather(task, rival(lock), return_exceptions=True)
        assert await works(lock), f"cancelled at suspension {nth}"
        return interrupter.suspensions >= nth

    nth = 1
    while await cancelled_at(nth):
        nth += 1
    assert nth > 5


@pytest.mark.parametrize("order", ["release first", "cancel first"])
@pytest.mark.parametrize("yields", [0, 1, 2, 3])
def test_cancelled_in_the_instant_of_the_grant_the_lock_goes_to_the_next(
    run_async: RunAsync, lock: Lock, order: str, yields: int
) -> None:
    """`yields`: how far the woken task gets between the two events."""
    served: list[str] = []

    async def waiter(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with lock:
                served.append(name)

    async def body() -> None:
        await lock.acquire()
        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, "first", first)
            await waiting(lock, 1)
            group.start_soon(waiter, "second", second)
            await waiting(lock, 2)
            events = [lock.release, first.cancel]
            if order == "cancel first":
                events.reverse()
            events[0]()
            for _ in range(yields):
                await anyio.lowlevel.checkpoint()
            events[1]()
        assert served[-1] == "second"
        assert await works(lock)

    run_async(body)


def test_a_lock_handed_over_to_a_waiter_that_is_cancelled_goes_to_the_next(
    run_async: RunAsync, lock: Lock
) -> None:
    """Waiters of more than a millisecond are handed the lock itself, not only woken."""

    async def body() -> None:
        await lock.acquire()
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def cancelled() -> None:
                with scope:
                    await lock.acquire()
                    pytest.fail("was cancelled before")

            group.start_soon(cancelled)
            await waiting(lock, 1)
            group.start_soon(hold_once, lock)
            await waiting(lock, 2)
            assert lock.blocking.acquire(timeout=0.003) is False  # lets the time pass
            scope.cancel()
            lock.release()
        assert await works(lock)

    run_async(body)


@pytest.mark.asyncio
async def test_asyncio_timeout_around_an_acquire_leaves_nothing(lock: Lock) -> None:
    await lock.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await lock.acquire()
    lock.release()
    assert await works(lock)


def test_anyio_and_trio_scopes_around_an_acquire_leave_nothing(run_async: RunAsync, lock: Lock) -> None:
    async def body() -> None:
        await lock.acquire()
        with anyio.move_on_after(0.001) as scope:
            await lock.acquire()
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError), anyio.fail_after(0.001):
            async with lock:
                pytest.fail("the lock was held")
        lock.release()
        assert await works(lock)

    run_async(body)


def test_trios_own_scopes_leave_nothing(lock: Lock) -> None:
    async def body() -> None:
        await lock.acquire()
        with trio.move_on_after(0.001) as scope:
            await lock.acquire()
        assert scope.cancelled_caught
        lock.release()
        assert await works(lock)

    trio.run(body)


@pytest.mark.parametrize("debug", [False, True])
def test_a_loop_that_is_closed_with_waiters_pending_withdraws_them(lock: Lock, debug: bool) -> None:
    for make in (asyncio.new_event_loop, uvloop.new_event_loop):
        loop = make()
        loop.set_debug(debug)
        loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
        lock.acquire_nowait()
        task = loop.create_task(lock.acquire())
        while not lock.statistics().waiters:
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        del task, loop
        lock.release()
        gc.collect()
        assert lock.statistics().waiters == 0
    asyncio.run(works(lock))


def test_cancelling_many_of_many_waiters_serves_the_rest_in_order(run_async: RunAsync, lock: Lock) -> None:
    served: list[int] = []
    scopes: list[anyio.CancelScope] = []

    async def waiter(number: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            async with lock:
                served.append(number)
                await anyio.lowlevel.checkpoint()

    async def body() -> None:
        await lock.acquire()
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(waiter, number)
                await waiting(lock, number + 1)
            lock.release()
            for number in range(1, 60, 3):
                scopes[number].cancel()
                await anyio.lowlevel.checkpoint()
        assert served == sorted(served)
        assert {n for n in range(60) if n % 3 != 1} <= set(served)
        assert await works(lock)

    run_async(body)
