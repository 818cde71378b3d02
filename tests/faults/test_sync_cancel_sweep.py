"""Cancellation at every instant of every wait: nothing stays held, nobody stays in a line, all still works.

The sweep cancels a task at its n-th suspension, for every n until there is none, while a rival keeps it
waiting.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
import uvloop

from aioipc import ManagedSharedMemory
from tests.support.notified_cases import NOTIFIED, Notification, NotificationBesideAnRLock
from tests.support.queues import until
from tests.support.sweeping import Interrupter
from tests.support.sync_cases import HELD, Case, Held, StartUp, pause

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
every_case = pytest.mark.parametrize("case_of", [*HELD, StartUp, *NOTIFIED])


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@every_case
def test_a_cancellation_at_any_suspension_leaves_nothing(
    run_async: RunAsync, segment: ManagedSharedMemory, case_of: type[Case]
) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        case = case_of(segment)
        await case.prepare()
        async with anyio.create_task_group() as group:
            group.start_soon(case.rival)
            with anyio.CancelScope() as scope:
                swept = Interrupter(case.swept(), nth, scope.cancel)
                await swept
            case.over = True
        await case.settle()
        segment.destroy_object(case.handle)
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 3

    run_async(body)


@every_case
@pytest.mark.asyncio
async def test_task_cancel_at_any_suspension_leaves_nothing(
    segment: ManagedSharedMemory, case_of: type[Case]
) -> None:
    async def cancelled_at(nth: int) -> bool:
        case = case_of(segment)
        await case.prepare()

        async def swept() -> None:
            try:
                await interrupter
            finally:
                case.over = True

        task = asyncio.create_task(swept())
        interrupter = Interrupter(case.swept(), nth, task.cancel)
        outcomes = await asyncio.gather(task, case.rival(), return_exceptions=True)
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        await case.settle()
        segment.destroy_object(case.handle)
        return interrupter.suspensions >= nth

    nth = 1
    while await cancelled_at(nth):
        nth += 1
    assert nth > 3


# ---------------------------------------------------------------------------- in the instant of the grant

EVENTS = pytest.mark.parametrize("order", ["grant first", "cancel first"])
YIELDS = pytest.mark.parametrize("yields", [0, 1, 2, 3])


async def in_order(order: str, yields: int, grant: Callable[[], Any], cancel: Callable[[], Any]) -> None:
    """`yields`: how far the woken task gets between the two events."""
    events = [grant, cancel] if order == "grant first" else [cancel, grant]
    events[0]()
    await pause(yields)
    events[1]()


def let_go(manager: AbstractAsyncContextManager[Any]) -> None:
    """Leaves it at once: nothing that is left has to wait."""
    for _ in manager.__aexit__(None, None, None).__await__():
        pytest.fail("leaving waits")


@pytest.mark.parametrize("case_of", HELD)
def test_cancelled_in_the_instant_of_the_grant_it_goes_to_the_next(
    run_async: RunAsync, segment: ManagedSharedMemory, case_of: type[Held]
) -> None:
    async def once(order: str, yields: int) -> None:
        case = case_of(segment)
        served: list[str] = []

        async def waiter(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                async with case.enter():
                    served.append(name)

        held = case.enter_as_rival()
        await held.__aenter__()
        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, "first", first)
            await until(lambda: case.waiters() == 1)
            group.start_soon(waiter, "second", second)
            await until(lambda: case.waiters() == 2)
            await in_order(order, yields, lambda: let_go(held), first.cancel)
        assert served in (["second"], ["first", "second"])
        await case.settle()
        segment.destroy_object(case.handle)

    async def body() -> None:
        for order in ("grant first", "cancel first"):
            for yields in range(4):
                await once(order, yields)

    run_async(body)


@pytest.mark.parametrize("beside", [Notification, NotificationBesideAnRLock])
@EVENTS
@YIELDS
def test_a_waiter_cancelled_in_the_instant_of_its_notification_leaves_it_to_the_next(
    run_async: RunAsync, segment: ManagedSharedMemory, beside: type[Notification], order: str, yields: int
) -> None:
    async def body() -> None:
        case = beside(segment)
        woken: list[str] = []

        async def waiter(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                async with case.handle:
                    await case.handle.wait()
                    woken.append(name)

        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, "first", first)
            await until(lambda: case.waiters() == 1)
            group.start_soon(waiter, "second", second)
            await until(lambda: case.waiters() == 2)
            async with case.handle:
                await in_order(order, yields, case.handle.notify, first.cancel)
            await until(lambda: len(woken) == 1)
            second.cancel()
        assert len(woken) == 1
        assert case.waiters() == 0
        assert case.free()

    run_async(body)


# ------------------------------------------------------------------------------------------ loops that end


@pytest.mark.parametrize("case_of", HELD)
@pytest.mark.parametrize("debug", [False, True])
def test_a_loop_that_is_closed_with_waiters_pending_withdraws_them(
    segment: ManagedSharedMemory, case_of: type[Held], debug: bool
) -> None:
    for make in (asyncio.new_event_loop, uvloop.new_event_loop):
        case = case_of(segment)
        held = case.enter_as_rival()
        loop = make()
        loop.set_debug(debug)
        loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
        task = loop.create_task(waits_beside(case, held))
        while not case.waiters():
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        del task, loop
        gc.collect()
        assert case.waiters() == 0
        segment.destroy_object(case.handle)


async def waits_beside(case: Held, held: AbstractAsyncContextManager[Any]) -> None:
    """One task holds it and ends, another waits."""
    await asyncio.create_task(enter(held))
    await case.use()


async def enter(held: AbstractAsyncContextManager[Any]) -> None:
    await held.__aenter__()
