"""What does a lock cost that nobody contends, and how does it behave when two processes want it?

    python benchmarks/bench_lock.py [--rounds N]

Uncontended: acquire and release, one process, nanoseconds a pair.  Contended: two processes, 20 µs inside and
20 µs outside the lock, for one second; turns per second, the worse process's share, and how often the lock
changed hands.  Then the other primitives beside their namesakes (sync_rows.py).
"""

from __future__ import annotations

import asyncio
import fcntl
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import anyio
import posix_ipc
import sync_rows
from compare import NANOSECONDS, PER_SECOND, Case, arguments, compare, installed

from aioipc import Lock, ManagedSharedMemory

PAIRS = 100_000
SPAWN = multiprocessing.get_context("spawn")


# ---- uncontended -----------------------------------------------------------------------------------------


def plain(make: Callable[[], AbstractContextManager[Any]], pairs: int = PAIRS) -> Case:
    def case() -> float:
        lock = make()
        began = time.perf_counter_ns()
        for _ in range(pairs):
            with lock:
                pass
        return (time.perf_counter_ns() - began) / pairs

    return case


def awaited(make: Callable[[], Any], pairs: int = PAIRS, run: Callable[[Any], float] = asyncio.run) -> Case:
    async def pass_through() -> float:
        lock = make()
        began = time.perf_counter_ns()
        for _ in range(pairs):
            async with lock:
                pass
        return (time.perf_counter_ns() - began) / pairs

    return lambda: run(pass_through())


class Flock:
    """flock(2) as a context manager: released by the kernel when its holder dies, cannot be awaited."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *exc: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


def on_uvloop(main: Any) -> float:
    import uvloop

    return uvloop.run(main)  # type: ignore[no-any-return]


def uncontended(segment: ManagedSharedMemory, rounds: int) -> None:
    cases: dict[str, Case] = {
        "aioipc.Lock, async with": awaited(lambda: Lock(segment, "bench")),
        "aioipc.Lock, async with, uvloop": awaited(lambda: Lock(segment, "bench"), run=on_uvloop),
        "asyncio.Lock (one process)": awaited(asyncio.Lock),
        "anyio.Lock (one process)": awaited(anyio.Lock, PAIRS // 10),
        "anyio.Lock(fast_acquire=True)": awaited(lambda: anyio.Lock(fast_acquire=True), PAIRS // 4),
    }
    if installed("filelock"):
        import filelock

        path = os.path.join(tempfile.mkdtemp(), "lock")
        cases["filelock.AsyncFileLock"] = awaited(lambda: filelock.AsyncFileLock(path), 200)
    compare("Lock that can be awaited, uncontended", NANOSECONDS, cases, rounds=rounds)
    semaphore = posix_ipc.Semaphore(None, posix_ipc.O_CREX, initial_value=1)
    compare(
        "Lock that blocks, uncontended",
        NANOSECONDS,
        {
            "aioipc.Lock.blocking": plain(lambda: Lock(segment, "bench").blocking),
            "multiprocessing.Lock (deadlocks on death)": plain(SPAWN.Lock),
            "posix_ipc.Semaphore (deadlocks on death)": plain(lambda: semaphore),
            "flock": plain(Flock),
        },
        rounds=rounds,
    )
    semaphore.unlink()


# ---- contended -------------------------------------------------------------------------------------------


def busy(microseconds: float) -> None:
    end = time.perf_counter_ns() + int(microseconds * 1000)
    while time.perf_counter_ns() < end:
        pass


class Turns:
    """Counts turns and changes of hands in memory that both processes share."""

    def __init__(self, shared: Any, me: int) -> None:
        self._shared, self._me = shared, me

    def take(self) -> None:
        shared, me = self._shared, self._me
        shared[me] += 1
        if shared[2] != me:
            shared[2] = me
            shared[3] += 1
        busy(20)


async def contend_awaiting(lock: Any, turns: Turns, stop: float) -> None:
    while time.monotonic() < stop:
        async with lock:
            turns.take()
        busy(20)


def contend_blocking(lock: Any, turns: Turns, stop: float) -> None:
    while time.monotonic() < stop:
        with lock:
            turns.take()
        busy(20)


def contender(kind: str, given: Any, shared: Any, me: int, barrier: Any) -> None:
    turns = Turns(shared, me)
    if kind == "multiprocessing":
        barrier.wait()
        contend_blocking(given, turns, time.monotonic() + 1)
        return
    with ManagedSharedMemory.open(given) as segment:
        lock = Lock(segment, "contended", spin_us=0 if "no spin" in kind else None)
        barrier.wait()
        stop = time.monotonic() + 1
        if "blocking" in kind:
            contend_blocking(lock.blocking, turns, stop)
        else:
            asyncio.run(contend_awaiting(lock, turns, stop))


def contended(name: str, rounds: int) -> None:
    notes: dict[str, str] = {}

    def case(kind: str, given: Any) -> Case:
        def run() -> float:
            shared = SPAWN.RawArray("q", 4)
            barrier = SPAWN.Barrier(2)
            pair = [SPAWN.Process(target=contender, args=(kind, given, shared, me, barrier)) for me in (0, 1)]
            for process in pair:
                process.start()
            for process in pair:
                process.join()
            total = shared[0] + shared[1]
            notes[kind] = f"worse share {min(shared[0], shared[1]) / total:.0%}, {shared[3]} changes of hands"
            return float(total)

        return run

    cases = {
        f"aioipc.Lock {kind}": case(kind, name)
        for kind in ("async", "async, no spin", "blocking", "blocking, no spin")
    }
    cases["multiprocessing.Lock"] = case("multiprocessing", SPAWN.Lock())
    compare(
        "Two processes, 20 µs inside, 20 µs outside (ideal 50 k)", PER_SECOND, cases, rounds=min(rounds, 3)
    )
    for kind, note in notes.items():
        print(f"    {kind}: {note}")


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 20, lifetime="last_detach") as segment:
        uncontended(segment, options.rounds)
        contended(f"bench-{os.getpid()}", options.rounds)
        sync_rows.uncontended(segment, options.rounds)
        sync_rows.round_trips(f"bench-{os.getpid()}", options.rounds)
    sync_rows.crowded(f"bench-crowd-{os.getpid()}", options.rounds)
