"""Segments: memory that several processes share, with an allocator and a catalog of objects in it."""

import io
import os
import sys
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self, TypeVar

from . import _copies, _waiting
from ._attachments import checked_mode, checked_size
from ._files import FilePlace
from ._native._core import Attachment, Block, Opening
from .errors import ClosedError
from .objects import Kind, New, ObjectName, SharedObject, encode_name, kind_of, name_of
from .report import Finding, Report

__all__ = ["ManagedSegment", "Participant"]

T = TypeVar("T", bound=SharedObject)


@dataclass(frozen=True, slots=True)
class Participant:
    """One process that has the segment open."""

    pid: int
    """In the process's own pid namespace."""
    alive: bool
    """False: it was killed and nobody has cleaned up after it yet."""
    is_self: bool
    slot: int
    generation: int
    """Slot and generation together never repeat in a segment."""
    uid: int
    pid_namespace: int
    start_time: int
    """Clock ticks from boot to the start of the process."""
    attached_at: float
    """Seconds since the epoch."""


class ManagedSegment:
    """What all kinds of segments have in common; how one is made or opened depends on the kind.

    Close a segment with `close()` or `with`: what was made through it, blocks and objects, then raises
    ClosedError, also from pending awaits.  Several handles on one segment may be open in a process.
    """

    _opening: Opening
    _name: str
    _quiet = False  # whether it may be dropped without close()
    _why_not: ClassVar[str]  # this kind lacks some of the ways to get at a segment
    _pid: int
    _made_at: str

    def __init__(self) -> None:
        raise TypeError(f"make one with {type(self).__name__}.create(), open() or open_or_create()")

    @classmethod
    def _handle(cls, opening: Opening, name: str) -> Self:
        self = cls.__new__(cls)
        self._opening = opening
        self._name = name
        self._pid = os.getpid()
        self._made_at = _caller()
        return self

    # --- what not every kind can do

    @classmethod
    def open(cls, *where: Any, **options: Any) -> Self:
        """Opens an existing segment; io.UnsupportedOperation from a kind that has no name to find it by."""
        cls._cannot("open")

    @classmethod
    def open_or_create(cls, *where: Any, **options: Any) -> Self:
        """Opens it, or creates it; io.UnsupportedOperation likewise."""
        cls._cannot("open_or_create")

    @classmethod
    def open_read_only(cls, *where: Any, **options: Any) -> Any:
        """Opens it for reading; io.UnsupportedOperation likewise."""
        cls._cannot("open_read_only")

    @classmethod
    def open_copy_on_write(cls, *where: Any, **options: Any) -> Self:
        """Opens a private copy of it; io.UnsupportedOperation likewise."""
        cls._cannot("open_copy_on_write")

    @classmethod
    def remove(cls, *where: Any, **options: Any) -> bool:
        """Takes the name away; io.UnsupportedOperation likewise."""
        cls._cannot("remove")

    @classmethod
    def exists(cls, *where: Any) -> bool:
        """Whether the name is taken; io.UnsupportedOperation likewise."""
        cls._cannot("exists")

    @classmethod
    def _cannot(cls, what: str) -> NoReturn:
        raise io.UnsupportedOperation(f"{cls.__name__} has no {what}(): {cls._why_not}")

    # --- what it is

    @property
    def name(self) -> str:
        """What it was opened by: a name or an absolute path; of segments without one, what to call them."""
        return self._name

    @property
    def uuid(self) -> uuid.UUID:
        """Identifies this very segment, and no later one of the same name."""
        return uuid.UUID(bytes=self._attachment.uuid)

    @property
    def size(self) -> int:
        """Bytes of the whole segment, its own records included."""
        return self._attachment.size

    @property
    def max_size(self) -> int:
        """Bytes it may grow to."""
        return self._attachment.max_size

    @property
    def free_memory(self) -> int:
        """Bytes that are free, in all free blocks together, without the reserve.

        The last 4 KiB and 64 bytes for each participant (a 32nd of a small segment) are left to handles and
        leases, so that a full segment can be emptied.
        """
        return self._attachment.heap_stats()[1]

    @property
    def largest_free_block(self) -> int:
        """Bytes of the largest allocation that would succeed now."""
        return self._attachment.heap_stats()[2]

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        return self._opening.closed

    def participants(self) -> list[Participant]:
        """The processes that have the segment open."""
        return [
            Participant(*record[:8], attached_at=record[8] / 1e9)
            for record in self._attachment.participants()
        ]

    def check_sanity(self) -> Report:
        """Walks everything and reports every contradiction; `bool(report)` is True when it is sound.

        Recovers what killed processes left first.  Others that allocate, construct or wait meanwhile are held
        up for the walk, which is linear in blocks, names and waiters.
        """
        findings, total, counts = self._attachment.check_sanity()
        return Report(tuple(Finding(*finding) for finding in findings), total, counts)

    def flush(self) -> None:
        """Returns when everything written so far is where it outlives the machine's power.

        Only a file has such a place; for other kinds of segments there is nothing to do.
        """
        self._opening_checked()

    def snapshot(self, path: "str | os.PathLike[str]", *, mode: int = 0o600) -> None:
        """Saves the segment as of one moment into a new file, which is then a segment of its own.

        Everybody else's changes wait while the bytes are copied, lookups and the contents of blocks do not;
        see docs/kinds.md for how long. Who is attached, waits or leases here is no part of the copy, and
        locks that are held are abandoned in it. The file is on the disk when this returns, and appears at
        once: a killed caller leaves nothing. Blocks the thread with the GIL released: under an event loop
        use `asyncio.to_thread`.

        Raises AlreadyExistsError, SegmentFullError, CorruptSegmentError when the segment itself is damaged,
        PeerStalledError when a stopped process is in the middle of a change.
        """
        _copies.copy_to_file(self._attachment, FilePlace.of(path), checked_mode(mode))

    # --- memory

    def allocate(self, n: int, *, alignment: int | None = None) -> Block:
        """Allocates `n` bytes of zeros, at an address that is a multiple of `alignment` (a power of two; 16).

        The block lives until `deallocate`, also after this process has gone.  Raises SegmentFullError.
        """
        block = self._allocate(n, alignment, True)
        assert block is not None
        return block

    def try_allocate(self, n: int, *, alignment: int | None = None) -> Block | None:
        """`allocate`, but None when no free block is large enough."""
        return self._allocate(n, alignment, False)

    def deallocate(self, block: Block) -> None:
        """Frees a block for all processes; the Block then raises ClosedError.

        Raises BufferError while memoryviews of it are in use here, NotFoundError when it was freed before.
        """
        self._opening.deallocate(block)

    def block(self, handle: int, size: int | None = None) -> Block:
        """The block that has this handle, in whichever process it was allocated.

        `size` is the number of bytes to show; by default all that the block has, which may be a few more
        than were asked for.  Raises NotFoundError when there is no such block.
        """
        return self._opening.block(self, handle, size)

    # --- objects

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
        return None if pin is None else type._of(self, type._fitting(pin, name))

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

    # --- the end

    def close(self, *, when_released: bool = False) -> None:
        """Closes this handle; again does nothing.

        Tasks and threads that wait through it get ClosedError; locks that the process still holds count as
        abandoned once its last handle is closed.  Raises BufferError, and closes nothing, while memoryviews
        of its blocks are in use; `when_released=True` closes for everything new and unmaps with the last one.
        """
        opening = self._opening
        if not opening.closed:
            opening.begin_close(when_released)
            _waiting.close(opening)
        opening.finish_close()

    def __enter__(self) -> Self:
        self._opening_checked()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        opening = getattr(self, "_opening", None)
        if opening is not None and not opening.closed:
            if not self._quiet and self._pid == os.getpid():
                message = f"unclosed {self!r}, opened at {self._made_at}"
                warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
            self.close(when_released=True)

    def __repr__(self) -> str:
        return f"<aioipc.{type(self).__name__} {self._name!r}{' closed' if self._opening.closed else ''}>"

    # --- for the other modules

    def _allocate(self, n: int, alignment: int | None, must: bool) -> Block | None:
        at = 16 if alignment is None else checked_size(alignment)
        return self._opening.allocate(self, checked_size(n), at, must)

    @property
    def _attachment(self) -> Attachment:
        return self._opening_checked().attachment

    def _opening_checked(self) -> Opening:
        if self._opening.closed:
            raise ClosedError(f"{self!r}")
        return self._opening


def _caller() -> str:
    """Where the first frame outside this package is."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
