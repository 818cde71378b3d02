"""Segments that only this process has: for its own threads and tasks, and for bytes at rest."""

import io
import mmap
import os
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from . import _attachments
from ._attachments import Algorithm, Index, Layout, checked_layout
from ._native import _core
from ._native._core import Attachment, Opening
from .segment import ManagedSegment

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ManagedExternalBuffer", "ManagedHeapMemory"]

_MAP_NORESERVE = 0x4000  # mmap names it from Python 3.13 on

# By where the memory begins.
_lent: WeakValueDictionary[int, Attachment] = WeakValueDictionary()


class _PrivateSegment(ManagedSegment):
    """In memory of this process: locks and queues work between its tasks and threads, as in every segment.

    A forked child has no part in it: what it does with its handles raises ClosedError.
    """

    _why_not = "it is this process's alone"

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled: its memory is this process's alone")


class ManagedHeapMemory(_PrivateSegment):
    """A segment in private memory of this process, gone when it is closed.

    Example::

        with ManagedHeapMemory.create(1 << 20) as segment:
            jobs = Queue(segment, "jobs")      # between threads and event loops of this process
    """

    @classmethod
    def create(
        cls,
        size: int,
        *,
        max_size: int | None = None,
        algorithm: Algorithm = "best_fit",
        index: Index = "hash",
    ) -> Self:
        """Creates a segment of `size` bytes (rounded up to whole pages).

        `max_size` bytes of address space are reserved for growing. Raises ValueError, and OSError when the
        process may not have so much memory.
        """
        layout = checked_layout(size, max_size=max_size, algorithm=algorithm, index=index, participants=1)
        memory = mmap.mmap(-1, layout.max_size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
        return cls._handle(_made_in(memory, layout, _core.PAGES_PRIVATE), "heap")


class ManagedExternalBuffer(_PrivateSegment):
    """A segment in a writable buffer of the caller's, which it keeps exported until it is closed.

    The buffer begins at a multiple of 16; alignments in it are relative to its beginning. The bytes of any
    segment are a segment: read from a file, received, or copied from another buffer. As with every copy,
    `open` checks them whole, and gives them a uuid of their own. No other process may use the buffer's
    memory meanwhile.

    Example::

        buffer = bytearray(1 << 20)
        with ManagedExternalBuffer.create(buffer) as segment:
            SharedDict(segment, "prices")["tea"] = 3

        with ManagedExternalBuffer.open(bytearray(buffer)) as copied:
            SharedDict(copied, "prices")["tea"]                           # 3
    """

    @classmethod
    def create(
        cls,
        buffer: "Buffer",
        *,
        algorithm: Algorithm = "best_fit",
        index: Index = "hash",
        participants: int = 1,
    ) -> Self:
        """Makes the buffer a segment, whatever is in it now; its last bytes are left over when its size is no
        multiple of 16.

        `participants` matters to copies of it that become segments of another kind. Raises ValueError when
        the buffer is too small or begins at an odd place, BufferError when it is read-only or a segment
        already.
        """
        with _attachments.lock:
            _, size = _free_buffer(buffer)
            layout = checked_layout(
                size, algorithm=algorithm, index=index, participants=participants, granularity=16
            )
            _core.clear(buffer)
            return cls._handle(_made_in(buffer, layout), "buffer")

    def _grow(self, extra: int) -> int:
        raise io.UnsupportedOperation(
            f"{self!r} is as large as its buffer, and cannot grow; copy what is in it to another segment"
        )

    def trim(self) -> int:
        """io.UnsupportedOperation: its memory is the caller's."""
        raise io.UnsupportedOperation(f"{self!r} has no memory of its own to give back to the system")

    @classmethod
    def open(cls, buffer: "Buffer") -> Self:
        """Opens the segment whose bytes are in the buffer; the same buffer opened again is the same segment.

        Raises IncompatibleSegmentError when there is none, CorruptSegmentError when the copy is not sound,
        ValueError, BufferError.
        """
        with _attachments.lock:
            address, _ = _core.lent_memory(buffer)
            attachment = _lent.get(address)
            if attachment is None or attachment.closed:
                _free_buffer(buffer)
                attachment = _core.open_attachment(_control_file(), "", buffer, True)
                assert attachment is not None  # nobody else could remove it
                _lent[address] = attachment
            return cls._handle(Opening(attachment), "buffer")


def _made_in(memory: "Buffer", layout: Layout, pages: int = _core.PAGES_KEPT) -> Opening:
    address, _ = _core.lent_memory(memory)
    attachment = _core.create_attachment(_control_file(), "", *layout, memory, True, pages)
    _lent[address] = attachment
    return Opening(attachment)


def _control_file() -> int:
    """What the locks are on that say who is alive."""
    return os.memfd_create("aioipc-private", os.MFD_CLOEXEC)


def _free_buffer(buffer: "Buffer") -> tuple[int, int]:
    """(address, size) of a buffer that no segment lies in; BufferError."""
    address, size = _core.lent_memory(buffer)
    for begin, attachment in _lent.items():
        if not attachment.closed and begin < address + size and address < begin + attachment.max_size:
            raise BufferError("a segment that is open lies in this buffer; close it first")
    return address, size
