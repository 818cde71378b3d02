"""The web server from beginning to end: start workers, load them, kill some, look at what came of it."""

import asyncio
import hashlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import uvloop

from ..crew import Crew, Role, WorkerFailedError
from ..frame import FRAME, Screen
from ..segments import staged
from ..stopping import stop_on_signals
from .app import serve
from .cache import PageCache
from .client import Client
from .frames import Scene
from .killer import Killer
from .outcome import WebOutcome
from .pages import sources

__all__ = ["Options", "run"]

_SIZE = 16 << 20
_BACKLOG = 128
_TICK = 0.02
_PATIENCE = 60  # seconds without a single answer, or for the start of the workers
_FAREWELL = 10  # seconds for a worker to end in order


@dataclass(frozen=True)
class Options:
    """What the command line can change."""

    requests: int = 10_000
    pages: int = 40  # no more than requests
    workers: int = 3
    kills: int = 3


def run(options: Options, screen: Screen) -> WebOutcome:
    """Run the server and its client.  After SIGINT or SIGTERM it cleans up and raises KeyboardInterrupt."""
    with stop_on_signals() as stop_if_asked, staged("web", _SIZE) as stage:
        cache = PageCache(stage.segment)
        with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
            client = Client(listener.getsockname()[1], options.pages, options.requests)
            role = Role("uvicorn", serve, (stage.segment.name, sources(options.pages), listener))
            with Crew([role] * options.workers, "spawn") as crew:
                killer = Killer(cache, crew, client, options.kills)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    seconds = runner.run(
                        _load(options, Scene(cache, client, crew, killer), screen, stop_if_asked)
                    )
                crew.dismiss(_FAREWELL)
        found = _look(options, cache, client, killer, seconds)
    return found(findings=stage.findings, left_behind=stage.left_behind)


async def _load(options: Options, scene: Scene, screen: Screen, stop_if_asked: Callable[[], None]) -> float:
    """Let the client run; how many seconds that took."""
    await _tend(scene, screen, stop_if_asked, lambda: len(scene.cache.workers) < options.workers)
    asking, killing = asyncio.create_task(scene.client.run()), asyncio.create_task(scene.killer.run())
    try:
        await _tend(scene, screen, stop_if_asked, lambda: not asking.done())
        seconds = scene.client.seconds
        await asking
    finally:
        asking.cancel()
        killing.cancel()
        await asyncio.gather(asking, killing, return_exceptions=True)
    return seconds


async def _tend(
    scene: Scene, screen: Screen, stop_if_asked: Callable[[], None], going_on: Callable[[], bool]
) -> None:
    """Replace who was killed, and show, while it goes on."""
    next_frame = 0.0
    answers, moved_at = -1, time.monotonic()
    while going_on():
        stop_if_asked()
        scene.crew.tend(0)
        now = time.monotonic()
        if scene.client.answers != answers:
            answers, moved_at = scene.client.answers, now
        elif now > moved_at + _PATIENCE:
            raise WorkerFailedError(f"no answer for {_PATIENCE} s")
        if now >= next_frame:
            screen.show(scene.frame())
            next_frame = now + FRAME
        await asyncio.sleep(_TICK)
    screen.show(scene.frame())


def _look(
    options: Options, cache: PageCache, client: Client, killer: Killer, seconds: float
) -> Callable[..., WebOutcome]:
    """All but what the end of the segment will show."""
    seen = {
        page: {digest: sorted(workers) for digest, workers in versions.items()}
        for page, versions in sorted(client.seen.items())
    }
    return partial(
        WebOutcome,
        pages=options.pages,
        workers=options.workers,
        kills_wanted=options.kills,
        seconds=seconds,
        how=dict(client.how),
        answers=dict(client.by_worker),
        broken=client.broken,
        seen=seen,
        cached={page: hashlib.sha256(body).hexdigest() for page, body in cache.pages.items()},
        computations=cache.computations(),
        kills=len(killer.killed),
        killed_over=dict(killer.killed_over),
        killed_at=killer.killed_at,
        taken_over=cache.taken_over.copy(),
        abandoned=cache.abandoned(),
    )
