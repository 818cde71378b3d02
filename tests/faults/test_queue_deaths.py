"""SIGKILL to those who use a queue: nothing leased is lost, nobody hangs, every item is accounted for."""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from aioipc import ManagedSharedMemory, Queue, QueueEmpty, QueueShutDown
from tests.support.loops import LOOPS
from tests.support.peers import Link, Peer
from tests.support.queues import waiters, waiting

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


def waits_for(queue: Queue[Any], getters: int = 0, putters: int = 0, joiners: int = 0) -> None:
    """Returns when so many stand in the queue's lines."""
    while waiters(queue) != (getters, putters, joiners):
        os.sched_yield()


def forgotten(queue: Queue[Any]) -> bool:
    """Returns when no waiter of a dead process is left: deaths are noticed by those who wait."""
    while waiters(queue) != (0, 0, 0):
        with pytest.raises(QueueEmpty):
            queue.blocking.get(timeout=0.001)
    return queue.statistics().leased == 0


# --------------------------------------------------------------------------------------------- the roles


async def wait(test: Link, name: str, operation: str) -> Any:
    """Waits for something, awaited; says what it got."""
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[Any] = Queue(segment, "q")
        calls = {"get": queue.get, "put": lambda: queue.put("p"), "join": queue.join}
        if operation != "lease":
            test.sync(await calls[operation]())
            return
        held = queue.lease()
        async with held as item:
            test.sync([item, held.deliveries])


def wait_blocking(test: Link, name: str, operation: str) -> Any:
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[Any] = Queue(segment, "q")
        if operation != "lease":
            test.sync(getattr(queue.blocking, operation)(*["p"] * (operation == "put")))
            return
        held = queue.blocking.lease()
        with held as item:
            test.sync([item, held.deliveries])


def hold(test: Link, name: str, how_many: int) -> None:
    """Leases so many items and keeps them."""
    with ManagedSharedMemory.open(name) as segment:
        leases = [Queue[Any](segment, "q").blocking.lease() for _ in range(how_many)]
        test.sync([lease.__enter__() for lease in leases])


def take(test: Link, name: str, how_many: int) -> None:
    """Takes so many items and reports none."""
    with ManagedSharedMemory.open(name) as segment:
        test.sync(Queue[Any](segment, "q").blocking.get_many(how_many))


KINDS: list[tuple[Any, str]] = [(wait, "asyncio"), (wait, "trio"), (wait_blocking, "asyncio")]
every_kind = pytest.mark.parametrize(("role", "loop"), KINDS, ids=["asyncio", "trio", "blocking"])


# -------------------------------------------------------------------------------------------- who waits


@every_kind
def test_a_getter_killed_while_it_waits_takes_nothing_and_stops_nobody(
    spawn: Spawn, segment_name: str, queue: Queue[Any], role: Any, loop: str
) -> None:
    first = spawn(role, segment_name, "get", loop=loop)
    waits_for(queue, getters=1)
    second = spawn(role, segment_name, "get", loop=loop)
    waits_for(queue, getters=2)
    first.kill()
    queue.put_nowait("item")
    assert second.receive() == "item"
    second.go()
    second.result()
    for item in range(3):
        queue.put_nowait(item)
        assert queue.blocking.get() == item
    assert forgotten(queue)


@every_kind
def test_a_getter_killed_with_the_item_on_its_way_to_it_leaves_it_to_the_next(
    spawn: Spawn, segment_name: str, queue: Queue[Any], role: Any, loop: str
) -> None:
    first = spawn(role, segment_name, "get", loop=loop)
    waits_for(queue, getters=1)
    second = spawn(role, segment_name, "get", loop=loop)
    waits_for(queue, getters=2)
    first.stop()
    queue.put_nowait("item")  # wakes the first
    first.kill()
    assert second.receive() == "item"
    second.go()
    second.result()
    assert forgotten(queue)


@every_kind
def test_a_putter_killed_while_it_waits_puts_nothing_and_stops_nobody(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, role: Any, loop: str
) -> None:
    queue: Queue[Any] = Queue(segment, "q", 1)
    queue.put_nowait("zero")
    first = spawn(role, segment_name, "put", loop=loop)
    waits_for(queue, putters=1)
    second = spawn(role, segment_name, "put", loop=loop)
    waits_for(queue, putters=2)
    first.stop()
    assert queue.get_nowait() == "zero"  # wakes the first
    first.kill()
    assert second.receive() is None
    second.go()
    second.result()
    assert queue.blocking.get_many(9) == ["p"]
    assert forgotten(queue)


# ------------------------------------------------------------------------------------------- who has leases


@every_kind
def test_the_item_of_a_killed_lease_holder_goes_to_who_waits_with_one_delivery_more(
    spawn: Spawn, segment_name: str, queue: Queue[Any], role: Any, loop: str
) -> None:
    queue.put_nowait("job")
    holder = spawn(hold, segment_name, 1)
    assert holder.receive() == ["job"]
    waiter = spawn(role, segment_name, "lease", loop=loop)
    waits_for(queue, getters=1)
    holder.kill()
    assert waiter.receive() == ["job", 2]
    waiter.kill()
    again = queue.blocking.lease()
    with again as item:
        assert (item, again.deliveries) == ("job", 3)
    assert queue.blocking.join() is True
    assert forgotten(queue)


def test_a_task_of_any_loop_gets_the_item_of_a_killed_lease_holder(
    spawn: Spawn, segment_name: str, queue: Queue[Any], run_async: Callable[..., Any]
) -> None:
    queue.put_nowait("job")
    holder = spawn(hold, segment_name, 1)
    assert holder.receive() == ["job"]

    async def body() -> None:
        async with anyio.create_task_group() as group:

            async def deal() -> None:
                held = queue.lease()
                async with held as item:
                    assert (item, held.deliveries) == ("job", 2)

            group.start_soon(deal)
            group.start_soon(queue.join)
            await waiting(queue, getters=1, joiners=1)
            holder.kill()

    run_async(body)
    assert forgotten(queue)


def test_the_leases_of_a_killed_process_come_back_in_front_and_in_order(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    queue.put_many_nowait([0, 1, "two" * 1000, 3, 4])
    holder = spawn(hold, segment_name, 3)
    assert holder.receive() == [0, 1, "two" * 1000]
    joiner = spawn(wait_blocking, segment_name, "join")
    waits_for(queue, joiners=1)
    holder.kill()
    while queue.qsize() != 5:
        os.sched_yield()
    assert queue.blocking.get_many(9) == [0, 1, "two" * 1000, 3, 4]
    assert queue.statistics().returned == 3
    queue.task_done(5)
    assert joiner.receive() is True
    joiner.go()
    joiner.result()
    assert forgotten(queue)


@every_kind
def test_the_item_of_a_lease_holder_killed_after_shutdown_goes_to_who_waits(
    spawn: Spawn, segment_name: str, queue: Queue[Any], role: Any, loop: str
) -> None:
    queue.put_nowait("job")
    holder = spawn(hold, segment_name, 1)
    assert holder.receive() == ["job"]
    queue.shutdown()
    waiter = spawn(role, segment_name, "lease", loop=loop)
    waits_for(queue, getters=1)
    holder.kill()
    assert waiter.receive() == ["job", 2]
    waiter.go()
    waiter.result()
    assert queue.blocking.join() is True
    with pytest.raises(QueueShutDown):
        queue.get_nowait()


def test_get_nowait_finds_the_item_of_a_killed_lease_holder(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    queue.put_nowait("job")
    holder = spawn(hold, segment_name, 1)
    assert holder.receive() == ["job"]
    holder.kill()
    assert queue.get_nowait() == "job"
    queue.task_done()
    assert forgotten(queue)


def test_a_lease_holder_killed_in_a_queue_without_other_processes_is_found_by_every_way_of_taking(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: queue.blocking.get(timeout=0),
        lambda: queue.blocking.get_many(1, timeout=0)[0],
        lambda: queue.blocking.peek(timeout=0),
        lambda: queue.blocking.lease(timeout=0).__enter__(),
    ]
    for call in calls:
        queue.put_nowait("job")
        holder = spawn(hold, segment_name, 1)
        assert holder.receive() == ["job"]
        holder.kill()
        assert call() == "job"
        queue.clear()


# ------------------------------------------------------------------------------------------- who took plainly


def test_what_a_killed_process_had_taken_counts_as_done(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    queue.put_many_nowait(range(5))
    taker = spawn(take, segment_name, 3)
    assert taker.receive() == [0, 1, 2]
    joiner = spawn(wait, segment_name, "join")
    waits_for(queue, joiners=1)
    assert queue.blocking.get_many(9) == [3, 4]
    queue.task_done(2)
    assert queue.statistics().unfinished == 3
    taker.kill()
    assert joiner.receive() is None
    joiner.go()
    joiner.result()
    assert queue.blocking.join() is True
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done()
    assert forgotten(queue)


def test_join_without_waiting_sees_that_the_taker_was_killed(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    queue.put_nowait(1)
    taker = spawn(take, segment_name, 1)
    assert taker.receive() == [1]
    assert queue.blocking.join(timeout=0) is False
    taker.kill()
    assert queue.blocking.join(timeout=0) is True


def test_what_others_reported_for_a_killed_taker_is_not_counted_twice(
    spawn: Spawn, segment_name: str, queue: Queue[Any]
) -> None:
    queue.put_many_nowait(range(4))
    taker = spawn(take, segment_name, 2)
    assert taker.receive() == [0, 1]
    queue.task_done(2)  # of this process, for the other
    assert queue.blocking.get_many(9) == [2, 3]
    taker.kill()
    assert queue.blocking.join(timeout=0.05) is False
    assert queue.statistics().unfinished == 2
    queue.task_done(2)
    assert queue.blocking.join() is True


# ------------------------------------------------------------------------------------------ many at random

PRODUCERS, CONSUMERS = 3, 4
LIMIT = 40_000  # items of one producer at most


class Book:
    """A block where everybody writes down what they do: it outlives them.

    begun[p], put[p]: items of producer p whose put began, ended.  seen[p][n]: how often item n was taken.
    """

    SIZE = 16 * PRODUCERS + 8 + PRODUCERS * LIMIT

    def __init__(self, segment: ManagedSharedMemory, handle: int) -> None:
        memory = memoryview(segment.block(handle))
        words = memory[: 16 * PRODUCERS + 8].cast("Q")
        self._views = [memory, words]
        self.begun, self.put = words[:PRODUCERS], words[PRODUCERS : 2 * PRODUCERS]
        self.stop = words[2 * PRODUCERS :]
        self.seen = [
            memory[16 * PRODUCERS + 8 + p * LIMIT : 16 * PRODUCERS + 8 + (p + 1) * LIMIT]
            for p in range(PRODUCERS)
        ]

    def __enter__(self) -> "Book":
        return self

    def __exit__(self, *_: object) -> None:
        for view in [*self.seen, self.begun, self.put, self.stop, *reversed(self._views)]:
            view.release()


async def produce_for_good(test: Link, name: str, handle: int, who: int) -> None:
    with ManagedSharedMemory.open(name) as segment, Book(segment, handle) as book:
        queue: Queue[Any] = Queue(segment, "q")
        test.send("started")
        while not book.stop[0] and book.begun[who] < LIMIT:
            number = book.begun[who]
            book.begun[who] = number + 1
            item = [who, number]
            await queue.put([*item, b"large" * 500] if number % 16 == 0 else item)
            book.put[who] += 1


async def deal_for_good(test: Link, name: str, handle: int, lease: bool) -> None:
    with ManagedSharedMemory.open(name) as segment, Book(segment, handle) as book:
        queue: Queue[Any] = Queue(segment, "q")
        test.send("started")
        try:
            while lease:
                async with queue.lease() as item:
                    book.seen[item[0]][item[1]] += 1
            while True:
                item = await queue.get()
                book.seen[item[0]][item[1]] += 1
                queue.task_done()
        except QueueShutDown:
            pass


def deal_blocking(test: Link, name: str, handle: int, lease: bool) -> None:
    with ManagedSharedMemory.open(name) as segment, Book(segment, handle) as book:
        queue: Queue[Any] = Queue(segment, "q")
        test.send("started")
        try:
            while lease:
                with queue.blocking.lease() as item:
                    book.seen[item[0]][item[1]] += 1
            for item in queue.blocking:
                book.seen[item[0]][item[1]] += 1
                queue.task_done()
        except QueueShutDown:
            pass


class Crowd:
    """Producers and consumers of all kinds; `kill` ends one and starts another in its place."""

    def __init__(self, spawn: Spawn, name: str, handle: int, lease: bool) -> None:
        self.producers = [
            lambda who=who: spawn(produce_for_good, name, handle, who, loop=LOOPS[who])
            for who in range(PRODUCERS)
        ]
        kinds = [
            *[(deal_for_good, loop) for loop in ("asyncio", "uvloop", "trio")],
            (deal_blocking, "asyncio"),
        ]
        self.consumers = [
            lambda role=role, loop=loop: spawn(role, name, handle, lease, loop=loop) for role, loop in kinds
        ]
        self.peers = [start() for start in (*self.producers, *self.consumers)]
        for peer in self.peers:
            assert peer.receive() == "started"
        self.killed = [0] * len(self.peers)

    def kill(self, which: int) -> None:
        self.peers[which].discard()
        self.killed[which] += 1
        self.peers[which] = (*self.producers, *self.consumers)[which]()

    def finish(self, book: Book, queue: Queue[Any]) -> None:
        book.stop[0] = 1
        for peer in self.peers[:PRODUCERS]:
            finish(peer)
        assert queue.blocking.join() is True
        queue.shutdown()
        for peer in self.peers[PRODUCERS:]:
            finish(peer)


def finish(peer: Peer) -> None:
    """Waits for the peer's end; it may still have its "started" to say."""
    envelope = peer._receive()
    if "result" not in envelope:
        peer.result()


def kill_many(
    spawn: Spawn, segment: ManagedSharedMemory, name: str, kills: int, seed: int, lease: bool
) -> tuple[int, int]:
    """(items dealt with more than once, items lost)."""
    choose = random.Random(seed)
    queue: Queue[Any] = Queue(segment, "q", 20)
    block = segment.allocate(Book.SIZE)
    with memoryview(block) as view:
        view[:] = bytes(Book.SIZE)
    with Book(segment, block.handle) as book:
        crowd = Crowd(spawn, name, block.handle, lease)
        for _ in range(kills):
            goal = queue.statistics().taken + choose.randrange(200)
            while queue.statistics().taken < goal and min(book.begun) < LIMIT:
                os.sched_yield()
            crowd.kill(choose.randrange(PRODUCERS + CONSUMERS))
        crowd.finish(book, queue)
        doubled = lost = 0
        for who in range(PRODUCERS):
            assert book.put[who] <= book.begun[who] <= book.put[who] + crowd.killed[who]
            seen = book.seen[who]
            assert not any(seen[book.begun[who] :]), "an item was taken that nobody put"
            doubled += sum(times - 1 for times in seen[: book.begun[who]] if times > 1)
            never = sum(1 for times in seen[: book.begun[who]] if times == 0)
            lost += max(never - crowd.killed[who], 0)  # its put had begun when its producer was killed
        consumers = sum(crowd.killed[PRODUCERS:])
        assert (doubled if lease else lost) <= consumers
        assert (lost if lease else doubled) == 0
    assert queue.qsize() == 0
    assert forgotten(queue)
    segment.deallocate(block)
    return doubled, lost


@pytest.mark.parametrize("lease", [True, False], ids=["leases", "plain gets"])
def test_under_kills_every_item_is_accounted_for(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, lease: bool
) -> None:
    """With leases none is lost, and at most one doubled per consumer killed; else the other way round."""
    kill_many(spawn, segment, segment_name, kills=8, seed=1, lease=lease)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lease", [True, False], ids=["leases", "plain gets"])
def test_under_many_kills_every_item_is_accounted_for(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, lease: bool, seed: int
) -> None:
    kill_many(spawn, segment, segment_name, kills=60, seed=seed, lease=lease)
