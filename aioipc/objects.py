"""What all objects in a segment have in common: names, types, identity, pickling."""

import enum
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeVar
from weakref import WeakValueDictionary

from ._native import _core
from .errors import AlreadyExistsError, NotFoundError, TypeMismatchError

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["Kind", "New", "ObjectName", "SharedObject", "anonymous_instance", "unique_instance"]


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
_types: "WeakValueDictionary[int, type[SharedObject]]" = WeakValueDictionary()


class New:
    """Wraps the name of an object with more that is wanted of it than its type's own arguments say.

    `must`: it must not exist yet.  `count`: so many elements; None: as many as there are, or one.
    `each`: what each of them starts with.  `how`: a share of this kind is wanted too, in `share`.
    """

    def __init__(
        self,
        name: ObjectName,
        count: int | None = None,
        *,
        must: bool = True,
        each: Sequence[Any] | None = None,
        how: int = 0,
    ) -> None:
        self.name, self.count, self.must, self.each, self.how = name, count, must, each, how
        self.share: _core.Share | None = None


def register(cls: "type[SharedObject]", *, latest: bool = False) -> None:
    """Makes objects of this class known by their type's number.

    `latest`: instead of an earlier one, which may be the same class before its module was loaded again.
    """
    if latest:
        _types[cls._type] = cls
    _types.setdefault(cls._type, cls)


def known_type(number: int) -> "type[SharedObject] | None":
    """The class of objects with this type's number, where this process has one."""
    return _types.get(number)


def type_name(number: int) -> str:
    """What users call the type of an object."""
    cls = known_type(number)
    if cls is not None:
        return cls.__name__
    return f"{'struct' if number & _core.TYPE_STRUCT else 'object'} of unknown type {number:#x}"


def type_name_of(pin: _core.Pin) -> str:
    """The same, where the object can be asked."""
    if known_type(pin.type) is None and pin.type & _core.TYPE_STRUCT and isinstance(pin, _core.DescribedPin):
        return pin.description.decode(errors="replace").partition("(")[0]
    return type_name(pin.type)


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
    _arrays: ClassVar[bool] = False  # whether one object can have several elements

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if getattr(cls, "_type", None) is not None:
            register(cls)

    @property
    def name(self) -> str | None:
        """The object's name; None when it is anonymous or the unique instance of its type."""
        return name_of(self)

    def _attach(
        self, segment: "ManagedSegment", name: "ObjectName | New", initial: bytes | None = None
    ) -> bool:
        """Finds the object of that name or constructs it; whether it was constructed.

        `initial`: the first bytes of a new one; the others are zero.
        """
        wanted = name if isinstance(name, New) else New(name, must=False)
        if (wanted.each is not None or wanted.count not in (None, 1)) and not self._arrays:
            raise TypeError(f"there are no arrays of {type(self).__name__}: construct one at a time")
        return self._attach_several(segment, wanted, self._payload_size(segment), wanted.count or 1, initial)

    def _attach_several(
        self,
        segment: "ManagedSegment",
        wanted: New,
        size: int,
        count: int,
        initial: bytes | None,
        words: bytes = b"",
    ) -> bool:
        """The same for `count` elements, which take `size` bytes together, and own what `words` lead to."""
        plain = wanted.name
        kind, key = encode_name(type(self), plain)
        attachment = segment._opening_checked().attachment
        if kind == _core.ANONYMOUS or wanted.must:
            made = attachment.construct(kind, key, self._type, size, count, initial, words, wanted.how)
            if made is None:
                raise AlreadyExistsError(
                    f"{plain!r} exists already in {segment!r}; use find() or find_or_construct()"
                )
            created = True
        else:
            made, created = attachment.find_or_construct(
                kind, key, self._type, size, count, initial, words, wanted.how
            )
        if isinstance(made, _core.Share):
            wanted.share, made = made, made.pin
        self._bind(segment, segment._opening, self._fitting(made, plain))
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
            raise TypeMismatchError(f"{name!r} is a {type_name_of(pin)}, not a {cls.__name__}")
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

    def _destroy(self) -> bool:
        return self.pin.destroy()

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
        name = {_core.NAMED: f" {name_of(self)!r}", _core.UNIQUE: " unique"}.get(self.pin.kind, "")
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
        return _core.UNIQUE, (known_type(cls._type) or cls).__name__.encode()
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


def name_of(handle: SharedObject) -> str | None:
    """The object's name; None when it has none that is a string."""
    return handle.pin.name.decode() if handle.pin.kind == _core.NAMED else None


def kind_of(handle: SharedObject) -> Kind:
    """How the object is addressed."""
    return _KINDS[handle.pin.kind]


def kind_name(number: int) -> Kind:
    """What users call a kind."""
    return _KINDS[number]


def _rebuild(cls: type[_T], segment: "ManagedSegment", offset: int, serial: int, state: Any) -> _T:
    handle = cls._at(segment, offset, serial, "the pickled object")
    if handle is None:
        raise NotFoundError(f"the pickled {cls.__name__} is no longer in {segment!r}")
    handle._restore_local_state(state)
    return handle
