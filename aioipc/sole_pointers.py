"""UniquePtr and ScopedPtr: objects that have one owner."""

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from ._native import _core
from .objects import ObjectName
from .owners import OwningPtr
from .places import PlacedObject
from .pointers import handle_on
from .shared_pointers import SharedPtr

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["ScopedPtr", "UniqueField", "UniquePtr"]

T = TypeVar("T")


class _SolePtr(OwningPtr[T]):
    """What both of them do."""

    __slots__ = ()
    _how = _core.SOLE
    _must = True

    if TYPE_CHECKING:

        @overload
        def __init__(self, segment: "ManagedSegment", target: None = None, /) -> None: ...
        @overload
        def __init__(
            self,
            segment: "ManagedSegment",
            target: type[T],
            name: ObjectName = None,
            /,
            *arguments: Any,
            count: int | None = None,
            **options: Any,
        ) -> None: ...
        @overload
        def __init__(self, segment: "ManagedSegment", target: T, /) -> None: ...
        def __init__(self, segment: "ManagedSegment", target: Any = None, /, *_: Any, **__: Any) -> None: ...

    def release(self) -> T:
        """Leaves the object to nobody, as if it had been constructed without a pointer; the handle on it.

        The pointer is empty afterwards.  ValueError when it is empty already.
        """
        target = self.target
        self._held().abandon()
        self._share = self._aimed_at = None
        return target

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} is its object's only owner: move it through a field of a Struct"
        )


class UniquePtr(_SolePtr[T]):
    """The one owner of an object in a segment: the object goes with it, also when its process is killed.

    Parameters: the segment; then a type and what its constructor takes (AlreadyExistsError when the name is
    taken); or an object that has no owner yet; or nothing, for an empty pointer.

    It moves: into a field of a Struct that is declared `UniquePtr[Node]`, whose object then owns it
    (`node.child = pointer` leaves `pointer` empty), and out again (`node.child.take()`), in this process or
    another.  At each instant it has exactly one owner, and when that one dies, the object goes.  `share()`
    makes a SharedPtr of it.  It cannot be copied or pickled.

    Example::

        class Node(Struct):
            value: int64
            child: UniquePtr["Node"]

        with UniquePtr(segment, Node, value=2) as pointer:
            node.child = pointer                 # now it is the node's
        node.child.get().value                   # 2
        pointer = node.child.take()              # in any process
        pointer.reset()                          # destroys it
    """

    __slots__ = ()

    def share(self) -> SharedPtr[T]:
        """Makes a SharedPtr of it, the object's first; this one is empty afterwards."""
        target, share = self.target, self._held()
        share.admit()
        self._share = self._aimed_at = None
        return SharedPtr._of_share(self.segment, self.opening, share, target)

    def swap(self, other: "UniquePtr[T]") -> None:
        """Each owns what the other one owned."""
        if other.opening.attachment is not self.opening.attachment:
            raise ValueError(f"{other!r} lives in another segment")
        self._share, other._share = other._share, self._share
        self._aimed_at, other._aimed_at = other._aimed_at, self._aimed_at

    if TYPE_CHECKING:  # as a field of a Struct

        def __get__(self, instance: object, owner: Any = None) -> "UniqueField[T]": ...
        def __set__(self, instance: Any, value: "T | UniquePtr[T] | UniqueField[T] | None") -> None: ...


class ScopedPtr(_SolePtr[T]):
    """Owns an object for a `with` block, whose end destroys it, unless it was released: what was made is
    undone.

    Parameters as for UniquePtr.  The block that raises, and the process that is killed in it, leave nothing
    behind; `release()` makes it last, as the final step of whatever has to succeed as a whole.

    Example::

        with ScopedPtr(segment, Node, "head", value=1) as scope:
            fill(scope.target)                   # raises: the node is gone
            node = scope.release()               # from here on it stays
    """

    __slots__ = ()


class UniqueField(PlacedObject, _core.OwnedHandle, Generic[T]):
    """A field of a Struct that is declared `UniquePtr[Node]`: its object is the only owner of what it leads
    to.

    Example::

        node.child = UniquePtr(segment, Node, value=2)
        if node.child:
            node.child.get().value
        pointer = node.child.take()
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("get it from a field of a Struct")

    def get(self) -> T | None:
        """A handle on what it owns; None for nothing."""
        pin = self._followed()
        target: T | None = (
            None if pin is None else handle_on(self.segment, pin, self.target, f"the field {self._part!r}")
        )
        return target

    def take(self) -> UniquePtr[T]:
        """The pointer that owns it from now on, in this process; empty when there was nothing."""
        return UniquePtr._of_share(self.segment, self.opening, self._moved_out())

    def reset(self) -> None:
        """Destroys what it owns."""
        self.set(None)

    def _describe(self) -> str:
        return "[set]" if self else "[null]"

    if TYPE_CHECKING:  # as a field of a Struct

        def __get__(self, instance: object, owner: Any = None) -> Self: ...
        def __set__(self, instance: Any, value: "T | UniquePtr[T] | UniqueField[T] | None") -> None: ...


UniquePtr._field_type = _core.OwnerType(UniqueField, "UniquePtr", True)  # type: ignore[attr-defined]
