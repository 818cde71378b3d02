"""Views of a dict's values: what they show stays as it is and where it is, whatever happens to the dict."""

import gc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from aioipc import ClosedError, ManagedSharedMemory, SegmentFullError, SharedDict
from tests.support.forked import forked
from tests.support.peers import Link, Peer

Dict = SharedDict[Any, Any]
Spawn = Callable[..., Peer]
PINS = 64  # values that one process can keep in place
VALUE = {"name": "Ann", "scores": [1, 2, [3, {"deep": b"deep"}]], "photo": b"\x89PNG" * 2000, "none": None}


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    segment = ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach")
    yield segment
    if not segment.closed:
        report = segment.check_sanity()
        assert report, report
    segment.close(when_released=True)


@pytest.fixture
def d(segment: ManagedSharedMemory) -> Dict:
    return SharedDict(segment, "d")


def settle(d: Dict) -> int:
    """Free memory after what nobody looks at any more has gone: deleting a large value frees at once."""
    for _ in range(2 * PINS):
        d["settle"] = bytes(5000)
        del d["settle"]
    return d.segment.free_memory


# --------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "nil"), (True, "bool"), (-5, "int"), (2**64 - 1, "int"), (0.5, "float"), ("ä" * 300, "str"),
        ("", "str"), (b"", "bytes"), (b"x" * 70_000, "bytes"), ([], "array"), ([1, [2]], "array"),
        ({}, "map"), (VALUE, "map"), (datetime(2024, 2, 29, tzinfo=UTC), "timestamp"),
        (list(range(10_000)), "array"), ({i: str(i) for i in range(2000)}, "map"),
    ],
    ids=lambda part: repr(part)[:20],
)  # fmt: skip
def test_a_view_agrees_with_the_decoded_value(d: Dict, value: Any, kind: str) -> None:
    d["k"] = value
    with d.view("k") as v:
        assert v.kind == kind
        assert v.decode() == d["k"] == value
        assert v == value
        assert len(v.raw) > 0
        if kind == "array":
            assert [part.decode() if hasattr(part, "decode") else part for part in v] == value
            assert len(v) == len(value)
        elif kind == "map":
            assert list(v.keys()) == list(value)
            assert len(v) == len(value)
        elif kind == "bytes":
            assert (bytes(v), memoryview(v).readonly) == (value, True)
        elif kind == "str":
            assert str(v) == value
        elif kind == "int":
            assert int(v) == value
    with pytest.raises(ClosedError):
        v.decode()


def test_a_views_parts_are_read_in_place(d: Dict) -> None:
    d["k"] = VALUE
    with d.view("k") as v:
        assert v["scores"][2][1]["deep"] == b"deep"
        photo = v["photo"]
        assert isinstance(photo, memoryview)
        assert photo.readonly
        assert photo == VALUE["photo"]
        with pytest.raises(KeyError):
            v["absent"]
        assert v.get("absent", 5) == 5
        photo.release()


def test_a_view_of_what_is_not_there_is_a_key_error(d: Dict) -> None:
    with pytest.raises(KeyError) as caught:
        d.view(("not", "there"))
    assert caught.value.args == (("not", "there"),)
    with pytest.raises(TypeError, match="unhashable"):
        d.view([])


# --------------------------------------------------------------------------------------------- stability


def refill(d: Dict) -> None:
    """Takes and overwrites all memory that is free."""
    blocks = []
    for size in (100_000, 10_000, 1000, 100, 16):
        while (block := d.segment.try_allocate(size)) is not None:
            memoryview(block)[:] = b"\xc1" * len(block)
            blocks.append(block)
    for block in blocks:
        d.segment.deallocate(block)


DISTURBANCES: dict[str, Callable[[Dict], Any]] = {
    "replaced": lambda d: d.__setitem__("k", "other"),
    "deleted": lambda d: d.__delitem__("k"),
    "popped": lambda d: d.pop("k"),
    "popped as the last": lambda d: d.popitem(),
    "cleared": lambda d: d.clear(),
    "destroyed": lambda d: d.segment.destroy_object(d),
    "rebuilt": lambda d: [d.update((i, i) for i in range(2000)), d.clear()],
    "updated": lambda d: d.update_with("k", lambda _: None),
}


def shown_while(d: Dict, act: Callable[[], object]) -> None:
    """A view of d["k"], what was taken from it, and `act` meanwhile."""
    d["first"] = 1
    d["k"] = VALUE
    with d.view("k") as v, v["photo"] as photo:
        inner = v["scores"]
        act()
        refill(d)
        assert photo == VALUE["photo"]
        assert inner.decode() == VALUE["scores"]
        assert v.decode() == VALUE
        inner.release()


@pytest.mark.parametrize("how", DISTURBANCES)
def test_a_view_stays_as_it_is_when_its_value_is(d: Dict, how: str) -> None:
    shown_while(d, lambda: DISTURBANCES[how](d))


def disturb(test: Link, name: str) -> None:
    """Does to the dict of the segment what it is told, and overwrites all memory that comes free."""
    with ManagedSharedMemory.open(name) as segment:
        while how := test.receive():
            d: Dict = SharedDict(segment, "d")
            DISTURBANCES[how](d)
            if how != "destroyed":
                settle(d)
            del d
            gc.collect()
            refill(SharedDict(segment, "other"))
            test.send("done")


def test_a_view_stays_as_it_is_whatever_another_process_does(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str
) -> None:
    peer = spawn(disturb, segment_name)
    for how in DISTURBANCES:

        def act(how: str = how) -> None:
            peer.send(how)
            assert peer.receive() == "done"

        shown_while(SharedDict(segment, "d"), act)
    peer.send(None)
    assert peer.result() is None


def test_a_memoryview_outlives_its_view_and_keeps_the_value(d: Dict) -> None:
    d["k"] = VALUE
    with d.view("k") as v:
        photo, inner = v["photo"], v["scores"]
    d.clear()
    settle(d)
    refill(d)
    assert photo == VALUE["photo"]
    assert inner.decode() == VALUE["scores"]
    inner.release()
    photo.release()


def test_each_view_shows_the_value_of_its_time(d: Dict) -> None:
    views = []
    for number in range(PINS // 2):
        d["k"] = [number, b"x" * number]
        views.append(d.view("k"))
    refill(d)
    assert [(v[0], len(v[1])) for v in views] == [(n, n) for n in range(PINS // 2)]
    for v in views:
        v.release()


def test_more_views_than_a_process_has_pins_are_copies_that_are_as_good(d: Dict) -> None:
    count = 3 * PINS
    d.update((i, [i, b"v" * 100]) for i in range(count))
    views = [d.view(i) for i in range(count)]
    d.clear()
    settle(d)
    refill(d)
    for i, v in enumerate(views):
        assert (v[0], v[1]) == (i, b"v" * 100)
    with pytest.raises(BufferError, match=rf"{PINS} exported"):
        d.segment.close()
    for v in views[:10]:
        v.release()
    d["k"] = 1
    again = [d.view("k") for _ in range(10)]  # the pins are free again
    with pytest.raises(BufferError, match=rf"{PINS} exported"):
        d.segment.close()
    for v in (*views, *again):
        v.release()


# ----------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("how", ["release", "with", "del", "cycle"])
def test_memory_comes_back_with_the_last_view(d: Dict, how: str) -> None:
    free = settle(d)
    d["k"] = VALUE
    first, second = d.view("k"), d.view("k")
    del d["k"]
    held = free - settle(d)
    assert held > len(VALUE["photo"])  # type: ignore[arg-type]
    first.release()
    first.release()
    assert free - settle(d) == held
    if how == "release":
        second.release()
    elif how == "with":
        with second:
            pass
    elif how == "cycle":
        knot: list[Any] = [second]
        knot.append(knot)
        del knot
    del second
    gc.collect()
    assert settle(d) == free


def test_room_that_only_a_view_held_is_found_by_the_write_that_needs_it(d: Dict) -> None:
    d["warm"] = 1
    half = b"x" * int(d.segment.largest_free_block * 0.6)
    d["k"] = half
    view = d.view("k")
    del d["k"]
    with pytest.raises(SegmentFullError):
        d["k"] = half
    view.release()
    d["k"] = half
    assert d["k"] == half


def test_a_segment_does_not_close_while_views_live(d: Dict) -> None:
    d["k"] = VALUE
    view = d.view("k")
    photo = view["photo"]
    with pytest.raises(BufferError, match="in use"):
        d.segment.close()
    assert not d.segment.closed
    view.release()
    with pytest.raises(BufferError, match="in use"):
        d.segment.close()
    assert photo == VALUE["photo"]
    photo.release()
    del photo
    d.segment.close()
    assert d.segment.closed


def test_closing_when_released_waits_for_the_last_memoryview(segment: ManagedSharedMemory, d: Dict) -> None:
    d["k"] = VALUE
    view = d.view("k")
    photo = view["photo"]
    segment.close(when_released=True)
    assert segment.closed
    with pytest.raises(ClosedError):
        view.decode()
    with pytest.raises(ClosedError):
        d.view("k")
    view.release()
    assert photo == VALUE["photo"]
    assert ManagedSharedMemory.exists(segment.name)
    del photo
    assert not ManagedSharedMemory.exists(segment.name)


def keep_views(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        d: Dict = SharedDict(segment, "d")
        views = [d.view(i) for i in range(PINS)]
        test.sync(len(views))
        assert [v[0] for v in views] == list(range(PINS))
        for v in views:
            v.release()


@pytest.mark.parametrize("end", ["killed", "closed"])
def test_memory_comes_back_with_the_process_that_had_the_views(
    spawn: Spawn, segment_name: str, d: Dict, end: str
) -> None:
    free = settle(d)
    d.update((i, [i, b"v" * 1000]) for i in range(PINS))
    peer = spawn(keep_views, segment_name)
    assert peer.receive() == PINS
    d.clear()
    assert free - settle(d) > PINS * 1000
    if end == "killed":
        peer.kill()
        assert d.segment.check_sanity()  # recovers the dead
    else:
        peer.go()
        assert peer.result() is None
    assert free - settle(d) < 4096


@pytest.mark.parametrize("renewed", [False, True], ids=["held", "renewed"])
def test_views_of_old_values_do_not_keep_newer_ones(d: Dict, renewed: bool) -> None:
    d["k"] = value = [b"x" * 1000]
    free = settle(d)
    views = []
    for _ in range(PINS):
        views.append(d.view("k"))
        d["k"] = value
    for _ in range(1000):
        if renewed:
            views.pop(0).release()
            views.append(d.view("k"))
        d["k"] = value
    assert free - d.segment.free_memory < (PINS + 16) * 1200
    for v in views:
        v.release()
    assert free - settle(d) < 4096


def roll(views: list[Any], d: Dict, count: int) -> None:
    """Views the value, and lets the oldest view go; then replaces it."""
    if len(views) == count:
        views.pop(0).release()
    views.append(d.view("k"))
    d["k"] = [b"x" * 1000]


def roll_when_told(test: Link, d: Dict, count: int) -> None:
    views: list[Any] = []
    while test.receive():
        roll(views, d, count)
        test.send("rolled")


def test_views_of_several_processes_do_not_keep_newer_values(d: Dict) -> None:
    views: list[Any] = []
    count = 40  # more than can be pinned, and looked at in one step, when three processes do so
    d["k"] = None
    free = settle(d)
    with forked(roll_when_told, d, count) as a, forked(roll_when_told, d, count) as b:
        for _ in range(1000):
            for child in (a, b):
                child.send("roll")
                assert child.receive() == "rolled"
            roll(views, d, count)
            assert free - d.segment.free_memory < 250_000  # of 130,000 that is viewed
    for view in views:
        view.release()
