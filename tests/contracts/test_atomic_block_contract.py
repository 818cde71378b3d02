"""What `segment.atomic()` promises: awaited under each event loop, blocking in threads, with either index."""

import asyncio
import os
import pickle
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from aioipc import (
    AlreadyExistsError,
    ClosedError,
    Lock,
    ManagedHeapMemory,
    ManagedSegment,
    ManagedSharedMemory,
    NotFoundError,
    NotOwnerError,
    SharedDict,
    WouldBlock,
)
from tests.support.blocks import Awaited, Blocking, Enough, elsewhere, enough, names
from tests.support.faces import in_thread, until

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=[Awaited, Blocking])
def face(request: pytest.FixtureRequest) -> Awaited | Blocking:
    made: Awaited | Blocking = request.param()
    return made


@pytest.fixture(params=["hash", "ordered"])
def segment(request: pytest.FixtureRequest, segment_name: str) -> Iterator[ManagedSharedMemory]:
    """Sound, without waiters, and with no block open, when the test is over."""
    made = ManagedSharedMemory.create(segment_name, 1 << 20, index=request.param, lifetime="last_detach")
    yield made
    if not made.closed:
        report = made.check_sanity()
        assert report, report
        assert report.counts["nodes_waiting"] == 0
        assert not made.atomic().statistics().open
    made.close()


# ------------------------------------------------------------------------------------------ all or nothing


def test_others_see_it_when_it_has_ended(run_async: RunAsync, segment: ManagedSegment, face: Awaited) -> None:
    Lock(segment, "old")
    SharedDict(segment, "replaced")["is"] = "old"

    def work() -> None:
        new = Lock(segment, "new")
        with new.blocking:  # its maker uses it
            assert segment.destroy(Lock, "old")
        assert segment.destroy(SharedDict, "replaced")
        SharedDict(segment, "replaced")["is"] = "new"
        assert names(segment) == ["new", "replaced"]
        assert segment.find(Lock, "old") is None
        assert not segment.destroy(Lock, "old")
        assert segment.find(Lock, "new") == new
        assert elsewhere(lambda: names(segment)) == ["old", "replaced"]
        assert elsewhere(lambda: segment.find(SharedDict, "replaced")["is"]) == "old"  # type: ignore[index]
        assert elsewhere(lambda: segment.find(Lock, "new")) is None
        assert elsewhere(lambda: segment.num_named_objects) == segment.num_named_objects == 2
        assert segment.check_sanity()

    async def body() -> None:
        await face.inside(segment, work)
        assert names(segment) == ["new", "replaced"]
        assert segment.find(SharedDict, "replaced")["is"] == "new"  # type: ignore[index]

    run_async(body)


def test_a_block_that_raises_has_done_nothing(
    run_async: RunAsync, segment: ManagedSegment, face: Awaited
) -> None:
    Lock(segment, "old")
    kept: list[Lock] = []

    def work() -> None:
        kept.extend([Lock(segment, "new"), Lock(segment)])
        segment.destroy(Lock, "old")
        Lock(segment, "old")
        raise KeyError("enough")

    async def body() -> None:
        free = segment.free_memory
        with pytest.raises(KeyError, match="enough"):
            await face.inside(segment, work)
        assert names(segment) == ["old"]
        for lock in kept:
            with pytest.raises(ClosedError):
                lock.acquire_nowait()
        del lock
        kept.clear()
        assert segment.free_memory == free

    run_async(body)


@pytest.mark.parametrize("change", ["construct", "find_or_construct", "destroy", "destroy by handle"])
def test_what_a_block_touched_others_may_not_change(
    run_async: RunAsync, segment: ManagedSegment, face: Awaited, change: str
) -> None:
    old = Lock(segment, "old")

    def work() -> Any:
        segment.destroy(Lock, "old")
        new = Lock(segment, "new")
        assert elsewhere(lambda: segment.construct(Lock, "old")) is AlreadyExistsError
        assert elsewhere(lambda: segment.destroy(Lock, "new")) is False  # there is none, for others
        assert elsewhere(lambda: segment.destroy_object(new)) is WouldBlock
        return elsewhere(
            {
                "construct": lambda: segment.construct(Lock, "new"),
                "find_or_construct": lambda: Lock(segment, "new"),
                "destroy": lambda: segment.destroy(Lock, "old"),
                "destroy by handle": lambda: segment.destroy_object(old),
            }[change]
        )

    async def body() -> None:
        assert await face.inside(segment, work) is WouldBlock
        assert names(segment) == ["new"]
        assert segment.destroy(Lock, "new")
        Lock(segment, "old")

    run_async(body)


def test_what_others_do_is_seen_inside_at_once(
    run_async: RunAsync, segment: ManagedSegment, face: Awaited
) -> None:
    Lock(segment, "goes")

    def work() -> None:
        assert elsewhere(lambda: Lock(segment, "comes").name) == "comes"
        assert elsewhere(lambda: segment.destroy(Lock, "goes"))
        assert names(segment) == ["comes"]
        with pytest.raises(AlreadyExistsError):
            segment.construct(Lock, "comes")

    async def body() -> None:
        await face.inside(segment, work)
        assert names(segment) == ["comes"]

    run_async(body)


def test_a_pickle_made_inside_is_good_when_the_block_has_ended(segment: ManagedSegment) -> None:
    with segment.atomic():
        carried = pickle.dumps(Lock(segment, "new"))
        assert elsewhere(lambda: pickle.loads(carried)) is NotFoundError
        assert pickle.loads(carried).name == "new"
    assert pickle.loads(carried).name == "new"


# ------------------------------------------------------------------------------------------ blocks inside


def test_a_block_inside_joins(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        async with segment.atomic():
            Lock(segment, "outer")
            async with segment.atomic():
                Lock(segment, "inner")
            with segment.atomic_nowait():
                Lock(segment, "innermost")
            assert elsewhere(lambda: names(segment)) == []
        assert names(segment) == ["inner", "innermost", "outer"]

    run_async(body)


def test_a_block_inside_that_raises_is_taken_back_alone(run_async: RunAsync, segment: ManagedSegment) -> None:
    Lock(segment, "old")

    async def body() -> None:
        async with segment.atomic():
            outer = Lock(segment, "outer")
            with enough():
                async with segment.atomic():
                    inner = Lock(segment, "inner")
                    segment.destroy(Lock, "old")
                    segment.destroy(Lock, "outer")
                    Lock(segment, "outer")
                    with pytest.raises(ClosedError):
                        outer.acquire_nowait()
                    with segment.atomic():
                        Lock(segment, "innermost")
                    raise Enough
            assert names(segment) == ["old", "outer"]
            outer.acquire_nowait()
            outer.release()
            with pytest.raises(ClosedError):
                inner.acquire_nowait()
            segment.destroy(Lock, "old")
        assert segment.find(Lock, "outer") == outer
        assert names(segment) == ["outer"]

    run_async(body)


def test_one_handle_may_be_entered_again_and_again(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        block = segment.atomic()
        for turn in range(3):
            async with block:
                with block:
                    Lock(segment, f"{turn}")
        assert names(segment) == ["0", "1", "2"]

    run_async(body)


# ------------------------------------------------------------------------------------------ tasks and threads


def test_a_block_is_its_tasks_own(run_async: RunAsync, segment: ManagedSegment) -> None:
    """Tasks that run meanwhile, also those that it started, are others."""

    async def body() -> None:
        seen: list[Any] = []

        async def other() -> None:
            seen.append(names(segment))
            Lock(segment, "of the other")
            with pytest.raises(WouldBlock):
                Lock(segment, "new")

        async with segment.atomic():
            Lock(segment, "new")
            async with anyio.create_task_group() as group:
                group.start_soon(other)
            assert names(segment) == ["new", "of the other"]
            raise_at_end = segment.atomic().statistics()
        assert (raise_at_end.open, raise_at_end.mine, raise_at_end.owner_pid) == (True, True, os.getpid())
        assert seen == [[]]
        assert names(segment) == ["new", "of the other"]

    run_async(body)


def test_tasks_enter_first_come_first_served(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        order: list[int] = []

        async def one(number: int) -> None:
            async with segment.atomic():
                order.append(number)
                await anyio.lowlevel.checkpoint()
                assert order[-1] == number

        async with anyio.create_task_group() as group, segment.atomic():
            for number in range(6):
                group.start_soon(one, number)
                await until(lambda waiting=number: segment.atomic().statistics().waiters == waiting + 1)
        assert order == list(range(6))
        assert segment.atomic().statistics().contended == 6

    run_async(body)


def test_threads_and_tasks_wait_for_each_other(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        inside, leave, order = threading.Event(), threading.Event(), []

        def thread() -> None:
            with segment.atomic():
                inside.set()
                leave.wait()
                order.append("thread")

        async def task() -> None:
            async with segment.atomic():
                order.append("task")

        async with anyio.create_task_group() as group:
            group.start_soon(in_thread, thread)
            await until(inside.is_set)
            group.start_soon(task)
            await until(lambda: segment.atomic().statistics().waiters == 1)
            leave.set()
        assert order == ["thread", "task"]

    run_async(body)


def test_a_thread_does_not_wait_for_its_own_tasks(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        async def other() -> None:
            with pytest.raises(WouldBlock, match="this thread, or another task of it"), segment.atomic():
                pass

        async with segment.atomic(), anyio.create_task_group() as group:
            group.start_soon(other)

    run_async(body)


def test_a_loop_inside_of_a_block_does_not_wait_for_it(segment: ManagedSegment) -> None:
    async def body() -> None:
        assert names(segment) == []  # the block is the thread's, not this task's
        with pytest.raises(WouldBlock, match="this thread"):
            async with segment.atomic():
                pass

    with segment.atomic():
        Lock(segment, "new")
        asyncio.run(body())


def test_a_pointer_leads_where_who_follows_it_may_go(segment: ManagedSegment) -> None:
    from aioipc import OffsetPtr, Struct

    class Box(Struct):
        inside: OffsetPtr[Lock]

    box = Box(segment, "box")
    with segment.atomic():
        box.inside = Lock(segment)
        assert isinstance(box.inside.get(), Lock)
        assert elsewhere(box.inside.get) is NotFoundError
    assert isinstance(elsewhere(box.inside.get), Lock)


def test_nowait_refuses_to_wait(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        def thread() -> None:
            with pytest.raises(WouldBlock, match="another atomic block is open"), segment.atomic_nowait():
                pass

        async with segment.atomic_nowait():
            await in_thread(thread)
            Lock(segment, "new")
        with segment.atomic_nowait():
            segment.destroy(Lock, "new")
        assert names(segment) == []

    run_async(body)


def test_only_who_is_in_it_can_leave_it(run_async: RunAsync, segment: ManagedSegment) -> None:
    async def body() -> None:
        block = segment.atomic()
        async with block:
            assert elsewhere(lambda: block.__exit__(None, None, None)) is NotOwnerError
            assert elsewhere(lambda: block.__exit__(KeyError, KeyError(), None)) is None  # that says more
            Lock(segment, "new")
            assert elsewhere(lambda: names(segment)) == []
        with pytest.raises(NotOwnerError):
            block.__exit__(None, None, None)

    run_async(body)


# ------------------------------------------------------------------------------------------ the rest


def test_a_free_block_does_not_suspend_under_asyncio(segment: ManagedSegment) -> None:
    async def body() -> None:
        others: list[int] = []
        task = asyncio.create_task(asyncio.sleep(0, others.append(1)))
        async with segment.atomic():
            assert not others or not task.done()
        assert not task.done()
        await task

    asyncio.run(body())


def test_a_private_segment_has_blocks_too() -> None:
    with ManagedHeapMemory.create(1 << 16) as segment:
        with enough(), segment.atomic():
            Lock(segment, "new")
            assert elsewhere(lambda: segment.find(Lock, "new")) is None
            raise Enough
        assert names(segment) == []


def test_statistics_and_repr_say_who_is_inside(segment: ManagedSegment) -> None:
    def look() -> tuple[Any, ...]:
        record = segment.atomic().statistics()
        return (record.open, record.mine, record.owner_pid, record.waiters)

    assert look() == (False, False, None, 0)
    with segment.atomic() as nothing:
        assert nothing is None
        assert look() == (True, True, os.getpid(), 0)
        assert elsewhere(look) == (True, False, os.getpid(), 0)
        assert repr(segment.atomic()).endswith(f"[open in {os.getpid()}]>")
        owner = segment.atomic().statistics().owner_task
        assert owner is not None
        assert owner.startswith("thread ")
    assert repr(segment.atomic()).endswith("[not open]>")


def test_a_thousand_changes_are_one(segment: ManagedSegment) -> None:
    with segment.atomic():
        for number in range(1000):
            Lock(segment, f"n{number:03}")
        assert elsewhere(lambda: segment.num_named_objects) == 0
    assert segment.num_named_objects == 1000
    with enough(), segment.atomic():
        for number in range(1000):
            segment.destroy(Lock, f"n{number:03}")
        assert segment.num_named_objects == 0
        raise Enough
    assert segment.num_named_objects == 1000
