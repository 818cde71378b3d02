"""The pipeline from beginning to end: count with consumers under fire, count again alone, compare."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aioipc import ManagedSharedMemory

from ..alone import Alone, count_alone
from ..counting import python_files
from ..crew import Crew, Role, WorkerFailedError
from ..frame import FRAME, Screen
from ..segments import staged
from ..stopping import stop_on_signals
from .belt import Belt
from .consumer import KINDS, consume
from .frames import Scene
from .killer import Killer
from .outcome import PipelineOutcome
from .producer import produce

__all__ = ["Options", "run"]

_SIZE = 8 << 20
_PATIENCE = 60  # seconds without a single new entry


@dataclass(frozen=True)
class Options:
    """What the command line can change."""

    files: int | None = None
    kill_every: float = 0.2


def run(options: Options, screen: Screen) -> PipelineOutcome:
    """Run the pipeline.  After SIGINT or SIGTERM it cleans up and raises KeyboardInterrupt."""
    paths = python_files(options.files)
    with stop_on_signals() as stop_if_asked:
        together = _count_together(options, paths, screen, stop_if_asked)
        return together(count_alone(paths, screen, stop_if_asked))


def _count_together(
    options: Options, paths: list[str], screen: Screen, stop_if_asked: Callable[[], None]
) -> Callable[[Alone], PipelineOutcome]:
    with staged("pipeline", _SIZE) as stage:
        belt = Belt(stage.segment)
        started = time.monotonic()
        with Crew(_roles(stage.segment, options)) as crew:
            killer = Killer(belt, crew, options.kill_every)
            _watch(Scene(len(paths), belt, crew, killer), screen, stop_if_asked)
        seconds = time.monotonic() - started
        found = partial(
            PipelineOutcome, paths, seconds, killer.kills, belt.results.copy(), belt.files.statistics()
        )
    return partial(found, stage.findings, stage.left_behind)


def _roles(segment: ManagedSharedMemory, options: Options) -> list[Role]:
    consumers = [Role(kind, consume, (segment.name, seat, kind)) for seat, kind in enumerate(KINDS)]
    return [*consumers, Role("producer", produce, (segment.name, options.files))]


def _watch(scene: Scene, screen: Screen, stop_if_asked: Callable[[], None]) -> None:
    """Kill, replace and show, until everybody has ended."""
    next_frame = moved_at = 0.0
    entries = -1
    while scene.crew.busy:
        stop_if_asked()
        scene.killer.strike_if_due()
        scene.crew.tend(min(scene.killer.next_at - time.monotonic(), FRAME))
        now = time.monotonic()
        if len(scene.belt.results) != entries:
            entries, moved_at = len(scene.belt.results), now
        elif now > moved_at + _PATIENCE:
            raise WorkerFailedError(f"nothing has moved for {_PATIENCE} s: {scene.belt.files.statistics()}")
        if now >= next_frame:
            screen.show(scene.frame())
            next_frame = now + FRAME
    screen.show(scene.frame())
