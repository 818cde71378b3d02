"""Segments in named POSIX shared memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from . import _names
from .named_segment import NamedSegment

__all__ = ["ManagedSharedMemory"]


@dataclass(frozen=True)
class _Place:
    name: str
    path: str

    def open_fd(self, allow_other_owner: bool, read_only: bool = False) -> int:
        return _names.open_fd(self.name, allow_other_owner, read_only)

    def draft(self, size: int, mode: int) -> _names.Draft:
        return _names.Draft(self.name, size, mode)

    def exists(self) -> bool:
        return _names.exists(self.name)

    def remove(self, allow_other_owner: bool) -> bool:
        return _names.remove(self.name, allow_other_owner)

    def already_exists(self) -> Exception:
        return _names.already_exists(self.name)


class ManagedSharedMemory(NamedSegment):
    """A segment in named POSIX shared memory: /dev/shm/<name>.

    Example::

        with ManagedSharedMemory.create("shop", 1 << 20) as segment:      # in one process
            block = segment.allocate(100)

        with ManagedSharedMemory.open("shop") as segment:                 # in others
            orders = Lock(segment, "orders")
    """

    @classmethod
    def _place(cls, where: str) -> _Place:
        return _Place(where, _names.path_of(where))

    @classmethod
    def all(cls) -> Iterator[_names.SegmentInfo]:
        """Every named segment that this user can read and whose header is sound."""
        return _names.listing()
