"""What every way of using a Lock promises: awaited under each event loop, and blocking in threads.

One body, several faces.  A face acquires and releases; the same tests hold for all of them, and for all of
them at once on one lock.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
import trio.testing

from aioipc import ClosedError, Lock, ManagedSharedMemory, WouldBlock

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


class Awaited:
    """`await lock.acquire()` in the test's own loop."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    async def acquire(self) -> bool:
        return await self.lock.acquire()

    def release(self) -> None:
        self.lock.release()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        async with self.lock:
            yield


class Blocking:
    """`lock.blocking.acquire()`, each in a thread of its own."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock.blocking

    async def acquire(self) -> bool:
        limiter = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(self.lock.acquire, limiter=limiter)

    def release(self) -> None:
        self.lock.release()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        await self.acquire()
        try:
            yield
        finally:
            self.release()


Face = Awaited | Blocking


@pytest.fixture(params=[Awaited, Blocking])
def face(request: pytest.FixtureRequest, lock: Lock) -> Face:
    made: Face = request.param(lock)
    return made


@pytest.fixture
def lock(segment: ManagedSharedMemory) -> Lock:
    return Lock(segment, "lock", spin_us=0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


async def waiting(lock: Lock, count: int) -> None:
    """Returns when so many stand in the lock's queue."""
    await until(lambda: lock.statistics().waiters == count)


def idle(lock: Lock) -> bool:
    """The lock is free, nobody waits, and it still works."""
    lock.acquire_nowait()
    lock.release()
    statistics = lock.statistics()
    return (statistics.locked, statistics.waiters) == (False, 0)


def test_a_free_lock_is_taken_and_given_back(run_async: RunAsync, face: Face, lock: Lock) -> None:
    async def body() -> None:
        assert not lock.locked()
        assert await face.acquire() is True
        assert lock.locked()
        statistics = lock.statistics()
        assert (statistics.locked, statistics.mine, statistics.abandoned) == (True, True, False)
        face.release()
        async with face.held():
            assert lock.locked()
        assert idle(lock)

    run_async(body)


def test_only_one_holds_it_at_a_time(run_async: RunAsync, face: Face, lock: Lock) -> None:
    inside = 0
    entries = 0

    async def worker() -> None:
        nonlocal inside, entries
        for _ in range(20):
            async with face.held():
                inside += 1
                assert inside == 1
                await anyio.lowlevel.checkpoint()
                assert inside == 1
                inside -= 1
                entries += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(worker)
        assert entries == 100
        assert idle(lock)

    run_async(body)


def test_waiters_are_served_first_come_first_served(run_async: RunAsync, face: Face, lock: Lock) -> None:
    served: list[int] = []

    async def waiter(number: int) -> None:
        async with face.held():
            served.append(number)

    async def body() -> None:
        await face.acquire()
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(waiter, number)
                await waiting(lock, number + 1)
            face.release()
        assert served == list(range(8))
        assert idle(lock)

    run_async(body)


def test_a_newcomer_does_not_overtake_the_waiters_of_its_process(run_async: RunAsync, lock: Lock) -> None:
    served: list[str] = []

    async def waiter() -> None:
        async with lock:
            served.append("waiter")

    async def body() -> None:
        await lock.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await waiting(lock, 1)
            lock.release()
            with pytest.raises(WouldBlock):
                lock.acquire_nowait()
            async with lock:
                served.append("newcomer")
        assert served == ["waiter", "newcomer"]

    run_async(body)


def test_acquire_nowait_never_waits(run_async: RunAsync, face: Face, lock: Lock) -> None:
    async def body() -> None:
        lock.acquire_nowait()
        with pytest.raises(WouldBlock, match="await acquire"):
            lock.acquire_nowait()
        assert lock.blocking.acquire(timeout=0) is False
        face.release()
        assert idle(lock)

    run_async(body)


def test_a_lock_not_held_cannot_be_released(run_async: RunAsync, face: Face, lock: Lock) -> None:
    async def body() -> None:
        with pytest.raises(RuntimeError, match="does not hold"):
            face.release()
        async with face.held():
            pass
        with pytest.raises(RuntimeError):
            face.release()
        assert idle(lock)

    run_async(body)


def test_any_task_of_the_process_may_release(run_async: RunAsync, face: Face, lock: Lock) -> None:
    async def releaser() -> None:
        face.release()

    async def body() -> None:
        await face.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(releaser)
        assert idle(lock)

    run_async(body)


def test_an_exception_inside_gives_the_lock_back(run_async: RunAsync, face: Face, lock: Lock) -> None:
    async def body() -> None:
        with pytest.raises(KeyError):
            async with face.held():
                raise KeyError
        assert idle(lock)

    run_async(body)


def test_a_cancelled_waiter_is_skipped(run_async: RunAsync, lock: Lock) -> None:
    served: list[int] = []
    scopes: list[anyio.CancelScope] = []

    async def waiter(number: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            async with lock:
                served.append(number)

    async def body() -> None:
        await lock.acquire()
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(waiter, number)
                await waiting(lock, number + 1)
            for number in (0, 2, 4):
                scopes[number].cancel()
            await waiting(lock, 2)
            lock.release()
        assert served == [1, 3]
        assert idle(lock)

    run_async(body)


def test_destroying_the_lock_ends_all_waiting(
    run_async: RunAsync, face: Face, lock: Lock, segment: ManagedSharedMemory
) -> None:
    ended = 0

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face.acquire()
        ended += 1

    async def body() -> None:
        await face.acquire()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter)
            await waiting(lock, 3)
            assert segment.destroy(Lock, "lock")
        assert ended == 3
        face.release()
        with pytest.raises(ClosedError):
            await face.acquire()

    run_async(body)


def test_closing_the_segment_ends_all_waiting(
    run_async: RunAsync, face: Face, lock: Lock, segment: ManagedSharedMemory
) -> None:
    ended = 0

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face.acquire()
        ended += 1

    async def body() -> None:
        await face.acquire()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter)
            await waiting(lock, 3)
            segment.close()
        assert ended == 3

    run_async(body)


def test_closing_one_handle_leaves_the_waiters_of_another(
    run_async: RunAsync, lock: Lock, segment: ManagedSharedMemory, segment_name: str
) -> None:
    ended: list[str] = []

    async def closed_waiter(other: Lock) -> None:
        with pytest.raises(ClosedError):
            await other.acquire()
        ended.append("closed")

    async def waiter() -> None:
        async with lock:
            ended.append("served")

    async def body() -> None:
        await lock.acquire()
        with ManagedSharedMemory.open(segment_name) as again:
            async with anyio.create_task_group() as group:
                group.start_soon(closed_waiter, Lock(again, "lock"))
                await waiting(lock, 1)
                group.start_soon(waiter)
                await waiting(lock, 2)
                again.close()
                await waiting(lock, 1)
                lock.release()
        assert sorted(ended) == ["closed", "served"]
        assert idle(lock)

    run_async(body)


def test_with_names_the_two_forms_there_are(lock: Lock) -> None:
    with pytest.raises(TypeError, match=r"async with lock.*with lock\.blocking"), lock:
        pass
    assert idle(lock)


def test_an_acquire_that_is_never_awaited_takes_nothing(lock: Lock) -> None:
    lock.acquire().close()
    assert idle(lock)


def test_blocking_acquire_gives_up_when_the_time_is_over(lock: Lock) -> None:
    with lock.blocking:
        assert lock.blocking.acquire(timeout=0.001) is False
        assert lock.statistics().waiters == 0
    with pytest.raises(ValueError, match="timeout"):
        lock.blocking.acquire(timeout=-1)
    assert lock.blocking.acquire(timeout=5) is True
    lock.release()
    assert idle(lock)


def test_repr_says_who_holds_it_and_who_waits(run_async: RunAsync, lock: Lock) -> None:
    async def body() -> None:
        assert repr(lock) == "<aioipc.Lock 'lock' [unlocked]>"
        await lock.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(wait_and_release, lock)
            await waiting(lock, 1)
            assert "locked by" in repr(lock)
            assert "waiters:1" in repr(lock)
            lock.release()

    run_async(body)


async def wait_and_release(lock: Lock) -> None:
    async with lock:
        pass


# ------------------------------------------------------------------------------- what asyncio adds


@pytest.mark.asyncio
async def test_under_asyncio_a_free_lock_does_not_suspend(lock: Lock) -> None:
    ran = False

    def note() -> None:
        nonlocal ran
        ran = True

    asyncio.get_running_loop().call_soon(note)
    for _ in range(10):
        await lock.acquire()
        lock.release()
        async with lock:
            pass
    assert not ran


@pytest.mark.asyncio
async def test_what_acquire_returns_can_be_made_a_task_and_given_a_timeout(lock: Lock) -> None:
    await asyncio.create_task(lock.acquire())
    task = asyncio.create_task(lock.acquire())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lock.acquire(), 0.001)
    lock.release()
    assert await task is True
    lock.release()
    assert await asyncio.wait_for(lock.acquire(), 1) is True
    lock.release()
    assert idle(lock)


def test_under_trio_every_await_is_a_checkpoint_and_cancelled_before_takes_nothing(lock: Lock) -> None:
    async def body() -> None:
        for use in (lock.acquire, lock.__aenter__):
            with trio.CancelScope() as scope:
                scope.cancel()
                await use()
            assert scope.cancelled_caught
            assert not lock.locked()
            with trio.testing.assert_checkpoints():
                await use()
            lock.release()

    trio.run(body)
    assert idle(lock)


def test_a_lock_goes_from_one_loop_to_the_next(lock: Lock) -> None:
    async def contend() -> None:
        async def one() -> None:
            async with lock:
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)

    for _ in range(3):
        anyio.run(contend, backend="asyncio")
        anyio.run(contend, backend="trio")
    assert idle(lock)


# -------------------------------------------------------------------------------------- all at once


def test_asyncio_trio_and_threads_share_one_lock(segment: ManagedSharedMemory, lock: Lock) -> None:
    rounds = 200
    with memoryview(segment.allocate(8)).cast("Q") as counter:

        async def awaiting() -> None:
            async def worker() -> None:
                for _ in range(rounds):
                    async with lock:
                        seen = counter[0]
                        await anyio.lowlevel.checkpoint()
                        counter[0] = seen + 1

            async with anyio.create_task_group() as group:
                group.start_soon(worker)
                group.start_soon(worker)

        def blocking() -> None:
            for _ in range(rounds):
                with lock.blocking:
                    counter[0] += 1

        calls: list[Callable[[], object]] = [
            lambda: anyio.run(awaiting, backend="asyncio"),
            lambda: anyio.run(awaiting, backend="asyncio", backend_options={"use_uvloop": True}),
            lambda: anyio.run(awaiting, backend="trio"),
            blocking,
            blocking,
        ]
        threads = [threading.Thread(target=call) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter[0] == rounds * (2 * 3 + 2)
    assert idle(lock)
