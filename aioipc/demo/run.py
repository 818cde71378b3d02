"""The demo from beginning to end: count with a crew under fire, count again alone, compare."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aioipc import Block, Lock, ManagedSharedMemory

from .board import Board
from .counting import FIELDS, count, python_files
from .crew import Crew
from .killer import Killer
from .outcome import Outcome, Together
from .stopping import stop_on_signals

__all__ = ["Options", "Scene", "Screen", "run"]

_SIZE = 2 << 20
_FRAME = 0.1


@dataclass(frozen=True)
class Options:
    """What the command line can change."""

    files: int | None = None
    workers: int = 4
    kill_every: float = 0.05


@dataclass(frozen=True)
class Scene:
    """What there is to show while the crew works."""

    files: int
    board: Board
    crew: Crew
    killer: Killer


class Screen(Protocol):
    """Shows progress; called about ten times a second."""

    def together(self, scene: Scene) -> None:
        """The crew at work."""

    def alone(self, done: int, files: int) -> None:
        """The single-process run."""


def run(options: Options, screen: Screen) -> Outcome:
    """Run the demo.  After SIGINT or SIGTERM it cleans up and raises KeyboardInterrupt."""
    paths = python_files(options.files)
    with stop_on_signals() as stop_if_asked:
        together = _count_together(options, paths, screen, stop_if_asked)
        started = time.monotonic()
        expected = _count_alone(paths, screen, stop_if_asked)
        return Outcome(len(paths), options.workers, together, expected, time.monotonic() - started)


def _count_together(
    options: Options, paths: list[str], screen: Screen, stop_if_asked: Callable[[], None]
) -> Together:
    name = f"aioipc-demo-{os.getpid()}"
    with ManagedSharedMemory.create(name, _SIZE, lifetime="last_detach") as segment:
        uuid = segment.uuid.hex
        names = _write(segment, os.fsencode("\n".join(paths)))
        block = segment.allocate(Board.size(options.workers))
        place = (name, block.handle, names.handle, options.workers)
        with Board(block, options.workers) as board:
            started = time.monotonic()
            with Crew(place, board) as crew:
                killer = Killer(board, Lock(segment, "board"), crew, options.kill_every)
                _watch(Scene(len(paths), board, crew, killer), screen, stop_if_asked)
            seconds = time.monotonic() - started
            figures = (list(board.totals), killer.kills, board.recoveries, board.repairs, board.handovers())
        findings = [str(finding) for finding in segment.check_sanity().findings]
    left = [entry for entry in os.listdir("/dev/shm") if name in entry or uuid in entry]
    return Together(seconds, *figures, findings, left)


def _watch(scene: Scene, screen: Screen, stop_if_asked: Callable[[], None]) -> None:
    """Kill, replace and show, until all is counted."""
    next_frame = 0.0
    while scene.crew.busy:
        stop_if_asked()
        scene.killer.strike_if_due()
        scene.crew.tend(scene.killer.next_at - time.monotonic())
        if time.monotonic() >= next_frame:
            screen.together(scene)
            next_frame = time.monotonic() + _FRAME
    screen.together(scene)


def _count_alone(paths: list[str], screen: Screen, stop_if_asked: Callable[[], None]) -> list[int]:
    totals = [0] * len(FIELDS)
    next_frame = 0.0
    for done, path in enumerate(paths):
        stop_if_asked()
        if time.monotonic() >= next_frame:
            screen.alone(done, len(paths))
            next_frame = time.monotonic() + _FRAME
        totals = [total + number for total, number in zip(totals, count(path), strict=True)]
    screen.alone(len(paths), len(paths))
    return totals


def _write(segment: ManagedSharedMemory, text: bytes) -> Block:
    block = segment.allocate(len(text))
    with memoryview(block) as memory:
        memory[: len(text)] = text
        memory[len(text) :] = bytes(len(memory) - len(text))
    return block
