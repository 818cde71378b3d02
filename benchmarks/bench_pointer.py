"""What do pointers that own cost: the core beside Boost.Interprocess, and from Python?

    python benchmarks/bench_pointer.py [--rounds N]

Boost changes a count with one instruction, and never again for an owner that was killed; ours changes it in a
transaction, with a record of who owns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from compare import NANOSECONDS, arguments, compare
from native_programs import build_boost, build_core, compare_programs

from aioipc import ManagedSharedMemory, SharedPtr, Struct, int64

CALLS = 2_000


class Node(Struct):
    value: int64
    next: SharedPtr[Node]


def in_c(rounds: int) -> None:
    programs = {"aioipc": (build_core("bench_shares.c"), ["1"])}
    boost = build_boost("bench_shares_boost.cpp")
    if boost is not None:
        programs["Boost shared_ptr"] = (boost, ["1"])
    compare_programs("In C: pointers that own", programs, rounds=rounds)  # type: ignore[arg-type]


def timed(action: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            action()
        return (time.perf_counter_ns() - began) / CALLS

    return run


def from_python(segment: ManagedSharedMemory, rounds: int) -> None:
    node, owner = Node(segment), SharedPtr(segment, Node, value=1)
    weak = owner.weak()
    cases = {
        "construct an object, drop its handle": timed(lambda: segment.destroy_object(Node(segment))),
        "SharedPtr: make, reset": timed(lambda: SharedPtr(segment, Node, value=1).reset()),
        "SharedPtr: copy, reset": timed(lambda: owner.copy().reset()),
        "WeakPtr: lock, reset": timed(lambda: weak.lock().reset()),  # type: ignore[union-attr]
        "field: assign": timed(lambda: setattr(node, "next", owner)),
        "field: read, drop": timed(lambda: node.next),
    }
    compare("From Python: pointers that own", NANOSECONDS, cases, rounds=rounds)


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    in_c(options.rounds)
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 24, lifetime="last_detach") as shared:
        from_python(shared, options.rounds)
