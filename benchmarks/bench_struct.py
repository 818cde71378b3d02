"""What does reading or writing one field of a record cost?

    python benchmarks/bench_struct.py [--rounds N]

A Struct, a ctypes.Structure over the same kind of memory, the struct module on a memoryview, and a field of a
numpy record: one float64, one uint32, one item of a float64[16], one atomic addition.  Nanoseconds for one
access, the loop that makes them taken off.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from collections.abc import Callable
from typing import Annotated, Any

from compare import NANOSECONDS, Case, arguments, compare, installed

from aioipc import AtomicInt64, Items, ManagedSharedMemory, Struct, float64, uint32

CALLS = 100_000


class Tick(Struct):
    price: float64
    volume: uint32
    hits: AtomicInt64
    bids: Annotated[Items[float], float64[16]]


class CTick(ctypes.Structure):
    """The same for ctypes."""

    _fields_ = (
        ("price", ctypes.c_double),
        ("volume", ctypes.c_uint32),
        ("hits", ctypes.c_int64),
        ("bids", ctypes.c_double * 16),
    )


def timed(statement: str, **names: Any) -> Case:
    """A case that repeats the statement, written out, and takes off what an empty loop takes."""
    body = "\n            ".join([statement] * 10)
    source = f"""
def run(clock, calls):
        began = clock()
        for _ in calls:
            {body}
        spent = clock() - began
        began = clock()
        for _ in calls:
            pass
        return spent - (clock() - began)
"""
    scope = dict(names)
    exec(source, scope)
    run: Callable[..., int] = scope["run"]
    calls = range(CALLS // 10)
    return lambda: run(time.perf_counter_ns, calls) / CALLS


def names_of(segment: ManagedSharedMemory) -> dict[str, Any]:
    """What the statements call things."""
    tick, block = Tick(segment, "tick"), memoryview(segment.allocate(256))
    double, word, ctick = struct.Struct("d"), struct.Struct("I"), CTick.from_buffer(block)
    return {
        "t": tick,
        "bids": tick.bids,
        "field": tick.hits,
        "hits": AtomicInt64(segment, "hits"),
        "c": ctick,
        "cbids": ctick.bids,
        "m": block,
        "get64": double.unpack_from,
        "put64": double.pack_into,
        "get32": word.unpack_from,
        "put32": word.pack_into,
    }


OURS, CTYPES, MODULE, NUMPY = "aioipc Struct", "ctypes", "struct module", "numpy record"
TABLES: dict[str, dict[str, str]] = {
    "Reading a float64": {OURS: "t.price", CTYPES: "c.price", MODULE: "get64(m, 0)[0]"},
    "Writing a float64": {OURS: "t.price = 1.5", CTYPES: "c.price = 1.5", MODULE: "put64(m, 0, 1.5)"},
    "Reading a uint32": {OURS: "t.volume", CTYPES: "c.volume", MODULE: "get32(m, 8)[0]"},
    "Writing a uint32": {OURS: "t.volume = 7", CTYPES: "c.volume = 7", MODULE: "put32(m, 8, 7)"},
    "Reading an item of a kept array": {OURS: "bids[3]", CTYPES: "cbids[3]"},
    "Reading an item through the record": {OURS: "t.bids[3]", CTYPES: "c.bids[3]"},
    "Adding atomically": {OURS: "field.add()", "AtomicInt64 object": "hits.add()"},
}
NUMPYS = {
    "Reading a float64": "n['price'][()]",
    "Writing a float64": "n['price'] = 1.5",
    "Reading a uint32": "n['volume'][()]",
    "Writing a uint32": "n['volume'] = 7",
    "Reading an item of a kept array": "nbids[3]",
    "Reading an item through the record": "n['bids'][3]",
}


def add_numpy(names: dict[str, Any]) -> None:
    """numpy's accesses, where it is installed."""
    if installed("numpy"):
        import numpy

        fields = [("price", "f8"), ("volume", "u4"), ("hits", "i8"), ("bids", "f8", 16)]
        names |= {"n": numpy.zeros((), dtype=fields), "nbids": numpy.asarray(names["bids"])}
        for title, statement in NUMPYS.items():
            TABLES[title][NUMPY] = statement


def main() -> None:
    options = arguments(__doc__ or "")
    with ManagedSharedMemory.create(f"bench-{os.getpid()}", 1 << 20, lifetime="last_detach") as segment:
        names = names_of(segment)
        add_numpy(names)
        for title, table in TABLES.items():
            cases = {name: timed(statement, **names) for name, statement in table.items()}
            compare(title, NANOSECONDS, cases, rounds=options.rounds, reference=OURS)
        segment.close(when_released=True)


if __name__ == "__main__":
    main()
