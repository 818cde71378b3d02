"""Side by side: every benchmark runs aioipc and its peers in turn (A B C, A B C, …) and prints ratios.

A *case* is a function that does the work once and returns how many operations per second it did, or
nanoseconds per operation.  Absolute figures belong to the machine; the ratio to a peer in the same run is
what counts.  A peer that is not installed is skipped with a line that says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass

Case = Callable[[], float]


@dataclass(frozen=True)
class Unit:
    """What the figures mean."""

    name: str
    smaller_is_better: bool

    def ratio(self, ours: float, theirs: float) -> float:
        """Above 1: aioipc is better."""
        return theirs / ours if self.smaller_is_better else ours / theirs


NANOSECONDS = Unit("ns", smaller_is_better=True)
MICROSECONDS = Unit("µs", smaller_is_better=True)
PER_SECOND = Unit("/s", smaller_is_better=False)


def installed(module: str) -> bool:
    """True when a peer can be imported; otherwise says that it is skipped."""
    found = importlib.util.find_spec(module) is not None
    if not found:
        print(f"  skipped: {module} is not installed (pip install -e '.[bench]')")
    return found


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e4:
        return f"{value / 1e3:.1f} k"
    return f"{value:.1f}"


def compare(title: str, unit: Unit, cases: dict[str, Case], *, rounds: int = 5, ours: str = "aioipc") -> None:
    """Runs all cases `rounds` times in turn; prints median, min, max and our ratio to each peer.

    Names that begin with `ours` are ours; every other line shows how the best of ours compares.
    """
    results: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            results[name].append(case())
    medians = {name: statistics.median(values) for name, values in results.items()}
    best = (min if unit.smaller_is_better else max)(
        (value for name, value in medians.items() if name.startswith(ours)), default=None
    )
    print(f"\n{title} [{unit.name}; median of {rounds}, min, max; ratio > 1: aioipc is better]")
    for name, values in results.items():
        figures = "".join(f"{_number(value):>10}" for value in (medians[name], min(values), max(values)))
        ratio = "" if name.startswith(ours) or best is None else f"{unit.ratio(best, medians[name]):>10.2f}"
        print(f"  {name:<46}{figures}{ratio}")


def arguments(description: str) -> argparse.Namespace:
    """--rounds and --scale, the same for every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", action="store_true", help="print how the cost grows as well")
    options = parser.parse_args()
    cpus = len(os.sched_getaffinity(0))
    print(
        f"CPython {platform.python_version()}, {cpus} processors, {platform.machine()}, {platform.release()}"
    )
    return options
