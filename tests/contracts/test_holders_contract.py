"""What everything that is held by one at a time promises: locks of all kinds, tokens, leadership, doing once.

One body for all kinds (tests/support/holders.py); what a kind has of its own stands in its own contract.
"""

import asyncio
import copy
import gc
import pickle
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing
import uvloop

from aioipc import ClosedError, ManagedSharedMemory, NotFoundError
from tests.support.holders import KINDS, THREE_LOOPS, Kind, idle, in_thread, until
from tests.support.sources import PACKAGE
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    segment = ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach")
    yield segment
    if not segment.closed:
        report = segment.check_sanity()
        assert report, report
    segment.close()


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


@pytest.fixture
def handle(kind: Kind, segment: ManagedSharedMemory) -> Any:
    return kind.make(segment)


async def waiting(kind: Kind, handle: Any, count: int) -> None:
    await until(lambda: kind.waiters(handle) == count)


def enter_and_leave(kind: Kind, handle: Any) -> None:
    """As a thread."""
    with kind.blocked(handle):
        pass


# ---------------------------------------------------------------------------------------------- service


def test_tasks_and_threads_are_served_one_at_a_time(run_async: RunAsync, kind: Kind, handle: Any) -> None:
    inside = 0
    entries = 0

    def entered(change: int) -> None:
        nonlocal inside, entries
        inside += change
        entries += change > 0
        assert inside in (0, 1)

    async def task() -> None:
        for _ in range(10):
            async with kind.entered(handle):
                entered(1)
                await anyio.lowlevel.checkpoint()
                entered(-1)

    def thread() -> None:
        for _ in range(10):
            with kind.blocked(handle):
                entered(1)
                entered(-1)

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(task)
                group.start_soon(in_thread, thread)

    run_async(body)
    assert entries == 40
    assert idle(kind, handle)


def test_the_tasks_of_a_loop_are_served_first_come_first_served(
    run_async: RunAsync, kind: Kind, handle: Any
) -> None:
    served: list[int] = []

    async def waiter(number: int) -> None:
        async with kind.entered(handle):
            served.append(number)

    async def body() -> None:
        async with anyio.create_task_group() as group, kind.entered(handle):
            for number in range(6):
                group.start_soon(waiter, number)
                await waiting(kind, handle, number + 1)
        assert served == list(range(6))

    run_async(body)
    assert idle(kind, handle)


def test_several_loops_and_threads_of_a_process_share_it(
    kind: Kind, handle: Any, segment: ManagedSharedMemory
) -> None:
    rounds = 25
    with memoryview(segment.allocate(8)).cast("Q") as counter:

        async def awaiting() -> None:
            for _ in range(rounds):
                async with kind.entered(handle):
                    seen = counter[0]
                    await anyio.lowlevel.checkpoint()
                    counter[0] = seen + 1

        def blocking() -> None:
            for _ in range(rounds):
                with kind.blocked(handle):
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
        assert counter[0] == rounds * len(calls)
    assert idle(kind, handle)


# ----------------------------------------------------------------------------------------- cancellation


async def enters_twice(kind: Kind, handle: Any) -> None:
    for _ in range(2):
        async with kind.entered(handle):
            await anyio.lowlevel.checkpoint()


def test_cancelled_at_any_suspension_it_leaves_nothing(run_async: RunAsync, kind: Kind, handle: Any) -> None:
    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        async with anyio.create_task_group() as group:
            async with kind.entered(handle):
                group.start_soon(enters_twice, kind, handle)
                await waiting(kind, handle, 1)
            with anyio.CancelScope() as scope:
                swept = Interrupter(enters_twice(kind, handle), nth, scope.cancel)
                await swept
        assert kind.free(handle), f"cancelled at suspension {nth}"
        assert kind.waiters(handle) == 0
        return swept.suspensions >= nth

    async def body() -> None:
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 3

    run_async(body)
    assert idle(kind, handle)


@pytest.mark.parametrize("yields", [0, 1, 2])
@pytest.mark.parametrize("cancel_first", [False, True])
def test_cancelled_in_the_instant_of_the_grant_it_goes_to_the_next(
    run_async: RunAsync, kind: Kind, handle: Any, yields: int, cancel_first: bool
) -> None:
    served: list[str] = []

    async def waiter(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with kind.entered(handle):
                served.append(name)

    async def body() -> None:
        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            async with kind.entered(handle):
                group.start_soon(waiter, "first", first)
                await waiting(kind, handle, 1)
                group.start_soon(waiter, "second", second)
                await waiting(kind, handle, 2)
                if cancel_first:
                    first.cancel()
                    for _ in range(yields):
                        await anyio.lowlevel.checkpoint()
            for _ in range(yields):
                await anyio.lowlevel.checkpoint()
            first.cancel()
        assert served[-1] == "second"

    run_async(body)
    assert idle(kind, handle)


@pytest.mark.asyncio
async def test_task_cancel_right_at_the_grant_passes_it_on(kind: Kind, handle: Any) -> None:
    async def waiter() -> None:
        async with kind.entered(handle):
            pytest.fail("was cancelled before")

    async with kind.entered(handle):
        cancelled = asyncio.create_task(waiter())
        await waiting(kind, handle, 1)
        served = asyncio.create_task(enters_twice(kind, handle))
        await waiting(kind, handle, 2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await served
    assert kind.waiters(handle) == 0
    assert kind.free(handle)


@pytest.mark.asyncio
async def test_time_limits_leave_nothing(kind: Kind, handle: Any) -> None:
    async def enter() -> None:
        async with kind.entered(handle):
            pytest.fail("it was held")

    async def other() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await enter()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(enter(), 0.001)
        with anyio.move_on_after(0.001) as scope:
            await enter()
        assert scope.cancelled_caught
        assert kind.waiters(handle) == 0

    async with kind.entered(handle):
        await asyncio.create_task(other())
    assert idle(kind, handle)


def test_trios_own_scopes_leave_nothing(kind: Kind, handle: Any) -> None:
    async def other() -> None:
        with trio.move_on_after(0.001) as scope:
            async with kind.entered(handle):
                pytest.fail("it was held")
        assert scope.cancelled_caught
        assert kind.waiters(handle) == 0

    async def body() -> None:
        async with trio.open_nursery() as nursery, kind.entered(handle):
            nursery.start_soon(other)
            await trio.testing.wait_all_tasks_blocked(0.002)

    trio.run(body)
    assert idle(kind, handle)


def test_under_trio_entering_is_a_checkpoint_and_cancelled_before_takes_nothing(
    kind: Kind, handle: Any
) -> None:
    async def body() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            async with kind.entered(handle):
                pytest.fail("was cancelled before")
        assert scope.cancelled_caught
        assert kind.free(handle)
        entering = kind.entered(handle)
        with trio.testing.assert_checkpoints():
            await entering.__aenter__()
        await entering.__aexit__(None, None, None)

    trio.run(body)
    assert idle(kind, handle)


@pytest.mark.asyncio
async def test_under_asyncio_what_is_free_is_entered_without_suspending(kind: Kind, handle: Any) -> None:
    ran = False

    def note() -> None:
        nonlocal ran
        ran = True

    asyncio.get_running_loop().call_soon(note)
    for _ in range(3):
        async with kind.entered(handle):
            pass
    assert not ran


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="eager tasks came with Python 3.12")
def test_eager_tasks_hold_and_wait_as_others(kind: Kind, handle: Any) -> None:
    async def body() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        tasks = [asyncio.create_task(enters_twice(kind, handle)) for _ in range(3)]
        assert kind.waiters(handle) == 2
        await asyncio.gather(*tasks)

    asyncio.run(body())
    assert idle(kind, handle)


# --------------------------------------------------------------------------------- the ends of everything


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_loop_that_is_closed_with_waiters_pending_withdraws_them(
    kind: Kind, handle: Any, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    loop = make_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
    with kind.blocked(handle):
        task = loop.create_task(enters_twice(kind, handle))
        while not kind.waiters(handle):
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()
        del task, loop
    gc.collect()
    assert kind.waiters(handle) == 0
    assert idle(kind, handle)


def test_a_loop_that_shuts_down_cancels_those_who_wait(kind: Kind, handle: Any) -> None:
    async def body() -> None:
        waiter = asyncio.create_task(enters_twice(kind, handle))
        await waiting(kind, handle, 1)
        assert not waiter.done()

    with kind.blocked(handle):
        asyncio.run(body())
        assert kind.waiters(handle) == 0
    assert idle(kind, handle)


@pytest.mark.parametrize("end", ["destroy", "close"])
def test_destroying_it_or_closing_the_segment_ends_all_waiting(
    run_async: RunAsync, kind: Kind, handle: Any, segment: ManagedSharedMemory, end: str
) -> None:
    ended: list[str] = []

    async def waiter() -> None:
        with pytest.raises(ClosedError):
            async with kind.entered(handle):
                pytest.fail("it was held")
        ended.append("task")

    def thread() -> None:
        with pytest.raises(ClosedError), kind.blocked(handle):
            pytest.fail("it was held")
        ended.append("thread")

    async def body() -> None:
        holding = kind.entered(handle)
        await holding.__aenter__()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            group.start_soon(waiter)
            group.start_soon(in_thread, thread)
            await waiting(kind, handle, 3)
            if end == "destroy":
                assert segment.destroy_object(handle)
            else:
                segment.close()
        assert sorted(ended) == ["task", "task", "thread"]
        with suppress(ClosedError):  # the segment's
            await holding.__aexit__(None, None, None)
        await waiter()
        thread()

    run_async(body)
    if end == "destroy":
        assert "[destroyed]" in repr(handle)
        assert idle(kind, kind.make(segment))
    else:
        assert "[closed]" in repr(handle)


def test_closing_one_segment_handle_leaves_those_who_wait_through_another(
    run_async: RunAsync, kind: Kind, handle: Any, segment: ManagedSharedMemory
) -> None:
    ended: list[str] = []

    async def told(other: Any) -> None:
        with pytest.raises(ClosedError):
            async with kind.entered(other):
                pytest.fail("it was held")
        ended.append("told")

    async def served() -> None:
        async with kind.entered(handle):
            ended.append("served")

    async def body() -> None:
        with ManagedSharedMemory.open(segment.name) as again:
            async with anyio.create_task_group() as group, kind.entered(handle):
                group.start_soon(told, kind.make(again))
                await waiting(kind, handle, 1)
                group.start_soon(served)
                await waiting(kind, handle, 2)
                again.close()
                await waiting(kind, handle, 1)
        assert ended == ["told", "served"]

    run_async(body)
    assert idle(kind, handle)


def test_a_keyboard_interrupt_ends_a_blocked_wait_and_leaves_nothing(kind: Kind, handle: Any) -> None:
    held, done = threading.Event(), threading.Event()

    def holder() -> None:
        with kind.blocked(handle):
            held.set()
            done.wait()

    def interrupter() -> None:
        while not kind.waiters(handle):
            pass
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threads = [threading.Thread(target=holder), threading.Thread(target=interrupter)]
    threads[0].start()
    held.wait()
    threads[1].start()
    with pytest.raises(KeyboardInterrupt), kind.blocked(handle):
        pytest.fail("it was held")
    assert kind.waiters(handle) == 0
    done.set()
    for thread in threads:
        thread.join()
    assert idle(kind, handle)


class RaisedError(Exception):
    """What a signal handler raises."""


@contextmanager
def at_line(nth: int, act: Callable[[], object], part: str = "") -> Iterator[Callable[[], bool]]:
    """Acts when Python comes to the n-th line of the package, or of a part of it; gives whether it did."""
    folder = str(PACKAGE / part)
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(folder):
            return None
        if event == "line":
            lines += 1
            if lines == nth:
                act()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: lines >= nth
    finally:
        sys.settrace(before)


def fail() -> None:
    raise RaisedError


def test_what_is_raised_at_any_line_of_a_thread_leaves_nothing(kind: Kind, handle: Any) -> None:
    nth = 1
    reached: Callable[[], bool] = lambda: True  # noqa: E731
    while reached():
        with at_line(nth, fail) as reached, suppress(RaisedError), kind.blocked(handle):
            pass
        assert kind.free(handle), f"raised at line {nth}"
        nth += 1
    assert idle(kind, handle)


@pytest.mark.parametrize("name", ["rlock", "upgradable", "limiter"])
def test_ctrl_c_at_any_line_under_trio_leaves_nothing(segment: ManagedSharedMemory, name: str) -> None:
    kind = KINDS[name]
    handle = kind.make(segment)

    async def enter() -> None:
        async with kind.entered(handle):
            pass

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            async with kind.entered(handle):
                nursery.start_soon(enter)
                await trio.testing.wait_all_tasks_blocked()
            await enter()

    nth = 1
    reached: Callable[[], bool] = lambda: True  # noqa: E731
    while reached():
        with suppress(KeyboardInterrupt, BaseExceptionGroup), at_line(nth, interrupt, "_waiting") as reached:
            trio.run(body)
        assert (kind.free(handle), kind.waiters(handle)) == (True, 0), f"interrupted at line {nth}"
        nth += 1
    assert nth > 20
    assert idle(kind, handle)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


# --------------------------------------------------------------------------------------------- handles


def test_a_pickle_and_a_copy_are_the_same_object(kind: Kind, handle: Any) -> None:
    again = pickle.loads(pickle.dumps(handle))
    assert again == handle
    assert copy.copy(handle) == handle
    with kind.blocked(again):
        assert not kind.free(handle)
    assert idle(kind, handle)


def test_a_pickle_of_a_destroyed_object_finds_nothing(
    kind: Kind, handle: Any, segment: ManagedSharedMemory
) -> None:
    pickled = pickle.dumps(handle)
    assert segment.destroy_object(handle)
    assert not segment.destroy(type(handle), "o")
    assert segment.find(type(handle), "o") is None
    again = kind.make(segment)
    assert again != handle
    with pytest.raises(NotFoundError):
        pickle.loads(pickled)
    assert idle(kind, again)


def test_a_handle_that_was_found_is_the_same_object(
    kind: Kind, handle: Any, segment: ManagedSharedMemory
) -> None:
    found: Any = segment.find(type(handle), "o")
    assert found == handle
    with kind.blocked(handle):
        assert not kind.free(found)
    with ManagedSharedMemory.open(segment.name) as again:
        other = kind.make(again)
        with kind.blocked(other):
            assert not kind.free(handle)
    assert idle(kind, handle)


def test_with_without_async_says_what_to_use(kind: Kind, handle: Any) -> None:
    with pytest.raises(TypeError, match="blocking"), handle:
        pytest.fail("entered")
    assert idle(kind, handle)


def test_its_views_describe_themselves(kind: Kind, handle: Any) -> None:
    with kind.blocked(handle):
        assert f"aioipc.{type(handle).__name__} 'o' [" in repr(handle)
        assert repr(handle.blocking) == f"<blocking view of {handle!r}>"
