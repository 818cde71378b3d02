"""Everything that is held: what the tests that hold for all of them know of each kind.

A kind makes its object, enters it (awaited, or blocking in a thread) so that nobody else can, and says
who waits.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from aioipc import CapacityLimiter, Leader, Lock, ManagedSharedMemory, Once, RLock, RWLock
from tests.support.peers import Link

#: Enough of the loops: debug mode changes nothing here.
THREE_LOOPS = ("asyncio", "uvloop", "trio")


class FailedError(Exception):
    """Ends what is done once without success, so that the next one may enter."""


@asynccontextmanager
async def _tries(once: Once) -> AsyncIterator[None]:
    try:
        async with once as first:
            assert first
            yield
            raise FailedError
    except FailedError:
        pass


@contextmanager
def _tries_blocking(once: Once) -> Iterator[None]:
    try:
        with once.blocking as first:
            assert first
            yield
            raise FailedError
    except FailedError:
        pass


@dataclass(frozen=True)
class Kind:
    """A way of holding something that nobody else can hold at the same time."""

    make: Callable[[ManagedSharedMemory], Any]
    entered: Callable[[Any], AbstractAsyncContextManager[Any]]
    blocked: Callable[[Any], AbstractContextManager[Any]]
    waiters: Callable[[Any], int]
    free: Callable[[Any], bool]
    abandons: bool = True
    """Whether a holder's death is remembered."""


def _waiters(handle: Any) -> int:
    return int(handle.statistics().waiters)


def _unlocked(handle: Any) -> bool:
    return not handle.statistics().locked


def _rw_waiters(lock: RWLock) -> int:
    record = lock.statistics()
    return (
        record.waiting_readers + record.waiting_writers + record.waiting_upgradables + record.waiting_upgrades
    )


def _lock(cls: Any) -> Kind:
    return Kind(lambda s: cls(s, "o"), lambda h: h, lambda h: h.blocking, _waiters, _unlocked)


def _rwlock(how: str, *, fair: bool = False, abandons: bool = True) -> Kind:
    return Kind(
        lambda s: RWLock(s, "o", fair=fair),
        lambda h: getattr(h, how)(),
        lambda h: getattr(h.blocking, how)(),
        _rw_waiters,
        lambda h: not h.locked(),
        abandons,
    )


KINDS = {
    "lock": _lock(Lock),
    "rlock": _lock(RLock),
    "leader": _lock(Leader),
    "once": Kind(lambda s: Once(s, "o"), _tries, _tries_blocking, _waiters, _unlocked),
    "write": _rwlock("write"),
    "fair write": _rwlock("write", fair=True),
    "upgradable": _rwlock("upgradable", abandons=False),
    "limiter": Kind(
        lambda s: CapacityLimiter(s, "o", 1),
        lambda h: h,
        lambda h: h.blocking,
        lambda h: int(h.statistics().tasks_waiting),
        lambda h: h.borrowed_tokens == 0,
        False,
    ),
}


async def until(condition: Callable[[], bool]) -> None:
    """Lets other tasks run until it holds."""
    while not condition():
        await anyio.lowlevel.checkpoint()


async def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Calls it in a thread of its own."""
    return await anyio.to_thread.run_sync(call, *args, limiter=anyio.CapacityLimiter(1))


def idle(kind: Kind, handle: Any) -> bool:
    """Nobody holds it or waits, and it still works."""
    if not kind.free(handle) or kind.waiters(handle):
        return False
    with kind.blocked(handle):
        held = not kind.free(handle)
    return held and kind.free(handle)


# ------------------------------------------------------------------------------- what child processes do


def holds(test: Link, kind: str, handle: Any) -> None:
    """Enters it, and leaves when it is told to."""
    with KINDS[kind].blocked(handle):
        test.sync("held")


def waits(_: Link, kind: str, handle: Any) -> bool:
    """Enters it as a thread; whether it was abandoned then."""
    with KINDS[kind].blocked(handle):
        return bool(getattr(handle, "abandoned", False))


def counts(_: Link, kind: str, handle: Any, block: int, rounds: int, backend: str = "asyncio") -> None:
    """Increments a counter that only the holder may touch, as a task."""

    async def body() -> None:
        with memoryview(handle.segment.block(block)).cast("Q") as counter:
            for _ in range(rounds):
                async with KINDS[kind].entered(handle):
                    seen = counter[0]
                    await anyio.lowlevel.checkpoint()
                    counter[0] = seen + 1

    anyio.run(body, backend=backend)


def counts_under_trio(test: Link, kind: str, handle: Any, block: int, rounds: int) -> None:
    """The same, as a task of trio's."""
    counts(test, kind, handle, block, rounds, "trio")


def counts_blocking(_: Link, kind: str, handle: Any, block: int, rounds: int) -> None:
    """The same, as a thread."""
    with memoryview(handle.segment.block(block)).cast("Q") as counter:
        for _ in range(rounds):
            with KINDS[kind].blocked(handle):
                seen = counter[0]
                os.sched_yield()
                counter[0] = seen + 1
