"""How long a snapshot keeps others waiting: python benchmarks/bench_snapshot.py [MiB ...]

A second process writes to a dict as fast as it can and notes its slowest write. For each size of segment: the
whole snapshot (copy, check, fsync, link), the slowest write beside it, the slowest one without a snapshot.
"""

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aioipc import ManagedSharedMemory, SharedDict

NAME = "aioipc-bench-snapshot"
ROUNDS = 5


def write(told: Any) -> None:
    with ManagedSharedMemory.open(NAME) as segment:
        shared = SharedDict(segment, "d")
        worst, n = 0.0, 0
        told.send(None)
        while True:
            before = time.perf_counter()
            shared["key"] = n
            worst = max(worst, time.perf_counter() - before)
            n += 1
            if n % 64 == 0 and told.poll():
                if told.recv() == "stop":
                    return
                told.send(worst)
                worst = 0.0


def measure(mib: int, folder: Path) -> tuple[float, float, float]:
    """(seconds of a snapshot, slowest write beside it, slowest write in quiet), medians."""
    with ManagedSharedMemory.create(NAME, mib << 20, lifetime="last_detach") as segment:
        block = segment.allocate(segment.largest_free_block - (1 << 20))
        with memoryview(block) as view:
            view[:] = b"\x5a" * block.size
        ours, theirs = multiprocessing.Pipe()
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(theirs,))
        writer.start()
        ours.recv()
        rows = [one(segment, ours, folder / str(i)) for i in range(ROUNDS)]
        ours.send("stop")
        writer.join()
    return tuple(sorted(column)[ROUNDS // 2] for column in zip(*rows, strict=True))  # type: ignore[return-value]


def one(segment: ManagedSharedMemory, writer: Any, path: Path) -> tuple[float, float, float]:
    writer.send("worst")
    writer.recv()
    time.sleep(0.2)
    writer.send("worst")
    quiet = writer.recv()
    before = time.perf_counter()
    segment.snapshot(path)
    took = time.perf_counter() - before
    writer.send("worst")
    beside = writer.recv()
    path.unlink()
    return took, beside, quiet


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [4, 64, 256]
    print(f"{'MiB':>6} {'snapshot ms':>12} {'slowest write ms':>17} {'in quiet ms':>12}")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for mib in sizes:
            took, beside, quiet = measure(mib, Path(folder))
            print(f"{mib:6} {took * 1e3:12.1f} {beside * 1e3:17.1f} {quiet * 1e3:12.2f}")


if __name__ == "__main__":
    main()
