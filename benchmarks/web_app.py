"""The web application of bench_web.py: pages that take a while to render, with a cache of four kinds.

`CACHE` in the environment says which: none, dict (one in each worker), redis, or aioipc.  A page is valid for
one second, as cached pages are.  /renders says how often this worker rendered.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

RENDER_US, VALID_SECONDS, STRIPES = 1000, 1.0, 64
KIND, PLACE = os.environ.get("CACHE", "none"), os.environ.get("CACHE_PLACE", "")
renders = 0


def render(page: str) -> bytes:
    """Busy for as long as a template with a few queries would be."""
    global renders
    renders += 1
    end = time.perf_counter_ns() + RENDER_US * 1000
    while time.perf_counter_ns() < end:
        pass
    return page.encode() * 200


class NoCache:
    async def page(self, page: str) -> bytes:
        return render(page)


class Private:
    """A dict in each worker: each renders every page itself."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[float, bytes]] = {}

    async def page(self, page: str) -> bytes:
        found = self._pages.get(page)
        if found is None or found[0] < time.monotonic():
            found = self._pages[page] = time.monotonic() + VALID_SECONDS, render(page)
        return found[1]


class Redis:
    """GET and SETEX, as everybody writes it: two workers may render the same page at once."""

    def __init__(self) -> None:
        import redis.asyncio

        self._client = redis.asyncio.Redis(unix_socket_path=PLACE)

    async def page(self, page: str) -> bytes:
        found = await self._client.get(page)
        if found is None:
            found = render(page)
            await self._client.set(page, found, px=int(VALID_SECONDS * 1000))
        return found  # type: ignore[no-any-return]


class Shared:
    """A SharedDict, and locks so that a page is rendered by one worker while others wait for it."""

    def __init__(self) -> None:
        from aioipc import Lock, ManagedSharedMemory, SharedDict

        segment = ManagedSharedMemory.open(PLACE)
        self._pages: Any = SharedDict(segment, "pages")
        self._locks = [Lock(segment, f"stripe-{n}") for n in range(STRIPES)]

    async def page(self, page: str) -> bytes:
        found = self._pages.get(page)
        if found is None or found[0] < time.monotonic():
            async with self._locks[int(page.rsplit("/", 1)[1]) % STRIPES]:
                found = self._pages.get(page)
                if found is None or found[0] < time.monotonic():
                    found = self._pages[page] = time.monotonic() + VALID_SECONDS, render(page)
        return found[1]  # type: ignore[no-any-return]


CACHES: dict[str, Any] = {"none": NoCache, "dict": Private, "redis": Redis, "aioipc": Shared}
cache: Any = None


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application without a framework, so that little else is measured."""
    global cache
    if scope["type"] != "http":
        return
    if cache is None:
        cache = CACHES[KIND]()
    if scope["path"] == "/renders":
        await asyncio.sleep(0.01)  # the other worker takes the next question
        await answer(send, f"{os.getpid()} {renders}".encode())
    else:
        await answer(send, await cache.page(scope["path"]))
