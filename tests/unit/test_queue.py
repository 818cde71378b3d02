"""Queues without waiting: options, codecs, limits, names, pickles, statistics, what failures leave behind."""

import asyncio
import datetime
import gc
import pickle
import queue as threads
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from aioipc import (
    AlreadyExistsError,
    ClosedError,
    IPCError,
    Lock,
    ManagedSharedMemory,
    MessageTooLargeError,
    NotFoundError,
    OptionMismatchError,
    Queue,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    SegmentFullError,
    TypeMismatchError,
    unique_instance,
)
from tests.support.queues import failing, idle, waiters

SIZE = 1 << 20
MakeQueue = Callable[..., Queue[Any]]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    segment = ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach")
    yield segment
    if not segment.closed:
        report = segment.check_sanity()
        assert report, report
    segment.close()


@pytest.fixture
def make(segment: ManagedSharedMemory) -> MakeQueue:
    """`make(maxsize=0, ...)`: the queue "q" of the test's segment."""
    return lambda *args, **options: Queue(segment, "q", *args, **options)


class Reversing:
    """A codec of one's own: text, backwards."""

    def encode(self, item: str) -> bytes:
        return item[::-1].encode()

    def decode(self, data: bytes) -> str:
        if data == b"dab":
            raise ArithmeticError("cannot be decoded")
        return data.decode()[::-1]


# ---------------------------------------------------------------------------------------------- options


def test_a_queue_says_what_it_is(make: MakeQueue) -> None:
    queue = make(2, max_bytes=100)
    assert (queue.name, queue.maxsize, queue.qsize()) == ("q", 2, 0)
    assert repr(queue) == "<aioipc.Queue 'q' maxsize=2 qsize=0>"
    queue.put_nowait(1)
    assert repr(queue) == "<aioipc.Queue 'q' maxsize=2 qsize=1 tasks=1>"
    assert "'q'" in repr(queue.blocking)
    assert not queue.full()
    queue.put_nowait(2)
    assert queue.full()


@pytest.mark.parametrize("maxsize", [None, 0, -1])
def test_a_queue_without_a_maximum_is_never_full(make: MakeQueue, maxsize: int | None) -> None:
    queue = make(maxsize)
    queue.put_many_nowait(range(1000))
    assert not queue.full()
    assert queue.clear() == 1000
    assert idle(queue)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((1.5,), {}),
        (("3",), {}),
        ((), {"max_bytes": "3"}),
        ((), {"codec": 3}),
        ((), {"codec": object()}),
    ],
)
def test_options_of_the_wrong_type_are_refused(make: MakeQueue, arguments: Any, options: Any) -> None:
    with pytest.raises(TypeError):
        make(*arguments, **options)


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"max_bytes": -5}, {"codec": "pickle"}])
def test_options_without_a_meaning_are_refused(make: MakeQueue, options: Any) -> None:
    with pytest.raises(ValueError, match=r"max_bytes|codec"):
        make(**options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"maxsize": 3}, "maxsize=2"),
        ({"maxsize": 0}, "maxsize=2"),
        ({"max_bytes": 50}, "max_bytes=100"),
        ({"codec": "raw"}, "codec='msgpack'"),
        ({"codec": Reversing()}, "codec='msgpack'"),
    ],
)
def test_options_that_disagree_with_the_existing_queue_are_refused_and_named(
    make: MakeQueue, options: Any, named: str
) -> None:
    queue = make(2, max_bytes=100)
    with pytest.raises(OptionMismatchError, match=named):
        make(**options)
    assert make() == queue
    assert make(2, max_bytes=100, codec="msgpack") == queue


def test_an_unlimited_queue_is_not_taken_for_a_limited_one(make: MakeQueue) -> None:
    make()
    with pytest.raises(OptionMismatchError, match="maxsize=0"):
        make(5)
    with pytest.raises(OptionMismatchError, match="max_bytes=None"):
        make(max_bytes=5)


def test_a_queue_can_be_subscripted_with_the_type_of_its_items(segment: ManagedSharedMemory) -> None:
    assert Queue[int].__args__ == (int,)
    queue = Queue[int](segment, "numbers", 3)
    assert isinstance(queue, Queue)
    queue.put_nowait(1)
    assert Queue(segment, "numbers").get_nowait() == 1


# ------------------------------------------------------------------------------------------ names, lifetime


def test_queues_are_found_constructed_and_destroyed_like_every_object(segment: ManagedSharedMemory) -> None:
    assert segment.find(Queue, "jobs") is None
    jobs = segment.construct(Queue, "jobs", 4, codec="raw")
    with pytest.raises(AlreadyExistsError):
        segment.construct(Queue, "jobs")
    assert segment.find(Queue, "jobs") == segment.find_or_construct(Queue, "jobs", maxsize=4) == jobs
    assert segment.find(Queue, "jobs").maxsize == 4  # type: ignore[union-attr]
    with pytest.raises(TypeMismatchError, match="Queue"):
        Lock(segment, "jobs")
    assert Queue(segment, unique_instance) == Queue(segment, unique_instance)
    assert Queue(segment) != Queue(segment)
    assert segment.destroy(Queue, "jobs") is True
    assert segment.destroy(Queue, "jobs") is False
    assert Queue(segment, "jobs") != jobs


def test_a_destroyed_queue_gives_everything_back(segment: ManagedSharedMemory) -> None:
    def use() -> None:
        queue: Queue[Any] = Queue(segment, "q", codec="raw")
        queue.put_many_nowait([bytes(n) for n in range(0, 4000, 50)])
        lease = queue.blocking.lease()
        lease.__enter__()
        with pytest.raises(KeyError), queue.blocking.lease():
            raise KeyError
        assert segment.destroy_object(queue)
        for call in (queue.get_nowait, queue.clear, queue.task_done, queue.shutdown, queue.blocking.join):
            with pytest.raises(ClosedError):
                call()
        with pytest.raises(ClosedError):
            queue.put_nowait(b"")
        lease.__exit__(None, None, None)

    use()
    gc.collect()
    free = segment.free_memory
    for _ in range(3):
        use()
        gc.collect()
        assert segment.free_memory == free


def test_a_queue_of_a_closed_segment_raises_closed_error(segment: ManagedSharedMemory) -> None:
    queue: Queue[Any] = Queue(segment, "q")
    segment.close()
    assert repr(queue) == "<aioipc.Queue 'q' [closed]>" or "[closed]" in repr(queue)
    calls: list[Callable[[], Any]] = [
        *(
            queue.get,
            queue.peek,
            queue.join,
            queue.qsize,
            queue.empty,
            queue.full,
            queue.clear,
            queue.shutdown,
        ),
        *(queue.get_nowait, queue.task_done, queue.statistics, queue.blocking.get, queue.blocking.join),
        *(lambda: queue.put(1), lambda: queue.put_nowait(1), lambda: queue.put_many_nowait([1])),
        *(lambda: queue.blocking.put(1), lambda: queue.get_many(1), lambda: queue.maxsize),
        lambda: queue.blocking.lease().__enter__(),
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    with pytest.raises(ClosedError):
        asyncio.run(queue.put_many([1]))


def test_a_pickled_queue_is_the_same_queue(make: MakeQueue, segment: ManagedSharedMemory) -> None:
    queue = make(3)
    queue.put_nowait("item")
    again = pickle.loads(pickle.dumps(queue))
    assert again == queue
    assert again.get_nowait() == "item"
    anonymous: Queue[Any] = Queue(segment)
    assert pickle.loads(pickle.dumps(anonymous)) == anonymous


def test_a_pickled_queue_takes_its_codec_along(make: MakeQueue) -> None:
    queue = make(codec=Reversing())
    queue.put_nowait("abc")
    assert pickle.loads(pickle.dumps(queue)).get_nowait() == "abc"


def test_a_pickle_of_a_destroyed_queue_is_not_found(make: MakeQueue, segment: ManagedSharedMemory) -> None:
    queue = make()
    pickled = pickle.dumps(queue)
    segment.destroy_object(queue)
    del queue
    make()
    with pytest.raises(NotFoundError, match="no longer"):
        pickle.loads(pickled)


def test_the_exceptions_are_those_of_asyncio_and_queue() -> None:
    for ours, theirs in [
        (QueueEmpty, (asyncio.QueueEmpty, threads.Empty)),
        (QueueFull, (asyncio.QueueFull, threads.Full)),
        (QueueShutDown, (getattr(asyncio, "QueueShutDown", Exception),)),
        (MessageTooLargeError, (ValueError,)),
        (SegmentFullError, (MemoryError,)),
    ]:
        assert issubclass(ours, (IPCError, *theirs))
        assert all(issubclass(ours, base) for base in (IPCError, *theirs))


# ----------------------------------------------------------------------------------------------- codecs

ITEMS: list[Any] = [
    *(None, True, 0, -1, 2**64 - 1, -(2**63), 1.5, "", "naïve-名前", b"", b"\x00" * 100),
    *([], [1, [2, [3]]], {}, {"a": {"b": [1]}, 1: 2}),
    datetime.datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=datetime.UTC),
    *("x" * 2047, "x" * 2048, b"x" * 2049, b"y" * 100_000),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: repr(item)[:20])
def test_msgpack_s_types_come_out_as_they_went_in(make: MakeQueue, item: Any) -> None:
    queue = make()
    queue.put_nowait(item)
    queue.put_many_nowait([item, item])
    assert queue.blocking.peek() == item
    with queue.blocking.lease() as leased:
        assert leased == item
        assert type(leased) is type(item)
    assert queue.blocking.get_many(9) == [item, item]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 2047, 2048, 2049, 70_000, 300_000])
def test_raw_takes_what_is_bytes_like_and_gives_bytes(make: MakeQueue, size: int) -> None:
    queue = make(codec="raw")
    data = bytes(n % 251 for n in range(size))
    for item in (data, bytearray(data), memoryview(data)):
        queue.put_nowait(item)
        taken = queue.get_nowait()
        assert type(taken) is bytes
        assert taken == data
    queue.put_nowait(data)
    assert queue.blocking.peek() == data
    with pytest.raises(TypeError, match=r"'raw'.*'str'"):
        queue.put_nowait("text")
    assert queue.qsize() == 1


def test_raw_refuses_memory_that_is_not_in_one_piece(make: MakeQueue) -> None:
    queue = make(codec="raw")
    with pytest.raises(BufferError):
        queue.put_nowait(memoryview(b"abcdef")[::2])
    assert queue.qsize() == 0


def test_a_codec_of_one_s_own_encodes_and_decodes(make: MakeQueue, segment: ManagedSharedMemory) -> None:
    queue = make(codec=Reversing())
    queue.put_many_nowait(["abc", "def", "ghi", "jkl"])
    assert queue.blocking.peek() == queue.get_nowait() == "abc"
    with queue.blocking.lease() as item:
        assert item == "def"
    assert queue.blocking.get_many(2) == ["ghi", "jkl"]
    assert make(codec=Reversing()) == queue
    without = make()  # found without its codec: what needs none works
    assert without.qsize() == 0
    for use in (lambda: without.put_nowait("a"), lambda: segment.find(Queue, "q").put_nowait("a")):  # type: ignore[union-attr]
        with pytest.raises(OptionMismatchError, match="codec="):
            use()


def test_an_item_that_cannot_be_encoded_changes_nothing(make: MakeQueue) -> None:
    queue = make()
    before = queue.statistics()
    for item in (object(), {1, 2}, 2**64, [print]):
        with pytest.raises((TypeError, OverflowError)):
            queue.put_nowait(item)
        with pytest.raises((TypeError, OverflowError)):
            asyncio.run(queue.put(item))  # type: ignore[arg-type]
        with pytest.raises((TypeError, OverflowError)):
            queue.put_many_nowait([1, item])
        with pytest.raises((TypeError, OverflowError)):
            asyncio.run(queue.put_many([1, item]))
        with pytest.raises((TypeError, OverflowError)):
            queue.blocking.put(item)
    assert queue.statistics() == before


def test_an_item_that_cannot_be_decoded_is_returned_by_its_lease(make: MakeQueue) -> None:
    queue = make(codec=Reversing())
    queue.put_nowait("bad")
    with pytest.raises(ArithmeticError), queue.blocking.lease():
        pytest.fail("was not decoded")

    async def lease() -> None:
        async with queue.lease():
            pytest.fail("was not decoded")

    with pytest.raises(ArithmeticError):
        asyncio.run(lease())
    with pytest.raises(ArithmeticError):
        queue.blocking.peek()
    assert (queue.qsize(), queue.statistics().leased) == (1, 0)


def test_an_item_that_cannot_be_decoded_does_not_take_others_with_it(make: MakeQueue) -> None:
    queue = make(codec=Reversing())
    queue.put_many_nowait(["good", "bad", "fine"])
    taken: list[str] = []
    while queue.qsize():
        try:
            taken += queue.blocking.get_many(3)
        except ArithmeticError:
            continue
    assert taken == ["good", "fine"]


# ----------------------------------------------------------------------------------------------- limits


def test_a_message_that_could_never_fit_is_refused_with_the_ways_out(make: MakeQueue) -> None:
    queue = make(max_bytes=1000, codec="raw")
    before = queue.statistics()
    for put in (queue.put_nowait, queue.blocking.put):
        with pytest.raises(MessageTooLargeError, match=r"1001 bytes.*max_bytes.*Block"):
            put(bytes(1001))
    with pytest.raises(MessageTooLargeError):
        asyncio.run(queue.put(bytes(1001)))  # type: ignore[arg-type]
    assert queue.statistics() == before
    queue.put_nowait(bytes(1000))
    with pytest.raises(QueueFull):
        queue.put_nowait(b"x")
    with pytest.raises(MessageTooLargeError):  # not QueueFull: waiting would not help
        queue.put_nowait(bytes(1001))


def test_a_message_larger_than_the_segment_could_ever_hold_is_refused(make: MakeQueue) -> None:
    queue = make(codec="raw")
    with pytest.raises(MessageTooLargeError):
        queue.put_nowait(bytes(2 * SIZE))
    with pytest.raises(MessageTooLargeError):
        asyncio.run(queue.put(bytes(SIZE + 1)))  # type: ignore[arg-type]
    assert idle(queue)


def put_for_good(queue: Queue[Any], item: bytes) -> None:
    while True:
        queue.put_nowait(item)


@pytest.mark.parametrize("size", [10, 2000, 5000, 100_000])
def test_a_full_segment_raises_and_leaves_nothing_changed(
    make: MakeQueue, segment: ManagedSharedMemory, size: int
) -> None:
    queue = make(codec="raw")
    queue.put_nowait(b"first")
    queue.put_nowait(b"second")
    blocks = []
    for take in (4096, 64, 16):
        while (block := segment.try_allocate(take)) is not None:
            blocks.append(block)
    with pytest.raises(SegmentFullError) as caught:
        put_for_good(queue, bytes(size))
    assert caught.value.asked is not None
    put = queue.qsize() - 2
    before, free = queue.statistics(), segment.free_memory
    for again in (queue.put_nowait, queue.blocking.put, lambda item: asyncio.run(queue.put(item))):  # type: ignore[arg-type]
        with pytest.raises(SegmentFullError):
            again(bytes(size))
    assert (queue.statistics(), segment.free_memory) == (before, free)
    assert queue.get_nowait() == b"first"
    for block in blocks:
        segment.deallocate(block)
    queue.put_nowait(b"last")
    assert queue.blocking.get_many(10_000) == [b"second", *[bytes(size)] * put, b"last"]


def test_taking_works_in_a_full_segment(make: MakeQueue, segment: ManagedSharedMemory) -> None:
    queue = make(codec="raw")
    queue.put_many_nowait([b"a", b"b" * 3000, b"c"])
    while segment.try_allocate(16) is not None:
        pass
    assert queue.blocking.peek() == b"a"
    assert queue.get_nowait() == b"a"
    with failing(), queue.blocking.lease() as item:
        assert item == b"b" * 3000
        raise KeyError
    assert queue.blocking.get_many(3) == [b"b" * 3000, b"c"]
    queue.task_done(3)
    assert queue.blocking.join(timeout=0) is True


def lease_all(queue: Queue[bytes], held: ExitStack, items: list[bytes]) -> None:
    while True:
        items.append(held.enter_context(queue.blocking.lease()))


def test_small_items_can_be_leased_in_a_full_segment_till_its_reserve_is_used_up(
    make: MakeQueue, segment: ManagedSharedMemory
) -> None:
    queue = make(codec="raw")
    queue.put_many_nowait([bytes([number]) * 500 for number in range(100)])
    blocks = []
    while (block := segment.try_allocate(16)) is not None:
        blocks.append(block)
    with ExitStack() as held:
        items: list[bytes] = []
        with pytest.raises(SegmentFullError):
            lease_all(queue, held, items)
        taken = len(items)
        assert items == [bytes([number]) * 500 for number in range(taken)] != []
        assert (queue.qsize(), queue.statistics().leased) == (100 - taken, taken)
        assert queue.blocking.peek() == bytes([taken]) * 500
    for number in range(taken, 100):
        with queue.blocking.lease() as item:
            assert item == bytes([number]) * 500
    assert idle(queue)
    for block in blocks:
        segment.deallocate(block)


def test_a_queue_that_was_emptied_gives_its_memory_back(
    make: MakeQueue, segment: ManagedSharedMemory
) -> None:
    queue = make(codec="raw")
    free = segment.free_memory
    for sizes in ([1] * 10_000, [2000] * 300, [30_000] * 20):
        queue.put_many_nowait([bytes(size) for size in sizes])
        assert segment.free_memory < free - sum(sizes)
        queue.blocking.get_many(20_000)
        assert free - segment.free_memory <= 64 * 1024
        queue.task_done(len(sizes))
    assert idle(queue)


# ---------------------------------------------------------------------------------- statistics and blocking


def test_statistics_tell_what_went_through(make: MakeQueue) -> None:
    queue = make(5, max_bytes=1000, codec="raw")
    queue.put_many_nowait([b"12345"] * 4)
    queue.get_nowait()
    with pytest.raises(KeyError), queue.blocking.lease():
        raise KeyError
    with queue.blocking.lease():
        statistics = queue.statistics()
    assert (statistics.maxsize, statistics.max_bytes) == (5, 1000)
    assert (statistics.qsize, statistics.bytes) == (2, 10)
    assert (statistics.unfinished, statistics.leased) == (4, 1)
    assert (statistics.put, statistics.taken, statistics.returned) == (4, 3, 1)
    assert not statistics.shut_down
    with pytest.raises(AttributeError):
        statistics.qsize = 3  # type: ignore[misc]


def test_blocking_gives_up_when_the_time_is_over(make: MakeQueue) -> None:
    queue = make(1)
    with pytest.raises(QueueEmpty, match=r"0\.001 s"):
        queue.blocking.get(timeout=0.001)
    calls: list[Callable[[], Any]] = [
        *(lambda: queue.blocking.peek(timeout=0), lambda: queue.blocking.get_many(2, timeout=0.001)),
        lambda: queue.blocking.lease(timeout=0.001).__enter__(),
    ]
    for call in calls:
        with pytest.raises(threads.Empty):
            call()
    assert queue.blocking.join(timeout=0) is True
    queue.blocking.put(1, timeout=0)
    with pytest.raises(threads.Full, match=r"0\.001 s"):
        queue.blocking.put(2, timeout=0.001)
    with pytest.raises(QueueFull, match="0 items"):
        queue.blocking.put_many([1, 2], timeout=0)
    assert queue.blocking.join(timeout=0.001) is False
    assert waiters(queue) == (0, 0, 0)
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            queue.blocking.get(timeout=wrong)
    assert queue.qsize() == 1


def test_put_many_says_how_many_were_put_when_the_time_was_over(make: MakeQueue) -> None:
    queue = make(3)
    with pytest.raises(QueueFull, match="3 items"):
        queue.blocking.put_many(range(5), timeout=0.001)
    assert queue.blocking.get_many(9) == [0, 1, 2]


@pytest.mark.parametrize("most", [0, -1, 1.5, "1", None])
def test_get_many_needs_a_number_of_items(make: MakeQueue, most: Any) -> None:
    queue = make()
    with pytest.raises(ValueError, match="max_items"):
        queue.get_many(most)
    with pytest.raises(ValueError, match="max_items"):
        queue.blocking.get_many(most)


@pytest.mark.parametrize("count", [0, 2, 2**40])
def test_task_done_of_what_was_not_taken_is_refused(make: MakeQueue, count: int) -> None:
    queue = make()
    queue.put_many_nowait([1, 2, 3])
    queue.get_nowait()
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done(count)
    assert queue.statistics().unfinished == 3
    queue.task_done()
    assert queue.statistics().unfinished == 2
