"""What do construct, find and destroy cost: the core beside Boost.Interprocess, and from Python?

    python benchmarks/bench_names.py [--rounds N] [--scale]

100,000 names; with --scale from 10 to 1,000,000.  Boost's find takes a lock that a killed process keeps for
ever; ours takes none.
"""

from __future__ import annotations

import os
import time

from compare import NANOSECONDS, arguments, compare
from native_programs import build_boost, build_core, compare_programs

from aioipc import Lock, ManagedSharedMemory

NAMES = 2_000


def in_c(rounds: int, names: int) -> None:
    programs: dict[str, tuple[os.PathLike[str], list[str]]] = {
        "aioipc": (build_core("bench_catalog.c"), ["1", str(names)])
    }
    boost = build_boost("bench_catalog_boost.cpp")
    if boost is not None:
        programs |= {
            "Boost iset_index": (boost, ["set", "1", str(names)]),
            "Boost iunordered_set": (boost, ["unordered", "1", str(names)]),
        }
    compare_programs("In C: named objects", programs, rounds=rounds)  # type: ignore[arg-type]


def from_python(segment: ManagedSharedMemory, rounds: int) -> None:
    names = [f"object-{i}" for i in range(NAMES)]

    def construct() -> float:
        began = time.perf_counter_ns()
        for name in names:
            segment.construct(Lock, name)
        return (time.perf_counter_ns() - began) / NAMES

    def find() -> float:
        began = time.perf_counter_ns()
        for name in names:
            segment.find(Lock, name)
        return (time.perf_counter_ns() - began) / NAMES

    def destroy() -> float:
        began = time.perf_counter_ns()
        for name in names:
            segment.destroy(Lock, name)
        return (time.perf_counter_ns() - began) / NAMES

    cases = {"aioipc construct": construct, "aioipc find": find, "aioipc destroy": destroy}
    compare(f"From Python: {NAMES} Locks by name, with their handle", NANOSECONDS, cases, rounds=rounds)


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    in_c(options.rounds, 1_000_000 if options.scale else 100_000)
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 24, lifetime="last_detach") as shared:
        from_python(shared, options.rounds)
