"""How many messages a second go from one process to another?

    python benchmarks/bench_queue.py [--rounds N] [--seconds S] [--many] [--scale]

One producer and one consumer process; the clock runs from the first put to the last get.  64 B, 1 KiB and
64 KiB of bytes, and a small dict.  --many: two and four of each as well.  --scale: what an item costs with 10
to 1,000,000 others in the queue.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

from compare import PER_SECOND, Case, Target, arguments, compare, report_targets
from queue_peers import BATCH, BOUND, KINDS, Inherited, available
from team import Calibrated, Team, on_asyncio, on_uvloop, rate

from aioipc import ManagedSharedMemory, Queue

Began = tuple[int, int]
OURS = "aioipc, asyncio, put/get"
LOCAL = "asyncio.Queue, two tasks of one process"


# ---- in the workers --------------------------------------------------------------------------------------


def blocking(
    shared: Inherited, start: Any, peer: Any, batch: bool, kind: str, role: int, count: int
) -> Began:
    item = KINDS[kind]
    with peer(shared, kind, role) as (put, get):
        if role == 0:
            put([item] if batch else item)
            start()
            began = time.monotonic_ns()
            if batch:
                for _ in range(count // BATCH):
                    put([item] * BATCH)
            else:
                for _ in range(count):
                    put(item)
        else:
            get(1) if batch else get()
            start()
            began = time.monotonic_ns()
            if batch:
                while count > 0:
                    count -= len(get(min(count, BATCH)))
            else:
                for _ in range(count):
                    get()
        return began, time.monotonic_ns()


async def _awaited(
    shared: Inherited, start: Any, peer: Any, batch: bool, kind: str, role: int, count: int
) -> Began:
    item = KINDS[kind]
    async with peer(shared, kind, role) as (put, get):
        if role == 0:
            await put([item] if batch else item)
            start()
            began = time.monotonic_ns()
            if batch:
                for _ in range(count // BATCH):
                    await put([item] * BATCH)
            else:
                for _ in range(count):
                    await put(item)
        else:
            await (get(1) if batch else get())
            start()
            began = time.monotonic_ns()
            if batch:
                while count > 0:
                    count -= len(await get(min(count, BATCH)))
            else:
                for _ in range(count):
                    await get()
        return began, time.monotonic_ns()


def awaited(shared: Inherited, start: Any, loop: str, *arguments: Any) -> Began:
    run = on_uvloop if loop == "uvloop" else on_asyncio
    return run(_awaited(shared, start, *arguments))  # type: ignore[no-any-return]


# ---- one process -----------------------------------------------------------------------------------------


def between_tasks(kind: str) -> Callable[[int], float]:
    async def consume(queue: asyncio.Queue[Any], count: int) -> None:
        for _ in range(count):
            await queue.get()

    async def main(count: int) -> float:
        queue: asyncio.Queue[Any] = asyncio.Queue(BOUND)
        item = KINDS[kind]
        began = time.monotonic_ns()
        consumer = asyncio.create_task(consume(queue, count))
        for _ in range(count):
            await queue.put(item)
        await consumer
        return count * 1e9 / (time.monotonic_ns() - began)

    return lambda count: asyncio.run(main(count))


# ---- the comparison --------------------------------------------------------------------------------------


def between_processes(team: Team, name: str, peer: Any, kind: str, pairs: int) -> Callable[[int], float]:
    function, loop, _, batch, _ = peer

    def measure(count: int) -> float:
        each = max(count // pairs // BATCH, 1) * BATCH
        job = awaited if loop else blocking
        first = (loop, function) if loop else (function,)
        jobs = [(job, (*first, batch, kind, role, each)) for role in (0, 1) for _ in range(pairs)]
        return rate(team.run(f"{name}, {kind}", *jobs), each * pairs)

    return measure


def throughput(
    team: Team, peers: dict[str, Any], options: Any, kind: str, pairs: int = 1
) -> dict[str, float]:
    barred = {kind, "many" if pairs > 1 else ""}
    cases: dict[str, Case] = {
        name: Calibrated(between_processes(team, name, peer, kind, pairs), options.seconds)
        for name, peer in peers.items()
        if not (peer[4] and peer[4] in barred)
    }
    if pairs == 1:
        cases[LOCAL] = Calibrated(between_tasks(kind), options.seconds)
    shape = "one producer, one consumer" if pairs == 1 else f"{pairs} producers, {pairs} consumers"
    return compare(f"Queue, {kind}, {shape}", PER_SECOND, cases, rounds=options.rounds, reference=OURS)


FIGURES: dict[str, dict[str, float]] = {  # shared/design: what the targets were set against
    "multiprocessing.Queue": {"64 B": 206e3, "1 KiB": 191e3, "64 KiB": 18e3, "dict": 184e3},
    "multiprocessing.Queue + to_thread": {"64 B": 12e3, "1 KiB": 18e3, "64 KiB": 9e3, "dict": 18e3},
    "faster-fifo put/get_many": {"64 B": 392e3, "1 KiB": 355e3, "64 KiB": 91e3, "dict": 343e3},
    "pyzmq, sync": {"64 B": 2.0e6, "1 KiB": 740e3, "64 KiB": 19e3, "dict": 615e3},
    "pyzmq, asyncio": {"64 B": 86e3, "1 KiB": 92e3, "dict": 82e3},
    "posix_ipc.MessageQueue": {"64 B": 954e3, "1 KiB": 660e3, "dict": 522e3},
    "asyncio stream, unix socket": {"64 B": 759e3, "1 KiB": 490e3, "64 KiB": 48e3, "dict": 422e3},
    "redis.asyncio, unix socket": {"64 B": 14e3, "1 KiB": 13e3, "64 KiB": 9e3, "dict": 13e3},
    LOCAL: {"64 B": 1.88e6, "1 KiB": 1.82e6, "64 KiB": 1.92e6, "dict": 1.92e6},
}


def targets(kind: str) -> list[Target]:
    against = {peer: figures[kind] for peer, figures in FIGURES.items() if kind in figures}
    figure = {"64 B": 4e6, "1 KiB": 3e6, "64 KiB": 350e3, "dict": 1.9e6}[kind]
    found = [
        Target(f"put/get, {kind}, {loop}", f"aioipc, {loop}, put/get", figure, against)
        for loop in ("asyncio", "uvloop")
    ]
    if kind == "64 B":
        found.append(Target("put_many/get_many, 64 B", "aioipc, asyncio, put_many/get_many", 10e6, against))
    return found


# ---- how the cost grows ----------------------------------------------------------------------------------


async def with_backlog(segment: ManagedSharedMemory, backlog: int) -> float:
    """ns for a put and a get while that many items are in the queue."""
    queue: Queue[bytes] = Queue(segment, f"backlog-{backlog}", codec="raw")
    item, pairs = b"x" * 64, 20_000
    for _ in range(backlog // 1000 + 1):
        await queue.put_many([item] * min(backlog, 1000))
    began = time.perf_counter_ns()
    for _ in range(pairs):
        await queue.put(item)
        await queue.get()
    spent = (time.perf_counter_ns() - began) / pairs
    segment.destroy_object(queue)
    return spent


def growth() -> None:
    print("\nOne put and one get, 64 B, with a backlog [ns, best of 3]")
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 512 << 20, lifetime="last_detach") as segment:
        for backlog in (10, 100, 1_000, 10_000, 100_000, 1_000_000):
            best = min(asyncio.run(with_backlog(segment, backlog)) for _ in range(3))
            print(f"  {backlog:>9,} items {best:>8.0f}")


def main() -> None:
    options = arguments(__doc__ or "", "--many")
    with Team(8 if options.many else 2, Inherited, Inherited.close) as team:
        peers = available(team.inherited.redis)
        for kind in KINDS:
            medians = throughput(team, peers, options, kind)
            report_targets(targets(kind), medians, PER_SECOND)
        for pairs in (2, 4) if options.many else ():
            throughput(team, peers, options, "64 B", pairs)
    if options.scale:
        growth()


if __name__ == "__main__":
    main()
