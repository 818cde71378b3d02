"""SharedDict in one process: what it adds to dict, what it refuses, how it begins and ends.

What it shares with dict is in tests/contracts/test_dict_contract.py.
"""

import copy
import gc
import pickle
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest

from aioipc import (
    MISSING,
    AlreadyExistsError,
    ClosedError,
    DictStatistics,
    Lock,
    ManagedSharedMemory,
    NotFoundError,
    SharedDict,
    TypeMismatchError,
    unique_instance,
)

Dict = SharedDict[Any, Any]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 22, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


@pytest.fixture
def d(segment: ManagedSharedMemory) -> Dict:
    return SharedDict(segment, "d")


def unchanged(d: Dict, act: Callable[[], Any]) -> None:
    """What `act` left undone: contents, order and memory are as they were."""
    d.update_with("settled", lambda _: 1)  # frees what earlier writes left behind
    before, free = list(d.items()), d.segment.free_memory
    act()
    assert list(d.items()) == before
    assert len(d) == len(before)
    assert d.segment.free_memory == free


# ------------------------------------------------------------------------------------- life and identity


def test_the_same_name_is_the_same_dict(segment: ManagedSharedMemory, d: Dict) -> None:
    d["a"] = 1
    for other in (
        SharedDict(segment, "d"),
        segment.find(SharedDict, "d"),
        segment.find_or_construct(SharedDict, "d"),
    ):
        assert other is not None
        assert other is not d
        assert other["a"] == 1
        assert other.pin is d.pin
        other["a"] += 1
        assert d["a"] == other["a"]
        other["a"] = 1
    assert (d.name, segment.name_of(d), segment.kind_of(d), segment.length_of(d)) == ("d", "d", "named", 1)


def test_other_names_and_no_name_are_other_dicts(segment: ManagedSharedMemory, d: Dict) -> None:
    others: list[Dict] = [SharedDict(segment, name) for name in ("e", None, None, unique_instance)]
    for number, other in enumerate(others):
        other["who"] = number
    assert [other["who"] for other in others] == [0, 1, 2, 3]
    assert "who" not in d
    assert [other.name for other in others] == ["e", None, None, None]


def test_construct_refuses_a_name_that_is_taken(segment: ManagedSharedMemory, d: Dict) -> None:
    with pytest.raises(AlreadyExistsError):
        segment.construct(SharedDict, "d")
    assert segment.construct(SharedDict, "new") == {}


def test_something_else_of_that_name_is_a_type_mismatch(segment: ManagedSharedMemory, d: Dict) -> None:
    Lock(segment, "lock")
    with pytest.raises(TypeMismatchError, match="is a Lock, not a SharedDict"):
        SharedDict(segment, "lock")
    with pytest.raises(TypeMismatchError, match="is a SharedDict, not a Lock"):
        segment.find(Lock, "d")


def test_it_can_be_subscripted_for_type_checkers(segment: ManagedSharedMemory) -> None:
    assert SharedDict[str, int](segment, "typed") == {}
    assert issubclass(SharedDict, MutableMapping)


def test_repr_says_name_and_length_and_never_raises(segment: ManagedSharedMemory, d: Dict) -> None:
    d["a"] = 1
    anonymous: Dict = SharedDict(segment)
    assert repr(d) == "<aioipc.SharedDict 'd' of 1>"
    assert repr(anonymous) == "<aioipc.SharedDict of 0>"
    for view in (d.keys(), d.values(), d.items()):
        assert "aioipc.SharedDict 'd' of 1" in repr(view)
    segment.destroy_object(d)
    assert "SharedDict" in repr(d)
    assert "SharedDict" in repr(d.keys())
    segment.close()
    assert "closed" in repr(d)


EVERYTHING: dict[str, Callable[[Dict], Any]] = {
    "[]": lambda d: d["a"],
    "get": lambda d: d.get("a"),
    "in": lambda d: "a" in d,
    "len": len,
    "bool": bool,
    "set": lambda d: d.__setitem__("a", 1),
    "del": lambda d: d.__delitem__("a"),
    "pop": lambda d: d.pop("a", None),
    "popitem": lambda d: d.popitem(),
    "clear": lambda d: d.clear(),
    "iter": lambda d: list(d),
    "reversed": lambda d: list(reversed(d)),
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "copy": lambda d: d.copy(),
    "update": lambda d: d.update(a=1),
    "|": lambda d: d | {},
    "==": lambda d: d == {},
    "setdefault": lambda d: d.setdefault("a", 1),
    "update_with": lambda d: d.update_with("a", lambda n: n),
    "compare_and_set": lambda d: d.compare_and_set("a", 1, 2),
    "view": lambda d: d.view("a"),
    "statistics": lambda d: d.statistics(),
}


@pytest.mark.parametrize("how", ["destroyed", "destroyed through another handle", "segment closed"])
def test_everything_raises_closed_error_afterwards(segment: ManagedSharedMemory, d: Dict, how: str) -> None:
    d["a"] = 1
    running = [iter(d), reversed(d), iter(d.items())]
    for iterator in running[:2]:
        next(iterator)
    if how == "destroyed":
        assert segment.destroy_object(d) is True
        assert segment.destroy_object(d) is False
    elif how == "segment closed":
        segment.close()
    else:
        other = SharedDict(segment, "d")
        assert segment.destroy(SharedDict, "d") is True
        assert segment.destroy(SharedDict, "d") is False
        with pytest.raises(ClosedError):
            len(other)
    for name, use in EVERYTHING.items():
        with pytest.raises(ClosedError):
            pytest.fail(f"{name} gave {use(d)!r}")
    for iterator in running:
        with pytest.raises(ClosedError):
            next(iterator)


def test_a_destroyed_dicts_name_is_free_and_its_memory_comes_back(segment: ManagedSharedMemory) -> None:
    free = segment.free_memory
    old: Dict = SharedDict(segment, "d")
    old.update((i, [i] * 10) for i in range(1000))
    segment.destroy(SharedDict, "d")
    new: Dict = SharedDict(segment, "d")
    new["b"] = 2
    assert new == {"b": 2}
    segment.destroy(SharedDict, "d")
    del old, new
    gc.collect()
    assert segment.free_memory == free


def test_a_pickle_finds_the_same_dict_or_says_that_it_is_gone(segment: ManagedSharedMemory, d: Dict) -> None:
    anonymous: Dict = SharedDict(segment)
    anonymous["a"] = 1
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(anonymous, protocol))
        again["b"] = protocol
        assert anonymous["b"] == protocol
    pickled = pickle.dumps(d)
    segment.destroy_object(d)
    SharedDict(segment, "d")
    with pytest.raises(NotFoundError, match="no longer"):
        pickle.loads(pickled)


def test_missing_is_one_object_that_is_false_and_survives_pickling() -> None:
    assert not MISSING
    assert repr(MISSING) == "aioipc.MISSING"
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING
    assert copy.deepcopy(MISSING) is MISSING


def test_missing_is_no_value_to_be_stored(d: Dict) -> None:
    def act() -> None:
        for write in (
            lambda: d.__setitem__("a", MISSING),
            lambda: d.setdefault("a", MISSING),
            lambda: d.update(a=[MISSING]),
        ):
            with pytest.raises(TypeError, match="Missing"):
                write()

    unchanged(d, act)


# ---------------------------------------------------------------------------------------- what it refuses


class Unknown:
    pass


recursive: list[Any] = []
recursive.append(recursive)

BAD_VALUES: list[tuple[Any, type[Exception], str]] = [
    (Unknown(), TypeError, "Unknown.*msgpack has None, bool"),
    ({1, 2}, TypeError, "set"),
    ([1, {"a": 1j}], TypeError, "complex"),
    ({Unknown(): 1}, TypeError, "Unknown"),
    (range(3), TypeError, "range"),
    (2**64, OverflowError, "18446744073709551616 does not fit"),
    (-(2**63) - 1, OverflowError, "-9223372036854775809 does not fit"),
    ([[2**64]], OverflowError, "18446744073709551616 does not fit"),
    (1 << 1000, OverflowError, "of 1001 bits does not fit"),
    ("\ud800", UnicodeEncodeError, "surrogates"),
    (["\ud800"], UnicodeEncodeError, "surrogates"),
    (datetime(2024, 1, 1), ValueError, "timezone"),
    (recursive, ValueError, "contains itself"),
]


@pytest.mark.parametrize(("value", "error", "match"), BAD_VALUES, ids=lambda part: repr(part)[:30])
def test_a_value_that_msgpack_has_not_is_refused_and_nothing_changes(
    d: Dict, value: Any, error: type[Exception], match: str
) -> None:
    d["a"] = 1

    def act() -> None:
        for write in (
            lambda: d.__setitem__("a", value),
            lambda: d.__setitem__("new", value),
            lambda: d.setdefault("new", value),
            lambda: d.update_with("a", lambda _: value),
            lambda: d.update_with("new", lambda _: value),
            lambda: d.compare_and_set("a", 1, value),
            lambda: d.compare_and_set("new", MISSING, value),
            lambda: d.update(a=value),
        ):
            with pytest.raises(error, match=match):
                write()

    unchanged(d, act)
    assert d.setdefault("a", value) == 1  # not looked at


BAD_KEYS: list[tuple[Any, type[Exception], str]] = [
    (Unknown(), TypeError, "Unknown cannot be a key"),
    (frozenset(), TypeError, "frozenset cannot be a key"),
    ((1, (frozenset(),)), TypeError, "frozenset cannot be a key"),
    ([], TypeError, "unhashable type: 'list'"),
    ((1, []), TypeError, "unhashable type: 'list'"),
    (2**64, OverflowError, "does not fit"),
    ((-(2**63) - 1,), OverflowError, "does not fit"),
    (float("nan"), ValueError, "NaN cannot be a key"),
    ((float("nan"),), ValueError, "NaN cannot be a key"),
    ("\ud800", UnicodeEncodeError, "surrogates"),
    (datetime(2024, 1, 1), ValueError, "timezone"),
]


@pytest.mark.parametrize(("key", "error", "match"), BAD_KEYS, ids=lambda part: repr(part)[:30])
def test_a_key_that_cannot_be_kept_is_refused_by_every_write(
    d: Dict, key: Any, error: type[Exception], match: str
) -> None:
    d["a"] = 1

    def act() -> None:
        for write in (
            lambda: d.__setitem__(key, 1),
            lambda: d.setdefault(key, 1),
            lambda: d.update_with(key, lambda _: 1),
            lambda: d.compare_and_set(key, MISSING, 1),
            lambda: d.update([(key, 1)]),
        ):
            with pytest.raises(error, match=match):
                write()

    unchanged(d, act)


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64 - 1, -(2**63)])
def test_ints_live_up_to_the_edges_of_64_bits(d: Dict, number: int) -> None:
    d[number] = number
    assert list(d.items()) == [(number, number)]
    assert type(d[number]) is int


def test_depth_ends_in_a_clear_error_and_not_earlier_on_the_way_back(d: Dict) -> None:
    def nested(depth: int) -> Any:
        value: Any = depth
        for _ in range(depth):
            value = [value]
        return value

    def fill() -> None:
        for depth in range(1, 1200):
            d["deep"] = nested(depth)
            assert isinstance(d["deep"], list)

    with pytest.raises(ValueError, match="nested too deep"):
        fill()
    read, depth = d["deep"], 0
    while isinstance(read, list):
        [read] = read
        depth += 1
    assert read == depth > 500


# --------------------------------------------------------------------------------------- values are copies


def test_what_is_read_is_the_readers_own(d: Dict) -> None:
    d["list"] = mine = [1, 2]
    mine.append(3)
    assert d["list"] == [1, 2]
    d["list"].append(4)
    d.get("list").append(5)
    next(iter(d.values())).append(6)
    assert d["list"] == [1, 2]
    assert d["list"] is not d["list"]


@pytest.mark.parametrize(
    ("put", "got"),
    [
        ((1, (2,)), [1, [2]]),
        ([(), {"a": ()}], [[], {"a": []}]),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (msgpack.Timestamp(0, 1000), datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)),
        (msgpack.Timestamp(1 << 40), msgpack.Timestamp(1 << 40)),
        (msgpack.ExtType(5, b"x" * 300), msgpack.ExtType(5, b"x" * 300)),
        (True, True),
        ({1: {None: [{}]}}, {1: {None: [{}]}}),
    ],
    ids=repr,
)
def test_values_come_back_as_msgpack_has_them(d: Dict, put: Any, got: Any) -> None:
    d["a"] = put
    assert (d["a"], type(d["a"])) == (got, type(got))


# ------------------------------------------------------------------------- compare_and_set, update_with


def test_compare_and_set_stores_only_over_what_is_expected(d: Dict) -> None:
    d["a"] = {"n": [1, 2.5]}
    assert d.compare_and_set("a", {"n": [1, 2]}, "new") is False
    assert d.compare_and_set("a", MISSING, "new") is False
    assert d.compare_and_set("b", None, "new") is False
    assert d.compare_and_set("a", {"n": [True, 2.5]}, "new") is True
    assert d == {"a": "new"}


def test_missing_in_compare_and_set_means_that_there_is_none(d: Dict) -> None:
    assert d.compare_and_set("a", MISSING, MISSING) is True
    assert d.compare_and_set("a", MISSING, None) is True
    assert d.compare_and_set("a", None, MISSING) is True
    assert d.compare_and_set("a", None, MISSING) is False
    assert d == {}


def test_compare_and_set_looks_again_when_somebody_was_faster(segment: ManagedSharedMemory, d: Dict) -> None:
    other: Dict = SharedDict(segment, "d")

    class Interfering:
        """Equals 1 and 2; the first comparison is disturbed."""

        def __init__(self, act: Callable[[], Any]) -> None:
            self.seen: list[Any] = []
            self.act = act

        def __eq__(self, value: object) -> bool:
            self.seen.append(value)
            if len(self.seen) == 1:
                self.act()
            return value in (1, 2)

    for act, new, result, seen, left in (
        (lambda: other.__setitem__("a", 2), 5, True, [1, 2], {"a": 5}),
        (lambda: other.__setitem__("a", 3), 5, False, [1, 3], {"a": 3}),
        (lambda: other.__setitem__("a", 1), 5, True, [1, 1], {"a": 5}),
        (lambda: other.pop("a"), 5, False, [1], {}),
        (lambda: other.pop("a"), MISSING, False, [1], {}),
        (lambda: other.__setitem__("a", 2), MISSING, True, [1, 2], {}),
    ):
        d["a"] = 1
        expected = Interfering(act)
        assert d.compare_and_set("a", expected, new) is result
        assert (expected.seen, d) == (seen, left)


def test_update_with_gives_the_new_value_and_stores_it(d: Dict) -> None:
    assert d.update_with("n", lambda n: (n or 0) + 1) == 1
    assert d.update_with("n", lambda n: (n or 0) + 1) == 2
    assert d.update_with("l", lambda items: [*items, 1], []) == [1]
    assert d.update_with("n", lambda _: None) is None
    assert d == {"n": None, "l": [1]}


def test_update_with_takes_away_what_becomes_missing(d: Dict) -> None:
    d["a"] = 1
    assert d.update_with("a", lambda _: MISSING) is MISSING
    assert d.update_with("a", lambda _: MISSING, 5) is MISSING
    assert "a" not in d


def test_update_with_keeps_the_place(d: Dict) -> None:
    d.update(a=1, b=2, c=3)
    d.update_with("a", lambda n: n + 10)
    d.compare_and_set("b", 2, 12)
    assert list(d.items()) == [("a", 11), ("b", 12), ("c", 3)]


def test_a_function_that_raises_leaves_everything_as_it_was(d: Dict) -> None:
    d["a"] = [1]

    def fails(value: list[int]) -> None:
        value.append(2)
        raise ZeroDivisionError

    def act() -> None:
        with pytest.raises(ZeroDivisionError):
            d.update_with("a", fails)

    unchanged(d, act)


def test_the_function_runs_again_when_somebody_was_faster(segment: ManagedSharedMemory, d: Dict) -> None:
    other: Dict = SharedDict(segment, "d")
    for act, seen in (
        (lambda: other.__setitem__("a", 100), [1, 100]),
        (lambda: other.__setitem__("a", 1), [1, 1]),
        (lambda: other.pop("a"), [1, "none"]),
        (lambda: other.clear(), [1, "none"]),
        (lambda: [other.pop("a"), other.__setitem__("a", 7)], [1, 7]),
    ):
        d["a"] = 1
        calls: list[Any] = []

        def function(value: Any, calls: list[Any] = calls, act: Callable[[], Any] = act) -> Any:
            calls.append(value)
            if len(calls) == 1:
                act()
            return "done"

        assert d.update_with("a", function, "none") == "done"
        assert (calls, d) == (seen, {"a": "done"})


def test_the_function_may_use_the_dict_itself(d: Dict) -> None:
    assert d.update_with("a", lambda _: d.update_with("b", lambda _: len(d))) == 0
    assert d == {"a": 0, "b": 0}


# ------------------------------------------------------------------------------- iterating while it changes


@pytest.mark.parametrize("size", [3, 16, 500])
def test_iterating_gives_what_is_there_all_the_time_once_in_order(d: Dict, size: int) -> None:
    for backwards in (False, True):
        d.clear()
        d.update((i, i) for i in range(size))
        stays = [i for i in range(size) if i % 3]
        order = reversed if backwards else iter
        seen = []
        for number, key in enumerate(order(d)):
            seen.append(key)
            if number % 3 == 0:
                d.pop(number // 3 * 3, None)
            for extra in range(3):
                d[size + number, extra] = 1  # makes it grow
            d[key] = "replaced" if key in d else d.pop(key, None)
        assert [key for key in seen if key in stays] == list(order(stays))
        assert not [key for key in seen if isinstance(key, tuple)]


def test_values_seen_while_iterating_are_those_of_the_moment(d: Dict) -> None:
    d.update(a=1, b=2, c=3)
    items = iter(d.items())
    assert next(items) == ("a", 1)
    d["b"] = 20
    del d["c"]
    d["c"] = 30  # comes later than the beginning: left out
    assert list(items) == [("b", 20)]


def test_an_iteration_ends_with_a_clear(d: Dict) -> None:
    d.update((i, i) for i in range(100))
    keys, backwards = iter(d), reversed(d)
    next(keys)
    next(backwards)
    d.clear()
    d.update((i, "new") for i in range(100))
    assert list(keys) == list(backwards) == []
    assert len(list(d)) == 100


def test_an_iterator_keeps_its_dict_alive(segment: ManagedSharedMemory) -> None:
    keys = iter(SharedDict(segment, "d"))
    SharedDict(segment, "d")["a"] = 1
    gc.collect()
    assert list(keys) == ["a"]


# ------------------------------------------------------------------------------------------- statistics


def test_statistics_count_keys_holes_and_rebuilds(d: Dict) -> None:
    assert d.statistics() == DictStatistics(0, 0, 0, 0, 0)
    d.update((i, i) for i in range(1000))
    grown = d.statistics()
    assert (grown.count, grown.holes) == (1000, 0)
    assert grown.capacity >= 1024
    assert grown.rebuilds > 0
    del d[500]
    with d.view(1):
        d[1] = 2
        assert (d.statistics().count, d.statistics().holes, d.statistics().retired_blocks) == (999, 1, 1)
    with pytest.raises(AttributeError):
        grown.count = 5  # type: ignore[misc]


def test_memory_comes_back_with_the_contents(segment: ManagedSharedMemory, d: Dict) -> None:
    free = segment.free_memory

    def is_back() -> bool:
        return free - segment.free_memory < 4096  # the last blocks go with the next write

    for _ in range(3):
        d.update((i, "x" * (i % 100)) for i in range(5000))
        assert not is_back()
        d.clear()
        assert is_back()
    d.update((i, "x" * (i % 100)) for i in range(5000))
    while d:
        d.popitem()
    d.clear()
    assert is_back()
