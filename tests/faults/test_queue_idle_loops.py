"""Event loops that nobody runs, or that were closed, with tasks that wait: nobody waits behind them."""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from aioipc import ManagedSharedMemory, Queue
from tests.support.queues import idle, waiters

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
MAKERS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def queue(segment_name: str) -> Iterator[Queue[Any]]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield Queue(segment, "q", 1)
        report = segment.check_sanity()
        assert report, report


@contextlib.contextmanager
def left_waiting(make: Callable[[], Any], end: str, queue: Queue[Any], operation: Any) -> Iterator[None]:
    """A task waits in a loop that nobody runs within the block."""
    loop = make()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
    task = loop.create_task(operation)
    while sum(waiters(queue)) != 1:
        loop.call_soon(loop.stop)
        loop.run_forever()
    if end == "closed":
        loop.close()
    try:
        yield
    finally:
        if end == "stopped":
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
            loop.close()
        del loop, task, operation
        gc.collect()


@pytest.mark.parametrize("end", ["stopped", "closed"])
@pytest.mark.parametrize("make", list(MAKERS.values()), ids=list(MAKERS))
def test_a_getter_in_a_loop_that_does_not_run_holds_up_no_other(
    run_async: RunAsync, make: Callable[[], Any], end: str, queue: Queue[Any]
) -> None:
    async def body() -> None:
        queue.put_nowait("for a task")
        assert await queue.get() == "for a task"

    with left_waiting(make, end, queue, queue.get()):
        run_async(body)
        queue.put_nowait("for a thread")
        assert queue.blocking.get() == "for a thread"
        queue.put_nowait("at once")
        assert queue.get_nowait() == "at once"
        queue.task_done(3)
    assert idle(queue)


@pytest.mark.parametrize("end", ["stopped", "closed"])
@pytest.mark.parametrize("make", list(MAKERS.values()), ids=list(MAKERS))
def test_a_putter_in_a_loop_that_does_not_run_holds_up_no_other(
    run_async: RunAsync, make: Callable[[], Any], end: str, queue: Queue[Any]
) -> None:
    async def body() -> None:
        assert queue.get_nowait() == "first"
        await queue.put("of a task")

    queue.put_nowait("first")
    with left_waiting(make, end, queue, queue.put("never")):
        run_async(body)
        assert queue.get_nowait() == "of a task"
        queue.blocking.put("of a thread")
        assert queue.get_nowait() == "of a thread"
        queue.task_done(3)
    assert idle(queue)
