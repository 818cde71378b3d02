"""What do allocate and deallocate cost: the core beside Boost.Interprocess and malloc, and from Python?

    python benchmarks/bench_heap.py [--rounds N]

The core is measured in C with crash safety on; the loops are the same for all (native/bench_heap_loops.h) and
include heaps from 1 MiB to 1 GiB.
"""

from __future__ import annotations

import mmap
import os
import time

from compare import NANOSECONDS, Case, arguments, compare
from native_programs import build_boost, build_core, compare_programs

from aioipc import ManagedSharedMemory

PAIRS = 50_000


def in_c(rounds: int) -> None:
    programs: dict[str, tuple[os.PathLike[str], list[str]]] = {"aioipc": (build_core("bench_heap.c"), ["1"])}
    boost = build_boost("bench_heap_boost.cpp")
    if boost is not None:
        programs |= {
            "Boost rbtree_best_fit": (boost, ["rbtree", "1"]),
            "Boost simple_seq_fit": (boost, ["seq", "1"]),
            "malloc": (boost, ["malloc", "1"]),
        }
    compare_programs("In C: allocate + deallocate", programs, rounds=rounds)  # type: ignore[arg-type]


def from_python(segment: ManagedSharedMemory, rounds: int) -> None:
    def pair(size: int) -> Case:
        def case() -> float:
            began = time.perf_counter_ns()
            for _ in range(PAIRS):
                segment.deallocate(segment.allocate(size))
            return (time.perf_counter_ns() - began) / PAIRS

        return case

    def bytearrays(size: int) -> Case:
        def case() -> float:
            began = time.perf_counter_ns()
            for _ in range(PAIRS):
                bytearray(size)
            return (time.perf_counter_ns() - began) / PAIRS

        return case

    def anonymous_maps() -> float:
        began = time.perf_counter_ns()
        for _ in range(PAIRS // 50):
            mmap.mmap(-1, 4096).close()
        return (time.perf_counter_ns() - began) / (PAIRS // 50)

    compare(
        "From Python: allocate + deallocate, with its Block object",
        NANOSECONDS,
        {
            "aioipc allocate + deallocate, 64 B": pair(64),
            "aioipc allocate + deallocate, 4 KiB": pair(4096),
            "bytearray(64), private": bytearrays(64),
            "mmap.mmap(-1, 4096).close(), private": anonymous_maps,
        },
        rounds=rounds,
    )


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    in_c(options.rounds)
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 24, lifetime="last_detach") as shared:
        from_python(shared, options.rounds)
