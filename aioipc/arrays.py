"""Array: numbers and records in shared memory, in any number of dimensions."""

import re
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ._native import _core
from ._native._core import FieldType
from .atomics import AtomicBool, AtomicFlag, AtomicInt32, AtomicInt64, AtomicUInt32, AtomicUInt64
from .errors import CorruptSegmentError, OptionMismatchError, SegmentFullError, TypeMismatchError
from .items import Items
from .objects import New, ObjectName, known_type
from .structs import field_type

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["Array"]

T = TypeVar("T")

_CODES = {
    **{f"i{bits // 8}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"u{bits // 8}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "f4": "float32",
    "f8": "float64",
    "b1": "bool_",
    "?": "bool_",
    "b": "int8",
    "B": "uint8",
    "h": "int16",
    "H": "uint16",
    "i": "int32",
    "I": "uint32",
    "l": "int64",
    "L": "uint64",
    "q": "int64",
    "Q": "uint64",
    "f": "float32",
    "d": "float64",
}
_NUMBERS = {*_CODES.values()}
_ATOMICS: dict[str, FieldType] = {
    cls.__name__: cls._field_type
    for cls in (AtomicInt64, AtomicUInt64, AtomicInt32, AtomicUInt32, AtomicBool, AtomicFlag)
}
_NATIVE = "=|@<" if sys.byteorder == "little" else "=|@>!"


def _item_type(dtype: Any) -> FieldType:
    """The type that a dtype stands for."""
    found = field_type(dtype)
    if found is None:
        text = dtype if isinstance(dtype, str) else getattr(dtype, "str", None)  # a numpy.dtype
        found = parsed(text) if isinstance(text, str) else None
    if isinstance(found, _core.ArrayType):
        raise TypeError(f"give the shape by itself, not as the dtype {found.text}")
    if found is None:
        raise TypeError(
            f'dtype is a code such as "f8" or "I", a type such as aioipc.float64, or a Struct, not {dtype!r}'
        )
    return found


def parsed(text: str) -> FieldType | None:
    """The type of this name or code; None when there is none."""
    if text.startswith(("<", ">", "!")) and text[0] not in _NATIVE:
        raise ValueError(f"dtype {text!r} has another byte order than this machine, whose memory this is")
    code = text.lstrip(_NATIVE)
    if text in _ATOMICS:
        return _ATOMICS[text]
    if code in _CODES or text in _NUMBERS:
        return _core.Scalar(_CODES.get(code, text))
    if fixed := re.fullmatch(r"S([1-9]\d{0,8})|fixed_(bytes|str)\[([1-9]\d{0,8})\]", code):
        return _core.FixedType(fixed[2] == "str", int(fixed[1] or fixed[3]))
    return field_type(known_type(_core.struct_type(text.encode(), b"")))


class Array(Items[T]):
    """Numbers or records in shared memory, in any number of dimensions, of a fixed shape.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one;
    `dtype`, what each item is: a code of the struct module ("d", "I"), a numpy code ("f8", "<u4", "S16") or
    dtype, one of aioipc's types (`float64`, `fixed_str[16]`, an atomic number), or a Struct; `shape`, a
    number or a tuple.  A new one is zero.  For one that exists both may be left out; others than it has
    raise TypeMismatchError and OptionMismatchError.

    Items are read, assigned and sliced as those of a field of a Struct are.  `memoryview(array)` and
    `numpy.asarray(array)` share its memory, with its dtype and shape; while such a view is in use, the
    segment cannot be closed, and the memory stays even if the array is destroyed.

    One number is read and written in one access of the processor.  Everything else, numpy's operations
    included, can be seen half done by others, and is left half done by a death: protect it with a Lock.

    Example::

        prices = Array(segment, "prices", "f8", (100, 3))
        prices[7, 2] = 1.5
        numpy.asarray(prices)[:, 0].sum()
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ARRAY

    def __init__(
        self,
        segment: "ManagedSegment",
        name: ObjectName | New = None,
        dtype: Any = None,
        shape: int | tuple[int, ...] | None = None,
    ) -> None:
        item = None if dtype is None else _item_type(dtype)
        if item is not None and shape is not None:
            self._make(segment, name, item[shape])
        else:
            self._open(segment, name)
        self._check(item, shape)

    def _make(self, segment: "ManagedSegment", name: ObjectName | New, wanted: _core.ArrayType) -> None:
        """Finds it or constructs it."""
        if wanted.size > segment.max_size:
            raise SegmentFullError(
                f"{wanted.text} has {wanted.size} bytes, more than {segment!r} may ever have"
            )
        plain = name if isinstance(name, New) else New(name, must=False)
        if plain.count not in (None, 1) or plain.each is not None:
            raise TypeError("there are no arrays of Array: give it a shape")
        if wanted.owns:
            raise TypeError(f"{wanted.text} has pointers that own: construct the structs, with count=")
        head = _core.described_head(wanted.text.encode(), wanted.size)
        self._attach_several(segment, plain, len(head) + wanted.size, 1, head)
        self._learn(wanted)

    def _open(self, segment: "ManagedSegment", name: ObjectName | New) -> None:
        """Finds it."""
        found = None if isinstance(name, New) and name.must else segment.find(Array, _plain(name))
        if found is None:
            raise TypeError(f"{_plain(name)!r} does not exist: a new Array needs a dtype and a shape")
        self._bind(segment, segment._opening, found.pin)
        self._take(found._array_type)

    def _found(self) -> None:
        self._learn(None)

    def _learn(self, wanted: _core.ArrayType | None) -> None:
        """Takes the object for what it says of itself: the type that is wanted, or one that is known here."""
        text = self._description()
        if wanted is not None and text == wanted.text:
            self._take(wanted)
        else:
            self._take(array_type(text, f"at offset {self.pin.offset:#x}", wanted))

    def _description(self) -> str:
        assert isinstance(self.pin, _core.DescribedPin)
        return self.pin.description.decode(errors="replace")

    def _check(self, item: FieldType | None, shape: int | tuple[int, ...] | None) -> None:
        mine = self._array_type
        if item is not None and item.text != mine.item.text:
            raise TypeMismatchError(f"{self.name!r} has items {mine.item.text}, not {item.text}")
        if shape is not None and mine.item[shape].shape != mine.shape:
            raise OptionMismatchError(
                f"{self.name!r} exists with shape={mine.shape}, not {shape}; leave it out, or destroy it"
            )

    @property
    def dtype(self) -> str:
        """What each item is: "float64", "uint8", "fixed_bytes[16]"; the name of a Struct."""
        return self._array_type.item.text.partition("(")[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all items together."""
        return self._array_type.size

    def _describe(self) -> str:
        return f"[{self.dtype}, {'x'.join(map(str, self.shape))}]"

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: Any = None) -> Self: ...


def array_type(text: str, what: str, wanted: _core.ArrayType | None = None) -> _core.ArrayType:
    """The type that an array describes itself as."""
    stored, item, shape = _split(text)
    found = wanted.item if wanted is not None and wanted.item.text == item else parsed(item)
    if found is None and "(" in item:
        raise TypeMismatchError(
            f"the array {what} has items {item}, a Struct that this process does not declare"
        )
    try:
        array = found[shape] if found is not None and stored else None
    except ValueError:  # too many, or too large
        array = None
    if array is None:
        raise CorruptSegmentError(f"the array {what} describes itself as {text!r}")
    return array


def _plain(name: ObjectName | New) -> ObjectName:
    return name.name if isinstance(name, New) else name


def _split(text: str) -> tuple[bool, str, tuple[int, ...]]:
    """Whether a description is an array's, and the type and shape it says."""
    said = re.fullmatch(r"(.+)\[([1-9]\d{0,18}(?:,[1-9]\d{0,18}){0,31})\]", text, re.DOTALL)
    if said is None:
        return False, text, (1,)
    return True, said[1], tuple(int(n) for n in said[2].split(","))
