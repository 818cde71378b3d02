"""Queues between real processes: all kinds of them at once, stopped ones, fork, spawn, pickles, signals."""

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioipc import (
    ClosedError,
    ManagedSharedMemory,
    NotFoundError,
    NotOwnerError,
    Queue,
    QueueEmpty,
    QueueShutDown,
)
from tests.support.faces import until
from tests.support.loops import LOOPS
from tests.support.peers import Link, Peer
from tests.support.queues import idle, waiters

Spawn = Callable[..., Peer]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture
def queue(segment: ManagedSharedMemory) -> Queue[Any]:
    return Queue(segment, "q")


@pytest.fixture
def small(segment: ManagedSharedMemory) -> Queue[Any]:
    """A queue with room for one item."""
    return Queue(segment, "q", 1)


def waits_for(queue: Queue[Any], getters: int = 0, putters: int = 0, joiners: int = 0) -> None:
    """Returns when so many stand in the queue's lines."""
    while waiters(queue) != (getters, putters, joiners):
        os.sched_yield()


# --------------------------------------------------------------------------------------------- the roles


async def produce(test: Link, name: str, first: int, count: int) -> None:
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[int] = Queue(segment, "q")
        for number in range(first, first + count):
            await queue.put(number)


def produce_blocking(test: Link, name: str, first: int, count: int) -> None:
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[int] = Queue(segment, "q")
        for number in range(first, first + count):
            queue.blocking.put(number)


async def consume(test: Link, name: str) -> list[int]:
    taken = []
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[int] = Queue(segment, "q")
        async for number in queue:
            taken.append(number)
            queue.task_done()
    return taken


def consume_blocking(test: Link, name: str) -> list[int]:
    taken = []
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[int] = Queue(segment, "q")
        for number in queue.blocking:
            taken.append(number)
            queue.task_done()
    return taken


async def use(test: Link, name: str, *operations: str) -> Any:
    """One operation after the other, awaited; tells what each gave, or the name of what it raised."""
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[Any] = Queue(segment, "q")
        calls: dict[str, Callable[[], Any]] = {
            "get": queue.get,
            "peek": queue.peek,
            "join": queue.join,
            "put": lambda: queue.put("p"),
            "put_many": lambda: queue.put_many("pq"),
            "get_many": lambda: queue.get_many(9),
        }
        for operation in operations:
            try:
                test.send(await calls[operation]())
            except (QueueShutDown, ClosedError) as error:
                test.send(type(error).__name__)
        assert await test.receive_async() == "go"


def use_blocking(test: Link, name: str, *operations: str) -> Any:
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[Any] = Queue(segment, "q")
        for operation in operations:
            arguments = {"put": ["p"], "put_many": ["pq"], "get_many": [9]}.get(operation, [])
            try:
                given = getattr(queue.blocking, operation)(*arguments)
                test.send(None if operation == "join" else given)
            except (QueueShutDown, ClosedError) as error:
                test.send(type(error).__name__)
        assert test.receive() == "go"


def end(peer: Peer) -> None:
    """Lets a peer close its segment and end."""
    peer.go()
    peer.result()


def lease(test: Link, name: str) -> None:
    """Leases an item, says so, and deals with it when told to."""
    with ManagedSharedMemory.open(name) as segment:
        held = Queue[Any](segment, "q").blocking.lease()
        with held as item:
            test.sync([item, held.deliveries])


KINDS: list[tuple[Any, str]] = [*[(use, loop) for loop in LOOPS], (use_blocking, "asyncio")]
every_kind = pytest.mark.parametrize(("role", "loop"), KINDS, ids=[*LOOPS, "blocking"])


# ------------------------------------------------------------------------------------------ all together


@pytest.mark.parametrize("maxsize", [0, 3])
def test_processes_of_every_kind_share_one_queue_and_every_item_is_taken_once(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, maxsize: int
) -> None:
    queue: Queue[int] = Queue(segment, "q", maxsize)
    count = 100
    consumers = [spawn(consume, segment_name, loop=loop) for loop in LOOPS]
    consumers.append(spawn(consume_blocking, segment_name))
    producers = [spawn(produce, segment_name, 1000 * n, count, loop=loop) for n, loop in enumerate(LOOPS)]
    producers.append(spawn(produce_blocking, segment_name, 1000 * len(LOOPS), count))
    for peer in producers:
        peer.result()
    assert queue.blocking.join() is True
    queue.shutdown()
    taken = [peer.result() for peer in consumers]
    starts = [1000 * n for n in range(len(producers))]
    assert sorted(number for mine in taken for number in mine) == [
        first + n for first in starts for n in range(count)
    ]
    for mine in taken:  # every taker gets every producer's items in the order they were put
        for first in starts:
            part = [number for number in mine if first <= number < first + count]
            assert part == sorted(part)
    assert waiters(queue) == (0, 0, 0)


@every_kind
def test_what_is_done_here_wakes_those_who_wait_for_it_there(
    spawn: Spawn, segment_name: str, small: Queue[Any], role: Any, loop: str
) -> None:
    peer = spawn(role, segment_name, "peek", "get", "get_many", "put", "put_many", "join", loop=loop)
    waits_for(small, getters=1)
    small.put_nowait("item")
    assert [peer.receive(), peer.receive()] == ["item", "item"]
    waits_for(small, getters=1)
    small.put_many_nowait(["more"])
    assert peer.receive() == ["more"]
    while not small.full():  # it puts
        os.sched_yield()
    waits_for(small, putters=1)
    assert peer.receive() is None
    assert [small.blocking.get() for _ in range(3)] == ["p", "p", "q"]
    assert peer.receive() is None
    waits_for(small, joiners=1)
    small.task_done(small.statistics().unfinished)
    assert peer.receive() is None
    end(peer)
    assert idle(small)


@every_kind
@pytest.mark.parametrize("how", ["immediate shutdown", "destroy"])
def test_an_end_here_ends_the_waiting_there(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, role: Any, loop: str, how: str
) -> None:
    queue: Queue[Any] = Queue(segment, "q", 1)
    peer = spawn(role, segment_name, "get", "get_many", loop=loop)
    waits_for(queue, getters=1)
    if how == "destroy":
        assert segment.destroy_object(queue)
    else:
        queue.shutdown(immediate=True)
    expected = "ClosedError" if how == "destroy" else "QueueShutDown"
    assert [peer.receive(), peer.receive()] == [expected, expected]
    end(peer)


def test_waiters_of_several_processes_are_served_first_come_first_served(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    peers = []
    for number, (role, loop) in enumerate(KINDS):
        peers.append(spawn(role, segment_name, "get", loop=loop))
        waits_for(queue, getters=number + 1)
    for number, peer in enumerate(peers):
        queue.put_nowait(number)
        assert peer.receive() == number
    for peer in peers:
        end(peer)
    assert waiters(queue) == (0, 0, 0)


@every_kind
def test_a_process_that_waits_does_not_run_until_there_is_something_for_it(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, queue: Queue[Any], role: Any, loop: str
) -> None:
    other: Queue[int] = Queue(segment, "other")

    def switches() -> list[str]:
        status = Path(f"/proc/{peer.pid}/status").read_text()
        return [line for line in status.splitlines() if "ctxt_switches" in line]

    peer = spawn(role, segment_name, "get", loop=loop)
    waits_for(queue, getters=1)
    before = None
    while before is None or switches() != before:  # it goes to sleep after it stood in line
        before = switches()
        with pytest.raises(QueueEmpty):
            other.blocking.get(timeout=0.1)
    for number in range(500):
        other.put_nowait(number)
        other.get_nowait()
    with pytest.raises(QueueEmpty):
        other.blocking.get(timeout=0.3)
    assert switches() == before
    queue.put_nowait("item")
    assert peer.receive() == "item"
    end(peer)


# ------------------------------------------------------------------------------------- stopped processes


def test_a_stopped_consumer_keeps_its_lease_and_does_not_stop_others(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    queue.put_many_nowait(range(3))
    stopped = spawn(lease, segment_name)
    assert stopped.receive() == [0, 1]
    stopped.stop()
    assert [queue.blocking.get(), queue.blocking.get()] == [1, 2]
    with pytest.raises(QueueEmpty):
        queue.blocking.get(timeout=0.05)
    other = spawn(use, segment_name, "get")
    waits_for(queue, getters=1)
    queue.put_nowait("for the other")
    assert other.receive() == "for the other"
    assert queue.statistics().leased == 1
    stopped.resume()
    for peer in (stopped, other):
        end(peer)
    queue.task_done(2)
    assert queue.blocking.join() is True
    assert idle(queue)


@every_kind
def test_a_getter_stopped_while_it_waits_does_not_keep_items_from_others(
    spawn: Spawn, segment_name: str, queue: Queue[Any], role: Any, loop: str
) -> None:
    stopped = spawn(role, segment_name, "get", loop=loop)
    waits_for(queue, getters=1)
    stopped.stop()
    queue.put_nowait("first")  # wakes the stopped one
    assert queue.get_nowait() == "first"
    queue.put_nowait("second")
    stopped.resume()
    assert stopped.receive() == "second"
    queue.task_done(2)
    end(stopped)
    assert idle(queue)


# ---------------------------------------------------------------------------------------------- signals


def interrupted(test: Link, name: str, operation: str) -> Any:
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[Any] = Queue(segment, "q")
        arguments = {"put": ["p"]}.get(operation, [])
        try:
            return getattr(queue.blocking, operation)(*arguments)
        except KeyboardInterrupt:
            return waiters(queue)


def test_ctrl_c_ends_blocking_waits_and_leaves_no_waiter(
    spawn: Spawn, segment_name: str, small: Queue[Any]
) -> None:
    peer = spawn(interrupted, segment_name, "get")
    waits_for(small, getters=1)
    peer.interrupt()
    assert peer.result() == [0, 0, 0]
    small.put_nowait(1)
    for operation, line in [("put", "putters"), ("join", "joiners")]:
        peer = spawn(interrupted, segment_name, operation)
        waits_for(small, **{line: 1})
        peer.interrupt()
        assert peer.result() == [0, 0, 0]
    assert small.get_nowait() == 1
    small.task_done()
    assert idle(small)


# ------------------------------------------------------------------------------------- fork, spawn, pickle


def in_child(act: Callable[[], object]) -> int:
    """Runs `act` in a forked child; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_uses_the_queue_as_a_participant_of_its_own(
    segment: ManagedSharedMemory, queue: Queue[Any]
) -> None:
    def act() -> None:
        assert queue.get_nowait() == "for the child"
        assert {p.pid for p in segment.participants()} == {os.getpid(), os.getppid()}
        asyncio.run(queue.put("from the child"))  # type: ignore[arg-type]
        queue.task_done()
        report = segment.check_sanity()
        assert report, report
        segment.close()

    queue.put_nowait("for the child")
    assert in_child(act) == 0
    assert len(segment.participants()) == 1
    assert queue.blocking.get() == "from the child"
    queue.task_done()
    assert idle(queue)


def test_a_forked_child_does_not_have_its_parent_s_lease(queue: Queue[Any]) -> None:
    queue.put_nowait("job")
    held = queue.blocking.lease()

    def act() -> None:
        with pytest.raises(NotOwnerError):
            held.__exit__(None, None, None)
        assert queue.statistics().leased == 1
        assert queue.qsize() == 0

    with held as item:
        assert item == "job"
        assert in_child(act) == 0
        assert queue.statistics().leased == 1
    assert idle(queue)


def test_a_lease_of_a_forked_child_that_ends_without_closing_comes_back(queue: Queue[Any]) -> None:
    queue.put_nowait("job")
    held = queue.blocking.lease()
    assert in_child(held.__enter__) == 0
    again = queue.blocking.lease()
    with again as item:
        assert (item, again.deliveries) == ("job", 2)
    assert idle(queue)


def test_a_child_forked_while_tasks_wait_neither_wakes_nor_harms_them(small: Queue[Any]) -> None:
    async def body() -> None:
        task = asyncio.create_task(small.get())  # type: ignore[arg-type]
        await until(lambda: waiters(small) == (1, 0, 0))

        def act() -> None:
            assert waiters(small) == (1, 0, 0)
            with pytest.raises(QueueEmpty):
                small.blocking.get(timeout=0.001)
            small.segment.close()

        assert in_child(act) == 0
        assert not task.done()
        small.put_nowait("item")
        assert await task == "item"

    asyncio.run(body())
    small.task_done()
    assert idle(small)


def pass_on(queue: Queue[Any], connection: Any) -> None:
    item = queue.blocking.get()
    queue.task_done()
    connection.send((item, queue.name, queue.segment.name, queue.maxsize))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("name", ["q", None])
def test_a_queue_travels_through_multiprocessing_arguments(
    segment: ManagedSharedMemory, method: str, name: str | None
) -> None:
    context = multiprocessing.get_context(method)
    queue: Queue[Any] = Queue(segment, name, 7)
    ours, theirs = context.Pipe()
    process = context.Process(target=pass_on, args=(queue, theirs))
    process.start()
    queue.put_nowait({"job": 1})
    assert ours.recv() == ({"job": 1}, name, segment.name, 7)
    process.join()
    assert process.exitcode == 0
    ours.close()
    theirs.close()
    process.close()
    assert idle(queue)


def unpickle(test: Link, pickled: str) -> str:
    try:
        queue: Queue[Any] = pickle.loads(bytes.fromhex(pickled))
    except NotFoundError:
        return "not found"
    with queue.segment:
        item: str = queue.get_nowait()
        queue.task_done()
    return item


def test_a_pickle_opens_the_segment_in_another_process_and_a_stale_one_is_not_found(
    spawn: Spawn, segment: ManagedSharedMemory, queue: Queue[Any]
) -> None:
    queue.put_nowait("item")
    pickled = pickle.dumps(queue).hex()
    assert spawn(unpickle, pickled).result() == "item"
    assert idle(queue)
    segment.destroy_object(queue)
    Queue(segment, "q")
    assert spawn(unpickle, pickled).result() == "not found"


# ---------------------------------------------------------------------------------------- ends of processes


def close_holding(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        held = Queue[Any](segment, "q").blocking.lease()
        assert held.__enter__() == "job"
    with pytest.raises(ClosedError):
        held.__exit__(None, None, None)


def test_closing_the_segment_inside_a_lease_returns_the_item(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    queue.put_nowait("job")
    assert spawn(close_holding, segment_name).result() is None
    again = queue.blocking.lease()
    with again as item:
        assert (item, again.deliveries) == ("job", 2)
    assert idle(queue)


def test_an_interpreter_that_ends_with_waiters_and_leases_pending_ends(
    segment_name: str, queue: Queue[Any]
) -> None:
    program = f"""
import asyncio, threading
from aioipc import *
segment = ManagedSharedMemory.open({segment_name!r})
queue = Queue(segment, "q")
leased = queue.blocking.lease()
leased.__enter__()
async def main():
    asyncio.create_task(queue.get())
    await asyncio.sleep(0)
threading.Thread(target=queue.blocking.get, daemon=True).start()
while queue.statistics().getters < 1:
    pass
asyncio.run(main())
loop = asyncio.new_event_loop()
task = loop.create_task(queue.get())
other = loop.create_task(queue.join())
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
"""
    queue.put_nowait("job")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert queue.blocking.get() == "job"
    queue.task_done()
    while waiters(queue) != (0, 0, 0):  # a death is noticed by those who wait
        with pytest.raises(QueueEmpty):
            queue.blocking.get(timeout=0.001)
    assert idle(queue)


def test_one_process_awaits_while_another_blocks_and_a_third_uses_trio(
    spawn: Spawn, segment_name: str, small: Queue[Any], run_async: Callable[..., Any]
) -> None:
    async def body() -> None:
        peers = [
            spawn(produce, segment_name, 0, 40, loop="trio"),
            spawn(produce_blocking, segment_name, 40, 40),
        ]
        got = []
        async with anyio.create_task_group() as group:

            async def getter() -> None:
                for _ in range(20):
                    got.append(await small.get())
                    small.task_done()

            for _ in range(4):
                group.start_soon(getter)
        assert sorted(got) == list(range(80))
        for peer in peers:
            peer.result()

    run_async(body)
    assert idle(small)
