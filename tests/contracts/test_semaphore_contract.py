"""What every way of using a Semaphore or a BoundedSemaphore promises: awaited under each event loop, and
blocking in threads.  What asyncio's own tests of its semaphores check is here."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from aioipc import (
    BoundedSemaphore,
    ClosedError,
    Event,
    ManagedSharedMemory,
    OptionMismatchError,
    Semaphore,
    TypeMismatchError,
    WouldBlock,
    unique_instance,
)
from tests.support.faces import FACES, THREE_LOOPS, Face, together, turns, until
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
MakeSemaphore = Callable[..., Semaphore]
MakeFace = Callable[[Semaphore], Face]


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[Semaphore, BoundedSemaphore])
def kind(request: pytest.FixtureRequest) -> type[Semaphore]:
    made: type[Semaphore] = request.param
    return made


@pytest.fixture(params=FACES)
def face_of(request: pytest.FixtureRequest) -> MakeFace:
    made: MakeFace = request.param
    return made


async def waiting(semaphore: Semaphore, count: int) -> None:
    """Returns when so many stand in line."""
    await until(lambda: semaphore.statistics().waiters == count)


def has(semaphore: Semaphore, permits: int) -> bool:
    """So many permits are there, nobody waits, and it still works."""
    for _ in range(permits):
        semaphore.acquire_nowait()
    with pytest.raises(WouldBlock):
        semaphore.acquire_nowait()
    if permits:
        semaphore.release(permits)
    statistics = semaphore.statistics()
    return (statistics.value, statistics.waiters) == (permits, 0)


def test_permits_are_taken_and_given_back(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory, kind: type[Semaphore]
) -> None:
    async def body() -> None:
        semaphore = kind(segment, "s", 2)
        face = face_of(semaphore)
        assert await face("acquire") is True
        assert (semaphore.value, semaphore.locked()) == (1, False)
        async with face.entered():
            assert (semaphore.value, semaphore.locked()) == (0, True)
            assert semaphore.blocking.locked()
            assert semaphore.blocking.acquire(timeout=0) is False
            with pytest.raises(WouldBlock, match="await acquire"):
                semaphore.acquire_nowait()
        semaphore.blocking.release()
        assert semaphore.statistics().initial == 2
        assert semaphore.statistics().bound == (2 if kind is BoundedSemaphore else None)
        assert has(semaphore, 2)

    run_async(body)


def test_it_begins_with_one_permit_unless_told(segment: ManagedSharedMemory, kind: type[Semaphore]) -> None:
    assert has(kind(segment), 1)
    assert has(kind(segment, "many", 3), 3)
    assert has(kind(segment, unique_instance, 0), 0)
    assert kind(segment, unique_instance).statistics().initial == 0


def test_no_more_are_inside_than_there_are_permits(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory
) -> None:
    inside = most = 0

    async def worker(face: Face) -> None:
        nonlocal inside, most
        for _ in range(5):
            async with face.entered():
                inside += 1
                most = max(most, inside)
                await anyio.lowlevel.checkpoint()
                inside -= 1

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 2)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(worker, face_of(semaphore))
        assert 1 <= most <= 2
        assert has(semaphore, 2)

    run_async(body)


def test_waiters_are_served_first_come_first_served(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory
) -> None:
    served: list[int] = []

    async def waiter(face: Face, number: int) -> None:
        await face("acquire")
        served.append(number)

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 0)
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(waiter, face_of(semaphore), number)
                await waiting(semaphore, number + 1)
            for count, all_served in ((1, 1), (2, 3), (3, 6)):
                semaphore.release(count)
                await until(lambda all_served=all_served: len(served) == all_served)
                assert sorted(served) == list(range(all_served))
        assert has(semaphore, 0)

    run_async(body)


def test_waiters_of_one_loop_are_served_in_order_also_by_one_release(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    served: list[int] = []

    async def waiter(semaphore: Semaphore, number: int) -> None:
        await semaphore.acquire()
        served.append(number)

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 0)
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(waiter, semaphore, number)
                await waiting(semaphore, number + 1)
            semaphore.release(8)
        assert served == list(range(8))

    run_async(body)


def test_who_comes_later_does_not_overtake_who_was_woken(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    served: list[str] = []

    async def waiter(semaphore: Semaphore, name: str) -> None:
        async with semaphore:
            served.append(name)

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 1)
        await semaphore.acquire()
        async with anyio.create_task_group() as group:
            for name in ("first", "second"):
                group.start_soon(waiter, semaphore, name)
                await waiting(semaphore, 1 if name == "first" else 2)
            semaphore.release()
            assert semaphore.value == 1
            assert semaphore.locked()  # the permit is on its way
            assert "[locked" in repr(semaphore)
            with pytest.raises(WouldBlock):
                semaphore.acquire_nowait()
            async with semaphore:
                served.append("late")
        assert served == ["first", "second", "late"]
        assert not semaphore.locked()

    run_async(body)


def test_a_cancelled_waiter_is_skipped(run_async: RunAsync, segment: ManagedSharedMemory) -> None:
    served: list[int] = []
    scopes: list[anyio.CancelScope] = []

    async def waiter(semaphore: Semaphore, number: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await semaphore.acquire()
            served.append(number)

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 0)
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(waiter, semaphore, number)
                await waiting(semaphore, number + 1)
            for number in (0, 2, 4):
                scopes[number].cancel()
            await waiting(semaphore, 2)
            semaphore.release(2)
        assert served == [1, 3]
        assert has(semaphore, 0)

    run_async(body)


@pytest.mark.parametrize("order", ["release first", "cancel first"])
@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("between", [0, 1, 2])
def test_cancelled_in_the_instant_of_a_release_the_permit_is_not_lost(
    run_async: RunAsync, segment: ManagedSharedMemory, order: str, others: int, between: int
) -> None:
    async def acquire(semaphore: Semaphore, scope: anyio.CancelScope) -> None:
        with scope:
            await semaphore.acquire()
            served.append(scope)

    served: list[anyio.CancelScope] = []

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 0)
        cancelled = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(acquire, semaphore, cancelled)
            await waiting(semaphore, 1)
            for number in range(others):
                group.start_soon(acquire, semaphore, anyio.CancelScope())
                await waiting(semaphore, number + 2)
            events = [semaphore.release, cancelled.cancel]
            if order == "cancel first":
                events.reverse()
            events[0]()
            await turns(between)
            events[1]()
            await until(lambda: len(served) == 1 or (others == 0 and semaphore.statistics().waiters == 0))
            assert semaphore.value + len(served) == 1
            group.cancel_scope.cancel()
        assert semaphore.value + len(served) == 1
        assert has(semaphore, semaphore.value)

    run_async(body)


def test_a_cancellation_at_any_suspension_loses_no_permit(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def use(semaphore: Semaphore) -> None:
        for _ in range(2):
            async with semaphore:
                await anyio.lowlevel.checkpoint()

    async def cancelled_at(semaphore: Semaphore, nth: int) -> bool:
        """Whether there was an n-th suspension."""
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(use, semaphore)
            with anyio.CancelScope() as scope:
                swept = Interrupter(use(semaphore), nth, scope.cancel)
                await swept
        assert has(semaphore, 1), f"cancelled at suspension {nth}"
        return swept.suspensions >= nth

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 1)
        nth = 1
        while await cancelled_at(semaphore, nth):
            nth += 1
        assert nth > 2

    run_async(body)


# --------------------------------------------------------------------------------- bounds and arguments


def test_a_bounded_semaphore_takes_no_more_than_it_gave(segment: ManagedSharedMemory) -> None:
    semaphore = BoundedSemaphore(segment, "s", 2)
    for _ in range(2):
        with pytest.raises(ValueError, match="released too many times"):
            semaphore.release()
        with pytest.raises(ValueError, match="at most 2"):
            semaphore.blocking.release()
    semaphore.acquire_nowait()
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release(2)
    assert semaphore.value == 1
    semaphore.release()
    assert has(semaphore, 2)
    nothing = BoundedSemaphore(segment, None, 0)
    with pytest.raises(ValueError, match="released too many times"):
        nothing.release()


def test_a_plain_semaphore_takes_more_than_it_gave_up_to_2_to_the_32(segment: ManagedSharedMemory) -> None:
    semaphore = Semaphore(segment, "s", 0)
    semaphore.release(3)
    assert has(semaphore, 3)
    most = 0xFFFFFFFF
    semaphore.release(most - 3)
    for n in (1, most, most + 1, 1 << 64, 1 << 70):
        with pytest.raises(ValueError, match="too many"):
            semaphore.release(n)
    assert semaphore.value == most


@pytest.mark.parametrize("wrong", ["3", 1.5, b"1"])
def test_what_is_no_number_is_refused(
    segment: ManagedSharedMemory, kind: type[Semaphore], wrong: Any
) -> None:
    with pytest.raises(TypeError, match="must be an int"):
        kind(segment, "s", wrong)
    assert segment.find(kind, "s") is None
    semaphore = kind(segment, "s", 1)
    with pytest.raises(TypeError, match="must be an int"):
        semaphore.release(wrong)
    with pytest.raises(TypeError):
        semaphore.blocking.acquire("soon")  # type: ignore[arg-type]
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            semaphore.blocking.acquire(timeout=timeout)
    assert has(semaphore, 1)


def test_numbers_out_of_range_are_refused(segment: ManagedSharedMemory, kind: type[Semaphore]) -> None:
    for value in (-1, 1 << 32, 1 << 70):
        with pytest.raises(ValueError, match="between 0 and"):
            kind(segment, "s", value)
    assert segment.find(kind, "s") is None
    semaphore = kind(segment, "s", 1)
    for n in (0, -1, -(1 << 70)):
        with pytest.raises(ValueError, match="at least 1"):
            semaphore.release(n)
    assert has(semaphore, 1)


def test_another_number_than_it_was_constructed_with_disagrees(
    segment: ManagedSharedMemory, kind: type[Semaphore]
) -> None:
    semaphore = kind(segment, "s", 3)
    semaphore.acquire_nowait()
    for value in (2, 4, 0):
        with pytest.raises(OptionMismatchError, match="3 permits"):
            kind(segment, "s", value)
    for again in (kind(segment, "s"), kind(segment, "s", 3), segment.find(kind, "s")):
        assert again == semaphore
    assert semaphore.value == 2


def test_a_name_that_is_something_else_is_refused(segment: ManagedSharedMemory) -> None:
    made: dict[type[Any], Any] = {t: t(segment, t.__name__) for t in (Semaphore, BoundedSemaphore, Event)}
    for there in made:
        for wanted in made:
            if wanted is not there:
                name = there.__name__
                with pytest.raises(TypeMismatchError, match=name):
                    wanted(segment, name)
                with pytest.raises(TypeMismatchError, match=name):
                    segment.find(wanted, name)
                with pytest.raises(TypeMismatchError, match=name):
                    segment.destroy(wanted, name)
    assert has(made[Semaphore], 1)


# -------------------------------------------------------------------------------------------- its end


def test_destroying_it_ends_all_waiting(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory, kind: type[Semaphore]
) -> None:
    ended = 0

    async def waiter(face: Face) -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face("acquire")
        ended += 1

    async def body() -> None:
        semaphore = kind(segment, "s", 0)
        face = face_of(semaphore)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter, face)
            await waiting(semaphore, 3)
            assert segment.destroy(kind, "s")
        assert ended == 3
        assert "[destroyed]" in repr(semaphore)
        with pytest.raises(ClosedError):
            await face("acquire")
        with pytest.raises(ClosedError):
            semaphore.acquire_nowait()
        assert has(kind(segment, "s", 1), 1)

    run_async(body)


def test_closing_the_segment_ends_all_waiting(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory
) -> None:
    ended = 0

    async def waiter(face: Face) -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face("acquire")
        ended += 1

    async def body() -> None:
        semaphore = Semaphore(segment, "s", 0)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter, face_of(semaphore))
            await waiting(semaphore, 3)
            segment.close()
        assert ended == 3
        assert "[closed]" in repr(semaphore)
        for use in (semaphore.acquire_nowait, semaphore.release, semaphore.locked, semaphore.statistics):
            with pytest.raises(ClosedError):
                use()
        with pytest.raises(ClosedError):
            await face_of(semaphore)("acquire")

    run_async(body)


# --------------------------------------------------------------------------------------------- its forms


def test_with_names_the_two_forms_there_are(segment: ManagedSharedMemory, kind: type[Semaphore]) -> None:
    semaphore = kind(segment, "s")
    with pytest.raises(TypeError, match=r"async with semaphore.*with semaphore\.blocking"), semaphore:
        pass
    assert has(semaphore, 1)


def test_an_acquire_that_is_never_awaited_takes_nothing(segment: ManagedSharedMemory) -> None:
    semaphore = Semaphore(segment, "s")
    semaphore.acquire().close()
    assert has(semaphore, 1)


def test_a_blocking_acquire_gives_up_when_the_time_is_over(segment: ManagedSharedMemory) -> None:
    semaphore = Semaphore(segment, "s", 0)
    assert semaphore.blocking.acquire(timeout=0) is False
    assert semaphore.blocking.acquire(timeout=0.001) is False
    semaphore.release()
    assert semaphore.blocking.acquire(timeout=5) is True
    semaphore.release()
    assert semaphore.blocking.acquire(timeout=0) is True
    assert has(semaphore, 0)


def test_repr_says_what_is_there_and_who_waits(run_async: RunAsync, segment: ManagedSharedMemory) -> None:
    async def body() -> None:
        semaphore = Semaphore(segment, "s", 2)
        assert repr(semaphore) == "<aioipc.Semaphore 's' [unlocked, value:2]>"
        assert repr(Semaphore(segment)) == "<aioipc.Semaphore [unlocked, value:1]>"
        assert repr(Semaphore(segment, unique_instance)) == "<aioipc.Semaphore unique [unlocked, value:1]>"
        for _ in range(2):
            await semaphore.acquire()
        assert repr(semaphore) == "<aioipc.Semaphore 's' [locked]>"
        async with anyio.create_task_group() as group:
            group.start_soon(semaphore.acquire)
            await waiting(semaphore, 1)
            assert repr(semaphore) == "<aioipc.Semaphore 's' [locked, waiters:1]>"
            semaphore.release()
        assert repr(semaphore.blocking) == "<blocking view of <aioipc.Semaphore 's' [locked]>>"

    run_async(body)


@pytest.mark.asyncio
async def test_under_asyncio_a_permit_that_is_there_does_not_suspend(segment: ManagedSharedMemory) -> None:
    semaphore = Semaphore(segment, "s", 1)
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    for _ in range(10):
        await semaphore.acquire()
        semaphore.release()
        async with semaphore:
            pass
    assert not ran


@pytest.mark.asyncio
async def test_acquire_can_be_made_a_task_and_given_a_timeout(segment: ManagedSharedMemory) -> None:
    semaphore = Semaphore(segment, "s", 1)
    await asyncio.create_task(semaphore.acquire())
    task = asyncio.create_task(semaphore.acquire())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(semaphore.acquire(), 0.001)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await semaphore.acquire()
    semaphore.release()
    assert await task is True
    semaphore.release(3)
    assert await asyncio.gather(*(semaphore.acquire() for _ in range(3))) == [True] * 3
    assert has(semaphore, 0)


@pytest.mark.asyncio
async def test_a_task_cancelled_after_its_permit_came_gives_it_back(segment: ManagedSharedMemory) -> None:
    """Before it ran: the permit is neither held nor lost."""
    semaphore = Semaphore(segment, "s", 0)
    task = asyncio.create_task(semaphore.acquire())
    await waiting(semaphore, 1)
    semaphore.release()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has(semaphore, 1)


def test_under_trio_every_await_is_a_checkpoint_and_cancelled_before_takes_nothing(
    segment: ManagedSharedMemory,
) -> None:
    semaphore = Semaphore(segment, "s", 1)

    async def body() -> None:
        for use in (semaphore.acquire, semaphore.__aenter__):
            with trio.CancelScope() as scope:
                scope.cancel()
                await use()
            assert scope.cancelled_caught
            with trio.testing.assert_checkpoints():
                await use()
            semaphore.release()

    trio.run(body)
    assert has(semaphore, 1)


def test_asyncio_trio_and_threads_share_one_semaphore(segment: ManagedSharedMemory) -> None:
    semaphore = BoundedSemaphore(segment, "s", 2)
    guard = threading.Lock()
    inside = most = rounds = 0

    def enter() -> None:
        nonlocal inside, most, rounds
        with guard:
            inside += 1
            most = max(most, inside)
            rounds += 1

    def leave() -> None:
        nonlocal inside
        with guard:
            inside -= 1

    async def awaiting() -> None:
        async def worker() -> None:
            for _ in range(50):
                async with semaphore:
                    enter()
                    await anyio.lowlevel.checkpoint()
                    leave()

        async with anyio.create_task_group() as group:
            group.start_soon(worker)
            group.start_soon(worker)

    def blocking() -> None:
        for _ in range(50):
            with semaphore.blocking:
                enter()
                leave()

    join = together(awaiting, blocking)
    join()
    assert rounds == 50 * (2 * 3 + 2)
    assert most <= 2
    assert has(semaphore, 2)
