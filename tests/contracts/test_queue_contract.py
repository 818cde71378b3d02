"""What every way of using a Queue promises: awaited under each event loop, and blocking in threads.

One body, several faces (tests/support/queues.py); the same tests hold for each of them, and for all of them
at once on one queue.  What asyncio.Queue's own tests check is here.  How a queue ends is in
test_queue_endings.py, leases and batches in test_queue_leases.py, what needs no waiting in
tests/unit/test_queue.py.
"""

import asyncio
import queue as threads
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioipc import ManagedSharedMemory, Queue, QueueEmpty, QueueFull
from tests.support.faces import until
from tests.support.queues import Awaited, Blocking, Face, idle, waiters, waiting

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


# ------------------------------------------------------------------------------------- putting and getting


def test_items_come_out_in_the_order_they_went_in(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        assert queue.empty()
        for item in [1, 3, 2]:
            await face.put(item)
        assert (queue.qsize(), queue.empty(), queue.full()) == (3, False, False)
        assert [await face.get() for _ in range(3)] == [1, 3, 2]
        assert queue.empty()
        queue.task_done(3)
        assert idle(queue)

    run_async(body)


def test_a_get_waits_for_an_item(run_async: RunAsync, face_of: MakeFace, make: MakeQueue) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        got: list[Any] = []

        async def getter() -> None:
            got.append(await face.get())

        async with anyio.create_task_group() as group:
            group.start_soon(getter)
            await waiting(queue, getters=1)
            assert got == []
            queue.put_nowait("a")
        assert got == ["a"]
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_a_put_into_a_full_queue_waits_for_room(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(2)
        face = face_of(queue)
        put: list[int] = []

        async def putter() -> None:
            for number in range(3):
                await face.put(number)
                put.append(number)

        assert queue.maxsize == 2
        async with anyio.create_task_group() as group:
            group.start_soon(putter)
            await waiting(queue, putters=1)
            assert put == [0, 1]
            assert queue.full()
            assert await face.get() == 0
        assert put == [0, 1, 2]
        assert [await face.get(), await face.get()] == [1, 2]
        queue.task_done(3)
        assert idle(queue)

    run_async(body)


def test_one_place_is_enough_for_any_number_of_items(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(1)
        face = face_of(queue)
        got: list[int] = []

        async def producer() -> None:
            for number in range(50):
                await face.put(number)

        async def consumer() -> None:
            for _ in range(50):
                got.append(await face.get())
                queue.task_done()

        async with anyio.create_task_group() as group:
            group.start_soon(producer)
            group.start_soon(consumer)
        assert got == list(range(50))
        assert idle(queue)

    run_async(body)


def test_nowait_never_waits_and_raises_what_asyncio_and_queue_raise(
    run_async: RunAsync, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(1)
        for kind in (QueueEmpty, asyncio.QueueEmpty, threads.Empty):
            with pytest.raises(kind, match="await get"):
                queue.get_nowait()
        queue.put_nowait(1)
        for full in (QueueFull, asyncio.QueueFull, threads.Full):
            with pytest.raises(full, match="await put"):
                queue.put_nowait(2)
        assert queue.get_nowait() == 1
        queue.task_done()
        assert idle(queue)

    run_async(body)


# --------------------------------------------------------------------------------------------------- order


def test_getters_are_served_first_come_first_served(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        got: dict[int, Any] = {}

        async def getter(number: int) -> None:
            got[number] = await face.get()

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(getter, number)
                await waiting(queue, getters=number + 1)
            for number in range(8):  # one at a time: threads that are woken together run in any order
                queue.put_nowait(number)
                await until(lambda number=number: len(got) == number + 1)  # type: ignore[misc]
        assert got == {number: number for number in range(8)}
        queue.task_done(8)
        assert idle(queue)

    run_async(body)


def test_putters_are_served_first_come_first_served(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(1)
        face = face_of(queue)
        queue.put_nowait(-1)
        got = []
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(face.put, number)
                await waiting(queue, putters=number + 1)
            for left in range(7, -1, -1):
                got.append(queue.get_nowait())
                await waiting(queue, putters=left)
        got.append(queue.get_nowait())
        assert got == list(range(-1, 8))
        queue.task_done(9)
        assert idle(queue)

    run_async(body)


def test_many_getters_woken_at_once_in_one_loop_get_their_items_in_order(
    run_async: RunAsync, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        got: list[tuple[int, int]] = []

        async def getter(number: int) -> None:
            got.append((number, await queue.get()))

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(getter, number)
                await waiting(queue, getters=number + 1)
            assert queue.put_many_nowait(range(100)) == 100
        assert got == [(number, number) for number in range(100)]
        queue.task_done(100)
        assert idle(queue)

    run_async(body)


def test_a_newcomer_does_not_overtake_the_waiters_of_its_process(
    run_async: RunAsync, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        got: dict[str, Any] = {}

        async def getter() -> None:
            got["waiter"] = await queue.get()

        async with anyio.create_task_group() as group:
            group.start_soon(getter)
            await waiting(queue, getters=1)
            queue.put_many_nowait([1, 2])
            got["newcomer"] = await queue.get()
        assert got == {"waiter": 1, "newcomer": 2}
        queue.task_done(2)
        assert idle(queue)

    run_async(body)


def test_a_cancelled_getter_is_skipped(run_async: RunAsync, make: MakeQueue) -> None:
    async def body() -> None:
        queue = make()
        got: dict[int, Any] = {}
        scopes = [anyio.CancelScope() for _ in range(5)]

        async def getter(number: int) -> None:
            with scopes[number]:
                got[number] = await queue.get()

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(getter, number)
                await waiting(queue, getters=number + 1)
            for number in (0, 2, 4):
                scopes[number].cancel()
            await waiting(queue, getters=2)
            queue.put_many_nowait("ab")
        assert got == {1: "a", 3: "b"}
        queue.task_done(2)
        assert idle(queue)

    run_async(body)


def test_a_cancelled_putter_is_skipped(run_async: RunAsync, make: MakeQueue) -> None:
    async def body() -> None:
        queue = make(1)
        queue.put_nowait("first")
        scopes = [anyio.CancelScope() for _ in range(4)]

        async def putter(number: int) -> None:
            with scopes[number]:
                await queue.put(number)

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(putter, number)
                await waiting(queue, putters=number + 1)
            scopes[0].cancel()
            scopes[2].cancel()
            await waiting(queue, putters=2)
            assert [await queue.get() for _ in range(3)] == ["first", 1, 3]
        queue.task_done(3)
        assert idle(queue)

    run_async(body)


# ---------------------------------------------------------------------------------------- join and task_done


def test_join_waits_until_every_item_was_reported(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        joined = 0

        async def joiner() -> None:
            nonlocal joined
            await face.join()
            joined += 1

        await face.join()  # nothing was put
        queue.put_many_nowait(range(10))
        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(joiner)
                await waiting(queue, joiners=number + 1)
            for left in range(9, -1, -1):
                assert joined == 0
                await face.get()
                assert waiters(queue) == (0, 0, 2)
                queue.task_done()
                assert queue.statistics().unfinished == left
        assert joined == 2
        await face.join()
        assert idle(queue)

    run_async(body)


def test_join_returns_though_more_was_put_right_after_all_was_done(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        queue.put_nowait(1)
        async with anyio.create_task_group() as group:
            group.start_soon(face_of(queue).join)
            await waiting(queue, joiners=1)
            queue.get_nowait()
            queue.task_done()
            queue.put_nowait(2)  # before the joiner runs
        assert queue.get_nowait() == 2
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_join_waits_for_what_was_put_before_it_though_all_was_done_before_that(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        for number in (1, 2):
            queue.put_nowait(number)
            if number == 1:
                queue.get_nowait()
                queue.task_done()
        async with anyio.create_task_group() as group:
            group.start_soon(face_of(queue).join)
            await waiting(queue, joiners=1)
            assert queue.get_nowait() == 2
            assert waiters(queue) == (0, 0, 1)
            queue.task_done()
        assert idle(queue)

    run_async(body)


def test_task_done_called_too_many_times_is_a_value_error(run_async: RunAsync, make: MakeQueue) -> None:
    async def body() -> None:
        queue = make()
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()
        queue.put_nowait(1)
        await queue.get()
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done(2)
        assert queue.statistics().unfinished == 1
        queue.task_done()
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()
        assert idle(queue)

    run_async(body)


# ----------------------------------------------------------------------------------------- peek, clear, bytes


def test_peek_waits_for_an_item_and_leaves_it(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        seen: list[Any] = []

        async def peeker() -> None:
            seen.append(await face.peek())

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(peeker)
                await waiting(queue, getters=number + 1)
            queue.put_nowait("a")  # is enough for all who only look
        assert seen == ["a"] * 3
        queue.put_nowait("b")
        assert [await face.peek(), await face.get(), await face.peek(), await face.get()] == [*"aabb"]
        queue.task_done(2)
        assert idle(queue)

    run_async(body)


def test_a_peeker_does_not_keep_an_item_from_the_getter_behind_it(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        async with anyio.create_task_group() as group:
            group.start_soon(face.peek)
            await waiting(queue, getters=1)
            group.start_soon(face.get)
            await waiting(queue, getters=2)
            queue.put_nowait(1)
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_clear_drops_what_is_there_and_lets_putters_and_joiners_go_on(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(3)
        face = face_of(queue)
        assert queue.clear() == 0
        queue.put_many_nowait(range(3))
        async with anyio.create_task_group() as group:
            group.start_soon(face.join)
            await waiting(queue, joiners=1)
            assert queue.clear() == 3
            await waiting(queue)
            queue.put_many_nowait(range(3))
            group.start_soon(face.put, "next")
            await waiting(queue, putters=1)
            assert queue.clear() == 3
        assert await face.get() == "next"
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_a_put_beyond_max_bytes_waits_until_enough_of_them_are_free(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(max_bytes=10_000, codec="raw")
        face = face_of(queue)
        sizes = [4000, 3000, 3000]
        for size in sizes:
            queue.put_nowait(bytes(size))
        with pytest.raises(QueueFull):
            queue.put_nowait(b"1")
        in_order = isinstance(face, Awaited)  # tasks of one loop wait their turn; threads compete
        async with anyio.create_task_group() as group:
            group.start_soon(face.put, bytes(6000))
            await waiting(queue, putters=1)
            if in_order:
                group.start_soon(face.put, bytes(2000))  # though it would fit sooner
                await waiting(queue, putters=2)
            assert len(await face.get()) == 4000
            assert waiters(queue) == (0, 1 + in_order, 0)
            assert len(await face.get()) == 3000
            await waiting(queue, putters=int(in_order))
            assert queue.statistics().bytes == 9000
            assert len(await face.get()) == 3000
            await waiting(queue, putters=0)
        assert len(await face.get()) == 6000
        if in_order:
            assert len(await face.get()) == 2000
        queue.task_done(4 + in_order)
        assert idle(queue)

    run_async(body)


# ----------------------------------------------------------------------------------------------- all at once


async def pass_awaiting(queue: Queue[int], first: int, count: int, got: list[list[int]]) -> None:
    taken: list[int] = []

    async def produce() -> None:
        for number in range(first, first + count):
            await queue.put(number)

    async def consume() -> None:
        for _ in range(count):
            taken.append(await queue.get())
            queue.task_done()

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        group.start_soon(consume)
    got.append(taken)


def produce_blocking(queue: Queue[int], first: int, count: int) -> None:
    for number in range(first, first + count):
        queue.blocking.put(number)


def consume_blocking(queue: Queue[int], count: int, got: list[list[int]]) -> None:
    taken = []
    for _ in range(count):
        taken.append(queue.blocking.get())
        queue.task_done()
    got.append(taken)


def test_asyncio_uvloop_trio_and_threads_share_one_queue(make: MakeQueue) -> None:
    count = 150
    queue = make(7)
    got: list[list[int]] = []
    uvloop = {"use_uvloop": True}
    calls: list[Callable[[], object]] = [
        lambda: anyio.run(pass_awaiting, queue, 0, count, got, backend="asyncio"),
        lambda: anyio.run(pass_awaiting, queue, 1000, count, got, backend="asyncio", backend_options=uvloop),
        lambda: anyio.run(pass_awaiting, queue, 2000, count, got, backend="trio"),
        lambda: produce_blocking(queue, 3000, count),
        lambda: consume_blocking(queue, count, got),
    ]
    running = [threading.Thread(target=call) for call in calls]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert queue.blocking.join(timeout=60) is True
    every_item_was_taken_once_and_in_order(got, [0, 1000, 2000, 3000], count)
    assert idle(queue)


def every_item_was_taken_once_and_in_order(got: list[list[int]], starts: list[int], count: int) -> None:
    """Every taker sees every producer's items in the order they were put."""
    assert sorted(n for taken in got for n in taken) == [first + n for first in starts for n in range(count)]
    for taken in got:
        for first in starts:
            mine = [number for number in taken if first <= number < first + count]
            assert mine == sorted(mine)


def test_a_queue_goes_from_one_loop_to_the_next(make: MakeQueue) -> None:
    queue = make(1)

    async def pass_through() -> None:
        async def produce() -> None:
            for number in range(5):
                await queue.put(number)

        async with anyio.create_task_group() as group:
            group.start_soon(produce)
            for number in range(5):
                assert await queue.get() == number
                queue.task_done()

    for _ in range(3):
        anyio.run(pass_through, backend="asyncio")
        anyio.run(pass_through, backend="trio")
    assert idle(queue)
