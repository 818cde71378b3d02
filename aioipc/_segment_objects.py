"""What every segment can do with objects."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._opened import OpenedSegment
from .objects import Kind, New, ObjectName, SharedObject, encode_name, kind_of, name_of

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["SegmentObjects"]

T = TypeVar("T", bound=SharedObject)


class SegmentObjects(OpenedSegment):
    """Objects in a segment, by name and by handle."""

    def construct(
        self, type: type[T], name: ObjectName, /, *args: Any, count: int | None = None, **options: Any
    ) -> T:
        """Constructs an object; AlreadyExistsError when the name is taken.

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
        handle of any process.  Raises TypeMismatchError when it is something else.
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
