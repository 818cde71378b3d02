"""Array in one process: dtypes and shapes, numpy, what is refused, how it begins and ends."""

import contextlib
import gc
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import aioipc
from aioipc import (
    AlreadyExistsError,
    Array,
    AtomicInt64,
    ClosedError,
    CorruptSegmentError,
    Items,
    ManagedSharedMemory,
    OptionMismatchError,
    SegmentFullError,
    Struct,
    TypeMismatchError,
)

Numbers = Array[Any]


class Point(Struct):
    x: aioipc.float32
    y: aioipc.float32
    tag: aioipc.uint8


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


@pytest.mark.parametrize(
    ("dtype", "name", "value"),
    [
        ("f8", "float64", 1.5),
        ("d", "float64", 1.5),
        ("<f4", "float32", 1.5),
        ("=u4", "uint32", 7),
        ("B", "uint8", 255),
        ("q", "int64", -1 << 63),
        ("?", "bool_", True),
        ("b1", "bool_", True),
        ("uint16", "uint16", 65535),
        ("S4", "fixed_bytes[4]", b"abcd"),
        (aioipc.float64, "float64", 2.5),
        (aioipc.fixed_str[5], "fixed_str[5]", "hé"),  # type: ignore[misc]
    ],
)
def test_dtypes(segment: ManagedSharedMemory, dtype: Any, name: str, value: Any) -> None:
    array: Numbers = Array(segment, "a", dtype, 3)
    assert (array.dtype, array.shape, len(array)) == (name, (3,), 3)
    assert not any(array[0:1]) or array[0] == b"\0" * 4
    array[1] = value
    for other in (Array(segment, "a", dtype, 3), Array(segment, "a"), segment.find(Array, "a")):
        assert other is not None
        assert (other.dtype, other[1], other == array) == (name, value, True)


def test_items_rows_and_slices(segment: ManagedSharedMemory) -> None:
    array: Numbers = Array(segment, "a", "i4", (2, 3))
    array[1, 2], array[0] = 9, [1, 2, 3]
    assert array.tolist() == [[1, 2, 3], [0, 0, 9]]
    assert (array[1][2], array[-1, -1], array.nbytes) == (9, 9, 24)
    assert isinstance(array[0], Items)
    array[:] = [[1, 1, 1], [2, 2, 2]]
    assert [list(row) for row in array] == [[1, 1, 1], [2, 2, 2]]
    array.fill(5)
    assert array.tolist() == [[5] * 3] * 2
    with pytest.raises(IndexError):
        array[2]
    with pytest.raises(OverflowError, match="item 0: "):
        array[0, 0] = 1 << 31
    assert repr(array) == "<aioipc.Array 'a' [int32, 2x3]>"
    assert repr(array[1]) == "<aioipc.Items 'a'[1] [3 items]>"


def test_numpy_shares_the_memory(segment: ManagedSharedMemory) -> None:
    numpy = pytest.importorskip("numpy")
    array: Numbers = Array(segment, "a", numpy.dtype("float64"), (4, 5))
    seen = numpy.asarray(array)
    assert (seen.dtype, seen.shape, seen.strides, seen.flags.writeable) == (
        numpy.float64,
        (4, 5),
        (40, 8),
        True,
    )
    seen[:] = numpy.arange(20).reshape(4, 5)
    assert array[3, 4] == 19
    array[0, 0] = -1
    assert seen[0, 0] == -1
    assert numpy.asarray(Array(segment, "a"))[2, 2] == 12
    with pytest.raises(BufferError):
        segment.close()
    segment.destroy(Array, "a")
    assert seen.sum() == 189  # the view keeps the memory
    del seen


def test_a_memoryview_can_be_cast(segment: ManagedSharedMemory) -> None:
    array: Numbers = Array(segment, None, "u4", (2, 2))
    with memoryview(array) as view, view.cast("B") as plain:
        assert (view.format, view.shape, view.strides, view.nbytes) == ("I", (2, 2), (8, 4), 16)
        plain[0] = 7
        assert array[0, 0] == (7 if sys.byteorder == "little" else 7 << 24)
        assert bytes(array) == bytes(plain)


def test_records(segment: ManagedSharedMemory) -> None:
    points: Array[Point] = Array(segment, "points", Point, (2, 2))
    points[0, 1].x, points[1, 1] = 1.5, {"y": 2.5, "tag": 3}
    assert (points[0][1].x, points[1, 1].y, points.dtype) == (1.5, 2.5, "Point")
    found = segment.find(Array, "points")
    assert found is not None
    assert found[1, 1].tag == 3
    counters: Array[AtomicInt64] = Array(segment, "counters", AtomicInt64, 4)
    counters[2].add(5)
    assert Array(segment, "counters")[2].load() == 5


def test_numpy_sees_records(segment: ManagedSharedMemory) -> None:
    numpy = pytest.importorskip("numpy")
    points: Array[Point] = Array(segment, "points", Point, 3)
    seen = numpy.asarray(points)
    seen["y"] = [1, 2, 3]
    assert ([p.y for p in points], seen.dtype.names, seen.itemsize) == ([1, 2, 3], ("x", "y", "tag"), 12)
    del seen


def test_every_buffer_keeps_its_format(segment: ManagedSharedMemory) -> None:
    points: Numbers = Array(segment, "a", Point, 3)
    first = memoryview(points)
    said = first.format
    memoryview(points).release()
    others = [bytes([n]) * len(said) for n in range(256)]  # in the place of what was freed too early
    assert first.format == said, others
    first.release()
    first.release()


def test_an_exception_passes_a_buffer_that_goes(segment: ManagedSharedMemory) -> None:
    array: Numbers = Array(segment, "a", "f8", 3)
    with pytest.raises(IndexError):
        memoryview(array)[99]
    views = [memoryview(array)]
    segment.close(when_released=True)
    with pytest.raises(IndexError):
        views.pop()[99]


def test_buffers_in_cycles_are_collected(segment: ManagedSharedMemory) -> None:
    class Kept(Array[Any]):
        view: Any  # its instances have attributes

    for n in range(10):
        array = Kept(segment, f"a{n}", "f8", 3)
        array.view = [memoryview(array), array]
    del array
    gc.collect()
    segment.close()  # no buffer is in use


class _Closing:
    """A value that closes the segment when it is asked for."""

    def __init__(self, segment: ManagedSharedMemory) -> None:
        self.segment = segment

    def __index__(self) -> int:
        self.segment.close()
        return 1

    def __float__(self) -> float:
        return float(self.__index__())


@pytest.mark.parametrize(
    "use",
    [
        lambda array, value: array[value],
        lambda array, value: array.__setitem__(value, [1.0, 1.0]),
        lambda array, value: array.__setitem__((0, 1), value),
        lambda array, value: array.__setitem__(0, [1.0, value]),
        lambda array, value: array.fill(value),
    ],
)
def test_the_segment_may_be_closed_by_what_is_stored(segment: ManagedSharedMemory, use: Any) -> None:
    array: Numbers = Array(segment, "a", "f8", (4, 2))
    with contextlib.suppress(ClosedError):
        use(array, _Closing(segment))
    assert segment.closed
    with pytest.raises(ClosedError):
        array[0]


def test_indexes_for_more_dimensions_than_there_are(segment: ManagedSharedMemory) -> None:
    grid: Numbers = Array(segment, "a", "f8", (3, 2))
    text: Numbers = Array(segment, "b", "S4", 3)
    assert grid[1, 0:2] == [0.0, 0.0]  # type: ignore[index]
    for array, key in ((text, (0, 1)), (grid, ()), (grid, (0, 1, 0))):
        with pytest.raises(TypeError):
            array[key]
    with pytest.raises(TypeError, match="only the last"):
        grid[0:2, 1] = 9.0  # else it went into a list that nobody has
    assert not any(map(any, grid.tolist()))


def test_items_of_no_size(segment: ManagedSharedMemory) -> None:
    class Nothing(Struct):
        pass

    array: Numbers = Array(segment, "a", Nothing, 5)
    array.fill({})
    assert (len(array), array.nbytes) == (5, 0)
    with pytest.raises(BufferError):
        memoryview(array)


def test_a_struct_that_was_declared_again(segment: ManagedSharedMemory) -> None:
    def declare() -> type[Struct]:
        class Again(Struct):
            x: aioipc.int32

        return Again

    old, new = declare(), declare()
    Array(segment, "a", new, 3)
    del old
    gc.collect()
    assert type(Array(segment, "a")[0]) is new


def test_another_dtype_or_shape_is_refused(segment: ManagedSharedMemory) -> None:
    Array(segment, "a", "f8", (2, 3))
    for dtype in ("f4", "u8", Point):
        for shape in (None, (2, 3)):
            with pytest.raises(TypeMismatchError, match="'a' has items float64, not "):
                Array(segment, "a", dtype, shape)
    for shape in (6, (3, 2), (2, 3, 1)):
        with pytest.raises(OptionMismatchError, match=r"'a' exists with shape=\(2, 3\), not "):
            Array(segment, "a", "f8", shape)
        with pytest.raises(OptionMismatchError):
            Array(segment, "a", shape=shape)
    with pytest.raises(TypeMismatchError, match="'a' is a Array, not a Point"):
        Point(segment, "a")
    Point(segment, "p")
    for opened in (
        lambda: Array(segment, "p"),
        lambda: Array(segment, "p", "f8", 1),
        lambda: segment.find(Array, "p"),
    ):
        with pytest.raises(TypeMismatchError, match="'p' is a Point, not a Array"):
            opened()


def test_a_struct_that_is_not_declared_here_is_refused(segment: ManagedSharedMemory) -> None:
    other: Any = type("Elsewhere", (Struct,), {"__annotations__": {"z": aioipc.int16}})
    Array(segment, "a", other, 2)
    text = other._field_type.text
    del other
    import gc

    gc.collect()
    with pytest.raises(TypeMismatchError, match="a Struct that this process does not declare"):
        Array(segment, "a")
    with pytest.raises(TypeMismatchError):
        Array(segment, "a", Point, 2)
    again: Any = type("Elsewhere", (Struct,), {"__annotations__": {"z": aioipc.int16}})
    assert again._field_type.text == text
    assert Array(segment, "a", again, 2)[1].z == 0


@pytest.mark.parametrize("dtype", ["x", "f2", "", "S0", "S", "f88", 3, None, object(), "T{d:x:}", int])
def test_what_is_no_dtype(segment: ManagedSharedMemory, dtype: Any) -> None:
    with pytest.raises(TypeError):
        Array(segment, "a", dtype, 3)
    assert segment.find(Array, "a") is None


def test_other_wrong_arguments(segment: ManagedSharedMemory) -> None:
    foreign = ">f8" if sys.byteorder == "little" else "<f8"
    with pytest.raises(ValueError, match="another byte order"):
        Array(segment, "a", foreign, 3)
    for shape in (0, -1, (), (2, 0)):
        with pytest.raises(ValueError, match="an array has"):
            Array(segment, "a", "f8", shape)
    with pytest.raises(TypeError):
        Array(segment, "a", "f8", 1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="give the shape by itself"):
        Array(segment, "a", aioipc.float64[3], 2)  # type: ignore[misc]
    for wrong in (
        lambda: Array(segment, "a"),
        lambda: Array(segment, "a", "f8"),
        lambda: Array(segment, "a", None, 3),
    ):
        with pytest.raises(TypeError, match="'a' does not exist: a new Array needs a dtype and a shape"):
            wrong()
    for size in (1 << 20, 1 << 40):
        with pytest.raises(SegmentFullError):
            Array(segment, "a", "f8", size)
    with pytest.raises(TypeError, match="give it a shape"):
        segment.construct(Array, "a", "f8", 3, count=2)
    assert segment.find(Array, "a") is None


def test_life_and_identity(segment: ManagedSharedMemory) -> None:
    array = segment.construct(Array, "a", "f8", 3)
    with pytest.raises(AlreadyExistsError):
        segment.construct(Array, "a", "f8", 3)
    assert segment.find_or_construct(Array, "a", "f8", 3) == array != Array(segment, None, "f8", 3)
    assert pickle.loads(pickle.dumps(array)) == array
    row: Any = Array(segment, "b", "f8", (2, 2))[1]
    assert pickle.loads(pickle.dumps(row)) == row
    assert segment.destroy(Array, "a")
    for use in (lambda: array[0], lambda: array.fill(1), lambda: memoryview(array)):
        with pytest.raises(ClosedError):
            use()
    segment.close()
    for use in (
        lambda: row[0],
        lambda: row.__setitem__(0, 1),
        lambda: memoryview(row),
        lambda: Array(segment, "b"),
    ):
        with pytest.raises(ClosedError):
            use()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"float64[2,3]", b"float64[3,3]"),
        (b"float64[2,3]", b"float64[9,9]"),
        (b"float64[2,3]", b"float99[2,3]"),
        (b"float64[2,3]", b"float64{2,3}"),
        (b"float64[2,3]", b"f[999999999]"),
        (b"float64[2,3]", b"\xff\xfe\xfd64[2,3]"),
        (b"float64[2,3]", b"uint8[50,50]"),
    ],
)
def test_a_damaged_description_is_found(segment: ManagedSharedMemory, old: bytes, new: bytes) -> None:
    Array(segment, "a", "f8", (2, 3))
    path = f"/dev/shm/{segment.name}"
    with open(path, "r+b") as memory:
        at = memory.read().index(old)
        memory.seek(at)
        memory.write(new)
    for opened in (lambda: Array(segment, "a"), lambda: Array(segment, "a", "f8", (2, 3))):
        with pytest.raises(CorruptSegmentError, match="the array at offset "):
            opened()
    with open(path, "r+b") as memory:
        memory.seek(at)
        memory.write(old)
    assert Array(segment, "a")[1, 2] == 0
