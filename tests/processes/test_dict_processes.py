"""A dict that several processes use at once: exact counters, one winner, whole values, steady iteration."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from aioipc import MISSING, ClosedError, ManagedSharedMemory, SharedDict
from tests.support.forked import forked, together
from tests.support.nursery import ROOT
from tests.support.peers import Link

Dict = SharedDict[Any, Any]
PROCESSES = 4
ROUNDS = 500


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 22, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@pytest.fixture
def d(segment: ManagedSharedMemory) -> Dict:
    return SharedDict(segment, "d")


# ------------------------------------------------------------------------------------------- contention


def count_up(test: Link, number: int, d: Dict) -> None:
    for _ in range(ROUNDS):
        d.update_with("update_with", lambda n: (n or 0) + 1)
        done = False
        while not done:
            seen = d.get("compare_and_set", MISSING)
            done = d.compare_and_set("compare_and_set", seen, 1 if seen is MISSING else seen + 1)
        d.update_with("list", lambda items: [*items, number], [])
        d.update_with("list", lambda items: items[1:] or MISSING)


def test_counters_add_up(d: Dict) -> None:
    together(PROCESSES, count_up, d)
    assert d == {"update_with": PROCESSES * ROUNDS, "compare_and_set": PROCESSES * ROUNDS}


def set_defaults(test: Link, number: int, d: Dict) -> list[int]:
    return [d.setdefault(("key", i), number) for i in range(ROUNDS)]


def test_setdefault_has_one_winner_and_all_see_it(d: Dict) -> None:
    first, *others = together(PROCESSES, set_defaults, d)
    assert all(other == first for other in others)
    assert list(d.values()) == [first[i] for _, i in d]
    assert sorted(d) == [("key", i) for i in range(ROUNDS)]


def claim(test: Link, number: int, d: Dict) -> list[int]:
    return [i for i in range(ROUNDS) if d.compare_and_set(i, MISSING, number)]


def test_what_is_claimed_by_compare_and_set_is_claimed_once(d: Dict) -> None:
    claimed = together(PROCESSES, claim, d)
    assert sorted(i for keys in claimed for i in keys) == list(range(ROUNDS))
    assert all(d[key] == number for number, keys in enumerate(claimed) for key in keys)


def pop_all(test: Link, number: int, d: Dict, how: str) -> list[Any]:
    got: list[Any] = []
    for i in range(ROUNDS):
        if how == "pop" and (value := d.pop(i, None)) is not None:
            got.append(value)
        elif how == "popitem":
            try:
                got.append(d.popitem()[1])
            except KeyError:
                break
        elif how == "compare_and_set" and d.compare_and_set(i, [i], MISSING):
            got.append([i])
        elif how == "del":
            try:
                del d[i]
                got.append([i])
            except KeyError:
                pass
    return got


@pytest.mark.parametrize("how", ["pop", "popitem", "del", "compare_and_set"])
def test_each_item_is_taken_by_exactly_one_process(d: Dict, how: str) -> None:
    d.update((i, [i]) for i in range(ROUNDS))
    taken = together(PROCESSES, pop_all, d, how)
    assert sorted(value for values in taken for value in values) == [[i] for i in range(ROUNDS)]
    assert d == {}
    if how == "popitem":
        assert all(values == sorted(values, reverse=True) for values in taken)


def fill_in(test: Link, number: int, d: Dict) -> None:
    for i in range(ROUNDS):
        d[number, i] = "x" * (i % 50)


def test_what_different_processes_insert_is_all_there_in_the_order_of_each(d: Dict) -> None:
    together(PROCESSES, fill_in, d)
    assert len(d) == PROCESSES * ROUNDS
    keys = list(d)
    for number in range(PROCESSES):
        assert [i for who, i in keys if who == number] == list(range(ROUNDS))
    assert all(value == "x" * (i % 50) for (_, i), value in d.items())
    assert list(reversed(d)) == keys[::-1]


# ------------------------------------------------------------------------------- reading while others write


def churn(test: Link, d: Dict) -> None:
    """Inserts, replaces and deletes for ever, so that the table grows and shrinks; steady keys stay."""
    round_ = 0
    while True:
        round_ += 1
        for i in range(300):
            d["volatile", i] = [round_] * (i % 20)
            if i % 10 == 0:
                d["steady", i % 100] = [i % 100, round_, b"v" * (round_ % 3000)]
        for i in range(300):
            d.pop(("volatile", (i * 7) % 300), None)


@pytest.mark.parametrize("direction", [iter, reversed])
def test_iterating_gives_steady_keys_once_and_in_order_whatever_others_do(d: Dict, direction: Any) -> None:
    steady = [("steady", i) for i in range(0, 100, 10)]
    for key in steady:
        d["volatile", key[1]] = 0
        d[key] = [key[1], 0, b""]
    with forked(churn, d), forked(churn, d):
        while d.statistics().rebuilds < 20:
            keys = list(direction(d))
            assert [key for key in keys if key[0] == "steady"] == list(direction(steady))
            assert len(keys) == len(set(keys))
            for key, value in direction(d.items()):
                if key[0] == "steady":
                    assert value == [key[1], value[1], b"v" * (value[1] % 3000)]
                else:
                    assert value == 0 or value == value[:1] * (key[1] % 20)
            assert set(steady) <= set(d.copy())
            assert len(d) >= len(steady)


def fill_and_clear(test: Link, d: Dict) -> None:
    while True:
        for i in range(200):
            d[i] = i
        d.clear()


def test_clear_takes_all_keys_at_once(d: Dict) -> None:
    with forked(fill_and_clear, d):
        partly = 0
        while partly < 100:
            items = list(d.items())
            assert items == [(i, i) for i in range(len(items))]  # a clear never leaves the later ones
            partly += 0 < len(items) < 200


def swap(test: Link, d: Dict) -> None:
    """Replaces by values of very different sizes, each of which says what it is."""
    n = 0
    while True:
        n += 1
        for size in (0, 10, 1000, 30_000):
            d["k"] = {"n": n, "a": [n] * (size // 100), "b": bytes([n % 256]) * size, "size": size}


def whole(value: Any) -> bool:
    n, size = value["n"], value["size"]
    return bool(value["a"] == [n] * (size // 100) and value["b"] == bytes([n % 256]) * size)


def test_a_value_is_always_whole(d: Dict) -> None:
    d["k"] = {"n": 0, "a": [], "b": b"", "size": 0}
    seen = set()
    with forked(swap, d), forked(swap, d):
        while len(seen) < 300:
            assert whole(d["k"])
            with d.view("k") as v:
                assert whole(v.decode())
                assert v["b"] == bytes([v["n"] % 256]) * v["size"]
            assert "k" in d
            seen.add(d["k"]["n"])


# ------------------------------------------------------------------------------------- other interpreters

PROGRAM = """
import sys
from aioipc import ManagedSharedMemory, SharedDict
segment_name, me, other = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with ManagedSharedMemory.open(segment_name) as segment:
    d = SharedDict(segment, "d")
    keys = lambda who: [("k", who, i, s, s.encode(), None) for i in range(100) for s in ("", "a", "名前")]
    for key in keys(me):
        d[key] = who = {key: [key[3], hash(key[3])]}
        assert d[key][key][0] == key[3]
    for key in keys(other):
        assert (key in d) == (other < me), key
    print(hash("a"))
"""


def test_interpreters_with_different_hash_seeds_agree(segment_name: str, d: Dict) -> None:
    hashes = set()
    for me, other, seed in ((0, 1, "1"), (1, 0, "4242")):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, segment_name, str(me), str(other)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        hashes.add(done.stdout)
    assert len(hashes) == 2  # they would not have agreed by Python's hashes
    assert len(d) == 600
    for key in list(d):
        assert d.pop(key)[key][0] == key[3]
    assert d == {}


# ----------------------------------------------------------------------------------- fork, pickles, destroy


def test_a_forked_childs_iterators_go_on_as_its_own(segment: ManagedSharedMemory, d: Dict) -> None:
    d.update((i, i) for i in range(10))
    iterator, items = iter(d), d.items()
    assert next(iterator) == 0

    def act(test: Link) -> int:
        assert list(iterator) == list(range(1, 10))
        assert len(items) == 10
        d["child"] = os.getpid()
        d.pop(5)
        count = len(segment.participants())
        segment.close()
        return count

    with forked(act) as child:
        assert child.result() == 2
        assert d["child"] == child.pid
    assert list(iterator) == [1, 2, 3, 4, 6, 7, 8, 9]
    assert len(segment.participants()) == 1


def test_views_are_the_parents_after_a_fork(segment: ManagedSharedMemory, d: Dict) -> None:
    d["k"] = [1, b"x" * 1000]

    def act(test: Link) -> None:
        with pytest.raises(ClosedError):
            view.decode()
        with pytest.raises(ClosedError):
            view[0]
        with d.view("k") as own:
            assert own.decode() == [1, b"x" * 1000]
        view.release()
        d["k"] = "replaced"
        d["more"] = b"y" * 100_000
        segment.close()

    with d.view("k") as view:
        with forked(act) as child:
            assert child.result() is None
        assert view.decode() == [1, b"x" * 1000]
        assert d["k"] == "replaced"
        assert view[1] == b"x" * 1000


def test_a_forked_child_that_just_exits_takes_nothing_with_it(segment: ManagedSharedMemory, d: Dict) -> None:
    d["k"] = [1]

    def act(test: Link) -> None:
        d["k"] = [2]
        view = d.view("k")
        test.sync(view[0])

    with forked(act) as child:
        assert child.receive() == 2
        child.go()
        assert child.result() is None
    assert d == {"k": [2]}
    assert segment.check_sanity()  # cleans up after it
    assert len(segment.participants()) == 1


def put_and_report(d: Dict, connection: Any) -> None:
    d["child"] = [1]
    connection.send((d.name, d.segment.name, d["parent"]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("name", ["d", None])
def test_a_dict_travels_through_multiprocessing_arguments(
    segment: ManagedSharedMemory, method: str, name: str | None
) -> None:
    context = multiprocessing.get_context(method)
    d: Dict = SharedDict(segment, name)
    d["parent"] = {"a": 1}
    ours, theirs = context.Pipe()
    process = context.Process(target=put_and_report, args=(d, theirs))
    process.start()
    assert ours.recv() == (name, segment.name, {"a": 1})
    process.join()
    assert process.exitcode == 0
    assert d["child"] == [1]
    ours.close()
    theirs.close()
    process.close()


def test_a_dict_destroyed_by_another_process_is_closed_here(segment: ManagedSharedMemory, d: Dict) -> None:
    d["k"] = [1]
    view, iterator = d.view("k"), iter(d)

    def act(test: Link) -> bool:
        return segment.destroy(SharedDict, "d")

    with forked(act) as child:
        assert child.result() is True
    for use in (lambda: d["k"], lambda: d.__setitem__("k", 2), lambda: len(d), lambda: next(iterator)):
        with pytest.raises(ClosedError):
            use()
    assert view.decode() == [1]
    view.release()
    assert segment.find(SharedDict, "d") is None
    assert SharedDict(segment, "d") == {}


def destroy_and_make(test: Link, number: int, segment: ManagedSharedMemory) -> int:
    """Uses whatever dict has the name at the moment; counts how often it went away under it."""
    closed = 0
    for i in range(200):
        d: Dict = SharedDict(segment, "d")
        try:
            d[number] = i
            assert d[number] == i
            assert number in list(d)
        except (ClosedError, KeyError):
            closed += 1
        if i % 5 == number:
            segment.destroy(SharedDict, "d")
    return closed


def test_destroying_and_constructing_again_while_others_use_it_loses_no_memory(
    segment: ManagedSharedMemory,
) -> None:
    free = segment.free_memory
    together(PROCESSES, destroy_and_make, segment)
    segment.destroy(SharedDict, "d")
    assert segment.check_sanity()
    assert segment.free_memory == free
