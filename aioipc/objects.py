"""What all objects in a segment have in common: names, types, identity, pickling."""

import enum
import operator
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeVar

from ._native import _core
from .errors import AlreadyExistsError, NotFoundError, TypeMismatchError

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["New", "ObjectName", "SharedObject", "anonymous_instance", "unique_instance"]


class _Instance(enum.Enum):
    """Names that are not strings."""

    UNIQUE = "unique_instance"
    ANONYMOUS = "anonymous_instance"

    def __repr__(self) -> str:
        return f"aioipc.{self.value}"


unique_instance: Final = _Instance.UNIQUE
"""The name of the one object of its type in a segment: `Lock(segment, unique_instance)`."""
anonymous_instance: Final = _Instance.ANONYMOUS
"""No name: `Lock(segment, anonymous_instance)` constructs a new one, as `Lock(segment)` does."""

ObjectName = str | _Instance | None
Kind = Literal["named", "unique", "anonymous"]

_KINDS: Final[dict[int, Kind]] = {
    _core.NAMED: "named",
    _core.UNIQUE: "unique",
    _core.ANONYMOUS: "anonymous",
}
_T = TypeVar("_T", bound="SharedObject")
_types: dict[int, type["SharedObject"]] = {}


class New:
    """Wraps the name of an object that must not exist yet."""

    def __init__(self, name: ObjectName) -> None:
        self.name = name


def type_name(number: int) -> str:
    """What users call the type of an object."""
    cls = _types.get(number)
    return cls.__name__ if cls is not None else f"object of unknown type {number:#x}"


class SharedObject(_core.Handle):
    """Base of everything constructed in a segment: `T(segment, name=None, *its own arguments)`.

    A handle; the object itself lives in the segment until it is destroyed.  Handles on the same object are
    equal.  Pickling one carries the segment's name and uuid and the object's identity: unpickling finds
    the same object again in any process of this machine, or raises NotFoundError.
    """

    __slots__ = ()
    _type: ClassVar[int]
    _size: ClassVar[int]
    _inside: ClassVar[tuple[int, ...]] = ()  # types of objects that begin with one

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        number = getattr(cls, "_type", None)
        if number is not None:
            _types.setdefault(number, cls)

    @property
    def name(self) -> str | None:
        """The object's name; None when it is anonymous or the unique instance of its type."""
        return self.pin.name.decode() if self.pin.kind == _core.NAMED else None

    def _attach(
        self, segment: "ManagedSegment", name: "ObjectName | New", initial: bytes | None = None
    ) -> bool:
        """Finds the object of that name or constructs it; whether it was constructed."""
        must_be_new = isinstance(name, New)
        plain = name.name if isinstance(name, New) else name
        kind, key = encode_name(type(self), plain)
        attachment = segment._opening_checked().attachment
        size = self._payload_size(segment)
        if kind == _core.ANONYMOUS or must_be_new:
            pin = attachment.construct(kind, key, self._type, size, 1, initial)
            if pin is None:
                raise AlreadyExistsError(
                    f"{plain!r} exists already in {segment!r}; use find() or find_or_construct()"
                )
            created = True
        else:
            pin, created = attachment.find_or_construct(kind, key, self._type, size, 1, initial)
        self._bind(segment, segment._opening, self._fitting(pin, plain))
        return created

    def _find_or_refuse(self, segment: "ManagedSegment", name: "ObjectName | New", needed: str) -> None:
        """
        or types that cannot be constructed without an option that was left out: TypeError says `needed`."""
        if isinstance(name, New) or name is None or name is anonymous_instance:
            raise TypeError(needed)
        pin = segment._opening_checked().attachment.find(*encode_name(type(self), name))
        if pin is None:
            raise TypeError(needed)
        self._bind(segment, segment._opening, self._fitting(pin, name))

    @classmethod
    def _payload_size(cls, segment: "ManagedSegment") -> int:
        """Bytes of such an object in that segment."""
        return cls._size

    @classmethod
    def _fitting(cls, pin: _core.Pin, name: ObjectName) -> _core.Pin:
        if pin.type != cls._type:
            raise TypeMismatchError(f"{name!r} is a {type_name(pin.type)}, not a {cls.__name__}")
        return pin

    @classmethod
    def _of(cls, segment: "ManagedSegment", pin: _core.Pin) -> Self:
        """A handle on an object that was found."""
        handle = cls.__new__(cls)
        handle._bind(segment, segment._opening, pin)
        handle._found()
        return handle

    @classmethod
    def _at(cls, segment: "ManagedSegment", offset: int, serial: int, what: str) -> Self | None:
        """A handle on the object that had this place; None when it is gone."""
        pin = segment._opening_checked().attachment.object_at(offset, serial)
        if pin is None:
            return None
        return cls._of(segment, pin if pin.type in cls._inside else cls._fitting(pin, what))

    def _found(self) -> None:
        """Sets what `__init__` would have set, for a handle that was found."""

    def _describe(self) -> str:
        """Its state, for people."""
        return ""

    def __repr__(self) -> str:
        kind = f"aioipc.{type(self).__name__}"
        if self.pin is None:  # its constructor failed
            return f"<{kind} [not there]>"
        if self.opening.closed:
            return f"<{kind} [closed]>"
        name = {_core.NAMED: f" {self.name!r}", _core.UNIQUE: " unique"}.get(self.pin.kind, "")
        return f"<{kind}{name} {'[destroyed]' if self.pin.destroyed else self._describe()}>"

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.segment, self.pin.offset, self.pin.serial, self._local_state())

    def _local_state(self) -> Any:
        """What of this handle, beside the object, a pickle carries."""
        return None

    def _restore_local_state(self, state: Any) -> None:
        """The other side of `_local_state`."""


def encode_name(cls: type[SharedObject], name: ObjectName) -> tuple[int, bytes]:
    """(kind, bytes) as the catalog knows them; ValueError, TypeError for what cannot be a name."""
    if name is None or name is anonymous_instance:
        return _core.ANONYMOUS, b""
    if name is unique_instance:
        return _core.UNIQUE, type_name(cls._type).encode()
    if not isinstance(name, str):
        raise TypeError(f"an object's name is a str, unique_instance or anonymous_instance, not {name!r}")
    encoded = name.encode()
    if len(encoded) > _core.NAME_MAX:
        raise ValueError(
            f"an object's name has at most {_core.NAME_MAX} bytes of UTF-8, this one {len(encoded)}"
        )
    return _core.NAMED, encoded


def whole(option: str, value: int) -> int:
    """An option that must be an integer."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{option} must be an int, not {value!r}") from None


def kind_of(handle: SharedObject) -> Kind:
    """How the object is addressed."""
    return _KINDS[handle.pin.kind]


def _rebuild(cls: type[_T], segment: "ManagedSegment", offset: int, serial: int, state: Any) -> _T:
    handle = cls._at(segment, offset, serial, "the pickled object")
    if handle is None:
        raise NotFoundError(f"the pickled {cls.__name__} is no longer in {segment!r}")
    handle._restore_local_state(state)
    return handle
