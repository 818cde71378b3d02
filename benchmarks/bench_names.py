"""What do construct, find, lists and destroy cost: the core beside Boost.Interprocess, and from Python?

    python benchmarks/bench_names.py [--rounds N] [--scale]

From 10 to 100,000 names; with --scale to 1,000,000.  Boost's find takes a lock that a killed process
keeps for ever; ours takes none.  `list 100` is all names with a common beginning, of which there are a
hundred: Boost goes through all names for them, without a lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Literal

from compare import NANOSECONDS, arguments, compare
from native_programs import build_boost, build_core, compare_programs

from aioipc import Lock, ManagedSharedMemory

NAMES = 2_000
Index = Literal["hash", "ordered"]
INDEXES: tuple[Index, ...] = ("hash", "ordered")


def in_c(rounds: int, names: int) -> None:
    program = build_core("bench_catalog.c")
    programs: dict[str, tuple[os.PathLike[str], list[str]]] = {
        "aioipc hash": (program, ["hash", "1", str(names)]),
        "aioipc ordered": (program, ["ordered", "1", str(names)]),
    }
    boost = build_boost("bench_catalog_boost.cpp")
    if boost is not None:
        programs |= {
            "Boost iset_index": (boost, ["set", "1", str(names)]),
            "Boost iunordered_set": (boost, ["unordered", "1", str(names)]),
        }
    compare_programs("In C: named objects", programs, rounds=rounds)  # type: ignore[arg-type]


def each(call: Callable[[str], object], names: list[str]) -> Callable[[], float]:
    """Measures a call for each of the names: ns a call."""

    def measured() -> float:
        began = time.perf_counter_ns()
        for name in names:
            call(name)
        return (time.perf_counter_ns() - began) / len(names)

    return measured


def from_python(index: Index, segment: ManagedSharedMemory, rounds: int) -> None:
    names = [f"object-{i}" for i in range(NAMES)]

    def find_in_a_block(name: str) -> None:
        with segment.atomic():
            segment.find(Lock, name)

    cases = {
        "construct": each(lambda name: segment.construct(Lock, name), names),
        "find": each(lambda name: segment.find(Lock, name), names),
        "find in an atomic block of its own": each(find_in_a_block, names),
        "list 11 of them": each(lambda name: segment.named_objects(prefix=name), ["object-100"] * 20),
        "destroy": each(lambda name: segment.destroy(Lock, name), names),
    }
    title = f"From Python: {NAMES} Locks by name, with their handle, index={index!r}"
    compare(title, NANOSECONDS, cases, rounds=rounds)


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    in_c(options.rounds, 1_000_000 if options.scale else 100_000)
    for index in INDEXES:
        name = f"bench-{os.getpid()}"
        with ManagedSharedMemory.create(name, 1 << 24, index=index, lifetime="last_detach") as shared:
            from_python(index, shared, options.rounds)
