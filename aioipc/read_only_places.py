"""Structs, arrays and atomic numbers of a segment that is only read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._native import _core
from ._refusing import Refusing
from .arrays import Array, array_type
from .atomics import Atomic
from .errors import ReadOnlyError, TypeMismatchError
from .objects import ObjectName, known_type, type_name
from .places import PlacedObject
from .pointers import OffsetPtr
from .structs import Struct, difference

if TYPE_CHECKING:
    from .read_only import ReadOnlySegment

__all__ = ["ReadOnlyArray", "ReadOnlyAtomic", "ReadOnlyPointer", "ReadOnlyStruct", "seen_place"]


class _ReadOnlyPlace(_core.SeenPlace, Refusing):
    """What they have in common."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self._refuse()

    def __repr__(self) -> str:
        return f"<aioipc.{type(self).__name__} of {self._type.text.partition('(')[0]}>"


class ReadOnlyStruct(_ReadOnlyPlace):
    """A Struct whose fields are only read; assigning to one raises ReadOnlyError.

    Each field is read as a Struct's is, beside those who write it.  `structs[7]` is one of several.  A
    destroyed one raises ClosedError.
    """

    _model = Struct

    def __getattr__(self, name: str) -> Any:
        if name in self._names():
            return self._field(name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._names():
            self._refuse()
        super().__setattr__(name, value)

    def _names(self) -> Any:
        layout = self._type
        return layout.names if isinstance(layout, _core.StructType) else ()

    def __len__(self) -> int:
        return self._length()

    def __getitem__(self, index: int) -> "ReadOnlyStruct":
        one: ReadOnlyStruct = self._item(index)
        return one

    def __iter__(self) -> "Iterator[ReadOnlyStruct]":
        return map(self.__getitem__, range(len(self)))


class ReadOnlyArray(_ReadOnlyPlace):
    """An Array, or an array in a Struct, that is only read: items, slices, `tolist()`.

    `memoryview(array)` and `numpy.asarray(array)` share the memory and cannot be written.  While such a view
    is in use the segment cannot be closed; when the array is destroyed it shows whatever comes there next.
    """

    _model = Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of items in each dimension."""
        return self._array().shape

    @property
    def dtype(self) -> str:
        """What each item is: "float64", "uint8", "fixed_bytes[16]"; the name of a Struct."""
        return self._array().item.text.partition("(")[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all items together."""
        return self._type.size

    def _array(self) -> _core.ArrayType:
        assert isinstance(self._type, _core.ArrayType)
        return self._type

    def __len__(self) -> int:
        return self._length()

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return [self[n] for n in range(*key.indices(len(self)))]
        if not isinstance(key, tuple):
            return self._item(key)
        if not 0 < len(key) <= len(self.shape):
            raise TypeError(f"{len(key)} indexes, and there are {len(self.shape)} dimensions")
        found: Any = self
        for one in key:
            found = found[one]
        return found

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))

    def tolist(self) -> list[Any]:
        """A list of the values; of lists, where there are more dimensions."""
        return [item.tolist() if isinstance(item, ReadOnlyArray) else item for item in self]


class ReadOnlyAtomic(_ReadOnlyPlace):
    """An atomic number or flag that is only loaded."""

    @property
    def _model(self) -> Any:  # type: ignore[override]
        return self._type.cls

    def load(self) -> Any:
        """The value at this moment."""
        return self._load()

    def test(self) -> bool:
        """Whether it is set, or not 0."""
        return bool(self._load())

    def __int__(self) -> int:
        return int(self._load())


class ReadOnlyPointer(_ReadOnlyPlace):
    """A pointer in a Struct, which owns what it leads to or not, that is only followed."""

    _model = OffsetPtr

    def __bool__(self) -> bool:
        return bool(self._load())

    def get(self) -> Any:
        """What it leads to, for reading: None, an object, or a ReadOnlyBlock.

        Raises NotFoundError when that was destroyed.
        """
        found = self._followed()
        if found is None:
            return None
        if isinstance(found, int):
            return self._segment.block(found)
        cls = known_type(found.type)
        if cls is None:
            raise TypeMismatchError(
                f"it leads to a {type_name(found.type)}, which this process does not declare"
            )
        return self._segment._shown(cls, found, "what the pointer leads to")


def seen_place(
    segment: "ReadOnlySegment", cls: type[PlacedObject], seen: _core.Seen, name: ObjectName
) -> _ReadOnlyPlace:
    """A struct, an array or an atomic number that was found."""
    place: _ReadOnlyPlace
    if issubclass(cls, Struct):
        place = ReadOnlyStruct()._whole(segment, seen, _struct_type(cls, seen, name))
    elif seen.type != cls._type:
        raise TypeMismatchError(f"{name!r} is a {type_name(seen.type)}, not a {cls.__name__}")
    elif issubclass(cls, Array):
        found = array_type(seen.description.decode(errors="replace"), repr(name))
        place = ReadOnlyArray()._whole(segment, seen, found)
    elif issubclass(cls, Atomic):
        place = ReadOnlyAtomic()._whole(segment, seen, cls._field_type)
    else:
        raise ReadOnlyError(f"a {cls.__name__} cannot be read")
    return place


def _struct_type(cls: type[Struct], seen: _core.Seen, name: ObjectName) -> _core.StructType:
    declared = getattr(cls, "_field_type", None)
    if declared is None:
        raise TypeError("Struct has no fields: find a subclass of it")
    if not seen.type & _core.TYPE_STRUCT:
        raise TypeMismatchError(f"{name!r} is a {type_name(seen.type)}, not a {cls.__name__}")
    stored = seen.description.decode(errors="replace")
    if stored != declared.text:
        raise TypeMismatchError(f"{name!r} is {difference(stored, declared.text)}")
    found: _core.StructType = declared
    return found


_core.show_seen_as(_core.StructType, ReadOnlyStruct)
_core.show_seen_as(_core.ArrayType, ReadOnlyArray)
_core.show_seen_as(_core.AtomicType, ReadOnlyAtomic)
for _pointer in (_core.PointerType, _core.OwnerType, _core.WeakType):
    _core.show_seen_as(_pointer, ReadOnlyPointer)
