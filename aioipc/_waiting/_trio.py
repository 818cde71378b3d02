"""Parking under trio.  Imported only where trio is running."""

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

from .._native._core import Attachment, Operation
from ._doorbell import Doorbell, Place, Waitable, find

checkpoint = trio.lowlevel.checkpoint
readable = trio.lowlevel.wait_readable


class TrioDoorbell(Doorbell):
    """Tasks are parked with trio's own rescheduling; a system task listens for the bell."""

    loop: trio.lowlevel.TrioToken

    def __init__(self, attachment: Attachment, loop: trio.lowlevel.TrioToken) -> None:
        super().__init__(attachment, loop)
        self._due = math.inf
        self._turns: deque[Place] = deque()  # woken and not yet run, in the order in which they were woken
        self._scope = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._listen, name="aioipc doorbell")

    async def _listen(self) -> None:
        """Runs as long as trio does, or until the segment is closed."""
        try:
            while not self._closed:
                with (
                    trio.CancelScope(deadline=self._due) as self._scope,
                    contextlib.suppress(trio.ClosedResourceError),
                ):
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                self._due = math.inf
                self.rung()
        finally:
            self.close()

    @trio.lowlevel.enable_ki_protection
    async def wait(self, handle: Waitable) -> None:
        await self._through(handle, self._abort)

    @trio.lowlevel.enable_ki_protection
    async def wait_to_the_end(self, handle: Waitable) -> None:
        await self._through(handle, lambda _: trio.lowlevel.Abort.FAILED)

    async def _through(self, handle: Waitable, abort: Callable[[Place], trio.lowlevel.Abort]) -> None:
        token, place = self._stand(handle)
        if place is None:
            return
        try:
            while True:
                place.parked = trio.lowlevel.current_task()
                self._arm()
                await trio.lowlevel.wait_task_rescheduled(lambda _: abort(place))
                await self._turn(place)
                if place.ready():
                    return
        finally:
            self._leave(token, place)

    async def _turn(self, place: Place) -> None:
        """Who was woken first looks first, though trio runs tasks in no fixed order."""
        try:
            while self._turns[0] is not place:
                await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._turns.remove(place)

    @staticmethod
    def _abort(place: Place) -> trio.lowlevel.Abort:
        place.parked = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self, place: Place) -> None:
        task, place.parked = place.parked, None
        if task is not None:
            self._turns.append(place)
            trio.lowlevel.reschedule(task)

    def _soon(self) -> None:
        self._due = self._scope.deadline = -math.inf

    def _in_loop(self, call: Callable[..., None], *args: Any) -> None:
        if self._thread == threading.get_ident():
            call(*args)
        else:
            with contextlib.suppress(trio.RunFinishedError):
                self.loop.run_sync_soon(call, *args)

    def _unhook(self) -> None:
        with contextlib.suppress(RuntimeError):  # trio has ended
            trio.lowlevel.notify_closing(self._epoll.fileno())


@trio.lowlevel.enable_ki_protection
async def run(operation: Operation) -> Any:
    """Awaits an operation.  Ctrl-C is for the checkpoint: after that it could lose what was got."""
    await checkpoint()
    if not operation.ready():
        await doorbell(operation.opening.attachment).wait(operation)
    return operation.result


def running() -> trio.lowlevel.TrioToken:
    """What stands for the running loop."""
    return trio.lowlevel.current_trio_token()


@trio.lowlevel.enable_ki_protection  # asked while something is given back
def task() -> trio.lowlevel.Task | None:
    """The running task."""
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:  # trio runs, but a callback and no task
        return None


def doorbell(attachment: Attachment) -> Doorbell:
    """The running loop's doorbell."""
    return find(attachment, running()) or TrioDoorbell(attachment, running())
