"""Numbers and flags that many processes change at once: objects of their own, or fields of a Struct."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from ._native import _core
from .objects import New, ObjectName
from .places import PlacedObject

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["AtomicBool", "AtomicFlag", "AtomicInt32", "AtomicInt64", "AtomicUInt32", "AtomicUInt64"]


class Atomic(PlacedObject):
    """What the constructors of all of them do."""

    __slots__ = ()
    _field_type: ClassVar[_core.AtomicType]

    def __init__(self, segment: "ManagedSegment", name: ObjectName | New = None, value: int = 0) -> None:
        self._attach(segment, name, self._field_type.pack(segment._opening_checked().attachment, value))

    @classmethod
    def _payload_size(cls, segment: "ManagedSegment") -> int:
        return cls._field_type.size

    def __class_getitem__(cls, shape: int | tuple[int, ...]) -> _core.ArrayType:
        """An array of them, as the type of a field: `AtomicInt64[8]`."""
        return cls._field_type[shape]

    def _describe(self) -> str:
        return f"[{self.load()}]"  # type: ignore[attr-defined]

    if TYPE_CHECKING:  # as a field of a Struct

        def __get__(self, instance: object, owner: Any = None) -> Self: ...

        def __set__(self, instance: Any, value: "int | Self") -> None: ...


class AtomicInt64(Atomic, _core.AtomicNumber):
    """A whole number from -2**63 to 2**63 - 1 that any number of processes change at once.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one; the
    `value` that a new one starts with.  As a field of a Struct: `hits: AtomicInt64`, `hits: AtomicInt64[8]`.

    Each operation is one access of the processor, sequentially consistent: none is lost, none is seen half,
    and all processes see all of them in one order.  A process that dies has done it or not.  Results that are
    out of range wrap around, as in C; arguments that are raise OverflowError.

    Example::

        hits = AtomicInt64(segment, "hits")
        hits.add()                               # 1: the value after
        hits.fetch_add(5)                        # 1: the value before
        if hits.compare_exchange(6, 0):          # whether it was 6, and now is 0
            ...
        hits.load(), hits.store(7), hits.exchange(8)
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ATOMIC_INT64
    _field_type = _core.AtomicType("AtomicInt64", _core.Scalar("int64"))


class AtomicUInt64(Atomic, _core.AtomicNumber):
    """A whole number from 0 to 2**64 - 1; otherwise as AtomicInt64."""

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ATOMIC_UINT64
    _field_type = _core.AtomicType("AtomicUInt64", _core.Scalar("uint64"))


class AtomicInt32(Atomic, _core.AtomicNumber):
    """A whole number from -2**31 to 2**31 - 1; otherwise as AtomicInt64."""

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ATOMIC_INT32
    _field_type = _core.AtomicType("AtomicInt32", _core.Scalar("int32"))


class AtomicUInt32(Atomic, _core.AtomicNumber):
    """A whole number from 0 to 2**32 - 1; otherwise as AtomicInt64."""

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ATOMIC_UINT32
    _field_type = _core.AtomicType("AtomicUInt32", _core.Scalar("uint32"))


class AtomicBool(Atomic, _core.AtomicHandle):
    """True or False, with the bitwise operations of AtomicInt64 and without its arithmetic ones."""

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ATOMIC_BOOL
    _field_type = _core.AtomicType("AtomicBool", _core.Scalar("bool_"))


class AtomicFlag(Atomic, _core.AtomicSwitch):
    """A flag that one of many processes sets first; otherwise as AtomicBool.

    Example::

        started = AtomicFlag(segment, "started")
        if not started.test_and_set():           # False for exactly one
            start()
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ATOMIC_FLAG
    _field_type = _core.AtomicType("AtomicFlag", _core.Scalar("bool_"))
