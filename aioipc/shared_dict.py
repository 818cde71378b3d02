"""SharedDict: one dict for many processes."""

from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ._native import _core
from .objects import New, ObjectName, SharedObject

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["MISSING", "DictStatistics", "SharedDict"]

K = TypeVar("K")
V = TypeVar("V")

MISSING = _core.MISSING
"""No value, not even None: for `compare_and_set` and `update_with`."""


@dataclass(frozen=True, slots=True)
class DictStatistics:
    """A dict at one moment."""

    count: int
    """Keys."""
    holes: int
    """Places of deleted keys, which go with the next rebuild."""
    capacity: int
    """Slots of the hash table."""
    rebuilds: int
    """How often the hash table was replaced, step by step, by a larger or smaller one."""
    retired_blocks: int
    """Replaced and deleted values that somebody still looks at (counted up to 1,000)."""


class SharedDict(SharedObject, _core.DictHandle, MutableMapping[K, V]):
    """A dict in shared memory: dict's methods, msgpack's types.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one.

    Keys are None, bool, int, float, str, bytes, datetime and tuples of such; they compare as Python's do, so
    1, 1.0 and True are one key.  Values are what msgpack can encode, and datetime; reading one gives a new
    object, so `d["a"].append(1)` changes nothing in the dict: use `update_with`.  Keys keep their order of
    insertion.

    Each operation on one key, and `clear`, is atomic between processes, and done wholly or not at all when
    its process is killed in the middle.  Reading takes no lock: nobody waits for a writer, not even for one
    that was stopped.  Growing is done in steps; no operation's time grows with the size of the dict.

    Iterating gives every key that is there from beginning to end once, in order; keys that are inserted
    meanwhile are left out, values are those of the moment.  It never raises because of others.

    Example::

        sessions: SharedDict[str, dict] = SharedDict(segment, "sessions")
        sessions["u1"] = {"name": "Ann", "scores": [1, 2, 3]}
        with sessions.view("u1") as v:       # nothing is decoded until asked for
            v["scores"][2]
        sessions.update_with("hits", lambda n: (n or 0) + 1)
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_DICT
    _size: ClassVar[int] = _core.DICT_SIZE

    def __init__(self, segment: "ManagedSegment", name: ObjectName | New = None) -> None:
        self._attach(segment, name, _core.dict_image())

    def keys(self) -> KeysView[K]:
        """The keys, as a set-like view."""
        return _Keys(self)

    def values(self) -> ValuesView[V]:
        """The values, as a view."""
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        """Pairs of key and value, as a set-like view."""
        return _Items(self)

    def copy(self) -> dict[K, V]:
        """An ordinary dict with what is in it now: keys that others insert or delete meanwhile may be
        missing.
        """
        return dict(self._iterate(True, True))

    def update(self, other: Any = (), /, **named: Any) -> None:
        """Stores what a mapping, or pairs, have: one key after the other, each atomically."""
        pairs: Iterable[tuple[Any, Any]]
        if isinstance(other, Mapping):
            pairs = other.items()
        elif hasattr(other, "keys"):
            pairs = ((key, other[key]) for key in other.keys())  # noqa: SIM118 - dict.update asks for keys()
        else:
            pairs = other
        for key, value in pairs:
            self[key] = value
        for name, value in named.items():
            self[name] = value

    def __or__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() | dict(other)

    def __ror__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(other) | self.copy()

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SharedDict) and other.pin is self.pin:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() == dict(other.items())

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def statistics(self) -> DictStatistics:
        """The dict at this moment, as a frozen record."""
        return DictStatistics(**self._statistics())

    def _describe(self) -> str:
        return f"of {len(self)}"


class _Keys(KeysView[K]):
    def __reversed__(self) -> Iterator[K]:
        return reversed(self._mapping)  # type: ignore[attr-defined]

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        return set(it)


class _Values(ValuesView[V]):
    def __iter__(self) -> Iterator[V]:
        return self._mapping._iterate(False, True)  # type: ignore[attr-defined, no-any-return]

    def __reversed__(self) -> Iterator[V]:
        return self._mapping._iterate(False, True, True)  # type: ignore[attr-defined, no-any-return]

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class _Items(ItemsView[K, V]):
    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and super().__contains__(item)

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._iterate(True, True)  # type: ignore[attr-defined, no-any-return]

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._iterate(True, True, True)  # type: ignore[attr-defined, no-any-return]

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        return set(it)
