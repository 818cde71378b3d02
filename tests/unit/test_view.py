"""Views: each kind of value reads like itself, nothing is copied that need not be, no memory is kept."""

import collections.abc
import copy
import ctypes
import datetime
import io
import math
import pickle
from typing import Any

import msgpack
import pytest

from aioipc import ClosedError, View
from aioipc._native._msgpack import packb
from tests.support.edges import FLOATS, INTS, VALUES, short

RECORD = {
    "name": "Ann",
    "scores": [1, 2, 3],
    "photo": b"\x00jpg",
    7: None,
    (1, "x"): {"deep": [[5]]},
    "π": 3.14,
}


def view(value: Any) -> View:
    return View.of(packb(value))


# ------------------------------------------------------------------------------------------- every kind


@pytest.mark.parametrize("value", VALUES, ids=short)
def test_a_view_decodes_compares_and_is_true_as_its_value(value: Any) -> None:
    v = view(value)
    assert repr(v.decode()) == repr(View.of(v.raw).decode())
    assert v.decode() == value
    assert v == value
    assert v == view(value)
    assert v != object()
    assert bool(v) == bool(value)
    assert bytes(v.raw) == packb(value)
    assert v.raw.readonly


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, "map"),
        ([], "array"),
        ("", "str"),
        (b"", "bytes"),
        (1, "int"),
        ((1 << 64) - 1, "int"),
        (1.0, "float"),
        (True, "bool"),
        (None, "nil"),
        (msgpack.Timestamp(1), "timestamp"),
        (msgpack.ExtType(1, b""), "ext"),
    ],
)
def test_a_view_says_what_it_is_a_view_of(value: Any, kind: str) -> None:
    v = view(value)
    assert v.kind == kind
    assert kind in repr(v)


def test_a_view_is_equal_only_to_what_its_value_equals() -> None:
    assert view([1, 2]) != (1, 2)
    assert view([1, 2]) != [1, 2, 3]
    assert view("a") != b"a"
    assert view(1) == 1.0 == view(True)
    assert view([1, 2]) == [1, 2]
    assert view({"a": [1]}) == {"a": view([1])}
    assert view([math.nan]) != [math.nan]
    assert view(b"a") == bytearray(b"a")


def test_a_view_is_neither_hashable_nor_made_nor_subclassed_nor_pickled() -> None:
    v = view(1)
    for wrong in (
        lambda: hash(v),
        View,
        lambda: type("Sub", (View,), {}),
        lambda: pickle.dumps(v),
        lambda: copy.copy(v),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError, match=r"View\.of"):
        View()
    with pytest.raises(ClosedError):
        View.__new__(View).decode()
    with pytest.raises(TypeError):
        View.of("text")  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------- map


def test_a_map_reads_like_a_dict() -> None:
    v = view(RECORD)
    assert len(v) == 6
    assert list(v) == list(v.keys()) == list(RECORD)
    assert v["name"] == "Ann"
    assert v["π"] == 3.14
    assert v[7] is None
    assert v[7.0] is None
    assert v[(1.0, "x")]["deep"][0][0] == 5
    assert v["scores"][2] == 3
    assert "name" in v
    assert "Ann" not in v
    assert v.get("name") == "Ann"
    assert v.get("nobody") is None
    assert v.get("nobody", 5) == 5
    assert dict(v) == {**RECORD, "photo": v["photo"]}
    with pytest.raises(KeyError, match="nobody"):
        v["nobody"]


def test_keys_of_a_map_compare_as_pythons() -> None:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    v = view(
        {1: "one", 0: "zero", 2.5: "float", 2.0**60: "large", moment: "moment", b"a": "bytes", None: "none"}
    )
    assert (v[True], v[1.0], v[-0.0], v[False], v[2.5], v[1 << 60]) == (
        "one",
        "one",
        "zero",
        "zero",
        "float",
        "large",
    )
    assert (v[moment], v[b"a"], v[None]) == ("moment", "bytes", "none")
    assert "a" not in v
    # Written by others: not the shortest form.
    foreign = View.of(
        b"\x84\xd3\0\0\0\0\0\0\0\x05\x01\xd9\x01a\x02\xca\x40\x40\0\0\x03"
        + b"\xc7\x0c\xff"
        + bytes(12)
        + b"\x04"
    )
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert (foreign[5], foreign["a"], foreign[3], foreign[epoch]) == (1, 2, 3, 4)


@pytest.mark.parametrize("key", [*INTS, *FLOATS, True, False], ids=repr)
def test_a_number_is_found_by_every_number_equal_to_it_and_no_other(key: Any) -> None:
    v = view({key: "here"})
    for other in (*INTS, *FLOATS, True, False):
        assert (other in v) == (other == key), other


@pytest.mark.parametrize("key", [math.nan, 1 << 70, object(), "\ud800", frozenset(), 1j], ids=repr)
def test_what_cannot_be_a_key_is_in_no_map(key: Any) -> None:
    v = view(RECORD)
    assert key not in v
    assert v.get(key, 3) == 3
    with pytest.raises(KeyError):
        v[key]


def test_an_unhashable_key_is_a_type_error() -> None:
    for key in ([], {}, bytearray(), view(1)):
        with pytest.raises(TypeError, match="unhashable"):
            view(RECORD)[key]
        with pytest.raises(TypeError, match="unhashable"):
            key in view(RECORD)  # noqa: B015


def test_keys_values_and_items_are_pythons_own_views() -> None:
    data = {"a": 1, "b": 2, 3: 4}
    v = view(data)
    assert list(v.keys()) == list(data.keys())
    assert list(v.values()) == list(data.values())
    assert list(v.items()) == list(data.items())
    assert v.keys() & {"a", "z"} == {"a"}
    assert v.items() >= {("a", 1)}
    assert ("b", 2) in v.items()
    assert ("b", 3) not in v.items()
    assert 4 in v.values()
    assert 5 not in v.values()
    assert len(v.items()) == len(v.keys()) == len(v.values()) == 3
    assert isinstance(v.items(), collections.abc.ItemsView)


def test_lookups_in_any_order_find_everything() -> None:
    data = {i: i * i for i in range(50)}
    v = view(data)
    for order in (range(50), range(49, -1, -1), [7, 7, 3, 49, 0, 25, 24]):
        assert [v[i] for i in order] == [data[i] for i in order]
        assert 50 not in v


def test_a_view_claims_no_collection_it_may_not_be() -> None:
    assert not isinstance(view({}), collections.abc.Mapping)
    assert not isinstance(view([]), collections.abc.Sequence)


# ------------------------------------------------------------------------------------------------ array


def test_an_array_reads_like_a_list() -> None:
    data = [10, "x", None, [1, 2], {"k": "v"}, 10]
    v = view(data)
    assert len(v) == 6
    assert [v[i] for i in range(-6, 6)] == data + data
    assert list(v) == data
    assert list(reversed(v)) == data[::-1]
    assert v.index(10) == 0
    assert v.index(10, 1) == 5
    assert v.index({"k": "v"}, -3, -1) == 4
    assert v.count(10) == 2
    assert [1, 2] in v
    assert "y" not in v
    first, *_, last = v
    assert first == last == 10
    with pytest.raises(ValueError, match="'y' is not in"):
        v.index("y")
    with pytest.raises(ValueError, match="is not in"):
        v.index(10, 1, 5)


def test_slices_of_an_array_are_lists() -> None:
    data = list(range(100))
    v = view(data)
    for part in (
        slice(None),
        slice(3, 70, 7),
        slice(None, None, -1),
        slice(-5, None),
        slice(50, 10, -3),
        slice(9, 2),
    ):
        assert v[part] == data[part]
        assert type(v[part]) is list


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 1000])
def test_elements_are_found_in_any_order(size: int) -> None:
    data = [[i] * (i % 3) if i % 2 else i for i in range(size)]
    v = view(data)
    orders = [range(size), range(size - 1, -1, -1), [i * 7919 % size for i in range(size)]]
    for order in (*orders, orders[0]):
        assert [v[i] for i in order] == [data[i] for i in order]
        fresh = view(data)
        assert [fresh[i] for i in order] == [data[i] for i in order]


@pytest.mark.parametrize("index", [6, -7, 1 << 62, 1 << 80, -(1 << 80)])
def test_an_index_out_of_range_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match="out of range"):
        view(list(range(6)))[index]


def test_an_index_must_be_an_integer() -> None:
    for index in ("a", 1.0, None):
        with pytest.raises(TypeError):
            view([1])[index]
    assert view([5, 6])[True] == 6


class Counting:
    """Counts how often it is compared."""

    def __init__(self) -> None:
        self.count = 0

    def __eq__(self, other: object) -> bool:
        self.count += 1
        return False

    __hash__ = None  # type: ignore[assignment]


def test_containment_looks_at_each_element_once() -> None:
    counting = Counting()
    assert counting not in view(list(range(40)))
    assert counting.count == 40


# ----------------------------------------------------------------------------------- str, bytes, numbers


def test_a_str_reads_like_a_str() -> None:
    v = view("naïve")
    assert (str(v), len(v), f"{v}", v[2], v[-3:], list(v)) == ("naïve", 5, "naïve", "ï", "ïve", list("naïve"))
    assert "aï" in v
    assert "x" not in v
    with pytest.raises(TypeError):
        bytes(v)


def test_bytes_are_the_memory_itself() -> None:
    memory = bytearray(packb({"photo": b"abc", "list": [b"abc"]}))
    v = View.of(memory)
    photo, listed = v["photo"], v["list"][0]
    assert isinstance(photo, memoryview)
    assert photo.readonly
    memory[memory.index(b"abc")] = ord("X")
    assert photo == b"Xbc"
    assert listed == b"abc"
    with pytest.raises(TypeError, match="read-only"):
        photo[0] = 1


def test_a_view_of_bytes_reads_like_bytes() -> None:
    v = view(b"\x01\x02\x03")
    assert (bytes(v), len(v), v[0], v[-1], list(v)) == (b"\x01\x02\x03", 3, 1, 3, [1, 2, 3])
    assert v[1:] == b"\x02\x03"
    assert b"\x02\x03" in v
    for wrong in ("a", (), (0, 0), None, 1.0):
        with pytest.raises(TypeError):
            v[wrong]
    for far in (3, -4, 1 << 80):
        with pytest.raises(IndexError):
            v[far]
    assert 3 in v
    assert memoryview(v) == b"\x01\x02\x03"
    assert b"".join([v]) == b"\x01\x02\x03"
    with pytest.raises(TypeError, match="not writable"):
        ctypes.c_char.from_buffer(v)
    with pytest.raises(TypeError, match="read-write"):
        io.BytesIO(b"abc").readinto(v)  # type: ignore[arg-type]


def test_numbers_read_like_numbers() -> None:
    assert (int(view(5)), float(view(5)), [0, 1, 2][view(2)], int(view(2.9)), float(view(2.5))) == (
        5,
        5.0,
        2,
        2,
        2.5,
    )
    assert (int(view(True)), type(int(view(True))), hex(view((1 << 64) - 1))) == (
        1,
        int,
        "0xffffffffffffffff",
    )
    assert int(view(-(1 << 63))) == -(1 << 63)
    with pytest.raises(TypeError):
        [0, 1, 2][view(1.0)]  # type: ignore[call-overload]
    with pytest.raises(OverflowError):
        int(view(math.inf))


def test_what_a_kind_does_not_have_is_a_type_error_that_names_the_kind() -> None:
    number, text, array, mapping, nil = view(5), view("a"), view([1]), view({}), view(None)
    wrong: list[Any] = [
        lambda: len(number), lambda: iter(number), lambda: number[0], lambda: 1 in number,
        lambda: bytes(number), lambda: memoryview(array), lambda: int(text), lambda: float(text),
        lambda: int(array), lambda: int(nil), lambda: float(nil),
        lambda: number.__index__() and nil.__index__(), lambda: array.keys(), lambda: array.get(1),
        lambda: array.items(), lambda: text.values(), lambda: mapping.index(1), lambda: mapping.count(1),
        lambda: reversed(mapping), lambda: reversed(text), lambda: view(msgpack.Timestamp(1))[0],
    ]  # fmt: skip
    for access in wrong:
        with pytest.raises(TypeError, match=r"a view of (int|str|array|map|nil|timestamp) "):
            access()


def test_a_repr_is_short() -> None:
    assert repr(view("x" * 10**6)) == "<aioipc.View str of 1000000 bytes>"
    assert repr(view(list(range(1000)))) == "<aioipc.View array of 1000 elements>"
    assert repr(view({})) == str(view({})) == "<aioipc.View map of 0 pairs>"
    assert repr(view(5)) == "<aioipc.View int 5>"
    assert repr(view(None)) == "<aioipc.View nil None>"
    assert repr(view(msgpack.Timestamp(0))) == "<aioipc.View timestamp of 4 bytes>"
