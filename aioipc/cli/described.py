"""Layouts from their descriptions: types of structs that this process does not declare."""

import re
from typing import Final

from aioipc import CorruptSegmentError, Struct, arrays, structs
from aioipc._native import _core
from aioipc._native._core import FieldType

__all__ = ["described_type"]

_DEEPEST = 50
_POINTERS: Final[dict[str, FieldType]] = {
    "OffsetPtr": _core.PointerType(object),
    "SharedPtr": _core.OwnerType(object, "SharedPtr"),
    "IntrusivePtr": _core.OwnerType(object, "IntrusivePtr"),
    "UniquePtr": _core.OwnerType(object, "UniquePtr", True),
    "WeakPtr": _core.WeakType(object),
}


def described_type(text: str, depth: int = 0) -> FieldType:
    """The type of this description; CorruptSegmentError when it is none."""
    if depth > _DEEPEST:
        raise CorruptSegmentError("a layout has more than 50 structs one in the other")
    try:
        return (
            _struct(text, depth)
            if text.endswith(")", 0, len(text.rstrip("0123456789")))
            else _item(text, depth)
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptSegmentError(f"{text!r} is no layout: {error}") from None


def _item(text: str, depth: int) -> FieldType:
    array = re.fullmatch(r"(.+)\[([\d,]+)\]", text, re.DOTALL)
    if array is not None and not text.startswith("fixed_"):
        return described_type(array[1], depth + 1)[tuple(map(int, array[2].split(",")))]
    nested = re.fullmatch(r"(fixed_\w+\[\d+\])\[([\d,]+)\]", text)
    if nested is not None:
        return described_type(nested[1], depth + 1)[tuple(map(int, nested[2].split(",")))]
    if text in _POINTERS:
        return _POINTERS[text]
    found = arrays.parsed(text)
    if found is None:
        raise ValueError("unknown type")
    return found


def _struct(text: str, depth: int) -> FieldType:
    name = text.partition("(")[0]
    fields = []
    for field in structs.fields_of(text):
        label, _, rest = field.partition(":")
        fields.append((label, described_type(rest.rpartition("@")[0], depth + 1)))
    made = _core.StructType(name, fields)
    if made.text != text:
        raise ValueError("its fields lie elsewhere")
    made.cls = Struct
    return made
