"""What lists of objects are made of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ._native import _core
from .objects import Kind, SharedObject, kind_name, known_type, type_name

__all__ = ["Listed", "ObjectInfo", "in_order", "informed", "name_range"]

Listed = tuple[int, bytes, int, int, int, int, int, int]
"""kind, name, type, count, size, pins, offset, serial"""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object of a segment at one moment.

    Example::

        for info in segment.named_objects(prefix="jobs/"):
            print(info.name, info.type_name, info.size)
            queue = info.find()             # None: it was destroyed since
    """

    name: str | None
    """None for the unique instance of its type."""
    kind: Kind
    """"named" or "unique"."""
    type: "type[SharedObject] | None"
    """Its class; None when this process has none for it."""
    type_name: str
    """What its class is called, also when this process does not have it."""
    count: int
    """Elements: 1, unless it is an array."""
    size: int
    """Bytes, without what containers have elsewhere in the segment."""
    pins: int
    """Processes that have a handle on it."""
    _find: Callable[[], SharedObject | None] = field(repr=False, compare=False)

    def find(self) -> SharedObject | None:
        """The object itself; None when it was destroyed since, whoever has its name now.

        Raises TypeMismatchError when this process has no class for it; in a segment that was opened
        read-only ReadOnlyError for types that cannot be read.
        """
        return self._find()


def informed(
    listed: Iterable[Listed],
    find: Callable[[Listed], SharedObject | None],
    describe: Callable[[Listed], str | None] = lambda one: None,
) -> list[ObjectInfo]:
    """The records of what was listed.

    `find` gives the object of one, `describe` the name of a type that is not known here.
    """
    return [
        ObjectInfo(
            one[1].decode(errors="replace") if one[0] == _core.NAMED else None,
            kind_name(one[0]),
            known_type(one[2]),
            type_name(one[2]) if known_type(one[2]) else describe(one) or type_name(one[2]),
            *one[3:6],
            _Finder(find, one),
        )
        for one in listed
    ]


class _Finder:
    """`find` for one of the listed."""

    __slots__ = ("_find", "_one")

    def __init__(self, find: Callable[[Listed], SharedObject | None], one: Listed) -> None:
        self._find, self._one = find, one

    def __call__(self) -> Any:
        return self._find(self._one)


def name_range(
    prefix: str | None, start: str | None, stop: str | None
) -> tuple[bytes | None, bytes | None, bytes | None]:
    """A range of names, as the catalog knows them."""
    return (
        None if prefix is None else prefix.encode(),
        None if start is None else start.encode(),
        None if stop is None else stop.encode(),
    )


def in_order(listed: list[Listed]) -> list[Listed]:
    """By name; those of an ordered index are so already, and sorting finds that out in one pass."""
    return sorted(listed, key=lambda one: one[1])
