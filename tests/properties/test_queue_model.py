"""A queue against a deque, driven from three processes, any of which may be killed between two steps.

The model: what was put and not taken, in order; who has which items on lease; how many each took and has not
reported.  A killed process's leases come back in front, oldest first; what it took counts as done.
After every step the segment is sound and the queue says of itself what the model says.
"""

from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aioipc import ManagedSharedMemory, Queue, QueueEmpty, QueueFull
from tests.support.peers import Link, Peer, spawn

PROCESSES = 3
# Inline messages, the largest inline one, and those with a block of their own; with msgpack's heads.
sizes = st.one_of(st.integers(0, 100), st.sampled_from([2040, 2045, 2046, 2048, 2049, 5000, 40_000]))
items = st.tuples(st.integers(0, 25), sizes).map(lambda it: chr(97 + it[0]) * it[1])


def worker(test: Link, name: str) -> None:
    """Does what it is told: [operation, argument, ...] -> answer.  Keeps its leases."""
    leases: list[Any] = []
    with ManagedSharedMemory.open(name) as segment:
        queue: Queue[str] = Queue(segment, "q")
        test.send("ready")
        while True:
            operation, *arguments = test.receive()
            test.send(OPERATIONS[operation](queue, leases, *arguments))


def put(queue: Queue[str], leases: list[Any], item: str) -> bool:
    try:
        queue.put_nowait(item)
    except QueueFull:
        return False
    return True


def put_many(queue: Queue[str], leases: list[Any], many: list[str]) -> int:
    return queue.put_many_nowait(many)


def get(queue: Queue[str], leases: list[Any]) -> str | None:
    try:
        return queue.get_nowait()
    except QueueEmpty:
        return None


def get_many(queue: Queue[str], leases: list[Any], most: int) -> list[str]:
    try:
        return queue.blocking.get_many(most, timeout=0)
    except QueueEmpty:
        return []


def peek(queue: Queue[str], leases: list[Any]) -> str | None:
    try:
        item: str = queue.blocking.peek(timeout=0)
    except QueueEmpty:
        return None
    return item


def lease(queue: Queue[str], leases: list[Any]) -> tuple[str, int] | None:
    held = queue.blocking.lease(timeout=0)
    try:
        item = held.__enter__()
    except QueueEmpty:
        return None
    leases.append(held)
    return item, held.deliveries


def settle(queue: Queue[str], leases: list[Any], which: int, done: bool) -> None:
    leases.pop(which).__exit__(None if done else KeyError, None, None)


def task_done(queue: Queue[str], leases: list[Any], count: int) -> bool:
    try:
        queue.task_done(count)
    except ValueError:
        return False
    return True


def clear(queue: Queue[str], leases: list[Any]) -> int:
    return queue.clear()


OPERATIONS: dict[str, Any] = {
    "put": put, "put_many": put_many, "get": get, "get_many": get_many, "peek": peek, "lease": lease,
    "settle": settle, "task_done": task_done, "clear": clear,
}  # fmt: skip


class Item:
    """One item and how often it was leased."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.deliveries = 0


class QueueMachine(RuleBasedStateMachine):
    name = ""  # set for each run
    who = st.integers(0, PROCESSES - 1)

    def __init__(self) -> None:
        super().__init__()
        self.segment = ManagedSharedMemory.create(self.name, 1 << 22, participants=8, lifetime="last_detach")
        self.queued: deque[Item] = deque()
        self.leased: list[list[Item]] = [[] for _ in range(PROCESSES)]
        self.owed = [0] * PROCESSES  # taken plainly, not reported

    @initialize(maxsize=st.sampled_from([0, 1, 3, 20]))
    def make(self, maxsize: int) -> None:
        self.queue: Queue[str] = Queue(self.segment, "q", maxsize)
        self.maxsize = maxsize
        self.workers = [self.start() for _ in range(PROCESSES)]

    def start(self) -> Peer:
        peer = spawn(worker, self.name)
        assert peer.receive() == "ready"
        return peer

    def ask(self, who: int, *message: Any) -> Any:
        self.workers[who].send(message)
        return self.workers[who].receive()

    def room(self) -> int:
        return max(self.maxsize - len(self.queued), 0) if self.maxsize else 1 << 30

    @rule(who=who, item=items)
    def put(self, who: int, item: str) -> None:
        assert self.ask(who, "put", item) is (self.room() > 0)
        if self.room() > 0:
            self.queued.append(Item(item))

    @rule(who=who, many=st.lists(items, max_size=6), copies=st.sampled_from([1, 1, 1, 30]))
    def put_many(self, who: int, many: list[str], copies: int) -> None:
        fitting = (many * copies)[: self.room()]
        assert self.ask(who, "put_many", many * copies) == len(fitting)
        self.queued.extend(map(Item, fitting))

    @rule(who=who)
    def get(self, who: int) -> None:
        assert self.ask(who, "get") == (self.queued[0].value if self.queued else None)
        if self.queued:
            self.queued.popleft()
            self.owed[who] += 1

    @rule(who=who, most=st.sampled_from([1, 2, 5, 70, 200]))
    def get_many(self, who: int, most: int) -> None:
        taken = self.ask(who, "get_many", most)
        assert taken == [item.value for item in list(self.queued)[:most]]
        for _ in taken:
            self.queued.popleft()
        self.owed[who] += len(taken)

    @rule(who=who)
    def peek(self, who: int) -> None:
        assert self.ask(who, "peek") == (self.queued[0].value if self.queued else None)

    @rule(who=who)
    def lease(self, who: int) -> None:
        answer = self.ask(who, "lease")
        if not self.queued:
            assert answer is None
            return
        item = self.queued.popleft()
        item.deliveries += 1
        assert answer == [item.value, item.deliveries]
        self.leased[who].append(item)

    @precondition(lambda self: any(self.leased))
    @rule(choice=st.integers(0, 1 << 20), done=st.booleans())
    def settle(self, choice: int, done: bool) -> None:
        everybody = [(who, which) for who in range(PROCESSES) for which in range(len(self.leased[who]))]
        who, which = everybody[choice % len(everybody)]
        self.ask(who, "settle", which, done)
        item = self.leased[who].pop(which)
        if not done:
            self.queued.appendleft(item)

    @rule(who=who, count=st.sampled_from([0, 1, 1, 2, 5]))
    def task_done(self, who: int, count: int) -> None:
        """Of what the process took itself: whose items others report is not known."""
        count = min(count, self.owed[who]) if sum(self.owed) else count
        assert self.ask(who, "task_done", count) is (0 < count <= sum(self.owed))
        if 0 < count <= sum(self.owed):
            self.owed[who] -= count

    @rule(who=who)
    def clear(self, who: int) -> None:
        assert self.ask(who, "clear") == len(self.queued)
        self.queued.clear()

    @rule(who=who)
    def kill(self, who: int) -> None:
        self.workers[who].discard()
        self.workers[who] = self.start()  # whoever attaches finds the dead
        self.queued.extendleft(reversed(self.leased[who]))
        self.leased[who].clear()
        self.owed[who] = 0

    @invariant()
    def sound(self) -> None:
        report = self.segment.check_sanity()
        assert report, report

    @invariant()
    def says_what_the_model_says(self) -> None:
        if not hasattr(self, "queue"):
            return
        peeked = peek(self.queue, [])  # it also looks whether somebody has died
        assert peeked == (self.queued[0].value if self.queued else None)
        leased = sum(map(len, self.leased))
        statistics = self.queue.statistics()
        assert (statistics.qsize, statistics.leased) == (len(self.queued), leased)
        assert statistics.unfinished == len(self.queued) + leased + sum(self.owed)
        assert (statistics.getters, statistics.putters, statistics.joiners) == (0, 0, 0)
        assert self.queue.full() is (0 < self.maxsize <= len(self.queued))
        if not self.queued:
            assert statistics.bytes == 0

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            for item in self.queued:
                assert self.queue.get_nowait() == item.value
            for peer in self.workers:
                peer.discard()
            self.segment.destroy_object(self.queue)
        report = self.segment.check_sanity()
        assert report, report
        self.segment.close()


def explore(segment_name: str, examples: int, steps: int) -> None:
    QueueMachine.name = segment_name
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_queue_agrees_with_a_deque(segment_name: str) -> None:
    explore(segment_name, examples=3, steps=25)


@pytest.mark.slow
def test_queue_agrees_with_a_deque_for_long(segment_name: str) -> None:
    explore(segment_name, examples=100, steps=60)
