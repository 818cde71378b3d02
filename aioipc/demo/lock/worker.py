"""One worker process: claim a file, count it, add the counts; over and over, until all are done or SIGKILL.

Four kinds, one loop: only the two lines that take the lock differ.
"""

import asyncio
import os
import time
import warnings
from collections.abc import Callable

import trio
import uvloop

from aioipc import Lock, ManagedSharedMemory

from ..counting import count
from ..ending import end_with_the_demo
from .board import Board
from .desk import Desk

__all__ = ["KINDS", "Place", "work"]

Place = tuple[str, int, int, int]
"""The segment's name, the handles of the board and of the list of files, the number of seats."""


async def _awaiting(desk: Desk, paths: list[str]) -> None:
    while True:
        asked_at = time.monotonic_ns()
        async with desk.lock:
            file = desk.turn(asked_at)
        if file is None:
            return
        desk.put(count(paths[file]))


def _blocking(desk: Desk, paths: list[str]) -> None:
    while True:
        asked_at = time.monotonic_ns()
        with desk.lock.blocking:
            file = desk.turn(asked_at)
        if file is None:
            return
        desk.put(count(paths[file]))


def _on_asyncio(desk: Desk, paths: list[str]) -> None:
    asyncio.run(_awaiting(desk, paths))


def _on_uvloop(desk: Desk, paths: list[str]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_awaiting(desk, paths))


def _on_trio(desk: Desk, paths: list[str]) -> None:
    trio.run(_awaiting, desk, paths)


KINDS: dict[str, Callable[[Desk, list[str]], None]] = {
    "asyncio": _on_asyncio,
    "uvloop": _on_uvloop,
    "trio": _on_trio,
    "thread": _blocking,
}


def work(place: Place, seat: int, kind: str) -> None:
    """The whole life of a worker."""
    end_with_the_demo()
    warnings.simplefilter("ignore")  # what the tokenizer thinks of old test files
    name, board_handle, paths_handle, seats = place
    with ManagedSharedMemory.open(name) as segment:
        with memoryview(segment.block(paths_handle)) as text:
            paths = os.fsdecode(bytes(text).rstrip(b"\0")).split("\n")
        with Board(segment.block(board_handle), seats) as board:
            desk = Desk(board, seat, Lock(segment, "board"), len(paths))
            board.seats[seat].pid = os.getpid()
            KINDS[kind](desk, paths)
