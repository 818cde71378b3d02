"""Atomic numbers and flags in one process: values, ranges, wrapping, as objects and as fields."""

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from aioipc import (
    AtomicBool,
    AtomicFlag,
    AtomicInt32,
    AtomicInt64,
    AtomicUInt32,
    AtomicUInt64,
    ClosedError,
    ManagedSharedMemory,
    Struct,
    TypeMismatchError,
)

RANGES: list[tuple[Any, int, int]] = [
    (AtomicInt32, -(1 << 31), (1 << 31) - 1),
    (AtomicUInt32, 0, (1 << 32) - 1),
    (AtomicInt64, -(1 << 63), (1 << 63) - 1),
    (AtomicUInt64, 0, (1 << 64) - 1),
]
CHANGES = ("store", "exchange", "fetch_add", "fetch_sub", "fetch_and", "fetch_or", "fetch_xor", "add", "sub")


class Counters(Struct):
    i32: AtomicInt32
    i64: AtomicInt64
    u32: AtomicUInt32
    u64: AtomicUInt64
    many: AtomicInt64[3]
    on: AtomicBool
    taken: AtomicFlag


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


@pytest.fixture(params=["object", "field"])
def make(request: pytest.FixtureRequest, segment: ManagedSharedMemory) -> Any:
    """`make(cls)`: one of its own, or the field of a struct."""
    if request.param == "object":
        return lambda cls: cls(segment)
    names = ("i32", "i64", "u32", "u64", "on", "taken")
    fields = {type(getattr(Counters(segment), name)): name for name in names}
    return lambda cls: getattr(Counters(segment), fields[cls])


@pytest.mark.parametrize(("cls", "low", "high"), RANGES)
def test_each_operation_gives_and_leaves_what_it_says(make: Any, cls: Any, low: int, high: int) -> None:
    number = make(cls)
    assert number.load() == 0
    number.store(high)
    assert number.exchange(5) == high
    assert (number.fetch_add(3), number.fetch_sub(1), number.load(), int(number)) == (5, 8, 7, 7)
    assert (number.add(), number.add(2), number.sub(), number.sub(4)) == (8, 10, 9, 5)
    assert (number.fetch_and(0b100), number.fetch_or(0b11), number.fetch_xor(0b101)) == (5, 4, 7)
    assert number.load() == 0b10
    assert number.compare_exchange(2, low) is True
    assert number.compare_exchange(2, 9) is False
    assert number.load() == low


@pytest.mark.parametrize(("cls", "low", "high"), RANGES)
def test_results_wrap_around_and_arguments_do_not(make: Any, cls: Any, low: int, high: int) -> None:
    number = make(cls)
    number.store(high)
    assert (number.fetch_add(1), number.load()) == (high, low)
    assert (number.sub(), number.add(), number.fetch_sub(1), number.load()) == (high, low, low, high)
    for wrong in (low - 1, high + 1, 1 << 80):
        for method in CHANGES:
            with pytest.raises(OverflowError):
                getattr(number, method)(wrong)
        with pytest.raises(OverflowError):
            number.compare_exchange(wrong, 0)
        with pytest.raises(OverflowError):
            number.compare_exchange(0, wrong)
    for wrong in (1.0, "1", None):
        with pytest.raises(TypeError):
            number.add(wrong)
    assert number.load() == high


def test_bools_and_flags(make: Any) -> None:
    on, flag = make(AtomicBool), make(AtomicFlag)
    assert (on.load(), on.exchange(True), on.load()) == (False, False, True)
    assert (on.fetch_xor(True), on.fetch_or(True), on.fetch_and(False), on.load()) == (
        True,
        False,
        True,
        False,
    )
    assert (on.compare_exchange(False, True), on.compare_exchange(False, True)) == (True, False)
    assert (flag.test_and_set(), flag.test_and_set(), flag.test()) == (False, True, True)
    flag.clear()
    assert flag.test() is False
    with pytest.raises(OverflowError):
        on.store(2)


def test_the_segment_may_be_closed_by_what_is_added(segment: ManagedSharedMemory) -> None:
    class Closing:
        def __index__(self) -> int:
            segment.close()
            return 1

    number = AtomicInt64(segment, "n")
    for use in (number.add, number.sub, number.store, number.fetch_or):
        with pytest.raises(ClosedError):
            use(Closing())  # type: ignore[arg-type]
    with pytest.raises(ClosedError):
        number.compare_exchange(0, Closing())  # type: ignore[arg-type]


def test_a_new_one_starts_with_the_value_given(segment: ManagedSharedMemory) -> None:
    assert AtomicInt64(segment, "a", -5).load() == -5
    assert AtomicInt64(segment, "a", 7).load() == -5
    assert AtomicUInt64(segment, None, 1 << 63).load() == 1 << 63
    assert AtomicBool(segment, None, True).load() is True
    with pytest.raises(OverflowError):
        AtomicUInt32(segment, "wrong", -1)
    assert segment.find(AtomicUInt32, "wrong") is None
    with pytest.raises(TypeMismatchError, match="'a' is a AtomicInt64, not a AtomicUInt64"):
        AtomicUInt64(segment, "a")


def test_fields_start_with_and_are_assigned_plain_numbers(segment: ManagedSharedMemory) -> None:
    counters = Counters(segment, "c", i64=-4, many=[1, 2, 3], on=True)
    assert (counters.i64.load(), [n.load() for n in counters.many], counters.on.load()) == (
        -4,
        [1, 2, 3],
        True,
    )
    counters.i64 = 9
    counters.many[1] = 8
    assert (counters.i64.load(), counters.many[1].load()) == (9, 8)
    counters.i64 = counters.many[1]
    assert counters.i64.load() == 8
    with pytest.raises(OverflowError, match=r"Counters\.u32: -1 does not fit into uint32"):
        counters.u32 = -1
    with pytest.raises(TypeError):
        counters.i64 += 1  # type: ignore[operator]
    assert repr(counters.i64) == "<aioipc.AtomicInt64 'c'.i64 [8]>"
    with pytest.raises(BufferError, match="through their own methods"):
        memoryview(counters.many)


def test_life_and_identity(segment: ManagedSharedMemory) -> None:
    hits, counters = AtomicInt64(segment, "hits", 3), Counters(segment, "c")
    assert hits == AtomicInt64(segment, "hits") != AtomicInt64(segment)
    for handle in (hits, counters.many[2], counters.on):
        assert pickle.loads(pickle.dumps(handle)) == handle
    assert repr(hits) == "<aioipc.AtomicInt64 'hits' [3]>"
    assert segment.destroy(AtomicInt64, "hits")
    for use in (hits.load, hits.add, lambda: hits.compare_exchange(1, 2), lambda: hits.store(1)):
        with pytest.raises(ClosedError):
            use()
    field = counters.on
    segment.close()
    for use in (field.load, lambda: field.store(True), lambda: counters.on):
        with pytest.raises(ClosedError):
            use()


@pytest.mark.parametrize("cls", [AtomicInt64, AtomicBool, AtomicFlag])
def test_a_handle_that_was_never_made_is_refused(cls: Any) -> None:
    uses = (
        lambda h: h.load(),
        lambda h: h.store(1),
        lambda h: h.compare_exchange(0, 1),
        lambda h: h.exchange(1),
    )
    for use in uses:
        with pytest.raises(ClosedError):
            use(cls.__new__(cls))
