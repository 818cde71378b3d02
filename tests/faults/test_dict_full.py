"""A dict in a full segment: what does not fit is refused, nothing changes, and what needs no memory works."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aioipc import MISSING, Block, ManagedSharedMemory, SegmentFullError, SharedDict

Dict = SharedDict[Any, Any]
BIG = "x" * 200_000


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, participants=4, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture
def d(segment: ManagedSharedMemory) -> Dict:
    d: Dict = SharedDict(segment, "d")
    d.update((i, [i, "value"]) for i in range(100))
    d["big"] = "y" * 1000
    return d


def fill(segment: ManagedSharedMemory) -> list[Block]:
    """Takes all memory, down to the smallest block."""
    blocks = []
    for size in (1 << 18, 1 << 14, 1 << 10, 64, 16, 1):
        while (block := segment.try_allocate(size)) is not None:
            blocks.append(block)
    return blocks


# Each has to allocate.
WRITES: dict[str, Callable[[Dict], Any]] = {
    "insert": lambda d: d.__setitem__("new", 1),
    "insert big": lambda d: d.__setitem__("new", BIG),
    "replace": lambda d: d.__setitem__(5, 1),
    "replace by something big": lambda d: d.__setitem__(5, BIG),
    "setdefault": lambda d: d.setdefault("new", 1),
    "update": lambda d: d.update({"new": 1}),
    "|=": lambda d: d.__ior__({"new": 1}),
    "update_with, new": lambda d: d.update_with("new", lambda _: 1),
    "update_with, replace": lambda d: d.update_with(5, lambda _: "other"),
    "compare_and_set, new": lambda d: d.compare_and_set("new", MISSING, 1),
    "compare_and_set, replace": lambda d: d.compare_and_set(5, [5, "value"], "other"),
    "a long key": lambda d: d.__setitem__("k" * 100_000, 1),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_does_not_fit_changes_nothing_and_works_when_there_is_room(
    segment: ManagedSharedMemory, d: Dict, write: str
) -> None:
    blocks = fill(segment)
    before, free = list(d.items()), segment.free_memory
    for _ in range(3):
        with pytest.raises(SegmentFullError) as caught:
            WRITES[write](d)
        error = caught.value
        assert isinstance(error, MemoryError)
        assert error.asked > 0
        assert error.largest <= error.free == free
        assert list(d.items()) == before
        assert (len(d), segment.free_memory) == (len(before), free)
        assert segment.check_sanity()
    for block in blocks:
        segment.deallocate(block)
    WRITES[write](d)
    assert list(d.items()) != before
    assert list(d)[:101] == [key for key, _ in before]


def test_the_error_says_how_much_was_asked_and_is_free(segment: ManagedSharedMemory, d: Dict) -> None:
    with pytest.raises(SegmentFullError, match=r"dict: 20000[0-9]{2} bytes asked, [0-9]+ free") as caught:
        d["new"] = b"x" * 2_000_000
    assert caught.value.asked >= 2_000_000
    assert caught.value.free == segment.free_memory


def test_an_update_keeps_what_came_before_the_one_that_did_not_fit(d: Dict) -> None:
    d.clear()
    with pytest.raises(SegmentFullError):
        d.update([("a", 1), ("b", b"x" * 2_000_000), ("c", 3)])
    assert d == {"a": 1}


def test_reading_works_in_a_full_segment(segment: ManagedSharedMemory, d: Dict) -> None:
    fill(segment)
    assert d[5] == [5, "value"]
    assert len(list(d.items())) == len(d) == 101
    assert list(reversed(d))[:2] == ["big", 99]
    assert d.copy() == d
    with d.view("big") as view:
        assert view == "y" * 1000
    assert d.setdefault(5, BIG) == [5, "value"]
    assert d.compare_and_set(5, "other", BIG) is False
    assert d.statistics().count == 101


@pytest.mark.parametrize("how", ["del", "pop", "popitem", "clear", "update_with", "compare_and_set"])
def test_taking_away_works_in_a_full_segment(segment: ManagedSharedMemory, d: Dict, how: str) -> None:
    fill(segment)
    free = segment.free_memory
    if how == "clear":
        d.clear()
    for key in reversed(d.copy()):
        if how == "del":
            del d[key]
        elif how == "pop":
            assert d.pop(key) == ("y" * 1000 if key == "big" else [key, "value"])
        elif how == "popitem":
            assert d.popitem()[0] == key
        elif how == "update_with":
            assert d.update_with(key, lambda _: MISSING) is MISSING
        else:
            assert d.compare_and_set(key, d[key], MISSING) is True
    assert (len(d), list(d)) == (0, [])
    assert segment.free_memory > free
    d["a"] = 1
    assert d == {"a": 1}


def test_a_dict_that_fills_the_segment_is_whole_and_goes_on_after_a_delete(
    segment: ManagedSharedMemory,
) -> None:
    d: Dict = SharedDict(segment, "filling")
    with pytest.raises(SegmentFullError):
        d.update((i, i) for i in itertools.count())
    count = len(d)
    assert count > 1000
    assert list(d.items()) == [(i, i) for i in range(count)]
    for _ in range(20):
        assert d.popitem() == (count - 1, count - 1)
        d["again"] = 1
        del d["again"]
        count -= 1
    for i in range(0, count, 2):
        del d[i]
    assert list(d) == list(range(1, count, 2))
    for i in range(0, count, 4):
        d[i] = i
    assert list(d) == [*range(1, count, 2), *range(0, count, 4)]


def test_what_was_deleted_makes_room_for_the_next_write(segment: ManagedSharedMemory, d: Dict) -> None:
    d.clear()
    half = b"x" * int(segment.largest_free_block * 0.6)
    for number in range(5):
        d["half"] = half
        if number % 2:
            d.clear()
        else:
            del d["half"]
        assert d == {}


def test_a_dict_cannot_be_constructed_without_memory_and_leaves_nothing(segment: ManagedSharedMemory) -> None:
    blocks = fill(segment)
    free = segment.free_memory
    for name in ("d", None):
        with pytest.raises(SegmentFullError):
            SharedDict(segment, name)
    assert segment.find(SharedDict, "d") is None
    assert segment.free_memory == free
    for block in blocks:
        segment.deallocate(block)
    assert SharedDict(segment, "d") == {}
