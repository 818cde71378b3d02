"""Values against the msgpack package: the same bytes, the same objects."""

import datetime
import enum
import math
import sys
import threading
from collections import OrderedDict, namedtuple
from contextlib import suppress
from typing import Any

import msgpack
import pytest

from aioipc import CorruptSegmentError
from aioipc._native._msgpack import packb, unpackb
from tests.support.edges import EXTS, FLOATS, INTS, TIMESTAMPS, TOO_LARGE, VALUES, short


def reference(value: Any) -> bytes:
    return msgpack.Packer(use_bin_type=True, datetime=True).pack(value)


def decoded(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, strict_map_key=False, timestamp=3)


class Colour(enum.IntEnum):
    RED = 3


class Word(enum.StrEnum):
    YES = "yes"


class Text(str):
    pass


class Real(float):
    pass


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize("value", VALUES, ids=short)
def test_bytes_and_objects_are_those_of_msgpack(value: Any) -> None:
    packed = packb(value)
    assert packed == reference(value)
    result = unpackb(packed)
    assert result == decoded(packed)
    assert type(result) is type(decoded(packed))
    assert repr(result) == repr(decoded(packed))  # tells -0.0 from 0.0 and True from 1


@pytest.mark.parametrize("value", [*TIMESTAMPS, bytearray(b"ab"), memoryview(b"ab"), (1, (2,))], ids=repr)
def test_what_msgpack_turns_into_another_type_is_turned_likewise(value: Any) -> None:
    assert packb(value) == reference(value)
    assert unpackb(packb(value)) == decoded(reference(value))


@pytest.mark.parametrize(
    "value", [Colour.RED, Word.YES, Text("text"), Real(1.5), Point(1, 2), OrderedDict(a=1)], ids=repr
)
def test_subclasses_are_packed_as_what_they_derive_from(value: Any) -> None:
    assert packb(value) == reference(value)


def test_nan_stays_nan() -> None:
    assert packb(math.nan) == reference(math.nan)
    assert math.isnan(unpackb(packb(math.nan)))


def test_every_way_to_write_a_number_is_read() -> None:
    forms = [bytes([b]) for b in (*range(0x80), *range(0xE0, 0x100))]
    for first, width in zip(range(0xCA, 0xD4), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8), strict=True):
        tails = (
            b"\0" * width,
            b"\x01" * width,
            b"\x7f" * width,
            b"\x80" + b"\0" * (width - 1),
            b"\xfe" * width,
        )
        forms += [bytes([first]) + tail for tail in tails]
    for form in forms:
        assert repr(unpackb(form)) == repr(decoded(form))


def test_a_float_is_read_in_single_precision() -> None:
    assert unpackb(msgpack.packb(1.5, use_single_float=True)) == 1.5


# ------------------------------------------------------------------------------------- beyond msgpack


def test_an_array_as_the_key_of_a_map_is_a_tuple() -> None:
    value = {(1, ("a", b"b")): [1, (2,)], (): {}}
    assert unpackb(packb(value)) == {(1, ("a", b"b")): [1, [2]], (): {}}


@pytest.mark.parametrize("seconds", [253402300800, -62135596801, (1 << 63) - 1, -(1 << 63)])
def test_a_timestamp_that_datetime_cannot_say_stays_a_timestamp(seconds: int) -> None:
    value = msgpack.Timestamp(seconds, 5)
    assert unpackb(packb([value])) == [value]


def deepest_packed() -> bytes:
    value: list[Any] = []
    while True:
        packed = packb(value)
        value = [value]
        try:
            packb(value)
        except ValueError as error:
            assert "nested too deep" in str(error)  # noqa: PT017
            return packed


def test_what_is_packed_at_the_greatest_depth_is_unpacked() -> None:
    packed = deepest_packed()
    depth, value = 0, unpackb(packed)
    while value:
        depth, (value,) = depth + 1, value
    assert depth > 500
    assert packed == b"\x91" * depth + b"\x90"


def test_the_deepest_values_are_read_on_a_small_stack() -> None:
    done: list[Any] = []

    def read() -> None:
        for data in (b"\x91" * 1024 + b"\x90", b"\x81\x01" * 1024 + b"\x80", b"\x91" * 10**6):
            with suppress(CorruptSegmentError):
                done.append(unpackb(data))

    before = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert len(done) == 2


# -------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "value", [{1}, object(), 1j, datetime.date(2026, 1, 1), [1, {2}], range(3)], ids=repr
)
def test_a_type_msgpack_does_not_have_is_a_type_error_that_says_which_it_has(value: Any) -> None:
    with pytest.raises(
        TypeError, match=r"'(set|object|complex|datetime.date|range)' object.*msgpack has None"
    ):
        packb(value)


@pytest.mark.parametrize("number", TOO_LARGE, ids=short)
@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: [1, {"a": (n,)}], lambda n: {n: 1}])
def test_an_int_beyond_64_bits_is_named(number: int, wrap: Any) -> None:
    with pytest.raises(OverflowError, match=rf"the int {number} does not fit.*str or bytes"):
        packb(wrap(number))


def test_a_huge_int_is_named_by_its_size() -> None:
    with pytest.raises(OverflowError, match="the int of 40001 bits"):
        packb(1 << 40000)


def test_a_wall_clock_time_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="give the datetime a timezone"):
        packb(datetime.datetime(2026, 1, 1))


def test_a_lone_surrogate_is_refused() -> None:
    for value in ("\ud800", ["\ud800"]):
        with pytest.raises(UnicodeEncodeError):
            packb(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        packb(loop)


DAMAGED = {
    "nothing": b"",
    "no such byte": b"\xc1",
    "no such byte, within": b"\x92\x01\xc1",
    "half a number": b"\xcd\x01",
    "half a str": b"\xa3ab",
    "no size": b"\xd9",
    "half an array": b"\x93\x01\x02",
    "half a map": b"\x82\x01\x02\x03",
    "a huge array": b"\xdd\xff\xff\xff\xff",
    "a huge map": b"\xdf\xff\xff\xff\xff\x01\x02",
    "huge bytes": b"\xc6\xff\xff\xff\xff\x01",
    "an ext without its type": b"\xc7\x00",
    "half an ext": b"\xd8\x05\x01",
    "two values": b"\x01\x02",
    "not UTF-8": b"\xa2\xc3\x28",
    "a surrogate": b"\xa3\xed\xa0\x80",
    "a reserved ext": b"\xd4\xfe\x01",
    "a timestamp of a wrong size": b"\xd5\xff\x01\x01",
    "a timestamp with too many ns": b"\xd7\xff" + ((10**9) << 34).to_bytes(8, "big"),
    "a map as a key": b"\x81\x80\x01",
    "a map in a key": b"\x81\x91\x80\x01",
    "too deep": b"\x91" * 5000 + b"\x01",
    "too deep a key": b"\x81" + b"\x91" * 5000 + b"\x01\x01",
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_bytes_that_are_no_value_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptSegmentError, match="not a msgpack value") as caught:
        unpackb(data)
    assert caught.value.what


@pytest.mark.parametrize("value", VALUES[:60] + EXTS + [[1, "a", {"b": 2.5}]], ids=short)
def test_no_prefix_of_a_value_is_a_value(value: Any) -> None:
    packed = packb(value)
    for size in range(min(len(packed), 40)):
        with pytest.raises(CorruptSegmentError):
            unpackb(packed[:size])


def test_counts_that_lie_cost_no_memory() -> None:
    # Each level claims as many elements as there are bytes: 100 MB if it were believed.
    data = b"".join(b"\xdd" + (5000 - 5 * i).to_bytes(4, "big") for i in range(900))
    with pytest.raises(CorruptSegmentError):
        unpackb(data + b"\x01" * 3000)


# ------------------------------------------------------------------------------- packing within packing


class Nosy(datetime.tzinfo):
    """A timezone that packs other things, well and badly, while it is itself being packed."""

    def utcoffset(self, when: Any) -> datetime.timedelta:
        assert packb({"inner": [1] * 50}) == reference({"inner": [1] * 50})
        with pytest.raises(TypeError):
            packb(["half", "of", object()])
        return datetime.timedelta(0)


def test_packing_within_packing_harms_neither() -> None:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    outer = {"before": "x" * 30, "when": moment.replace(tzinfo=Nosy()), "after": [1, 2, 3]}
    assert packb(outer) == reference(outer | {"when": moment})
    assert packb([1]) == b"\x91\x01"


def test_a_failed_pack_leaves_nothing_behind() -> None:
    for _ in range(10):
        with pytest.raises(TypeError):
            packb(["some", "bytes", "written", object()])
        assert packb(["clean"]) == reference(["clean"])


def test_threads_pack_side_by_side() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    failures: list[Any] = []

    def work(seed: int) -> None:
        value = {f"{seed}-{i}": [seed] * i for i in range(20)}
        expected = reference(value)
        failures.extend(1 for _ in range(200) if packb(value) != expected)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []


def test_any_buffer_is_unpacked() -> None:
    for data in (bytearray(b"\x01"), memoryview(b"\x01"), memoryview(b"a\x01")[1:]):
        assert unpackb(data) == 1
    with pytest.raises(TypeError):
        unpackb("\x01")


def test_edge_tables_have_their_edges() -> None:
    assert {0x7F, 0x80, -32, -33, 255, 256, (1 << 63) - 1, 1 << 63, -(1 << 63), (1 << 64) - 1} <= set(INTS)
    assert math.copysign(1, FLOATS[1]) == -1
