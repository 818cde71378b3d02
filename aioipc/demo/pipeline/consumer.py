"""A consumer: lease a file, count it, write its entry; over and over, until all are done or SIGKILL.

The entry is written before the lease ends.  Killed before that, somebody else leases the file again and
writes the entry; killed between the two, it is written again as it was.  So each file counts exactly once.
"""

import asyncio
import os
import warnings
from collections.abc import Callable

import trio

from aioipc import ManagedSharedMemory, QueueShutDown

from ..counting import count
from ..ending import end_with_the_demo
from .belt import Belt

__all__ = ["KINDS", "consume"]


class _Bench:
    """A consumer's place; `deal_with` is the same under every event loop."""

    def __init__(self, belt: Belt, seat: int, kind: str) -> None:
        self.files = belt.files
        self._belt = belt
        self._seat = seat
        self._kind = kind

    def deal_with(self, path: str, deliveries: int) -> None:
        self._belt.seats[self._seat] = (os.getpid(), path, deliveries)
        self._belt.results[path] = {"by": self._kind, "deliveries": deliveries, "counts": count(path)}


async def _awaiting(bench: _Bench) -> None:
    while True:
        lease = bench.files.lease()
        try:
            async with lease as path:
                bench.deal_with(path, lease.deliveries)
        except QueueShutDown:
            return


def _blocking(bench: _Bench) -> None:
    while True:
        lease = bench.files.blocking.lease()
        try:
            with lease as path:
                bench.deal_with(path, lease.deliveries)
        except QueueShutDown:
            return


def _on_asyncio(bench: _Bench) -> None:
    asyncio.run(_awaiting(bench))


def _on_trio(bench: _Bench) -> None:
    trio.run(_awaiting, bench)


KINDS: dict[str, Callable[[_Bench], None]] = {
    "asyncio": _on_asyncio,
    "trio": _on_trio,
    "blocking": _blocking,
}


def consume(name: str, seat: int, kind: str) -> None:
    """The whole life of a consumer."""
    end_with_the_demo()
    warnings.simplefilter("ignore")  # what the tokenizer thinks of old test files
    with ManagedSharedMemory.open(name) as segment:
        KINDS[kind](_Bench(Belt(segment), seat, kind))
