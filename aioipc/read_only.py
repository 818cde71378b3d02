"""Segments that are only read: without leave to write, without being noticed, without a lock."""

import uuid
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn, Self, overload

from ._attachments import Index
from ._native import _core
from ._native._core import ReadOnlyBlock
from ._native._msgpack import View
from ._refusing import Refusing
from .arrays import Array
from .atomics import Atomic
from .errors import ClosedError, IPCError, ReadOnlyError, TypeMismatchError
from .holders import Holder, held
from .object_info import Listed, ObjectInfo, in_order, informed, name_range
from .objects import ObjectName, SharedObject, encode_name, known_type, type_name
from .places import PlacedObject
from .queue import Queue, QueueStatistics
from .read_only_places import ReadOnlyArray, ReadOnlyStruct, seen_place
from .read_only_primitives import PEEKS
from .segment import ManagedSegment
from .shared_dict import SharedDict
from .structs import Struct

__all__ = ["ReadOnlyDict", "ReadOnlyQueue", "ReadOnlySegment"]


_LOOKS = 1000


class _Gone(Exception):
    """What was found a moment ago was destroyed before it was read."""


class ReadOnlySegment(Refusing):
    """A segment of any shared kind, mapped so that it cannot be written: what `open_read_only` gives.

    It takes no slot and no lock, writes not a byte, and nobody waits for it or notices that it goes. It
    finds dicts and queues and reads them beside their writers, also beside one that was stopped or killed in
    the middle of a change. Whatever would change, lock or await something raises ReadOnlyError.

    Example::

        with ManagedSharedMemory.open_read_only("shop") as segment:
            prices = segment.find(SharedDict, "prices")
            prices["tea"]
    """

    _model = ManagedSegment

    def __init__(self, fd: int, path: str, name: str) -> None:
        self._reader = _core.Reader(fd, path)
        self._name = name

    @property
    def name(self) -> str:
        """What it was opened by."""
        return self._name

    @property
    def uuid(self) -> uuid.UUID:
        """Identifies this very segment, and no later one of the same name."""
        return uuid.UUID(bytes=self._reader.uuid)

    @property
    def size(self) -> int:
        """Bytes of the whole segment."""
        return self._reader.size

    @property
    def max_size(self) -> int:
        """Bytes it may grow to."""
        return self._reader.max_size

    @property
    def free_memory(self) -> int:
        """Bytes that are free, the reserve included."""
        return self._reader.free_bytes

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._reader.closed

    def holders(self) -> list[Holder]:
        """Who holds what, by process and task: as of a segment that is open."""
        return held(self._reader.holders())

    @property
    def blocking(self) -> NoReturn:
        """What threads wait for; raises ReadOnlyError."""
        self._refuse()

    @overload
    def find(self, type: type[SharedDict[Any, Any]], name: ObjectName) -> "ReadOnlyDict | None": ...
    @overload
    def find(self, type: type[Queue[Any]], name: ObjectName) -> "ReadOnlyQueue | None": ...
    @overload
    def find(self, type: type[Struct], name: ObjectName) -> ReadOnlyStruct | None: ...
    @overload
    def find(self, type: type[Array[Any]], name: ObjectName) -> ReadOnlyArray | None: ...
    @overload
    def find(self, type: type[SharedObject], name: ObjectName) -> Any: ...
    def find(self, type: type[SharedObject], name: ObjectName) -> Any:
        """The object of this name, for reading; None when there is none.

        A SharedDict, a Queue (how full it is), a Struct, an Array, an atomic number; of a Lock and the other
        primitives its state and `statistics()`.  Raises TypeMismatchError when it is something else,
        ReadOnlyError for types that cannot be read.
        """
        if not _readable(type):
            raise ReadOnlyError(f"a {type.__name__} cannot be read; open the segment with open()")
        key = encode_name(type, name)
        for _ in range(_LOOKS):
            seen = self._reader.find(*key)
            if seen is None:
                return None
            with suppress(_Gone):
                return self._shown(type, seen, name)
        raise IPCError(f"{name!r} is destroyed and constructed again all the time")

    def _shown(self, type: type[SharedObject], seen: _core.Seen, name: Any) -> Any:
        """What was found, as what it should be; _Gone when it was destroyed meanwhile."""
        if issubclass(type, PlacedObject):
            try:
                return seen_place(self, type, seen, name)
            except ClosedError:
                if self.closed:
                    raise
                raise _Gone from None
        if seen.type != type._type:
            raise TypeMismatchError(f"{name!r} is a {type_name(seen.type)}, not a {type.__name__}")
        if type in PEEKS:
            return PEEKS[type](type, seen, name)
        return _CONTAINERS[type](self, seen, name)

    @property
    def index(self) -> Index:
        """How names are kept: "hash" or "ordered"."""
        return "ordered" if self._reader.ordered else "hash"

    def named_objects(
        self, *, prefix: str | None = None, start: str | None = None, stop: str | None = None
    ) -> list[ObjectInfo]:
        """All named objects as of one moment, sorted by name; as `ManagedSegment.named_objects`.

        It holds nobody up, so it goes through all names, with either index, until it has done so without a
        change in between; IPCError when there always is one.
        """
        listed = _core.listed_seen(self._reader, _core.NAMED, *name_range(prefix, start, stop))
        return informed(in_order(listed), self._find_listed)

    def unique_objects(self) -> list[ObjectInfo]:
        """All unique instances of their types as of one moment, sorted by the type's name."""
        listed = _core.listed_seen(self._reader, _core.UNIQUE, None, None, None)
        return informed(in_order(listed), self._find_listed)

    @property
    def num_named_objects(self) -> int:
        """How many named objects there are; as `named_objects`."""
        return len(_core.listed_seen(self._reader, _core.NAMED, None, None, None))

    @property
    def num_unique_objects(self) -> int:
        """How many unique instances there are."""
        return len(_core.listed_seen(self._reader, _core.UNIQUE, None, None, None))

    def _find_listed(self, one: Listed) -> Any:
        kind, name, number, serial = one[0], one[1], one[2], one[7]
        cls = known_type(number)
        if cls is None or not _readable(cls):
            raise ReadOnlyError(f"a {type_name(number)} cannot be read; open the segment with open()")
        seen = self._reader.find(kind, name)
        if seen is None or seen.serial != serial:
            return None
        try:
            return self._shown(cls, seen, name.decode(errors="replace"))
        except _Gone:
            return None

    def block(self, handle: int, size: int | None = None) -> ReadOnlyBlock:
        """The block of this handle, as a buffer that cannot be written; it shows what others write.

        Raises NotFoundError when there is none; one that is freed later shows whatever comes there next.
        """
        return self._reader.block(handle, size)

    def _opening_checked(self) -> NoReturn:
        """What constructors of objects ask for first."""
        raise ReadOnlyError(f"{self!r} was opened read-only; find() gives objects for reading")

    def close(self) -> None:
        """Unmaps it; again does nothing. Raises BufferError while memoryviews of its blocks are in use."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<aioipc.ReadOnlySegment {self._name!r}{' closed' if self.closed else ''}>"


class ReadOnlyDict(Refusing, Mapping[Any, Any]):
    """A SharedDict that is only read: each lookup is of one moment, iterating is as with a SharedDict.

    A destroyed dict raises ClosedError. Views show copies.
    """

    _model = SharedDict

    def __init__(self, segment: ReadOnlySegment, seen: _core.Seen, name: ObjectName) -> None:
        self._segment, self._seen, self._name = segment, seen, name

    def __getitem__(self, key: Any) -> Any:
        return _core.decoded(self._bytes(key))

    def __contains__(self, key: object) -> bool:
        return self._seen.dict_get(key) is not _core.MISSING

    def __len__(self) -> int:
        return self._seen.dict_len()

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self._seen.dict_walk(False))

    def __reversed__(self) -> Iterator[Any]:
        return (key for key, _ in self._seen.dict_walk(True))

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of the key, or `default`."""
        value = self._seen.dict_get(key)
        return _core.decoded(value) if isinstance(value, bytes) else default

    def view(self, key: Any) -> View:
        """A View of a copy of the key's value. Raises KeyError."""
        return _core.view_of_bytes(self._bytes(key))

    def items(self) -> ItemsView[Any, Any]:
        """Pairs of key and value."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """The values."""
        return _Values(self)

    def keys(self) -> KeysView[Any]:
        """The keys."""
        return KeysView(self)

    def copy(self) -> dict[Any, Any]:
        """An ordinary dict with what is in it now."""
        return dict(self._pairs())

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        return ((key, _core.decoded(value)) for key, value in self._seen.dict_walk(False))

    def _bytes(self, key: Any) -> bytes:
        value = self._seen.dict_get(key)
        if not isinstance(value, bytes):
            raise KeyError(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        self._refuse()

    def __delitem__(self, key: Any) -> None:
        self._refuse()

    def __ior__(self, other: Any) -> Self:
        self._refuse()

    def __repr__(self) -> str:
        return f"<aioipc.ReadOnlyDict {self._name!r}>"


class _Items(ItemsView[Any, Any]):
    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping._pairs()  # type: ignore[attr-defined, no-any-return]


class _Values(ValuesView[Any]):
    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._pairs())  # type: ignore[attr-defined]


class ReadOnlyQueue(Refusing):
    """A Queue that is only looked at: how full it is, not what is in it."""

    _model = Queue

    def __init__(self, segment: ReadOnlySegment, seen: _core.Seen, name: ObjectName) -> None:
        self._segment, self._seen, self._name = segment, seen, name

    def qsize(self) -> int:
        """Items in the queue now; those on lease are not."""
        return self.statistics().qsize

    def empty(self) -> bool:
        """Whether there is no item."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether `maxsize` items are there."""
        return 0 < self.maxsize <= self.qsize()

    @property
    def maxsize(self) -> int:
        """How many items it holds at most; 0: any number."""
        return self.statistics().maxsize

    def statistics(self) -> QueueStatistics:
        """The queue at this moment, as a frozen record."""
        return QueueStatistics(**self._seen.queue_statistics())

    def __repr__(self) -> str:
        return f"<aioipc.ReadOnlyQueue {self._name!r}>"


_CONTAINERS: dict[type[SharedObject], type[ReadOnlyDict] | type[ReadOnlyQueue]] = {
    SharedDict: ReadOnlyDict,
    Queue: ReadOnlyQueue,
}


def _readable(cls: type[SharedObject]) -> bool:
    return cls in _CONTAINERS or cls in PEEKS or issubclass(cls, Struct | Array | Atomic)
