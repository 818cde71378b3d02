"""What every segment can do with objects."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._attachments import Index
from ._native import _core
from ._opened import OpenedSegment
from .atomic_block import AtomicBlock
from .errors import TypeMismatchError
from .object_info import Listed, ObjectInfo, in_order, informed, name_range
from .objects import (
    Kind,
    New,
    ObjectName,
    SharedObject,
    encode_name,
    kind_of,
    known_type,
    name_of,
    type_name,
    type_name_of,
    whole,
)

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["SegmentObjects"]

T = TypeVar("T", bound=SharedObject)


class SegmentObjects(OpenedSegment):
    """Objects in a segment, by name and by handle."""

    def construct(
        self, type: type[T], name: ObjectName, /, *args: Any, count: int | None = None, **options: Any
    ) -> T:
        """Constructs an object; AlreadyExistsError when the name is taken, WouldBlock when an atomic block of
        another task or process may yet take it.

        `count`: so many of them, one behind the other, where the type is a Struct: `construct(Tick, "ticks",
        count=100)[7]`.  None: one.  Killed in the middle, the process leaves nothing.
        """
        return type(self, New(name, count), *args, **options)  # type: ignore[call-arg]

    def construct_each(self, type: type[T], name: ObjectName, each: Iterable[Any], /) -> T:
        """Constructs as many structs as there are items; each starts with its own values.

        An item is a mapping of fields, or a sequence of the values of all of them.
        """
        return type(self, New(name, each=list(each)))  # type: ignore[call-arg]

    def find_or_construct(
        self, type: type[T], name: ObjectName, /, *args: Any, count: int | None = None, **options: Any
    ) -> T:
        """Finds the object or constructs it, atomically across processes: `type(segment, name, ...)`.

        `count` as for `construct`; OptionMismatchError when what is found has another one.  None: any.
        """
        return type(self, New(name, count, must=False), *args, **options)  # type: ignore[call-arg]

    def find(self, type: type[T], name: ObjectName) -> T | None:
        """The object of this name, None when there is none; TypeMismatchError when it is something else."""
        pin = self._attachment.find(*encode_name(type, name))
        return None if pin is None else type._of(cast("ManagedSegment", self), type._fitting(pin, name))

    def destroy(self, type: type[SharedObject], name: ObjectName) -> bool:
        """Destroys the object of this name; False when there is none.

        The name is free at once; whoever waits on the object gets ClosedError; its memory goes with the last
        handle of any process.  Raises TypeMismatchError when it is something else, WouldBlock when an atomic
        block of another task or process has touched it.
        """
        pin = self._attachment.find(*encode_name(type, name))
        return pin is not None and type._fitting(pin, name).destroy()

    def destroy_object(self, handle: SharedObject) -> bool:
        """Destroys an object by its handle, anonymous ones too; False when that was done before."""
        self._opening_checked()
        return handle._destroy()

    def name_of(self, handle: SharedObject) -> str | None:
        """The object's name, None when it is anonymous or unique."""
        return name_of(handle)

    def kind_of(self, handle: SharedObject) -> Kind:
        """How the object is addressed: "named", "unique" or "anonymous"."""
        return kind_of(handle)

    def length_of(self, handle: SharedObject) -> int:
        """The number of elements: 1 unless the object is an array."""
        return handle.pin.count

    # --- several at once

    def atomic(self) -> AtomicBlock:
        """A block whose changes to names become true together: `with segment.atomic():` waits for its turn by
        blocking the thread, `async with segment.atomic():` by awaiting.

        See AtomicBlock.  Entering raises ClosedError when the segment is closed, also meanwhile.
        """
        return AtomicBlock(cast("ManagedSegment", self))

    def atomic_nowait(self) -> AtomicBlock:
        """The same, for both forms; but entering raises WouldBlock when another block is open."""
        return AtomicBlock(cast("ManagedSegment", self), at_once=True)

    # --- all of them

    @property
    def index(self) -> Index:
        """How names are kept, as chosen when the segment was created: "hash" or "ordered"."""
        return "ordered" if self._attachment.ordered else "hash"

    def named_objects(
        self, *, prefix: str | None = None, start: str | None = None, stop: str | None = None
    ) -> list[ObjectInfo]:
        """All named objects as of one moment, sorted by name.

        `prefix`: only names that begin so; `start`: from this name on; `stop`: up to, and without, this one.
        Names are compared character by character.  With an ordered index only the names in that range cost
        anything, else all of them; others' changes to names wait while they are copied.  In an atomic
        block: what is seen there.
        """
        listed = _core.listed(self._attachment, _core.NAMED, *name_range(prefix, start, stop))
        return informed(in_order(listed), self._find_listed, self._describe_listed)

    def unique_objects(self) -> list[ObjectInfo]:
        """All unique instances of their types as of one moment, sorted by the type's name."""
        listed = _core.listed(self._attachment, _core.UNIQUE, None, None, None)
        return informed(in_order(listed), self._find_listed, self._describe_listed)

    @property
    def num_named_objects(self) -> int:
        """How many named objects there are."""
        return _core.counted_names(self._attachment)[0]

    @property
    def num_unique_objects(self) -> int:
        """How many unique instances there are."""
        return _core.counted_names(self._attachment)[1]

    def reserve_named_objects(self, n: int) -> None:
        """Makes room for `n` named objects in all: none of them waits while the table of names is rebuilt.

        Raises SegmentFullError, and nothing changes.
        """
        self._reserve(n, 1)

    def reserve_unique_objects(self, n: int) -> None:
        """The same for unique instances."""
        self._reserve(n, 0)

    def _reserve(self, n: int, others: int) -> None:
        wanted = whole("n", n)
        if not 0 <= wanted < 1 << 47:
            raise ValueError(f"n must be between 0 and 2**47, not {n}")
        _core.reserve_names(self._attachment, wanted + _core.counted_names(self._attachment)[others])

    def shrink_to_fit_indexes(self) -> None:
        """Gives back the room for names that `reserve_named_objects`, or objects that are gone, have left.

        The table never grows for names that come and go; it keeps the size that it needed once.  Raises
        SegmentFullError when there is no room for the smaller one beside it.
        """
        _core.shrink_names(self._attachment)

    def _find_listed(self, one: Listed) -> SharedObject | None:
        pin = self._attachment.object_at(*one[6:])
        if pin is None:
            return None
        cls = known_type(pin.type)
        if cls is None:
            raise TypeMismatchError(f"a {type_name_of(pin)} has no class in this process: import its module")
        return cls._of(cast("ManagedSegment", self), cls._fitting(pin, one[1].decode(errors="replace")))

    def _describe_listed(self, one: Listed) -> str:
        pin = self._attachment.object_at(*one[6:])
        return type_name(one[2]) if pin is None else type_name_of(pin)
