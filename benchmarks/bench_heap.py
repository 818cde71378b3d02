"""What do allocate and deallocate cost: the core beside Boost.Interprocess and malloc, and from Python?

    python benchmarks/bench_heap.py [--rounds N] [--scale]

The core is measured in C with crash safety on, each algorithm of its own; the loops are the same for all
(native/bench_heap_loops.h) and include heaps from 1 MiB to 1 GiB. `--scale`: from a thousand to ten million
live blocks instead.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from compare import NANOSECONDS, Case, arguments, compare
from native_programs import build_boost, build_core, compare_programs

from aioipc import ManagedSharedMemory

PAIRS = 50_000


def in_c(rounds: int, scale: bool) -> None:
    core, more = build_core("bench_heap.c"), ["1", "scale"] if scale else ["1"]
    programs: dict[str, tuple[Path, Sequence[str]]] = {
        f"aioipc {name}": (core, [name, *more]) for name in ("best_fit", "tlsf", "seq_fit")
    }
    boost = build_boost("bench_heap_boost.cpp")
    if boost is not None:
        programs |= {
            "Boost rbtree_best_fit": (boost, ["rbtree", *more]),
            "Boost simple_seq_fit": (boost, ["seq", *more]),
            "malloc": (boost, ["malloc", *more]),
        }
    compare_programs("In C, processor time: allocate + deallocate", programs, rounds=rounds)


def timed(turn: Callable[[], object], turns: int, parts: int = 1) -> Case:
    """Nanoseconds of a turn, or of each of its parts."""

    def case() -> float:
        began = time.perf_counter_ns()
        for _ in range(turns):
            turn()
        return (time.perf_counter_ns() - began) / (turns * parts)

    return case


def pair(segment: ManagedSharedMemory, size: int) -> Case:
    return timed(lambda: segment.deallocate(segment.allocate(size)), PAIRS)


def one_by_one(segment: ManagedSharedMemory) -> None:
    for block in [segment.allocate(100) for _ in range(100)]:
        segment.deallocate(block)


def resized(segment: ManagedSharedMemory) -> Case:
    def case() -> float:
        block = segment.allocate(100)
        began = time.perf_counter_ns()
        for i in range(PAIRS):
            block = segment.resize(block, 1000 if i % 2 else 100, shrink=True)
        spent = time.perf_counter_ns() - began
        segment.deallocate(block)
        return spent / PAIRS

    return case


def from_python(segment: ManagedSharedMemory, rounds: int) -> None:
    together = timed(lambda: segment.deallocate_many(segment.allocate_many(100, 100)), PAIRS // 100, 100)
    compare(
        "From Python: allocate + deallocate, with its Block object",
        NANOSECONDS,
        {
            "aioipc allocate + deallocate, 64 B": pair(segment, 64),
            "aioipc allocate + deallocate, 4 KiB": pair(segment, 4096),
            "100 x 100 B one by one, a block": timed(lambda: one_by_one(segment), PAIRS // 100, 100),
            "allocate_many + deallocate_many, 100 x 100 B, a block": together,
            "resize in place, 100 to 1,000 B and back": resized(segment),
            "bytearray(64), private": timed(lambda: bytearray(64), PAIRS),
            "mmap.mmap(-1, 4096).close(), private": timed(lambda: mmap.mmap(-1, 4096).close(), PAIRS // 50),
        },
        rounds=rounds,
    )


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    in_c(options.rounds, options.scale)
    if options.scale:
        sys.exit()
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 24, lifetime="last_detach") as shared:
        from_python(shared, options.rounds)
