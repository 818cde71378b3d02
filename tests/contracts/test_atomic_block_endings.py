"""How waiting for an atomic block ends, how a block ends that is cut short, and who is told."""

import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from aioipc import ClosedError, Event, Lock, ManagedSegment, ManagedSharedMemory, Queue
from tests.support.blocks import Enough, enough, names
from tests.support.faces import until

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


# ------------------------------------------------------------------------------------------ giving up


def test_a_cancelled_task_leaves_no_trace(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        async with segment.atomic(), anyio.create_task_group() as group:

            async def other() -> None:
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    async with segment.atomic():
                        pytest.fail("entered")

            scopes: list[anyio.CancelScope] = []
            group.start_soon(other)
            await until(lambda: segment.atomic().statistics().waiters == 1)
            scopes[0].cancel()
            await until(lambda: segment.atomic().statistics().waiters == 0)
        async with segment.atomic():
            pass

    run_async(body)


def test_a_task_that_is_cancelled_inside_has_done_nothing(
    run_async: RunAsync, segment: ManagedSegment
) -> None:
    async def body() -> None:
        with anyio.CancelScope() as scope:
            async with segment.atomic():
                Lock(segment, "new")
                scope.cancel()
                await anyio.sleep_forever()
        assert names(segment) == []

    run_async(body)


def test_ctrl_c_ends_a_threads_wait(segment: ManagedSegment) -> None:
    inside, leave = threading.Event(), threading.Event()

    def holder() -> None:
        with segment.atomic():
            inside.set()
            leave.wait()

    def interrupt() -> None:
        while segment.atomic().statistics().waiters == 0:
            pass
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]

    threads = [threading.Thread(target=holder), threading.Thread(target=interrupt)]
    threads[0].start()
    inside.wait()
    threads[1].start()
    with pytest.raises(KeyboardInterrupt), segment.atomic():
        pytest.fail("entered")
    assert segment.atomic().statistics().waiters == 0
    leave.set()
    for thread in threads:
        thread.join()
    with segment.atomic():
        pass


def test_closing_the_segment_ends_a_wait(run_async: RunAsync, segment: ManagedSharedMemory) -> None:
    async def body() -> None:
        with ManagedSharedMemory.open(segment.name) as again:
            ended: list[type] = []

            async def other() -> None:
                with pytest.raises(ClosedError):
                    async with again.atomic():
                        pytest.fail("entered")
                ended.append(ClosedError)

            async with anyio.create_task_group() as group, segment.atomic():
                group.start_soon(other)
                await until(lambda: segment.atomic().statistics().waiters == 1)
                again.close()
                await until(lambda: bool(ended))

    run_async(body)


@pytest.mark.parametrize("reopened", [True, False])
def test_a_block_whose_segment_is_closed_inside_has_done_nothing(
    run_async: RunAsync, segment: ManagedSharedMemory, reopened: bool
) -> None:
    async def body() -> None:
        with ManagedSharedMemory.create(f"{segment.name}-2", 1 << 20) as keeper:
            other = ManagedSharedMemory.open(keeper.name)
            if not reopened:
                keeper.close()

            async def closes_it() -> None:
                async with other.atomic():
                    Lock(other, "new")
                    other.close()

            with pytest.raises(ClosedError, match="closed inside of its atomic block"):
                await closes_it()
            other = ManagedSharedMemory.open(f"{segment.name}-2")
            assert names(other) == []
            async with other.atomic():
                Lock(other, "new")
            assert other.check_sanity()
            other.close()
        ManagedSharedMemory.remove(f"{segment.name}-2")

    run_async(body)


# ------------------------------------------------------------------------------------------ waiters


def test_waiters_of_what_is_destroyed_are_told_at_the_end(
    run_async: RunAsync, segment: ManagedSegment
) -> None:
    event, queue = Event(segment, "event"), Queue(segment, "queue")

    async def body() -> None:
        ended: list[str] = []

        async def waits(what: str, wait: Callable[[], Awaitable[Any]]) -> None:
            with pytest.raises(ClosedError):
                await wait()
            ended.append(what)

        async with anyio.create_task_group() as group:
            group.start_soon(waits, "event", event.wait)
            group.start_soon(waits, "queue", queue.get)
            await until(lambda: event.statistics().waiters == 1 and queue.statistics().getters == 1)
            async with segment.atomic():
                segment.destroy(Event, "event")
                segment.destroy(Queue, "queue")
                await anyio.lowlevel.checkpoint()
                assert ended == []
        assert sorted(ended) == ["event", "queue"]

    run_async(body)


def test_waiters_of_what_is_taken_back_are_told(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        async def waits(event: Event) -> None:
            with pytest.raises(ClosedError):
                await event.wait()

        async with anyio.create_task_group() as group:
            with enough():
                async with segment.atomic():
                    event = Event(segment, "event")  # and another task has a handle on it
                    group.start_soon(waits, event)
                    await until(lambda: event.statistics().waiters == 1)
                    raise Enough

    run_async(body)
