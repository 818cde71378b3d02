"""Struct: records in shared memory whose fields are read and written in place."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, get_args, get_origin

from ._native import _core
from ._native._core import FieldType
from .errors import CorruptSegmentError, OptionMismatchError, SegmentFullError, TypeMismatchError
from .objects import New, ObjectName, register, whole
from .places import PlacedObject

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = [
    "FieldType",
    "Struct",
    "bool_",
    "fixed_bytes",
    "fixed_str",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

if TYPE_CHECKING:  # what users read; for float64[16] see aioipc.mypy
    bool_: TypeAlias = bool
    int8: TypeAlias = int
    int16: TypeAlias = int
    int32: TypeAlias = int
    int64: TypeAlias = int
    uint8: TypeAlias = int
    uint16: TypeAlias = int
    uint32: TypeAlias = int
    uint64: TypeAlias = int
    float32: TypeAlias = float
    float64: TypeAlias = float
    fixed_bytes: TypeAlias = bytes
    fixed_str: TypeAlias = str
else:

    class _Fixed:
        """`fixed_bytes[32]`, `fixed_str[32]`: room for so many bytes."""

        def __init__(self, is_text: bool) -> None:
            self._is_text = is_text

        def __getitem__(self, size: int) -> FieldType:
            return _core.FixedType(self._is_text, size)

    for _name in ("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        globals()[_name] = _core.Scalar(_name)
    float32, float64 = _core.Scalar("float32"), _core.Scalar("float64")
    fixed_bytes, fixed_str = _Fixed(False), _Fixed(True)

_POINTERS = (_core.PointerType, _core.OwnerType, _core.WeakType)
_HINTS = {int: "int64", float: "float64", bool: "bool_", str: "fixed_str[32]", bytes: "fixed_bytes[32]"}


def field_type(annotation: Any) -> FieldType | None:
    """The type of field that an annotation stands for; None when it stands for something else."""
    if isinstance(annotation, FieldType):
        return annotation
    if get_origin(annotation) is Annotated:
        return next(filter(None, map(field_type, get_args(annotation)[1:])), None)
    found = getattr(annotation, "_field_type", None)
    if isinstance(found, _POINTERS) and get_args(annotation):
        return found.aimed(get_args(annotation)[0])
    return found if isinstance(found, FieldType) else None


def _declared(cls: type, frame: Any) -> Iterator[tuple[str, FieldType]]:
    """The fields that a class itself declares."""
    names = {**frame.f_locals, cls.__name__: cls}
    for name, annotation in inspect.get_annotations(cls, locals=names, eval_str=True).items():
        if ClassVar in (annotation, get_origin(annotation)):
            continue
        found = field_type(annotation)
        if found is None:
            hint = f": use aioipc.{_HINTS[annotation]}" if annotation in _HINTS else ""
            raise TypeError(f"{cls.__name__}.{name}: {annotation!r} has no fixed size{hint}")
        if name.startswith("_") or (name != "name" and hasattr(PlacedObject, name)):
            raise TypeError(f"{cls.__name__}.{name}: this name is taken by Struct itself")
        yield name, found


class _StructMeta(type):
    """Turns the annotations of a class into fields."""

    def __new__(
        metacls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> "_StructMeta":
        namespace.setdefault("__slots__", ())  # a misspelt field is an AttributeError
        cls = super().__new__(metacls, name, bases, namespace, **keywords)
        if any(isinstance(base, _StructMeta) for base in bases):  # not Struct itself
            cls._declare(sys._getframe(1))
        return cls

    def _declare(cls: Any, frame: Any) -> None:
        inherited = [base._field_type for base in cls.__bases__ if hasattr(base, "_field_type")]
        if len(inherited) > 1:
            raise TypeError(f"{cls.__name__} has several bases with fields")
        cls._field_type = None  # nothing, and no base's, for annotations that name the class itself
        fields = [(field.name, field.type) for layout in inherited for field in layout.fields]
        for name, found in _declared(cls, frame):
            if any(name == other for other, _ in fields):
                raise TypeError(f"{cls.__name__}.{name}: its base has a field of this name")
            fields.append((name, found))
        layout = _core.StructType(cls.__name__, fields)
        cls._defaults = cls._defaults | {n: cls.__dict__[n] for n, _ in fields if n in cls.__dict__}
        for field in layout.fields:
            setattr(cls, field.name, field)
        cls._field_type, layout.cls = layout, cls
        cls._type = _core.struct_type(layout.text.encode(), layout.owners)
        register(cls, latest=True)


class Struct(PlacedObject, _core.StructHandle, metaclass=_StructMeta):
    """A record in shared memory: subclass it, and annotate the fields.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one; and by
    name, the values that fields of a new one start with.  Others start with what the class body assigns, or
    zero.

    A field is a number (`int8` to `uint64`, `float32`, `float64`, `bool_`), room for `fixed_bytes[32]` or
    `fixed_str[32]` (that many bytes of UTF-8), another Struct, an atomic number, or an array of such:
    `float64[16]`, `float64[3, 4]`, `Tick[8]`; or a pointer: OffsetPtr, SharedPtr, WeakPtr, UniquePtr.  They
    lie as in C, each at a multiple of its alignment.

    Reading and writing a field reads and writes shared memory in place.  One number is one access of the
    processor: never half of it, also when the writer is killed.  What has more bytes (text, bytes, several
    fields) may be seen, and left by a death, half-written: protect it with a Lock.  Nothing is promised about
    the order in which others see different fields; atomic numbers have an order.

    The segment stores names, types and places of the fields with the object.  Who opens it with another
    declaration gets TypeMismatchError, which says what differs.

    `segment.construct(Tick, "ticks", count=100)` is an array: `ticks[7]` is a Tick, `len(ticks)` is 100.

    Example::

        class Tick(Struct):
            price: float64
            volume: uint32
            bids: float64[16]

        tick = Tick(segment, "EURUSD", price=1.08)
        tick.volume += 100                       # seen by all processes; not atomic: see AtomicUInt32
        tick.bids[0] = 1.0799
        numpy.asarray(tick.bids)                 # the same memory
    """

    _type: ClassVar[int]
    _field_type: ClassVar[_core.StructType]
    _defaults: ClassVar[dict[str, Any]] = {}
    _arrays: ClassVar[bool] = True

    def __init__(self, segment: "ManagedSegment", name: ObjectName | New = None, /, **fields: Any) -> None:
        layout = getattr(self, "_field_type", None)
        if layout is None:
            raise TypeError("Struct has no fields: subclass it, and annotate them")
        wanted = name if isinstance(name, New) else New(name, must=False)
        count, initial = self._initial(segment, layout, wanted, fields)
        head = _core.described_head(layout.text.encode(), layout.size, layout.owners)
        size, words = len(head) + count * layout.size, layout.words(initial)
        if not self._attach_several(segment, wanted, size, count, head + initial, words):
            self._check_count(wanted)

    def _initial(
        self, segment: "ManagedSegment", layout: _core.StructType, wanted: New, fields: dict[str, Any]
    ) -> tuple[int, bytes]:
        """How many elements a new one has, and their bytes up to the last that is not zero."""
        home = segment._opening_checked().attachment
        given = 1 if wanted.count is None else wanted.count
        count = whole("count", given) if wanted.each is None else len(wanted.each)
        if not 0 < count < 1 << 32:
            raise ValueError(f"an array has between 1 and 2**32 - 1 elements, not {count}")
        if wanted.each is not None:
            return count, b"".join(
                layout.pack(home, self._defaults | dict(self._named(layout, n, values)))
                for n, values in enumerate(wanted.each)
            )
        if count * layout.size > home.max_size:
            raise SegmentFullError(f"{count} x {layout.size} bytes are more than {segment!r} may ever have")
        one = layout.pack(home, self._defaults | fields)
        return count, one * count if any(one) else b""

    @staticmethod
    def _named(layout: _core.StructType, number: int, values: Any) -> Mapping[str, Any]:
        """The values of one element by the names of their fields."""
        if isinstance(values, Mapping):
            return values
        if not isinstance(values, Sequence) or len(values) != len(layout.fields):
            raise TypeError(
                f"element {number}: a mapping or a sequence of {len(layout.fields)} values is wanted, "
                f"not {values!r}"
            )
        return {field.name: value for field, value in zip(layout.fields, values, strict=True)}

    def _check_count(self, wanted: New) -> None:
        count = wanted.count if wanted.each is None else len(wanted.each)
        if count not in (None, self.pin.count):
            raise OptionMismatchError(
                f"{wanted.name!r} exists with count={self.pin.count}, not {count}; "
                "leave it out, or destroy the object"
            )

    def __class_getitem__(cls, shape: int | tuple[int, ...]) -> _core.ArrayType:
        """An array of them, as the type of a field: `Tick[8]`."""
        return cls._field_type[shape]

    @classmethod
    def _fitting(cls, pin: _core.Pin, name: ObjectName) -> _core.Pin:
        if not isinstance(pin, _core.DescribedPin) or not pin.type & _core.TYPE_STRUCT:
            return super()._fitting(pin, name)
        stored, declared = pin.description.decode(errors="replace"), cls._field_type.text
        if pin.type != cls._type:
            raise TypeMismatchError(f"{name!r} is {difference(stored, declared)}")
        if stored != declared:
            raise CorruptSegmentError(f"{name!r} describes itself as {stored!r}, not as {declared!r}")
        return pin

    def _describe(self) -> str:
        if self._whole is None and self.pin.count > 1:
            return f"[{self.pin.count} elements]"
        shown = (f"{field.name}={_shown(getattr(self, field.name))}" for field in self._field_type.fields)
        return f"[{', '.join(shown)}]"


def _shown(value: Any) -> str:
    return value._describe() if isinstance(value, PlacedObject) else repr(value)


def fields_of(description: str) -> list[str]:
    """The fields that a description lists, as it lists them."""
    inner, fields, depth = description.partition("(")[2].rpartition(")")[0], [""], 0
    for character in inner:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            fields.append("")
        else:
            fields[-1] += character
    return [field for field in fields if field]


def difference(stored: str, declared: str) -> str:
    """What two layouts differ in, in words."""
    name, other = declared.partition("(")[0], stored.partition("(")[0]
    if name != other:
        return f"a {other}, not a {name}"
    there, here = fields_of(stored), fields_of(declared)
    for n, (a, b) in enumerate(zip_longest(there, here, fillvalue="nothing"), start=1):
        if a != b:
            return f"another {name} than the one declared here: field {n} is stored as {a}, declared as {b}"
    return f"another {name} than the one declared here: stored as {stored}, declared as {declared}"
