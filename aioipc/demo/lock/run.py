"""The counting demo from beginning to end: count with a crew under fire, count again alone, compare."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aioipc import Block, Lock, ManagedSharedMemory

from ..alone import count_alone
from ..counting import python_files
from ..crew import Crew, Role
from ..frame import FRAME, Screen
from ..segments import staged
from ..stopping import stop_on_signals
from .board import Board
from .frames import Scene
from .killer import Killer
from .outcome import LockOutcome, Together
from .worker import KINDS, work

__all__ = ["Options", "run"]

_SIZE = 2 << 20


@dataclass(frozen=True)
class Options:
    """What the command line can change."""

    files: int | None = None
    workers: int = 4
    kill_every: float = 0.05


def run(options: Options, screen: Screen) -> LockOutcome:
    """Run the demo.  After SIGINT or SIGTERM it cleans up and raises KeyboardInterrupt."""
    paths = python_files(options.files)
    with stop_on_signals() as stop_if_asked:
        together = _count_together(options, paths, screen, stop_if_asked)
        alone = count_alone(paths, screen, stop_if_asked)
    return LockOutcome(len(paths), options.workers, together, alone)


def _count_together(
    options: Options, paths: list[str], screen: Screen, stop_if_asked: Callable[[], None]
) -> Together:
    with staged("lock", _SIZE) as stage:
        segment = stage.segment
        names = _write(segment, os.fsencode("\n".join(paths)))
        block = segment.allocate(Board.size(options.workers))
        place = (segment.name, block.handle, names.handle, options.workers)
        kinds = [list(KINDS)[seat % len(KINDS)] for seat in range(options.workers)]
        roles = [Role(kind, work, (place, seat, kind)) for seat, kind in enumerate(kinds)]
        with Board(block, options.workers) as board:
            started = time.monotonic()
            with Crew(roles) as crew:
                killer = Killer(board, Lock(segment, "board"), crew, options.kill_every)
                _watch(Scene(len(paths), board, crew, killer), screen, stop_if_asked)
            seconds = time.monotonic() - started
            together = partial(
                Together, seconds, list(board.totals), killer.kills, board.recoveries, board.repairs
            )
            handovers = board.handovers()
    return together(handovers, stage.findings, stage.left_behind)


def _watch(scene: Scene, screen: Screen, stop_if_asked: Callable[[], None]) -> None:
    """Kill, replace and show, until all is counted."""
    next_frame = 0.0
    while scene.crew.busy:
        stop_if_asked()
        scene.killer.strike_if_due()
        scene.crew.tend(scene.killer.next_at - time.monotonic())
        if time.monotonic() >= next_frame:
            screen.show(scene.frame())
            next_frame = time.monotonic() + FRAME
    screen.show(scene.frame())


def _write(segment: ManagedSharedMemory, text: bytes) -> Block:
    block = segment.allocate(len(text))
    with memoryview(block) as memory:
        memory[: len(text)] = text
        memory[len(text) :] = bytes(len(memory) - len(text))
    return block
