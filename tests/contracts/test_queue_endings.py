"""How a queue ends, for whoever uses and waits for it: shut down, destroyed, its segment closed."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from aioipc import ClosedError, ManagedSharedMemory, Queue, QueueEmpty, QueueShutDown
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


# --------------------------------------------------------------------------------------------- shutdown


async def refuses_everything(queue: Queue[Any], face: Face) -> None:
    for put in (face.put, queue.put):
        with pytest.raises(QueueShutDown):
            await put("data")
    with pytest.raises(QueueShutDown):
        queue.put_nowait("data")
    with pytest.raises(QueueShutDown):
        await face.put_many(["data"])
    for call in (face.get, face.peek, lambda: face.get_many(2)):
        with pytest.raises(QueueShutDown):
            await call()
    with pytest.raises(QueueShutDown):
        queue.get_nowait()
    with pytest.raises(QueueShutDown):
        async with face.lease():
            pytest.fail("there was no item")
    assert await face.all_items() == []


def test_an_empty_queue_that_is_shut_down_ends_getting_and_putting(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        ended: list[str] = []
        async with anyio.create_task_group() as group:
            group.start_soon(ends_with, QueueShutDown, face.get, ended)
            await waiting(queue, getters=1)
            queue.shutdown()
        assert ended == ["ended"]
        assert queue.statistics().shut_down
        await face.join()
        await refuses_everything(queue, face)
        assert waiters(queue) == (0, 0, 0)

    run_async(body)


def test_what_is_in_a_queue_when_it_is_shut_down_can_still_be_got(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make(1)
        face = face_of(queue)
        queue.put_nowait("data")
        ended: list[str] = []
        async with anyio.create_task_group() as group:
            group.start_soon(face.join)
            group.start_soon(ends_with, QueueShutDown, lambda: face.put("data2"), ended)
            await waiting(queue, putters=1, joiners=1)
            queue.shutdown(immediate=False)
            await waiting(queue, joiners=1)
            assert queue.qsize() == 1
            assert await face.get() == "data"
            await refuses_everything(queue, face)
            assert waiters(queue) == (0, 0, 1)
            queue.task_done()
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()
        assert ended == ["ended"]

    run_async(body)


def test_an_immediate_shutdown_drops_what_is_there_and_ends_joining(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        queue.put_many_nowait(["data", b"large" * 1000] * 50)
        async with anyio.create_task_group() as group:
            group.start_soon(face.join)
            await waiting(queue, joiners=1)
            queue.shutdown(immediate=True)
        assert (queue.qsize(), queue.statistics().unfinished) == (0, 0)
        await refuses_everything(queue, face)
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()

    run_async(body)


def test_an_immediate_shutdown_leaves_what_was_got_to_be_reported(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        queue.put_many_nowait(["got", "dropped"])
        async with anyio.create_task_group() as group:
            group.start_soon(face.join)
            await waiting(queue, joiners=1)
            assert await face.get() == "got"
            queue.shutdown(immediate=True)
            assert (queue.qsize(), queue.statistics().unfinished) == (0, 1)
            await refuses_everything(queue, face)
            assert waiters(queue) == (0, 0, 1)
            queue.task_done()
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()

    run_async(body)


def test_put_many_nowait_into_a_queue_that_was_shut_down_only_raises(make: MakeQueue) -> None:
    queue = make()
    queue.shutdown()
    with pytest.raises(QueueShutDown):
        queue.put_many_nowait(["data"])


def test_shutting_down_again_immediately_drops_what_the_first_time_left(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        queue.put_many_nowait([1, 2])
        queue.shutdown()
        queue.shutdown()
        assert queue.qsize() == 2
        queue.shutdown(immediate=True)
        assert queue.qsize() == 0
        queue.shutdown()
        await face.join()
        await refuses_everything(queue, face)

    run_async(body)


def test_iterating_ends_when_the_queue_is_shut_down_and_empty(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        seen: list[Any] = []

        async def iterate() -> None:
            seen.extend(await face.all_items())

        queue.put_nowait(1)
        async with anyio.create_task_group() as group:
            group.start_soon(iterate)
            await waiting(queue, getters=1)
            queue.put_many_nowait([2, 3])
            queue.shutdown()
        assert seen == [1, 2, 3]
        queue.task_done(3)
        await face.join()

    run_async(body)


def test_a_lease_that_fails_after_shutdown_comes_back_and_can_be_got(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        queue.put_nowait(1)
        with failing():
            async with face.lease():
                queue.shutdown()
                raise KeyError
        assert await face.get() == 1
        queue.task_done()
        await face.join()
        await refuses_everything(queue, face)

    run_async(body)


def test_a_lease_that_fails_after_an_immediate_shutdown_counts_as_done(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        queue.put_many_nowait([1, 2])
        async with anyio.create_task_group() as group:
            with failing():
                async with face.lease():
                    group.start_soon(face.join)
                    await waiting(queue, joiners=1)
                    queue.shutdown(immediate=True)
                    assert queue.statistics().unfinished == 1
                    raise KeyError
        assert queue.statistics().leased == 0
        await refuses_everything(queue, face)

    run_async(body)


def test_who_comes_after_shutdown_waits_for_what_is_on_lease_and_gets_it_when_it_comes_back(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        queue.put_nowait("job")
        got: list[Any] = []

        async def get() -> None:
            got.append(await face.get())

        async with anyio.create_task_group() as group:
            with failing():
                async with face.lease():
                    queue.shutdown()
                    with pytest.raises(QueueEmpty):
                        queue.get_nowait()
                    group.start_soon(get)
                    await waiting(queue, getters=1)
                    raise KeyError
        assert got == ["job"]
        queue.task_done()
        await face.join()
        await refuses_everything(queue, face)

    run_async(body)


def test_who_waits_after_shutdown_is_told_when_the_last_lease_is_done(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        queue.put_many_nowait([1, 2])
        ended: list[str] = []
        async with anyio.create_task_group() as group, face.lease():
            async with face.lease():
                for call in (face.get, face.peek):
                    group.start_soon(ends_with, QueueShutDown, call, ended)
                await waiting(queue, getters=2)
                queue.shutdown()
            group.start_soon(ends_with, QueueShutDown, lambda: face.get_many(2), ended)
            await until(lambda: waiters(queue) == (3, 0, 0) or ended != [])
            with pytest.raises(QueueEmpty):
                queue.get_nowait()
            assert ended == []
        assert len(ended) == 3
        await face.join()
        await refuses_everything(queue, face)

    run_async(body)


async def ends_with(error: type[Exception], call: Callable[[], Awaitable[Any]], ended: list[str]) -> None:
    with pytest.raises(error):
        await call()
    ended.append("ended")


async def stand_everywhere(group: Any, queue: Queue[Any], face: Face, ended: list[str]) -> None:
    """Two of each kind that an end concerns; the queue is full, so that getters wait in another test."""
    for call in (lambda: face.put("p"), lambda: face.put_many(["p", "q"])):
        group.start_soon(ends_with, ClosedError, call, ended)
    group.start_soon(ends_with, ClosedError, face.join, ended)
    await waiting(queue, putters=2, joiners=1)


@pytest.mark.parametrize("end", ["destroy", "close"])
def test_destroying_the_queue_or_closing_the_segment_ends_all_putting_and_joining(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue, segment: ManagedSharedMemory, end: str
) -> None:
    async def body() -> None:
        queue = make(1)
        face = face_of(queue)
        queue.put_nowait(0)
        ended: list[str] = []
        async with anyio.create_task_group() as group:
            await stand_everywhere(group, queue, face, ended)
            if end == "close":
                segment.close()
            else:
                assert segment.destroy(Queue, "q")
        assert len(ended) == 3
        for call in (face.get, lambda: face.put(1), face.join, face.peek, lambda: face.get_many(1)):
            with pytest.raises(ClosedError):
                await call()

    run_async(body)


@pytest.mark.parametrize("end", ["destroy", "close"])
def test_destroying_the_queue_or_closing_the_segment_ends_all_getting(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue, segment: ManagedSharedMemory, end: str
) -> None:
    async def body() -> None:
        queue = make()
        face = face_of(queue)
        ended: list[str] = []

        async def lease() -> None:
            async with face.lease():
                pytest.fail("there was no item")

        async with anyio.create_task_group() as group:
            for call in (face.get, face.peek, lambda: face.get_many(3), lease, face.all_items):
                group.start_soon(ends_with, ClosedError, call, ended)
            await waiting(queue, getters=5)
            if end == "close":
                segment.close()
            else:
                assert segment.destroy(Queue, "q")
        assert len(ended) == 5

    run_async(body)


def test_closing_one_handle_leaves_the_waiters_of_another(
    run_async: RunAsync, face_of: MakeFace, make: MakeQueue, segment_name: str
) -> None:
    async def body() -> None:
        queue = make()
        ended: list[str] = []
        with ManagedSharedMemory.open(segment_name) as again:
            async with anyio.create_task_group() as group:
                group.start_soon(ends_with, ClosedError, face_of(Queue(again, "q")).get, ended)
                await waiting(queue, getters=1)
                group.start_soon(face_of(queue).get)
                await waiting(queue, getters=2)
                again.close()
                await waiting(queue, getters=1)
                queue.put_nowait(1)
        assert ended == ["ended"]
        queue.task_done()
        assert idle(queue)

    run_async(body)


def test_shut_down_reaches_every_kind_of_waiter_at_once(run_async: RunAsync, make: MakeQueue) -> None:
    async def body() -> None:
        queue = make()
        ended: list[str] = []
        async with anyio.create_task_group() as group:
            for face in (Awaited(queue), Blocking(queue)):
                for call in (face.get, face.peek, lambda face=face: face.get_many(2)):
                    group.start_soon(ends_with, QueueShutDown, call, ended)
            await waiting(queue, getters=6)
            queue.shutdown()
        assert len(ended) == 6

    run_async(body)
