"""BufferIO and VectorIO: files as the standard library knows them, their ends, and readers beside writers."""

import contextlib
import csv
import ctypes
import io
import os
import pickle
import signal
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioipc import (
    AlreadyExistsError,
    BufferIO,
    ClosedError,
    CorruptSegmentError,
    ManagedSharedMemory,
    OptionMismatchError,
    SegmentFullError,
    TypeMismatchError,
    VectorIO,
)
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


@pytest.fixture(params=["buffer", "vector"])
def stream(request: pytest.FixtureRequest, segment: ManagedSharedMemory) -> Any:
    return BufferIO(segment, "s", 100_000) if request.param == "buffer" else VectorIO(segment, "s")


def test_what_is_written_is_read(stream: Any) -> None:
    assert (stream.read(), len(stream), bool(stream)) == (b"", 0, True)
    assert stream.write(b"hello ") == 6
    assert stream.write(memoryview(b"world")) == 5
    assert (stream.tell(), stream.read(), len(stream)) == (11, b"", 11)
    assert stream.seek(6) == 6
    assert (stream.read(3), stream.tell(), stream.read(), stream.read(1)) == (b"wor", 9, b"ld", b"")
    stream.seek(-5, os.SEEK_END)
    stream.write(b"W")
    stream.seek(-1, os.SEEK_CUR)
    room = bytearray(10)
    assert (stream.readinto(room), bytes(room[:5])) == (5, b"World")
    assert stream.getvalue() == b"hello World"
    assert stream.write(b"") == 0


def test_buffers_of_every_kind(stream: Any) -> None:
    numbers = (ctypes.c_double * 3)(1, 2, 3)
    assert stream.write(numbers) == 24
    back = (ctypes.c_double * 3)()
    assert (stream.seek(0), stream.readinto(back), list(back)) == (0, 24, [1, 2, 3])
    numpy = pytest.importorskip("numpy")
    assert stream.write(numpy.zeros((0, 3))) == 0
    assert stream.write(numpy.ones(2, "M8[ns]").view("i8")) == 16
    for wrong in (b"readonly", numpy.zeros((4, 4))[:, 1]):
        with pytest.raises((BufferError, ValueError)):
            stream.readinto(wrong)
    for use in (stream.truncate, stream.reserve, stream.read, stream.seek):
        with pytest.raises(TypeError):
            use(1.5)
    with pytest.raises(ValueError, match="-1"):
        stream.truncate(-1)
    assert (stream.seek(24), len(stream.read(1 << 70))) == (24, 16)


def test_the_segment_may_be_closed_by_a_size(segment: ManagedSharedMemory, stream: Any) -> None:
    class Closing:
        def __index__(self) -> int:
            segment.close()
            return 5

    stream.write(b"hello")
    for use in (stream.read, stream.seek, stream.reserve, stream.truncate):
        with pytest.raises(ClosedError):
            use(Closing())


def test_a_gap_is_zeros_also_where_something_was(stream: Any) -> None:
    stream.write(b"x" * 1000)
    assert stream.truncate(10) == 10
    stream.seek(500)
    assert stream.read() == b""
    stream.write(b"end")
    assert stream.getvalue() == b"x" * 10 + bytes(490) + b"end"
    assert stream.truncate(600) == 600
    assert stream.getvalue()[503:] == bytes(97)
    stream.seek(3)
    assert (stream.truncate(), stream.getvalue()) == (3, b"xxx")


def test_lines(stream: Any) -> None:
    stream.writelines([b"one\n", b"\n", b"three" * 3000 + b"\n", b"last"])
    stream.seek(0)
    assert list(stream) == [b"one\n", b"\n", b"three" * 3000 + b"\n", b"last"]
    stream.seek(0)
    assert (stream.readline(2), stream.readline(), stream.readlines(1)) == (b"on", b"e\n", [b"\n"])
    assert (stream.readline(), stream.readline(), stream.readline()) == (
        b"three" * 3000 + b"\n",
        b"last",
        b"",
    )


def test_the_standard_library_takes_it_for_a_file(stream: Any) -> None:
    assert isinstance(stream, io.RawIOBase)
    assert (stream.readable(), stream.writable(), stream.seekable(), stream.isatty()) == (
        True,
        True,
        True,
        False,
    )
    with pytest.raises(io.UnsupportedOperation):
        stream.fileno()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(20):
            archive.writestr(f"{n}.txt", f"text {n}" * 100)
    with zipfile.ZipFile(stream) as archive:
        assert archive.testzip() is None
        assert archive.read("7.txt") == b"text 7" * 100
    stream.truncate(0)
    stream.seek(0)
    text = io.TextIOWrapper(io.BufferedRandom(stream), encoding="utf-8", newline="")
    csv.writer(text).writerows([["ä", "1"], ["b,c", "2"]])
    text.seek(0)
    assert list(csv.reader(text)) == [["ä", "1"], ["b,c", "2"]]
    text.close()
    assert stream.closed


def test_exactly_the_size_of_a_buffer_fits(segment: ManagedSharedMemory) -> None:
    buffer = BufferIO(segment, "b", 4)
    assert buffer.write(b"abcd") == 4
    with pytest.raises(OSError, match="is full: it has room for 4 bytes"):
        buffer.write(b"e")
    buffer.seek(0)
    buffer.truncate(0)
    assert (buffer.write(b"abcdef"), buffer.getvalue()) == (4, b"abcd")  # the part that fits is kept
    assert buffer.read() == b""
    buffer.seek(3)
    assert buffer.write(b"DE") == 1
    for size in (5, 1 << 40):
        with pytest.raises(ValueError, match="has room for 4 bytes"):
            buffer.truncate(size)
    buffer.seek(1000)
    with pytest.raises(OSError):  # noqa: PT011
        buffer.write(b"x")
    assert (buffer.getvalue(), repr(buffer)) == (b"abcD", "<aioipc.BufferIO 'b' [4 of 4 bytes]>")
    with pytest.raises(OSError), io.BufferedWriter(buffer) as writer:  # noqa: PT011
        writer.write(b"more")


def test_a_vector_grows_until_the_segment_is_full(segment: ManagedSharedMemory) -> None:
    free = segment.free_memory
    vector = VectorIO(segment, "v")
    for n in range(1000):
        vector.write(bytes([n % 256]) * 100)
    assert vector.getvalue() == b"".join(bytes([n % 256]) * 100 for n in range(1000))
    before = len(vector)
    with pytest.raises(SegmentFullError):
        vector.write(bytes(1 << 20))
    with pytest.raises(SegmentFullError):
        vector.reserve(1 << 50)
    vector.seek(segment.free_memory + before)
    with pytest.raises(SegmentFullError):
        vector.write(b"x")
    vector.seek(before)
    assert (len(vector), vector.tell()) == (before, before)
    assert segment.free_memory > 690_000  # nothing was taken for what did not fit
    vector.reserve(120_000)
    assert segment.check_sanity()
    segment.destroy(VectorIO, "v")
    with pytest.raises(ClosedError):
        vector.read()
    del vector
    assert segment.free_memory == free


def test_handles_have_their_own_positions(segment: ManagedSharedMemory, stream: Any) -> None:
    other = type(stream)(segment, "s")
    stream.write(b"abc")
    assert (other.read(), other.tell(), other == stream) == (b"abc", 3, True)
    copy = pickle.loads(pickle.dumps(other))
    assert (copy, copy.tell()) == (stream, 3)
    with other:
        pass
    for use in (
        other.read,
        other.tell,
        lambda: other.write(b"x"),
        lambda: next(other),
        other.flush,
        lambda: len(other),
    ):
        with pytest.raises(ValueError, match="closed file"):
            use()
    stream.write(b"d")
    assert stream.getvalue() == b"abcd"
    segment.close()
    for use in (stream.read, lambda: stream.write(b"x"), lambda: stream.seek(0), lambda: len(stream)):
        with pytest.raises(ClosedError):
            use()


def test_options_and_types_are_checked(segment: ManagedSharedMemory) -> None:
    BufferIO(segment, "b", 10)
    assert repr(BufferIO(segment, "b")) == "<aioipc.BufferIO 'b' [0 of 10 bytes]>"
    with pytest.raises(OptionMismatchError, match="'b' exists with size=10, not 11"):
        BufferIO(segment, "b", 11)
    with pytest.raises(TypeMismatchError):
        VectorIO(segment, "b")
    with pytest.raises(AlreadyExistsError):
        segment.construct(BufferIO, "b", 10)
    for size in (0, -1, 1 << 62):
        with pytest.raises(ValueError, match="at least 1 byte"):
            BufferIO(segment, "c", size)
    with pytest.raises(SegmentFullError):
        BufferIO(segment, "c", 1 << 40)
    with pytest.raises(TypeError, match="a new BufferIO needs a size"):
        BufferIO(segment, "c")
    stream = VectorIO(segment)
    for wrong in (
        lambda: stream.write("text"),
        lambda: stream.readinto(b"read-only"),
        lambda: stream.seek(1.5),
    ):  # type: ignore[arg-type]
        with pytest.raises((TypeError, BufferError, ValueError)):
            wrong()
    for wrong in (lambda: stream.seek(-1), lambda: stream.seek(0, 3), lambda: stream.seek(1 << 62)):
        with pytest.raises(ValueError, match=r"position|whence"):
            wrong()


@pytest.mark.parametrize("word", [0, 8])
@pytest.mark.parametrize("value", [1, 300, 1 << 20, 1 << 40, (1 << 64) - 1])
@pytest.mark.parametrize("kind", ["buffer", "vector"])
def test_damaged_sizes_are_found_not_followed(
    segment: ManagedSharedMemory, kind: str, word: int, value: int
) -> None:
    stream: Any = BufferIO(segment, "s", 200) if kind == "buffer" else VectorIO(segment, "s")
    stream.write(b"x" * 200)
    path = f"/dev/shm/{segment.name}"
    with open(path, "r+b") as memory:
        at = memory.read().index((200).to_bytes(8, "little"), stream.pin.offset + 64)
        memory.seek(at + word)
        before = memory.read(8)
        memory.seek(at + word)
        memory.write(value.to_bytes(8, "little"))
    stream.seek(0)
    for use in (
        stream.read,
        lambda: stream.write(b"y" * 500),
        lambda: stream.truncate(1000),
        lambda: len(stream),
    ):
        with contextlib.suppress(CorruptSegmentError, OSError, ValueError, SegmentFullError):
            use()
    with open(path, "r+b") as memory:
        memory.seek(at)
        memory.write((200).to_bytes(8, "little"))
        if word == 8:
            memory.seek(at + word)
            memory.write(before)
    assert len(type(stream)(segment, "s").getvalue()) == 200


# --------------------------------------------------------------------------------------------- a model


@settings(max_examples=100, deadline=None)
@given(data=st.data(), room=st.sampled_from([0, 50, 1000]))
def test_it_is_a_bytes_io(data: st.DataObject, room: int) -> None:
    sizes = st.integers(0, 1200)
    steps = data.draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("write"), st.binary(max_size=700)),
                st.tuples(st.just("read"), sizes),
                st.tuples(st.just("seek"), sizes),
                st.tuples(st.just("truncate"), sizes),
                st.tuples(st.just("readline"), sizes),
            ),
            max_size=20,
        )
    )
    model = io.BytesIO()
    with ManagedSharedMemory.create(f"aioipc-test-stream-{os.getpid()}", 1 << 18) as segment:
        stream: Any = BufferIO(segment, "s", room) if room else VectorIO(segment, "s")
        for name, argument in steps:
            if room and name == "write" and argument:
                argument = argument[: max(room - model.tell(), 0)]
            if name == "truncate":
                size = min(argument, room) if room else argument
                model.truncate(size)
                at = model.seek(0, os.SEEK_END), model.tell()
                model.write(bytes(size - at[0]))  # BytesIO only cuts
                model.seek(stream.tell())
                stream.truncate(size)
            else:
                assert getattr(stream, name)(argument) == getattr(model, name)(argument)
            assert (stream.tell(), stream.getvalue()) == (model.tell(), model.getvalue())
        assert segment.check_sanity()
        segment.close()
    ManagedSharedMemory.remove(f"aioipc-test-stream-{os.getpid()}")


# ----------------------------------------------------------------------------------------- processes


def logging(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        log = VectorIO(segment, "log")
        log.seek(0, os.SEEK_END)
        test.send("going")
        while True:
            log.write(b"<" + b"x" * 300 + b">")


def test_readers_see_whole_writes_also_of_a_killed_writer(spawn: Spawn, segment_name: str) -> None:
    record = b"<" + b"x" * 300 + b">"
    with ManagedSharedMemory.create(segment_name, 8 << 20) as segment:
        log, seen = VectorIO(segment, "log"), 0
        for _ in range(3):
            peer = spawn(logging, segment_name)
            assert peer.receive() == "going"
            while (more := log.read()) == b"":
                pass
            for _ in range(20):
                assert more.count(record) * len(record) == len(more)
                seen += len(more)
                more = log.read()
            os.kill(peer.pid, signal.SIGKILL)
            peer.wait()
            more += log.read()
            assert more.count(record) * len(record) == len(more)
            seen += len(more)
            assert segment.check_sanity()
            log.truncate(0)
            log.seek(0)
        assert seen > 0
