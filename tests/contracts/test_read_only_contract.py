"""Segments that are only read, of every kind that others can have."""

import asyncio
import io
import os
import pickle
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from aioipc import (
    ClosedError,
    CorruptSegmentError,
    IncompatibleSegmentError,
    Lock,
    ManagedAnonymousMemory,
    ManagedHeapMemory,
    ManagedMappedFile,
    ManagedSegment,
    ManagedSharedMemory,
    NotFoundError,
    Queue,
    ReadOnlyError,
    ReadOnlySegment,
    SharedDict,
    TypeMismatchError,
    VectorIO,
)
from tests.support.kinds import COPIED, KINDS, SIZE, Kind
from tests.support.peers import Link


@pytest.fixture(params=COPIED)
def kind(request: pytest.FixtureRequest, segment_name: str) -> Iterator[Kind]:
    with KINDS[request.param](segment_name) as kind:
        yield kind


def read_only(kind: Kind, segment: Any) -> ReadOnlySegment:
    where = kind.where if kind.where is not None else segment.fileno()
    return kind.cls.open_read_only(where)


def test_it_finds_and_reads_what_others_write(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        assert (reader.uuid, reader.size, reader.max_size) == (segment.uuid, segment.size, segment.max_size)
        assert 0 < reader.free_memory < SIZE
        assert reader.find(SharedDict, "d") is None
        shared = SharedDict(segment, "d")
        seen = reader.find(SharedDict, "d")
        values = {"a": 1, 2: [1, {"x": b"y"}], (1, 2): None, 1.5: "ü" * 5000}
        shared.update(values)
        assert (len(seen), list(seen), list(reversed(seen))) == (4, list(values), list(values)[::-1])
        assert seen.copy() == dict(seen.items()) == shared.copy()
        assert list(seen.values()) == list(shared.values())
        assert seen[1.5] == values[1.5]
        assert ("a" in seen, "b" in seen, seen.get("b", 7)) == (True, False, 7)
        assert seen == shared.copy()
        with seen.view(2) as view:
            shared[2] = "replaced"
            assert view[1]["x"].tobytes() == b"y"
        assert seen[2] == "replaced"
        with pytest.raises(KeyError):
            seen["b"]
        shared.clear()
        assert (len(seen), list(seen)) == (0, [])


def test_blocks_are_buffers_that_cannot_be_written(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        handle = segment.allocate(100).handle
        block = reader.block(handle, 5)
        memoryview(segment.block(handle))[:5] = b"hello"
        assert bytes(block) == b"hello"
        with memoryview(block) as view:
            assert view.readonly
            with pytest.raises(TypeError):
                view[0] = 1
            with pytest.raises(BufferError):
                reader.close()
        with pytest.raises(ReadOnlyError):
            os.readv(0, [block])
        with pytest.raises(NotFoundError):
            reader.block(handle + 16)


def test_a_queue_is_looked_at(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        queue = Queue(segment, "q", maxsize=2)
        seen = reader.find(Queue, "q")
        assert (seen.qsize(), seen.empty(), seen.full(), seen.maxsize) == (0, True, False, 2)
        queue.put_nowait(1)
        queue.put_nowait(2)
        assert (seen.qsize(), seen.empty(), seen.full()) == (2, False, True)
        assert seen.statistics() == queue.statistics()


def changes_of_a_segment(reader: Any) -> list[Any]:
    return [
        lambda: reader.allocate(1),
        lambda: reader.deallocate(reader.block),
        lambda: reader.construct(SharedDict, "new"),
        lambda: reader.find_or_construct(SharedDict, "d"),
        lambda: reader.destroy(SharedDict, "d"),
        lambda: reader.check_sanity(),
        lambda: reader.flush(),
        lambda: reader.snapshot("/nowhere"),
        lambda: reader.find(VectorIO, "l"),
    ]


def changes_of_objects(shared: Any, queue: Any) -> list[Any]:
    return [
        lambda: shared.__setitem__("k", 2),
        lambda: shared.__delitem__("k"),
        lambda: shared.setdefault("k", 2),
        lambda: shared.pop("k"),
        lambda: shared.popitem(),
        lambda: shared.clear(),
        lambda: shared.update(k=2),
        lambda: shared.compare_and_set("k", 1, 2),
        lambda: shared.update_with("k", lambda n: n),
        lambda: queue.get_nowait(),
        lambda: queue.put_nowait(1),
        lambda: asyncio.run(queue.get()),
        lambda: queue.blocking(),
    ]


def test_whatever_would_change_something_is_refused(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        SharedDict(segment, "d")["k"] = 1
        Queue(segment, "q").put_nowait(1)
        Lock(segment, "l")
        shared, queue = reader.find(SharedDict, "d"), reader.find(Queue, "q")
        image = kind.image()
        for use in changes_of_a_segment(reader) + changes_of_objects(shared, queue):
            with pytest.raises(ReadOnlyError, match="read"):
                use()
        with pytest.raises(AttributeError):
            reader.no_such_thing  # noqa: B018
        for thing in (reader, shared, queue):
            with pytest.raises(TypeError):
                pickle.dumps(thing)
        assert kind.image() == image
        for type in (SharedDict, Queue, Lock):
            with pytest.raises(ReadOnlyError, match="find"):
                type(reader, "d")


def test_nobody_notices_it(kind: Kind) -> None:
    with kind.create(participants=1) as segment, read_only(kind, segment), read_only(kind, segment):
        assert len(segment.participants()) == 1
        assert segment.check_sanity()


def test_closing_ends_it(kind: Kind) -> None:
    with kind.create() as segment:
        SharedDict(segment, "d")["k"] = 1
        reader = read_only(kind, segment)
        seen, block = reader.find(SharedDict, "d"), reader.block(segment.allocate(10).handle)
        reader.close()
        reader.close()
        assert reader.closed
        for use in (lambda: seen["k"], lambda: len(seen), lambda: list(seen), lambda: reader.size):
            with pytest.raises(ClosedError):
                use()
        with pytest.raises(ClosedError):
            bytes(block)


def test_a_destroyed_object_is_gone_and_another_type_is_refused(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        SharedDict(segment, "d")["k"] = 1
        seen = reader.find(SharedDict, "d")
        with pytest.raises(TypeMismatchError):
            reader.find(Queue, "d")
        segment.destroy(SharedDict, "d")
        for use in (lambda: seen["k"], lambda: len(seen), lambda: list(seen)):
            with pytest.raises(ClosedError, match="destroyed"):
                use()
        assert reader.find(SharedDict, "d") is None


def test_private_kinds_have_none() -> None:
    with ManagedHeapMemory.create(SIZE), pytest.raises(io.UnsupportedOperation):
        ManagedHeapMemory.open_read_only()
    assert issubclass(ManagedAnonymousMemory, ManagedSegment)


# ------------------------------------------------------------------------------------- files and leave


def test_leave_to_read_is_enough(tmp_path) -> None:
    path = tmp_path / "segment"
    with ManagedMappedFile.create(path, SIZE, mode=0o644) as segment:
        SharedDict(segment, "d")["k"] = 1
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                if os.geteuid() == 0:
                    os.chmod(tmp_path, 0o755)
                    for folder in tmp_path.parents:
                        if str(folder).startswith("/tmp/pytest"):
                            os.chmod(folder, 0o755)
                    os.setuid(12345)
                with ManagedMappedFile.open_read_only(path, allow_other_owner=True) as reader:
                    code = 0 if reader.find(SharedDict, "d")["k"] == 1 else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_copy_has_to_be_adopted_first(tmp_path) -> None:
    path, copy = tmp_path / "segment", tmp_path / "copy"
    with ManagedMappedFile.create(path, SIZE) as segment:
        SharedDict(segment, "d")["k"] = 1
        copy.write_bytes(path.read_bytes())
        segment.snapshot(tmp_path / "snapshot")
    with pytest.raises(IncompatibleSegmentError, match="for writing once"):
        ManagedMappedFile.open_read_only(copy)
    ManagedMappedFile.open(copy).close()
    for path in (copy, tmp_path / "snapshot"):  # a snapshot is a segment already
        with ManagedMappedFile.open_read_only(path) as reader:
            assert reader.find(SharedDict, "d")["k"] == 1


def test_what_is_no_segment_is_refused(tmp_path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"x" * 5000):
        path.write_bytes(content)
        with pytest.raises(IncompatibleSegmentError):
            ManagedMappedFile.open_read_only(path)
    with pytest.raises(NotFoundError):
        ManagedMappedFile.open_read_only(tmp_path / "missing")


# ------------------------------------------------------------------------------------- beside others


def write_on(test: Link, name: str) -> None:
    """Values say what they are in each of their items: a torn one shows."""
    with ManagedSharedMemory.open(name) as segment:
        shared = SharedDict(segment, "d")
        test.sync("writing")
        n = 0
        while not shared.get("stop"):
            n += 1
            shared[n % 50] = [n] * (n % 300 + 1)
            if n % 3 == 0:
                shared.pop((n * 7) % 50, None)
            if n % 1000 == 0:
                shared.clear()
            segment.deallocate(segment.allocate(n * 13 % 3000))


def test_reading_beside_writers_gives_whole_values(segment_name: str, spawn) -> None:
    with ManagedSharedMemory.create(segment_name, 4 * SIZE, lifetime="last_detach") as segment:
        shared = SharedDict(segment, "d")
        peers = [spawn(write_on, segment_name) for _ in range(2)]
        for peer in peers:
            assert peer.receive() == "writing"
            peer.go()
        with ManagedSharedMemory.open_read_only(segment_name) as reader:
            seen = reader.find(SharedDict, "d")
            found = 0
            while found < 3000:
                for key in range(50):
                    value = seen.get(key)
                    if value is not None:
                        assert value == [value[0]] * (value[0] % 300 + 1)
                        found += 1
                for key, value in seen.items():
                    assert key == "stop" or value == [value[0]] * (value[0] % 300 + 1)
        shared["stop"] = True
        for peer in peers:
            peer.result()
        assert segment.check_sanity()


def hold_the_dict(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        shared = SharedDict(segment, "d")
        test.sync("attached")
        for n in range(10**9):
            shared["k"] = [n] * 100


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_stopped_or_killed_writer_keeps_no_reader_waiting(segment_name: str, spawn, how: int) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach") as segment:
        SharedDict(segment, "d")["other"] = "there"
        for _ in range(10):
            peer = spawn(hold_the_dict, segment_name)
            assert peer.receive() == "attached"
            peer.go()
            with ManagedSharedMemory.open_read_only(segment_name) as reader:
                seen = reader.find(SharedDict, "d")
                for _ in range(2000):
                    assert seen["other"] == "there"
                os.kill(peer.pid, how)
                for _ in range(100):
                    assert seen["other"] == "there"
            peer.kill()


def test_hostile_bytes_are_no_signal(tmp_path) -> None:
    path = tmp_path / "segment"
    with ManagedMappedFile.create(path, 64 << 10, participants=1) as segment:
        SharedDict(segment, "d").update({str(i): [i] * i for i in range(60)})
        Queue(segment, "q").put_nowait(1)
    content = path.read_bytes()
    noticed = 0
    for at in range(192, len(content) - 8, 104):
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(b"\xff\x7f\x01\x80\xff\xff\xff\x3f")
        try:
            with ManagedMappedFile.open_read_only(path) as reader:
                shared, queue = reader.find(SharedDict, "d"), reader.find(Queue, "q")
                if shared is not None:
                    shared.copy()
                    shared.get("7")
                if queue is not None:
                    queue.statistics()
        except (CorruptSegmentError, TypeMismatchError, ClosedError):
            noticed += 1
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(content[at : at + 8])
    assert noticed > 10
