"""What a Once promises beside what test_holders_contract.py asks of all that is held."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from aioipc import ClosedError, Lock, ManagedSharedMemory, Once, TypeMismatchError
from tests.support.forked import forked, together
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
def once(segment: ManagedSharedMemory) -> Once:
    return Once(segment, "once")


class Task:
    """Enters as the task that runs."""

    def __init__(self, once: Once) -> None:
        self.once = once

    async def enter(self, failing: bool = False) -> bool:
        async with self.once as first:
            if failing:
                raise KeyError
            return first


class Thread(Task):
    """Enters in a thread."""

    async def enter(self, failing: bool = False) -> bool:
        return bool(await in_thread(self._enter, failing))

    def _enter(self, failing: bool) -> bool:
        with self.once.blocking as first:
            if failing:
                raise KeyError
            return first


@pytest.fixture(params=[Task, Thread])
def face(request: pytest.FixtureRequest, once: Once) -> Task:
    made: Task = request.param(once)
    return made


def test_one_is_first_and_all_others_come_after(run_async: RunAsync, once: Once, face: Task) -> None:
    outcomes: list[bool] = []

    async def enter(who: Task) -> None:
        outcomes.append(await who.enter())

    async def body() -> None:
        assert not once.done
        async with anyio.create_task_group() as group, once as first:
            assert first is True
            for who in (Task(once), Thread(once), face):
                group.start_soon(enter, who)
            await until(lambda: once.statistics().waiters == 3)
            assert outcomes == []
            assert not once.blocking.done
        assert outcomes == [False] * 3
        assert once.done
        assert once.blocking.done
        assert await face.enter() is False

    run_async(body)
    record = once.statistics()
    assert (record.locked, record.waiters, record.abandoned) == (False, 0, False)
    assert repr(once) == "<aioipc.Once 'once' [done]>"


@pytest.mark.parametrize("before", [0, 2])
def test_who_fails_leaves_it_to_the_next(run_async: RunAsync, once: Once, face: Task, before: int) -> None:
    async def body() -> None:
        for _ in range(before):
            with pytest.raises(KeyError):
                await face.enter(failing=True)
            assert not once.done
        assert await face.enter() is True
        assert await face.enter(failing=False) is False
        with pytest.raises(KeyError):  # fails after it was done: it stays so
            await face.enter(failing=True)
        assert once.done

    run_async(body)


def test_who_waits_takes_over_from_who_fails_or_is_cancelled(run_async: RunAsync, once: Once) -> None:
    outcomes: list[bool] = []

    async def enter() -> None:
        async with once as first:
            outcomes.append(first)
            if len(outcomes) == 1:
                raise KeyError

    async def failing() -> None:
        with pytest.raises(KeyError):
            await enter()

    async def body() -> None:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                async with once:
                    group.start_soon(failing)
                    await until(lambda: once.statistics().waiters == 1)
                    group.start_soon(enter)
                    await until(lambda: once.statistics().waiters == 2)
                    scope.cancel()
                    await anyio.sleep_forever()
        assert outcomes == [True, True]

    run_async(body)
    assert once.done


def test_it_is_done_for_every_handle_and_can_be_destroyed_and_done_again(
    once: Once, segment: ManagedSharedMemory, segment_name: str
) -> None:
    with once.blocking as first:
        assert first
    with ManagedSharedMemory.open(segment_name) as again:
        assert Once(again, "once").done
    assert segment.destroy(Once, "once")
    assert not once.done
    with pytest.raises(ClosedError), once.blocking:
        pytest.fail("entered")
    with Once(segment, "once").blocking as first:
        assert first
    with pytest.raises(TypeMismatchError):
        Lock(segment, "once")


def test_destroyed_while_it_is_being_done_it_is_not_done(once: Once, segment: ManagedSharedMemory) -> None:
    with once.blocking:
        assert segment.destroy_object(once)
        again = Once(segment, "once")
    assert not again.done
    with again.blocking as first:
        assert first


def test_of_many_processes_one_is_first(once: Once) -> None:
    assert sorted(together(4, enters, once)) == [False, False, False, True]
    assert once.done


def enters(_: Link, number: int, once: Once) -> bool:
    async def body() -> bool:
        async with once as first:
            return first

    if number % 2:
        return asyncio.run(body())
    with once.blocking as first:
        return first


def test_a_child_of_who_does_it_does_not_finish_it(once: Once) -> None:
    with once.blocking as first:
        assert first
        with forked(leaves_a_parents_block, once) as child:
            assert child.result() == [False, False]
    assert once.done


def leaves_a_parents_block(_: Link, once: Once) -> list[bool]:
    once.blocking.__exit__(None, None, None)
    return [once.done, once.statistics().mine]


def test_what_never_was_entered_is_not_awaited(once: Once) -> None:
    with pytest.warns(RuntimeWarning, match="never awaited"):
        once.__aenter__()
    assert not once.statistics().locked
