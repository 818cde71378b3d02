"""The rest of the queue's contract: leases, batches, what its coroutines are to asyncio and trio."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from aioipc import ClosedError, ManagedSharedMemory, MessageTooLargeError, NotOwnerError, Queue, QueueFull
from tests.support.faces import until
from tests.support.queues import Awaited, Blocking, Face, failing, idle, waiters, waiting

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
MakeFace = Callable[[Queue[Any]], Face]
MakeQueue = Callable[..., Queue[Any]]


@pytest.fixture(params=[Awaited, Blocking])
def face_of(request: pytest.FixtureRequest) -> MakeFace:
    made: MakeFace = request.param
    return made


@pytest.fixture
def make(segment: ManagedSharedMemory) -> MakeQueue:
    """`make(maxsize=0, ...)`: the queue "q" of the test's segment."""
    return lambda *args, **options: Queue(segment, "q", *args, **options)


@pytest.fixture
def queue(make: MakeQueue) -> Queue[Any]:
    return make()


# ------------------------------------------------------------------------------------------------ leases


def test_a_lease_that_ends_well_reports_its_item(
    run_async: RunAsync, face_of: MakeFace, queue: Queue[Any]
) -> None:
    async def body() -> None:
        face = face_of(queue)
        queue.put_nowait("job")
        async with anyio.create_task_group() as group, face.lease() as (item, lease):
            assert (item, lease.deliveries) == ("job", 1)
            statistics = queue.statistics()
            assert (statistics.qsize, statistics.leased, statistics.unfinished) == (0, 1, 1)
            group.start_soon(face.join)
            await waiting(queue, joiners=1)
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()  # the lease did
        assert queue.statistics().returned == 0
        assert idle(queue)

    run_async(body)


def test_a_lease_that_fails_puts_its_item_in_front_with_one_delivery_more(
    run_async: RunAsync, face_of: MakeFace, queue: Queue[Any]
) -> None:
    async def body() -> None:
        face = face_of(queue)
        queue.put_many_nowait([b"large" * 1000, "second"])
        for deliveries in range(1, 4):
            with failing():
                async with face.lease() as (item, lease):
                    assert (item, lease.deliveries) == (b"large" * 1000, deliveries)
                    raise KeyError
            assert (await face.peek(), queue.qsize()) == (b"large" * 1000, 2)
        assert queue.statistics().returned == 3
        async with face.lease() as (item, lease):
            assert (item, lease.deliveries) == (b"large" * 1000, 4)
        async with face.lease() as (item, lease):
            assert (item, lease.deliveries) == ("second", 1)
        assert idle(queue)

    run_async(body)


def test_a_lease_waits_for_an_item_and_makes_room_for_putters(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(1)
        face = face_of(queue)
        seen: list[Any] = []

        async def leaser() -> None:
            async with face.lease() as (item, _):
                seen.append(item)

        async with anyio.create_task_group() as group:
            group.start_soon(leaser)
            await waiting(queue, getters=1)
            queue.put_nowait(1)
            await until(lambda: seen == [1])
            queue.put_nowait(2)
            group.start_soon(face.put, 3)
            await waiting(queue, putters=1)
            group.start_soon(leaser)
        assert seen == [1, 2]
        assert await face.get() == 3
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_an_item_that_comes_back_wakes_a_getter(
    run_async: RunAsync, face_of: MakeFace, queue: Queue[Any]
) -> None:
    async def body() -> None:
        face = face_of(queue)
        got: list[Any] = []

        async def getter() -> None:
            got.append(await face.get())

        queue.put_nowait("back")
        async with anyio.create_task_group() as group:
            with failing():
                async with face.lease():
                    group.start_soon(getter)
                    await waiting(queue, getters=1)
                    raise KeyError
        assert got == ["back"]
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_leases_nest_and_end_in_any_order(run_async: RunAsync, face_of: MakeFace, queue: Queue[Any]) -> None:
    async def body() -> None:
        face = face_of(queue)
        queue.put_many_nowait("abcd")
        with failing():
            async with face.lease() as (a, _), face.lease() as (b, _):
                async with face.lease() as (c, _):
                    assert [a, b, c] == ["a", "b", "c"]
                    assert queue.statistics().leased == 3
                assert queue.statistics().leased == 2
                raise KeyError
        assert [await face.get() for _ in range(3)] == ["a", "b", "d"]
        queue.task_done(3)
        assert idle(queue)

    run_async(body)


def test_a_cancelled_lease_returns_its_item(run_async: RunAsync, queue: Queue[Any]) -> None:
    async def body() -> None:
        queue.put_nowait("job")
        with anyio.CancelScope() as scope:
            async with queue.lease():
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert (queue.qsize(), queue.statistics().returned) == (1, 1)
        async with queue.lease() as item:
            assert item == "job"
        assert idle(queue)

    run_async(body)


def test_a_full_queue_takes_back_what_was_on_lease_and_then_has_no_room(make: MakeQueue) -> None:
    queue = make(1)
    queue.put_nowait("leased")
    with failing(), queue.blocking.lease():
        queue.put_nowait("put meanwhile")
        raise KeyError
    assert queue.qsize() == 2
    assert queue.full()
    with pytest.raises(QueueFull):
        queue.put_nowait("more")
    assert [queue.get_nowait(), queue.get_nowait()] == ["leased", "put meanwhile"]
    queue.task_done(2)
    assert idle(queue)


def test_a_lease_is_entered_the_way_its_view_says(run_async: RunAsync, queue: Queue[Any]) -> None:
    async def body() -> None:
        queue.put_nowait(1)
        with pytest.raises(TypeError, match=r"async with queue\.lease.*with queue\.blocking"), queue.lease():
            pass
        with pytest.raises(TypeError, match=r"with queue\.blocking\.lease.*async with queue"):
            async with queue.blocking.lease():
                pass
        with pytest.raises(RuntimeError, match="entered"):
            queue.lease().deliveries  # noqa: B018
        assert queue.qsize() == 1

    run_async(body)


def test_a_lease_whose_segment_was_closed_inside_puts_its_item_back(
    run_async: RunAsync, face_of: MakeFace, queue: Queue[Any], segment_name: str
) -> None:
    async def body() -> None:
        queue.put_nowait("job")
        other = ManagedSharedMemory.open(segment_name)
        lease = None

        async def close_inside() -> None:
            nonlocal lease
            async with face_of(Queue(other, "q")).lease() as (_, lease):
                other.close()  # the process stays attached through the test's own handle

        with pytest.raises(ClosedError, match="went back"):
            await close_inside()
        assert lease is not None  # it is not the collector that gives it back
        assert (queue.qsize(), queue.statistics().leased) == (1, 0)
        assert queue.get_nowait() == "job"
        queue.task_done()
        assert idle(queue)

    run_async(body)


# ----------------------------------------------------------------------------------------------- batches


def test_many_items_are_put_and_got_at_once_and_in_order(
    run_async: RunAsync, face_of: MakeFace, queue: Queue[Any]
) -> None:
    async def body() -> None:
        face = face_of(queue)
        items = [
            bytes([n % 256]) * (n * 7) for n in range(300)
        ]  # small ones, and some with blocks of their own
        for _ in range(3):
            await face.put_many(items)
            await face.put_many([])
            got: list[Any] = []
            while len(got) < len(items):
                batch = await face.get_many(120)
                assert 1 <= len(batch) <= 120
                got += batch
            assert got == items
        queue.task_done(900)
        assert idle(queue)

    run_async(body)


def test_get_many_waits_for_the_first_and_takes_what_is_there(
    run_async: RunAsync, face_of: MakeFace, queue: Queue[Any]
) -> None:
    async def body() -> None:
        face = face_of(queue)
        got: list[Any] = []

        async def getter() -> None:
            got.extend(await face.get_many(3))

        async with anyio.create_task_group() as group:
            group.start_soon(getter)
            await waiting(queue, getters=1)
            queue.put_many_nowait("ab")
        assert got == ["a", "b"]
        queue.put_many_nowait("abcde")
        assert await face.get_many(3) == ["a", "b", "c"]
        assert await face.get_many(3) == ["d", "e"]
        queue.task_done(7)
        assert idle(queue)

    run_async(body)


def test_put_many_puts_what_there_is_room_for_and_waits_with_the_rest(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(4)
        face = face_of(queue)
        got: list[int] = []
        async with anyio.create_task_group() as group:
            group.start_soon(face.put_many, list(range(10)))
            await waiting(queue, putters=1)
            assert queue.qsize() == 4
            while len(got) < 10:
                got += await face.get_many(3)
        assert got == list(range(10))
        queue.task_done(10)
        assert idle(queue)

    run_async(body)


def test_a_batch_wakes_as_many_as_it_has_items(
    run_async: RunAsync, face_of: MakeFace, queue: Queue[Any]
) -> None:
    async def body() -> None:
        face = face_of(queue)
        got: list[Any] = []

        async def getter() -> None:
            got.append(await face.get())

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(getter)
                await waiting(queue, getters=number + 1)
            await face.put_many(list(range(7)))
            await waiting(queue, getters=3)
            await face.put_many(list(range(7, 10)))
        assert sorted(got) == list(range(10))
        queue.task_done(10)
        assert idle(queue)

    run_async(body)


def test_put_many_nowait_puts_what_there_is_room_for_and_says_how_much(make: MakeQueue) -> None:
    queue = make(4)
    assert queue.put_many_nowait(iter([])) == 0
    assert queue.put_many_nowait(number for number in range(10)) == 4
    assert queue.put_many_nowait([10]) == 0
    assert queue.blocking.get_many(10) == [0, 1, 2, 3]
    assert queue.put_many_nowait([10]) == 1
    assert queue.get_nowait() == 10
    queue.task_done(5)
    assert idle(queue)


def test_put_many_nowait_that_an_error_stops_says_how_many_it_had_put(make: MakeQueue) -> None:
    queue = make(max_bytes=100)
    items = [1, 2, b"never fits" * 20, 3]
    assert queue.put_many_nowait(items) == 2
    with pytest.raises(MessageTooLargeError):
        queue.put_many_nowait(items[2:])
    assert queue.blocking.get_many(9) == [1, 2]
    queue.task_done(2)
    assert idle(queue)


# --------------------------------------------------------------------------- what asyncio and trio make of it

OPERATIONS: dict[str, Callable[[Queue[Any]], Any]] = {
    "get": lambda queue: queue.get(),
    "peek": lambda queue: queue.peek(),
    "get_many": lambda queue: queue.get_many(2),
    "put": lambda queue: queue.put(1),
    "put_many": lambda queue: queue.put_many([1]),
    "join": lambda queue: queue.join(),
}
every_operation = pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))


@pytest.mark.asyncio
async def test_under_asyncio_what_need_not_wait_does_not_suspend(queue: Queue[Any]) -> None:
    ran = False

    def note() -> None:
        nonlocal ran
        ran = True

    asyncio.get_running_loop().call_soon(note)
    for _ in range(10):
        await queue.put(1)
        await queue.put_many([2, 3])
        assert await queue.peek() == 1
        async with queue.lease():
            pass
        assert await queue.get_many(1) == [2]
        assert await queue.get() == 3
        queue.task_done(2)
        await queue.join()
    assert not ran


@pytest.mark.asyncio
async def test_what_a_queue_returns_can_be_made_a_task_gathered_and_given_a_timeout(make: MakeQueue) -> None:
    queue = make(1)
    await asyncio.create_task(queue.put(1))  # type: ignore[arg-type]
    for operation in (queue.put(2), queue.put_many([2]), queue.join()):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(operation, 0.001)
    assert await asyncio.wait_for(queue.get(), 1) == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await queue.get()
    got = await asyncio.gather(*[queue.get() for _ in range(3)], *[queue.put(n) for n in range(3)])
    assert got == [0, 1, 2, None, None, None]
    queue.task_done(4)
    assert idle(queue)


@every_operation
def test_an_operation_that_is_never_awaited_warns_and_does_nothing(
    queue: Queue[Any], operation: Callable[[Queue[Any]], Any]
) -> None:
    queue.put_nowait(0)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        operation(queue)
    assert queue.qsize() == 1
    assert queue.get_nowait() == 0
    queue.task_done()
    assert idle(queue)


@every_operation
@pytest.mark.asyncio
async def test_an_operation_is_awaited_once(
    queue: Queue[Any], operation: Callable[[Queue[Any]], Any]
) -> None:
    queue.put_many_nowait([0, 0])
    if operation is OPERATIONS["join"]:
        queue.clear()
    once = operation(queue)
    await once
    before = queue.statistics()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        await once
    assert queue.statistics() == before


@pytest.mark.asyncio
async def test_an_operation_that_a_task_awaits_is_refused_to_another_and_goes_on(queue: Queue[Any]) -> None:
    operation = queue.get()
    task = asyncio.create_task(operation)
    await waiting(queue, getters=1)
    assert "without __name__" not in repr(task)

    async def await_it_too() -> None:
        await operation

    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        await_it_too().send(None)
    assert not task.done()
    queue.put_nowait(1)
    assert await task == 1
    queue.task_done()
    assert idle(queue)


@every_operation
def test_closing_or_throwing_into_an_operation_that_has_not_begun_does_nothing(
    queue: Queue[Any], operation: Callable[[Queue[Any]], Any]
) -> None:
    queue.put_nowait(0)
    operation(queue).close()
    with pytest.raises(KeyError):
        operation(queue).throw(KeyError("thrown"))
    closed = operation(queue)
    closed.close()
    with pytest.raises(RuntimeError):
        closed.send(None)
    assert queue.qsize() == 1
    assert queue.get_nowait() == 0
    queue.task_done()
    assert idle(queue)


@every_operation
@pytest.mark.asyncio
async def test_a_task_cancelled_before_its_first_step_does_nothing(
    queue: Queue[Any], operation: Callable[[Queue[Any]], Any]
) -> None:
    queue.put_nowait(0)
    task = asyncio.create_task(operation(queue))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert queue.qsize() == 1
    assert queue.get_nowait() == 0
    queue.task_done()
    assert idle(queue)


@every_operation
def test_under_trio_every_await_is_a_checkpoint_and_cancelled_before_does_nothing(
    queue: Queue[Any], operation: Callable[[Queue[Any]], Any]
) -> None:
    async def body() -> None:
        queue.put_nowait(0)
        before = queue.statistics()
        with trio.CancelScope() as scope:
            scope.cancel()
            await operation(queue)
        assert scope.cancelled_caught
        assert queue.statistics() == before
        if operation is OPERATIONS["join"]:
            queue.clear()
        with trio.testing.assert_checkpoints():
            await operation(queue)

    trio.run(body)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.asyncio
async def test_eager_tasks_that_need_not_wait_are_done_at_once(make: MakeQueue) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    queue = make(1)
    put = loop.create_task(queue.put(1))  # type: ignore[arg-type]
    assert put.done()
    waits = loop.create_task(queue.put(2))  # type: ignore[arg-type]
    assert not waits.done()
    assert waiters(queue) == (0, 1, 0)
    got = loop.create_task(queue.get())  # type: ignore[arg-type]
    assert got.done()
    assert got.result() == 1
    await waits
    assert await loop.create_task(queue.get()) == 2  # type: ignore[arg-type]
    queue.task_done(2)
    assert idle(queue)


def test_with_and_for_name_the_forms_there_are(queue: Queue[Any]) -> None:
    with pytest.raises(TypeError, match=r"async for item in queue.*queue\.blocking"):
        iter(queue)
    assert idle(queue)


def test_a_lease_ended_twice_is_not_the_process_s_own_any_more(queue: Queue[Any]) -> None:
    queue.put_nowait(1)
    lease = queue.blocking.lease()
    with lease:
        pass
    with pytest.raises(NotOwnerError):
        lease.__exit__(None, None, None)
    assert idle(queue)
