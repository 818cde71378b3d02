"""What an RLock promises beside what test_holders_contract.py asks: whose it is, and how deep."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioipc import ClosedError, Condition, Lock, ManagedSharedMemory, NotOwnerError, RLock, WouldBlock
from tests.support.forked import forked
from tests.support.holders import THREE_LOOPS, in_thread, until
from tests.support.peers import Link

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture
def rlock(segment: ManagedSharedMemory) -> RLock:
    return RLock(segment, "rlock", spin_us=0)


def idle(rlock: RLock) -> bool:
    before = rlock.statistics()
    with rlock.blocking, rlock.blocking:
        deep = rlock.statistics().depth
    return (before.locked, before.waiters, before.depth, deep) == (False, 0, 0, 2) and not rlock.locked()


def test_its_task_takes_it_again_and_gives_it_back_as_often(run_async: RunAsync, rlock: RLock) -> None:
    async def body() -> None:
        async with rlock:
            assert await rlock.acquire() is True
            rlock.acquire_nowait()
            async with rlock:
                assert rlock.statistics().depth == 4
            rlock.release()
            rlock.release()
            assert rlock.statistics().depth == 1
            assert rlock.locked()
        assert not rlock.locked()
        with pytest.raises(NotOwnerError):
            rlock.release()

    run_async(body)
    assert idle(rlock)


def test_its_thread_takes_it_again_and_gives_it_back_as_often(rlock: RLock) -> None:
    view = rlock.blocking
    with view, rlock.blocking:
        assert view.acquire(timeout=0) is True
        assert rlock.statistics().depth == 3
        view.release()
    with pytest.raises(NotOwnerError, match="thread"):
        view.release()
    assert idle(rlock)


def test_another_task_waits_until_it_is_given_back_wholly(run_async: RunAsync, rlock: RLock) -> None:
    entered = False

    async def other() -> None:
        nonlocal entered
        async with rlock:
            entered = True
            assert rlock.statistics().depth == 1

    async def body() -> None:
        await rlock.acquire()
        await rlock.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(other)
            await until(lambda: rlock.statistics().waiters == 1)
            await rlock.acquire()  # ahead of the one who waits
            for _ in range(2):
                rlock.release()
                await anyio.lowlevel.checkpoint()
                assert not entered
            rlock.release()
        assert entered

    run_async(body)
    assert idle(rlock)


def test_only_its_owner_releases_it(run_async: RunAsync, rlock: RLock) -> None:
    async def other() -> None:
        with pytest.raises(NotOwnerError, match="task"):
            rlock.release()
        with pytest.raises(WouldBlock):
            rlock.acquire_nowait()

    def thread() -> None:
        for release in (rlock.release, rlock.blocking.release):
            with pytest.raises(NotOwnerError, match="thread"):
                release()
        assert rlock.blocking.acquire(timeout=0) is False

    async def body() -> None:
        async with rlock, anyio.create_task_group() as group:
            group.start_soon(other)
            group.start_soon(in_thread, thread)
        assert not rlock.locked()

    run_async(body)
    assert idle(rlock)


def test_the_thread_of_a_loop_and_its_tasks_are_two_owners(run_async: RunAsync, rlock: RLock) -> None:
    async def body() -> None:
        async with rlock:
            assert rlock.blocking.acquire(timeout=0) is False
            with pytest.raises(NotOwnerError):
                rlock.blocking.release()
        with rlock.blocking:
            with pytest.raises(WouldBlock):
                rlock.acquire_nowait()
            with pytest.raises(NotOwnerError):
                rlock.release()
        assert idle(rlock)

    run_async(body)


def test_a_task_that_ends_keeps_it(run_async: RunAsync, rlock: RLock, segment: ManagedSharedMemory) -> None:
    async def keeper() -> None:
        await rlock.acquire()

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(keeper)
        assert rlock.statistics().mine
        with pytest.raises(NotOwnerError):
            rlock.release()
        with anyio.move_on_after(0.001) as scope:
            await rlock.acquire()
        assert scope.cancelled_caught

    run_async(body)
    assert segment.destroy_object(rlock)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "acquire",
    [
        lambda rlock: asyncio.wait_for(rlock.acquire(), 5),
        lambda rlock: asyncio.create_task(rlock.acquire()),
        lambda rlock: asyncio.gather(rlock.acquire()),
    ],
    ids=["wait_for", "create_task", "gather"],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_who_calls_acquire_owns_it_whoever_awaits_that(
    rlock: RLock, acquire: Callable[[RLock], Awaitable[object]], waits: bool
) -> None:
    """asyncio.wait_for makes a task of it before Python 3.12, which could never give it back."""
    if waits:
        rlock.blocking.acquire()
        asyncio.get_running_loop().call_soon(rlock.blocking.release)
    await acquire(rlock)
    async with rlock:
        assert rlock.statistics().depth == 2
    rlock.release()
    assert idle(rlock)


@pytest.mark.asyncio
async def test_an_acquire_made_outside_of_a_task_is_of_the_one_that_awaits(rlock: RLock) -> None:
    made = await in_thread(rlock.acquire)
    assert await made is True
    rlock.release()
    assert idle(rlock)


def test_a_callback_of_the_loop_is_its_thread(rlock: RLock) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        ran = loop.create_future()

        def callback() -> None:
            rlock.acquire_nowait()
            assert "thread" in str(rlock.statistics().owner_task)
            with rlock.blocking:
                assert rlock.statistics().depth == 2
            rlock.release()
            ran.set_result(None)

        loop.call_soon(callback)
        await ran

    asyncio.run(body())
    assert idle(rlock)


def test_handles_and_openings_of_a_process_know_one_owner(rlock: RLock, segment_name: str) -> None:
    with ManagedSharedMemory.open(segment_name) as again:
        other = RLock(again, "rlock")
        with rlock.blocking, other.blocking:
            assert rlock.statistics().depth == other.statistics().depth == 2
            other.release()
            other.blocking.acquire()
    assert idle(rlock)


def test_a_cancelled_waiter_changes_neither_owner_nor_depth(run_async: RunAsync, rlock: RLock) -> None:
    async def other(scope: anyio.CancelScope) -> None:
        with scope:
            await rlock.acquire()

    async def body() -> None:
        async with rlock, rlock, anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(other, scope)
            await until(lambda: rlock.statistics().waiters == 1)
            scope.cancel()
            await until(lambda: rlock.statistics().waiters == 0)
            assert rlock.statistics().depth == 2
            rlock.release()
            await rlock.acquire()

    run_async(body)
    assert idle(rlock)


def test_a_condition_beside_it_gives_all_of_it_back_and_takes_it_as_deep(
    run_async: RunAsync, rlock: RLock, segment: ManagedSharedMemory
) -> None:
    condition = Condition(segment, "c", rlock)
    depths: list[int] = []

    async def waiter() -> None:
        async with condition, rlock, condition:
            await condition.wait()
            depths.append(rlock.statistics().depth)

    def thread() -> None:
        with condition.blocking, rlock.blocking:
            condition.blocking.wait()
            depths.append(rlock.statistics().depth)

    async def other() -> None:
        with pytest.raises(NotOwnerError):
            condition.notify()
        with pytest.raises(NotOwnerError):
            await condition.wait()

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            group.start_soon(in_thread, thread)
            await until(lambda: condition.statistics().waiters == 2 and not rlock.locked())
            async with condition, condition:
                condition.notify_all()
                async with anyio.create_task_group() as inner:
                    inner.start_soon(other)
        assert sorted(depths) == [2, 3]

    run_async(body)
    assert idle(rlock)


@pytest.mark.asyncio
async def test_a_cancelled_wait_holds_it_as_deep_as_before(
    rlock: RLock, segment: ManagedSharedMemory
) -> None:
    condition = Condition(segment, "c", rlock)
    async with rlock, rlock:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await condition.wait()
        assert rlock.statistics().depth == 2
    assert idle(rlock)


def test_a_destroyed_lock_is_not_taken_again(run_async: RunAsync, rlock: RLock, segment: Any) -> None:
    async def body() -> None:
        await rlock.acquire()
        assert segment.destroy_object(rlock)
        with pytest.raises(ClosedError):
            await rlock.acquire()
        with pytest.raises(ClosedError):
            rlock.acquire_nowait()
        with pytest.raises(ClosedError):
            async with rlock:
                pytest.fail("entered")
        rlock.release()

    run_async(body)


def test_a_child_does_not_own_what_its_parent_held(rlock: RLock) -> None:
    with rlock.blocking, rlock.blocking:
        with forked(is_not_mine, rlock) as child:
            assert child.result() == 0
        assert rlock.statistics().depth == 2
    assert idle(rlock)


def is_not_mine(_: Link, rlock: RLock) -> int:
    with pytest.raises(NotOwnerError):
        rlock.blocking.release()
    with pytest.raises(WouldBlock):
        rlock.acquire_nowait()
    assert rlock.blocking.acquire(timeout=0.001) is False
    record = rlock.statistics()
    assert record.locked
    assert not record.mine
    return record.depth


# ------------------------------------------------------------------------ who holds it, in its statistics


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_statistics_name_the_holders_process_and_task(
    run_async: RunAsync, segment: ManagedSharedMemory, kind: Any, loop_name: str
) -> None:
    lock = kind(segment, "named")

    async def body() -> None:
        assert (lock.statistics().owner_pid, lock.statistics().owner_task) == (None, None)
        async with lock:
            record = lock.statistics()
            assert record.owner_pid == os.getpid()
            assert record.owner_task is not None
            if loop_name == "trio":
                assert record.owner_task.endswith(".<locals>.body")
            else:
                task = asyncio.current_task()
                assert task is not None
                assert record.owner_task == task.get_name()
        assert (lock.statistics().owner_pid, lock.statistics().owner_task) == (None, None)
        with lock.blocking:
            assert lock.statistics().owner_task == f"thread {threading.get_native_id()}"

    run_async(body)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x" * 40, "x" * 32),
        ("é" * 40, "é" * 16),
        ("x" + "é" * 40, "x" + "é" * 15),
        ("\x01", "\x01"),
        ("", None),
    ],
    ids=["long", "long in two bytes", "cut within a letter", "a control character", "empty"],
)
@pytest.mark.parametrize("kind", [Lock, RLock])
async def test_names_of_tasks_are_cut_after_32_bytes(
    segment: ManagedSharedMemory, kind: Any, name: str, shown: str | None
) -> None:
    lock = kind(segment, "named")

    async def holder() -> str | None:
        async with lock:
            task: str | None = lock.statistics().owner_task
            return task

    assert await asyncio.create_task(holder(), name=name) == shown


def test_statistics_name_the_dead_holder_until_somebody_takes_over(segment: ManagedSharedMemory) -> None:
    lock = Lock(segment, "named", spin_us=0)
    with forked(dies_holding, lock) as child:
        child.receive()
        pid = child.pid
        child.kill()
    with lock.blocking:
        assert lock.abandoned
        assert str(lock.statistics().owner_task).startswith("thread")
    again = RLock(segment, "again")
    with forked(dies_holding, again) as child:
        child.receive()
        record = again.statistics()
        assert (record.owner_pid, record.owner_task, record.depth) == (child.pid, "the last one", 0)
        child.kill()
        again.segment.check_sanity()  # notices the death
        record = again.statistics()
        assert (record.owner_pid, record.owner_task) == (child.pid, "the last one")
        assert (record.locked, record.abandoned) == (False, True)
    assert pid != child.pid


def dies_holding(test: Link, lock: Any) -> None:
    async def body() -> None:
        async with lock:
            test.sync("held")

    async def main() -> None:
        await asyncio.create_task(body(), name="the last one")

    asyncio.run(main())
