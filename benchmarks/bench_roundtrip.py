"""How long does an answer from another asyncio process take?

    python benchmarks/bench_roundtrip.py [--rounds N] [--seconds S]

Two asyncio processes send 64 bytes to and fro; microseconds for both ways: the median, and the 99th
percentile below the table.  The floor is what two loops can do at all: an eventfd, or a pipe, and add_reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from compare import MICROSECONDS, Case, Target, arguments, compare, installed, report_targets
from redis_server import RedisServer
from team import FORK, Team, on_asyncio, on_uvloop

from aioipc import ManagedSharedMemory, Queue

PING = b"x" * 64
Send, Receive = Callable[[bytes], Awaitable[Any]], Callable[[], Awaitable[Any]]
Ways = AsyncIterator[tuple[Send, Receive]]


class Inherited:
    """What the two workers share; worker n sends on way n and receives on way 1 - n."""

    def __init__(self) -> None:
        self.name = f"bench-{os.getpid()}"
        with ManagedSharedMemory.create(self.name, 4 << 20) as segment:
            for way in "01":
                Queue(segment, way, 100, codec="raw")
        self.sockets = socket.socketpair()
        self.pipes = os.pipe(), os.pipe()
        self.events = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
        self.queues = FORK.Queue(), FORK.Queue()
        for fd in (*self.pipes[0], *self.pipes[1]):
            os.set_blocking(fd, False)
        self.redis = RedisServer.start()

    def close(self) -> None:
        ManagedSharedMemory.remove(self.name)
        for end in self.sockets:
            end.close()
        for fd in (*self.pipes[0], *self.pipes[1], *self.events):
            os.close(fd)
        if self.redis is not None:
            self.redis.close()


# ---- the ways --------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def aioipc_queues(shared: Inherited, me: int) -> Ways:
    with ManagedSharedMemory.open(shared.name) as segment:
        yield Queue(segment, str(me)).put, Queue(segment, str(1 - me)).get


@contextlib.asynccontextmanager
async def streams(shared: Inherited, me: int) -> Ways:
    reader, writer = await asyncio.open_unix_connection(sock=shared.sockets[me].dup())

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    yield send, lambda: reader.readexactly(len(PING))
    writer.close()
    await writer.wait_closed()


@contextlib.asynccontextmanager
async def raw_sockets(shared: Inherited, me: int) -> Ways:
    loop = asyncio.get_running_loop()
    with shared.sockets[me].dup() as end:
        end.setblocking(False)
        yield lambda data: loop.sock_sendall(end, data), lambda: loop.sock_recv(end, 4096)


@contextlib.asynccontextmanager
async def by_reader(fd: int, send: Callable[[bytes], Any], receive: Callable[[], Any]) -> Ways:
    """A callback that resolves what the task awaits."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[Any] = loop.create_future()

    def readable() -> None:
        waiting.set_result(receive())

    async def sending(data: bytes) -> None:
        send(data)

    async def receiving() -> Any:
        nonlocal waiting
        result = await waiting
        waiting = loop.create_future()
        return result

    loop.add_reader(fd, readable)
    yield sending, receiving
    loop.remove_reader(fd)


def eventfd(shared: Inherited, me: int) -> Any:
    ours, theirs = shared.events[1 - me], shared.events[me]
    return by_reader(ours, lambda _: os.eventfd_write(theirs, 1), lambda: os.eventfd_read(ours))


def pipe(shared: Inherited, me: int) -> Any:
    ours, theirs = shared.pipes[1 - me][0], shared.pipes[me][1]
    return by_reader(ours, lambda data: os.write(theirs, data), lambda: os.read(ours, 4096))


@contextlib.asynccontextmanager
async def pyzmq(shared: Inherited, me: int) -> Ways:
    import zmq.asyncio

    with zmq.asyncio.Context() as context, context.socket(zmq.PAIR) as end:
        (end.bind, end.connect)[me](f"ipc:///tmp/{shared.name}.zmq")
        yield end.send, end.recv


@contextlib.asynccontextmanager
async def redis(shared: Inherited, me: int) -> Ways:
    async with shared.redis.asyncio_client() as client:
        yield lambda data: client.rpush(str(me), data), lambda: client.blpop(str(1 - me))


@contextlib.asynccontextmanager
async def threads(shared: Inherited, me: int) -> Ways:
    out, back = shared.queues[me], shared.queues[1 - me]
    yield lambda data: asyncio.to_thread(out.put, data), lambda: asyncio.to_thread(back.get)


# ---- the comparison --------------------------------------------------------------------------------------


async def _ping(shared: Inherited, ways: Any, me: int, count: int) -> list[int]:
    times: list[int] = []
    async with ways(shared, me) as (send, receive):
        for _ in range(count):
            if me == 0:
                began = time.perf_counter_ns()
                await send(PING)
                await receive()
                times.append(time.perf_counter_ns() - began)
            else:
                await receive()
                await send(PING)
        if me == 1:
            await receive()  # the other one is through: nothing is cut off
        else:
            await send(PING)
    return times[count // 10 :]


def ping(shared: Inherited, start: Callable[[], None], loop: str, *arguments: Any) -> list[int]:
    start()
    run = on_uvloop if loop == "uvloop" else on_asyncio
    return run(_ping(shared, *arguments))  # type: ignore[no-any-return]


# name: (ways, loops, module it needs)
WAYS: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "aioipc queues": (aioipc_queues, ("asyncio", "uvloop"), "aioipc"),
    "eventfd, add_reader": (eventfd, ("asyncio", "uvloop"), "os"),
    "pipe, add_reader": (pipe, ("asyncio", "uvloop"), "os"),
    "raw sockets": (raw_sockets, ("asyncio", "uvloop"), "socket"),
    "socket streams": (streams, ("asyncio", "uvloop"), "asyncio"),
    "pyzmq": (pyzmq, ("asyncio",), "zmq"),
    "redis": (redis, ("asyncio",), "redis"),
    "multiprocessing.Queue + to_thread": (threads, ("asyncio",), "multiprocessing"),
}


class RoundTrips:
    """As many round trips as take about `seconds`; the median, in µs."""

    def __init__(self, team: Team, name: str, ways: Any, loop: str, seconds: float) -> None:
        self._team, self._name, self._how, self._seconds = team, name, (loop, ways), seconds
        self._count = 100
        self.p99s: list[float] = []

    def __call__(self) -> float:
        results = self._team.run(self._name, *((ping, (*self._how, me, self._count)) for me in (0, 1)))
        if results is None:
            return float("nan")
        times = sorted(results[0])
        median = statistics.median(times) / 1000
        if self._count == 100:  # that was to see how long they take
            self._count = min(max(200, int(self._seconds * 1e6 / median)), 20_000)
            return self()
        self.p99s.append(times[int(len(times) * 0.99)] / 1000)
        return median


def main() -> None:
    options = arguments(__doc__ or "")
    usable = ("asyncio", "uvloop") if installed("uvloop") else ("asyncio",)
    with Team(2, Inherited, Inherited.close) as team:
        cases: dict[str, Case] = {}
        for name, (ways, loops, module) in WAYS.items():
            if module == "redis" and team.inherited.redis is None:
                print("  skipped: no Redis")
            elif installed(module):
                for loop in (loop for loop in loops if loop in usable):
                    cases[f"{name}, {loop}"] = RoundTrips(team, name, ways, loop, options.seconds)
        medians = compare("Round trip, p50", MICROSECONDS, cases, rounds=options.rounds)
        print(
            "  p99: "
            + "; ".join(f"{name} {statistics.median(case.p99s or [0]):.0f}" for name, case in cases.items())
        )
    for loop in usable:
        floor = min((f"{way}, add_reader, {loop}" for way in ("eventfd", "pipe")), key=medians.__getitem__)
        most = {floor: medians[floor]}
        target = Target(f"{loop}, 1.10 x the floor", f"aioipc queues, {loop}", 1.10 * medians[floor], most)
        report_targets([target], medians, MICROSECONDS)


if __name__ == "__main__":
    main()
