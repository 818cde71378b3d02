"""What does a block of a pool cost, beside one of the segment: in C, and from Python?

python benchmarks/bench_pool.py [--rounds N]
"""

from __future__ import annotations

import os
import time

from compare import NANOSECONDS, Case, arguments, compare
from native_programs import build_core, compare_programs

from aioipc import AdaptivePool, ManagedSharedMemory, Pool

PAIRS = 20_000


def from_python(segment: ManagedSharedMemory, rounds: int) -> None:
    def pair(source: ManagedSharedMemory | Pool, *size: int) -> Case:
        def case() -> float:
            began = time.perf_counter_ns()
            for _ in range(PAIRS):
                source.deallocate(source.allocate(*size))
            return (time.perf_counter_ns() - began) / PAIRS

        return case

    compare(
        "From Python: allocate + deallocate, 64 B",
        NANOSECONDS,
        {
            "Pool": pair(Pool(segment, None, 64)),
            "Pool, cached": pair(Pool(segment, None, 64, cached=True)),
            "AdaptivePool": pair(AdaptivePool(segment, None, 64)),
            "the segment itself": pair(segment, 64),
        },
        rounds=rounds,
    )


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    program = build_core("bench_pool.c")
    compare_programs("In C: a node of 64 B", {"aioipc": (program, [])}, rounds=options.rounds)
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 24, lifetime="last_detach") as shared:
        from_python(shared, options.rounds)
