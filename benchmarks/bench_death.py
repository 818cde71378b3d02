"""How long from SIGKILL of a lock's holder until the next holder runs?

    python benchmarks/bench_death.py [--rounds N]

A process takes the lock and is killed; this one waits for it already, awaiting or blocking. Milliseconds
from just before kill() to the return of acquire; 20 deaths for each round.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import statistics
import threading
import time
from multiprocessing.connection import Connection

from compare import arguments

from aioipc import Lock, ManagedSharedMemory

FORKSERVER = multiprocessing.get_context("forkserver")


def holder(name: str, ready: Connection) -> None:
    segment = ManagedSharedMemory.open(name)
    Lock(segment, "lock").acquire_nowait()
    ready.send(None)
    signal.pause()


def resident_megabytes(pid: int) -> float:
    """The kernel takes 45 to 80 µs for each of them before anybody hears of the death."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def kill_once_queued(lock: Lock, pid: int, killed_at: list[int]) -> None:
    while lock.statistics().waiters == 0:
        time.sleep(0.001)
    time.sleep(0.002)  # it is asleep by now
    killed_at.append(time.perf_counter_ns())
    os.kill(pid, signal.SIGKILL)


resident: list[float] = []


def one_death(segment: ManagedSharedMemory, awaiting: bool) -> float:
    ours, theirs = FORKSERVER.Pipe()
    process = FORKSERVER.Process(target=holder, args=(segment.name, theirs))
    process.start()
    ours.recv()
    resident.append(resident_megabytes(process.pid))
    lock = Lock(segment, "lock", spin_us=0)
    killed_at: list[int] = []
    killer = threading.Thread(target=kill_once_queued, args=(lock, process.pid, killed_at))
    killer.start()
    if awaiting:
        asyncio.run(lock.acquire())
    else:
        lock.blocking.acquire()
    taken = time.perf_counter_ns()
    assert lock.abandoned
    lock.release()
    killer.join()
    process.join()
    return (taken - killed_at[0]) / 1e6


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 20, lifetime="last_detach") as shared:
        for how, awaiting in (("asyncio", True), ("blocking", False)):
            times = sorted(one_death(shared, awaiting) for _ in range(20 * options.rounds))
            print(
                f"{how:<10} median {statistics.median(times):.2f} ms, min {times[0]:.2f}, "
                f"p95 {times[int(len(times) * 0.95)]:.2f}, max {times[-1]:.2f}  ({len(times)} deaths)"
            )
        print(f"resident memory of the killed: {statistics.median(resident):.0f} MB")
