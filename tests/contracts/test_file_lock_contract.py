"""What every way of using a FileLock promises: awaited under each event loop, and blocking in threads."""

import asyncio
import os
import pickle
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
import trio.testing

from aioipc import (
    FileGuard,
    FileLock,
    NotOwnerError,
    WouldBlock,
    named,
)
from tests.support.faces import FACES, THREE_LOOPS, Face, until
from tests.support.files import PROTOCOLS, again, descriptors, foreign, idle, threads, waiting

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
MakeFace = Callable[[FileGuard], Face]

pytestmark = pytest.mark.usefixtures("named_home")


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=FACES)
def face_of(request: pytest.FixtureRequest) -> MakeFace:
    made: MakeFace = request.param
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.lock"


@pytest.fixture
def lock(request: pytest.FixtureRequest, path: Path) -> Iterator[FileLock]:
    yield FileLock(path, protocol=getattr(request, "param", "ofd"))
    assert named.segment().check_sanity()
    assert descriptors(path.parent) == 0


with_each_protocol = pytest.mark.parametrize("lock", PROTOCOLS, indirect=True)


@with_each_protocol
def test_a_free_lock_is_taken_and_given_back(run_async: RunAsync, face_of: MakeFace, lock: FileLock) -> None:
    async def body() -> None:
        assert not lock.locked()
        assert await face_of(lock)("acquire") is True
        statistics = lock.statistics()
        assert (statistics.locked, statistics.writing, statistics.mine) == (True, True, True)
        assert (statistics.owner_pid, statistics.abandoned, lock.abandoned) == (os.getpid(), False, False)
        assert not again(lock).statistics().mine
        lock.release()
        async with face_of(lock.read()).entered():
            statistics = lock.statistics()
            assert (statistics.locked, statistics.writing, statistics.mine) == (True, False, False)
            assert statistics.owner_pid is None
        assert idle(lock)

    run_async(body)


@with_each_protocol
def test_one_writes_or_many_read(run_async: RunAsync, face_of: MakeFace, lock: FileLock) -> None:
    reading = writing = most = writes = 0

    async def writer(guard: FileGuard) -> None:
        nonlocal writing, writes
        for _ in range(8):
            async with face_of(guard).entered():
                writing += 1
                assert (reading, writing) == (0, 1)
                await anyio.lowlevel.checkpoint()
                assert (reading, writing) == (0, 1)
                writing -= 1
                writes += 1

    async def reader() -> None:
        nonlocal reading, most
        for _ in range(8):
            async with face_of(again(lock).read()).entered():
                reading += 1
                most = max(most, reading)
                assert writing == 0
                await anyio.lowlevel.checkpoint()
                assert writing == 0
                reading -= 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(writer, lock)
            group.start_soon(writer, lock.write())
            group.start_soon(writer, again(lock))
            for _ in range(3):
                group.start_soon(reader)
        assert writes == 24
        assert idle(lock)
        async with face_of(lock.read()).entered(), face_of(again(lock).read()).entered():
            pass

    run_async(body)


def test_waiters_are_served_first_come_first_served(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock
) -> None:
    served: list[int] = []

    async def waiter(number: int) -> None:
        async with face_of(again(lock)).entered():
            served.append(number)

    async def body() -> None:
        await lock.acquire()
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(waiter, number)
                await waiting(lock, number + 1)
            lock.release()
        assert served == list(range(6))
        assert idle(lock)

    run_async(body)


def test_a_writer_waits_for_our_readers_without_a_thread_and_goes_before_later_ones(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock
) -> None:
    served: list[str] = []

    async def waiter(guard: FileGuard, who: str) -> None:
        async with face_of(guard).entered():
            served.append(who)

    async def body() -> None:
        served.clear()
        first, second = again(lock).read(), again(lock).read()
        await first.acquire()
        await second.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, lock, "writer")
            await waiting(lock, 1)
            group.start_soon(waiter, again(lock).read(), "later reader")
            await waiting(lock, 2)
            assert threads() == 0
            first.release()
            assert served == []
            second.release()
        assert served == ["writer", "later reader"]
        assert idle(lock)

    run_async(body)


@with_each_protocol
def test_acquire_nowait_never_waits(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock, path: Path
) -> None:
    async def body() -> None:
        async with face_of(lock).entered():
            for guard in (lock, again(lock), lock.read(), lock.write()):
                with pytest.raises(WouldBlock, match="await acquire"):
                    guard.acquire_nowait()
                assert guard.blocking.acquire(timeout=0) is False
        reads = lock.read()
        reads.acquire_nowait()
        async with face_of(again(lock).read()).entered():
            with pytest.raises(WouldBlock):
                lock.acquire_nowait()
        reads.release()
        with foreign(path, lock._file.protocol), pytest.raises(WouldBlock):
            lock.read().acquire_nowait()
        assert idle(lock)

    run_async(body)


def test_a_lock_not_held_cannot_be_released(run_async: RunAsync, face_of: MakeFace, lock: FileLock) -> None:
    async def body() -> None:
        with pytest.raises(NotOwnerError, match="not held through this object"):
            lock.release()
        async with face_of(lock).entered():
            for guard in (again(lock), lock.write(), lock.read()):
                with pytest.raises(RuntimeError):
                    guard.release()
                with pytest.raises(RuntimeError):
                    guard.blocking.release()
        with pytest.raises(NotOwnerError):
            lock.release()
        assert idle(lock)

    run_async(body)


def test_a_guard_held_several_times_is_given_back_as_often(run_async: RunAsync, lock: FileLock) -> None:
    async def body() -> None:
        guard = lock.read()
        for _ in range(3):
            await guard.acquire()
        for _ in range(3):
            assert lock.locked()
            guard.release()
        with pytest.raises(NotOwnerError):
            guard.release()
        assert idle(lock)

    run_async(body)


def test_any_task_of_the_process_may_release(run_async: RunAsync, face_of: MakeFace, lock: FileLock) -> None:
    async def releaser() -> None:
        lock.release()

    async def body() -> None:
        await face_of(lock)("acquire")
        async with anyio.create_task_group() as group:
            group.start_soon(releaser)
        assert idle(lock)

    run_async(body)


def test_an_exception_inside_gives_the_lock_back(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock
) -> None:
    async def body() -> None:
        for guard in (lock, lock.read(), lock.write()):
            with pytest.raises(KeyError):
                async with face_of(guard).entered():
                    raise KeyError
        for view in (lock.blocking, lock.blocking.read(), lock.blocking.write()):
            with pytest.raises(KeyError), view:
                raise KeyError
        assert idle(lock)

    run_async(body)


def test_a_cancelled_waiter_is_skipped(run_async: RunAsync, lock: FileLock) -> None:
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


@with_each_protocol
def test_a_blocking_acquire_gives_up_when_the_time_is_over(lock: FileLock, path: Path) -> None:
    with lock.blocking:
        assert lock.blocking.acquire(timeout=0.001) is False
        assert lock.blocking.read().acquire(timeout=0.001) is False
    with foreign(path, lock._file.protocol):
        assert lock.blocking.acquire(timeout=0.001) is False
        assert lock.statistics().waiters == 0
    for timeout in (60, 1e12, float("inf")):
        with ExitStack() as held:
            held.enter_context(foreign(path, lock._file.protocol))
            timer = threading.Timer(0.001, held.close)
            timer.start()
            assert lock.blocking.acquire(timeout) is True
            timer.join()
        lock.release()
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            lock.blocking.acquire(timeout=timeout)
    assert lock.blocking.acquire(timeout=5) is True
    lock.release()
    assert idle(lock)


def test_with_names_the_two_forms_there_are(lock: FileLock) -> None:
    for guard in (lock, lock.read()):
        with pytest.raises(TypeError, match=r"async with lock.*with lock\.blocking"), guard:
            pass
    assert idle(lock)


# ---------------------------------------------------------------------------------------- other programs


@with_each_protocol
@pytest.mark.parametrize("shared", [False, True], ids=["writing", "reading"])
def test_another_programs_lock_is_waited_for(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock, path: Path, shared: bool
) -> None:
    async def body() -> None:
        async with anyio.create_task_group() as group:
            with foreign(path, lock._file.protocol, shared):
                statistics = lock.statistics()
                assert (statistics.locked, statistics.writing) == (True, not shared)
                assert (statistics.mine, statistics.owner_pid) == (False, None)
                group.start_soon(face_of(lock), "acquire")
                await until(lambda: threads() == 1)
                assert not lock.statistics().mine
        assert threads() == 0
        assert lock.statistics().mine
        lock.release()
        assert idle(lock)

    run_async(body)


@with_each_protocol
def test_readers_read_beside_another_program_that_reads(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock, path: Path
) -> None:
    async def body() -> None:
        with foreign(path, lock._file.protocol, shared=True):
            async with face_of(lock.read()).entered(), face_of(lock.read()).entered():
                assert threads() == 0
        assert idle(lock)

    run_async(body)


@with_each_protocol
def test_one_thread_waits_for_another_program_whoever_waits(
    run_async: RunAsync, lock: FileLock, path: Path
) -> None:
    got = 0

    async def waiter(guard: FileGuard) -> None:
        nonlocal got
        async with guard:
            got += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            with foreign(path, lock._file.protocol):
                for guard in (lock.read(), lock.read(), again(lock).read(), lock, lock.write(), lock.read()):
                    group.start_soon(waiter, guard)
                await until(lambda: threads() == 1)
                for _ in range(100):
                    await anyio.lowlevel.checkpoint()
                    assert threads() == 1
        assert got == 6
        assert threads() == 0
        assert idle(lock)

    run_async(body)


@with_each_protocol
def test_a_wait_for_another_program_that_is_cancelled_leaves_nothing(
    run_async: RunAsync, lock: FileLock, path: Path
) -> None:
    async def body() -> None:
        with foreign(path, lock._file.protocol):
            for guard in (lock, lock.read(), lock.write()):
                with anyio.move_on_after(0.001) as scope:
                    await guard.acquire()
                assert scope.cancelled_caught
                assert guard.blocking.acquire(timeout=0.001) is False
                assert (threads(), descriptors(path.parent)) == (0, 1)  # the other's
        with foreign(path, lock._file.protocol):  # at once
            pass
        assert idle(lock)

    run_async(body)


def test_the_two_protocols_do_not_see_each_other(path: Path) -> None:
    with FileLock(path).blocking, FileLock(path, protocol="flock").blocking:
        pass


# ------------------------------------------------------------------------------------------- the object


def test_repr_says_who_holds_it_and_who_waits(run_async: RunAsync, lock: FileLock, path: Path) -> None:
    async def hold() -> None:
        async with again(lock):
            pass

    async def body() -> None:
        name = f"<aioipc.FileLock {str(path)!r}"
        assert repr(lock) == f"{name} [unlocked]>"
        async with lock:
            assert repr(lock) == f"{name} [locked by {os.getpid()}]>"
            assert repr(lock.blocking) == f"<blocking view of {name} [locked by {os.getpid()}]>>"
            async with anyio.create_task_group() as group:
                group.start_soon(hold)
                await waiting(lock, 1)
                assert repr(lock) == f"{name} [locked by {os.getpid()}, waiters:1]>"
                lock.release()
            await lock.acquire()
        async with lock.read():
            assert repr(lock) == f"{name} [locked for reading]>"
        guard = repr(lock.read())
        assert guard == f"<aioipc.FileGuard {str(path)!r} for reading [unlocked]>"

    run_async(body)


def test_a_pickle_is_the_same_lock_and_holds_nothing(lock: FileLock) -> None:
    with lock.blocking:
        other = again(lock)
        assert (other.path, other._file) == (lock.path, lock._file)
        with pytest.raises(NotOwnerError):
            other.release()
        with pytest.raises(WouldBlock):
            other.acquire_nowait()
    with pytest.raises(TypeError, match="pickle the FileLock"):
        pickle.dumps(lock.read())


def test_a_held_lock_that_is_dropped_is_given_back_with_a_warning(lock: FileLock) -> None:
    dropped: FileLock | None = again(lock)
    dropped.acquire_nowait()
    with pytest.warns(ResourceWarning, match=r"file\.lock' was dropped without release"):
        dropped = None
    assert idle(lock)


# ------------------------------------------------------------------------------------ what loops add


@pytest.mark.asyncio
async def test_under_asyncio_a_free_lock_does_not_suspend(lock: FileLock) -> None:
    ran = False

    def note() -> None:
        nonlocal ran
        ran = True

    asyncio.get_running_loop().call_soon(note)
    for guard in (lock, lock.read(), lock.write()):
        await guard.acquire()
        guard.release()
        async with guard:
            pass
    assert not ran


@pytest.mark.asyncio
async def test_what_acquire_returns_can_be_made_a_task_and_given_a_timeout(lock: FileLock) -> None:
    await asyncio.create_task(lock.acquire())
    task = asyncio.create_task(lock.acquire())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lock.read().acquire(), 0.001)
    lock.release()
    assert await task is True
    lock.release()
    assert idle(lock)


def test_under_trio_every_await_is_a_checkpoint_and_cancelled_before_takes_nothing(lock: FileLock) -> None:
    async def body() -> None:
        for guard in (lock, lock.read()):
            for use in (guard.acquire, guard.__aenter__):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await use()
                assert scope.cancelled_caught
                assert not lock.locked()
                with trio.testing.assert_checkpoints():
                    await use()
                guard.release()

    trio.run(body)
    assert idle(lock)


def test_asyncio_trio_and_threads_share_one_lock(lock: FileLock) -> None:
    rounds, total, inside = 60, 0, 0

    async def awaiting() -> None:
        nonlocal total, inside
        mine = again(lock)
        for _ in range(rounds):
            async with mine:
                inside += 1
                seen = total
                await anyio.lowlevel.checkpoint()
                total = seen + 1
                assert inside == 1
                inside -= 1

    def blocking() -> None:
        nonlocal total, inside
        for _ in range(rounds):
            with lock.blocking:
                inside += 1
                seen = total
                os.sched_yield()
                total = seen + 1
                assert inside == 1
                inside -= 1

    calls: list[Callable[[], object]] = [
        lambda: anyio.run(awaiting, backend="asyncio"),
        lambda: anyio.run(awaiting, backend="asyncio", backend_options={"use_uvloop": True}),
        lambda: anyio.run(awaiting, backend="trio"),
        blocking,
        blocking,
    ]
    running = [threading.Thread(target=call) for call in calls]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert total == rounds * len(calls)
    assert idle(lock)
