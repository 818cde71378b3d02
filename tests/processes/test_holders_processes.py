"""Everything that is held, between real processes: mixed company, deaths and stops."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import anyio
import pytest

from aioipc import CapacityLimiter, ManagedSharedMemory, Once, RWLock
from tests.support import holders
from tests.support.forked import Forked, forked
from tests.support.holders import KINDS, Kind, idle, until
from tests.support.peers import Link

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "trio"])
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture(params=list(KINDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kind(name: str) -> Kind:
    return KINDS[name]


@pytest.fixture
def handle(kind: Kind, segment: ManagedSharedMemory) -> Any:
    return kind.make(segment)


def waits_for(kind: Kind, handle: Any, count: int) -> None:
    """Returns when so many wait."""
    while kind.waiters(handle) != count:
        os.sched_yield()


def abandoned(handle: Any) -> bool:
    return bool(getattr(handle, "abandoned", False))


def holding(stack: ExitStack, name: str, handle: Any) -> Forked:
    """A child that holds it."""
    child = stack.enter_context(forked(holders.holds, name, handle))
    assert child.receive() == "held"
    return child


# --------------------------------------------------------------------------------------- mixed company


@pytest.mark.parametrize("name", ["rlock", "write", "upgradable", "limiter", "leader"])
def test_a_task_of_asyncio_one_of_trio_and_a_thread_exclude_each_other(
    segment: ManagedSharedMemory, name: str, kind: Kind, handle: Any
) -> None:
    block = segment.allocate(8)
    rounds = 40
    with ExitStack() as stack:
        children = [
            stack.enter_context(forked(counts, name, handle, block.handle, rounds))
            for counts in (holders.counts, holders.counts_under_trio, holders.counts_blocking)
        ]
        for child in children:
            child.result()
    assert int.from_bytes(block, "little") == rounds * 3
    segment.deallocate(block)
    assert idle(kind, handle)


# ----------------------------------------------------------------------------------------------- deaths


def test_a_killed_holders_place_goes_to_the_task_that_waits(
    run_async: RunAsync, name: str, kind: Kind, handle: Any
) -> None:
    seen: list[bool] = []

    async def waiter() -> None:
        async with kind.entered(handle):
            seen.append(abandoned(handle))

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await until(lambda: kind.waiters(handle) == 1)
            child.kill()

    with ExitStack() as stack:
        child = holding(stack, name, handle)
        assert not abandoned(handle)
        run_async(body)
    assert seen == [kind.abandons]
    assert not abandoned(handle)
    assert idle(kind, handle)


def test_a_killed_holders_place_goes_to_the_process_that_waits_past_a_dead_one(
    name: str, kind: Kind, handle: Any
) -> None:
    with ExitStack() as stack:
        holder = holding(stack, name, handle)
        waiters = []
        for count in (1, 2):
            waiters.append(stack.enter_context(forked(holders.waits, name, handle)))
            waits_for(kind, handle, count)
        waiters[0].kill()
        holder.kill()
        assert waiters[1].result() is kind.abandons
    assert idle(kind, handle)


def test_who_comes_after_the_holders_death_takes_over_without_waiting(
    name: str, kind: Kind, handle: Any
) -> None:
    with ExitStack() as stack:
        holding(stack, name, handle).kill()
    with kind.blocked(handle):
        assert abandoned(handle) is kind.abandons
    assert not abandoned(handle)
    assert idle(kind, handle)


def test_a_stopped_holder_keeps_it_and_goes_on(name: str, kind: Kind, handle: Any) -> None:
    with ExitStack() as stack:
        holder = holding(stack, name, handle)
        holder.stop()
        waiter = stack.enter_context(forked(holders.waits, name, handle))
        waits_for(kind, handle, 1)
        assert not kind.free(handle)
        holder.resume()
        holder.go()
        assert waiter.result() is False
        holder.result()
    assert idle(kind, handle)


def test_a_stopped_waiter_that_is_killed_costs_nothing(name: str, kind: Kind, handle: Any) -> None:
    with ExitStack() as stack:
        with kind.blocked(handle):
            waiter = stack.enter_context(forked(holders.waits, name, handle))
            waits_for(kind, handle, 1)
            waiter.stop()
        waiter.kill()
        with kind.blocked(handle):
            assert not abandoned(handle)
        assert handle.segment.check_sanity()  # whoever looks finds the death
        assert idle(kind, handle)


def test_destroying_it_tells_the_waiters_of_other_processes(
    name: str, kind: Kind, handle: Any, segment: ManagedSharedMemory
) -> None:
    with ExitStack() as stack, kind.blocked(handle):
        waiter = stack.enter_context(forked(is_told, name, handle))
        waits_for(kind, handle, 1)
        assert segment.destroy_object(handle)
        assert waiter.result() == "ClosedError"


def is_told(_: Link, name: str, handle: Any) -> str:
    try:
        with KINDS[name].blocked(handle):
            return "entered"
    except Exception as error:
        return type(error).__name__


# ------------------------------------------------------------------------------------- several who hold


def reads(test: Link, lock: RWLock) -> None:
    with lock.blocking.read():
        test.sync("held")


def upgrades(test: Link, lock: RWLock) -> None:
    with lock.blocking.upgradable() as guard:
        test.send("held")
        guard.upgrade()
        test.sync("upgraded")


def borrows(test: Link, limiter: CapacityLimiter, count: int) -> None:
    for number in range(count):
        limiter.acquire_on_behalf_of_nowait(number)
    test.sync("held")


def test_a_writer_enters_when_all_readers_have_died(segment: ManagedSharedMemory) -> None:
    lock = RWLock(segment, "l")
    with ExitStack() as stack:
        readers = [stack.enter_context(forked(reads, lock)) for _ in range(3)]
        for reader in readers:
            assert reader.receive() == "held"
        assert lock.statistics().readers == 3
        writer = stack.enter_context(forked(holders.waits, "write", lock))
        waits_for(KINDS["write"], lock, 1)
        readers[0].stop()  # keeps what it holds, and dies all the same
        for reader in readers:
            reader.kill()
        assert writer.result() is False
    assert idle(KINDS["write"], lock)


def test_an_upgrader_that_dies_leaves_readers_and_the_next_upgradable_to_go_on(
    segment: ManagedSharedMemory,
) -> None:
    lock = RWLock(segment, "l")
    with ExitStack() as stack:
        with lock.blocking.read():
            upgrader = stack.enter_context(forked(upgrades, lock))
            assert upgrader.receive() == "held"
            while not lock.statistics().waiting_upgrades:
                os.sched_yield()
            waiter = stack.enter_context(forked(holders.waits, "upgradable", lock))
            while not lock.statistics().waiting_upgradables:
                os.sched_yield()
            upgrader.kill()
            assert waiter.result() is False  # it had not written
        assert not lock.abandoned
    assert idle(KINDS["upgradable"], lock)


def test_an_upgraded_one_that_dies_leaves_it_abandoned_until_somebody_has_written(
    segment: ManagedSharedMemory,
) -> None:
    lock = RWLock(segment, "l")
    with ExitStack() as stack:
        upgrader = stack.enter_context(forked(upgrades, lock))
        assert [upgrader.receive(), upgrader.receive()] == ["held", "upgraded"]
        assert lock.statistics().writing
        upgrader.kill()
    with lock.blocking.read() as guard:
        assert guard.abandoned
    with lock.blocking.upgradable() as guard:
        assert lock.abandoned
        assert guard.upgrade() is True
        assert lock.abandoned
        guard.downgrade()
        assert not lock.abandoned
    assert lock.statistics().abandoned_count == 1
    assert idle(KINDS["write"], lock)


def test_all_tokens_of_a_killed_borrower_come_back_at_once(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    limiter = CapacityLimiter(segment, "l", 3)

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(limiter.acquire_on_behalf_of, f"task {number}")
                await until(lambda: limiter.statistics().tasks_waiting == number + 1)  # noqa: B023
            child.kill()
        assert limiter.statistics().borrowed_by_process == {os.getpid(): 3}

    with forked(borrows, limiter, 3) as child:
        assert child.receive() == "held"
        assert limiter.statistics().borrowed_by_process == {child.pid: 3}
        assert limiter.statistics().borrowers == ()
        run_async(body)
    for number in range(3):
        limiter.release_on_behalf_of(f"task {number}")
    assert limiter.borrowed_tokens == 0


def test_what_is_done_once_stays_done_when_who_did_it_dies(segment: ManagedSharedMemory) -> None:
    once = Once(segment, "o")
    with forked(does, once) as child:
        assert child.receive() == "done"
        child.kill()
    with once.blocking as first:
        assert first is False
    assert once.done


def does(test: Link, once: Once) -> None:
    with once.blocking:
        pass
    test.sync("done")
