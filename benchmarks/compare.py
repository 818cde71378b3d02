"""Side by side: every benchmark runs aioipc and its peers in turn (A B C, A B C, …) and prints ratios.

A *case* is a function that does the work once and returns how many operations per second it did, or
nanoseconds per operation.  Absolute figures belong to the machine; the ratio to a peer in the same run is
what counts.  A peer that is not installed is skipped with a line that says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
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
    if math.isnan(value):
        return "failed"
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e4:
        return f"{value / 1e3:.1f} k"
    return f"{value:.1f}"


def compare(
    title: str,
    unit: Unit,
    cases: dict[str, Case],
    *,
    rounds: int = 5,
    ours: str = "aioipc",
    reference: str = "",
) -> dict[str, float]:
    """Runs all cases `rounds` times in turn; prints median, min, max and our ratio to each peer.

    Names that begin with `ours` are ours; every other line shows how `reference`, or the best of ours,
    compares.  Gives the medians.
    """
    results: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            results[name].append(case())
    results = {  # a round that failed counts only when all did
        name: [value for value in values if not math.isnan(value)] or [math.nan]
        for name, values in results.items()
    }
    medians = {name: statistics.median(values) for name, values in results.items()}
    best = medians.get(reference) or (min if unit.smaller_is_better else max)(
        (value for name, value in medians.items() if name.startswith(ours)), default=None
    )
    print(f"\n{title} [{unit.name}; median of {rounds}, min, max; ratio > 1: aioipc is better]")
    for name, values in results.items():
        figures = "".join(f"{_number(value):>10}" for value in (medians[name], min(values), max(values)))
        ratio = "" if name.startswith(ours) or best is None else f"{unit.ratio(best, medians[name]):>10.2f}"
        print(f"  {name:<46}{figures}{ratio}", flush=True)
    return medians


@dataclass(frozen=True)
class Target:
    """What a case of ours has to reach.

    The figures, ours and the peers', come from one machine.  On another one the target is met when our ratio
    to every peer is at least what those figures imply: the peers of the same run decide.
    """

    name: str
    case: str
    figure: float
    peers: dict[str, float]
    """Each peer's figure where ours was set."""


def report_targets(targets: list[Target], medians: dict[str, float], unit: Unit) -> None:
    """Prints each target as met or missed, with the peer that decides."""
    for target in targets:
        ours = medians.get(target.case, math.nan)
        reached = {  # 1: just what was asked for
            peer: unit.ratio(ours, medians[peer]) / unit.ratio(target.figure, figure)
            for peer, figure in target.peers.items()
            if not math.isnan(medians.get(peer, math.nan))
        }
        if math.isnan(ours) or not reached:
            print(f"  target {target.name}: not measured")
            continue
        peer = min(reached, key=reached.__getitem__)
        got, wanted = unit.ratio(ours, medians[peer]), unit.ratio(target.figure, target.peers[peer])
        missed = sum(share < 1 for share in reached.values())
        print(
            f"  target {target.name}: {f'MISSED against {missed} of {len(reached)}' if missed else 'met'};"
            f" {got:.2f} x {peer}, wanted {wanted:.2f};"
            f" {_number(ours)} of {_number(target.figure)} {unit.name}",
            flush=True,
        )


def arguments(description: str, *flags: str) -> argparse.Namespace:
    """--rounds, --seconds and --scale, the same for every benchmark, and its own flags."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", action="store_true", help="print how the cost grows as well")
    parser.add_argument("--seconds", type=float, default=0.3, help="about how long one case runs each time")
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    cpus = len(os.sched_getaffinity(0))
    print(
        f"CPython {platform.python_version()}, {cpus} processors, {platform.machine()}, {platform.release()}"
    )
    return options
