"""What a CapacityLimiter promises beside what test_holders_contract.py asks: anyio's behaviour."""

import asyncio
import math
import os
import pickle
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio

from aioipc import (
    CapacityLimiter,
    ClosedError,
    ManagedSharedMemory,
    NotOwnerError,
    OptionMismatchError,
    WouldBlock,
)
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
def limiter(segment: ManagedSharedMemory) -> CapacityLimiter:
    return CapacityLimiter(segment, "limiter", 2)


def idle(limiter: CapacityLimiter, tokens: float = 2) -> bool:
    record = limiter.statistics()
    return (record.borrowed_tokens, record.total_tokens, record.borrowers, record.tasks_waiting) == (
        0,
        tokens,
        (),
        0,
    )


def test_as_many_as_there_are_tokens_are_inside(run_async: RunAsync, limiter: CapacityLimiter) -> None:
    inside = most = 0

    async def worker() -> None:
        nonlocal inside, most
        async with limiter:
            inside += 1
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(worker)
        assert most == 2

    run_async(body)
    assert idle(limiter)


def test_a_borrower_holds_one_token(run_async: RunAsync, limiter: CapacityLimiter) -> None:
    async def body() -> None:
        async with limiter:
            for acquire in (limiter.acquire, limiter.__aenter__):
                with pytest.raises(RuntimeError, match="already holds"):
                    await acquire()
            with pytest.raises(RuntimeError, match="already holds"):
                limiter.acquire_nowait()
            assert limiter.borrowed_tokens == 1
        with pytest.raises(NotOwnerError, match="holds none"):
            limiter.release()

    run_async(body)
    assert idle(limiter)


@pytest.mark.parametrize("borrower", ["a name", ("a", 1), None, 0, False, math.nan], ids=repr)
def test_anything_hashable_borrows(run_async: RunAsync, limiter: CapacityLimiter, borrower: object) -> None:
    async def body() -> None:
        await limiter.acquire_on_behalf_of(borrower)
        assert limiter.statistics().borrowers == (borrower,)
        with pytest.raises(RuntimeError, match="already holds"):
            await limiter.acquire_on_behalf_of(borrower)
        with pytest.raises(RuntimeError, match="already holds"):
            limiter.blocking.acquire_on_behalf_of(borrower, timeout=0)
        limiter.release_on_behalf_of(borrower)
        limiter.acquire_on_behalf_of_nowait(borrower)
        limiter.blocking.release_on_behalf_of(borrower)
        with pytest.raises(NotOwnerError):
            limiter.release_on_behalf_of(borrower)
        assert limiter.blocking.acquire_on_behalf_of(borrower, timeout=0) is True
        limiter.release_on_behalf_of(borrower)

    run_async(body)
    assert idle(limiter)


def test_what_cannot_be_a_borrower_is_refused(run_async: RunAsync, limiter: CapacityLimiter) -> None:
    async def body() -> None:
        with pytest.raises(TypeError, match="unhashable"):
            await limiter.acquire_on_behalf_of([])
        with pytest.raises(TypeError, match="unhashable"):
            limiter.acquire_on_behalf_of_nowait([])

    run_async(body)
    assert idle(limiter)


class Moody:
    """A borrower that raises when it is asked for its hash the n-th time."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __hash__(self) -> int:
        self.left -= 1
        if self.left == 0:
            raise KeyError("in a bad mood")
        return 1


@pytest.mark.parametrize("acquire", ["acquire_on_behalf_of_nowait", "blocking"])
def test_a_borrower_that_raises_borrows_nothing(limiter: CapacityLimiter, acquire: str) -> None:
    nth, borrowed = 1, False
    while not borrowed:
        moody = Moody(nth)
        take = limiter.blocking.acquire_on_behalf_of if acquire == "blocking" else getattr(limiter, acquire)
        try:
            take(moody)
            borrowed = True
        except KeyError:
            assert idle(limiter), f"raised at hash {nth}"
        nth += 1
    assert nth > 2
    moody.left = 0
    limiter.release_on_behalf_of(moody)
    assert idle(limiter)


class Nested:
    """A borrower that lends itself a token while it is being lent one."""

    def __init__(self, limiter: CapacityLimiter, nth: int) -> None:
        self.limiter, self.left = limiter, nth

    def __hash__(self) -> int:
        self.left -= 1
        if self.left == 0:
            self.limiter.acquire_on_behalf_of_nowait(self)
        return 1


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_borrower_that_borrows_in_between_holds_one_token(limiter: CapacityLimiter, nth: int) -> None:
    nested = Nested(limiter, nth)
    with pytest.raises(RuntimeError, match="already holds"):
        limiter.acquire_on_behalf_of_nowait(nested)
    assert limiter.borrowed_tokens == 1
    nested.left = 0
    limiter.release_on_behalf_of(nested)
    assert idle(limiter)


def test_acquire_nowait_never_waits_and_does_not_overtake(
    run_async: RunAsync, limiter: CapacityLimiter
) -> None:
    async def body() -> None:
        limiter.acquire_on_behalf_of_nowait("a")
        limiter.acquire_on_behalf_of_nowait("b")
        with pytest.raises(WouldBlock):
            limiter.acquire_nowait()
        assert limiter.blocking.acquire(timeout=0) is False
        assert limiter.blocking.acquire(timeout=0.001) is False
        async with anyio.create_task_group() as group:
            group.start_soon(limiter.acquire_on_behalf_of, "c")
            await until(lambda: limiter.statistics().tasks_waiting == 1)
            limiter.release_on_behalf_of("a")
            with pytest.raises(WouldBlock):
                limiter.acquire_nowait()
        assert set(limiter.statistics().borrowers) == {"b", "c"}
        for borrower in "bc":
            limiter.release_on_behalf_of(borrower)

    run_async(body)
    assert idle(limiter)


def test_two_tasks_that_wait_for_one_borrower_get_one_token(
    run_async: RunAsync, limiter: CapacityLimiter
) -> None:
    outcomes: list[str] = []

    async def acquire() -> None:
        try:
            await limiter.acquire_on_behalf_of("x")
            outcomes.append("borrowed")
        except RuntimeError:
            outcomes.append("told")

    async def body() -> None:
        for borrower in "ab":
            limiter.acquire_on_behalf_of_nowait(borrower)
        async with anyio.create_task_group() as group:
            group.start_soon(acquire)
            group.start_soon(acquire)
            await until(lambda: limiter.statistics().tasks_waiting == 2)
            for borrower in "ab":
                limiter.release_on_behalf_of(borrower)
        assert sorted(outcomes) == ["borrowed", "told"]
        assert limiter.borrowed_tokens == 1
        limiter.release_on_behalf_of("x")

    run_async(body)
    assert idle(limiter)


def test_more_tokens_let_those_in_who_wait_and_fewer_leave_those_inside(
    run_async: RunAsync, limiter: CapacityLimiter
) -> None:
    async def body() -> None:
        for borrower in "ab":
            limiter.acquire_on_behalf_of_nowait(borrower)
        async with anyio.create_task_group() as group:
            for count, borrower in enumerate("cde", 1):
                group.start_soon(limiter.acquire_on_behalf_of, borrower)
                await until(lambda: limiter.statistics().tasks_waiting == count)  # noqa: B023
            limiter.total_tokens = 4
            await until(lambda: limiter.statistics().tasks_waiting == 1)
            assert set(limiter.statistics().borrowers) == set("abcd")
            limiter.total_tokens = 1
            assert (limiter.total_tokens, limiter.borrowed_tokens, limiter.available_tokens) == (1, 4, -3)
            for borrower in "abc":
                limiter.release_on_behalf_of(borrower)
                assert limiter.statistics().tasks_waiting == 1
            limiter.total_tokens = math.inf
        assert limiter.available_tokens == math.inf
        assert set(limiter.statistics().borrowers) == set("de")
        for borrower in "de":
            limiter.release_on_behalf_of(borrower)
        limiter.total_tokens = 2

    run_async(body)
    assert idle(limiter)


def test_without_tokens_everybody_waits(run_async: RunAsync, limiter: CapacityLimiter) -> None:
    async def body() -> None:
        limiter.total_tokens = 0
        async with anyio.create_task_group() as group:
            group.start_soon(limiter.acquire_on_behalf_of, "x")
            await until(lambda: limiter.statistics().tasks_waiting == 1)
            assert (limiter.total_tokens, limiter.available_tokens) == (0, 0)
            limiter.total_tokens = 2
        limiter.release_on_behalf_of("x")

    run_async(body)
    assert idle(limiter)


def test_the_threads_of_the_view_borrow_each_for_itself(limiter: CapacityLimiter) -> None:
    inside = threading.Barrier(2)

    def thread() -> None:
        with limiter.blocking:
            inside.wait()
            with pytest.raises(RuntimeError, match="already holds"):
                limiter.blocking.acquire()
            inside.wait()

    threads = [threading.Thread(target=thread) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with pytest.raises(NotOwnerError):
        limiter.blocking.release()
    assert idle(limiter)


@pytest.mark.asyncio
@pytest.mark.parametrize("waits", [False, True])
async def test_who_calls_acquire_borrows_whoever_awaits_that(limiter: CapacityLimiter, waits: bool) -> None:
    """asyncio.wait_for makes a task of it before Python 3.12, which could never give it back."""
    limiter.total_tokens = 1
    if waits:
        limiter.acquire_on_behalf_of_nowait("x")
        asyncio.get_running_loop().call_soon(limiter.release_on_behalf_of, "x")
    await asyncio.wait_for(limiter.acquire(), 5)
    assert limiter.statistics().borrowers == (asyncio.current_task(),)
    limiter.release()
    assert idle(limiter, 1)


def test_statistics_say_who_borrows_and_which_process(run_async: RunAsync, limiter: CapacityLimiter) -> None:
    async def body() -> None:
        async with limiter:
            task = trio.lowlevel.current_task() if trio.lowlevel.in_trio_run() else asyncio.current_task()
            record = limiter.statistics()
            assert record.borrowers == (task,)
            assert record.borrowed_by_process == {os.getpid(): 1}
            assert repr(limiter) == "<aioipc.CapacityLimiter 'limiter' [1/2 borrowed]>"

    run_async(body)
    assert idle(limiter)


def test_it_limits_anyios_worker_threads(run_async: RunAsync, limiter: CapacityLimiter) -> None:
    """As anyio's: a task borrows around what it gives to a thread."""
    inside = most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1

    async def worker() -> None:
        async with limiter:
            await in_thread(work)

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(worker)
        assert 1 <= most <= 2

    run_async(body)
    assert idle(limiter)


@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        (-1, ValueError),
        (1.5, TypeError),
        ("2", TypeError),
        (1 << 32, ValueError),
        (-math.inf, TypeError),
        (math.nan, TypeError),
    ],
)
def test_bad_numbers_of_tokens_are_refused(
    limiter: CapacityLimiter, segment: ManagedSharedMemory, tokens: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="total_tokens"):
        CapacityLimiter(segment, "another", tokens)
    assert segment.find(CapacityLimiter, "another") is None
    with pytest.raises(error, match="total_tokens"):
        limiter.total_tokens = tokens
    assert idle(limiter)


def test_options_that_disagree_are_refused(limiter: CapacityLimiter, segment: ManagedSharedMemory) -> None:
    assert CapacityLimiter(segment, "limiter") == CapacityLimiter(segment, "limiter", 2) == limiter
    for other in (3, math.inf):
        with pytest.raises(OptionMismatchError, match="2 tokens"):
            CapacityLimiter(segment, "limiter", other)
    limiter.total_tokens = math.inf
    assert CapacityLimiter(segment, "limiter", math.inf) == limiter
    with pytest.raises(TypeError, match="needs its number"):
        CapacityLimiter(segment, "new")
    with pytest.raises(TypeError, match="needs its number"):
        CapacityLimiter(segment)
    again = pickle.loads(pickle.dumps(limiter))
    assert again.total_tokens == math.inf


def test_a_destroyed_limiter_takes_back_what_was_borrowed(
    limiter: CapacityLimiter, segment: ManagedSharedMemory
) -> None:
    limiter.acquire_on_behalf_of_nowait("a")
    assert segment.destroy_object(limiter)
    with pytest.raises(ClosedError):
        limiter.acquire_on_behalf_of_nowait("b")
    with pytest.raises(ClosedError):
        limiter.blocking.acquire()
    with pytest.raises(ClosedError):
        limiter.total_tokens = 5
    limiter.release_on_behalf_of("a")
    with pytest.raises(NotOwnerError):
        limiter.release_on_behalf_of("a")


def test_a_child_does_not_own_what_its_parent_borrowed(limiter: CapacityLimiter) -> None:
    limiter.acquire_on_behalf_of_nowait("parent")
    with limiter.blocking, forked(borrows_nothing_yet, limiter) as child:
        assert child.result() is True
    limiter.release_on_behalf_of("parent")
    assert idle(limiter)


def borrows_nothing_yet(_: Link, limiter: CapacityLimiter) -> bool:
    for release in (limiter.blocking.release, lambda: limiter.release_on_behalf_of("parent")):
        with pytest.raises(NotOwnerError):
            release()
    record = limiter.statistics()
    assert (record.borrowers, record.borrowed_by_process) == ((), {os.getppid(): 2})
    return limiter.blocking.acquire(timeout=0) is False
