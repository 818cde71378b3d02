"""What an RWLock promises beside what test_holders_contract.py asks of all that is held.

Who may hold it beside whom, every transition of a hold, whose turn it is, and guards that are used wrongly.
"""

import asyncio
import copy
import pickle
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from aioipc import (
    ClosedError,
    Lock,
    ManagedSharedMemory,
    NotOwnerError,
    OptionMismatchError,
    RWLock,
    TypeMismatchError,
)
from tests.support.forked import forked
from tests.support.holders import THREE_LOOPS, until
from tests.support.peers import Link
from tests.support.rwlocks import Awaited, Blocking, Level, held, idle, may, waiters, waiting

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
LEVELS: tuple[Level, ...] = ("read", "upgradable", "write")

#: Who may hold the lock beside whom.
TOGETHER = {("read", "read"), ("read", "upgradable"), ("upgradable", "read")}
#: What a hold can be turned into without waiting: always, or only as the one who may.
DOWN: tuple[tuple[Level, Level], ...] = (("write", "read"), ("write", "upgradable"), ("upgradable", "read"))
UP: tuple[tuple[Level, Level], ...] = (("upgradable", "write"), ("read", "write"), ("read", "upgradable"))


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture(params=[False, True], ids=["writers first", "fair"])
def lock(request: pytest.FixtureRequest, segment: ManagedSharedMemory) -> RWLock:
    return RWLock(segment, "lock", fair=request.param)


@pytest.fixture(params=[Awaited, Blocking])
def face(request: pytest.FixtureRequest, lock: RWLock) -> Awaited:
    made: Awaited = request.param(lock)
    return made


# -------------------------------------------------------------------------------- who holds it beside whom


@pytest.mark.parametrize("second", LEVELS)
@pytest.mark.parametrize("first", LEVELS)
def test_who_may_hold_it_beside_whom(
    run_async: RunAsync, lock: RWLock, face: Awaited, first: Level, second: Level
) -> None:
    async def body() -> None:
        holder, other = face.guard(first), face.guard(second)
        assert holder.level is None
        assert await face.acquire(holder) is True
        assert holder.level == first
        assert may(lock, second) == ((first, second) in TOGETHER)
        assert lock.blocking.write().acquire(timeout=0) is False
        async with anyio.create_task_group() as group:
            group.start_soon(face.acquire, other)
            if (first, second) not in TOGETHER:
                await until(lambda: sum(waiters(lock)) == 1)
                assert other.level is None
                holder.release()
        assert other.level == second
        other.release()
        if holder.level is not None:
            holder.release()

    run_async(body)
    assert idle(lock)


@pytest.mark.parametrize("fair", [False, True])
def test_readers_let_a_writer_in_that_waits(
    run_async: RunAsync, segment: ManagedSharedMemory, fair: bool
) -> None:
    """And newcomers wait behind it, under both policies."""
    lock = RWLock(segment, "l", fair=fair)
    served: list[str] = []

    async def enter(name: str, guard: Any) -> None:
        async with guard:
            served.append(name)

    async def body() -> None:
        first = lock.read()
        await first.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(enter, "writer", lock.write())
            await waiting(lock, write=1)
            assert not may(lock, "read")
            group.start_soon(enter, "reader", lock.read())
            await waiting(lock, write=1, read=1)
            first.release()
        assert served == ["writer", "reader"]

    run_async(body)
    assert idle(lock)


@pytest.mark.parametrize("fair", [False, True])
def test_the_policies_differ_in_whom_a_writer_makes_way_for(
    run_async: RunAsync, segment: ManagedSharedMemory, fair: bool
) -> None:
    lock = RWLock(segment, "l", fair=fair)
    served: list[str] = []

    async def enter(name: str, guard: Any) -> None:
        async with guard:
            served.append(name)

    async def body() -> None:
        async with anyio.create_task_group() as group, lock.write():
            group.start_soon(enter, "reader", lock.read())
            await waiting(lock, read=1)
            group.start_soon(enter, "writer", lock.write())
            await waiting(lock, read=1, write=1)
        assert served == (["reader", "writer"] if fair else ["writer", "reader"])

    run_async(body)
    assert idle(lock)


@pytest.mark.parametrize("leaves", ["cancelled", "dies"])
def test_readers_go_on_when_the_writer_they_wait_behind_leaves(
    run_async: RunAsync, lock: RWLock, leaves: str
) -> None:
    entered: list[int] = []

    async def reader(number: int) -> None:
        async with lock.read():
            entered.append(number)

    async def writer(scope: anyio.CancelScope) -> None:
        with scope:
            async with lock.write():
                pytest.fail("a reader was there")

    def writes(_: Link) -> None:
        with lock.blocking.write():
            pass

    async def body(child: Any) -> None:
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            if child is None:
                group.start_soon(writer, scope)
            await waiting(lock, write=1)
            for number in range(3):
                group.start_soon(reader, number)
                await waiting(lock, write=1, read=number + 1)
            if child is None:
                scope.cancel()
            else:
                child.kill()
        assert sorted(entered) == [0, 1, 2]

    with lock.blocking.read():
        if leaves == "dies":
            with forked(writes) as child:
                run_async(lambda: body(child))
        else:
            run_async(lambda: body(None))
    assert idle(lock)


# ------------------------------------------------------------------------------------------- transitions


@pytest.mark.parametrize(("before", "after"), DOWN)
def test_a_downgrade_never_waits_and_lets_in_whom_it_may(
    run_async: RunAsync, lock: RWLock, face: Awaited, before: Level, after: Level
) -> None:
    async def body() -> None:
        guard, reader, writer = face.guard(before), face.guard("read"), face.guard("write")
        await face.acquire(guard)
        async with anyio.create_task_group() as group:
            if before == "write":
                group.start_soon(face.acquire, reader)
                await waiting(lock, read=1)
            guard.downgrade(after)
            assert guard.level == after
            if before == "write":
                await until(lambda: reader.level == "read")
                reader.release()
            assert may(lock, "upgradable") == (after == "read")
            group.start_soon(face.acquire, writer)
            await waiting(lock, write=1)
            guard.release()
        writer.release()

    run_async(body)
    assert idle(lock)


@pytest.mark.parametrize("beside", [None, "read", "upgradable"])
@pytest.mark.parametrize(("before", "after"), UP)
def test_try_upgrade_follows_boosts_table(
    lock: RWLock, before: Level, after: Level, beside: Level | None
) -> None:
    if before == "upgradable" == beside:
        return
    possible = beside is None if after == "write" else beside != "upgradable"
    with getattr(lock.blocking, before)() as guard:
        other = getattr(lock, beside)() if beside else None
        if other is not None:
            other.acquire_nowait()
        assert guard.try_upgrade(after) is possible
        assert guard.level == (after if possible else before)
        if other is not None:
            other.release()
            assert guard.try_upgrade(after) is True if not possible else guard.level == after
        assert held(lock) == (0, after == "upgradable", after == "write")
    assert idle(lock)


def test_an_upgrade_waits_for_the_readers_and_nobody_writes_in_between(
    run_async: RunAsync, lock: RWLock, face: Awaited
) -> None:
    async def body() -> None:
        guard, readers = face.guard("upgradable"), [lock.read(), lock.read()]
        writer = face.guard("write")
        await face.acquire(guard)
        for reader in readers:
            await reader.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(face.acquire, writer)
            await waiting(lock, write=1)
            group.start_soon(face.upgrade, guard)
            await waiting(lock, write=1, up=1)
            assert not may(lock, "read")
            readers[0].release()
            assert guard.level == "upgradable"
            readers[1].release()
            await until(lambda: guard.level == "write")
            assert writer.level is None
            guard.release()
        writer.release()

    run_async(body)
    assert idle(lock)


def test_a_cancelled_upgrade_is_upgradable_as_before_and_lets_readers_in(
    run_async: RunAsync, lock: RWLock
) -> None:
    async def body() -> None:
        async with lock.upgradable() as guard, lock.read(), anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            late = lock.read()

            async def upgrade() -> None:
                with scope:
                    await guard.upgrade()

            group.start_soon(upgrade)
            await waiting(lock, up=1)
            group.start_soon(late.acquire)
            await waiting(lock, up=1, read=1)
            scope.cancel()
            await until(lambda: late.level == "read")
            assert guard.level == "upgradable"
            assert held(lock) == (2, True, False)
            late.release()

    run_async(body)
    assert idle(lock)


def test_a_blocking_upgrade_that_runs_out_of_time_is_upgradable_as_before(lock: RWLock) -> None:
    with lock.blocking.upgradable() as guard:
        with lock.blocking.read():
            for timeout in (0, 0.001):
                assert guard.upgrade(timeout) is False
                assert guard.level == "upgradable"
        assert guard.upgrade(timeout=0) is True
        assert guard.level == "write"
    assert idle(lock)


# ---------------------------------------------------------------------------------- guards used wrongly


WRONG: dict[str, tuple[Level, Callable[[Any], object]]] = {
    "downgrade a read": ("read", lambda guard: guard.downgrade()),
    "downgrade to the same": ("upgradable", lambda guard: guard.downgrade("upgradable")),
    "downgrade upwards": ("read", lambda guard: guard.downgrade("upgradable")),
    "downgrade to nothing there is": ("write", lambda guard: guard.downgrade("none")),
    "upgrade a write": ("write", lambda guard: guard.try_upgrade()),
    "upgrade to the same": ("upgradable", lambda guard: guard.try_upgrade("upgradable")),
    "upgrade downwards": ("write", lambda guard: guard.try_upgrade("upgradable")),
    "upgrade to nothing there is": ("read", lambda guard: guard.try_upgrade("none")),
    "wait to upgrade a read": ("read", lambda guard: guard.upgrade()),
    "wait to upgrade a write": ("write", lambda guard: guard.upgrade(timeout=1)),
    "enter twice": ("read", lambda guard: guard.acquire()),
    "enter twice without waiting": ("write", lambda guard: guard.acquire_nowait()),
    "wait a negative time": ("upgradable", lambda guard: guard.upgrade(-1)),
}


@pytest.mark.parametrize(("level", "use"), list(WRONG.values()), ids=list(WRONG))
def test_a_guard_used_wrongly_says_so_and_nothing_changes(
    lock: RWLock, level: Level, use: Callable[[Any], object]
) -> None:
    with getattr(lock.blocking, level)() as guard:
        before = held(lock)
        with pytest.raises((ValueError, RuntimeError), match=r"guard holds|hold to|hold can|timeout"):
            use(guard)
        assert guard.level == level
        assert held(lock) == before
    assert idle(lock)


@pytest.mark.parametrize(
    "use",
    [
        lambda guard: guard.release(),
        lambda guard: guard.downgrade(),
        lambda guard: guard.try_upgrade(),
        lambda guard: guard.upgrade(),
    ],
    ids=["release", "downgrade", "try_upgrade", "upgrade"],
)
@pytest.mark.parametrize("entered_before", [False, True])
def test_a_guard_that_holds_nothing_says_so(
    lock: RWLock, use: Callable[[Any], object], entered_before: bool
) -> None:
    guard = lock.blocking.read()
    if entered_before:
        with guard:
            pass
    with lock.blocking.read():  # not this guard's
        with pytest.raises(RuntimeError, match="holds nothing"):
            use(guard)
        assert held(lock) == (1, False, False)
    assert idle(lock)


@pytest.mark.parametrize("level", LEVELS)
def test_a_guard_that_two_tasks_enter_holds_once(run_async: RunAsync, lock: RWLock, level: Level) -> None:
    outcomes: list[str] = []

    async def body() -> None:
        guard = getattr(lock, level)()

        async def enter() -> None:
            try:
                await guard.acquire()
                outcomes.append("entered")
            except RuntimeError as error:
                outcomes.append(str(error)[:20])

        async with anyio.create_task_group() as group, lock.write():
            group.start_soon(enter)
            group.start_soon(enter)
            await until(lambda: sum(waiters(lock)) == 1 == len(outcomes))
            with pytest.raises(RuntimeError, match="another task"):
                guard.acquire_nowait()
        assert outcomes == ["another task or thre", "entered"]
        assert guard.level == level
        guard.release()

    run_async(body)
    assert idle(lock)


def test_an_upgrade_does_not_take_the_upgradable_hold_of_another_guard(
    run_async: RunAsync, lock: RWLock
) -> None:
    ended: list[str] = []

    async def body() -> None:
        first, second, reader = lock.upgradable(), lock.upgradable(), lock.read()
        await first.acquire()
        await reader.acquire()

        async def upgrade() -> None:
            with pytest.raises(NotOwnerError, match="given up"):
                await first.upgrade()
            ended.append("told")

        async with anyio.create_task_group() as group:
            group.start_soon(upgrade)
            await waiting(lock, up=1)
            first.release()
            second.acquire_nowait()
            reader.release()
        assert ended == ["told"]
        assert (first.level, second.level) == (None, "upgradable")
        assert held(lock) == (0, True, False)
        second.release()

    run_async(body)
    assert idle(lock)


@pytest.mark.parametrize("change", ["release", "downgrade", "reader leaves"])
def test_an_upgrade_whose_hold_another_task_gives_up_ends(
    run_async: RunAsync, lock: RWLock, change: str
) -> None:
    async def body() -> None:
        guard, reader = lock.upgradable(), lock.read()
        await guard.acquire()
        await reader.acquire()

        async def upgrade() -> None:
            if change == "reader leaves":
                return await guard.upgrade()
            with pytest.raises((NotOwnerError, ValueError)):
                await guard.upgrade()

        async with anyio.create_task_group() as group:
            group.start_soon(upgrade)
            await waiting(lock, up=1)
            if change != "reader leaves":
                getattr(guard, change)()
            else:
                reader.release()
        if change == "reader leaves":
            assert guard.level == "write"
        else:
            reader.release()
        if guard.level is not None:
            guard.release()

    run_async(body)
    assert idle(lock)


def test_a_guard_released_inside_its_block_is_not_released_again(run_async: RunAsync, lock: RWLock) -> None:
    async def body() -> None:
        async with lock.read() as guard, lock.read():
            guard.release()
            assert held(lock) == (1, False, False)
        async with guard:  # and may be entered again
            assert guard.level == "read"

    run_async(body)
    assert idle(lock)


def test_a_guard_that_is_never_awaited_takes_nothing(lock: RWLock) -> None:
    lock.write().acquire().close()
    assert idle(lock)


@pytest.mark.asyncio
async def test_what_guards_return_can_be_made_a_task_and_given_a_timeout(lock: RWLock) -> None:
    guard = lock.write()
    assert await asyncio.create_task(guard.acquire()) is True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lock.read().acquire(), 0.001)
    guard.downgrade("upgradable")
    await asyncio.wait_for(guard.upgrade(), 1)
    assert guard.level == "write"
    guard.release()
    assert idle(lock)


def test_under_trio_upgrading_is_a_checkpoint(lock: RWLock) -> None:
    async def body() -> None:
        async with lock.upgradable() as guard:
            with trio.CancelScope() as scope:
                scope.cancel()
                await guard.upgrade()
            assert scope.cancelled_caught
            assert guard.level == "upgradable"
            with trio.testing.assert_checkpoints():
                await guard.upgrade()

    trio.run(body)
    assert idle(lock)


def test_guards_stay_in_their_process(lock: RWLock) -> None:
    guard = lock.read()
    for duplicate in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="pickle the lock"):
            duplicate(guard)
    assert repr(guard) == f"<RWGuard of {lock!r}: nothing>"


def test_a_child_does_not_own_what_its_parents_guards_held(lock: RWLock) -> None:
    with lock.blocking.read() as guard, forked(releases_a_parents, lock, guard) as child:
        assert child.result() == [None, "told", 2]
        assert guard.level == "read"
    assert idle(lock)


def releases_a_parents(_: Link, lock: RWLock, guard: Any) -> list[Any]:
    with lock.blocking.read():  # the child's own, which stays
        level = guard.level
        with pytest.raises(NotOwnerError):
            guard.release()
        return [level, "told", lock.statistics().readers]


# ---------------------------------------------------------------------------------------- objects and options


def test_options_that_disagree_are_refused(segment: ManagedSharedMemory) -> None:
    lock = RWLock(segment, "l", fair=True)
    assert RWLock(segment, "l").fair
    with pytest.raises(OptionMismatchError, match="fair=True"):
        RWLock(segment, "l", fair=False)
    with pytest.raises(TypeMismatchError):
        Lock(segment, "l")
    for wrong in (lock, lock.read(), lock.blocking):
        with pytest.raises((TypeError, AttributeError)), wrong:  # type: ignore[attr-defined]
            pytest.fail("entered")
    assert not RWLock(segment).fair
    assert idle(lock)


def test_a_destroyed_lock_refuses_all_but_letting_go(lock: RWLock, segment: ManagedSharedMemory) -> None:
    guard = lock.upgradable()
    guard.acquire_nowait()
    assert segment.destroy_object(lock)
    for use in (lock.read().acquire_nowait, guard.try_upgrade, guard.downgrade):
        with pytest.raises(ClosedError):
            use()
    with pytest.raises(ClosedError):
        lock.blocking.write().acquire()
    assert guard.level == "upgradable"
    guard.release()


def test_closing_the_segment_ends_every_hold(segment: ManagedSharedMemory, segment_name: str) -> None:
    with ManagedSharedMemory.open(segment_name) as again:
        guard = RWLock(again, "l").read()
        guard.acquire_nowait()
    for use in (guard.release, guard.acquire_nowait):
        with pytest.raises((ClosedError, RuntimeError)):
            use()
