"""Cancellation at every instant of acquiring a FileLock: nothing is held, and no thread is left.

The sweep cancels a task at its n-th suspension, for every n until there is none: behind tasks of our own,
which hand the turn on, and behind another program, for which a thread waits.
"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import uvloop

from aioipc import FileGuard, FileLock
from tests.support.faces import until
from tests.support.files import PROTOCOLS, descriptors, foreign, idle, threads
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]

pytestmark = pytest.mark.usefixtures("named_home")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.lock"


@pytest.fixture(params=PROTOCOLS)
def lock(request: pytest.FixtureRequest, path: Path) -> FileLock:
    return FileLock(path, protocol=request.param)


async def hold_under_contention(lock: FileLock) -> None:
    """What is swept: acquisitions each of which has to wait."""
    for guard in (lock, lock.read(), lock.write()):
        async with guard:
            await anyio.lowlevel.checkpoint()
    await lock.acquire()
    lock.release()


async def hold(guard: FileGuard) -> None:
    for _ in range(5):
        async with guard:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()


async def hold_as_another_program(lock: FileLock) -> None:
    for _ in range(5):
        try:
            with foreign(lock.path, lock._file.protocol):
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
        except BlockingIOError:
            pass
        await anyio.lowlevel.checkpoint()


RIVALS: dict[str, Callable[[FileLock], Awaitable[None]]] = {
    "a writer of ours": lambda lock: hold(lock.write()),
    "a reader of ours": lambda lock: hold(lock.read()),
    "another program": hold_as_another_program,
}


def clean(lock: FileLock) -> bool:
    return idle(lock) and threads() == 0 and descriptors(Path(lock.path).parent) == 0


@pytest.mark.parametrize("rival", RIVALS)
def test_a_cancellation_at_any_suspension_leaves_the_lock_working(
    run_async: RunAsync, lock: FileLock, rival: str
) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        swept: Interrupter | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(RIVALS[rival], lock)
            await anyio.lowlevel.checkpoint()
            with anyio.CancelScope() as scope:
                swept = Interrupter(hold_under_contention(lock), nth, scope.cancel)
                await swept
        assert clean(lock), f"cancelled at suspension {nth}"
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 4

    run_async(body)


@pytest.mark.asyncio
@pytest.mark.parametrize("rival", RIVALS)
async def test_task_cancel_at_any_suspension_leaves_the_lock_working(lock: FileLock, rival: str) -> None:

    async def cancelled_at(nth: int) -> bool:
        async def swept() -> None:
            await interrupter

        first = asyncio.ensure_future(RIVALS[rival](lock))
        task = asyncio.create_task(swept())
        interrupter = Interrupter(hold_under_contention(lock), nth, task.cancel)
        await asyncio.gather(first, task, return_exceptions=True)
        assert clean(lock), f"cancelled at suspension {nth}"
        return interrupter.suspensions >= nth

    nth = 1
    while await cancelled_at(nth):
        nth += 1
    assert nth > 4


@pytest.mark.parametrize("yields", range(4))
def test_a_lock_that_comes_in_the_instant_of_the_cancellation_is_free_for_the_next(
    run_async: RunAsync, lock: FileLock, yields: int
) -> None:
    """Another program lets go; the thread that waits may have the lock already, or not."""

    async def body() -> None:
        for order in ("release first", "cancel first"):
            async with anyio.create_task_group() as group:
                with foreign(lock.path, lock._file.protocol):
                    group.start_soon(lock.acquire)
                    await until(lambda: threads() == 1)
                    if order == "cancel first":
                        group.cancel_scope.cancel()
                for _ in range(yields):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            if lock.statistics().mine:
                lock.release()
            assert clean(lock)

    run_async(body)


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_loop_that_is_closed_while_a_task_waits_for_another_program_withdraws_it(
    lock: FileLock, make: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with foreign(lock.path, lock._file.protocol):
        loop = make()
        loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
        task = loop.create_task(lock.acquire())
        while threads() == 0:
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        del task, loop
        gc.collect()
        assert threads() == 0
    assert clean(lock)


class Alarm(BaseException):
    """What the signal handler raises, as Ctrl-C does."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM raises Alarm."""

    def handler(*_: object) -> None:
        raise Alarm

    previous = signal.signal(signal.SIGALRM, handler)
    yield
    signal.signal(signal.SIGALRM, previous)


@pytest.mark.usefixtures("alarm")
@pytest.mark.filterwarnings("ignore:.*was never awaited", "ignore:.*dropped without release")
def test_a_signal_handler_that_raises_at_any_instant_of_a_blocking_acquire_leaves_it_free(
    lock: FileLock,
) -> None:
    random = Random(1)
    early = late = 0
    while early < 100 or late < 100:
        seconds, inside = random.uniform(1e-5, 3e-4), False
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            with lock.blocking:
                inside = True
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Alarm:
            pass
        early, late = early + (not inside), late + inside
        assert clean(lock)
