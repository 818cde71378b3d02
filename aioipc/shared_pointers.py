"""SharedPtr, WeakPtr and IntrusivePtr: objects that live as long as somebody owns them, in any process."""

import functools
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from ._native import _core
from .errors import NotFoundError
from .objects import ObjectName, SharedObject
from .owners import OwningPtr
from .places import PlacedObject
from .pointers import handle_on

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["IntrusivePtr", "SharedPtr", "WeakPtr"]

T = TypeVar("T")
P = TypeVar("P")


@functools.total_ordering
class SharedPtr(OwningPtr[T]):
    """One of several owners of an object in a segment, in any process: the object goes with the last of them.

    Parameters: the segment; then a type, and what its constructor takes (a name, which finds or constructs;
    none for a new anonymous object; its own arguments), so that the object and its first owner appear in
    one step; or an object that is there already; or nothing, for an empty pointer.

    The count is in the segment.  Each pointer of a process is an owner, and so is each field of a Struct
    that is declared `SharedPtr[Node]`.  A process that is killed owns nothing any more, at whatever
    instruction that happens: the count is right, and what only it owned is destroyed, as soon as its death
    is noticed.

    A field is read as a new pointer (empty, where it leads to nothing), and assigned from a pointer, an
    object or None; the counts change in the same instant as the field.  Objects that own each other in a
    circle are never destroyed: make one of the fields a WeakPtr, or set it to None.

    An object that has owners cannot be destroyed by hand (NotOwnerError).  Pickling carries no share:
    unpickling takes one, or raises NotFoundError when the last was given back meanwhile.

    Example::

        class Node(Struct):
            value: int64
            next: SharedPtr["Node"]

        with SharedPtr(segment, Node, value=1) as first:
            first.target.next = SharedPtr(segment, Node, value=2)
            first.target.next.target.value       # 2
            first.use_count                      # 1
        # both nodes are gone
    """

    __slots__ = ()
    _how = _core.SHARE_ANY
    _must = False

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
        def __init__(self, segment: "ManagedSegment", target: "SharedPtr[T]", /) -> None: ...
        @overload
        def __init__(self, segment: "ManagedSegment", target: T, /) -> None: ...
        def __init__(self, segment: "ManagedSegment", target: Any = None, /, *_: Any, **__: Any) -> None: ...

    def _claim(self, segment: "ManagedSegment", target: Any) -> tuple[_core.Share | None, Any]:
        if not isinstance(target, SharedPtr):
            return super()._claim(segment, target)
        if target and target.opening.attachment is not segment._opening_checked().attachment:
            raise ValueError(f"{target!r} lives in another segment")
        return (target._held().another(), target._aimed_at) if target else (None, None)

    @classmethod
    def _taken(cls, owner: _core.Place, share: _core.Share | None, declared: Any) -> Self:
        """What a field of a Struct is read as."""
        target = None if share is None else handle_on(owner.segment, share.pin, declared, "the pointer")
        return cls._of_share(owner.segment, owner.opening, share, target)

    def copy(self) -> Self:
        """One more owner of the same object; empty when this is."""
        share = self._held().another() if self else None
        return self._of_share(self.segment, self.opening, share, self._aimed_at)

    __copy__ = copy

    def alias(self, part: P) -> "SharedPtr[P]":
        """One more owner of the same object, which leads to a part of it: `tick.alias(tick.target.bids)`."""
        if not isinstance(part, PlacedObject) or part.pin is not self._held().pin:
            raise ValueError(f"{part!r} is no part of what {self!r} leads to")
        return SharedPtr._of_share(self.segment, self.opening, self._held().another(), part)

    def reset(self, target: "T | SharedPtr[T] | None" = None) -> None:
        """Gives the object up; leads to another one, or to nothing.  The last owner destroys the object."""
        share, handle = (None, None) if target is None else self._claim(self.segment, target)
        share, self._share, self._aimed_at = self._share, share, handle
        if share is not None:
            share.give_back()

    def swap(self, other: "SharedPtr[T]") -> None:
        """Each leads to what the other one led to; no count changes."""
        if other.opening.attachment is not self.opening.attachment:
            raise ValueError(f"{other!r} lives in another segment")
        self._share, other._share = other._share, self._share
        self._aimed_at, other._aimed_at = other._aimed_at, self._aimed_at

    def weak(self) -> "WeakPtr[T]":
        """A pointer to the same object that does not own it."""
        return WeakPtr(self)

    def _place(self) -> tuple[int, int, int]:
        """Where it leads to, as equality and order see it."""
        part = self._aimed_at
        return *self._key(), hash(part) if isinstance(part, PlacedObject) and part._whole is not None else 0

    def __eq__(self, other: object) -> bool:
        """Whether both lead to the same object, or the same part of it; or both to nothing."""
        return self._place() == other._place() if isinstance(other, SharedPtr) else NotImplemented

    def __lt__(self, other: "SharedPtr[Any]") -> bool:
        """An order of objects that lasts as long as this process has the segment open."""
        return self._place() < other._place() if isinstance(other, SharedPtr) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it may be reset: WeakPtr has one

    def __reduce__(self) -> Any:
        if not self:
            return type(self)._of_nothing, (self.segment,)
        pin, part = self._held().pin, self._aimed_at
        part = part if isinstance(part, PlacedObject) and part._whole is not None else None
        return _taken_again, (type(self), self.segment, pin.offset, pin.serial, part)

    @classmethod
    def _of_nothing(cls, segment: "ManagedSegment") -> Self:
        return cls._of_share(segment, segment._opening_checked(), None)

    if TYPE_CHECKING:  # as a field of a Struct

        def __get__(self, instance: object, owner: Any = None) -> Self: ...
        def __set__(self, instance: Any, value: "T | SharedPtr[T] | None") -> None: ...


class IntrusivePtr(SharedPtr[T]):
    """A SharedPtr that is made from the object alone: `IntrusivePtr(node)`.

    Every object of a segment has its count in itself, so the pointers to it can be made from any handle on
    it, at any time, and all count the same owners: also SharedPtr, and fields of either kind.

    Example::

        node = Node(segment, None, value=1)
        owner = IntrusivePtr(node)
        another = IntrusivePtr(node)
        another.use_count                        # 2
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __init__(self, target: "SharedPtr[T]", /) -> None: ...
        @overload
        def __init__(self, target: T, /) -> None: ...

    def __init__(self, target: Any, /) -> None:
        if not isinstance(target, SharedObject | SharedPtr):
            raise TypeError(f"an object is wanted, not {target!r}")
        segment = target.segment
        self._own(segment, segment._opening_checked(), *self._claim(segment, target))


@functools.total_ordering
class WeakPtr(Generic[T], _core.WeakHandle):
    """Leads to an object that others own, and does not keep it: `lock()` makes an owner, while there is one.

    Parameter: a SharedPtr, a handle on an object, another WeakPtr, or None.

    It is one word, in a process as in a field of a Struct (`parent: WeakPtr["Node"]`, assigned from the
    same), and costs the object nothing.  It tells its object from a later one in the same place by 24 bits
    of its serial number.

    Weak pointers are equal when they lead to the same object, also after its end; so they can be keys of a
    dict, and be sorted.

    Example::

        weak = WeakPtr(shared)
        with weak.lock() as owner:               # None, when nobody owns it any more
            owner.target.value
        shared.reset()
        weak.expired                             # True
    """

    __slots__ = ("_declared",)

    if TYPE_CHECKING:

        @overload
        def __init__(self, target: "SharedPtr[T] | WeakPtr[T]", /) -> None: ...
        @overload
        def __init__(self, target: T, /) -> None: ...

    def __init__(self, target: Any, /) -> None:
        self._declared: Any = None
        if isinstance(target, SharedPtr):
            self._aim(target.segment, target.opening, target._held().word if target else 0)
        elif isinstance(target, WeakPtr):
            self._aim(target.segment, target.opening, target.word)
        elif isinstance(target, SharedObject) and getattr(target, "_whole", None) is None:
            self._aim(target.segment, target.opening, _core.word_of(target.pin))
        else:
            raise TypeError(f"a SharedPtr, a WeakPtr or a whole object is wanted, not {target!r}")

    @classmethod
    def _aimed(cls, owner: _core.Place, word: int, declared: Any) -> Self:
        """What a field of a Struct is read as."""
        pointer = cls.__new__(cls)
        pointer._declared = declared
        pointer._aim(owner.segment, owner.opening, word)
        return pointer

    def lock(self) -> SharedPtr[T] | None:
        """One more owner of the object; None when it has none (any more).

        While the death of its last owner has not been noticed, the object is there, and lives on with this
        one.  Raises NotOwnerError when it belongs to a UniquePtr.
        """
        share = _core.share_locked(self._home(), self.word)
        if share is None:
            return None
        target = handle_on(self.segment, share.pin, self._declared, "the pointer")
        return SharedPtr._of_share(self.segment, self.opening, share, target)

    @property
    def use_count(self) -> int:
        """How many own the object now; 0 when nobody does (any more).  See SharedPtr.use_count."""
        return _core.use_count(self._home(), self.word)

    @property
    def expired(self) -> bool:
        """Whether nobody owns the object (any more)."""
        return self.use_count == 0

    def __bool__(self) -> bool:
        """Whether it was ever led to an object."""
        return self.word != 0

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, WeakPtr) else NotImplemented

    def __lt__(self, other: "WeakPtr[Any]") -> bool:
        return self._key() < other._key() if isinstance(other, WeakPtr) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.word)

    def __reduce__(self) -> Any:
        return _weak_again, (type(self), self.segment, self.word)

    def __repr__(self) -> str:
        state = "[closed]" if self.opening.closed else f"[{self.word:#x}]" if self else "[null]"
        return f"<aioipc.WeakPtr {state}>"

    if TYPE_CHECKING:  # as a field of a Struct

        def __get__(self, instance: object, owner: Any = None) -> Self: ...
        def __set__(self, instance: Any, value: "T | SharedPtr[T] | WeakPtr[T] | None") -> None: ...


def _taken_again(
    cls: type[SharedPtr[Any]], segment: "ManagedSegment", offset: int, serial: int, part: Any
) -> Any:
    pin = segment._opening_checked().attachment.object_at(offset, serial)
    if pin is None:
        raise NotFoundError(f"what the pickled {cls.__name__} led to is no longer in {segment!r}")
    share = _core.share_of(pin, _core.SHARE_OF_SHARED)
    return cls._of_share(segment, segment._opening, share, part)


def _weak_again(cls: type[WeakPtr[Any]], segment: "ManagedSegment", word: int) -> WeakPtr[Any]:
    pointer = cls.__new__(cls)
    pointer._declared = None
    pointer._aim(segment, segment._opening_checked(), word)
    return pointer


SharedPtr._field_type = _core.OwnerType(SharedPtr, "SharedPtr")  # type: ignore[attr-defined]
IntrusivePtr._field_type = _core.OwnerType(IntrusivePtr, "IntrusivePtr")  # type: ignore[attr-defined]
WeakPtr._field_type = _core.WeakType(WeakPtr)  # type: ignore[attr-defined]
