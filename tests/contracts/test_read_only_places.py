"""Structs, arrays, atomic numbers and primitives of segments that are only read."""

import asyncio
import dataclasses
import pickle
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy
import pytest

import aioipc
from aioipc import (
    Array,
    AtomicBool,
    AtomicFlag,
    AtomicInt64,
    AtomicUInt32,
    Barrier,
    BoundedSemaphore,
    CapacityLimiter,
    ClosedError,
    Condition,
    CorruptSegmentError,
    Event,
    Leader,
    Lock,
    ManagedMappedFile,
    ManagedSharedMemory,
    NotFoundError,
    OffsetPtr,
    Once,
    Queue,
    ReadOnlyError,
    RLock,
    RWLock,
    Semaphore,
    Struct,
    TypeMismatchError,
)
from tests.support.kinds import COPIED, KINDS, SIZE, Kind
from tests.support.peers import Link


class Point(Struct):
    x: aioipc.float64
    y: aioipc.float64


class Node(Struct):
    name: aioipc.fixed_str[16]
    raw: aioipc.fixed_bytes[3]
    value: aioipc.int32
    on: aioipc.bool_
    hits: AtomicInt64
    at: Point
    row: aioipc.uint16[4]
    grid: aioipc.float32[2, 3]
    points: Point[2]
    next: OffsetPtr["Node"]
    start: aioipc.uint8 = 9


@pytest.fixture(params=COPIED)
def kind(request: pytest.FixtureRequest, segment_name: str) -> Iterator[Kind]:
    with KINDS[request.param](segment_name) as kind:
        yield kind


def read_only(kind: Kind, segment: Any) -> Any:
    where = kind.where if kind.where is not None else segment.fileno()
    return kind.cls.open_read_only(where)


def make_node(segment: Any, name: str | None = "node", **more: Any) -> Node:
    return Node(
        segment,
        name,
        name="Tee",
        raw=b"abc",
        value=-5,
        on=True,
        at={"x": 1.5, "y": 2.5},
        row=[1, 2, 3, 4],
        **more,
    )


# ------------------------------------------------------------------------------------------- structs


def test_the_fields_of_a_struct_are_read_as_others_write_them(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        assert reader.find(Node, "node") is None
        node = make_node(segment)
        seen = reader.find(Node, "node")
        assert (seen.name, seen.raw, seen.value, seen.on, seen.start) == ("Tee", b"abc", -5, True, 9)
        assert (seen.at.x, seen.at.y, seen.row.tolist()) == (1.5, 2.5, [1, 2, 3, 4])
        node.value, node.at.x, node.row[2], node.grid[1, 2], node.points[1].y = 77, 8.0, 9, 0.25, 4.0
        node.hits.add(3)
        assert (seen.value, seen.at.x, seen.row[2], seen.grid[1, 2], seen.points[1].y) == (
            77,
            8.0,
            9,
            0.25,
            4.0,
        )
        assert (seen.hits.load(), int(seen.hits), seen.row[-1]) == (3, 3, 4)
        assert [point.y for point in seen.points] == [0.0, 4.0]
        assert "Node" in repr(seen)


def test_several_structs_are_an_array(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        segment.construct_each(Point, "points", [(n, -n) for n in range(5)])
        seen = reader.find(Point, "points")
        assert len(seen) == 5
        assert [(one.x, one.y) for one in seen] == [(n, -n) for n in range(5)]
        assert seen[-1].x == 4
        with pytest.raises(TypeError, match="5 elements"):
            seen.x  # noqa: B018
        with pytest.raises(IndexError):
            seen[5]


def test_a_pointer_is_followed(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        block = segment.allocate(10)
        memoryview(block)[:2] = b"hi"
        last = make_node(segment, None)
        node = make_node(segment, next=last)
        seen = reader.find(Node, "node")
        assert seen.next
        assert seen.next.get().name == "Tee"
        assert not seen.next.get().next
        assert seen.next.get().next.get() is None
        last.next = block
        assert bytes(seen.next.get().next.get())[:2] == b"hi"
        segment.destroy_object(last)
        with pytest.raises(NotFoundError):
            seen.next.get()
        node.next = None
        assert seen.next.get() is None


def test_another_declaration_is_refused(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        make_node(segment)
        Array(segment, "array", "f8", 3)
        Lock(segment, "lock")
        for name, type in (
            ("node", Point),
            ("array", Point),
            ("lock", Point),
            ("node", Array),
            ("node", Lock),
        ):
            with pytest.raises(TypeMismatchError):
                reader.find(type, name)
        with pytest.raises(TypeMismatchError):
            reader.find(AtomicInt64, "lock")
        with pytest.raises(TypeMismatchError, match="a Node, not a Point"):
            reader.find(Point, "node")
        with pytest.raises(TypeError, match="subclass"):
            reader.find(Struct, "node")


# -------------------------------------------------------------------------------------------- arrays


def test_an_array_is_shared_with_numpy_and_cannot_be_written(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        array = Array(segment, "prices", "f8", (3, 4))
        seen = reader.find(Array, "prices")
        assert (seen.shape, seen.dtype, seen.nbytes, len(seen)) == ((3, 4), "float64", 96, 3)
        view = numpy.asarray(seen)
        assert (view.shape, view.dtype, view.flags.writeable, view.flags.owndata) == (
            (3, 4),
            numpy.float64,
            False,
            False,
        )
        array[1, 2] = 7.5
        assert (view[1, 2], seen[1, 2], seen[1].tolist(), seen[1:2][0][2]) == (7.5, 7.5, [0, 0, 7.5, 0], 7.5)
        assert seen.tolist() == array.tolist()
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.setflags(write=True)
        with pytest.raises(BufferError):
            reader.close()
        del view
        with memoryview(seen) as plain:
            assert (plain.readonly, plain.shape, plain.format) == (True, (3, 4), "d")
            with pytest.raises(TypeError):
                plain[0, 0] = 1
        row = numpy.asarray(seen[1])
        assert row.tolist() == [0, 0, 7.5, 0]
        del row


def test_arrays_of_structs_texts_and_atomics_are_read(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        points = Array(segment, "points", Point, 3)
        points[1].x = 4.0
        texts = Array(segment, "texts", "fixed_str[8]", 2)
        texts[1] = "ü"
        numbers = Array(segment, "numbers", "AtomicInt64", 2)
        numbers[0].add(5)
        assert reader.find(Array, "points")[1].x == 4.0
        assert numpy.asarray(reader.find(Array, "points"))["x"].tolist() == [0.0, 4.0, 0.0]
        assert reader.find(Array, "texts").tolist() == ["", "ü"]
        assert [number.load() for number in reader.find(Array, "numbers")] == [5, 0]
        with pytest.raises(BufferError):
            memoryview(reader.find(Array, "numbers"))
        with pytest.raises(BufferError):
            memoryview(reader.find(Array, "points")[0])


def test_atomic_numbers_are_loaded(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        made = [
            (AtomicInt64, -(2**63)),
            (AtomicUInt32, 2**32 - 1),
            (AtomicBool, True),
            (AtomicFlag, True),
        ]
        for cls, value in made:
            cls(segment, cls.__name__, value)
            seen = reader.find(cls, cls.__name__)
            assert (seen.load(), seen.test()) == (value, True)


# ---------------------------------------------------------------------------------------- primitives


def primitives_of(segment: Any) -> list[Any]:
    lock = Lock(segment, "l")
    return [
        lock,
        RLock(segment, "r"),
        RWLock(segment, "rw"),
        Semaphore(segment, "s", 3),
        BoundedSemaphore(segment, "b", 2),
        Event(segment, "e"),
        Barrier(segment, "ba", 2),
        CapacityLimiter(segment, "li", 4),
        Once(segment, "o"),
        Leader(segment, "le"),
        Condition(segment, "c", lock),
        Condition(segment, "co"),
    ]


LOCKS = ("l", "r", "rw", "b", "o", "le", "c", "co")


def test_the_state_of_primitives_is_seen(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        made = {one.name: one for one in primitives_of(segment)}
        seen = {one.name: reader.find(type(one), one.name) for one in made.values()}
        assert not any(seen[name].locked() for name in (*LOCKS, "s"))
        assert (seen["s"].value, seen["e"].is_set(), seen["ba"].parties, seen["ba"].broken) == (
            3,
            False,
            2,
            False,
        )
        assert (seen["o"].done, seen["le"].term, seen["li"].available_tokens) == (False, 0, 4)
        with ExitStack() as stack:
            for name in ("l", "r", "li", "le", "co", "o", "s", "b"):
                stack.enter_context(made[name].blocking)
            stack.enter_context(made["b"].blocking)
            stack.enter_context(made["rw"].blocking.read())
            assert all(seen[name].locked() for name in LOCKS)
            assert (seen["s"].value, seen["b"].value, seen["li"].borrowed_tokens) == (2, 0, 1)
            assert seen["l"].statistics() == dataclasses.replace(made["l"].statistics(), mine=False)
            assert seen["rw"].statistics().readers == 1
            assert [seen[name].statistics() for name in ("b", "c", "ba", "e")] == [
                made[name].statistics() for name in ("b", "c", "ba", "e")
            ]
            made["e"].set()
        assert (seen["o"].done, seen["le"].term, seen["e"].is_set()) == (True, 1, True)
        assert (seen["l"].abandoned, seen["rw"].abandoned, seen["ba"].n_waiting) == (False, False, 0)
        assert seen["l"].name == "l"
        segment.destroy(Lock, "l")
        with pytest.raises(ClosedError):
            seen["l"].locked()
        assert not seen["c"].locked()  # its lock is gone


def hold(test: Link, name: str) -> None:
    with (
        ManagedSharedMemory.open(name) as segment,
        Lock(segment, "l").blocking,
        RWLock(segment, "rw").blocking.write(),
    ):
        test.sync("held")


def test_a_holders_death_is_seen_without_a_lock(segment_name: str, spawn: Any) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach") as segment:
        Lock(segment, "l"), RWLock(segment, "rw")
        peer = spawn(hold, segment_name)
        assert peer.receive() == "held"
        with ManagedSharedMemory.open_read_only(segment_name) as reader:
            lock, rw = reader.find(Lock, "l"), reader.find(RWLock, "rw")
            assert (lock.statistics().owner_pid, rw.statistics().owner_pid) == (peer.pid, peer.pid)
            peer.kill()
            assert segment.check_sanity()
            assert (lock.locked(), lock.abandoned) == (False, True)
            assert (rw.locked(), rw.abandoned) == (False, True)


# ------------------------------------------------------------------------------------------ refusing


def changes_of_places(node: Any, array: Any, number: Any) -> list[Any]:
    return [
        lambda: setattr(node, "value", 1),
        lambda: setattr(node.at, "x", 1),
        lambda: node.row.__setitem__(0, 1),
        lambda: node.row.fill(1),
        lambda: node.hits.add(1),
        lambda: node.next.set(None),
        lambda: array.__setitem__((0, 0), 1),
        lambda: array.fill(1),
        lambda: number.store(1),
        lambda: number.fetch_add(1),
        lambda: number.compare_exchange(0, 1),
        lambda: number.exchange(1),
    ]


def changes_of_primitives(lock: Any, semaphore: Any, event: Any, rw: Any) -> list[Any]:
    return [
        lambda: lock.acquire_nowait(),
        lambda: lock.release(),
        lambda: asyncio.run(lock.acquire()),
        lambda: semaphore.release(),
        lambda: event.set(),
        lambda: event.wait(),
        lambda: rw.read(),
    ]


def test_whatever_would_change_something_is_refused(kind: Kind) -> None:
    with kind.create() as segment, read_only(kind, segment) as reader:
        made = [make_node(segment), Array(segment, "array", "f8", (2, 2)), AtomicInt64(segment, "number")]
        primitives = [
            Lock(segment, "l"),
            Semaphore(segment, "s", 1),
            Event(segment, "e"),
            RWLock(segment, "rw"),
        ]
        names = ("node", "array", "number")
        places = [reader.find(type(one), name) for one, name in zip(made, names, strict=True)]
        peeks = [reader.find(type(one), one.name) for one in primitives]
        image = kind.image()
        for change in changes_of_places(*places) + changes_of_primitives(*peeks):
            with pytest.raises(ReadOnlyError, match="read-only"):
                change()
        for thing in places + peeks:
            with pytest.raises(AttributeError):
                thing.no_such_thing  # noqa: B018
            with pytest.raises(TypeError):
                pickle.dumps(thing)
        assert kind.image() == image
        for cls in (Node, Array):
            with pytest.raises((ReadOnlyError, TypeError)):
                cls(reader, "node")


def test_destroyed_and_closed_are_errors(kind: Kind) -> None:
    with kind.create() as segment:
        reader = read_only(kind, segment)
        make_node(segment)
        Array(segment, "array", "f8", 3)
        AtomicInt64(segment, "number", 5)
        node, array, number = (
            reader.find(Node, "node"),
            reader.find(Array, "array"),
            reader.find(AtomicInt64, "number"),
        )
        part = node.at
        segment.destroy(Node, "node")
        for use in (lambda: node.value, lambda: node.hits, lambda: part.x):
            with pytest.raises(ClosedError, match="destroyed"):
                use()
        reader.close()
        for use in (lambda: array[0], lambda: numpy.asarray(array)[0], number.load):
            with pytest.raises((ClosedError, TypeError)):
                use()
        with pytest.raises(ClosedError):
            memoryview(array)


def test_one_that_was_not_found_is_no_crash() -> None:
    for cls in (aioipc.ReadOnlyStruct, aioipc.ReadOnlyArray, aioipc.ReadOnlyAtomic):
        made: Any = cls()
        with pytest.raises((TypeError, AttributeError, BufferError)):
            memoryview(made)
        for use in ("_load", "_followed"):
            with pytest.raises((TypeError, AttributeError)):
                getattr(made, use)()
        with pytest.raises((TypeError, AttributeError)):
            made._item(0)
        with pytest.raises((TypeError, AttributeError)):
            made._field("x")


def write_on(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        test.sync("writing")
        for n in range(10**9):
            node = make_node(segment)
            node.row = [n % 60000] * 4
            segment.destroy(Node, "node")
            segment.deallocate(segment.allocate(n % 3000))


def test_structs_that_come_and_go_are_read_true_or_not_at_all(segment_name: str, spawn: Any) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach"):
        peer = spawn(write_on, segment_name)
        assert peer.receive() == "writing"
        peer.go()
        with ManagedSharedMemory.open_read_only(segment_name) as reader:
            found = 0
            while found < 500:
                node = reader.find(Node, "node")
                try:
                    if node is not None:
                        assert (node.name, node.value, node.raw) == ("Tee", -5, b"abc")
                        found += 1
                except ClosedError:
                    pass
        peer.kill()


def test_hostile_bytes_are_no_signal(tmp_path) -> None:
    path = tmp_path / "segment"
    with ManagedMappedFile.create(path, 64 << 10, participants=1) as segment:
        other = make_node(segment, None)
        make_node(segment, next=other)
        Array(segment, "array", "f8", (20, 4))
        Lock(segment, "l"), RWLock(segment, "rw"), Queue(segment, "q"), CapacityLimiter(segment, "li", 3)
        Condition(segment, "c", Lock(segment, "l"))
    content = path.read_bytes()
    noticed = 0
    for at in range(192, len(content) - 8, 88):
        with open(path, "r+b", buffering=0) as file:
            file.seek(at)
            file.write(b"\xff\x7f\x01\x80\xff\xff\xff\x3f")
            try:
                with ManagedMappedFile.open_read_only(path) as reader:
                    node, array = reader.find(Node, "node"), reader.find(Array, "array")
                    if node is not None:
                        node.row.tolist(), node.at.x, node.points[1].y, node.hits.load(), node.name
                        node.next.get()
                    if array is not None:
                        numpy.asarray(array).sum(), array.tolist()
                    for cls, name in ((Lock, "l"), (RWLock, "rw"), (CapacityLimiter, "li"), (Condition, "c")):
                        found = reader.find(cls, name)
                        if found is not None:
                            found.statistics()
            except (CorruptSegmentError, TypeMismatchError, ClosedError, NotFoundError, UnicodeDecodeError):
                noticed += 1
            file.seek(at)
            file.write(content[at : at + 8])
    assert noticed > 5
