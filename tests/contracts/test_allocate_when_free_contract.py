"""What waiting for memory promises: awaited under each event loop, and blocking in threads."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from anyio import to_thread

from aioipc import (
    Block,
    ClosedError,
    Lock,
    ManagedHeapMemory,
    ManagedSegment,
    ManagedSharedMemory,
    Queue,
    ReadOnlyError,
    SegmentFullError,
    SharedDict,
)
from tests.support.faces import FACES, THREE_LOOPS, Awaited, Face, together, turns, until
from tests.support.sweeping import Interrupter

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
MakeFace = Callable[[ManagedSegment], Face]
BIG, SMALL = 100_008, 1_000  # as the heap rounds them


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        assert segment.closed or segment.waiting_for_memory == 0
        assert segment.closed or segment.check_sanity()


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=FACES)
def face_of(request: pytest.FixtureRequest) -> MakeFace:
    made: MakeFace = request.param
    return made


def fill(segment: ManagedSegment, *sizes: int) -> list[Block]:
    """Blocks of these sizes, each followed by one that stays; nothing else is free then."""
    wanted = []
    for size in sizes:
        wanted.append(segment.allocate(size))
        segment.allocate(16)
    while segment.largest_free_block:
        segment.allocate(segment.largest_free_block)
    return wanted


async def waiting(segment: ManagedSegment, count: int) -> None:
    """Returns when so many stand in line."""
    await until(lambda: segment.waiting_for_memory == count)


def test_where_there_is_room_nobody_waits(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        block = await face_of(segment)("allocate_when_free", SMALL)
        assert (type(block), block.size, block.segment) == (Block, SMALL, segment)
        assert bytes(block) == bytes(SMALL)
        segment.deallocate(block)
        assert (await face_of(segment)("allocate_when_free", 0)).size == 0

    run_async(body)


def test_under_asyncio_it_does_not_suspend_then(segment: ManagedSharedMemory) -> None:
    operation = segment.allocate_when_free(SMALL)
    with pytest.raises(StopIteration) as ended:
        operation.send(None)
    assert ended.value.value.size == SMALL


def test_who_waits_is_given_what_somebody_frees(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        (block,) = fill(segment, BIG)
        memoryview(block)[:] = b"x" * BIG
        served: list[Block] = []

        async def waiter() -> None:
            served.append(await face_of(segment)("allocate_when_free", BIG))

        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await waiting(segment, 1)
            segment.deallocate(block)
        assert served[0].handle == block.handle
        assert bytes(served[0]) == bytes(BIG)

    run_async(body)


def test_alignment_is_kept(run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory) -> None:
    async def body() -> None:
        (block,) = fill(segment, BIG)
        async with anyio.create_task_group() as group:

            async def waiter() -> None:
                if face_of is Awaited:
                    found = await segment.allocate_when_free(SMALL, alignment=4096)
                else:
                    found = await to_thread.run_sync(
                        lambda: segment.blocking.allocate_when_free(SMALL, alignment=4096)
                    )
                assert found.handle % 4096 == 0

            group.start_soon(waiter)
            await waiting(segment, 1)
            segment.deallocate(block)

    run_async(body)


def test_first_come_first_served_whatever_their_sizes(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        blocks = fill(segment, *[SMALL] * 3, BIG)
        served: list[int] = []

        async def waiter(size: int) -> None:
            await face_of(segment)("allocate_when_free", size)
            served.append(size)

        async with anyio.create_task_group() as group:
            for number, size in enumerate((BIG, SMALL, SMALL - 8), 1):
                group.start_soon(waiter, size)
                await waiting(segment, number)
            for block in blocks[:3]:
                segment.deallocate(block)
            await turns(5)
            assert (served, segment.waiting_for_memory) == ([], 3)
            small = segment.allocate(SMALL)  # who does not wait may take it
            segment.deallocate(small)
            with pytest.raises(SegmentFullError):
                segment.blocking.allocate_when_free(SMALL, timeout=0)
            segment.deallocate(blocks[3])
        assert sorted(served) == [SMALL - 8, SMALL, BIG]

    run_async(body)


def test_tasks_of_one_loop_are_served_in_order_by_one_free(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        (block,) = fill(segment, BIG)
        served: list[int] = []

        async def waiter(number: int) -> None:
            await segment.allocate_when_free(BIG // 10)
            served.append(number)

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(waiter, number)
                await waiting(segment, number + 1)
            segment.deallocate(block)
        assert served == list(range(8))

    run_async(body)


def _free_a_dict_entry(segment: ManagedSegment) -> Callable[[], object]:
    shared = SharedDict(segment, "dict")
    shared["k"] = bytes(BIG)
    return lambda: shared.clear()


def _free_a_message(segment: ManagedSegment) -> Callable[[], object]:
    queue = Queue(segment, "queue")
    queue.put_nowait(bytes(BIG))
    return lambda: queue.get_nowait()


def _destroy_an_object(segment: ManagedSegment) -> Callable[[], object]:
    queue = Queue(segment, "queue")
    queue.put_nowait(bytes(BIG))
    return lambda: segment.destroy(Queue, "queue")


@pytest.mark.parametrize("keeper", [_free_a_dict_entry, _free_a_message, _destroy_an_object])
def test_whatever_frees_memory_ends_the_wait(
    run_async: RunAsync,
    face_of: MakeFace,
    segment: ManagedSharedMemory,
    keeper: Callable[[ManagedSegment], Callable[[], object]],
) -> None:
    async def body() -> None:
        free = keeper(segment)
        fill(segment)
        async with anyio.create_task_group() as group:
            group.start_soon(face_of(segment), "allocate_when_free", BIG - 1000)
            await waiting(segment, 1)
            free()

    run_async(body)


def test_a_cancelled_waiter_is_skipped(run_async: RunAsync, segment: ManagedSharedMemory) -> None:
    async def body() -> None:
        blocks = fill(segment, SMALL, BIG)
        served: list[str] = []

        async def waiter(name: str, size: int, scope: anyio.CancelScope) -> None:
            with scope:
                await segment.allocate_when_free(size)
                served.append(name)

        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, "first", BIG, first)
            await waiting(segment, 1)
            group.start_soon(waiter, "second", SMALL, second)
            await waiting(segment, 2)
            segment.deallocate(blocks[0])  # enough for the second one only
            await turns(3)
            assert served == []
            first.cancel()
        assert served == ["second"]

    run_async(body)


@pytest.mark.parametrize("order", ["free first", "cancel first"])
@pytest.mark.parametrize("between", [0, 1, 2, 3])
def test_cancelled_in_the_instant_of_the_wake_up_the_next_is_served(
    run_async: RunAsync, segment: ManagedSharedMemory, order: str, between: int
) -> None:
    async def body() -> None:
        (block,) = fill(segment, BIG)
        served: list[str] = []
        taken: list[Block] = []

        async def waiter(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                taken.append(await segment.allocate_when_free(BIG))
                served.append(name)

        first, second = anyio.CancelScope(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter, "first", first)
            await waiting(segment, 1)
            group.start_soon(waiter, "second", second)
            await waiting(segment, 2)
            events: list[Callable[[], object]] = [lambda: segment.deallocate(block), first.cancel]
            if order == "cancel first":
                events.reverse()
            events[0]()
            await turns(between)
            events[1]()
            await until(lambda: len(served) == 1)
            if served == ["first"]:
                segment.deallocate(taken[0])
        assert served in (["second"], ["first", "second"])
        assert segment.waiting_for_memory == 0

    run_async(body)


def test_a_cancellation_at_any_suspension_leaves_nothing(
    run_async: RunAsync, segment: ManagedSharedMemory
) -> None:
    async def use() -> None:
        for _ in range(3):
            block = await segment.allocate_when_free(BIG)
            try:
                await anyio.lowlevel.checkpoint()
            finally:
                segment.deallocate(block)

    async def cancelled_at(nth: int) -> bool:
        """Whether there was an n-th suspension."""
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(use)
            with anyio.CancelScope() as scope:
                swept = Interrupter(use(), nth, scope.cancel)
                await swept
        assert segment.waiting_for_memory == 0
        assert segment.largest_free_block == BIG, f"cancelled at suspension {nth}"
        return swept.suspensions >= nth

    async def body() -> None:
        (block,) = fill(segment, BIG)
        segment.deallocate(block)
        nth = 1
        while await cancelled_at(nth):
            nth += 1
        assert nth > 3

    run_async(body)


@pytest.mark.asyncio
async def test_create_task_and_wait_for_take_it(segment: ManagedSharedMemory) -> None:
    (block,) = fill(segment, BIG)
    task = asyncio.create_task(segment.allocate_when_free(BIG))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(segment.allocate_when_free(BIG), 0.01)
    segment.deallocate(block)
    assert (await task).handle == block.handle
    await task
    operation = segment.allocate_when_free(16)
    operation.close()
    with pytest.raises(RuntimeError, match="already awaited"):
        await operation


def test_more_than_there_could_ever_be_is_refused_at_once(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, max_size=8 << 20, participants=8) as segment:
        fill(segment)
        for size, alignment in ((8 << 20, None), (1 << 62, None), (7 << 20, 4 << 20), (1, 1 << 40)):
            with pytest.raises(SegmentFullError, match="as there can be"):
                segment.allocate_when_free(size, alignment=alignment)
            with pytest.raises(SegmentFullError) as full:
                segment.blocking.allocate_when_free(size, alignment=alignment)
            assert full.value.asked == size
        with pytest.raises(SegmentFullError, match=r"waiting 0\.01 s"):  # it might grow
            segment.blocking.allocate_when_free(7 << 20, timeout=0.01)
        ManagedSharedMemory.remove(segment_name)


def test_what_an_empty_segment_has_is_not_refused(run_async: RunAsync) -> None:
    async def body() -> None:
        with ManagedHeapMemory.create(1 << 20) as segment:
            most = segment.largest_free_block
            segment.deallocate(await segment.allocate_when_free(most))
            with pytest.raises(SegmentFullError):
                segment.allocate_when_free(most + 16)

    run_async(body)


@pytest.mark.parametrize("wrong", [-1, 1 << 63])
def test_what_is_no_size_or_alignment_is_refused(segment: ManagedSharedMemory, wrong: int) -> None:
    for face in (segment, segment.blocking):
        with pytest.raises(ValueError, match="number of bytes"):
            face.allocate_when_free(wrong)
        for alignment in (0, 3, 48):
            with pytest.raises(ValueError, match="power of two"):
                face.allocate_when_free(16, alignment=alignment)
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            segment.blocking.allocate_when_free(16, timeout)
    with pytest.raises(TypeError):
        segment.allocate_when_free("16")  # type: ignore[arg-type]


def test_a_timeout_says_how_much_there_is(segment: ManagedSharedMemory) -> None:
    fill(segment)
    for timeout in (0, 0.01):
        with pytest.raises(SegmentFullError, match=f"waiting {timeout} s") as full:
            segment.blocking.allocate_when_free(BIG, timeout)
        assert (full.value.asked, full.value.free, full.value.largest) == (BIG, 0, 0)
    assert segment.waiting_for_memory == 0


def test_closing_the_segment_ends_all_waiting(
    run_async: RunAsync, face_of: MakeFace, segment: ManagedSharedMemory
) -> None:
    async def body() -> None:
        fill(segment)

        async def waiter() -> None:
            with pytest.raises(ClosedError):
                await face_of(segment)("allocate_when_free", BIG)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter)
            await waiting(segment, 3)
            segment.close()
        with pytest.raises(ClosedError):
            segment.allocate_when_free(16)
        with pytest.raises(ClosedError):
            segment.blocking.allocate_when_free(16)

    run_async(body)


def test_closed_by_another_thread_while_it_is_filled_with_zeros(segment: ManagedSharedMemory) -> None:
    """Then nobody has the block, and the segment keeps none."""
    again = ManagedSharedMemory.open(segment.name)
    (block,) = fill(segment, BIG * 5)
    segment.deallocate(block)
    free = segment.free_memory
    operation = again.allocate_when_free(BIG * 5)
    closer = threading.Thread(target=again.close)
    closer.start()
    try:
        operation.send(None)
    except ClosedError:
        assert segment.free_memory == free
    except StopIteration as ended:
        assert segment.free_memory < free
        segment.deallocate(segment.block(ended.value.handle))
    finally:
        operation.close()
        closer.join()


def test_a_segment_opened_for_reading_refuses(segment: ManagedSharedMemory) -> None:
    with ManagedSharedMemory.open_read_only(segment.name) as reader:
        with pytest.raises(ReadOnlyError):
            reader.allocate_when_free(16)
        with pytest.raises(ReadOnlyError):
            reader.blocking.allocate_when_free(16)


def test_loops_of_all_kinds_and_threads_share_a_few_blocks(segment: ManagedSharedMemory) -> None:
    for block in fill(segment, BIG, BIG):
        segment.deallocate(block)
    inside = Lock(segment)
    served = 0

    def use(block: Block) -> None:
        nonlocal served
        with inside.blocking:
            served += 1
        memoryview(block)[:8] = block.handle.to_bytes(8, "little")
        segment.deallocate(block)

    async def awaiting() -> None:
        for size in range(40):
            use(await segment.allocate_when_free(BIG // 2 + size * 64))
            await anyio.lowlevel.checkpoint()

    def blocking() -> None:
        for size in range(40):
            use(segment.blocking.allocate_when_free(BIG // 2 + size * 64))

    together(awaiting, blocking)()
    assert served == 5 * 40


def test_a_loop_that_was_closed_with_tasks_waiting_stands_in_nobodys_way(
    segment: ManagedSharedMemory,
) -> None:
    blocks = fill(segment, SMALL, SMALL)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
    task = loop.create_task(segment.allocate_when_free(SMALL))  # type: ignore[arg-type]
    while not segment.waiting_for_memory:
        loop.call_soon(loop.stop)
        loop.run_forever()
    loop.close()
    segment.deallocate(blocks[0])
    assert segment.blocking.allocate_when_free(SMALL).size == SMALL
    assert not task.done()
    del task


def test_the_blocking_view_says_what_it_is_of(segment: ManagedSharedMemory) -> None:
    assert repr(segment.blocking) == f"<blocking view of {segment!r}>"
    operation = segment.allocate_when_free(1)
    assert "AllocateOperation" in repr(operation)
    operation.close()
