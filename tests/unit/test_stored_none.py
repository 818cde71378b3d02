"""SharedDict between reading and storing: a None that somebody else stored meanwhile is not mistaken."""

import mmap
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from aioipc import MISSING, CorruptSegmentError, ManagedSharedMemory, SharedDict
from tests.support.leaks import SHM

Dict = SharedDict[Any, Any]


class Meanwhile(tzinfo):
    """The zone of a moment; somebody else acts while that is encoded, for the first time."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act

    def utcoffset(self, _: datetime | None) -> timedelta:
        act, self.act = self.act, None
        if act is not None:
            act()
        return timedelta(0)


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment


@pytest.fixture
def d(segment: ManagedSharedMemory) -> Iterator[Dict]:
    yield SharedDict(segment, "d")
    report = segment.check_sanity()
    assert report, report


@pytest.fixture
def moment(segment: ManagedSharedMemory) -> datetime:
    """A value; while it is encoded, another handle stores None."""
    other: Dict = SharedDict(segment, "d")
    return datetime(2026, 1, 1, tzinfo=Meanwhile(lambda: other.update(k=None)))


def test_setdefault_gives_the_none_that_somebody_else_stored_first(d: Dict, moment: datetime) -> None:
    assert d.setdefault("k", moment) is None
    assert dict(d) == {"k": None}


def test_compare_and_set_says_that_somebody_else_stored_none_first(d: Dict, moment: datetime) -> None:
    assert d.compare_and_set("k", MISSING, moment) is False
    assert dict(d) == {"k": None}


def test_update_with_runs_its_function_again_on_the_none_that_somebody_else_stored_first(
    segment: ManagedSharedMemory, d: Dict
) -> None:
    other: Dict = SharedDict(segment, "d")
    seen: list[Any] = []

    def function(value: Any) -> str:
        seen.append(value)
        other.setdefault("k", None)
        return "done"

    assert d.update_with("k", function, "none") == "done"
    assert seen == ["none", None]
    assert dict(d) == {"k": "done"}


def test_update_with_stores_what_it_returns_though_none_came_while_it_was_encoded(
    d: Dict, moment: datetime
) -> None:
    seen: list[Any] = []
    assert d.update_with("k", lambda value: [moment, seen.append(value)][0], "none") == moment
    assert seen == ["none", None]
    assert dict(d) == {"k": moment}


def test_popitem_of_a_damaged_key_says_so(segment: ManagedSharedMemory) -> None:
    d: Dict = SharedDict(segment, "d")
    d["the only key"] = 1
    with (SHM / segment.name).open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        at = memory.find(b"the only key")
        assert at > 0
        memory[at : at + 1] = b"T"
    with pytest.raises(CorruptSegmentError):
        d.popitem()
