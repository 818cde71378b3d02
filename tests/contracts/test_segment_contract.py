"""What every kind of segment promises, whatever its memory is."""

import asyncio
import ctypes
import io
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioipc import (
    Barrier,
    CapacityLimiter,
    ClosedError,
    Condition,
    CorruptSegmentError,
    Event,
    IncompatibleSegmentError,
    Lock,
    ManagedExternalBuffer,
    ManagedMappedFile,
    ManagedSegment,
    NotFoundError,
    Queue,
    RLock,
    RWLock,
    SegmentFullError,
    Semaphore,
    SharedDict,
)
from tests.support.kinds import COPIED, FOUND, KINDS, NAMED, REOPENED, SHARED, SIZE, Kind
from tests.support.peers import Link


@pytest.fixture
def kind(request: pytest.FixtureRequest, segment_name: str) -> Iterator[Kind]:
    with KINDS[request.param](segment_name) as kind:
        yield kind


def each(names: Any) -> Any:
    return pytest.mark.parametrize("kind", list(names), indirect=True)


# ------------------------------------------------------------------------------------------- life


@each(KINDS)
def test_a_new_segment_says_what_it_is_and_closes_once(kind: Kind) -> None:
    segment = kind.create()
    assert isinstance(segment, ManagedSegment)
    assert (segment.size, segment.closed) == (SIZE, False)
    assert 0 < segment.largest_free_block <= segment.free_memory < SIZE
    assert segment.name in repr(segment)
    assert [p.pid for p in segment.participants()] == [os.getpid()]
    assert segment.check_sanity()
    segment.close()
    segment.close()
    for use in (lambda: segment.allocate(1), lambda: segment.size, segment.flush, lambda: Lock(segment, "l")):
        with pytest.raises(ClosedError):
            use()


@each(KINDS)
def test_two_segments_of_a_kind_are_two(kind: Kind, segment_name: str) -> None:
    with kind.create() as first, kind.another(f"{segment_name}-2") as other, other.create() as second:
        assert first.uuid != second.uuid
        SharedDict(first, "d")["k"] = 1
        assert second.find(SharedDict, "d") is None


@each(KINDS)
@pytest.mark.parametrize(
    "options", [{"max_size": SIZE // 2}, {"algorithm": "first_fit"}, {"participants": 0}]
)
def test_impossible_options_are_refused(kind: Kind, options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        kind.create(**options)


@each(KINDS)
def test_an_algorithm_that_is_none_is_refused_and_told_which_there_are(kind: Kind) -> None:
    with pytest.raises(ValueError, match="'best_fit', 'tlsf' or 'seq_fit', not 'first_fit'"):
        kind.create(algorithm="first_fit")
    with kind.create() as segment:
        assert segment.algorithm == "best_fit"


@each(KINDS)
@pytest.mark.parametrize("algorithm", ["best_fit", "tlsf", "seq_fit"])
def test_the_algorithm_is_the_segments_for_life(kind: Kind, algorithm: Any) -> None:
    with kind.create(algorithm=algorithm) as segment:
        assert segment.algorithm == algorithm
        blocks = [segment.allocate(n) for n in range(10, 2000, 90)]
        for block in blocks[::2]:
            segment.deallocate(block)
        assert segment.check_sanity()


@each(REOPENED)
def test_the_algorithm_is_found_again(kind: Kind) -> None:
    kind.create(algorithm="seq_fit").close()
    with kind.again() as again:
        assert again.algorithm == "seq_fit"
        assert again.check_sanity()


@each(["shared_memory"])
def test_an_existing_segments_algorithm_is_its_own(kind: Kind) -> None:
    with (
        kind.create(algorithm="tlsf"),
        kind.cls.open_or_create(kind.where, SIZE, algorithm="seq_fit") as segment,
    ):
        assert segment.algorithm == "tlsf"


@each(["mapped_file"])
def test_a_segment_of_an_unknown_algorithm_is_incompatible(kind: Kind) -> None:
    kind.create().close()
    with open(kind.where, "r+b") as file:
        file.seek(112)
        file.write(b"\x07")
    with pytest.raises(IncompatibleSegmentError, match="algorithm"):
        kind.cls.open(kind.where)


@each(KINDS)
def test_a_segment_too_small_for_its_own_records_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match="needs more than"):
        kind.create(4096)


@each(KINDS)
def test_an_unclosed_segment_warns_and_leaves_nothing(kind: Kind) -> None:
    segment = kind.create()
    with pytest.warns(ResourceWarning, match="unclosed"):
        del segment


@each(KINDS)
def test_views_keep_the_memory_until_they_are_released(kind: Kind) -> None:
    segment = kind.create()
    view = memoryview(segment.allocate(10))
    with pytest.raises(BufferError, match="when_released"):
        segment.close()
    segment.close(when_released=True)
    view[:5] = b"alive"
    assert bytes(view[:5]) == b"alive"
    view.release()


@each(REOPENED)
def test_the_same_segment_opened_again_is_one_participant(kind: Kind) -> None:
    with kind.create() as first, kind.again() as second:
        assert second.uuid == first.uuid
        assert len(first.participants()) == 1
        SharedDict(first, "d")["k"] = [1, "two"]
        assert SharedDict(second, "d")["k"] == [1, "two"]
        assert Lock(first, "l") == Lock(second, "l")


@each(REOPENED)
def test_what_was_in_it_is_there_when_it_is_opened_again(kind: Kind) -> None:
    with kind.create() as segment:
        SharedDict(segment, "d").update({str(i): i for i in range(100)})
        Queue(segment, "q").put_nowait("kept")
        handle = segment.allocate(100).handle
        memoryview(segment.block(handle))[:4] = b"here"
    with kind.again() as segment:
        assert SharedDict(segment, "d").copy() == {str(i): i for i in range(100)}
        assert Queue(segment, "q").get_nowait() == "kept"
        assert bytes(segment.block(handle, 4)) == b"here"
        assert len(segment.participants()) == 1
        assert segment.check_sanity()


# ------------------------------------------------------------------------------------------- use


@each(KINDS)
def test_a_full_segment_says_so_and_goes_on(kind: Kind) -> None:
    with kind.create() as segment:
        with pytest.raises(SegmentFullError):
            segment.allocate(SIZE)
        blocks = []
        while (block := segment.try_allocate(10_000)) is not None:
            blocks.append(block)
        for block in blocks:
            segment.deallocate(block)
        assert segment.check_sanity()


@each(KINDS)
def test_tasks_wait_for_each_other(kind: Kind, run_async) -> None:
    async def body() -> None:
        with kind.create() as segment:
            lock, queue = Lock(segment, "l"), Queue(segment, "q", maxsize=1)
            done = []

            async def produce() -> None:
                for i in range(20):
                    await queue.put(i)

            async def consume() -> None:
                for _ in range(20):
                    item = await queue.get()
                    async with lock:
                        done.append(item)

            import anyio

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(produce)
                tasks.start_soon(consume)
            assert done == list(range(20))

    run_async(body)


@each(KINDS)
def test_threads_wait_for_tasks(kind: Kind) -> None:
    with kind.create() as segment:
        asked, answered = Queue(segment, "asked"), Queue(segment, "answered")

        def answer() -> None:
            while (n := asked.blocking.get()) is not None:
                answered.blocking.put(n * n)

        async def ask() -> list[int]:
            result = []
            for n in range(20):
                await asked.put(n)
                result.append(await answered.get())
            await asked.put(None)
            return result

        thread = threading.Thread(target=answer)
        thread.start()
        assert asyncio.run(ask()) == [n * n for n in range(20)]
        thread.join()


@each(KINDS)
def test_flush_may_be_called(kind: Kind) -> None:
    with kind.create() as segment:
        SharedDict(segment, "d")["k"] = 1
        segment.flush()


# ------------------------------------------------------------------------------------------- fork and pickle


def in_child(body) -> int:
    """The exit status of a forked child that runs body: 0 unless it raised."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@each(KINDS)
def test_a_forked_child_shares_it_or_is_told_that_it_does_not(kind: Kind) -> None:
    with kind.create() as segment:
        shared = SharedDict(segment, "d")
        shared["k"] = "parent's"
        private = kind.cls.__name__ in ("ManagedHeapMemory", "ManagedExternalBuffer")

        def child() -> None:
            if not private:
                shared["k"] = "child's"
                return
            for use in (lambda: shared["k"], lambda: segment.allocate(1), lambda: Lock(segment, "l")):
                with pytest.raises(ClosedError, match="parent"):
                    use()
            segment.close()

        assert in_child(child) == 0
        assert shared["k"] == ("parent's" if private else "child's")
        assert segment.check_sanity()


@each(SHARED)
def test_a_killed_childs_locks_pass_on(kind: Kind) -> None:
    with kind.create() as segment:
        lock = Lock(segment, "l")

        def child() -> None:
            lock.blocking.acquire()
            os.kill(os.getpid(), signal.SIGKILL)

        assert in_child(child) == -signal.SIGKILL
        with lock.blocking:
            assert lock.abandoned


@each(set(KINDS) - set(FOUND))
def test_a_plain_pickle_is_refused_where_no_name_could_find_the_segment(kind: Kind) -> None:
    with kind.create() as segment:
        for thing in (segment, SharedDict(segment, "d")):
            with pytest.raises(TypeError, match="pickled"):
                pickle.dumps(thing)


@each(FOUND)
def test_a_pickle_finds_the_same_segment_or_none(kind: Kind) -> None:
    with kind.create() as segment:
        SharedDict(segment, "d")["k"] = 1
        pickled = pickle.dumps(SharedDict(segment, "d"))
        assert pickle.loads(pickled)["k"] == 1
        assert kind.cls.remove(kind.where)
    with kind.create(), pytest.raises(NotFoundError, match="gone"):
        pickle.loads(pickled)


# ------------------------------------------------------------------------------------------- names


@each(FOUND)
def test_a_name_is_taken_once_found_and_removed(kind: Kind) -> None:
    assert not kind.cls.exists(kind.where)
    assert not kind.cls.remove(kind.where)
    with pytest.raises(FileNotFoundError):
        kind.cls.open(kind.where)
    with (
        kind.cls.open_or_create(kind.where, SIZE) as made,
        kind.cls.open_or_create(kind.where, 2 * SIZE) as found,
    ):
        assert (made.uuid, made.size) == (found.uuid, found.size)
        with pytest.raises(FileExistsError):
            kind.create()
        assert kind.cls.exists(kind.where)
        assert kind.cls.remove(kind.where)
        assert not kind.cls.exists(kind.where)
        made.deallocate(made.allocate(10))


@each(NAMED)
def test_a_last_detach_segment_goes_with_its_last_handle(kind: Kind) -> None:
    with kind.create(lifetime="last_detach"):
        assert kind.cls.exists(kind.where)
    assert not kind.cls.exists(kind.where)


@each(set(KINDS) - set(FOUND))
def test_what_needs_a_name_is_refused_by_kinds_that_have_none(kind: Kind) -> None:
    for what in ("open_or_create", "remove", "exists"):
        with pytest.raises(io.UnsupportedOperation, match=rf"{kind.cls.__name__} has no {what}\(\)"):
            getattr(kind.cls, what)("name")


# ------------------------------------------------------------------------------------------- copies


@each(REOPENED)
def test_the_bytes_of_any_segment_are_a_segment(kind: Kind) -> None:
    with kind.create() as segment:
        SharedDict(segment, "d").update({str(i): i for i in range(100)})
        Lock(segment, "l").blocking.acquire()
        copy = bytearray(kind.image())
        with ManagedExternalBuffer.open(copy) as copied:
            assert copied.uuid != segment.uuid
            assert SharedDict(copied, "d").copy() == {str(i): i for i in range(100)}
            SharedDict(copied, "d")["0"] = "changed"
            assert len(copied.participants()) == 1
            with Lock(copied, "l").blocking:  # its holder is no part of the copy
                assert Lock(copied, "l").abandoned
            assert copied.check_sanity()
        assert SharedDict(segment, "d")["0"] == 0
        assert segment.check_sanity()


@each(REOPENED)
def test_bytes_that_are_no_segment_or_a_damaged_one_are_refused(kind: Kind) -> None:
    with kind.create() as segment:
        handle = segment.allocate(100).handle
        image = kind.image()
    damaged = bytearray(image)
    damaged[handle - 8 : handle] = b"\xff" * 8
    for content, error in (
        (bytes(SIZE), IncompatibleSegmentError),
        (b"x" * 100, IncompatibleSegmentError),
        (image[: SIZE // 2], CorruptSegmentError),
        (bytes(damaged), CorruptSegmentError),
    ):
        with pytest.raises(error):
            ManagedExternalBuffer.open(bytearray(content))


# ------------------------------------------------------------------------------------------- snapshots


@each(KINDS)
def test_a_snapshot_is_a_file_and_a_segment_of_its_own(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    with kind.create() as segment:
        shared, queue = SharedDict(segment, "d"), Queue(segment, "q")
        shared["k"] = "then"
        queue.put_nowait(1)
        Lock(segment, "l").blocking.acquire()
        segment.snapshot(path, mode=0o640)
        shared["k"] = "now"
        queue.get_nowait()
        assert path.stat().st_mode & 0o777 == 0o640
        with ManagedMappedFile.open(path) as copy:
            assert copy.uuid != segment.uuid
            assert (SharedDict(copy, "d")["k"], Queue(copy, "q").get_nowait()) == ("then", 1)
            assert Lock(copy, "l").acquire_nowait() is None
            assert Lock(copy, "l").abandoned
            assert copy.check_sanity()
            SharedDict(copy, "d")["k"] = "another's"
        assert shared["k"] == "now"
        assert segment.check_sanity()
        with pytest.raises(FileExistsError):
            segment.snapshot(path)
        assert sorted(os.listdir(tmp_path)) == ["snapshot"]


@each(KINDS)
def test_a_snapshot_of_a_damaged_segment_is_refused_and_leaves_no_file(kind: Kind, tmp_path: Path) -> None:
    with kind.create() as segment:
        block = segment.allocate(100)
        view = memoryview(segment.allocate(1000))
        segment.deallocate(segment.allocate(3000))
        with memoryview(block) as bytes_of_it:
            whole = (ctypes.c_char * 8).from_address(address_of(bytes_of_it) - 8)
            kept = whole.raw
            whole.raw = b"\xff" * 8
        with pytest.raises(CorruptSegmentError):
            segment.snapshot(tmp_path / "snapshot")
        assert os.listdir(tmp_path) == []
        whole.raw = kept
        assert segment.check_sanity()
        view.release()


def address_of(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


@each(COPIED)
def test_a_private_copy_is_of_one_moment_and_changes_nothing(kind: Kind, tmp_path: Path) -> None:
    with kind.create() as segment:
        shared = SharedDict(segment, "d")
        shared["k"] = "then"
        where = kind.where if kind.where is not None else segment.fileno()
        with kind.cls.open_copy_on_write(where) as copy:
            shared["k"] = "now"
            shared["new"] = 1
            copied = SharedDict(copy, "d")
            assert copied.copy() == {"k": "then"}
            copied["k"] = "mine"
            assert shared["k"] == "now"
            assert copy.uuid != segment.uuid
            assert [p.pid for p in copy.participants()] == [os.getpid()]
            copy.snapshot(tmp_path / "saved")
            with pytest.raises(TypeError, match="pickled"):
                pickle.dumps(copied)
        assert segment.check_sanity()
    with ManagedMappedFile.open(tmp_path / "saved") as saved:
        assert SharedDict(saved, "d").copy() == {"k": "mine"}


def count_on(test: Link, path: str) -> None:
    """For each n: n into the queue, then into the dict; so the dict is at most one behind."""
    with ManagedMappedFile.open(path) as segment:
        counted, queue = SharedDict(segment, "d"), Queue(segment, "q")
        test.sync("counting")
        n = 0
        while not counted.get("stop"):
            if n < 50_000:  # as many as there is room for
                n += 1
                queue.put_nowait(n)
            counted["n"] = n
            if n % 7 == 0:
                segment.deallocate(segment.allocate(n % 5000))


def test_snapshots_made_beside_a_writer_are_of_one_moment(tmp_path: Path, spawn) -> None:
    with ManagedMappedFile.create(tmp_path / "original", 32 << 20) as segment:
        counted = SharedDict(segment, "d")
        Queue(segment, "q")
        peer = spawn(count_on, str(tmp_path / "original"))
        assert peer.receive() == "counting"
        peer.go()
        for i in range(8):
            segment.snapshot(tmp_path / f"{i}")
            with ManagedMappedFile.open_copy_on_write(tmp_path / f"{i}") as copy:
                queue, n = Queue(copy, "q"), SharedDict(copy, "d").get("n", 0)
                assert queue.qsize() - n in (0, 1)
                items = [queue.get_nowait() for _ in range(queue.qsize())]
                assert items == list(range(1, len(items) + 1))
        counted["stop"] = True
        peer.result()


def pause_in(test: Link, path: str) -> None:
    with ManagedMappedFile.open(path):
        test.sync("attached")


def test_a_killed_process_does_not_keep_snapshots_from_being_made(tmp_path: Path, spawn) -> None:
    with ManagedMappedFile.create(tmp_path / "original", SIZE) as segment:
        for i in range(3):
            peer = spawn(pause_in, str(tmp_path / "original"))
            assert peer.receive() == "attached"
            peer.kill()
            segment.snapshot(tmp_path / f"{i}")


def test_every_primitive_that_is_held_can_be_copied(tmp_path: Path) -> None:
    """What a user of the original held, none of the copy's users has."""
    with ManagedMappedFile.create(tmp_path / "original", SIZE) as segment:
        Lock(segment, "lock").blocking.acquire()
        RLock(segment, "rlock").blocking.acquire()
        reader, semaphore = RWLock(segment, "rw").blocking.read(), Semaphore(segment, "semaphore", 2)
        reader.__enter__()
        semaphore.blocking.acquire()
        CapacityLimiter(segment, "limiter", 1).blocking.acquire()
        Event(segment, "event").set()
        Condition(segment, "condition", Lock(segment, "lock"))
        Barrier(segment, "barrier", 2)
        segment.snapshot(tmp_path / "copy")
        reader.__exit__(None, None, None)
    with ManagedMappedFile.open(tmp_path / "copy") as copy:
        assert copy.check_sanity()
        for held in (Lock(copy, "lock"), RLock(copy, "rlock"), CapacityLimiter(copy, "limiter", 1)):
            assert held.blocking.acquire(timeout=0)
        with RWLock(copy, "rw").blocking.write():
            pass
        assert Event(copy, "event").is_set()
        assert Semaphore(copy, "semaphore", 2).value == 1  # permits are counted, not owned
        assert copy.check_sanity()
