"""What do getting and setting a key cost that several processes share?

    python benchmarks/bench_dict.py [--rounds N] [--seconds S] [--scale]

10,000 keys, a few of them asked for most of the time (zipf, 0.99), values of 100 B and 10 KiB; operations a
second of one process, and of two together.  --scale: with 10 to 1,000,000 keys, the longest insert and the
memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from compare import PER_SECOND, Case, Target, arguments, compare, report_targets
from dict_peers import KEYS, PEERS, SIZES, Inherited, available, key_of
from team import Calibrated, Team, rate
from workload import zipf

from aioipc import ManagedSharedMemory, SharedDict

WANTED = [[key_of(number) for number in zipf(KEYS, 100_000, seed)] for seed in (1, 2)]


def work(
    shared: Inherited, start: Callable[[], None], opener: Any, size: int, action: str, me: int, count: int
) -> tuple[int, int]:
    keys, value = islice(cycle(WANTED[me]), count), b"w" * size
    with opener(shared, size) as peer:
        peer.get_all(islice(cycle(WANTED[me]), 10))
        start()
        began = time.monotonic_ns()
        if action == "get":
            peer.get_all(keys)
        else:
            peer.set_all(keys, value)
        return began, time.monotonic_ns()


def case(team: Team, name: str, size: int, action: str, processes: int) -> Callable[[int], float]:
    def measure(count: int) -> float:
        each = max(count // processes, 1)
        jobs = [(work, (PEERS[name][0], size, action, me, each)) for me in range(processes)]
        return rate(team.run(f"{name}, {action}", *jobs), each * processes)

    return measure


Figures = dict[tuple[str, str, int], float]
OURS = "aioipc.SharedDict"
TARGETS: Figures = {
    ("100 B", "get", 1): 4e6, ("100 B", "get", 2): 7.6e6, ("100 B", "set", 1): 2e6, ("100 B", "set", 2): 2e6,
    ("10 KiB", "get", 1): 1.1e6, ("10 KiB", "set", 1): 1.2e6,
}  # fmt: skip
LMDB = "lmdb on tmpfs, 100 a transaction"


def _both(peer: str, small_get: float, small_set: float, get: float, put: float) -> dict[Any, float]:
    shapes = (("100 B", "get"), ("100 B", "set"), ("10 KiB", "get"), ("10 KiB", "set"))
    return {
        (peer, *shape, 1): figure
        for shape, figure in zip(shapes, (small_get, small_set, get, put), strict=True)
    }


FIGURES: dict[Any, float] = {  # what the targets were set against
    **_both("dict (one process)", 24e6, 12e6, 24e6, 12e6),
    **_both("UltraDict2", 6.1e6, 46e3, 4.7e6, 5e3),
    **_both(LMDB, 1.9e6, 0.9e6, 0.87e6, 0.49e6),
    **_both("diskcache on tmpfs", 159e3, 31e3, 137e3, 27e3),
    **_both("Manager().dict", 23e3, 25e3, 24e3, 25e3),
    **_both("redis.asyncio, unix socket", 13e3, 12e3, 10e3, 11e3),
    ("UltraDict2", "100 B", "get", 2): 11.9e6,
    (LMDB, "100 B", "get", 2): 3.4e6,
    (LMDB, "100 B", "set", 2): 0.6e6,
}


def operations(team: Team, peers: list[str], options: Any) -> None:
    for kind, size in SIZES.items():
        for action in ("get", "set"):
            for processes in (1, 2):
                cases: dict[str, Case] = {
                    name: Calibrated(case(team, name, size, action, processes), options.seconds)
                    for name in peers
                    if not (processes == 2 and name.startswith("dict"))
                }
                title = f"{action}, {kind}, {'one process' if processes == 1 else 'two processes together'}"
                medians = compare(title, PER_SECOND, cases, rounds=options.rounds)
                shape = (kind, action, processes)
                if shape in TARGETS:
                    against = {key[0]: figure for key, figure in FIGURES.items() if key[1:] == shape}
                    report_targets([Target(title, OURS, TARGETS[shape], against)], medians, PER_SECOND)


# ---- how the cost grows ----------------------------------------------------------------------------------


def filled(mapping: Any, count: int) -> tuple[float, float, float]:
    """Fills it: ns an insert, the 99.99th percentile, the longest."""
    value, times = b"v" * 100, []
    clock = time.perf_counter_ns
    for key in map(key_of, range(count)):
        began = clock()
        mapping[key] = value
        times.append(clock() - began)
    times.sort()
    return sum(times) / count, times[int(count * 0.9999)], times[-1]


def each(mapping: Any, keys: list[str], value: bytes | None) -> float:
    began = time.perf_counter_ns()
    if value is None:
        for key in keys:
            mapping[key]
    else:
        for key in keys:
            mapping[key] = value
    return (time.perf_counter_ns() - began) / len(keys)


def figures_of(name: str, mapping: Any, keys: list[str], count: int, printed: bool = True) -> None:
    mean, most, longest = filled(mapping, count)
    got, put = each(mapping, keys, None), each(mapping, keys, b"w" * 100)
    if printed:
        shown = f"{got:>8.0f}{put:>8.0f}{mean:>8.0f}{most:>10,.0f}{longest:>12,.0f}"
        print(f"  {f'{name}, {count:,} keys':<28}{shown}", end="\n" if name == "dict" else "")


def growth() -> None:
    print("\nWith n keys, 100 B values: ns for one operation; the inserts with the clock's own 50 to 100 ns")
    print(f"  {'':<28}{'get':>8}{'set':>8}{'insert':>8}{'99.99 %':>10}{'longest':>12}   overhead a key")
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 30, lifetime="last_detach") as segment:
        for count in (10, 100, 1_000, 10_000, 100_000, 1_000_000):
            keys = [key_of(number) for number in zipf(count, 100_000, 1, 0)]
            figures_of("dict", {}, keys, count)
            for turn in range(2):  # the second time its memory has been touched
                free = segment.free_memory
                shared: SharedDict[str, bytes] = SharedDict(segment, f"n{count}")
                figures_of("aioipc", shared, keys, count, printed=turn == 1)
                overhead = (free - segment.free_memory) / count - 100 - len(key_of(0))
                segment.destroy_object(shared)
                del shared
            print(f"   {overhead:.0f} B", flush=True)


def main() -> None:
    options = arguments(__doc__ or "")
    peers = available()
    with Team(2, lambda: Inherited(peers), Inherited.close) as team:
        operations(team, peers, options)
    if options.scale:
        growth()


if __name__ == "__main__":
    main()
