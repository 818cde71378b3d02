"""Worker processes that stay for a whole benchmark, so that a case costs no process start.

What the peers share, such as a multiprocessing.Queue, is made before the workers are forked and inherited.  A
case that fails or hangs ends as nan: the workers are replaced, and the rest of the run goes on.
"""

from __future__ import annotations

import asyncio
import gc
import math
import multiprocessing
import time
import traceback
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any

FORK = multiprocessing.get_context("fork")
Start = Callable[[], None]
Job = tuple[Callable[..., Any], tuple[Any, ...]]


def on_asyncio(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


def on_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    return uvloop.run(main)


def _serve(commands: Connection, barrier: Any, inherited: Any) -> None:
    while True:
        job, arguments, parties = commands.recv()

        def start(parties: int = parties) -> None:
            barrier(parties)

        gc.collect()
        gc.disable()
        try:
            commands.send(job(inherited, start, *arguments))
        except BaseException:
            commands.send(RuntimeError(traceback.format_exc(limit=-3)))
        gc.enable()


class Team:
    """`make()` makes what the workers inherit; `unmake` takes it away again."""

    def __init__(
        self,
        size: int,
        make: Callable[[], Any],
        unmake: Callable[[Any], None] = lambda _: None,
        timeout: float = 10,
    ) -> None:
        self._size, self._make, self._unmake, self._timeout = size, make, unmake, timeout
        self.failures: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self.inherited = self._make()
        barriers = {n: FORK.Barrier(n) for n in range(1, self._size + 1)}

        def wait(parties: int) -> None:
            barriers[parties].wait(self._timeout)

        self._connections, self._processes = [], []
        for _ in range(self._size):
            ours, theirs = FORK.Pipe()
            process = FORK.Process(target=_serve, args=(theirs, wait, self.inherited), daemon=True)
            process.start()
            self._connections.append(ours)
            self._processes.append(process)

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._unmake(self.inherited)

    def run(self, name: str, *jobs: Job) -> list[Any] | None:
        """Runs one job in each of the first workers; None when one of them failed or took too long."""
        for connection, (function, arguments) in zip(self._connections, jobs, strict=False):
            connection.send((function, arguments, len(jobs)))
        results, end = [], time.monotonic() + self._timeout
        for connection in self._connections[: len(jobs)]:
            if connection.poll(max(end - time.monotonic(), 0)):
                results.append(connection.recv())
        errors = [str(result) for result in results if isinstance(result, RuntimeError)]
        if not errors and len(results) == len(jobs):
            return results
        self.failures.append(f"{name}: {errors[0].strip().splitlines()[-1] if errors else 'no end in sight'}")
        self._end()
        self._begin()
        return None

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for failure in dict.fromkeys(self.failures):
            print(f"  failed: {failure}")


def rate(results: list[Any] | None, count: int) -> float:
    """Operations per second when each worker reports when it began and ended."""
    if results is None:
        return math.nan
    return count * 1e9 / (max(end for _, end in results) - min(began for began, _ in results))


class Calibrated:
    """Runs `measure(count)`, a rate, with as many operations as take about `seconds`."""

    def __init__(
        self, measure: Callable[[int], float], seconds: float, least: int = 50, most: int = 3_000_000
    ):
        self._measure, self._seconds, self._count = measure, seconds, 0
        self._least, self._most = least, most

    def __call__(self) -> float:
        if self._count == 0:
            self._count = self._least
            while True:  # the first ones also warm up
                speed = self._measure(self._count)
                if math.isnan(speed):
                    return speed
                wanted = int(speed * self._seconds)
                if wanted <= 4 * self._count or self._count >= self._most:
                    break
                self._count = min(wanted, 20 * self._count, self._most)
            self._count = max(self._least, min(wanted, self._most))
        return self._measure(self._count)
