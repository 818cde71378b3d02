"""OffsetPtr: a field of a Struct that points at another object of the segment."""

import typing
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ._native import _core
from .errors import NotFoundError, TypeMismatchError
from .objects import SharedObject, known_type, type_name_of
from .places import PlacedObject

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["OffsetPtr"]

T = TypeVar("T")


class OffsetPtr(PlacedObject, _core.PointerHandle, Generic[T]):
    """A field of a Struct that points at another object of the segment, or at a Block, or at nothing.

    It is valid in every process, wherever the segment is mapped, and stays valid when the struct is copied.
    It is one word: read and set whole, also when its writer is killed, and whoever follows it sees what was
    written to the target before.  A new one is null.

    Assign an object, a Block, another pointer or None; `get()` follows.  A pointer keeps nothing alive: when
    its target was destroyed, `get()` raises NotFoundError, also when something else lies there by now (24
    bits of the object's serial number tell; a Block has none, there only its absence is noticed).  Whole
    objects can be pointed at, parts of them cannot.  Two pointers are equal when they lead to the same.

    Example::

        class Node(Struct):
            value: int64
            next: OffsetPtr["Node"]

        first = Node(segment, "first", value=1, next=Node(segment, None, value=2))
        first.next.get().value                   # 2
        first.next = None
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("get it from a field of a Struct")

    def get(self) -> T | None:
        """What it leads to: None, a handle on the object, or a Block.

        Raises NotFoundError when that was destroyed, TypeMismatchError when it is of another type than
        declared.
        """
        found = self._followed()
        if found is None:
            return None
        declared = typing.get_origin(self.target) or self.target
        where = self._place()
        target: T = (
            self._block(found, declared)
            if isinstance(found, int)
            else handle_on(self.segment, found, declared, where)
        )
        return target

    def _block(self, handle: int, declared: Any) -> Any:
        if _name(declared) not in (None, "Block"):
            raise TypeMismatchError(f"{self._place()} leads to a Block, not to a {_name(declared)}")
        try:
            return self.segment.block(handle)
        except NotFoundError:
            raise NotFoundError(f"{self._place()}: the block it led to was deallocated") from None

    def _place(self) -> str:
        return f"the pointer {self._part!r}"

    def _describe(self) -> str:
        return "[set]" if self else "[null]"

    if TYPE_CHECKING:  # as a field of a Struct

        def __get__(self, instance: object, owner: Any = None) -> Self: ...
        def __set__(self, instance: Any, value: "T | OffsetPtr[T] | None") -> None: ...
        def set(self, value: "T | OffsetPtr[T] | None") -> None: ...


def handle_on(segment: "ManagedSegment", pin: _core.Pin, declared: Any, where: str) -> Any:
    """A handle on what a pointer leads to; TypeMismatchError when it is of another type than declared."""
    declared = typing.get_origin(declared) or declared
    actual, wanted = type_name_of(pin), _name(declared)
    if wanted is not None and actual != wanted:
        raise TypeMismatchError(f"{where} leads to a {actual}, not to a {wanted}")
    cls = declared if _is_shared(declared) else known_type(pin.type)
    if cls is None:
        raise TypeMismatchError(f"{where} leads to a {actual}, which this process does not declare")
    return cls._of(segment, cls._fitting(pin, where))


def _is_shared(declared: Any) -> bool:
    return isinstance(declared, type) and issubclass(declared, SharedObject)


def _name(declared: Any) -> str | None:
    """What a target that was declared is called; None: anything will do."""
    if isinstance(declared, typing.ForwardRef | str):
        text = declared if isinstance(declared, str) else declared.__forward_arg__
        return text.partition("[")[0].rpartition(".")[2]
    return declared.__name__ if declared is _core.Block or _is_shared(declared) else None


OffsetPtr._field_type = _core.PointerType(OffsetPtr)  # type: ignore[attr-defined]
