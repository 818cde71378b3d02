"""Items: the arrays inside of structs and arrays."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ._native import _core
from .places import PlacedObject

__all__ = ["Items"]

T = TypeVar("T")


class Items(PlacedObject, _core.ItemsHandle, Generic[T]):
    """The items of an array in shared memory: a field of a Struct, or a row of an Array.

    Reading an item gives its value at this moment, or a handle on it where it is a struct, an atomic number
    or a row; assigning stores in place.  A slice is read as a list and assigned from as many values.  All
    values are checked before the first is stored; each is stored by itself, so others may see some of them.

    `memoryview(items)` and `numpy.asarray(items)` share the memory.

    Example::

        tick.bids[0] = tick.bids[1] + 0.5
        tick.bids[2:4] = [1.0, 1.5]
        numpy.asarray(tick.bids).mean()
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("get them from a field of a Struct, or from an Array")

    def _describe(self) -> str:
        return f"[{'x'.join(map(str, self.shape))} items]"

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: int, /) -> T: ...
        @overload
        def __getitem__(self, key: slice, /) -> list[T]: ...
        @overload
        def __getitem__(self, key: tuple[int, ...], /) -> Any: ...
        def __getitem__(self, key: Any, /) -> Any: ...

        def __iter__(self) -> Iterator[T]: ...

        # As a field of a Struct.
        def __set__(self, instance: Any, value: "Iterable[Any] | Items[T]") -> None: ...
        def __get__(self, instance: object, owner: Any = None) -> "Items[T]": ...


_core.show_items_as(Items)
