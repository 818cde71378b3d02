"""The rows of bench_lock.py for the other primitives: what each costs that nobody contends, ten thousand
waiters on one event, and how fast a permit goes from process to process and back."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import posix_ipc
from compare import MICROSECONDS, NANOSECONDS, Case, compare

from aioipc import (
    Barrier,
    CapacityLimiter,
    Condition,
    Event,
    Leader,
    ManagedSharedMemory,
    Once,
    RLock,
    RWLock,
    Semaphore,
)

TURNS = 20_000
WAITERS = 10_000
HANDOVERS = 2_000
SPAWN = multiprocessing.get_context("spawn")


# ---- nobody else ----------------------------------------------------------------------------------------


def entered(make: Callable[[], Any], turns: int = TURNS) -> Case:
    """`async with` what `make` makes, each time anew where it is a guard."""

    async def run() -> float:
        async with make():
            pass
        began = time.perf_counter_ns()
        for _ in range(turns):
            async with make():
                pass
        return (time.perf_counter_ns() - began) / turns

    return lambda: asyncio.run(run())


def blocked(make: Callable[[], Any], turns: int = TURNS) -> Case:
    def run() -> float:
        began = time.perf_counter_ns()
        for _ in range(turns):
            with make():
                pass
        return (time.perf_counter_ns() - began) / turns

    return run


def repeated(do: Callable[[], Awaitable[object]], turns: int = TURNS) -> Case:
    async def run() -> float:
        began = time.perf_counter_ns()
        for _ in range(turns):
            await do()
        return (time.perf_counter_ns() - began) / turns

    return lambda: asyncio.run(run())


def notifying(make: Callable[[], Any]) -> Case:
    """Enters a condition and notifies nobody."""

    async def run() -> float:
        condition = make()
        began = time.perf_counter_ns()
        for _ in range(TURNS):
            async with condition:
                condition.notify()
        return (time.perf_counter_ns() - began) / TURNS

    return lambda: asyncio.run(run())


def always(value: Any) -> Callable[[], Any]:
    return lambda: value


def set_event(event: Any) -> Any:
    event.set()
    return event


Tables = dict[str, dict[str, Case]]


def semaphores(segment: ManagedSharedMemory, kernel: posix_ipc.Semaphore) -> Tables:
    semaphore = Semaphore(segment, "s", 2)
    return {
        "Semaphore, awaited": {
            "aioipc.Semaphore": entered(always(semaphore)),
            "asyncio.Semaphore (one process)": entered(always(asyncio.Semaphore(2))),
            "anyio.Semaphore (one process)": entered(always(anyio.Semaphore(2)), TURNS // 10),
        },
        "Semaphore, blocking": {
            "aioipc.Semaphore.blocking": blocked(always(semaphore.blocking)),
            "multiprocessing.Semaphore": blocked(always(SPAWN.Semaphore(2))),
            "threading.Semaphore (one process)": blocked(always(threading.Semaphore(2))),
            "posix_ipc.Semaphore": blocked(always(kernel)),
        },
        "CapacityLimiter, awaited": {
            "aioipc.CapacityLimiter": entered(always(CapacityLimiter(segment, "l", 2))),
            "anyio.CapacityLimiter (one process)": entered(always(anyio.CapacityLimiter(2)), TURNS // 10),
        },
    }


def locks(segment: ManagedSharedMemory) -> Tables:
    reentrant, read_write = RLock(segment, "r"), RWLock(segment, "rw")
    return {
        "RLock": {
            "aioipc.RLock, awaited": entered(always(reentrant)),
            "aioipc.RLock.blocking": blocked(always(reentrant.blocking)),
            "multiprocessing.RLock": blocked(always(SPAWN.RLock())),
            "threading.RLock (one process)": blocked(always(threading.RLock())),
        },
        "RWLock, awaited": {
            "aioipc.RWLock.read()": entered(read_write.read),
            "aioipc.RWLock.write()": entered(read_write.write),
            "asyncio.Lock (one process, no readers)": entered(always(asyncio.Lock())),
        },
        "Once that is done, and Leader (nobody has them)": {
            "aioipc.Once": entered(always(Once(segment, "o"))),
            "aioipc.Leader": entered(always(Leader(segment, "d"))),
        },
    }


def signals(segment: ManagedSharedMemory) -> Tables:
    return {
        "Condition, entered and notified": {
            "aioipc.Condition": notifying(always(Condition(segment, "c"))),
            "asyncio.Condition (one process)": notifying(asyncio.Condition),
        },
        "Event that is set, awaited": {
            "aioipc.Event": repeated(set_event(Event(segment, "e")).wait),
            "asyncio.Event (one process)": repeated(lambda: set_event(asyncio.Event()).wait()),
        },
        "Barrier of one party, awaited": {
            "aioipc.Barrier": repeated(Barrier(segment, "b", 1).wait),
            "asyncio.Barrier (one process)": repeated(lambda: asyncio.Barrier(1).wait()),
        },
    }


def uncontended(segment: ManagedSharedMemory, rounds: int) -> None:
    kernel = posix_ipc.Semaphore(None, posix_ipc.O_CREX, initial_value=2)
    for title, cases in (semaphores(segment, kernel) | locks(segment) | signals(segment)).items():
        compare(f"{title}, uncontended", NANOSECONDS, cases, rounds=rounds)
    kernel.unlink()


# ---- ten thousand waiters -------------------------------------------------------------------------------


def crowd(make: Callable[[], Any]) -> Case:
    """Microseconds from `set` until the last of all waiters has run, for each of them."""

    async def run() -> float:
        event = make()
        waiters = [asyncio.create_task(event.wait()) for _ in range(WAITERS)]
        await asyncio.sleep(0.2)
        began = time.perf_counter_ns()
        event.set()
        await asyncio.gather(*waiters)
        return (time.perf_counter_ns() - began) / 1000 / WAITERS

    return lambda: asyncio.run(run())


def crowded(name: str, rounds: int) -> None:
    with ManagedSharedMemory.create(name, 64 << 20, lifetime="last_detach") as large:
        compare(
            f"Event with {WAITERS:,} waiting tasks, from set until the last has run, for each",
            MICROSECONDS,
            {
                "aioipc.Event": crowd(lambda: Event(large)),
                "asyncio.Event (one process)": crowd(asyncio.Event),
            },
            rounds=min(rounds, 3),
        )


# ---- from process to process ----------------------------------------------------------------------------


def blocking_partner(ping: Any, pong: Any) -> None:
    for _ in range(HANDOVERS):
        ping.acquire()
        pong.release()


def partner(kind: str, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        ping, pong = Semaphore(segment, "ping"), Semaphore(segment, "pong")
        if kind == "blocking":
            blocking_partner(ping.blocking, pong)
        else:
            asyncio.run(awaiting_partner(ping, pong))


async def awaiting_partner(ping: Any, pong: Any) -> None:
    for _ in range(HANDOVERS):
        await ping.acquire()
        pong.release()


def round_trips(name: str, rounds: int) -> None:
    def timed(process: Any, trips: Callable[[], None]) -> float:
        process.start()
        began = time.perf_counter_ns()
        trips()
        took = (time.perf_counter_ns() - began) / 1000 / HANDOVERS
        process.join()
        return took

    def kernel() -> float:
        ping, pong = SPAWN.Semaphore(0), SPAWN.Semaphore(0)
        process = SPAWN.Process(target=blocking_partner, args=(ping, pong))
        return timed(process, lambda: trips_blocking(ping, pong))

    def ours(kind: str) -> Case:
        def run() -> float:
            with ManagedSharedMemory.open(name) as segment:
                ping, pong = Semaphore(segment, "ping", 0), Semaphore(segment, "pong", 0)
                process = SPAWN.Process(target=partner, args=(kind, name))
                if kind == "blocking":
                    return timed(process, lambda: trips_blocking(ping, pong.blocking))
                return timed(process, lambda: asyncio.run(trips_awaiting(ping, pong)))

        return run

    compare(
        "A permit to another process, and one back (its start included)",
        MICROSECONDS,
        {
            "aioipc.Semaphore, awaited": ours("awaited"),
            "aioipc.Semaphore.blocking": ours("blocking"),
            "multiprocessing.Semaphore": kernel,
        },
        rounds=min(rounds, 3),
    )


def trips_blocking(ping: Any, pong: Any) -> None:
    for _ in range(HANDOVERS):
        ping.release()
        pong.acquire()


async def trips_awaiting(ping: Any, pong: Any) -> None:
    for _ in range(HANDOVERS):
        ping.release()
        await pong.acquire()
