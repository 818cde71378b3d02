"""How tasks wait: the only part of aioipc that knows event loops.

A primitive's handle can `wait(bell, token)`: stand in a queue of the segment, giving a node that can `look()`
whether its turn has come, and `cancel()`.  This package parks the task in between:

    _doorbell.py  one bell for each event loop and segment, and who waits there
    _asyncio.py   parking with futures (asyncio, uvloop)
    _trio.py      parking with trio's rescheduling

A task looks itself, when it runs again, and nothing is awaited between a look that succeeds and its
return; so whatever ends the wait instead - a cancellation, a closed segment, a collected coroutine -
finds the node still there, and `cancel` passes on what was granted in the same instant.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from .._native import _core
from .._native._core import Attachment, Opening
from . import _asyncio
from ._doorbell import Doorbell, Waitable, all_of, find, sweep

__all__ = ["checkpoint", "close", "passed_on", "readable", "shielded", "wait"]


def _running_library() -> Any:
    """Whose `name` is that of the library that runs in the thread which asks."""
    return getattr(sys.modules.get("sniffio"), "thread_local", None)  # trio imports it


_core.checkpoints("trio", _running_library)  # every await is a checkpoint there


async def checkpoint() -> None:
    """A chance to be cancelled and to let others run, for a library that wants one at every await."""
    if _core.checkpoint_wanted():
        from . import _trio

        await _trio.checkpoint()


async def wait(handle: Waitable) -> None:
    """Waits until `handle` has what it waits for, first come first served; ClosedError when it never can."""
    await _doorbell(handle.opening.attachment).wait(handle)


async def readable(fd: int) -> None:
    """Waits until something can be read from a descriptor that nobody else in this loop waits for."""
    if _core.checkpoint_wanted():
        from . import _trio

        await _trio.readable(fd)
    else:
        await _asyncio.readable(fd)


def _run(operation: _core.Operation) -> Coroutine[Any, Any, Any]:
    """What an operation that has to wait awaits."""
    if _core.checkpoint_wanted():
        from . import _trio

        return _trio.run(operation)
    return _run_here(operation)


async def _run_here(operation: _core.Operation) -> Any:
    await wait(operation)
    return operation.result


async def shielded(operation: _core.Operation) -> BaseException | None:
    """Awaits the operation to its end, whatever cancels it meanwhile: returns that, for the caller to raise.
    Under trio it comes back at the next checkpoint by itself."""
    operation.close()  # it is not awaited itself
    if operation.ready():
        return None
    return await _doorbell(operation.opening.attachment).wait_to_the_end(operation)


def _bell_here(attachment: Attachment) -> int:
    """The bell of the running loop; -1: there is no loop, or nobody has waited in it yet."""
    doorbell = find(attachment, _running())
    return -1 if doorbell is None else doorbell.bell


def _trio_task() -> Any:
    from . import _trio

    _core.tasks(asyncio._get_running_loop, _task_of, _trio.task)
    return _trio.task()


# What asyncio.current_task(loop) does; itself it is written in Python before 3.12, and takes twice as long.
if sys.version_info >= (3, 12):
    _task_of: Any = asyncio.current_task
else:
    _task_of = vars(asyncio.tasks)["_current_tasks"].get
_core.tasks(asyncio._get_running_loop, _task_of, _trio_task)


def _doorbell(attachment: Attachment) -> Doorbell:
    """The running loop's doorbell, made when it is first needed."""
    if _core.checkpoint_wanted():
        from . import _trio

        return _trio.doorbell(attachment)
    return _asyncio.doorbell(attachment)


def passed_on(attachment: Attachment) -> None:
    """This thread has just woken somebody: a task of its own loop is spared the way through the kernel."""
    sweep(attachment)
    doorbell = find(attachment, _running())
    if doorbell is not None:
        doorbell.drain()


_core.operations(_run, _bell_here, passed_on)


def _running() -> Any:
    """What stands for the running event loop; None when there is none."""
    if _core.checkpoint_wanted():
        from . import _trio

        return _trio.running()
    return asyncio._get_running_loop()


def close(opening: Opening) -> None:
    """Withdraws everybody who waits through `opening`; they get ClosedError."""
    for doorbell in all_of(opening.attachment):
        doorbell.withdraw(opening)
