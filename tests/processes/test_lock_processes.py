"""Locks between real processes: contention, death of holders and waiters, stopped holders, fork, spawn."""

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioipc import ClosedError, Lock, ManagedSharedMemory, NotFoundError, WouldBlock
from tests.support.loops import LOOPS
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        assert segment.check_sanity()


@pytest.fixture
def lock(segment: ManagedSharedMemory) -> Lock:
    return Lock(segment, "lock", spin_us=0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


def waits_for(lock: Lock, count: int) -> None:
    """Returns when so many stand in the lock's queue."""
    while lock.statistics().waiters != count:
        os.sched_yield()


def idle(lock: Lock) -> bool:
    """The lock is free, nobody waits, and it still works."""
    lock.acquire_nowait()
    lock.release()
    statistics = lock.statistics()
    return (statistics.locked, statistics.waiters) == (False, 0)


# --------------------------------------------------------------------------------------------- the roles


def hold(test: Link, name: str) -> None:
    """Takes the lock and gives it back when told to."""
    with ManagedSharedMemory.open(name) as segment:
        lock = Lock(segment, "lock")
        with lock.blocking:
            test.sync("held")


async def wait(test: Link, name: str) -> bool:
    """Waits for the lock; says whether it was abandoned."""
    with ManagedSharedMemory.open(name) as segment:
        lock = Lock(segment, "lock", spin_us=0)
        test.send("waiting")
        async with lock:
            return lock.abandoned


def wait_blocking(test: Link, name: str) -> bool:
    with ManagedSharedMemory.open(name) as segment:
        lock = Lock(segment, "lock", spin_us=0)
        test.send("waiting")
        with lock.blocking:
            return lock.abandoned


async def count(test: Link, name: str, handle: int, rounds: int) -> int:
    """Increments a counter that only the lock protects."""
    with ManagedSharedMemory.open(name) as segment, memoryview(segment.block(handle)).cast("Q") as counter:
        lock = Lock(segment, "lock")
        for _ in range(rounds):
            async with lock:
                seen = counter[0]
                await anyio.lowlevel.checkpoint()
                counter[0] = seen + 1
    return rounds


def count_blocking(test: Link, name: str, handle: int, rounds: int) -> int:
    with ManagedSharedMemory.open(name) as segment, memoryview(segment.block(handle)).cast("Q") as counter:
        lock = Lock(segment, "lock")
        for _ in range(rounds):
            with lock.blocking:
                seen = counter[0]
                os.sched_yield()
                counter[0] = seen + 1
    return rounds


# ------------------------------------------------------------------------------------------ contention


def test_processes_of_every_kind_exclude_each_other(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, lock: Lock
) -> None:
    block = segment.allocate(8)
    rounds = 200
    peers = [spawn(count, segment_name, block.handle, rounds, loop=loop) for loop in LOOPS]
    peers.append(spawn(count_blocking, segment_name, block.handle, rounds))
    assert [peer.result() for peer in peers] == [rounds] * len(peers)
    assert int.from_bytes(block, "little") == rounds * len(peers)
    assert idle(lock)


def test_a_held_lock_is_seen_by_other_processes(spawn: Spawn, segment_name: str, lock: Lock) -> None:
    peer = spawn(hold, segment_name)
    assert peer.receive() == "held"
    statistics = lock.statistics()
    assert (statistics.locked, statistics.mine, statistics.owner_pid) == (True, False, peer.pid)
    with pytest.raises(WouldBlock):
        lock.acquire_nowait()
    with pytest.raises(RuntimeError, match="does not hold"):
        lock.release()
    assert lock.blocking.acquire(timeout=0.001) is False
    peer.go()
    assert peer.result() is None
    assert idle(lock)


# ---------------------------------------------------------------------------------------- dead holders


def test_a_waiter_gets_a_killed_holders_lock(
    spawn: Spawn, run_async: Callable[..., Any], segment_name: str, lock: Lock
) -> None:
    peer = spawn(hold, segment_name)
    assert peer.receive() == "held"

    async def waiter() -> None:
        async with lock:
            assert lock.abandoned
        assert not lock.abandoned

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await until(lambda: lock.statistics().waiters == 1)
            assert not lock.abandoned
            peer.kill()

    run_async(body)
    assert lock.statistics().abandoned_count == 1
    assert idle(lock)


@pytest.mark.parametrize("role", [wait, wait_blocking])
def test_a_waiter_in_another_process_gets_a_killed_holders_lock(
    spawn: Spawn, segment_name: str, lock: Lock, role: Any
) -> None:
    holder = spawn(hold, segment_name)
    assert holder.receive() == "held"
    waiter = spawn(role, segment_name)
    waits_for(lock, 1)
    holder.kill()
    assert waiter.receive() == "waiting"
    assert waiter.result() is True
    assert idle(lock)


def test_a_lock_whose_holder_was_killed_before_anybody_waited_is_taken_over(
    spawn: Spawn, segment_name: str, lock: Lock
) -> None:
    for take in (lock.acquire_nowait, lambda: asyncio.run(lock.acquire()), lock.blocking.acquire):
        peer = spawn(hold, segment_name)
        assert peer.receive() == "held"
        peer.kill()
        take()
        assert lock.abandoned
        lock.release()
        assert not lock.abandoned
    assert idle(lock)


def test_abandoned_lasts_until_the_first_holder_after_the_death_releases(
    spawn: Spawn, segment_name: str, lock: Lock
) -> None:
    holder = spawn(hold, segment_name)
    assert holder.receive() == "held"
    first, second = spawn(wait, segment_name), None
    waits_for(lock, 1)
    second = spawn(wait, segment_name)
    waits_for(lock, 2)
    holder.kill()
    for peer in (first, second):
        assert peer.receive() == "waiting"
    assert (first.result(), second.result()) == (True, False)


def hold_without_descriptors(test: Link, name: str) -> None:
    """Takes the lock and closes all descriptors but the link, as a daemonizer does: hangs up, and lives."""
    segment = ManagedSharedMemory.open(name)
    Lock(segment, "lock").acquire_nowait()
    test.sync("held")
    link = test._connection.fileno()
    os.closerange(3, link)
    os.closerange(link + 1, 1000)
    test.sync("hung up")


def test_a_waiter_gets_the_lock_of_a_holder_that_hung_up_long_before_it_was_killed(
    spawn: Spawn, run_async: Callable[..., Any], segment_name: str, lock: Lock
) -> None:
    peer = spawn(hold_without_descriptors, segment_name)
    assert peer.receive() == "held"

    async def waiter() -> None:
        async with lock:
            assert lock.abandoned

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await until(lambda: lock.statistics().waiters == 1)
            peer.go()
            assert await peer.receive_async() == "hung up"
            for _ in range(100):  # the loop hears of it, and finds it alive
                await anyio.lowlevel.checkpoint()
            assert lock.statistics().waiters == 1
            peer.kill()

    run_async(body)
    assert idle(lock)


# ---------------------------------------------------------------------------------------- dead waiters


@pytest.mark.parametrize("role", [wait, wait_blocking])
def test_a_killed_waiter_is_skipped(spawn: Spawn, segment_name: str, lock: Lock, role: Any) -> None:
    lock.acquire_nowait()
    first = spawn(role, segment_name)
    waits_for(lock, 1)
    second = spawn(role, segment_name)
    waits_for(lock, 2)
    first.kill()
    lock.release()
    assert second.receive() == "waiting"
    assert second.result() is False
    assert idle(lock)


def test_a_waiter_killed_with_the_lock_on_its_way_to_it_passes_it_on(
    spawn: Spawn, segment_name: str, lock: Lock
) -> None:
    lock.acquire_nowait()
    first = spawn(wait, segment_name)
    waits_for(lock, 1)
    second = spawn(wait, segment_name)
    waits_for(lock, 2)
    first.stop()
    lock.release()  # wakes the first, or hands the lock to it
    first.kill()
    assert second.receive() == "waiting"
    second.result()
    assert idle(lock)


# -------------------------------------------------------------------------------------- stopped holders


def test_a_stopped_holder_keeps_the_lock(spawn: Spawn, segment_name: str, lock: Lock) -> None:
    peer = spawn(hold, segment_name)
    assert peer.receive() == "held"
    peer.stop()
    assert lock.blocking.acquire(timeout=0.05) is False
    with pytest.raises(WouldBlock):
        lock.acquire_nowait()
    assert lock.statistics().owner_pid == peer.pid
    assert not lock.abandoned
    peer.resume()
    peer.go()
    with lock.blocking:
        assert not lock.abandoned
    assert peer.result() is None


# ---------------------------------------------------------------------------------------------- signals


def interrupted(test: Link, name: str) -> bool:
    with ManagedSharedMemory.open(name) as segment:
        lock = Lock(segment, "lock", spin_us=0)
        try:
            with lock.blocking:
                return False
        except KeyboardInterrupt:
            return not lock.statistics().mine and lock.statistics().waiters == 0


def test_ctrl_c_ends_a_blocking_acquire_and_leaves_no_waiter(
    spawn: Spawn, segment_name: str, lock: Lock
) -> None:
    with lock.blocking:
        peer = spawn(interrupted, segment_name)
        waits_for(lock, 1)
        peer.interrupt()
        assert peer.result() is True
    assert idle(lock)


def test_a_signal_handler_that_raises_nothing_does_not_disturb_a_blocking_acquire(lock: Lock) -> None:
    calls = []

    def handler(*_: object) -> None:
        calls.append(lock.statistics().waiters)
        lock.release()

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        lock.acquire_nowait()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert lock.blocking.acquire() is True
    finally:
        signal.signal(signal.SIGALRM, previous)
    lock.release()
    assert len(calls) == 1
    assert idle(lock)


# ----------------------------------------------------------------------------------- fork, spawn, pickle


def in_child(act: Callable[[], object]) -> int:
    """Runs `act` in a forked child; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_does_not_hold_what_its_parent_holds(lock: Lock) -> None:
    def act() -> None:
        with pytest.raises(RuntimeError, match="does not hold"):
            lock.release()
        with pytest.raises(WouldBlock):
            lock.acquire_nowait()
        assert lock.statistics().owner_pid == os.getppid()

    with lock.blocking:
        assert in_child(act) == 0
        assert lock.statistics().mine
    assert idle(lock)


def test_a_forked_child_is_a_participant_of_its_own(segment: ManagedSharedMemory, lock: Lock) -> None:
    def act() -> None:
        with lock.blocking:
            assert lock.statistics().owner_pid == os.getpid()
        assert {p.pid for p in segment.participants()} == {os.getpid(), os.getppid()}
        assert segment.check_sanity()
        asyncio.run(lock.acquire())
        lock.release()
        segment.close()

    assert in_child(act) == 0
    assert len(segment.participants()) == 1
    assert idle(lock)


def test_the_lock_of_a_forked_child_that_ends_without_closing_is_abandoned(lock: Lock) -> None:
    assert in_child(lock.acquire_nowait) == 0
    with lock.blocking:
        assert lock.abandoned
    assert idle(lock)


def test_a_child_forked_while_a_task_waits_neither_wakes_nor_harms_it(lock: Lock) -> None:
    async def body() -> None:
        await lock.acquire()
        task = asyncio.create_task(lock.acquire())
        await until(lambda: lock.statistics().waiters == 1)

        def act() -> None:
            assert lock.statistics().waiters == 1
            assert lock.blocking.acquire(timeout=0.001) is False
            lock.segment.close()

        assert in_child(act) == 0
        assert not task.done()
        lock.release()
        assert await task is True
        lock.release()

    asyncio.run(body())
    assert idle(lock)


def take_and_report(lock: Lock, connection: Any) -> None:
    with lock.blocking:
        connection.send((lock.name, lock.segment.name, lock.spin_us, lock.statistics().mine))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_lock_travels_through_multiprocessing_arguments(segment: ManagedSharedMemory, method: str) -> None:
    context = multiprocessing.get_context(method)
    lock = Lock(segment, "lock", spin_us=7)
    ours, theirs = context.Pipe()
    process = context.Process(target=take_and_report, args=(lock, theirs))
    process.start()
    assert ours.recv() == ("lock", segment.name, 7, True)
    process.join()
    assert process.exitcode == 0
    ours.close()
    theirs.close()
    process.close()
    assert idle(lock)


def test_an_anonymous_lock_is_found_again_by_its_pickle(segment: ManagedSharedMemory) -> None:
    lock = Lock(segment)
    again = pickle.loads(pickle.dumps(lock))
    assert again == lock
    with again.blocking, pytest.raises(WouldBlock):
        lock.acquire_nowait()
    assert idle(lock)


def test_a_pickle_of_a_destroyed_lock_is_not_found(segment: ManagedSharedMemory) -> None:
    lock = Lock(segment, "lock")
    pickled = pickle.dumps(lock)
    segment.destroy_object(lock)
    del lock
    Lock(segment, "lock")
    with pytest.raises(NotFoundError, match="no longer"):
        pickle.loads(pickled)


# ---------------------------------------------------------------------------------------- ends of processes


def test_closing_the_segment_gives_up_locks_as_abandoned(spawn: Spawn, segment_name: str, lock: Lock) -> None:
    peer = spawn("tests.processes.test_lock_processes:close_holding", segment_name)
    assert peer.result() is None
    lock.acquire_nowait()
    assert lock.abandoned
    lock.release()


def close_holding(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        lock = Lock(segment, "lock")
        lock.acquire_nowait()
    with pytest.raises(ClosedError):
        lock.release()


def test_an_interpreter_that_ends_with_waiters_pending_ends(segment_name: str, lock: Lock) -> None:
    program = f"""
import asyncio, threading
from aioipc import *
segment = ManagedSharedMemory.open({segment_name!r})
lock = Lock(segment, "lock", spin_us=0)
async def main():
    asyncio.create_task(lock.acquire())
    await asyncio.sleep(0)
threading.Thread(target=lock.blocking.acquire, daemon=True).start()
while lock.statistics().waiters < 1:
    pass
asyncio.run(main())
loop = asyncio.new_event_loop()
task = loop.create_task(lock.acquire())
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
"""
    with lock.blocking:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
    with lock.blocking:
        assert lock.statistics().waiters == 0
    assert idle(lock)
