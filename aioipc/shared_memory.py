"""Segments in named POSIX shared memory."""

import os
import threading
from collections.abc import Iterator
from typing import Any, Literal, Self
from weakref import WeakValueDictionary

from . import _names
from ._native._core import LAST_DETACH, MAX_PARTICIPANTS, Attachment, Opening, minimum_size
from .errors import NotFoundError
from .segment import ManagedSegment, checked_size

__all__ = ["Lifetime", "ManagedSharedMemory"]

Lifetime = Literal["persistent", "last_detach"]
_PAGE = 4096

# One attachment for each segment of this process, however often it is opened.
_attachments: WeakValueDictionary[tuple[int, int], Attachment] = WeakValueDictionary()
_attaching = threading.RLock()


def _after_fork() -> None:
    global _attaching
    _attaching = threading.RLock()  # its holder may be a thread that the child does not have


os.register_at_fork(after_in_child=_after_fork)


class ManagedSharedMemory(ManagedSegment):
    """A segment in named POSIX shared memory: /dev/shm/<name>.

    Example::

        with ManagedSharedMemory.create("shop", 1 << 20) as segment:      # in one process
            block = segment.allocate(100)

        with ManagedSharedMemory.open("shop") as segment:                 # in others
            orders = Lock(segment, "orders")
    """

    @classmethod
    def create(
        cls,
        name: str,
        size: int,
        *,
        max_size: int | None = None,
        mode: int = 0o600,
        algorithm: str = "best_fit",
        lifetime: Lifetime = "persistent",
        participants: int = 64,
    ) -> Self:
        """Creates a segment of `size` bytes (rounded up to whole pages) and opens it.

        `max_size` bytes of address space are reserved for growing. `mode` is applied exactly, whatever the
        umask. `participants` processes can have it open at once. `lifetime="last_detach"` removes it when the
        last of them closes it.

        Raises AlreadyExistsError; SegmentFullError when /dev/shm has no room; ValueError.
        """
        path = _names.path_of(name)
        options = _checked_options(size, max_size, mode, algorithm, lifetime, participants)
        if _names.exists(name):
            raise _names.already_exists(name)
        with _names.Draft(name, options[0], mode) as draft, _attaching:
            attachment = Attachment.create(draft.fd, path, *options)
            opening = Opening(attachment)
            try:
                draft.publish()
            except BaseException:
                opening.begin_close(True)
                opening.finish_close()
                raise
            _attachments[attachment.inode] = attachment
        return cls._handle(opening, name)

    @classmethod
    def open(cls, name: str, *, allow_other_owner: bool = False) -> Self:
        """Opens an existing segment.

        Raises NotFoundError; PermissionDeniedError, also when it belongs to another user and
        `allow_other_owner` is not set (for root too); IncompatibleSegmentError, CorruptSegmentError,
        TooManyParticipantsError.
        """
        path = _names.path_of(name)
        while True:
            fd = _names.open_fd(name, allow_other_owner)
            with _attaching:
                attachment = _attached(fd, path)
                if attachment is not None:  # None: it was just going away; the name may be another's by now
                    return cls._handle(Opening(attachment), name)

    @classmethod
    def open_or_create(cls, name: str, size: int, *, allow_other_owner: bool = False, **options: Any) -> Self:
        """Opens the segment, or creates it with `size` and the options of `create`.

        The size and options of a segment that exists are not compared.
        """
        while True:
            try:
                return cls.open(name, allow_other_owner=allow_other_owner)
            except NotFoundError:
                pass
            try:
                return cls.create(name, size, **options)
            except FileExistsError:
                pass

    @classmethod
    def remove(cls, name: str, *, allow_other_owner: bool = False) -> bool:
        """Takes the name away; False when there was none. Who has the segment open keeps it."""
        return _names.remove(name, allow_other_owner)

    @classmethod
    def exists(cls, name: str) -> bool:
        """Whether a segment has this name. Finishes off a last_detach segment whose last user was killed."""
        return _names.exists(name)

    @classmethod
    def all(cls) -> Iterator[_names.SegmentInfo]:
        """Every named segment that this user can read and whose header is sound."""
        return _names.listing()

    def __reduce__(self) -> Any:
        return _reopen, (type(self), self._name, self._attachment.uuid)


def _attached(fd: int, path: str) -> Attachment | None:
    """This process's attachment to the object behind fd, which is taken over; None when it is going away."""
    status = os.fstat(fd)
    key = (status.st_dev, status.st_ino)
    attachment = _attachments.get(key)
    if attachment is not None and not attachment.closed:
        os.close(fd)
        return attachment
    attachment = Attachment.open(fd, path)
    if attachment is not None:
        _attachments[key] = attachment
    return attachment


def _reopen(cls: type[ManagedSharedMemory], name: str, identity: bytes) -> ManagedSharedMemory:
    segment = cls.open(name)
    segment._quiet = True  # nobody wrote an open() that a close() could belong to
    if segment._attachment.uuid != identity:
        segment.close()
        raise NotFoundError(f"segment {name!r} is not the one that was pickled: that one is gone")
    return segment


def _checked_options(
    size: int, max_size: int | None, mode: int, algorithm: str, lifetime: str, participants: int
) -> tuple[int, int, int, int, int]:
    """(size, max_size, participants, flags, mode) for the core; ValueError for what it would refuse."""
    if algorithm != "best_fit":
        raise ValueError(f"algorithm must be 'best_fit', not {algorithm!r}")
    if lifetime not in ("persistent", "last_detach"):
        raise ValueError(f"lifetime must be 'persistent' or 'last_detach', not {lifetime!r}")
    if not 1 <= participants <= MAX_PARTICIPANTS:
        raise ValueError(f"participants must be between 1 and {MAX_PARTICIPANTS}, not {participants}")
    if mode & ~0o777:
        raise ValueError(f"mode must be permission bits, at most 0o777, not {mode:#o}")
    size = -(-checked_size(size) // _PAGE) * _PAGE
    least = minimum_size(size, participants)
    if size < least:
        raise ValueError(
            f"a segment for {participants} participants needs more than {least} bytes, not {size}; "
            "make it larger, or lower participants="
        )
    largest = size if max_size is None else -(-checked_size(max_size) // _PAGE) * _PAGE
    if not size <= largest < 1 << 47:
        raise ValueError(f"max_size must be between size ({size}) and 128 TiB, not {largest}")
    return size, largest, participants, LAST_DETACH if lifetime == "last_detach" else 0, mode
