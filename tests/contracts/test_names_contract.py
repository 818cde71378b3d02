"""What lists and counts of objects promise, with either index and in every kind of segment."""

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aioipc import (
    Array,
    ClosedError,
    Lock,
    ManagedExternalBuffer,
    ManagedMappedFile,
    ManagedSegment,
    ManagedSharedMemory,
    ObjectInfo,
    Queue,
    ReadOnlyError,
    SegmentFullError,
    Semaphore,
    SharedDict,
    Struct,
    TypeMismatchError,
    WouldBlock,
    int64,
    objects,
    unique_instance,
)
from tests.support.kinds import COPIED, KINDS, REOPENED, Kind

INDEXES = ("hash", "ordered")
NAMES = ["", "a", "ab", "abc", "abd", "b", "b/1", "b/10", "b/2", "naïve", "名前", "𝄞", "z" * 255]


class Pair(Struct):
    first: int64
    second: int64


@pytest.fixture(params=INDEXES)
def index(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, segment_name: str) -> Iterator[Kind]:
    with KINDS[request.param](segment_name) as kind:
        yield kind


@pytest.fixture
def segment(segment_name: str, index: str) -> Iterator[ManagedSegment]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, index=index, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


def named(found: list[ObjectInfo]) -> list[str | None]:
    return [info.name for info in found]


# ------------------------------------------------------------------------------------------ the index


def test_a_segment_says_which_index_it_has(kind: Kind, index: str) -> None:
    with kind.create(index=index) as segment:
        assert segment.index == index
        for name in NAMES:
            Lock(segment, name)
        assert named(segment.named_objects()) == sorted(NAMES)
        assert all(isinstance(segment.find(Lock, name), Lock) for name in NAMES)
        assert segment.check_sanity()


def test_hash_is_what_one_gets_without_asking(kind: Kind) -> None:
    with kind.create() as segment:
        assert segment.index == "hash"


def test_an_index_that_there_is_not_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match="index must be 'hash' or 'ordered', not 'btree'"):
        kind.create(index="btree")


@pytest.mark.parametrize("kind", REOPENED, indirect=True)
def test_who_opens_it_finds_the_same_index(kind: Kind, index: str) -> None:
    with kind.create(index=index) as segment, kind.again() as again:
        Lock(again, "b")
        Lock(segment, "a")
        assert again.index == index
        assert named(again.named_objects()) == named(segment.named_objects()) == ["a", "b"]


@pytest.mark.parametrize("kind", COPIED, indirect=True)
def test_a_copy_keeps_the_index(kind: Kind, index: str, tmp_path: Any) -> None:
    with kind.create(index=index) as segment:
        for name in NAMES:
            Lock(segment, name)
        segment.snapshot(tmp_path / "copy")
    with ManagedMappedFile.open(tmp_path / "copy") as copy:
        assert copy.index == index
        Lock(copy, "ac")
        assert named(copy.named_objects(prefix="a")) == ["a", "ab", "abc", "abd", "ac"]
        assert copy.check_sanity()


@pytest.mark.parametrize("kind", COPIED, indirect=True)
def test_a_copy_made_while_a_block_is_open_has_nothing_of_it(kind: Kind, index: str, tmp_path: Any) -> None:
    with kind.create(index=index) as segment:
        SharedDict(segment, "old")["is"] = "old"
        with segment.atomic():
            segment.destroy(SharedDict, "old")
            SharedDict(segment, "old")["is"] = "new"
            Lock(segment, "more")
            Lock(segment)
            segment.snapshot(tmp_path / "copy")
            image = bytearray(kind.image())
        assert named(segment.named_objects()) == ["more", "old"]
    for copy in (ManagedMappedFile.open(tmp_path / "copy"), ManagedExternalBuffer.open(image)):
        with copy:
            assert named(copy.named_objects()) == ["old"]
            assert copy.find(SharedDict, "old")["is"] == "old"
            assert copy.check_sanity()
            with copy.atomic():
                Lock(copy, "more")


# ------------------------------------------------------------------------------------------ the lists


def test_a_record_says_what_an_object_is_and_leads_to_it(segment: ManagedSegment) -> None:
    lock = Lock(segment, "lock")
    pairs = segment.construct(Pair, "pairs", count=3)
    Queue(segment, unique_instance)
    of_lock, of_pairs = segment.named_objects()
    (of_queue,) = segment.unique_objects()
    assert (of_lock.name, of_lock.kind, of_lock.type, of_lock.type_name) == ("lock", "named", Lock, "Lock")
    assert (of_lock.count, of_lock.size, of_lock.pins) == (1, 64, 1)
    assert (of_pairs.type, of_pairs.count, of_pairs.pins) == (Pair, 3, 1)
    assert of_pairs.size >= 48
    assert (of_queue.name, of_queue.kind, of_queue.type, of_queue.pins) == (None, "unique", Queue, 0)
    assert of_lock.find() == lock
    assert of_pairs.find() == pairs
    assert isinstance(of_queue.find(), Queue)
    with pytest.raises(dataclasses.FrozenInstanceError):
        of_lock.name = "other"  # type: ignore[misc]
    assert repr(of_lock).startswith("ObjectInfo(name='lock', kind='named', ")


def test_a_record_does_not_lead_to_whoever_has_the_name_now(segment: ManagedSegment) -> None:
    Lock(segment, "x")
    (before,) = segment.named_objects()
    segment.destroy(Lock, "x")
    assert before.find() is None
    Lock(segment, "x")
    assert before.find() is None
    assert segment.named_objects()[0].find() is not None


def test_a_type_that_this_process_does_not_know_has_a_name_all_the_same(
    segment: ManagedSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pair(segment, "pair")
    Array(segment, "array", "f8", (2, 3))
    monkeypatch.setattr(objects, "_types", {})
    array, pair = segment.named_objects()
    assert (pair.type, pair.type_name, array.type) == (None, "Pair", None)
    assert array.type_name.startswith("object of unknown type")
    with pytest.raises(TypeMismatchError, match="Pair has no class in this process: import its module"):
        pair.find()


RANGES: list[dict[str, str]] = [
    {},
    {"prefix": ""},
    {"prefix": "b"},
    {"prefix": "b/1"},
    {"prefix": "ab"},
    {"prefix": "y"},
    {"prefix": "zzzz"},
    {"start": "ab"},
    {"start": "abb"},
    {"start": "zzzz"},
    {"stop": "b"},
    {"stop": ""},
    {"start": "ab", "stop": "b/2"},
    {"start": "b", "stop": "a"},
    {"prefix": "a", "start": "abc"},
    {"prefix": "b/", "start": "a", "stop": "b/10"},
    {"prefix": "b/", "start": "b/10", "stop": "c"},
    {"prefix": "名", "start": "", "stop": "𝄞"},
]


@pytest.mark.parametrize("wanted", RANGES, ids=str)
def test_a_range_is_what_sorting_and_filtering_gives(segment: ManagedSegment, wanted: dict[str, str]) -> None:
    for name in reversed(NAMES):
        Lock(segment, name)
    Lock(segment, unique_instance)
    expected = [
        name
        for name in sorted(NAMES)
        if name.startswith(wanted.get("prefix", ""))
        and name >= wanted.get("start", "")
        and ("stop" not in wanted or name < wanted["stop"])
    ]
    assert named(segment.named_objects(**wanted)) == expected


def test_lists_are_of_one_moment(segment: ManagedSegment) -> None:
    """Somebody moves an object from name to name: each list has exactly one of them, or none for a moment."""
    done = threading.Event()

    def move() -> None:
        for turn in range(400):
            Lock(segment, f"at {turn % 7}")
            segment.destroy(Lock, f"at {turn % 7}")
        done.set()

    mover = threading.Thread(target=move)
    mover.start()
    while not done.is_set():
        assert len(segment.named_objects()) <= 1
    mover.join()
    assert segment.named_objects() == []


def test_counts_are_of_names_and_of_unique_instances(segment: ManagedSegment) -> None:
    assert (segment.num_named_objects, segment.num_unique_objects) == (0, 0)
    Lock(segment, "a")
    Lock(segment, "b")
    Lock(segment, unique_instance)
    Lock(segment)
    assert (segment.num_named_objects, segment.num_unique_objects) == (2, 1)
    segment.destroy(Lock, "a")
    segment.destroy(Lock, unique_instance)
    assert (segment.num_named_objects, segment.num_unique_objects) == (1, 0)


def test_lists_of_a_closed_segment_raise(kind: Kind, index: str) -> None:
    segment = kind.create(index=index)
    Lock(segment, "a")
    (info,) = segment.named_objects()
    segment.close()
    for use in (segment.named_objects, segment.unique_objects, info.find, lambda: segment.num_named_objects,
                lambda: segment.index, lambda: segment.reserve_named_objects(1), segment.atomic):  # fmt: skip
        with pytest.raises(ClosedError):
            use()


# ------------------------------------------------------------------------------------------ room


def test_reserved_names_need_no_further_room(segment: ManagedSegment) -> None:
    start = segment.free_memory
    segment.reserve_named_objects(1000)
    reserved = segment.free_memory
    assert reserved < start
    Lock(segment, "a")
    taken = reserved - segment.free_memory
    segment.reserve_unique_objects(500)
    assert segment.free_memory == reserved - taken
    for number in range(900):
        Lock(segment, f"n{number}")
        segment.destroy(Lock, f"n{number}")
    segment.destroy(Lock, "a")
    segment.shrink_to_fit_indexes()
    assert segment.free_memory == start


def test_reserving_more_than_there_is_changes_nothing(segment: ManagedSegment) -> None:
    start = segment.free_memory
    with pytest.raises(SegmentFullError):
        segment.reserve_named_objects(1 << 30)
    for wrong in (-1, 1 << 60):
        with pytest.raises(ValueError, match="n must be between 0"):
            segment.reserve_named_objects(wrong)
    with pytest.raises(TypeError, match="n must be an int, not 'many'"):
        segment.reserve_unique_objects("many")  # type: ignore[arg-type]
    assert segment.free_memory == start


def test_a_table_that_is_needed_is_not_made_smaller(segment: ManagedSegment) -> None:
    for number in range(500):
        Lock(segment, f"n{number}")
    segment.shrink_to_fit_indexes()
    assert all(segment.find(Lock, f"n{number}") for number in range(500))
    assert segment.num_named_objects == 500


# ------------------------------------------------------------------------------------------ read-only


@pytest.mark.parametrize("kind", ["shared_memory", "mapped_file"], indirect=True)
def test_a_reader_lists_them_too(kind: Kind, index: str) -> None:
    with kind.create(index=index) as segment:
        for name in NAMES:
            SharedDict(segment, name)["name"] = name
        Lock(segment, unique_instance)
        with kind.cls.open_read_only(kind.where) as reader:
            assert (reader.index, reader.num_named_objects, reader.num_unique_objects) == (
                index,
                len(NAMES),
                1,
            )
            assert named(reader.named_objects()) == sorted(NAMES)
            assert named(reader.named_objects(prefix="b", start="b/")) == ["b/1", "b/10", "b/2"]
            first = reader.named_objects()[0]
            found = first.find()
            assert found is not None
            assert found["name"] == first.name  # type: ignore[index]
            (unique,) = reader.unique_objects()
            assert unique.find() is not None
            segment.destroy(SharedDict, "")
            SharedDict(segment, "")
            assert first.find() is None
            for refused in (reader.atomic, reader.atomic_nowait, reader.reserve_named_objects,
                            reader.shrink_to_fit_indexes):  # fmt: skip
                with pytest.raises(ReadOnlyError):
                    refused()


@pytest.mark.parametrize("kind", ["shared_memory", "mapped_file"], indirect=True)
def test_a_reader_sees_a_block_when_it_has_ended(kind: Kind, index: str) -> None:
    with kind.create(index=index) as segment, kind.cls.open_read_only(kind.where) as reader:
        SharedDict(segment, "old")["is"] = "old"
        with segment.atomic():
            segment.destroy(SharedDict, "old")
            SharedDict(segment, "old")["is"] = "new"
            SharedDict(segment, "more")
            old = reader.find(SharedDict, "old")
            assert old["is"] == "old"
            assert named(reader.named_objects()) == ["old"]
            assert reader.find(SharedDict, "more") is None
        with pytest.raises(ClosedError):
            old["is"]
        assert reader.find(SharedDict, "old")["is"] == "new"
        assert named(reader.named_objects()) == ["more", "old"]


# ------------------------------------------------------------------------------------------ constructing


def test_a_constructor_that_fails_leaves_nothing(segment: ManagedSegment) -> None:
    free = segment.free_memory
    for wrong in (
        lambda: segment.construct(Pair, "p", first="text"),
        lambda: segment.construct_each(Pair, "p", [(1, 2), (3,)]),
        lambda: segment.construct(Array, "p", "no such type", 3),
        lambda: Semaphore(segment, "p", -1),
    ):
        with pytest.raises((TypeError, ValueError)):
            wrong()
        assert segment.num_named_objects == 0
        assert segment.free_memory == free


def test_constructing_inside_of_constructing(segment: ManagedSegment) -> None:
    class Nested(Struct):
        inner: int64

    def items() -> Iterator[tuple[int]]:
        for number in range(3):
            Lock(segment, f"beside {number}")
            yield (number,)

    found = segment.construct_each(Nested, "nested", items())
    assert [element.inner for element in found] == [0, 1, 2]  # type: ignore[attr-defined]
    assert segment.num_named_objects == 4


def test_a_name_may_be_empty(segment: ManagedSegment) -> None:
    lock = Lock(segment, "")
    assert (lock.name, segment.find(Lock, "")) == ("", lock)
    with pytest.raises(TypeMismatchError):
        SharedDict(segment, "")
    assert segment.destroy(Lock, "")
    assert segment.find(Lock, "") is None


def test_the_type_is_looked_at_whoever_declares_it(segment: ManagedSegment) -> None:
    """A class of another module is the same type when it has the same name and fields, and no other one."""
    here, there, otherwise = (
        type(Struct)("Price", (Struct,), {"__annotations__": {"value": number}, "__module__": module})
        for number, module in ((int64, "here"), (int64, "there"), (objects._core.Scalar("int32"), "there"))
    )
    segment.construct(here, "price", value=7)
    assert segment.find(there, "price").value == 7
    with pytest.raises(TypeMismatchError, match="field 1 is stored as value:int64"):
        segment.find(otherwise, "price")
    with pytest.raises(TypeMismatchError, match="is a Price, not a Lock"):
        segment.find_or_construct(Lock, "price")


def test_what_a_block_touched_is_refused_in_words(segment: ManagedSegment) -> None:
    Lock(segment, "old")
    refused: list[str] = []

    def other() -> None:
        for change in (lambda: Lock(segment, "new"), lambda: segment.destroy(Lock, "old")):
            try:
                change()
            except WouldBlock as error:
                refused.append(str(error))

    with segment.atomic():
        Lock(segment, "new")
        segment.destroy(Lock, "old")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 2
    assert all("async with segment.atomic()" in text for text in refused)
