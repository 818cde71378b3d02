"""What dict promises, SharedDict promises: one body for both.

After CPython's Lib/test/mapping_tests.py and test_dict.py, as far as it makes sense for a dict whose values
are copies: where dict would give back the very object, equality is asked for.
"""

import itertools
import operator
import random
from collections import UserDict
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from msgpack import ExtType

from aioipc import ManagedSharedMemory, SharedDict

Make = Callable[..., MutableMapping[Any, Any]]
LARGE = 100_000


@pytest.fixture(params=["dict", "SharedDict"])
def make(request: pytest.FixtureRequest, segment_name: str) -> Iterator[Make]:
    """`make(mapping or pairs)`: a new dict with that in it, of each kind in turn."""
    if request.param == "dict":
        yield dict
        return
    with ManagedSharedMemory.create(segment_name, 1 << 22, lifetime="last_detach") as segment:

        def new(*contents: Any, **named: Any) -> SharedDict[Any, Any]:
            shared: SharedDict[Any, Any] = SharedDict(segment)
            shared.update(*contents, **named)
            return shared

        yield new
        assert segment.check_sanity()


class HasKeys:
    """What dict.update takes although it is no Mapping."""

    def __init__(self, contents: dict[Any, Any]) -> None:
        self.contents = contents

    def keys(self) -> Any:
        return self.contents.keys()

    def __getitem__(self, key: Any) -> Any:
        return self.contents[key]


class Point(NamedTuple):
    x: int
    y: int


class Text(str):
    pass


class Number(int):
    pass


KEYS: list[Any] = [
    None, True, 0, 7, -1, 127, 128, -128, -129, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
    0.5, -0.25, 1e300, 5e-324, float("inf"), float("-inf"), 2.0**64, -(2.0**70),
    "", "a", "ä", "名前", "🦊", "e\u0301", "\u00e9", "\0", "a\0b",
    "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * LARGE,
    b"", b"a", b"\0", b"\xff\xfe", b"x" * 256, b"x" * LARGE,
    (), (2,), (2, 3), ((2,), 3), ("a", b"a", None, 0.5), ("x" * 300, (("deep",),)), tuple(range(1000)),
    datetime(1970, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, 12, 30, 1, 999_999, tzinfo=UTC),
    (datetime(1, 1, 1, tzinfo=UTC),),
]  # fmt: skip

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, -32, -33, 127, 128, 255, 256, -128, -129, 65535, 65536, -32768, -32769,
    2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**31) - 1, -(2**63),
    0.0, -0.0, 0.1, 1e308, 5e-324, float("inf"), float("-inf"),
    *("x" * n for n in (0, 1, 31, 32, 255, 256, 65535, 65536, LARGE)), "naïve-名前-🦊", "\0",
    *(b"\xff" * n for n in (0, 1, 255, 256, 65535, 65536, LARGE)),
    *([n] * n for n in (0, 1, 15, 16, 65535, 65536)),
    *({i: i for i in range(n)} for n in (0, 1, 15, 16, 65536)),
    {"name": "Ann", "scores": [1, [2, {"three": (b"3", None)[0]}]], (1, "t"): {None: 1.5, b"k": True}},
    datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    [datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=-5)))],
]  # fmt: skip

# Groups of keys that Python holds equal; the first one put is the one that stays.
EQUAL_KEYS: list[list[Any]] = [
    [1, 1.0, True], [1.0, True, 1], [True, 1, 1.0], [0, -0.0, False, 0.0], [-0.0, 0], [False, 0.0],
    [2**53, 2.0**53], [2.0**63, 2**63], [-(2.0**63), -(2**63)], [-7.0, -7],
    [(1, ("a", -0.0)), (True, ("a", 0)), (1.0, ("a", False))], [((1.0,),), ((1,),)], ["a", Text("a")],
    [5, Number(5), 5.0],
    [(1, 2), Point(1, 2)], [Point(1, 2), (1.0, 2)], [(1, b""), ExtType(1, b"")],
    [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))],
]  # fmt: skip

DIFFERENT_KEYS: list[Any] = [
    None, 0, 1, "", "0", "1", "None", b"", b"0", b"1", (), (0,), (1,), ((),), ("",), (b"",), (None,), ((0,),),
    0.1, 1.1,
    float("inf"), "e\u0301", "\u00e9",
]  # fmt: skip


# ------------------------------------------------------------------------------------- one key at a time


def test_an_empty_one_is_false_and_has_nothing(make: Make) -> None:
    d = make()
    assert not d
    assert len(d) == 0
    assert list(d) == list(d.keys()) == list(d.values()) == list(d.items()) == list(reversed(d)) == []
    assert "a" not in d
    assert d.get("a") is None
    assert d.get("a", 3) == 3
    with pytest.raises(KeyError):
        d["a"]
    with pytest.raises(KeyError):
        d.popitem()
    d.clear()
    assert d == {}
    assert isinstance(d, MutableMapping)


def test_what_is_put_is_got_replaced_and_deleted(make: Make) -> None:
    d = make()
    d["a"] = 1
    d["b"] = 2
    assert d
    assert (len(d), d["a"], d["b"], "a" in d, "c" in d) == (2, 1, 2, True, False)
    d["a"] = 3
    assert (len(d), d["a"]) == (2, 3)
    del d["a"]
    assert (len(d), "a" in d, d.get("a", "gone")) == (1, False, "gone")
    assert d == {"b": 2}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:30])
def test_every_kind_of_key_is_found_again_as_it_was_given(make: Make, key: Any) -> None:
    d = make()
    d[key] = "value"
    assert d[key] == "value"
    assert key in d
    assert len(d) == 1
    [found] = d
    assert found == key
    assert type(found) is type(key)
    assert d.pop(key) == "value"
    assert not d


def test_all_kinds_of_keys_live_together_in_order(make: Make) -> None:
    d = make()
    for number, key in enumerate(KEYS):
        d[key] = number
    assert list(d.items()) == [(key, number) for number, key in enumerate(KEYS)]
    for key in KEYS[::2]:
        del d[key]
    assert list(d) == KEYS[1::2]
    assert all(d[key] == KEYS.index(key) for key in KEYS[1::2])


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_every_kind_of_value_comes_back_equal_and_of_its_type(make: Make, value: Any) -> None:
    d = make(k=value)
    assert d["k"] == value
    assert type(d["k"]) is type(value)
    assert repr(d["k"]) == repr(value) or isinstance(value, list)  # -0.0; a timezone is not kept
    assert list(d.values()) == [value]
    assert list(d.items()) == [("k", value)]
    assert d.setdefault("k", "other") == value
    assert d.pop("k") == value


@pytest.mark.parametrize("keys", EQUAL_KEYS, ids=repr)
def test_equal_keys_are_one_and_the_first_one_stays(make: Make, keys: list[Any]) -> None:
    for last in keys:
        d = make([("before", 0), (keys[0], "first"), ("after", 0)])
        assert last in d
        assert d[last] == "first"
        d[last] = "second"
        assert list(d.items()) == [("before", 0), (keys[0], "second"), ("after", 0)]
        assert all(d[key] == "second" for key in keys)
        if not isinstance(keys[0], datetime | Point):
            found = list(d)[1]
            assert repr(found) == repr(keys[0])  # 1 is not 1.0, and 0 not -0.0
        assert d.setdefault(last, "third") == "second"
        assert d.pop(last) == "second"
        assert not any(key in d for key in keys)
        d[last] = "again"
        assert list(d) == ["before", "after", last]


def test_keys_that_python_holds_different_are_different(make: Make) -> None:
    for key, other in itertools.combinations(DIFFERENT_KEYS, 2):
        d = make([(key, 1), (other, 2)])
        assert list(d.items()) == [(key, 1), (other, 2)]


@pytest.mark.parametrize("key", ["a", 1, 0.5, None, b"a", (1, "a")])
def test_a_key_error_carries_the_key(make: Make, key: Any) -> None:
    d = make([("other", 1)])
    for missing in (lambda: d[key], lambda: d.pop(key), lambda: d.__delitem__(key)):
        with pytest.raises(KeyError) as caught:
            missing()
        assert caught.value.args == (key,)
    assert d == {"other": 1}


@pytest.mark.parametrize("key", [[], {}, set(), bytearray(b"a"), ([],), (1, ({},))], ids=repr)
def test_an_unhashable_key_is_a_type_error_everywhere(make: Make, key: Any) -> None:
    d = make(a=1)
    for use in (
        lambda: d[key],
        lambda: d.get(key),
        lambda: key in d,
        lambda: d.__setitem__(key, 1),
        lambda: d.__delitem__(key),
        lambda: d.setdefault(key, 1),
        lambda: d.pop(key, None),
        lambda: d.update([(key, 1)]),
    ):
        with pytest.raises(TypeError, match="unhashable type"):
            use()
    assert d == {"a": 1}


IMPOSSIBLE_KEYS: list[Any] = [
    object(), frozenset(), range(3), 1j, 2**64, -(2**63) - 1, "\ud800", (1, (2**64,)), int,
    datetime(2024, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("key", IMPOSSIBLE_KEYS, ids=ascii)
def test_a_hashable_key_that_cannot_be_there_is_not_there(make: Make, key: Any) -> None:
    d = make(a=1)
    assert key not in d
    assert d.get(key, "default") == "default"
    assert d.pop(key, "default") == "default"
    with pytest.raises(KeyError):
        d[key]
    with pytest.raises(KeyError):
        del d[key]
    assert (key, 1) not in d.items()
    assert key not in d.keys()  # noqa: SIM118 - the view is what is tested
    assert d == {"a": 1}


def test_nan_is_no_key_that_is_found(make: Make) -> None:
    d = make(a=1)
    assert float("nan") not in d
    assert d.get(float("nan")) is None


def test_it_is_unhashable(make: Make) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(make())


# ------------------------------------------------------------------------------ setdefault, pop, popitem


def test_setdefault_stores_only_what_is_missing(make: Make) -> None:
    d = make()
    assert d.setdefault("a") is None
    assert d["a"] is None
    assert d.setdefault("a", 5) is None
    assert d.setdefault("b", [1]) == [1]
    assert d.setdefault("b", [2]) == [1]
    assert d == {"a": None, "b": [1]}


def test_pop_takes_away_or_gives_the_default(make: Make) -> None:
    d = make(a=1, b=None)
    assert d.pop("a") == 1
    assert d.pop("b", 5) is None
    assert d.pop("b", 5) == 5
    assert d.pop("b", None) is None
    with pytest.raises(KeyError):
        d.pop("b")
    with pytest.raises(TypeError):
        d.pop()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        d.pop("a", 1, 2)  # type: ignore[call-overload]


def test_popitem_is_last_in_first_out(make: Make) -> None:
    d = make((i, i * 2) for i in range(200))
    del d[199]
    del d[100]
    d[0] = "replaced"  # stays the oldest
    del d[50]
    d[50] = "again"  # is the youngest
    assert d.popitem() == (50, "again")
    expected = [(i, i * 2) for i in range(198, 0, -1) if i not in (50, 100)]
    assert [d.popitem() for _ in range(len(d) - 1)] == expected
    assert d.popitem() == (0, "replaced")
    with pytest.raises(KeyError, match=r"popitem\(\): dictionary is empty"):
        d.popitem()


# --------------------------------------------------------------------------------- update and operators


@pytest.mark.parametrize(
    "other",
    [
        {"a": 2, "b": 3},
        [("a", 2), ("b", 3)],
        (pair for pair in [["a", 2], ["b", 3]]),
        HasKeys({"a": 2, "b": 3}),
        UserDict({"a": 2, "b": 3}),
        {"a": 2, "b": 3}.items(),
    ],
    ids=lambda other: type(other).__name__,
)
def test_update_takes_mappings_pairs_and_what_has_keys(make: Make, other: Any) -> None:
    contents = {"a": 2, "b": 3}
    other = iter(contents.items()) if isinstance(other, Iterator) else other  # the parameter is used twice
    d = make([("z", 0), ("a", 1)])
    assert d.update(other) is None
    assert list(d.items()) == [("z", 0), ("a", 2), ("b", 3)]


def test_update_takes_keywords_too(make: Make) -> None:
    d = make(a=1)
    d.update(b=2, self=3, other=4, iterable=5)
    d.update({"a": 0}, a=9)
    d.update()
    assert d == {"a": 9, "b": 2, "self": 3, "other": 4, "iterable": 5}
    d.update(d)
    assert len(d) == 5


@pytest.mark.parametrize(
    ("other", "error"),
    [(None, TypeError), (42, TypeError), ([1], TypeError), (["abc"], ValueError), ([(1,)], ValueError)],
)
def test_update_with_what_is_no_mapping_changes_nothing(make: Make, other: Any, error: type) -> None:
    d = make(a=1)
    with pytest.raises(error):
        d.update(other)
    assert d == {"a": 1}


def test_update_stops_at_what_its_source_raises(make: Make) -> None:
    def source() -> Iterator[tuple[str, int]]:
        yield "a", 1
        raise ZeroDivisionError

    d = make()
    with pytest.raises(ZeroDivisionError):
        d.update(source())
    assert d == {"a": 1}


def test_operators_merge_and_the_right_side_wins(make: Make) -> None:
    d = make([("a", 1), ("b", 2)])
    assert list((d | {"b": 3, "c": 4}).items()) == [("a", 1), ("b", 3), ("c", 4)]  # type: ignore[operator]
    assert list(({"b": 3, "c": 4} | d).items()) == [("b", 2), ("c", 4), ("a", 1)]  # type: ignore[operator]
    assert d | make(c=5) == {"a": 1, "b": 2, "c": 5}  # type: ignore[operator]
    assert d == {"a": 1, "b": 2}
    same = d
    d |= {"b": 3}
    d |= [("c", 4)]  # type: ignore[operator]
    assert d is same
    assert d == {"a": 1, "b": 3, "c": 4}
    for wrong in (lambda: d | [("a", 1)], lambda: [("a", 1)] | d, lambda: d | None):  # type: ignore[operator]
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError):
        d |= None  # type: ignore[operator]
    assert d == {"a": 1, "b": 3, "c": 4}


def test_a_copy_is_a_dict_of_its_own(make: Make) -> None:
    d = make([("b", 1), ("a", [2])])
    copied = d.copy()  # type: ignore[attr-defined]
    assert type(copied) is dict
    assert list(copied.items()) == [("b", 1), ("a", [2])]
    copied["c"] = 3
    assert "c" not in d
    assert dict(d) == {**d} == {"b": 1, "a": [2]}


def test_clear_empties_and_it_can_be_filled_again(make: Make) -> None:
    for size in (0, 1, 5, 16, 1000):
        d = make((i, i) for i in range(size))
        assert d.clear() is None
        assert (len(d), list(d), d.get(0)) == (0, [], None)
        d["a"] = 1
        assert d == {"a": 1}


# ----------------------------------------------------------------------------------------- comparison


def test_equality_is_that_of_contents_whatever_the_order(make: Make) -> None:
    d = make([("a", 1), ("b", [2, {"c": 3}])])
    same = {"b": [2, {"c": 3}], "a": 1}
    for other in (same, make(same)):
        assert d == other
        assert other == d
        assert (d != other, other != d) == (False, False)
    for other in ({}, {"a": 1}, {**same, "c": 1}, {**same, "a": 2}, {"a": 1, "c": [2, {"c": 3}]}, make(a=1)):
        assert (d != other, other != d) == (True, True)
        assert (d == other, other == d) == (False, False)
    assert make() == make() == {}
    assert make({1: 1.0}) == {True: 1}


@pytest.mark.parametrize("other", [None, 1, "a", [("a", 1)], {"a"}, object(), {"a": 1}.items()], ids=repr)
def test_it_equals_nothing_but_mappings(make: Make, other: Any) -> None:
    d = make(a=1)
    assert (d == other, d != other) == (False, True)
    for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
        assert getattr(d, compare)(other) is NotImplemented


def test_nan_as_a_value_equals_nothing(make: Make) -> None:
    d = make(a=float("nan"))
    assert d["a"] != d["a"]
    assert (d == {"a": float("nan")}, d != {"a": float("nan")}) == (False, True)


# ----------------------------------------------------------------------------------------------- views


def test_views_follow_the_dict(make: Make) -> None:
    d = make()
    keys, values, items = d.keys(), d.values(), d.items()
    assert isinstance(keys, KeysView)
    assert isinstance(values, ValuesView)
    assert isinstance(items, ItemsView)
    d["a"] = 1
    assert (list(keys), list(values), list(items), len(keys), len(values), len(items)) == (
        ["a"], [1], [("a", 1)], 1, 1, 1,
    )  # fmt: skip
    d["b"] = 2
    assert (list(reversed(keys)), list(reversed(values)), list(reversed(items))) == (
        ["b", "a"], [2, 1], [("b", 2), ("a", 1)],
    )  # fmt: skip
    d.clear()
    assert (list(keys), list(values), list(items)) == ([], [], [])


def test_views_know_what_is_in_them(make: Make) -> None:
    d = make([("a", 1), ("b", [2])])
    assert "a" in d.keys()  # noqa: SIM118
    assert 1 not in d.keys()  # noqa: SIM118
    assert [2] in d.values()
    assert "a" not in d.values()
    assert ("b", [2]) in d.items()
    assert ("a", True) in d.items()
    for no_item in (("a", 2), ("c", 1), "a", 1, None, ("a",), ("a", 1, 1), ["a", 1, 2]):
        assert no_item not in d.items()
    with pytest.raises(TypeError):
        ([], 1) in d.items()  # noqa: B015


COMPARISONS = (operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt)
SETS: list[Any] = [set(), {"a"}, {"a", "b"}, {"b", "c"}, {"a", "b", "c"}, {"x", 1}]


@pytest.mark.parametrize("other", SETS, ids=repr)
def test_keys_are_a_set(make: Make, other: set[Any]) -> None:
    keys, plain = make(a=1, b=2).keys(), {"a", "b"}
    for right in (other, frozenset(other), dict.fromkeys(other).keys()):
        assert keys & right == plain & right == right & keys
        assert keys | right == plain | right == right | keys
        assert keys ^ right == plain ^ right == right ^ keys
        assert keys - right == plain - right
        assert right - keys == right - plain
        assert keys.isdisjoint(right) == plain.isdisjoint(right)
        for compare in COMPARISONS:
            assert compare(keys, right) == compare(plain, right), compare
    assert keys & list(other) == plain & other
    assert keys | list(other) == plain | other
    assert type(keys & other) is set
    assert type(keys | other) is set


def test_items_are_a_set(make: Make) -> None:
    items, plain = make(a=1, b=2).items(), {("a", 1), ("b", 2)}
    for other in (set(), {("a", 1)}, {("a", 2)}, {("a", 1), ("b", 2)}, {("a", 1), ("b", 2), ("c", 3)}):
        assert items & other == plain & other
        assert items | other == plain | other
        assert items ^ other == plain ^ other
        assert items - other == plain - other
        assert other - items == other - plain
        assert items.isdisjoint(other) == plain.isdisjoint(other)
        for compare in COMPARISONS:
            assert compare(items, other) == compare(plain, other), compare
    assert make(a=1).items() == make(a=1).items()
    assert make(a=1).keys() == make(a=2).keys()
    assert make(a=1).items() != make(a=2).items()
    assert make(a=[1]).items() == {"a": [1]}.items()
    assert type(items & plain) is set


def test_values_are_no_set(make: Make) -> None:
    values = make(a=1).values()
    assert values != make(a=1).values()
    with pytest.raises(TypeError):
        values & {1}  # type: ignore[operator]


def test_an_iterator_ends_once_and_for_all(make: Make) -> None:
    d = make(a=1)
    for iterator in (iter(d), iter(d.keys()), iter(d.values()), iter(d.items()), reversed(d)):
        assert iter(iterator) is iterator
        next(iterator)
        assert next(iterator, "end") == "end"
        assert next(iterator, "end") == "end"


# -------------------------------------------------------------------------------------------- at length


@pytest.mark.parametrize("seed", range(5))
def test_growing_and_shrinking_many_times_keeps_the_order(make: Make, seed: int) -> None:
    choose = random.Random(seed)
    d, model = make(), dict[int, int]()
    for target in (10, 1000, 3, 300, 0, 2000, 1, 64, 5):
        while len(model) < target:
            key, value = choose.randrange(4000), choose.randrange(1 << 40)
            d[key] = model[key] = value
        while len(model) > target:
            if choose.random() < 0.3:
                assert d.popitem() == model.popitem()
            else:
                key = choose.choice(list(model))
                assert d.pop(key) == model.pop(key)
        assert len(d) == len(model)
        assert list(d.items()) == list(model.items())
        assert list(reversed(d.items())) == list(reversed(model.items()))


OPERATIONS = ("set", "set", "set", "del", "pop", "popitem", "setdefault", "update", "get", "clear")


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives, or the KeyError it raises."""
    try:
        return call()
    except KeyError as error:
        return type(error), error.args


def operate(d: MutableMapping[Any, Any], operation: str, key: Any, value: Any) -> Any:
    """One operation, the same for every mapping."""
    calls: dict[str, Callable[[], Any]] = {
        "set": lambda: d.__setitem__(key, value),
        "del": lambda: d.__delitem__(key),
        "pop": lambda: d.pop(key),
        "popitem": lambda: d.popitem(),
        "setdefault": lambda: d.setdefault(key, value),
        "update": lambda: d.update([(key, value), (value, -value)]),
        "get": lambda: d.get(key, value),
        "clear": lambda: d.clear() if value == 0 else None,
    }
    return outcome(calls[operation])


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_operations_gives_what_a_dict_gives(make: Make, seed: int) -> None:
    choose = random.Random(seed)
    d, model = make(), dict[Any, Any]()
    for _ in range(3000):
        operation = choose.choice(OPERATIONS)
        key = choose.choice((int, float, str, lambda n: (n, "t")))(choose.randrange(40))
        value = choose.randrange(200)
        assert operate(d, operation, key, value) == operate(model, operation, key, value)
        assert len(d) == len(model)
    assert repr(list(d.items())) == repr(list(model.items()))


def test_a_mapping_made_from_it_agrees(make: Make) -> None:
    d = make([("a", 1), ("b", {"c": 2})])
    assert isinstance(d, Mapping)
    assert dict(d) == UserDict(d) == d
    match d:
        case {"a": 1, "b": {"c": two}, **rest}:
            assert (two, rest) == (2, {})
        case _:
            pytest.fail("no match")
