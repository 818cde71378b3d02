"""What runs out says so, and everything works again afterwards; closing under load harms nobody."""

import asyncio
import json
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.lowlevel
import pytest

from aioipc import ClosedError, Lock, ManagedSharedMemory, Queue, SharedDict, TooManyWaitersError

SIZE = 1 << 20
BELLS = 64  # event loops and blocked threads of one process
NODES = SIZE // 2048  # wait nodes of a segment
CONTEXTS = 8  # operations of one process that can be under way at once


@pytest.fixture
def lock(segment_name: str) -> Iterator[Lock]:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach") as segment:
        yield Lock(segment, "lock", spin_us=0)
        assert segment.check_sanity()


@pytest.fixture
def busy_switching() -> Iterator[None]:
    """Makes the interpreter change threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run_threads(*targets: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    return threads


def test_more_blocked_threads_than_bells_are_refused_and_the_others_served(lock: Lock) -> None:
    refused: list[str] = []
    served: list[int] = []

    def block() -> None:
        try:
            with lock.blocking:
                served.append(1)
        except TooManyWaitersError as error:
            refused.append(str(error))

    lock.acquire_nowait()
    threads = run_threads(*[block] * (BELLS + 4))
    while lock.statistics().waiters + len(refused) < BELLS + 4:
        threading.Event().wait(0.001)
    lock.release()
    for thread in threads:
        thread.join()
    assert (len(served), len(refused)) == (BELLS, 4)
    assert "fewer tasks and threads" in refused[0]


@pytest.mark.asyncio
async def test_more_waiting_tasks_than_wait_nodes_are_refused_and_the_others_served(lock: Lock) -> None:
    await lock.acquire()
    tasks = [asyncio.create_task(lock.acquire()) for _ in range(NODES + 10)]
    while lock.statistics().waiters < NODES or not tasks[-1].done():
        await anyio.lowlevel.checkpoint()
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 10
    assert all(isinstance(task.exception(), TooManyWaitersError) for task in refused)
    for task in tasks[:NODES]:
        lock.release()
        assert await task is True
    lock.release()
    assert lock.statistics().waiters == 0


def test_more_threads_than_contexts_share_the_allocator(lock: Lock, busy_switching: None) -> None:
    segment = lock.segment
    free = segment.free_memory

    def work(seed: int) -> None:
        choose = random.Random(seed)
        blocks = []
        for _ in range(300):
            if blocks and choose.random() < 0.5:
                segment.deallocate(blocks.pop(choose.randrange(len(blocks))))
            elif (block := segment.try_allocate(choose.randrange(1, 5000))) is not None:
                blocks.append(block)
        for block in blocks:
            segment.deallocate(block)

    for thread in run_threads(*[lambda seed=seed: work(seed) for seed in range(16)]):
        thread.join()
    assert segment.free_memory == free


class Reading:
    """A codec that reads the segment, when as many threads as there are contexts are decoding."""

    def __init__(self, schemas: SharedDict[str, int]) -> None:
        self.schemas = schemas
        self.all_decode = threading.Barrier(CONTEXTS)

    def encode(self, item: Any) -> bytes:
        return json.dumps(item).encode()

    def decode(self, data: bytes) -> Any:
        self.all_decode.wait()
        return self.schemas["latest"], json.loads(data)


@pytest.mark.parametrize("operation", ["get", "get_many", "peek", "lease"])
def test_as_many_codecs_as_there_are_contexts_use_the_segment_at_once(lock: Lock, operation: str) -> None:
    schemas: SharedDict[str, int] = SharedDict(lock.segment, "schemas")
    schemas["latest"] = 7
    queue: Queue[Any] = Queue(lock.segment, "q", codec=Reading(schemas))
    queue.put_many_nowait([0] * CONTEXTS)
    calls: dict[str, Callable[[], Any]] = {
        "get": queue.blocking.get,
        "get_many": lambda: queue.blocking.get_many(1)[0],
        "peek": queue.blocking.peek,
        "lease": lambda: queue.blocking.lease().__enter__(),
    }
    with ThreadPoolExecutor(CONTEXTS) as pool:
        results = [pool.submit(calls[operation]) for _ in range(CONTEXTS)]
        assert [result.result() for result in results] == [(7, 0)] * CONTEXTS


@pytest.mark.parametrize("seed", range(10))
def test_closing_while_threads_are_in_the_middle_of_everything_ends_them(
    segment_name: str, busy_switching: None, seed: int
) -> None:
    segment = ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach")
    lock = Lock(segment, "lock")
    started = threading.Semaphore(0)
    ended: list[str] = []

    def repeat(name: str, act: Callable[[], object]) -> None:
        started.release()
        try:
            while True:
                act()
        except ClosedError:
            ended.append(name)

    def block() -> None:
        with lock.blocking:
            pass

    def allocate() -> None:
        segment.deallocate(segment.allocate(100))

    async def take() -> None:
        async with lock:
            await asyncio.sleep(0)

    acts = {"block": block, "allocate": allocate, "take": lambda: asyncio.run(take())}
    targets = [lambda name=name, act=act: repeat(name, act) for name, act in acts.items()] * 3
    threads = run_threads(*targets)
    for _ in threads:
        started.acquire()
    for _ in range(random.Random(seed).randrange(100)):
        allocate()
    segment.close()
    for thread in threads:
        thread.join()
    assert sorted(ended) == sorted(list(acts) * 3)
    assert not ManagedSharedMemory.exists(segment_name)
