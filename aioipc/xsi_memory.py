"""Segments in System V shared memory."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from . import _xsi
from ._attachments import Algorithm, Index, LentMemory, attached, checked_layout, created
from ._native import _core
from ._xsi import XSIKey, XSIMemory, XSIPlace
from .named_segment import NamedSegment, Place, reopened

__all__ = ["ManagedXSISharedMemory", "XSIKey"]


class ManagedXSISharedMemory(NamedSegment):
    """A segment in System V shared memory (shmget), for programs that find each other by keys.

    It stays until it is removed, or the machine restarts, and is as large as it was made: `max_size` is its
    size. In /dev/shm it has a control file, by which its processes know who is alive. Memory under the key
    that is another program's is refused with IncompatibleSegmentError, and left alone.

    Example::

        with ManagedXSISharedMemory.create(0x5E6, 1 << 20) as segment:         # in one process
            orders = Queue(segment, "orders")

        with ManagedXSISharedMemory.open(0x5E6) as segment:                    # in others
            orders = Queue(segment, "orders")

        ManagedXSISharedMemory.remove(0x5E6)
    """

    _why_not = "System V memory has no descriptor, and the size that it was made with"
    _key: XSIKey

    @classmethod
    def create(  # type: ignore[override]
        cls,
        where: int | XSIKey,
        size: int,
        *,
        mode: int = 0o600,
        algorithm: Algorithm = "best_fit",
        index: Index = "hash",
        participants: int = 64,
    ) -> Self:
        """Creates a segment of `size` bytes (rounded up to whole pages) and opens it.

        `where` is a key, or `XSIKey.private()`. All memory is there at once. A creator that is killed leaves
        nothing that would be in the way of the next; of private memory, memory that `ipcs` shows.

        Raises AlreadyExistsError, also when another program has the key; SegmentFullError when the system's
        limits (ipcs -l) or its memory do not allow it; ValueError.
        """
        key = XSIKey.of(where)
        layout = checked_layout(size, mode=mode, algorithm=algorithm, index=index, participants=participants)
        with _new_memory(key, layout.size, mode) as (place, control, memory):
            fd = os.open(place.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            opening = created(fd, place.path, layout, lent=_lent(memory))
            _xsi.say(control, _xsi.whole(memory))
        return cls._of(opening, place.key)

    @classmethod
    def open(cls, where: int | XSIKey, *, allow_other_owner: bool = False) -> Self:
        """Opens an existing segment by its key, or a private one by `segment.key`.

        Raises NotFoundError; PermissionDeniedError, also when it belongs to another user and
        `allow_other_owner` is not set; IncompatibleSegmentError, also when its control file was deleted while
        it is in use; CorruptSegmentError, TooManyParticipantsError.
        """
        place = XSIPlace(XSIKey.of(where), allow_other_owner)
        XSIMemory.find(place.key).let_go()  # or a control file would be made for nothing
        while True:
            with place.turn() as control:
                memory = place.found(control)
                fd = os.open(place.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                opening = attached(fd, place.path, _lent(memory))
            if opening is not None:
                return cls._of(opening, place.key)

    @classmethod
    def _of(cls, opening: _core.Opening, key: XSIKey) -> Self:
        self = cls._handle(opening, str(key))
        self._key = key
        return self

    @property
    def key(self) -> XSIKey:
        """What opens it: in any process of this machine."""
        return self._key

    @classmethod
    def _place(cls, where: int | XSIKey) -> Place:
        cls._cannot("draft")

    @classmethod
    def remove(cls, where: int | XSIKey, *, allow_other_owner: bool = False) -> bool:
        """Takes the key away; False when there was nothing. Who has the segment open keeps it.

        Raises IncompatibleSegmentError when the key is another program's.
        """
        return XSIPlace(XSIKey.of(where), allow_other_owner).remove()

    @classmethod
    def exists(cls, where: int | XSIKey) -> bool:
        """Whether something has the key, a segment or not."""
        return XSIPlace(XSIKey.of(where)).exists()

    @classmethod
    def open_read_only(cls, *where: Any, **options: Any) -> Any:
        """io.UnsupportedOperation: readers need a descriptor."""
        cls._cannot("open_read_only")

    @classmethod
    def shrink_to_fit(cls, *where: Any, **options: Any) -> int:
        """io.UnsupportedOperation: its size is fixed."""
        cls._cannot("shrink_to_fit")

    @classmethod
    def _grow_by_name(cls, where: Any, extra: int, *, allow_other_owner: bool = False) -> int:
        cls._cannot("grow")

    def _grow(self, extra: int) -> int:
        raise io.UnsupportedOperation(f"{self!r} cannot grow: System V memory is as large as it was made")

    def __reduce__(self) -> Any:
        if self._is_copy:
            return super().__reduce__()
        return reopened, (type(self), self._key, self._attachment.uuid)


def _lent(memory: XSIMemory) -> LentMemory:
    return LentMemory(memory.buffer, _core.PAGES_SHARED, memory.let_go)


@contextmanager
def _new_memory(key: XSIKey, size: int, mode: int) -> Iterator[tuple[XSIPlace, int, XSIMemory]]:
    """Zeros under the key, and its control file, with the turn; nothing of it is left by an exception."""
    private = XSIMemory.make(key, size, mode) if key.value == 0 else None
    place = XSIPlace(key if private is None else XSIKey(0, private.id))
    cleared = False
    while not cleared:
        with place.turn(mode) as control:
            cleared = private is not None or place.clear(control)
            if cleared:
                os.fchmod(control, mode)
                _xsi.say(control, _xsi.making(os.getpid()))
                memory = private
                try:
                    if memory is None:
                        memory = XSIMemory.make(key, size, mode)
                    yield place, control, memory
                except BaseException:
                    os.unlink(place.path)
                    if memory is not None:
                        memory.remove()
                        memory.let_go()
                    raise
