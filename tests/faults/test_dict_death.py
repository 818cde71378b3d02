"""Processes that are killed or stopped in the middle of a dict operation: the others never notice."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from aioipc import MISSING, ManagedSharedMemory, SharedDict
from tests.support.forked import Forked, forked
from tests.support.peers import Link

Dict = SharedDict[Any, Any]
KEYS = 50


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 23, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture
def d(segment: ManagedSharedMemory) -> Dict:
    return SharedDict(segment, "d")


def value_of(key: int, size: int) -> list[Any]:
    """A value that says what it has to be."""
    return [key, size, bytes([key]) * size]


def verify(d: Dict) -> int:
    """Reads everything in every way: each value is whole.  How many there were."""
    items = list(d.items())
    keys = [key for key, _ in items]
    assert len(keys) == len(set(keys))
    for key, value in items:
        assert value == value_of(key, value[1])
    for key in range(KEYS):
        value = d.get(key)
        assert value is None or value == value_of(key, value[1])
        if key % 10 == 0 and key in d:
            with suppress(KeyError), d.view(key) as view:
                assert view.decode() == value_of(key, view[1])
    return len(items)


def grow_and_shrink(d: Dict) -> None:
    d.update((key, value_of(key, 1)) for key in range(KEYS, KEYS + 200))
    for key in range(KEYS, KEYS + 200):
        d.pop(key, None)


def do_anything(d: Dict, choose: random.Random) -> None:
    key, size = choose.randrange(KEYS), choose.choice((3, 50, 1000, 20_000))
    value = value_of(key, size)
    act = choose.choice(ACTS)
    act(d, key, value)


ACTS: list[Callable[[Dict, int, Any], Any]] = [
    *[lambda d, key, value: d.__setitem__(key, value)] * 8,
    *[lambda d, key, _: d.pop(key, None)] * 4,
    lambda d, key, value: d.setdefault(key, value),
    lambda d, key, value: d.update_with(key, lambda old: value if old is None or old[1] > 100 else MISSING),
    lambda d, key, value: d.compare_and_set(key, d.get(key, MISSING), value),
    lambda d, key, _: d.popitem() if d.setdefault(key, value_of(key, 1)) else None,
    lambda d, _, __: d.clear(),
    lambda d, _, __: verify_ours(d),
    lambda d, _, __: grow_and_shrink(d) if len(d) < 20 else None,
]  # fmt: skip


def verify_ours(d: Dict) -> None:
    assert all(value == value_of(key, value[1]) for key, value in d.items() if key < KEYS)


def write_for_ever(test: Link, d: Dict, seed: int) -> None:
    choose = random.Random(seed)
    test.send("writing")
    while True:
        with suppress(KeyError):  # popitem of a dict that somebody else emptied
            do_anything(d, choose)


def writer(d: Dict, seed: int) -> Forked:
    child = forked(write_for_ever, d, seed)
    assert child.receive() == "writing"
    return child


def kill_at_random(segment: ManagedSharedMemory, d: Dict, kills: int, seed: int) -> None:
    choose = random.Random(seed)
    with ExitStack() as stack:
        writers = [writer(d, seed * 1000 + i) for i in range(3)]
        stack.callback(lambda: [child.discard() for child in writers])
        for number in range(kills):
            for _ in range(choose.randrange(3)):
                verify(d)
            victim = choose.randrange(3)
            writers[victim].discard()
            if number % 10 == 0:
                assert segment.check_sanity()
            writers[victim] = writer(d, seed * 1000 + 10 + number)


def all_comes_back(segment: ManagedSharedMemory, d: Dict, free: int) -> None:
    report = segment.check_sanity()
    assert report, report
    assert len(d) == verify(d)
    for key in list(d):
        d[key] = value_of(key, 7)
        assert d.pop(key) == value_of(key, 7)
    assert d == {}
    d.clear()
    assert free - segment.free_memory < 4096


def test_writers_killed_at_random_leave_every_value_whole(segment: ManagedSharedMemory, d: Dict) -> None:
    free = segment.free_memory
    kill_at_random(segment, d, 30, seed=1)
    all_comes_back(segment, d, free)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_writers_killed_at_random_leave_every_value_whole_for_long(
    segment: ManagedSharedMemory, d: Dict, seed: int
) -> None:
    free = segment.free_memory
    kill_at_random(segment, d, 300, seed)
    all_comes_back(segment, d, free)


def count_and_note(test: Link, d: Dict, me: int) -> None:
    test.send("counting")
    noted = 0
    while True:
        d.update_with("count", lambda n: n + 1)
        noted += 1
        d["noted", me] = noted
        other = d["other"]
        d.compare_and_set("other", other, other + 1)


def test_an_update_of_a_killed_process_is_done_wholly_or_not_at_all(d: Dict) -> None:
    d.update(count=0, other=0)
    children = 20
    for me in range(children):
        with forked(count_and_note, d, me) as child:
            assert child.receive() == "counting"
            while d.get(("noted", me), 0) < me + 1:
                pass
    noted = sum(value for key, value in d.items() if key[0] == "noted")
    assert noted <= d["count"] <= noted + children
    assert d["other"] <= noted


def read_for_ever(test: Link, d: Dict) -> None:
    test.send("reading")
    while True:
        views = [d.view(key) for key in range(KEYS)]
        assert [view[0] for view in views] == list(range(KEYS))
        verify(d)


def test_readers_killed_at_random_are_never_noticed(segment: ManagedSharedMemory, d: Dict) -> None:
    free = segment.free_memory
    d.update((key, value_of(key, 100)) for key in range(KEYS))
    for round_ in range(20):
        with forked(read_for_ever, d) as child:
            assert child.receive() == "reading"
            for _ in range(round_):
                for key in range(KEYS):
                    d[key] = value_of(key, 100 + round_)
        assert verify(d) == KEYS
    all_comes_back(segment, d, free)


def test_a_process_killed_in_the_middle_of_an_iteration_leaves_nothing(
    segment: ManagedSharedMemory, d: Dict
) -> None:
    free = segment.free_memory

    def iterate(test: Link) -> None:
        items = d.items()
        for key, _ in items:
            test.sync(key)

    d.update((key, value_of(key, 1000)) for key in range(KEYS))
    for key in range(10):
        with forked(iterate) as child:
            for step in range(key):
                assert child.receive() == step
                child.go()
            assert child.receive() == key
    all_comes_back(segment, d, free)


@pytest.mark.parametrize("kind", ["replacing", "anything"])
def test_a_stopped_writer_stops_no_reader(d: Dict, kind: str) -> None:
    """Some of the stops hit the writer in its lock."""

    def replace(test: Link) -> None:
        test.send("writing")
        while True:
            for key in range(KEYS):
                d[key] = value_of(key, 10)

    d.update((key, value_of(key, 3)) for key in range(KEYS))
    with forked(replace) if kind == "replacing" else writer(d, 5) as child:
        if kind == "replacing":
            assert child.receive() == "writing"
        for _ in range(300):
            child.stop()
            count = verify(d)
            assert verify(d) == len(d.copy()) == count  # nobody else writes
            assert abs(len(d) - count) <= KEYS  # the number may be that of just before or after
            assert list(reversed(d)) == list(d)[::-1]
            with d.view(0) if 0 in d else ExitStack():
                pass  # letting go of a view waits for nobody either
            child.resume()
            verify(d)


def test_a_stopped_reader_stops_no_writer_and_what_it_views_stays(d: Dict) -> None:
    def look(test: Link) -> bool:
        view = d.view("k")
        test.sync("looking")
        return bool(view.decode() == ["x" * 1000])

    d["k"] = ["x" * 1000]
    with forked(look) as child:
        assert child.receive() == "looking"
        child.stop()
        for i in range(500):
            d["k"] = i
            d[i % 10] = "y" * 10_000
            if i % 50 == 0:
                d.clear()
        child.resume()
        child.go()
        assert child.result() is True


def test_a_dict_is_there_wholly_or_not_when_its_constructor_is_killed(segment: ManagedSharedMemory) -> None:
    def construct(test: Link) -> None:
        test.send("constructing")
        while True:
            SharedDict(segment, "new")["a"] = 1
            segment.destroy(SharedDict, "new")

    free = segment.free_memory
    for _ in range(30):
        with forked(construct) as child:
            assert child.receive() == "constructing"
            for _ in range(random.Random(1).randrange(50)):
                segment.find(SharedDict, "new")
        assert segment.check_sanity()
        d: Dict = SharedDict(segment, "new")
        assert d in ({}, {"a": 1})
        d["b"] = 2
        segment.destroy(SharedDict, "new")
        del d
    assert segment.check_sanity()
    assert segment.free_memory == free
