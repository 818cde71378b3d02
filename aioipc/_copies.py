"""Copies of segments in use, as of one moment."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._files import FilePlace
from ._native import _core
from ._native._core import Attachment, Opening
from .errors import CorruptSegmentError, SegmentFullError

__all__ = ["copy_to_file", "copy_to_memory"]

_ATTEMPTS = 8
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def _room_needed() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise SegmentFullError(f"copying a segment: no room for it: {error}") from error


@_room_needed()
def copy_to_file(attachment: Attachment, place: FilePlace, mode: int) -> None:
    """Makes the file there a segment of its own: whole, checked and on the disk, or not there at all."""
    if place.exists():
        raise place.already_exists()
    with place.draft(attachment.size, mode) as draft:
        try:
            _sound_copy(draft.fd, lambda: _through_memory(attachment, draft.fd))
            os.fsync(draft.fd)
            draft.publish()
        finally:
            os.close(draft.fd)


@_room_needed()
def copy_to_memory(attachment: Attachment, name: str) -> int:
    """A descriptor of a memfd that is a segment of its own."""
    fd = _empty_memory(attachment, name)
    try:
        _sound_copy(fd, lambda: _core.copy_segment(attachment, fd))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # who gets it cannot cut it off under others
    except BaseException:
        os.close(fd)
        raise
    return fd


def _sound_copy(fd: int, copy: Callable[[], None]) -> None:
    """Copies, and makes the copy behind fd a segment of its own.

    The words of locks and permits change while the rest stands still. Should a copy have caught one in a
    state that no moment had, the check that adopting does finds it, and another copy is made.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            copy()
            _adopt(fd)
        except CorruptSegmentError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def _through_memory(attachment: Attachment, fd: int) -> None:
    """Nobody shall have to wait for a disk."""
    memory = _empty_memory(attachment, "aioipc-copy")
    try:
        _core.copy_segment(attachment, memory)
        for offset, end in _parts(memory):
            os.lseek(fd, offset, os.SEEK_SET)
            while offset < end:
                offset += os.sendfile(fd, memory, offset, end - offset)
    finally:
        os.close(memory)


def _parts(fd: int) -> Iterator[tuple[int, int]]:
    """Where a file has bytes: a trimmed segment has none in between."""
    size, end = os.fstat(fd).st_size, 0
    while end < size:
        offset = os.lseek(fd, end, os.SEEK_DATA)
        end = os.lseek(fd, offset, os.SEEK_HOLE)
        yield offset, end


def _empty_memory(attachment: Attachment, name: str) -> int:
    """A memfd that has its pages already, unless the segment has not all of its own."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.fchmod(fd, 0o600)
        if not _core.trimmed(attachment):
            os.posix_fallocate(fd, 0, attachment.size)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _adopt(fd: int) -> None:
    attachment = _core.open_attachment(os.dup(fd), "", None, True)
    assert attachment is not None  # nobody else knows it
    opening = Opening(attachment)
    opening.begin_close(True)
    opening.finish_close()
