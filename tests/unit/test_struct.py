"""Struct in one process: fields, arrays of structs, what is refused, how it begins and ends."""

import ctypes
import math
import mmap
import pickle
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

import aioipc
from aioipc import (
    AlreadyExistsError,
    ClosedError,
    Items,
    Lock,
    ManagedSharedMemory,
    NotFoundError,
    OptionMismatchError,
    SegmentFullError,
    Struct,
    TypeMismatchError,
    fixed_bytes,
    fixed_str,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
    unique_instance,
)


class Place(Struct):
    row: int16
    label: fixed_str[10]


class Tick(Struct):
    price: float64 = 1.5
    volume: uint32
    bids: float64[16]
    place: Place
    places: Place[2]
    grid: int32[2, 3]
    raw: fixed_bytes[4]
    open: aioipc.bool_

    kinds: ClassVar[int] = 3

    def total(self) -> float:
        return self.price * self.volume


class Numbers(Struct):
    i8: int8
    i16: int16
    i32: int32
    i64: int64
    u8: uint8
    u16: uint16
    u32: uint32
    u64: uint64
    f32: float32
    f64: float64
    b: aioipc.bool_


RANGES = {
    **{f"i{bits}": (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


@pytest.fixture
def tick(segment: ManagedSharedMemory) -> Tick:
    return Tick(segment, "tick", volume=7, place={"row": -3, "label": "hé"})


# ------------------------------------------------------------------------------------------------ fields


def test_fields_start_with_what_is_given_then_with_the_class_s_values_then_with_zero(tick: Tick) -> None:
    assert (tick.price, tick.volume, tick.place.row, tick.place.label) == (1.5, 7, -3, "hé")
    assert (list(tick.bids), tick.grid.tolist(), tick.raw, tick.open) == (
        [0.0] * 16,
        [[0] * 3, [0] * 3],
        bytes(4),
        False,
    )


def test_two_handles_see_one_memory(segment: ManagedSharedMemory, tick: Tick) -> None:
    other = Tick(segment, "tick", volume=99)  # what it starts with is for a new one
    assert other.volume == 7
    other.volume, other.place.label, tick.bids[3] = 8, "new", 2.5
    assert (tick.volume, tick.place.label, other.bids[3]) == (8, "new", 2.5)
    assert tick.total() == 1.5 * 8


def test_a_bool_is_numpy_s_too_and_no_number_beyond_one(segment: ManagedSharedMemory) -> None:
    numbers = Numbers(segment)
    for value in (True, False):
        numbers.b = np.bool_(value)
        assert numbers.b is value
    for wrong in (1.0, "1", None, np.float64(1)):
        with pytest.raises(TypeError, match=r"Numbers\.b: "):
            numbers.b = wrong
    with pytest.raises(OverflowError):
        numbers.b = 2


def test_text_that_was_torn_in_a_character_can_be_read(segment: ManagedSharedMemory, tick: Tick) -> None:
    with open(f"/dev/shm/{segment.name}", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[memory.find("hé".encode()) + 2] = 0
    assert (tick.place.label, "h\ufffd" in repr(tick.place)) == ("h\ufffd", True)


@pytest.mark.parametrize(("field", "low", "high"), [(f, *r) for f, r in RANGES.items()])
def test_whole_numbers_have_the_range_of_their_type(
    segment: ManagedSharedMemory, field: str, low: int, high: int
) -> None:
    numbers = Numbers(segment)
    for value in (low, high, 0, 1, high - 1):
        setattr(numbers, field, value)
        assert getattr(numbers, field) == value
    for value in (low - 1, high + 1, 1 << 64, -(1 << 63) - 1, 1 << 200):
        with pytest.raises(
            OverflowError, match=rf"Numbers\.{field}: {value} does not fit into \w+ \({low} to {high}\)"
        ):
            setattr(numbers, field, value)
    assert getattr(numbers, field) == high - 1
    for wrong in (1.0, "1", None, b"1"):
        with pytest.raises(TypeError, match=rf"Numbers\.{field}: "):
            setattr(numbers, field, wrong)


def test_floats_and_bools(segment: ManagedSharedMemory) -> None:
    numbers = Numbers(segment)
    for value in (0.0, -0.0, 1e308, math.inf, -math.inf, 5e-324):
        numbers.f64 = value
        assert math.copysign(1, numbers.f64) == math.copysign(1, value)
        assert numbers.f64 == value
    numbers.f64 = math.nan
    assert math.isnan(numbers.f64)
    numbers.f64 = 3
    assert (numbers.f64, type(numbers.f64)) == (3.0, float)
    numbers.f32 = 0.1
    assert numbers.f32 == ctypes.c_float(0.1).value
    numbers.f32 = math.inf
    with pytest.raises(OverflowError, match=r"Numbers\.f32: 1e\+39 does not fit into float32"):
        numbers.f32 = 1e39
    assert numbers.f32 == math.inf
    numbers.b = True
    assert numbers.b is True
    with pytest.raises(OverflowError):
        numbers.b = 2
    with pytest.raises(TypeError, match=r"Numbers\.f64"):
        numbers.f64 = "1"  # type: ignore[assignment]


def test_text_and_bytes_have_room_for_so_many_bytes(tick: Tick) -> None:
    tick.place.label = "ä" * 5
    assert tick.place.label == "ä" * 5
    tick.place.label = ""
    assert tick.place.label == ""
    for text in ("x" * 11, "ä" * 5 + "x", "a\0b"):
        with pytest.raises(ValueError, match=r"Place\.label: "):
            tick.place.label = text
    assert tick.place.label == ""
    tick.raw = b"ab"
    assert tick.raw == b"ab\0\0"
    tick.raw = bytearray(b"\0\1\2\3")
    assert tick.raw == b"\0\1\2\3"
    with pytest.raises(ValueError, match=r"Tick\.raw: 5 bytes do not fit"):
        tick.raw = b"12345"
    for wrong in ("text", 3):
        with pytest.raises(TypeError, match=r"Tick\.raw: "):
            tick.raw = wrong  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"Place\.label: "):
        tick.place.label = b"text"  # type: ignore[assignment]


def test_a_nested_struct_is_a_handle_on_its_part(tick: Tick) -> None:
    place = tick.place
    place.row = 5
    assert tick.place.row == 5
    tick.places[1].label = "b"
    assert [p.label for p in tick.places] == ["", "b"]
    tick.place = tick.places[1]
    assert (tick.place.row, tick.place.label) == (0, "b")
    tick.place = {"row": 9}  # type: ignore[assignment]
    assert (tick.place.row, tick.place.label) == (9, "b")
    assert tick.place == place
    assert hash(tick.place) == hash(place)
    assert tick.place != tick.places[0]


def test_a_wrong_value_among_many_leaves_all_as_they_were(tick: Tick) -> None:
    tick.bids = range(16)
    before = list(tick.bids)
    for wrong in ([*range(15), "x"], range(15), range(17), "x" * 16, 3, None):
        with pytest.raises((TypeError, ValueError), match=r"Tick\.bids: "):
            tick.bids = wrong  # type: ignore[assignment]
    assert list(tick.bids) == before
    with pytest.raises(OverflowError, match=r"Tick\.place: row: "):
        tick.place = {"label": "other", "row": 1 << 20}  # type: ignore[assignment]
    with pytest.raises(TypeError, match="Place has no field 'x', but row, label"):
        tick.place = {"label": "other", "x": 1}  # type: ignore[assignment]
    assert tick.place.label == "hé"


def test_items_are_read_written_sliced_and_counted(tick: Tick) -> None:
    bids = tick.bids
    bids[0], bids[-1] = 1, 16
    assert (bids[0], bids[15], len(bids), bids.shape) == (1.0, 16.0, 16, (16,))
    bids[1:4] = [2, 3, 4]
    assert bids[:5] == [1, 2, 3, 4, 0]
    bids[::8] = [7, 8]
    assert (bids[0], bids[8]) == (7, 8)
    assert isinstance(bids, Items)
    for index in (16, -17):
        with pytest.raises(IndexError):
            bids[index]
        with pytest.raises(IndexError):
            bids[index] = 1
    with pytest.raises(ValueError, match="2 items are wanted, not 3"):
        bids[:2] = [1, 2, 3]
    with pytest.raises(TypeError, match="item 3: "):
        bids[3] = "x"  # type: ignore[assignment]
    bids.fill(3)
    assert list(bids) == [3.0] * 16
    with pytest.raises(TypeError):
        bids.fill("x")


def test_items_of_more_dimensions(tick: Tick) -> None:
    tick.grid[1, 2], tick.grid[0] = 9, [1, 2, 3]
    assert tick.grid.tolist() == [[1, 2, 3], [0, 0, 9]]
    assert (tick.grid[1][2], tick.grid[-1, -1], tick.grid.shape, tick.grid[0].shape) == (9, 9, (2, 3), (3,))
    with pytest.raises(TypeError):
        tick.grid[0, 0, 0]
    tick.grid.fill(4)
    assert tick.grid.tolist() == [[4] * 3] * 2
    tick.grid = [[1, 2, 3], [4, 5, 6]]
    assert tick.grid.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_buffer_of_the_items_shares_their_memory(segment: ManagedSharedMemory, tick: Tick) -> None:
    with memoryview(tick.bids) as view, memoryview(tick.grid) as grid:
        assert (view.format, view.shape, view.itemsize, view.readonly) == ("d", (16,), 8, False)
        assert (grid.format, grid.shape, grid.strides) == ("i", (2, 3), (12, 4))
        view[3], tick.bids[4] = 1.25, 2.5
        assert (tick.bids[3], view[4]) == (1.25, 2.5)
        with pytest.raises(BufferError):
            segment.close()
    assert not segment.closed


def test_numpy_shares_the_memory_of_items(tick: Tick) -> None:
    numpy = pytest.importorskip("numpy")
    bids, grid, places = (numpy.asarray(items) for items in (tick.bids, tick.grid, tick.places))
    bids[:] = range(16)
    assert list(tick.bids) == list(range(16))
    tick.grid[1, 2] = 6
    assert grid[1, 2] == 6
    tick.places[1].row = 5
    assert (places["row"][1], places.dtype.itemsize) == (5, 12)
    tick.bids = numpy.linspace(0, 1, 16)
    assert bids[15] == 1
    del bids, grid, places


def test_a_field_of_the_class_says_what_it_is() -> None:
    field: Any = Tick.volume
    assert (field.name, field.offset, field.type.text) == ("volume", 8, "uint32")
    assert repr(field) == "<field Tick.volume: aioipc.uint32 at 8>"


def test_the_layout_is_that_of_c() -> None:
    class Small(ctypes.Structure):
        _fields_ = (("row", ctypes.c_int16), ("label", ctypes.c_char * 10))

    class Same(ctypes.Structure):
        _fields_ = (
            ("price", ctypes.c_double),
            ("volume", ctypes.c_uint32),
            ("bids", ctypes.c_double * 16),
            ("place", Small),
            ("places", Small * 2),
            ("grid", ctypes.c_int32 * 3 * 2),
            ("raw", ctypes.c_char * 4),
            ("open", ctypes.c_bool),
        )

    layout = Tick._field_type
    assert [f.offset for f in layout.fields] == [getattr(Same, name).offset for name, _ in Same._fields_]
    assert (layout.size, layout.alignment) == (ctypes.sizeof(Same), ctypes.alignment(Same))


def test_a_subclass_appends_fields(segment: ManagedSharedMemory) -> None:
    class Quote(Place):
        bid: float64

    quote = Quote(segment, "q", row=3, bid=1.25)
    assert (quote.row, quote.bid) == (3, 1.25)
    assert isinstance(quote, Place)
    with pytest.raises(TypeMismatchError, match="'q' is a Quote, not a Place"):
        Place(segment, "q")


def test_misspelt_fields_are_no_attributes(tick: Tick, segment: ManagedSharedMemory) -> None:
    with pytest.raises(AttributeError):
        tick.volum = 3  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del tick.volume
    with pytest.raises(TypeError, match="Tick has no field 'volum', but price, volume"):
        Tick(segment, "other", volum=3)
    assert segment.find(Tick, "other") is None


def test_a_field_may_be_called_name(segment: ManagedSharedMemory) -> None:
    class Person(Struct):
        name: fixed_str[16]

    person = Person(segment, "p", name="Ann")
    assert (person.name, segment.name_of(person)) == ("Ann", "p")
    assert repr(person) == "<aioipc.Person 'p' [name='Ann']>"


# ---------------------------------------------------------------------------------------- declarations


def test_annotations_that_have_no_size_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.x: <class 'int'> has no fixed size: use aioipc\.int64"):
        type("Wrong", (Struct,), {"__annotations__": {"x": int}})
    with pytest.raises(TypeError, match=r"Wrong\.x: .* has no fixed size"):
        type("Wrong", (Struct,), {"__annotations__": {"x": list[int]}})
    for name in ("_x", "segment", "pin"):
        with pytest.raises(TypeError, match=f"Wrong.{name}: this name is taken"):
            type("Wrong", (Struct,), {"__annotations__": {name: int64}})
    with pytest.raises(TypeError, match=r"Wrong\.row: its base has a field of this name"):
        type("Wrong", (Place,), {"__annotations__": {"row": int64}})
    with pytest.raises(TypeError, match="several bases with fields"):
        type("Wrong", (Place, Numbers), {})


@pytest.mark.parametrize("shape", [0, -1, (), (2, 0), 1 << 62, (1 << 40, 1 << 40), tuple([1] * 33)])
def test_shapes_that_no_array_has(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"an array has|is too large"):
        float64[shape]  # type: ignore[index]


def test_struct_itself_and_items_cannot_be_made(segment: ManagedSharedMemory) -> None:
    with pytest.raises(TypeError, match="subclass it"):
        Struct(segment)
    with pytest.raises(TypeError, match="get them from"):
        Items()


def test_annotations_may_be_strings(segment: ManagedSharedMemory) -> None:
    class Late(Struct):
        x: "uint8"
        y: "Place"

    late = Late(segment, x=4)
    assert (late.x, late.y.row) == (4, 0)


# ------------------------------------------------------------------------------------- life and identity


def test_it_is_found_constructed_and_destroyed_like_every_object(segment: ManagedSharedMemory) -> None:
    assert segment.find(Tick, "t") is None
    tick = segment.construct(Tick, "t", volume=3)
    found = segment.find(Tick, "t")
    assert found == tick
    assert found is not tick
    assert (tick.name, segment.kind_of(tick), segment.length_of(tick), len(tick)) == ("t", "named", 1, 1)
    assert tick[0] is tick
    with pytest.raises(AlreadyExistsError):
        segment.construct(Tick, "t")
    assert segment.find_or_construct(Tick, "t") == tick
    assert Tick(segment) != Tick(segment)
    assert Tick(segment, unique_instance) == Tick(segment, unique_instance)
    assert segment.destroy(Tick, "t")
    assert not segment.destroy(Tick, "t")
    for use in (lambda: tick.price, lambda: setattr(tick, "price", 1), lambda: tick.bids, lambda: tick[0]):
        with pytest.raises(ClosedError):
            use()
    assert repr(tick) == "<aioipc.Tick 't' [destroyed]>"


def test_parts_of_a_destroyed_object_keep_its_memory(segment: ManagedSharedMemory) -> None:
    tick = Tick(segment, volume=3)
    place, view = tick.place, memoryview(tick.bids)
    segment.destroy_object(tick)
    del tick
    free = segment.free_memory
    view[0] = 1.0  # still nobody else's
    with pytest.raises(ClosedError):
        place.row  # noqa: B018
    assert repr(place).endswith(".place [destroyed]>")
    view.release()
    del place
    assert segment.free_memory > free


def test_after_the_segment_closed(segment: ManagedSharedMemory, tick: Tick) -> None:
    bids, place, ticks = tick.bids, tick.place, segment.construct(Tick, "ticks", count=3)
    uses: list[Callable[[], Any]] = [
        lambda: tick.price,
        lambda: setattr(tick, "price", 1),
        lambda: place.row,
        lambda: bids[0],
        lambda: bids.__setitem__(0, 1),
        lambda: memoryview(bids),
        lambda: bids.fill(0),
        lambda: ticks[1],
        lambda: Tick(segment, "tick"),
    ]
    segment.close()
    for use in uses:
        with pytest.raises(ClosedError):
            use()
    assert (repr(tick), repr(place), repr(bids)) == (
        "<aioipc.Tick [closed]>",
        "<aioipc.Place [closed]>",
        "<aioipc.Items [closed]>",
    )
    assert tick == tick


def test_handles_that_were_never_made_are_refused_not_followed() -> None:
    for cls, use in (
        (Tick, lambda h: h.price),
        (Tick, lambda h: h[0]),
        (Tick, lambda h: len(h)),
        (Items, lambda h: h[0]),
        (Items, lambda h: h[:]),
        (Items, lambda h: len(h)),
        (Items, lambda h: h.__setitem__(0, 1)),
        (Items, lambda h: memoryview(h)),
    ):
        with pytest.raises((ClosedError, TypeError)):
            use(cls.__new__(cls))
        assert "[not there]" in repr(cls.__new__(cls))
    with pytest.raises(TypeError):
        Tick.__dict__["price"].__get__(object(), object)


def test_the_segment_may_be_closed_by_what_a_field_is_given(segment: ManagedSharedMemory, tick: Tick) -> None:
    class Closing:
        def __float__(self) -> float:
            segment.close()
            return 1.0

    tick.price = Closing()  # type: ignore[assignment]
    with pytest.raises(ClosedError):
        _ = tick.price


def test_layouts_that_are_too_large_or_endless() -> None:
    with pytest.raises(ValueError, match="too large"):
        type("Huge", (Struct,), {"__annotations__": {f"f{n}": float64[1 << 58] for n in range(8)}})
    with pytest.raises(TypeError, match="no fixed size"):

        class Matryoshka(Place):
            inner: "Matryoshka"


def test_a_field_is_not_read_beyond_another_struct(segment: ManagedSharedMemory) -> None:
    place = Place(segment)
    with pytest.raises(TypeError, match=r"has no <field Tick\.grid"):
        Tick.__dict__["grid"].__get__(place, Place)
    with pytest.raises(TypeError, match=r"has no <field Tick\.raw"):
        Tick.__dict__["raw"].__set__(place, b"1234")


def test_pickled_handles_lead_to_the_same_places(segment: ManagedSharedMemory, tick: Tick) -> None:
    ticks = segment.construct(Tick, "ticks", count=3)
    for handle in (tick, tick.place, tick.bids, tick.grid[1], ticks, ticks[2], ticks[2].places[1]):
        assert pickle.loads(pickle.dumps(handle)) == handle
    stale = pickle.dumps(tick.place)
    segment.destroy(Tick, "tick")
    with pytest.raises(NotFoundError):
        pickle.loads(stale)


# --------------------------------------------------------------------------------------------- several


def test_an_array_of_structs(segment: ManagedSharedMemory) -> None:
    ticks = segment.construct(Tick, "ticks", count=100, volume=3)
    assert (len(ticks), segment.length_of(ticks), [t.volume for t in ticks]) == (100, 100, [3] * 100)
    ticks[7].volume, ticks[-1].price = 8, 2.5
    assert (ticks[7].volume, ticks[8].volume, ticks[99].price, ticks[6].price) == (8, 3, 2.5, 1.5)
    for index in (100, -101):
        with pytest.raises(IndexError):
            ticks[index]
    for use in (lambda: ticks.price, lambda: setattr(ticks, "price", 1)):
        with pytest.raises(TypeError, match="has 100 elements: choose one by its index"):
            use()
    with pytest.raises(ValueError, match="is a part of an object, and goes with it"):
        segment.destroy_object(ticks[3])
    assert repr(ticks) == "<aioipc.Tick 'ticks' [100 elements]>"
    assert repr(ticks[3].place) == "<aioipc.Place 'ticks'[3].place [row=0, label='']>"
    assert ticks[3] == Tick(segment, "ticks")[3] != ticks[4]


def test_the_number_of_elements_is_checked(segment: ManagedSharedMemory) -> None:
    segment.construct(Place, "several", count=3)
    for same in (None, 3):
        assert len(segment.find_or_construct(Place, "several", count=same)) == 3
    assert len(Place(segment, "several")) == 3
    with pytest.raises(OptionMismatchError, match="exists with count=3, not 4"):
        segment.find_or_construct(Place, "several", count=4)
    for count in (0, -1, 1 << 32):
        with pytest.raises(ValueError, match="an array has between"):
            segment.construct(Place, "none", count=count)
    with pytest.raises(SegmentFullError):
        segment.construct(Tick, "none", count=1 << 31)
    with pytest.raises(SegmentFullError):
        segment.construct(Tick, "none", count=segment.size // 200)
    with pytest.raises(TypeError, match="there are no arrays of Lock"):
        segment.construct(Lock, "locks", count=2)
    assert segment.find(Place, "none") is None


def test_each_element_with_its_own_values(segment: ManagedSharedMemory) -> None:
    places = segment.construct_each(Place, "places", [(1, "a"), {"row": 2}, [3, "c"]])
    assert [(p.row, p.label) for p in places] == [(1, "a"), (2, ""), (3, "c")]
    for wrong in ([(1,)], [5], ["ab"], [{"x": 1}], [(1, 2)]):
        with pytest.raises(TypeError):
            segment.construct_each(Place, "wrong", wrong)
    with pytest.raises(ValueError, match="an array has between"):
        segment.construct_each(Place, "wrong", [])
    assert segment.find(Place, "wrong") is None


# -------------------------------------------------------------------------------------------- mismatches


def test_another_declaration_is_refused_and_says_what_differs(segment: ManagedSharedMemory) -> None:
    def declared(**fields: Any) -> Any:
        return type("Tick", (Struct,), {"__annotations__": fields})

    first = declared(price=float64, volume=uint32)
    first(segment, "t")
    for other, says in (
        (
            declared(price=float64, volume=uint64),
            "field 2 is stored as volume:uint32@8, declared as volume:uint64@8",
        ),
        (
            declared(volume=uint32, price=float64),
            "field 1 is stored as price:float64@0, declared as volume:uint32@0",
        ),
        (declared(price=float64), "field 2 is stored as volume:uint32@8, declared as nothing"),
        (
            declared(price=float64, volume=uint32, x=uint8[2, 2]),
            "field 3 is stored as nothing, declared as x:uint8",
        ),
    ):
        for opened in (lambda other=other: other(segment, "t"), lambda other=other: segment.find(other, "t")):
            with pytest.raises(TypeMismatchError) as caught:
                opened()
            assert str(caught.value).startswith("'t' is another Tick than the one declared here: ")
            assert says in str(caught.value)
    assert declared(price=float64, volume=uint32)(segment, "t").price == 0  # declared anew, and the same


def test_other_objects_are_no_structs_and_structs_no_other_objects(
    segment: ManagedSharedMemory, tick: Tick
) -> None:
    Lock(segment, "lock")
    with pytest.raises(TypeMismatchError, match="'lock' is a Lock, not a Tick"):
        Tick(segment, "lock")
    with pytest.raises(TypeMismatchError, match="'tick' is a Tick, not a Lock"):
        Lock(segment, "tick")
    with pytest.raises(TypeMismatchError, match="'tick' is a Tick, not a Place"):
        segment.find(Place, "tick")
