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


def timed(body: Callable[[int], object]) -> Case:
    """Nanoseconds of one of PAIRS calls."""

    def case() -> float:
        began = time.perf_counter_ns()
        for i in range(PAIRS):
            body(i)
        return (time.perf_counter_ns() - began) / PAIRS

    return case


def many(segment: ManagedSharedMemory, one_by_one: bool) -> Case:
    def case() -> float:
        began = time.perf_counter_ns()
        for _ in range(PAIRS // 100):
            if one_by_one:
                for block in [segment.allocate(100) for _ in range(100)]:
                    segment.deallocate(block)
            else:
                segment.deallocate_many(segment.allocate_many(100, 100))
        return (time.perf_counter_ns() - began) / PAIRS

    return case


def resized(segment: ManagedSharedMemory) -> Case:
    block = segment.allocate(100)

    def turn(i: int) -> None:
        nonlocal block
        block = segment.resize(block, 1000 if i % 2 else 100, shrink=True)

    return timed(turn)


def from_python(segment: ManagedSharedMemory, rounds: int) -> None:
    def pair(size: int) -> Case:
        return timed(lambda _: segment.deallocate(segment.allocate(size)))

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
            "100 x 100 B one by one, a block": many(segment, True),
            "allocate_many + deallocate_many, 100 x 100 B, a block": many(segment, False),
            "resize in place, 100 to 1,000 B and back": resized(segment),
            "bytearray(64), private": timed(lambda _: bytearray(64)),
            "mmap.mmap(-1, 4096).close(), private": anonymous_maps,
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
