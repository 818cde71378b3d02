"""The event loops every contract is held to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import uvloop

Body = Callable[[], Awaitable[Any]]

LOOPS = ("asyncio", "asyncio-debug", "uvloop", "trio")

# The same matrix for tests that are coroutines themselves (`@pytest.mark.anyio`).
ANYIO_BACKENDS = {
    "asyncio": ("asyncio", {}),
    "asyncio-debug": ("asyncio", {"debug": True}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


def run_under(loop_name: str, body: Body) -> Any:
    """Run `await body()` to its end on a fresh loop of that kind and return its result."""
    if loop_name == "trio":
        return trio.run(body)
    factory = uvloop.new_event_loop if loop_name == "uvloop" else None
    with asyncio.Runner(debug=loop_name == "asyncio-debug", loop_factory=factory) as runner:
        return runner.run(_as_coroutine(body))


async def _as_coroutine(body: Body) -> Any:
    return await body()
