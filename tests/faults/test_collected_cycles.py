"""Cycles of handles, leases, operations and tasks, left to the garbage collector.

In processes of their own: what such a collection did wrong would end the process.
"""

import asyncio
import gc
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from aioipc import Lock, ManagedSharedMemory, Queue
from tests.support.forked import forked
from tests.support.peers import Link
from tests.support.queues import waiters


class Node:
    """Refers to itself, and to more."""

    def __init__(self, **more: Any) -> None:
        self.me = self
        self.__dict__.update(more)


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


def leave_a_lease(segment: ManagedSharedMemory, handle_first: bool) -> None:
    queue: Queue[Any] = Queue(segment, "q")
    lease = queue.blocking.lease()
    lease.__enter__()
    _ = Node(queue=queue, lease=lease) if handle_first else Node(lease=lease, queue=queue)


def collects_a_lease(_: Link, segment: ManagedSharedMemory, handle_first: bool) -> list[Any]:
    gc.disable()
    leave_a_lease(segment, handle_first)
    leased = Queue[Any](segment, "q").statistics().leased
    gc.collect()
    statistics = Queue[Any](segment, "q").statistics()
    return [leased, statistics.leased, statistics.qsize]


@pytest.mark.parametrize("handle_first", [True, False])
def test_a_lease_that_is_collected_together_with_its_queue_puts_its_item_back(
    segment: ManagedSharedMemory, handle_first: bool
) -> None:
    queue: Queue[Any] = Queue(segment, "q")
    queue.put_nowait("job")
    with forked(collects_a_lease, segment, handle_first) as child:
        assert child.result() == [1, 0, 1]
    assert queue.get_nowait() == "job"
    queue.task_done()


def leave_tasks(segment: ManagedSharedMemory) -> list[Any]:
    """Tasks in a closed loop, handles and operations refer to each other; what their names show."""
    full, empty, lock = Queue[Any](segment, "full", 1), Queue[Any](segment, "empty"), Lock(segment, "l")
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
    full.put_nowait(0)
    lock.acquire_nowait()
    operations = [full.put(1), full.join(), lock.acquire(), empty.get(), empty.peek(), empty.get_many(2)]
    operations += [full.put_many([1, 2]), empty.lease().__aenter__()]
    tasks = [loop.create_task(operation) for operation in operations]
    while what_waits(segment) != [[0, 2, 1], [4, 0, 0], 1]:
        loop.call_soon(loop.stop)
        loop.run_forever()
    loop.close()
    never_awaited = [empty.get(), full.put(1), lock.acquire()]
    Node(handles=[full, empty, lock], all=[operations, tasks, never_awaited, loop])
    return what_waits(segment)


def what_waits(segment: ManagedSharedMemory) -> list[Any]:
    queues = Queue[Any](segment, "full"), Queue[Any](segment, "empty")
    return [*[list(waiters(queue)) for queue in queues], Lock(segment, "l").statistics().waiters]


def collects_tasks(_: Link, segment: ManagedSharedMemory) -> list[Any]:
    warnings.simplefilter("ignore")  # "was never awaited"
    gc.disable()
    before = leave_tasks(segment)
    gc.collect()
    return [before, what_waits(segment)]


def test_waiting_operations_that_are_collected_together_with_their_handles_leave_the_lines(
    segment: ManagedSharedMemory,
) -> None:
    with forked(collects_tasks, segment) as child:
        assert child.result() == [[[0, 2, 1], [4, 0, 0], 1], [[0, 0, 0], [0, 0, 0], 0]]
