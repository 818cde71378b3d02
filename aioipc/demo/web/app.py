"""The ASGI application, GET /<number> is a page from the shared cache; and a uvicorn worker with it."""

import asyncio
import os
import socket
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from aioipc import ManagedSharedMemory

from ..ending import end_with_the_demo
from .cache import PageCache
from .pages import render

__all__ = ["App", "serve"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class App:
    """Opens the segment when its worker starts, closes it when the worker ends in order."""

    def __init__(self, segment: str, sources: list[str]) -> None:
        self._name = segment
        self._sources = sources
        self._worker = str(os.getpid()).encode()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """One request, or the life of the worker."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope["path"], send)

    async def _live(self, receive: _Receive, send: _Send) -> None:
        await receive()
        with ManagedSharedMemory.open(self._name) as segment:
            self._cache = PageCache(segment)
            self._cache.workers[os.getpid()] = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, path: str, send: _Send) -> None:
        body, how = await self._cache.get(int(path.removeprefix("/")), self._compute)
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"x-cache", how.encode()),
            (b"x-worker", self._worker),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _compute(self, page: int) -> bytes:
        """In a thread, so that this worker goes on answering others."""
        return await asyncio.to_thread(render, self._sources[page])


def serve(segment: str, sources: list[str], listener: socket.socket) -> None:
    """The whole life of a worker; all of them accept from one listening socket."""
    end_with_the_demo()
    warnings.simplefilter("ignore")  # what the tokenizer thinks of old test files
    app = App(segment, sources)
    config = uvicorn.Config(app, lifespan="on", log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[listener])
