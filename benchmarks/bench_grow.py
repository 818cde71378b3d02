"""What growing and trimming cost, the caller and the others: python benchmarks/bench_grow.py [MiB ...]

A second process allocates and frees as fast as it can and notes its slowest turn. For each size: how long a
`grow` by so much takes, a `trim` of it, and getting the pages again for one allocation (with the zeros that
it writes); and the slowest turn beside each, and in quiet. Medians of 5.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from typing import Any

from aioipc import ManagedSharedMemory

NAME = "aioipc-bench-grow"
ROUNDS = 5
Row = tuple[float, float]  # seconds of the call, slowest turn beside it


def work(told: Any) -> None:
    with ManagedSharedMemory.open(NAME) as segment:
        worst, n = 0.0, 0
        told.send(None)
        while True:
            before = time.perf_counter()
            segment.deallocate(segment.allocate(100))
            worst = max(worst, time.perf_counter() - before)
            n += 1
            if n % 64 == 0 and told.poll():
                if told.recv() == "stop":
                    return
                told.send(worst)
                worst = 0.0


def measure(mib: int) -> dict[str, Row]:
    """Medians for each act."""
    rows: dict[str, list[Row]] = {"in quiet": [], "grow": [], "trim": [], "again": []}
    for _ in range(ROUNDS):
        with ManagedSharedMemory.create(
            NAME, 1 << 20, max_size=(mib + 16) << 20, lifetime="last_detach"
        ) as segment:
            ours, theirs = multiprocessing.Pipe()
            worker = multiprocessing.get_context("spawn").Process(target=work, args=(theirs,))
            worker.start()
            ours.recv()
            rows["in quiet"].append(one(ours, lambda: time.sleep(0.2)))
            rows["grow"].append(one(ours, lambda segment=segment: segment.grow(mib << 20)))
            rows["trim"].append(one(ours, segment.trim))
            rows["again"].append(one(ours, lambda segment=segment: segment.allocate((mib - 1) << 20)))
            ours.send("stop")
            worker.join()
    return {act: median(found) for act, found in rows.items()}


def one(worker: Any, act: Callable[[], Any]) -> Row:
    worker.send("worst")
    worker.recv()
    before = time.perf_counter()
    act()
    took = time.perf_counter() - before
    worker.send("worst")
    return took, worker.recv()


def median(rows: list[Row]) -> Row:
    took, worst = (sorted(column)[len(rows) // 2] for column in zip(*rows, strict=True))
    return took, worst


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [16, 256, 1024]
    print(f"{'MiB':>6} {'':>9} {'the call ms':>12} {'ms per GiB':>11} {'slowest turn of the other ms':>29}")
    for mib in sizes:
        for act, (took, worst) in measure(mib).items():
            each = "" if act == "in quiet" else f"{took * 1e3 / mib * 1024:11.1f}"
            print(f"{mib:6} {act:>9} {took * 1e3:12.1f} {each:>11} {worst * 1e3:29.2f}")


if __name__ == "__main__":
    main()
