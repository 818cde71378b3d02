"""Cancellation at every instant of a queue's operations: no item is lost or doubled, no waiter is left.

The sweep cancels a task at its n-th suspension, for every n until there is none, while a rival keeps it
waiting.  What was put and what was taken is written down where it happens; what is neither is in the queue.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import uvloop

from aioipc import ManagedSharedMemory, Queue
from tests.support.faces import until
from tests.support.queues import idle, waiters, waiting
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


class Ledger:
    """What a test knows to be put and taken; `attempted`: puts that were cancelled and may have happened."""

    def __init__(self, queue: Queue[Any]) -> None:
        self.queue = queue
        self.put: list[int] = []
        self.attempted: set[int] = set()
        self.taken: list[int] = []
        self.over = False  # nobody puts any more
        self._numbers = count()

    async def add(self) -> None:
        number = next(self._numbers)
        self.attempted.add(number)
        await self.queue.put(number)
        self.put.append(number)

    async def add_many(self, how_many: int) -> None:
        numbers = [next(self._numbers) for _ in range(how_many)]
        self.attempted.update(numbers)
        await self.queue.put_many(numbers)
        self.put += numbers

    async def take(self) -> None:
        self.taken.append(await self.queue.get())
        self.queue.task_done()

    async def take_many(self) -> None:
        batch = await self.queue.get_many(3)
        self.taken += batch
        self.queue.task_done(len(batch))

    async def deal(self) -> None:
        async with self.queue.lease() as item:
            await anyio.lowlevel.checkpoint()
            self.taken.append(item)

    async def settle(self) -> None:
        """Takes what is left, and holds the sums against each other."""
        assert waiters(self.queue) == (0, 0, 0)
        assert self.queue.statistics().leased == 0
        while not self.queue.empty():
            await self.take()
        assert len(set(self.taken)) == len(self.taken), "an item was doubled"
        assert set(self.put) <= set(self.taken), "an item was lost"
        assert set(self.taken) <= self.attempted
        assert idle(self.queue)


def repeat(times: int, call: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[None]]:
    """`call` so often, with a pause after each: whoever is swept has to wait for each of them."""

    async def repeated() -> None:
        for _ in range(times):
            await call()
            for _ in range(3):
                await anyio.lowlevel.checkpoint()

    return repeated


async def peek_thrice(ledger: Ledger) -> None:
    for _ in range(3):
        await ledger.queue.peek()
        await ledger.take()


async def join_thrice(ledger: Ledger) -> None:
    for _ in range(3):
        await ledger.add_many(2)
        await ledger.queue.join()


# name -> (maxsize, what is swept, what the rival does)
SWEPT: dict[str, tuple[int, Callable[[Ledger], Awaitable[Any]], Callable[[Ledger], Awaitable[Any]]]] = {
    "get": (0, lambda led: repeat(3, led.take)(), lambda led: repeat(3, led.add)()),
    "get_many": (0, lambda led: repeat(3, led.take_many)(), lambda led: repeat(3, lambda: led.add_many(4))()),
    "peek": (0, peek_thrice, lambda led: repeat(3, led.add)()),
    "lease": (0, lambda led: repeat(3, led.deal)(), lambda led: repeat(3, led.add)()),
    "put": (1, lambda led: repeat(4, led.add)(), lambda led: drain(led)),
    "put_many": (2, lambda led: led.add_many(9), lambda led: drain(led)),
    "join": (0, join_thrice, lambda led: drain(led)),
}


async def drain(ledger: Ledger) -> None:
    """Takes while the swept one puts, and does not wait for one that was cancelled."""
    while not (ledger.over and ledger.queue.empty()):
        if not ledger.queue.empty():
            await ledger.take()
        for _ in range(3):
            await anyio.lowlevel.checkpoint()


async def prepare(name: str, segment: ManagedSharedMemory) -> Ledger:
    maxsize = SWEPT[name][0]
    ledger = Ledger(Queue(segment, None, maxsize))
    if name in ("put", "put_many"):
        await ledger.add_many(maxsize)
    return ledger


@pytest.mark.parametrize("name", SWEPT)
def test_a_cancellation_at_any_suspension_loses_and_doubles_nothing(
    run_async: RunAsync, segment: ManagedSharedMemory, name: str
) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        ledger = await prepare(name, segment)
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                swept = Interrupter(SWEPT[name][1](ledger), nth, scope.cancel)
                group.start_soon(SWEPT[name][2], ledger)
                await swept
            ledger.over = True
        await ledger.settle()
        segment.destroy_object(ledger.queue)
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 3

    run_async(body)


@pytest.mark.parametrize("name", SWEPT)
@pytest.mark.asyncio
async def test_task_cancel_at_any_suspension_loses_and_doubles_nothing(
    segment: ManagedSharedMemory, name: str
) -> None:
    async def cancelled_at(nth: int) -> bool:
        ledger = await prepare(name, segment)

        async def swept() -> None:
            try:
                await interrupter
            finally:
                ledger.over = True

        task = asyncio.create_task(swept())
        interrupter = Interrupter(SWEPT[name][1](ledger), nth, task.cancel)
        await asyncio.gather(task, SWEPT[name][2](ledger), return_exceptions=True)
        await ledger.settle()
        segment.destroy_object(ledger.queue)
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
    for _ in range(yields):
        await anyio.lowlevel.checkpoint()
    events[1]()


@EVENTS
@YIELDS
def test_a_getter_cancelled_in_the_instant_of_the_put_leaves_the_item_to_the_next(
    run_async: RunAsync, segment: ManagedSharedMemory, order: str, yields: int
) -> None:
    async def body() -> None:
        queue: Queue[str] = Queue(segment)
        got: dict[str, str] = {}

        async def getter(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                got[name] = await queue.get()

        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(getter, "first", first)
            await waiting(queue, getters=1)
            group.start_soon(getter, "second", second)
            await waiting(queue, getters=2)
            await in_order(order, yields, lambda: queue.put_nowait("item"), first.cancel)
            await until(lambda: len(got) == 1)
            second.cancel()
        assert list(got.values()) == ["item"]
        queue.task_done()
        assert idle(queue)

    run_async(body)


@EVENTS
@YIELDS
def test_a_putter_cancelled_in_the_instant_of_the_get_leaves_the_room_to_the_next(
    run_async: RunAsync, segment: ManagedSharedMemory, order: str, yields: int
) -> None:
    async def body() -> None:
        queue: Queue[str] = Queue(segment, None, 1)
        queue.put_nowait("zero")
        scope = anyio.CancelScope()
        put: list[str] = []

        async def putter(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                await queue.put(name)
                put.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(putter, "first", scope)
            await waiting(queue, putters=1)
            group.start_soon(putter, "second", anyio.CancelScope())
            await waiting(queue, putters=2)
            await in_order(order, yields, queue.get_nowait, scope.cancel)
            got = [await queue.get()]
            if got == ["first"]:
                got.append(await queue.get())
        assert got == put
        assert got[-1] == "second"
        queue.task_done(1 + len(got))
        assert idle(queue)

    run_async(body)


@EVENTS
@YIELDS
@pytest.mark.asyncio
async def test_task_cancel_in_the_instant_of_the_put_leaves_the_item_in_its_place(
    segment: ManagedSharedMemory, order: str, yields: int
) -> None:
    for make in (lambda queue: queue.get(), lambda queue: queue.get_many(2), lambda queue: queue._lease()):
        queue: Queue[str] = Queue(segment)
        task = asyncio.create_task(make(queue))
        await waiting(queue, getters=1)
        await in_order(order, yields, lambda queue=queue: queue.put_many_nowait("ab"), task.cancel)  # type: ignore[misc]
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        cancelled = isinstance(outcome, asyncio.CancelledError)
        del outcome, task
        if cancelled:
            assert await queue.get_many(9) == ["a", "b"]
            queue.task_done(2)
        else:
            queue.clear()
            queue.shutdown(immediate=True)
        assert waiters(queue) == (0, 0, 0)


@EVENTS
@YIELDS
@pytest.mark.asyncio
async def test_wait_for_that_times_out_in_the_instant_of_the_put_loses_nothing(
    segment: ManagedSharedMemory, order: str, yields: int
) -> None:
    queue: Queue[int] = Queue(segment)
    taken: list[int] = []
    for number in range(20):

        async def getter() -> None:
            taken.append(await asyncio.wait_for(queue.get(), None))

        task = asyncio.create_task(getter())
        await waiting(queue, getters=1)
        await in_order(order, yields, lambda number=number: queue.put_nowait(number), task.cancel)  # type: ignore[misc]
        await asyncio.gather(task, return_exceptions=True)
        if queue.qsize():
            taken.append(await queue.get())
    assert taken == list(range(20))
    queue.task_done(20)
    assert idle(queue)


def test_a_lease_cancelled_in_the_instant_of_its_grant_returns_or_never_had_its_item(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def once(yields: int) -> None:
        queue: Queue[str] = Queue(segment)
        entered = False

        async def leaser(scope: anyio.CancelScope) -> None:
            nonlocal entered
            with scope:
                async with queue.lease():
                    entered = True
                    await anyio.lowlevel.checkpoint()
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()

        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(leaser, scope)
            await waiting(queue, getters=1)
            await in_order("grant first", yields, lambda: queue.put_nowait("item"), scope.cancel)
        statistics = queue.statistics()
        assert (statistics.qsize, statistics.leased, statistics.returned) == (1, 0, int(entered))
        async with queue.lease() as item:
            assert item == "item"
        assert idle(queue)

    async def body() -> None:
        for yields in range(6):
            await once(yields)

    run_async(body)


# ----------------------------------------------------------------------------------------- time limits


@pytest.mark.asyncio
async def test_asyncio_timeout_around_everything_leaves_nothing(segment: ManagedSharedMemory) -> None:
    queue: Queue[int] = Queue(segment, None, 1)
    for use in (queue.get, queue.peek, lambda: queue.get_many(2), lambda: queue.lease().__aenter__()):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await use()
    queue.put_nowait(0)
    for use in (queue.join, lambda: queue.put(1), lambda: queue.put_many([1, 2])):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await use()
    assert await queue.get() == 0
    queue.task_done()
    assert idle(queue)


def test_anyio_s_scopes_around_everything_leave_nothing(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        queue: Queue[int] = Queue(segment, None, 1)
        for use in (queue.get, queue.peek, lambda: queue.get_many(2), lambda: queue.lease().__aenter__()):
            with anyio.move_on_after(0.001) as scope:
                await use()
            assert scope.cancelled_caught
        queue.put_nowait(0)
        for wait in (queue.join, lambda: queue.put(1), lambda: queue.put_many([1, 2])):
            with pytest.raises(TimeoutError), anyio.fail_after(0.001):
                await wait()
        assert await queue.get() == 0
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_trio_s_own_scopes_around_everything_leave_nothing(segment: ManagedSharedMemory) -> None:
    async def body() -> None:
        queue: Queue[int] = Queue(segment, None, 1)
        for use in (queue.get, queue.peek, lambda: queue.get_many(2), lambda: queue.lease().__aenter__()):
            with trio.move_on_after(0.001) as scope:
                await use()
            assert scope.cancelled_caught
        queue.put_nowait(0)
        for wait in (queue.join, lambda: queue.put(1), lambda: queue.put_many([1, 2])):
            with pytest.raises(trio.TooSlowError), trio.fail_after(0.001):
                await wait()
        assert await queue.get() == 0
        queue.task_done()
        assert idle(queue)

    trio.run(body)


def test_put_many_that_is_cancelled_has_put_the_first_ones_in_order(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        queue: Queue[int] = Queue(segment, None, 3)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(queue.put_many, range(10))
                await waiting(queue, putters=1)
                assert await queue.get() == 0
                await until(queue.full)
                scope.cancel()
        assert await queue.get_many(9) == [1, 2, 3]
        queue.task_done(4)
        assert idle(queue)

    run_async(body)


# ------------------------------------------------------------------------------------------ loops that end


@pytest.mark.parametrize("debug", [False, True])
def test_a_loop_that_is_closed_with_waiters_pending_withdraws_them(
    segment: ManagedSharedMemory, debug: bool
) -> None:
    for make in (asyncio.new_event_loop, uvloop.new_event_loop):
        queue: Queue[int] = Queue(segment, None, 1)
        queue.put_nowait(0)
        empty: Queue[int] = Queue(segment)
        loop = make()
        loop.set_debug(debug)
        loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
        operations = [queue.put(1), queue.put_many([1, 2]), queue.join()]
        operations += [empty.get(), empty.peek(), empty.get_many(2), empty.lease().__aenter__()]
        tasks = [loop.create_task(operation) for operation in operations]
        while waiters(queue) != (0, 2, 1) or waiters(empty) != (4, 0, 0):
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        del tasks, operations, loop
        gc.collect()
        assert waiters(queue) == waiters(empty) == (0, 0, 0)
        assert queue.get_nowait() == 0
        queue.task_done()
        assert idle(queue)
        assert idle(empty)


def test_a_runner_that_is_shut_down_cancels_its_waiters(segment: ManagedSharedMemory) -> None:
    queue: Queue[int] = Queue(segment)

    async def leave_pending() -> None:
        tasks.extend(asyncio.ensure_future(queue.get()) for _ in range(5))
        await waiting(queue, getters=5)

    tasks: list[Any] = []
    asyncio.run(leave_pending())
    assert all(task.cancelled() for task in tasks)
    assert idle(queue)


def test_cancelling_many_of_many_waiters_serves_the_rest_each_item_once(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        queue: Queue[int] = Queue(segment)
        got: dict[int, int] = {}
        scopes = [anyio.CancelScope() for _ in range(60)]

        async def getter(number: int) -> None:
            with scopes[number]:
                got[number] = await queue.get()

        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(getter, number)
                await waiting(queue, getters=number + 1)
            for number in range(0, 60, 3):
                queue.put_nowait(number)
                scopes[59 - number].cancel()
                await anyio.lowlevel.checkpoint()
            queue.put_many_nowait(range(100, 140))
            await waiting(queue)
        items = list(got.values())
        assert len(items) == len(set(items))
        left = [] if queue.empty() else await queue.get_many(100)
        assert sorted(items + left) == [*range(0, 60, 3), *range(100, 140)]
        queue.task_done(60)
        assert idle(queue)

    run_async(body)
