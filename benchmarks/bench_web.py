"""What does a cache in shared memory give a web server with several workers?

    python benchmarks/bench_web.py [--rounds N] [--seconds S]

One uvicorn application with two workers, 1,000 pages that take 1 ms to render and stay valid for a second,
16 connections that ask for them (zipf, 0.99): no cache, a dict in each worker, Redis on a unix socket, and
aioipc's SharedDict and Lock.  Requests a second, the 99th percentile of an answer's time, and renders for
1,000 requests.  A case runs ten times --seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from compare import PER_SECOND, Case, arguments, compare, installed
from redis_server import RedisServer
from workload import zipf

from aioipc import ManagedSharedMemory

PAGES, CONNECTIONS = 1000, 16


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def visitor(path: str, seed: int, end: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    pages = zipf(PAGES, 20_000, seed)
    turn = 0
    while time.monotonic() < end:
        began = time.perf_counter()
        await ask(reader, writer, f"/page/{pages[turn % len(pages)]}")
        times.append(time.perf_counter() - began)
        turn += 1
    writer.close()


async def visit(path: str, seconds: float) -> list[float]:
    times: list[float] = []
    end = time.monotonic() + seconds
    await asyncio.gather(*(visitor(path, seed, end, times) for seed in range(CONNECTIONS)))
    return times


async def renders(path: str) -> int:
    """Of both workers; connections go to either."""
    counted: dict[bytes, int] = {}
    for _ in range(200):
        reader, writer = await asyncio.open_unix_connection(path)
        worker, count = (await ask(reader, writer, "/renders")).split()
        counted[worker] = int(count)
        writer.close()
        if len(counted) == 2:
            break
    return sum(counted.values())


@contextlib.contextmanager
def server(kind: str, place: str) -> Iterator[str]:
    """uvicorn with two workers on a unix socket."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/web.sock"
        command = [sys.executable, "-m", "uvicorn", "web_app:app", "--workers", "2", "--uds", path]
        command += ["--app-dir", str(here), "--log-level", "error", "--no-access-log", "--lifespan", "off"]
        environment = {**os.environ, "CACHE": kind, "CACHE_PLACE": place}
        process = subprocess.Popen(command, env=environment)
        try:
            asyncio.run(both_up(path))
            yield path
        finally:
            process.terminate()
            process.wait()


async def both_up(path: str) -> None:
    end = time.monotonic() + 30
    seen: set[bytes] = set()
    while len(seen) < 2:
        if time.monotonic() > end:
            raise RuntimeError("uvicorn does not start")
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        seen.add((await ask(reader, writer, "/renders")).split()[0])
        writer.close()


class Visits:
    """Requests a second; keeps the percentiles and the renders."""

    def __init__(self, path: str, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self.p99s: list[float] = []
        self.renders: list[float] = []

    def __call__(self) -> float:
        before = asyncio.run(renders(self._path))
        times = asyncio.run(visit(self._path, self._seconds))
        self.renders.append(1000 * (asyncio.run(renders(self._path)) - before) / len(times))
        self.p99s.append(sorted(times)[int(len(times) * 0.99)] * 1000)
        return len(times) / self._seconds


def main() -> None:
    options = arguments(__doc__ or "")
    if not installed("uvicorn"):
        return
    redis = RedisServer.start()
    with contextlib.ExitStack() as stack:
        name = f"bench-{os.getpid()}"
        stack.enter_context(ManagedSharedMemory.create(name, 16 << 20, lifetime="last_detach"))
        kinds = {
            "aioipc SharedDict + Lock": ("aioipc", name),
            "no cache": ("none", ""),
            "a dict in each worker": ("dict", ""),
        }
        if redis is None:
            print("  skipped: no Redis")
        else:
            stack.callback(redis.close)
            kinds["redis.asyncio, unix socket"] = ("redis", redis.path)
        cases: dict[str, Case] = {}
        for title, (kind, place) in kinds.items():
            cases[title] = Visits(stack.enter_context(server(kind, place)), 10 * options.seconds)
        compare("Web server, two workers", PER_SECOND, cases, rounds=min(options.rounds, 3))
        for title, case in cases.items():
            p99, rendered = statistics.median(case.p99s), statistics.median(case.renders)  # type: ignore[attr-defined]
            print(f"    {title}: p99 {p99:.1f} ms, {rendered:.0f} renders for 1,000 requests")
        print("  no target was set for this one")


if __name__ == "__main__":
    main()
