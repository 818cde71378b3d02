"""The two ways of waiting, which must be the same: awaited in a loop, and blocking in threads.

await face("acquire")      # `await primitive.acquire()`, or `primitive.blocking.acquire()` in a thread
async with face.entered():
"""

import functools
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from tests.support.loops import run_under

THREE_LOOPS = ("asyncio", "uvloop", "trio")


class Awaited:
    """In the test's own loop."""

    def __init__(self, primitive: Any) -> None:
        self.primitive = primitive

    async def __call__(self, method: str, *args: Any) -> Any:
        return await getattr(self.primitive, method)(*args)

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[Any]:
        async with self.primitive as value:
            yield value


class Blocking:
    """Each call in a thread of its own."""

    def __init__(self, primitive: Any) -> None:
        self.primitive = primitive

    async def __call__(self, method: str, *args: Any) -> Any:
        return await in_thread(getattr(self.primitive.blocking, method), *args)

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[Any]:
        view = self.primitive.blocking
        value = await in_thread(view.__enter__)
        try:
            yield value
        except BaseException:
            view.__exit__(*sys.exc_info())
            raise
        view.__exit__(None, None, None)


Face = Awaited | Blocking
FACES = (Awaited, Blocking)


def together(awaiting: Callable[[], Awaitable[Any]], blocking: Callable[[], Any]) -> Callable[[], None]:
    """Starts a loop of each kind that awaits the one, and two threads that call the other; returns what waits
    for all of them."""
    calls = [functools.partial(run_under, loop, awaiting) for loop in THREE_LOOPS]
    threads = [threading.Thread(target=call) for call in (*calls, blocking, blocking)]
    for thread in threads:
        thread.start()

    def join() -> None:
        for thread in threads:
            thread.join()

    return join


async def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Calls it in a thread that nobody else wants."""
    return await anyio.to_thread.run_sync(call, *args, limiter=anyio.CapacityLimiter(1))


async def until(condition: Callable[[], bool]) -> None:
    """Lets other tasks run until it holds."""
    while not condition():
        await anyio.lowlevel.checkpoint()


async def turns(count: int) -> None:
    """Lets other tasks run so many times."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()
