"""How long from SIGKILL of a holder until the next holder runs?

    python benchmarks/bench_death.py [--rounds N]

A process takes a lock (to write, the lock of a condition, the only token, the leadership) and is killed; this
one waits for it already, awaiting or blocking.  Milliseconds from just before kill() until this one has it;
20 deaths for each round.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from compare import arguments

from aioipc import CapacityLimiter, Condition, Leader, Lock, ManagedSharedMemory, RWLock

FORKSERVER = multiprocessing.get_context("forkserver")

#: How each is found, and what of it is entered.
HELD: dict[str, tuple[Callable[[ManagedSharedMemory], Any], Callable[[Any], Any]]] = {
    "Lock": (lambda segment: Lock(segment, "lock", spin_us=0), lambda it: it),
    "RWLock.write()": (lambda segment: RWLock(segment, "rwlock"), lambda it: it.write()),
    "Condition": (lambda segment: Condition(segment, "condition"), lambda it: it),
    "CapacityLimiter": (lambda segment: CapacityLimiter(segment, "limiter", 1), lambda it: it),
    "Leader": (lambda segment: Leader(segment, "leader"), lambda it: it),
}


def holder(name: str, kind: str, ready: Connection) -> None:
    segment = ManagedSharedMemory.open(name)
    make, entered = HELD[kind]
    entered(make(segment).blocking).__enter__()
    ready.send(None)
    signal.pause()


def resident_megabytes(pid: int) -> float:
    """The kernel takes 45 to 80 µs for each of them before anybody hears of the death."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def somebody_waits(handle: Any) -> bool:
    if isinstance(handle, RWLock):
        return handle.statistics().waiting_writers > 0
    if isinstance(handle, CapacityLimiter):
        return handle.statistics().tasks_waiting > 0
    lock = handle.lock if isinstance(handle, Condition) else handle
    return bool(lock.statistics().waiters)


def kill_once_queued(handle: Any, pid: int, killed_at: list[int]) -> None:
    while not somebody_waits(handle):
        time.sleep(0.001)
    time.sleep(0.002)  # it is asleep by now
    killed_at.append(time.perf_counter_ns())
    os.kill(pid, signal.SIGKILL)


def now_awaiting(entered: Any) -> int:
    async def enter() -> int:
        async with entered:
            return time.perf_counter_ns()

    return asyncio.run(enter())


def now_blocking(entered: Any) -> int:
    with entered:
        return time.perf_counter_ns()


resident: list[float] = []


def one_death(segment: ManagedSharedMemory, kind: str, awaiting: bool) -> float:
    ours, theirs = FORKSERVER.Pipe()
    process = FORKSERVER.Process(target=holder, args=(segment.name, kind, theirs))
    process.start()
    ours.recv()
    resident.append(resident_megabytes(process.pid))
    make, entered = HELD[kind]
    handle = make(segment)
    killed_at: list[int] = []
    killer = threading.Thread(target=kill_once_queued, args=(handle, process.pid, killed_at))
    killer.start()
    taken = now_awaiting(entered(handle)) if awaiting else now_blocking(entered(handle.blocking))
    killer.join()
    process.join()
    return (taken - killed_at[0]) / 1e6


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 20, lifetime="last_detach") as shared:
        for kind in HELD:
            for how, awaiting in (("awaited", True), ("blocking", False)):
                times = sorted(one_death(shared, kind, awaiting) for _ in range(20 * options.rounds))
                print(
                    f"{kind + ', ' + how:<26} median {statistics.median(times):.2f} ms, min {times[0]:.2f}, "
                    f"p95 {times[int(len(times) * 0.95)]:.2f}, max {times[-1]:.2f}  ({len(times)} deaths)"
                )
        print(f"resident memory of the killed: {statistics.median(resident):.0f} MB")
