"""What does one field of a large value cost, with a view and with decoding?

    python benchmarks/bench_view.py [--rounds N] [--seconds S]

A SharedDict's values of 100 B to 1 MiB, in two shapes: a record with one long bytes field, and a map of many
small fields; the field that is read stands first, or behind everything else.  Nanoseconds for one field.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import msgpack
from compare import NANOSECONDS, Case, arguments, compare

from aioipc import ManagedSharedMemory, SharedDict

SIZES = (100, 1 << 10, 10 << 10, 100 << 10, 1 << 20)


def record(size: int) -> dict[str, Any]:
    """A few fields around one that has the size."""
    return {"id": 7, "body": b"b" * max(size - 40, 1), "last": 9}


def wide(size: int) -> dict[str, Any]:
    """Fields of about 16 bytes each."""
    return {"id": 7, **{f"field{n:06}": n for n in range(size // 16)}, "last": 9}


class Timed:
    """Nanoseconds for one call, over as many calls as take about `seconds`."""

    def __init__(self, call: Callable[[], Any], seconds: float) -> None:
        self._call, self._seconds, self._count = call, seconds, 10

    def __call__(self) -> float:
        call, calls = self._call, range(self._count)
        began = time.perf_counter_ns()
        for _ in calls:
            call()
        spent = (time.perf_counter_ns() - began) / self._count
        if self._count == 10:
            self._count = min(max(11, int(self._seconds * 1e9 / spent)), 200_000)
            return self()
        return spent


def viewed(shared: SharedDict[str, Any], field: str) -> Callable[[], Any]:
    def call() -> Any:
        with shared.view("value") as view:
            return view[field]

    return call


def one_field(segment: ManagedSharedMemory, shape: Any, size: int, options: Any) -> dict[str, float]:
    shared: SharedDict[str, Any] = SharedDict(segment, "values")
    value = shape(size)
    shared["value"] = value
    packed, unpackb = msgpack.packb(value), msgpack.unpackb
    calls: dict[str, Callable[[], Any]] = {
        "aioipc view, first field": viewed(shared, "id"),
        "aioipc view, last field": viewed(shared, "last"),
        "SharedDict[key], decoded": lambda: shared["value"]["id"],
        "msgpack.unpackb of private bytes": lambda: unpackb(packed)["id"],
    }
    cases: dict[str, Case] = {name: Timed(call, options.seconds) for name, call in calls.items()}
    title = f"One field of a {shape.__name__} value of {len(packed):,} B"
    return compare(title, NANOSECONDS, cases, rounds=options.rounds, reference="aioipc view, first field")


def main() -> None:
    options = arguments(__doc__ or "")
    flat: dict[str, list[float]] = {}
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 16 << 20, lifetime="last_detach") as segment:
        for shape in (record, wide):
            for size in SIZES:
                medians = one_field(segment, shape, size, options)
                for field in ("first", "last"):
                    flat.setdefault(f"{shape.__name__}, {field} field", []).append(
                        medians[f"aioipc view, {field} field"]
                    )
    print()
    for name, times in flat.items():
        growth = max(times) / min(times)
        judged = (
            name.startswith("record") or "first" in name
        )  # fields in front of it are read, as the docs say
        verdict = ("met" if growth <= 1.25 else "MISSED") if judged else "no target: it reads in order"
        print(f"  target {name}: independent of the size: {verdict}; slowest / fastest {growth:.2f}")


if __name__ == "__main__":
    main()
