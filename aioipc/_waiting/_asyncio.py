"""Parking under asyncio, and loops that follow its rules (uvloop)."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any

from .._native._core import Attachment
from ._doorbell import Doorbell, Place, Waitable, find


class AsyncioDoorbell(Doorbell):
    """Tasks are parked on futures."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, attachment: Attachment, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(attachment, loop)
        loop.add_reader(self._epoll.fileno(), self.rung)  # the loop's reference keeps the doorbell alive

    async def wait(self, handle: Waitable) -> None:
        token, place = self._stand(handle)
        if place is None:
            return
        try:
            while True:
                await self._parked(place)
                if place.ready():
                    return
        finally:
            self._leave(token, place)

    async def wait_to_the_end(self, handle: Waitable) -> BaseException | None:
        cancelled: BaseException | None = None
        token, place = self._stand(handle)
        if place is None:
            return None
        try:
            with _shield_of_anyio():
                while True:
                    try:
                        await self._parked(place)
                    except asyncio.CancelledError as error:
                        cancelled = error
                    if place.ready():
                        return cancelled
        finally:
            self._leave(token, place)

    def _parked(self, place: Place) -> asyncio.Future[None]:
        place.parked = self.loop.create_future()
        self._arm()
        parked: asyncio.Future[None] = place.parked
        return parked

    def _wake(self, place: Place) -> None:
        if place.parked is not None and not place.parked.done():
            place.parked.set_result(None)

    def _soon(self) -> None:
        self.loop.call_soon(self.drain)

    def _in_loop(self, call: Callable[..., None], *args: Any) -> None:
        if self._thread == threading.get_ident():
            call(*args)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(call, *args)

    def _ended(self) -> bool:
        return self.loop.is_closed()

    def _unhook(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self._epoll.fileno())


def _shield_of_anyio() -> contextlib.AbstractContextManager[Any]:
    """Its scopes cancel again in each turn of the loop."""
    anyio = sys.modules.get("anyio")
    return contextlib.nullcontext() if anyio is None else anyio.CancelScope(shield=True)


def doorbell(attachment: Attachment) -> Doorbell:
    """The running loop's doorbell."""
    loop = asyncio.get_running_loop()
    return find(attachment, loop) or AsyncioDoorbell(attachment, loop)


async def readable(fd: int) -> None:
    """Waits until something can be read from the descriptor."""
    loop = asyncio.get_running_loop()
    parked = loop.create_future()
    loop.add_reader(fd, _resume, parked)
    try:
        await parked
    finally:
        if not loop.is_closed():
            loop.remove_reader(fd)


def _resume(parked: asyncio.Future[None]) -> None:
    if not parked.done():
        parked.set_result(None)
