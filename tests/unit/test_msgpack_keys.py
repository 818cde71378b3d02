"""Keys: equal in their canonical form exactly when Python holds them equal, given back as they were put."""

import datetime
import decimal
import enum
import itertools
import math
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioipc import CorruptSegmentError
from aioipc._native._msgpack import packb, packb_key, unpackb_key
from tests.support.edges import EAST, FLOATS, INTS, MOMENTS, SIZES, TOO_LARGE, short

TEXTS = ["", "a", "1", "é", "s" * 300, *("k" * size for size in SIZES)]
KEYS: list[Any] = [None, True, False, *INTS, *FLOATS, *TEXTS, *(t.encode() for t in TEXTS), *MOMENTS]
KEYS += [
    (),
    (1,),
    (1.0,),
    (True,),
    ((1,),),
    ((1.0,), "a"),
    ((True,), "a"),
    (1, 2),
    ("a", b"a", None),
    ("x" * 300, 1.0),
]
KEYS += [(k,) for k in (0, 0.0, -0.0, False, 2.0**63, 1 << 63, None, "", b"", ())]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.integers(-3, 3)
    | st.sampled_from(FLOATS)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.datetimes(timezones=st.sampled_from([datetime.UTC, EAST]))
)
keys = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)


def canonical(key: Any) -> bytes:
    return packb_key(key)[0]


def same(a: Any, b: Any) -> bool:
    """Equal, and of one type throughout; -0.0 is not 0.0 here."""
    return repr(a) == repr(b) or (isinstance(a, datetime.datetime) and a == b)


def test_keys_are_equal_in_canonical_form_exactly_when_python_says_so() -> None:
    for a, b in itertools.combinations_with_replacement(KEYS, 2):
        assert (canonical(a) == canonical(b)) == (a == b), (a, b)


@given(keys, keys)
@settings(deadline=None)
def test_any_two_keys_are_equal_in_canonical_form_exactly_when_python_says_so(a: Any, b: Any) -> None:
    assert (canonical(a) == canonical(b)) == (a == b)


@pytest.mark.parametrize("key", KEYS, ids=short)
def test_a_key_is_given_back_as_it_was_put(key: Any) -> None:
    assert same(unpackb_key(packb_key(key)[1]), key)


@given(keys)
@settings(deadline=None)
def test_the_original_form_is_that_of_a_value_and_the_canonical_one_a_fixed_point(key: Any) -> None:
    form, original = packb_key(key)
    assert original == packb(key)
    assert canonical(unpackb_key(form)) == form
    assert unpackb_key(form) == key


@pytest.mark.parametrize("key", [True, 1.0, -0.0, (1, (2.0,)), ("x" * 300, False), 2.0**63], ids=short)
def test_a_key_that_the_canonical_form_changes_has_its_original_beside_it(key: Any) -> None:
    form, original = packb_key(key)
    assert form != original
    assert original == packb(key)


@pytest.mark.parametrize("key", [None, 1, 1.5, "a", b"a", "x" * 300, (1, ("a", 2.5)), MOMENTS[0]], ids=short)
def test_a_key_that_is_its_own_canonical_form_has_no_other(key: Any) -> None:
    form, original = packb_key(key)
    assert form is original


class Colour(enum.IntEnum):
    RED = 1


class Word(enum.StrEnum):
    YES = "yes"


class Whole(float):
    pass


class Data(bytes):
    pass


class Pair(tuple):
    __slots__ = ()

    def __iter__(self) -> Any:
        raise AssertionError("the tuple itself counts")


@pytest.mark.parametrize(
    ("key", "base"),
    [(Colour.RED, 1), (Word.YES, "yes"), (Whole(2), 2), (Data(b"a"), b"a"), (Pair((1, "a")), (1, "a"))],
)
def test_subclasses_count_as_what_they_derive_from(key: Any, base: Any) -> None:
    assert canonical(key) == canonical(base)


def test_moments_are_equal_across_timezones_and_to_timestamps() -> None:
    utc = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    assert canonical(utc) == canonical(utc.astimezone(EAST))
    assert canonical(utc) == canonical(msgpack.Timestamp.from_datetime(utc))
    assert canonical((utc,)) == canonical((utc.astimezone(EAST),))
    assert canonical(utc) != canonical(utc + datetime.timedelta(microseconds=1))


@pytest.mark.parametrize("key", [msgpack.Timestamp(1, 1), msgpack.Timestamp(1 << 40)], ids=repr)
def test_a_timestamp_finer_or_further_than_datetime_is_given_back_as_one(key: Any) -> None:
    assert unpackb_key(packb_key(key)[1]) == key


def test_nan_is_refused() -> None:
    for key in (math.nan, (1, math.nan), Whole("nan")):
        with pytest.raises(ValueError, match="equals no key"):
            packb_key(key)


@pytest.mark.parametrize("key", [[], {}, set(), bytearray(b"a")], ids=repr)
def test_what_a_dict_cannot_hash_is_refused_in_a_dicts_words(key: Any) -> None:
    for wrapped in (key, (1, key)):
        with pytest.raises(TypeError, match=rf"unhashable type: '{type(key).__name__}'"):
            packb_key(wrapped)


@pytest.mark.parametrize("key", [object(), 1j, frozenset(), decimal.Decimal(1), range(2)], ids=repr)
def test_what_msgpack_does_not_have_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match=f"a {type(key).__name__} cannot be a key; keys are"):
        packb_key((key,))


def test_an_int_beyond_64_bits_is_refused_by_name() -> None:
    for number in TOO_LARGE:
        with pytest.raises(OverflowError, match=f"the int {number} "):
            packb_key((number,))


def test_a_key_nested_without_end_is_refused() -> None:
    key: tuple[Any, ...] = ()
    for _ in range(5000):
        key = (key,)
    with pytest.raises(ValueError, match="nested deeper"):
        packb_key(key)


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        packb_key(datetime.datetime(2026, 1, 1))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x91\x80", b"\x92\x01", b"\x01\x01", b"\xc1"], ids=repr)
def test_bytes_that_are_no_key_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptSegmentError):
        unpackb_key(data)
