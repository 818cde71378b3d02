"""Semaphores, events, barriers and conditions between real processes: mixed company, deaths, fork, spawn."""

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioipc import (
    Barrier,
    BoundedSemaphore,
    BrokenBarrierError,
    ClosedError,
    Condition,
    Event,
    Lock,
    ManagedSharedMemory,
    NotFoundError,
    OptionMismatchError,
    RLock,
    Semaphore,
    WouldBlock,
)
from tests.support.conditions import free
from tests.support.faces import THREE_LOOPS, until
from tests.support.forked import forked, together
from tests.support.loops import run_under
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]
ROUNDS = 40


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report
        assert report.counts["nodes_waiting"] == 0


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def waits(primitive: Any, count: int) -> None:
    """Returns when so many wait, in all processes."""
    while waiters(primitive) != count:
        os.sched_yield()


def waiters(primitive: Any) -> int:
    statistics = primitive.statistics()
    return int(statistics.waiting if isinstance(primitive, Barrier) else statistics.waiters)


# ------------------------------------------------------------------------------------------ mixed company


async def use_all(test: Link, name: str, handle: int) -> list[int]:
    """Everything in turn; the places at the barrier."""
    with ManagedSharedMemory.open(name) as segment, memoryview(segment.block(handle)).cast("q") as numbers:
        permit, go, come = (
            BoundedSemaphore(segment, "permit"),
            Event(segment, "go"),
            Semaphore(segment, "come"),
        )
        barrier, filled = Barrier(segment, "barrier"), Condition(segment, "filled")
        for _ in range(ROUNDS):
            async with permit:
                seen = numbers[0]
                await anyio.lowlevel.checkpoint()
                numbers[0] = seen + 1
        come.release()
        await go.wait()
        places = [await barrier.wait() for _ in range(ROUNDS)]
        for _ in range(ROUNDS):
            async with filled:
                await filled.wait_for(lambda: numbers[1] > 0)
                numbers[1] -= 1
        return places


def use_all_blocking(test: Link, name: str, handle: int) -> list[int]:
    with ManagedSharedMemory.open(name) as segment, memoryview(segment.block(handle)).cast("q") as numbers:
        permit, go, come = (
            BoundedSemaphore(segment, "permit"),
            Event(segment, "go"),
            Semaphore(segment, "come"),
        )
        barrier, filled = Barrier(segment, "barrier").blocking, Condition(segment, "filled").blocking
        for _ in range(ROUNDS):
            with permit.blocking:
                seen = numbers[0]
                os.sched_yield()
                numbers[0] = seen + 1
        come.release()
        go.blocking.wait()
        places = [barrier.wait() for _ in range(ROUNDS)]
        for _ in range(ROUNDS):
            with filled:
                filled.wait_for(lambda: numbers[1] > 0)
                numbers[1] -= 1
        return places


def test_processes_of_every_kind_use_everything_together(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str
) -> None:
    permit, go, come = (
        BoundedSemaphore(segment, "permit", 1),
        Event(segment, "go"),
        Semaphore(segment, "come", 0),
    )
    barrier, filled = Barrier(segment, "barrier", 4), Condition(segment, "filled")
    block = segment.allocate(16)
    peers = [spawn(use_all, segment_name, block.handle, loop=loop) for loop in THREE_LOOPS]
    peers.append(spawn(use_all_blocking, segment_name, block.handle))
    for _ in peers:
        come.blocking.acquire()
    with memoryview(block).cast("q") as numbers:
        assert numbers[0] == ROUNDS * len(peers)
        waits(go, len(peers))
        go.set()
        go.clear()
        for _ in range(ROUNDS * len(peers)):
            with filled.blocking:
                numbers[1] += 1
                filled.blocking.notify()
        places = [peer.result() for peer in peers]
        assert all(sorted(cycle) == list(range(4)) for cycle in zip(*places, strict=True))
        assert numbers[1] == 0
    assert (permit.value, come.value, barrier.n_waiting, waiters(go)) == (1, 0, 0, 0)
    assert free(filled)


# ------------------------------------------------------------------------------------------------- deaths


def acquire(test: Link, semaphore: Semaphore) -> None:
    semaphore.blocking.acquire()


def wait(test: Link, primitive: Any) -> str:
    try:
        return str(primitive.blocking.wait())
    except BrokenBarrierError:
        return "broken"


def wait_locked(test: Link, condition: Condition) -> bool:
    with condition.blocking:
        return condition.blocking.wait()


def test_a_killed_waiter_takes_no_permit(segment: ManagedSharedMemory) -> None:
    semaphore = Semaphore(segment, "s", 0)
    with forked(acquire, semaphore) as first:
        waits(semaphore, 1)
        with forked(acquire, semaphore) as second:
            waits(semaphore, 2)
            first.stop()
            semaphore.release()  # it is woken, and does not run
            first.kill()
            assert second.result() is None
    assert semaphore.value == 0


def test_what_a_dead_process_took_stays_taken(segment: ManagedSharedMemory) -> None:
    semaphore = BoundedSemaphore(segment, "s", 2)
    with forked(acquire, semaphore) as child:
        child.result()
    assert semaphore.value == 1
    semaphore.release()


def test_a_killed_party_has_not_come(segment: ManagedSharedMemory) -> None:
    barrier = Barrier(segment, "b", 3)
    with forked(wait, barrier) as first, forked(wait, barrier) as second:
        waits(barrier, 2)
        first.kill()
        with forked(wait, barrier) as third:
            waits(barrier, 2)
            places = {barrier.blocking.wait(), int(second.result()), int(third.result())}
    assert places == {0, 1, 2}


def test_a_thread_whose_time_is_over_breaks_the_barrier_of_other_processes(
    segment: ManagedSharedMemory,
) -> None:
    barrier = Barrier(segment, "b", 3)
    with forked(wait, barrier) as child:
        waits(barrier, 1)
        with pytest.raises(BrokenBarrierError):
            barrier.blocking.wait(timeout=0.001)
        assert child.result() == "broken"
    barrier.reset()


@pytest.mark.parametrize("told", ["waiting", "on its way to the lock"])
def test_a_notification_of_a_killed_waiter_goes_to_the_next(segment: ManagedSharedMemory, told: str) -> None:
    condition = Condition(segment, "c")
    with forked(wait_locked, condition) as first:
        waits(condition, 1)
        with forked(wait_locked, condition) as second:
            waits(condition, 2)
            with condition.blocking:
                if told == "waiting":
                    first.stop()
                condition.notify()
                if told != "waiting":
                    waits(condition.lock, 1)
                first.kill()
            assert second.result() is True
    assert free(condition)


def test_a_killed_waiter_for_an_event_harms_nobody(segment: ManagedSharedMemory) -> None:
    event = Event(segment, "e")
    with forked(wait, event) as first, forked(wait, event) as second:
        waits(event, 2)
        first.kill()
        event.set()
        event.clear()
        assert second.result() == "True"


def test_another_process_destroys_what_tasks_wait_for(
    run_async: Callable[..., Any], segment: ManagedSharedMemory
) -> None:
    told: list[str] = []

    def destroy(test: Link, *primitives: Any) -> list[bool]:
        return [primitive.segment.destroy_object(primitive) for primitive in primitives]

    async def body() -> None:
        semaphore, event = Semaphore(segment, None, 0), Event(segment)
        barrier, condition = Barrier(segment, None, 2), Condition(segment, None, RLock(segment))
        bereft = Condition(segment, None, Lock(segment))
        use: dict[Any, Callable[[], Awaitable[Any]]] = {
            semaphore: semaphore.acquire,
            event: event.wait,
            barrier: barrier.wait,
            condition: lambda: locked(condition),
            bereft: lambda: locked(bereft),
        }

        async def waiter(call: Callable[[], Awaitable[Any]]) -> None:
            with pytest.raises(ClosedError):
                await call()
            told.append("told")

        async with anyio.create_task_group() as group:
            for primitive, call in use.items():
                group.start_soon(waiter, call)
                await until(lambda primitive=primitive: waiters(primitive) == 1)
            with forked(destroy, semaphore, event, barrier, condition, bereft.lock) as child:
                assert child.result() == [True] * 5
        assert told == ["told"] * 5

    run_async(body)


# -------------------------------------------------------------------------------------------- construction


def construct(test: Link, number: int, segment: ManagedSharedMemory, parties: list[int]) -> str:
    try:
        barrier = Barrier(segment, "b", parties[number])
        semaphore = Semaphore(segment, "s", barrier.parties)
        condition = Condition(segment, "c")
    except OptionMismatchError:
        return "mismatch"
    with condition.blocking:
        semaphore.release()
    return str(barrier.parties)


def test_processes_that_construct_at_once_find_one_object(segment: ManagedSharedMemory) -> None:
    assert together(4, construct, segment, [3, 3, 3, 3]) == ["3"] * 4
    assert Semaphore(segment, "s", 3).value == 7
    assert free(Condition(segment, "c"))


def test_of_processes_that_disagree_one_has_its_way(segment: ManagedSharedMemory) -> None:
    results = together(3, construct, segment, [2, 3, 4])
    assert results.count("mismatch") == 2
    assert str(Barrier(segment, "b").parties) in results


# -------------------------------------------------------------------------------------------- fork, pickle


def test_a_forked_child_uses_its_parents_handles(segment: ManagedSharedMemory) -> None:
    semaphore, event = Semaphore(segment, None, 1), Event(segment)
    barrier, condition = Barrier(segment, None, 2), Condition(segment, None, RLock(segment))

    async def meet(_: Link) -> int:
        async with semaphore, condition:
            event.set()
        return await barrier.wait()

    for loop in THREE_LOOPS:
        event.clear()
        with forked(lambda link, loop=loop: run_under(loop, lambda: meet(link))) as child:
            event.blocking.wait()
            places = {barrier.blocking.wait(), child.result()}
        assert places == {0, 1}
    assert semaphore.value == 1
    assert free(condition)


async def locked(condition: Condition) -> None:
    async with condition:
        await condition.wait()


def test_a_child_forked_while_tasks_wait_neither_wakes_nor_harms_them(
    run_async: Callable[..., Any], segment: ManagedSharedMemory
) -> None:
    semaphore, event = Semaphore(segment, None, 0), Event(segment)
    barrier, condition = Barrier(segment, None, 2), Condition(segment)
    primitives = (semaphore, event, barrier, condition)

    def look(test: Link) -> list[int]:
        assert semaphore.blocking.acquire(timeout=0) is False
        with pytest.raises(RuntimeError):
            condition.notify()
        with condition.blocking:
            assert condition.blocking.wait(timeout=0) is False
        counts = [waiters(primitive) for primitive in primitives]
        segment.close()
        return counts

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for call in (semaphore.acquire, event.wait, barrier.wait):
                group.start_soon(call)
            group.start_soon(locked, condition)
            await until(lambda: all(waiters(primitive) == 1 for primitive in primitives))
            with forked(look) as child:
                assert child.result() == [1, 1, 1, 1]
            assert [waiters(primitive) for primitive in primitives] == [1, 1, 1, 1]
            semaphore.release()
            event.set()
            barrier.blocking.wait()
            async with condition:
                condition.notify()
        assert [waiters(primitive) for primitive in primitives] == [0, 0, 0, 0]

    run_async(body)


def use_pickled(
    primitives: tuple[Semaphore, BoundedSemaphore, Event, Barrier, Condition, Condition], connection: Any
) -> None:
    semaphore, bounded, event, barrier, condition, other = primitives
    with condition.blocking, other.blocking:  # the same reentrant lock
        semaphore.release()
        bounded.acquire_nowait()
        event.set()
        connection.send((condition.lock.name, type(other.lock).__name__, barrier.parties))
    connection.send(barrier.blocking.wait())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_primitives_travel_through_multiprocessing_arguments(
    segment: ManagedSharedMemory, method: str
) -> None:
    lock = RLock(segment, "lock")
    semaphore, bounded, event, barrier = (
        Semaphore(segment, None, 0),
        BoundedSemaphore(segment, "bounded", 2),
        Event(segment, "event"),
        Barrier(segment, None, 2),
    )
    conditions = Condition(segment, "condition", lock), Condition(segment, None, lock)
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(
        target=use_pickled, args=((semaphore, bounded, event, barrier, *conditions), theirs)
    )
    process.start()
    assert ours.recv() == ("lock", "RLock", 2)
    assert {barrier.blocking.wait(), ours.recv()} == {0, 1}
    process.join()
    assert process.exitcode == 0
    assert (semaphore.value, bounded.value, event.is_set(), lock.locked()) == (1, 1, True, False)
    for end in (ours, theirs, process):
        end.close()


@pytest.mark.parametrize("kind", [Semaphore, BoundedSemaphore, Event, Barrier, Condition])
def test_a_pickle_of_what_was_destroyed_is_not_found(segment: ManagedSharedMemory, kind: type[Any]) -> None:
    arguments = (2,) if kind is Barrier else ()
    primitive = kind(segment, "name", *arguments)
    pickled = pickle.dumps(primitive)
    assert pickle.loads(pickled) == primitive
    segment.destroy_object(primitive)
    again = kind(segment, "name", *arguments)
    assert again != primitive
    with pytest.raises(NotFoundError, match="no longer"):
        pickle.loads(pickled)


# ------------------------------------------------------------------------------------------------ signals


class AlarmError(Exception):
    """What the signal handler raises."""


@contextlib.contextmanager
def alarmed(seconds: float) -> Iterator[None]:
    """SIGALRM raises AlarmError within the block, which waits."""

    def handler(*_: object) -> None:
        raise AlarmError

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with pytest.raises(AlarmError):
            yield
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_an_exception_of_a_signal_handler_ends_a_blocking_wait(segment: ManagedSharedMemory) -> None:
    semaphore, event, barrier = Semaphore(segment, None, 0), Event(segment), Barrier(segment, None, 2)
    with alarmed(0.005):
        semaphore.blocking.acquire()
    with alarmed(0.005):
        event.blocking.wait()
    with alarmed(0.005):
        barrier.blocking.wait()
    assert [waiters(primitive) for primitive in (semaphore, event, barrier)] == [0, 0, 0]
    assert not barrier.broken


def test_an_exception_of_a_signal_handler_leaves_a_condition_with_the_lock_held(
    segment: ManagedSharedMemory,
) -> None:
    """Also when it comes while the lock is let go, and when somebody else holds it for a while."""
    condition = Condition(segment, "c")

    def keep() -> None:
        with condition.blocking:
            os.sched_yield()

    for _ in range(20):
        keeper = threading.Thread(target=keep)
        with condition.blocking:
            keeper.start()
            waits(condition.lock, 1)
            with alarmed(0.0005):
                condition.blocking.wait()
            assert condition.lock.statistics().mine
        keeper.join()
    assert free(condition)


def test_an_exception_out_of_the_release_for_a_wait_leaves_the_lock_held(
    segment: ManagedSharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler runs there, when tasks or threads of this process are told of the release."""

    def raising(_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            monkeypatch.undo()
            raise AlarmError

    def keep(lock: Lock | RLock) -> None:
        with lock.blocking:
            pass

    for lock in (Lock(segment), RLock(segment)):
        condition = Condition(segment, None, lock)
        keeper = threading.Thread(target=keep, args=(lock,))
        with condition.blocking:
            keeper.start()
            waits(lock, 1)
            monkeypatch.setattr(type(lock), "_passed_on", raising)
            with pytest.raises(AlarmError):
                condition.blocking.wait()
            assert lock.statistics().mine
        keeper.join()
        assert free(condition)


# ------------------------------------------------------------------------------------------- eager tasks


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.asyncio
async def test_eager_tasks_wait_and_need_not_wait(segment: ManagedSharedMemory) -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    semaphore, event, barrier = Semaphore(segment, None, 1), Event(segment), Barrier(segment, None, 2)
    condition = Condition(segment)

    assert asyncio.create_task(semaphore.acquire()).done()
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(call()) for call in (semaphore.acquire, event.wait, barrier.wait)
    ]
    tasks.append(asyncio.create_task(locked(condition)))
    assert [waiters(primitive) for primitive in (semaphore, event, barrier, condition)] == [1, 1, 1, 1]
    semaphore.release()
    event.set()
    assert await barrier.wait() == 1
    async with condition:
        condition.notify()
    assert await asyncio.gather(*tasks) == [True, True, 0, None]
    with pytest.raises(WouldBlock):
        semaphore.acquire_nowait()
