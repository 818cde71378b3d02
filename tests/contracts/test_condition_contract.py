"""What every way of using a Condition promises: awaited under each event loop, and blocking in threads.  What
asyncio's own tests of its condition check is here.  When a wait is cut short: test_condition_endings.py."""

import asyncio
import pickle
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from aioipc import (
    Condition,
    Event,
    Lock,
    ManagedSharedMemory,
    NotFoundError,
    OptionMismatchError,
    RLock,
    TypeMismatchError,
    WouldBlock,
    unique_instance,
)
from tests.support.conditions import FACES, Face, free, waiting
from tests.support.faces import THREE_LOOPS, together, turns, until

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["own lock", "Lock", "RLock"])
def condition(request: pytest.FixtureRequest, segment: ManagedSharedMemory) -> Condition:
    lock = {"Lock": Lock, "RLock": RLock}.get(request.param)
    return Condition(segment, "condition", None if lock is None else lock(segment, "lock"))


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, condition: Condition) -> Face:
    made: Face = request.param(condition)
    return made


# -------------------------------------------------------------------------------------------- the lock


def test_it_is_its_lock_too(run_async: RunAsync, condition: Condition) -> None:
    async def body() -> None:
        assert await condition.acquire() is True
        assert condition.locked()
        assert condition.lock.locked()
        assert condition.statistics().locked
        condition.release()
        async with condition as nothing:
            assert nothing is None
            assert condition.lock.locked()
        with pytest.raises(RuntimeError):
            condition.release()
        with condition.blocking as true:
            assert true is True
            assert condition.blocking.locked()
        assert condition.blocking.acquire(timeout=0) is True
        condition.blocking.release()
        assert free(condition)

    run_async(body)


def test_an_exception_inside_gives_the_lock_back(run_async: RunAsync, condition: Condition) -> None:
    async def body() -> None:
        with pytest.raises(KeyError):
            async with condition:
                raise KeyError
        with pytest.raises(KeyError), condition.blocking:
            raise KeyError
        assert free(condition)

    run_async(body)


def test_without_the_lock_nothing_can_be_done(run_async: RunAsync, condition: Condition) -> None:
    async def body() -> None:
        for use in (condition.notify, condition.notify_all):
            with pytest.raises(RuntimeError, match=r"h[oe]ld"):
                use()
        with pytest.raises(RuntimeError, match=r"h[oe]ld"):
            await condition.wait()
        with pytest.raises(RuntimeError, match=r"h[oe]ld"):
            await condition.wait_for(lambda: False)
        assert await condition.wait_for(lambda: "true") == "true"
        for use in (condition.blocking.notify, condition.blocking.notify_all, condition.blocking.wait):
            with pytest.raises(RuntimeError, match=r"h[oe]ld"):
                use()
        assert free(condition)

    run_async(body)


def test_several_conditions_share_one_lock(run_async: RunAsync, segment: ManagedSharedMemory) -> None:
    """Also when it is one condition's own."""
    woken: list[str] = []

    async def waiter(condition: Condition, name: str) -> None:
        async with condition:
            await condition.wait()
            woken.append(name)

    async def body() -> None:
        full = Condition(segment, "full")
        empty = Condition(segment, "empty", full.lock)
        third = Condition(segment, None, empty.lock)
        assert full.lock == empty.lock == third.lock
        async with anyio.create_task_group() as group:
            for name, condition in (("empty", empty), ("full", full)):
                group.start_soon(waiter, condition, name)
                await waiting(condition, 1)
            async with full:
                assert empty.locked()
                assert third.lock.locked()
                with pytest.raises(WouldBlock):
                    empty.lock.acquire_nowait()
                full.notify_all()
            await until(lambda: woken == ["full"])
            async with third:
                empty.notify()
        assert woken == ["full", "empty"]
        assert free(empty)

    run_async(body)


def test_a_condition_and_its_lock_travel_in_a_pickle(condition: Condition) -> None:
    again = pickle.loads(pickle.dumps(condition))
    assert again == condition
    assert again.lock == condition.lock
    lock = pickle.loads(pickle.dumps(condition.lock))
    assert lock == condition.lock
    with again.blocking:
        assert lock.locked()
        again.blocking.notify()
        condition.blocking.notify()
    assert free(condition)


def test_a_condition_is_not_equal_to_its_lock(condition: Condition) -> None:
    assert condition != condition.lock
    assert condition.lock != condition


# --------------------------------------------------------------------------------- waiting and notifying


def test_a_notification_wakes_the_first_who_waits_with_the_lock_held(
    run_async: RunAsync, face: Face, condition: Condition
) -> None:
    woken: list[int] = []

    async def waiter(number: int) -> None:
        assert await face.wait(lambda: woken.append(number)) is True

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(waiter, number)
                await waiting(condition, number + 1)
            assert not condition.locked()
            for count in range(1, 5):
                async with condition:
                    condition.notify()
                    assert condition.statistics().waiters == 4 - count
                    await turns(3)
                    assert len(woken) == count - 1  # the lock is held
                await until(lambda count=count: len(woken) == count)
        assert woken == [0, 1, 2, 3]
        statistics = condition.statistics()
        assert (statistics.contended, statistics.notified) == (4, 4)
        assert free(condition)

    run_async(body)


def test_so_many_are_notified(run_async: RunAsync, face: Face, condition: Condition) -> None:
    async def body() -> None:
        for n, rest in {0: 3, 2: 1, 3: 0, 1 << 70: 0}.items():
            woken: list[int] = []
            async with anyio.create_task_group() as group:
                for number in range(3):
                    group.start_soon(face.wait, lambda number=number, woken=woken: woken.append(number))
                    await waiting(condition, number + 1)
                await face.notify(n)
                assert condition.statistics().waiters == rest
                await until(lambda woken=woken, rest=rest: len(woken) == 3 - rest)
                assert sorted(woken) == list(range(3 - rest))
                await face.notify_all()
            assert sorted(woken) == [0, 1, 2]
        assert free(condition)

    run_async(body)


def test_those_notified_together_have_the_lock_in_the_order_in_which_they_came(
    run_async: RunAsync, condition: Condition
) -> None:
    woken: list[int] = []

    async def waiter(number: int) -> None:
        async with condition:
            await condition.wait()
            woken.append(number)
            await anyio.lowlevel.checkpoint()

    async def body() -> None:
        for between in range(3):
            woken.clear()
            async with anyio.create_task_group() as group:
                for number in range(6):
                    group.start_soon(waiter, number)
                    await waiting(condition, number + 1)
                await condition.acquire()
                condition.notify_all()
                await turns(between)
                condition.release()
            assert woken == list(range(6))
        assert free(condition)

    run_async(body)


def test_a_notification_that_nobody_waits_for_is_not_kept(
    run_async: RunAsync, face: Face, condition: Condition
) -> None:
    async def body() -> None:
        await face.notify(5)
        await face.notify_all()
        async with anyio.create_task_group() as group:
            group.start_soon(face.wait, lambda: None)
            await waiting(condition, 1)
            await turns(5)
            assert condition.statistics().waiters == 1
            await face.notify()
        assert free(condition)

    run_async(body)


def test_who_waits_again_is_not_woken_by_the_same_notification(
    run_async: RunAsync, condition: Condition
) -> None:
    times = 0

    async def waiter() -> None:
        nonlocal times
        async with condition:
            for _ in range(2):
                await condition.wait()
                times += 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            for count in (1, 2):
                await waiting(condition, 1)
                async with condition:
                    condition.notify_all()
                await until(lambda count=count: times == count)
        assert free(condition)

    run_async(body)


def test_wait_for_waits_until_it_is_true(run_async: RunAsync, face: Face, condition: Condition) -> None:
    value = 0
    seen: list[int] = []

    def predicate() -> int:
        assert condition.locked()
        seen.append(value)
        return value if value >= 3 else 0

    async def body() -> None:
        nonlocal value

        async def waiter() -> None:
            assert await face.wait_for(predicate) == 3
            assert await face.wait_for(predicate) == 3

        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            for _ in range(3):
                await waiting(condition, 1)
                async with condition:
                    value += 1
                    condition.notify()
        assert seen == [0, 1, 2, 3, 3]
        assert free(condition)

    run_async(body)


def test_a_predicate_that_raises_leaves_the_lock_held(
    run_async: RunAsync, face: Face, condition: Condition
) -> None:
    def predicate() -> bool:
        raise KeyError

    async def body() -> None:
        with pytest.raises(KeyError):
            await face.wait_for(predicate)
        assert free(condition)

    run_async(body)


@pytest.mark.parametrize("n", [-1, -(1 << 70)])
def test_less_than_nobody_cannot_be_notified(condition: Condition, n: int) -> None:
    with condition.blocking, pytest.raises(ValueError, match="at least 0"):
        condition.blocking.notify(n)
    assert free(condition)


@pytest.mark.parametrize("n", [1.5, "2", None])
def test_what_is_no_number_cannot_be_notified(condition: Condition, n: Any) -> None:
    with condition.blocking, pytest.raises(TypeError, match="must be an int"):
        condition.blocking.notify(n)
    assert free(condition)


def test_a_reentrant_lock_is_as_deep_afterwards_as_before(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        lock = RLock(segment, "lock")
        condition = Condition(segment, "condition", lock)

        async def waiter() -> None:
            async with condition, lock:
                await condition.wait()
                assert lock.statistics().depth == 2

        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await waiting(condition, 1)
            assert not lock.locked()
            async with lock, condition:
                condition.notify()
        assert free(condition)

    run_async(body)


def test_only_the_task_that_holds_a_reentrant_lock_may_wait_and_notify(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        condition = Condition(segment, "condition", RLock(segment, "lock"))

        async def other() -> None:
            with pytest.raises(RuntimeError):
                condition.notify()
            with pytest.raises(RuntimeError):
                await condition.wait()
            with pytest.raises(RuntimeError):
                condition.blocking.notify()

        async with condition, anyio.create_task_group() as group:
            group.start_soon(other)
        assert free(condition)

    run_async(body)


# ----------------------------------------------------------------------------------------- time, threads


def test_a_blocking_wait_gives_up_when_the_time_is_over(condition: Condition) -> None:
    with condition.blocking:
        view = condition.blocking
        for timeout in (0, 0.001):
            assert view.wait(timeout) is False
            assert condition.locked()
            assert condition.statistics().waiters == 0
            assert view.wait_for(lambda: 0, timeout) == 0
            assert view.wait_for(lambda: "yes", timeout) == "yes"
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout"):
                view.wait(wrong)
            assert condition.locked()
    assert free(condition)


def test_a_blocking_wait_of_no_time_lets_others_have_the_lock(condition: Condition) -> None:
    done = threading.Event()

    def other() -> None:
        with condition.blocking:
            done.set()

    with condition.blocking:
        thread = threading.Thread(target=other)
        thread.start()
        while not done.is_set():
            condition.blocking.wait(timeout=0)
    thread.join()
    assert free(condition)


# -------------------------------------------------------------------------------------- names and forms


def test_a_lock_that_disagrees_or_is_none_constructs_nothing(
    segment: ManagedSharedMemory, segment_name: str, condition: Condition
) -> None:
    other = Lock(segment, "other")
    assert Condition(segment, "condition") == condition
    assert Condition(segment, "condition", condition.lock) == condition
    with pytest.raises(OptionMismatchError, match="another lock"):
        Condition(segment, "condition", other)
    for wrong in (Event(segment), 5, threading.Lock(), condition):
        with pytest.raises(TypeError, match="a Lock or an RLock"):
            Condition(segment, "new", wrong)  # type: ignore[arg-type]
    with (
        ManagedSharedMemory.create(segment_name + "-other", 1 << 20, lifetime="last_detach") as elsewhere,
        pytest.raises(ValueError, match="in one segment"),
    ):
        Condition(segment, "new", Lock(elsewhere))
    assert segment.find(Condition, "new") is None
    assert free(condition)


def test_the_lock_may_come_through_another_handle_of_the_segment(
    segment: ManagedSharedMemory, segment_name: str
) -> None:
    lock = Lock(segment, "lock")
    with ManagedSharedMemory.open(segment_name) as again:
        condition = Condition(again, "condition", lock)
        assert condition.lock == lock
        with lock.blocking:
            condition.notify()


def test_a_name_that_is_something_else_is_refused(segment: ManagedSharedMemory) -> None:
    condition = Condition(segment, "condition")
    Lock(segment, "lock")
    for use in (
        lambda: Condition(segment, "lock"),
        lambda: segment.find(Condition, "lock"),
        lambda: Lock(segment, "condition"),  # though it has one
        lambda: segment.find(Lock, "condition"),
        lambda: segment.destroy(Lock, "condition"),
    ):
        with pytest.raises(TypeMismatchError):
            use()
    assert free(condition)


def test_a_condition_whose_lock_was_destroyed_is_not_found(segment: ManagedSharedMemory) -> None:
    Condition(segment, "condition", Lock(segment, "lock"))
    segment.destroy(Lock, "lock")
    for use in (lambda: Condition(segment, "condition"), lambda: segment.find(Condition, "condition")):
        with pytest.raises(NotFoundError, match="destroy the condition too"):
            use()


def test_with_names_the_two_forms_there_are(condition: Condition) -> None:
    with pytest.raises(TypeError, match=r"async with condition.*with condition\.blocking"), condition:
        pass
    assert free(condition)


def test_repr_says_whether_it_is_locked_and_who_waits(
    run_async: RunAsync, segment: ManagedSharedMemory, condition: Condition
) -> None:
    async def waiter() -> None:
        async with condition:
            await condition.wait()

    async def body() -> None:
        assert repr(condition) == "<aioipc.Condition 'condition' [unlocked]>"
        assert repr(Condition(segment, unique_instance)) == "<aioipc.Condition unique [unlocked]>"
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await waiting(condition, 1)
            async with condition:
                assert repr(condition) == "<aioipc.Condition 'condition' [locked, waiters:1]>"
                assert repr(condition.blocking) == f"<blocking view of {condition!r}>"
                condition.notify()

    run_async(body)


@pytest.mark.asyncio
async def test_a_wait_can_be_given_a_timeout_and_holds_the_lock_afterwards(condition: Condition) -> None:
    async with condition:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await condition.wait()
        assert condition.locked()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await condition.wait_for(lambda: False)
        condition.notify()
    assert free(condition)


def test_under_trio_every_await_is_a_checkpoint(condition: Condition) -> None:
    async def body() -> None:
        with trio.testing.assert_checkpoints():
            await condition.acquire()
        with trio.CancelScope() as scope:
            scope.cancel()
            with trio.testing.assert_checkpoints():
                await condition.wait()
        assert scope.cancelled_caught
        condition.release()

    trio.run(body)
    assert free(condition)


def test_asyncio_trio_and_threads_share_one_condition(segment: ManagedSharedMemory) -> None:
    """Each takes what it is given, whoever gives."""
    condition = Condition(segment, "condition")
    store: list[int] = []
    taken: list[int] = []
    each = 30

    async def awaiting() -> None:
        for _ in range(each):
            async with condition:
                await condition.wait_for(lambda: store)
                taken.append(store.pop())

    def blocking() -> None:
        for _ in range(each):
            with condition.blocking:
                condition.blocking.wait_for(lambda: store)
                taken.append(store.pop())

    join = together(awaiting, blocking)
    for number in range(5 * each):
        with condition.blocking:
            store.append(number)
            condition.blocking.notify()
    join()
    assert sorted(taken) == list(range(5 * each))
    assert free(condition)
