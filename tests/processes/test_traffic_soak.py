"""Producers, consumers and dict users at work while one of them is killed every 20 ms.

Who is killed is replaced.  A tally in a Block says what was put and what was dealt with: at the end each item
and each value is accounted for.
"""

import asyncio
import gc
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trio

from aioipc import ManagedSharedMemory, Queue, QueueShutDown, SharedDict

PRODUCERS, CONSUMERS, USERS = 4, 4, 4
LARGE = 5000  # bytes: beyond what a record of the queue holds
KEYS = 200
SIZE = 16 << 20  # without the tally
PACE = 0.02  # seconds from one kill to the next


class Tally:
    """A flag to stop; for each producer its next number, a byte for each item put and for each item dealt
    with: no byte has two writers that could undo each other's."""

    _ROWS = 8 + 8 * PRODUCERS

    def __init__(self, memory: memoryview) -> None:
        self.room = (len(memory) - self._ROWS) // (2 * PRODUCERS)  # items of one producer
        self._words = memory[: self._ROWS].cast("q")
        rows = [memory[self._ROWS + i * self.room :][: self.room] for i in range(2 * PRODUCERS)]
        self.put, self.done = rows[:PRODUCERS], rows[PRODUCERS:]

    @classmethod
    def size(cls, room: int) -> int:
        return cls._ROWS + 2 * PRODUCERS * room

    @property
    def stop(self) -> bool:
        return bool(self._words[0])

    @stop.setter
    def stop(self, value: bool) -> None:
        self._words[0] = value

    def begun(self, producer: int) -> int:
        return self._words[1 + producer]

    def next_item(self, producer: int) -> int:
        """Numbers are never used twice: an item that a dead producer had begun may be in the queue."""
        serial = self._words[1 + producer]
        self._words[1 + producer] = serial + 1
        return serial

    def release(self) -> None:
        for view in (self._words, *self.put, *self.done):
            view.release()


@contextmanager
def at_work(name: str, handle: int) -> Iterator[tuple[ManagedSharedMemory, Tally]]:
    with ManagedSharedMemory.open(name) as segment, memoryview(segment.block(handle)) as memory:
        tally = Tally(memory)
        try:
            yield segment, tally
        finally:
            tally.release()


def produce(name: str, handle: int, seat: int) -> None:
    with at_work(name, handle) as (segment, tally):
        queue: Queue[list[object]] = Queue(segment, "traffic")
        while not tally.stop and tally.begun(seat) < tally.room:
            serial = tally.next_item(seat)
            queue.blocking.put([seat, serial, b"x" * (LARGE if serial % 50 == 0 else serial % 90)])
            tally.put[seat][serial] = 1


def consume(name: str, handle: int, seat: int) -> None:
    def deal_with(item: list[object], tally: Tally) -> None:
        producer, serial, payload = item
        assert isinstance(producer, int)
        assert isinstance(serial, int)
        assert payload == b"x" * (LARGE if serial % 50 == 0 else serial % 90)
        tally.done[producer][serial] = 1

    def in_a_thread() -> None:
        with at_work(name, handle) as (segment, tally), suppress(QueueShutDown):
            queue: Queue[list[object]] = Queue(segment, "traffic")
            while True:
                with queue.blocking.lease() as item:
                    deal_with(item, tally)

    async def in_a_loop() -> None:
        with at_work(name, handle) as (segment, tally), suppress(QueueShutDown):
            queue: Queue[list[object]] = Queue(segment, "traffic")
            while True:
                async with queue.lease() as item:
                    deal_with(item, tally)

    if seat % 3 == 0:
        in_a_thread()
    elif seat % 3 == 1:
        asyncio.run(in_a_loop())
    else:
        trio.run(in_a_loop)


def use_dict(name: str, handle: int, seat: int) -> None:
    """Values say what they must look like; whoever reads one checks it."""
    random.seed(os.getpid())
    with at_work(name, handle) as (segment, tally):
        table: SharedDict[int, list[object]] = SharedDict(segment, "table")
        while not tally.stop:
            key, action = random.randrange(KEYS), random.random()
            if action < 0.4:
                size = random.choice((0, 10, 100, 3000))
                table[key] = [key, size, b"v" * size]
            elif action < 0.5:
                table.pop(key, None)
            elif action < 0.6:
                table.update_with(key, lambda value: value, default=[key, 3, b"vvv"])
            elif action < 0.62:
                for found, value in table.items():
                    whole(found, value)
            elif action < 0.63:
                table.clear()
            elif key in table:
                with suppress(KeyError), table.view(key) as view:
                    whole(key, view.decode())
            else:
                value = table.get(key)
                assert value is None or whole(key, value)


def whole(key: int, value: list[object]) -> bool:
    assert isinstance(value[1], int)
    assert value == [key, value[1], b"v" * value[1]]
    return True


class Company:
    """Processes at their seats; leaving the `with` ends them all."""

    def __init__(self, name: str, handle: int) -> None:
        self._place = (name, handle)
        self._roles = [(produce, i) for i in range(PRODUCERS)]
        self._roles += [(consume, i) for i in range(CONSUMERS)]
        self._roles += [(use_dict, i) for i in range(USERS)]
        self._seats: dict[int, tuple[Callable[[str, int, int], None], int]] = {}

    def __enter__(self) -> "Company":
        for role in self._roles:
            self._start(role)
        return self

    def __exit__(self, *_: object) -> None:
        for pid in list(self._seats):
            os.kill(pid, signal.SIGKILL)
            self._bury(pid)

    def _start(self, role: tuple[Callable[[str, int, int], None], int]) -> None:
        pid = os.fork()
        if pid == 0:
            work(role[0], (*self._place, role[1]))
        self._seats[pid] = role

    def _bury(self, pid: int) -> int:
        del self._seats[pid]
        return os.waitpid(pid, 0)[1]

    def kill_one(self) -> None:
        pid = random.choice(list(self._seats))
        role = self._seats[pid]
        os.kill(pid, signal.SIGKILL)
        assert self._bury(pid) == signal.SIGKILL, "a process ended by itself"
        self._start(role)

    def wait_for(self, role: Callable[[str, int, int], None]) -> None:
        """Until those of this role have ended by themselves, without an error."""
        for pid in [pid for pid, (kind, _) in self._seats.items() if kind is role]:
            assert self._bury(pid) == 0, f"{role.__name__} failed"


def work(role: Callable[[str, int, int], None], place: tuple[str, int, int]) -> None:
    """The life of a child: it must not run on into the test."""
    status = 1
    try:
        role(*place)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def account(segment: ManagedSharedMemory, tally: Tally, queue: Queue[list[object]]) -> None:
    """Every item whose put had ended was dealt with; of the others each is in whole or not at all."""
    statistics = queue.statistics()
    assert (statistics.qsize, statistics.leased, statistics.unfinished) == (0, 0, 0)
    for producer in range(PRODUCERS):
        begun = tally.begun(producer)
        put, done = bytes(tally.put[producer][:begun]), bytes(tally.done[producer][:begun])
        lost = [serial for serial in range(begun) if put[serial] and not done[serial]]
        assert not lost, f"producer {producer}: {len(lost)} of {begun} items lost: {lost[:5]}"
        print(f"producer {producer}: {begun} items, {sum(done) - sum(put)} of the dying came through")
    table: SharedDict[int, list[object]] = SharedDict(segment, "table")
    for key, value in table.items():
        whole(key, value)


@pytest.mark.parametrize("kills", [60, pytest.param(5000, marks=pytest.mark.slow)])
def test_every_item_and_value_is_accounted_for_under_kills(segment_name: str, kills: int) -> None:
    tally_size = Tally.size(max(400_000, 3_000 * kills))
    with ManagedSharedMemory.create(segment_name, SIZE + tally_size, lifetime="last_detach") as segment:
        free = segment.free_memory
        block = segment.allocate(tally_size)
        queue: Queue[list[object]] = Queue(segment, "traffic", maxsize=100)
        with memoryview(block) as memory:
            tally = Tally(memory)
            began = time.monotonic()
            with Company(segment_name, block.handle) as company:
                for _ in range(kills):
                    time.sleep(PACE)
                    company.kill_one()
                tally.stop = True
                company.wait_for(produce)
                company.wait_for(use_dict)
                queue.blocking.join()
                queue.shutdown()
                company.wait_for(consume)
            print(f"{kills} kills in {time.monotonic() - began:.1f} s, {queue.statistics()}")
            assert segment.check_sanity(), segment.check_sanity()
            account(segment, tally, queue)
            tally.release()
        segment.deallocate(block)
        assert segment.destroy(Queue, "traffic")
        assert segment.destroy(SharedDict, "table")
        del queue
        gc.collect()
        assert segment.check_sanity()
        assert segment.free_memory == free
        assert [peer.is_self for peer in segment.participants()] == [True]
