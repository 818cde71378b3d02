"""Segments: memory that several processes share, with an allocator and a catalog of objects in it."""

import io
import os
import uuid
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self

from . import _copies
from ._attachments import ALGORITHMS, Algorithm, checked_mode
from ._files import FilePlace
from ._native import _core
from ._places import places
from ._segment_memory import SegmentMemory
from ._segment_objects import SegmentObjects
from ._segment_room import SegmentRoom
from .holders import Holder, held
from .report import Finding, Report

__all__ = ["ManagedSegment", "Participant"]


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


class ManagedSegment(SegmentMemory, SegmentRoom, SegmentObjects):
    """What all kinds of segments have in common; how one is made or opened depends on the kind.

    Close a segment with `close()` or `with`: what was made through it, blocks and objects, then raises
    ClosedError, also from pending awaits.  Several handles on one segment may be open in a process.
    """

    _why_not: ClassVar[str]  # this kind lacks some of the ways to get at a segment

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
    def _grow_by_name(cls, where: Any, extra: int, *, allow_other_owner: bool = False) -> int:
        cls._cannot("grow")

    @classmethod
    def shrink_to_fit(cls, *where: Any, **options: Any) -> int:
        """Gives up what is free at its end; io.UnsupportedOperation likewise."""
        cls._cannot("shrink_to_fit")

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
    def algorithm(self) -> Algorithm:
        """How it finds free memory: "best_fit", "tlsf" or "seq_fit", as it was created."""
        number = self._attachment.algorithm
        return next(name for name in ALGORITHMS if ALGORITHMS[name] == number)

    def participants(self) -> list[Participant]:
        """The processes that have the segment open."""
        return [
            Participant(*record[:8], attached_at=record[8] / 1e9)
            for record in _core.participants_of(self._attachment)
        ]

    def holders(self) -> list[Holder]:
        """Who holds what, by process and task: locks, tokens, leases, handles; and who waits for what.

        Takes no lock and waits for nobody, so it also tells of a process that is stopped in the middle of a
        change, and of the dead. Each record is true by itself at some moment of the call; linear in objects
        and handles.
        """
        return held(self._attachment.holders())

    def check_sanity(self) -> Report:
        """Walks everything and reports every contradiction; `bool(report)` is True when it is sound.

        Recovers what killed processes left first.  Others that allocate, construct or wait meanwhile are held
        up for the walk, which is linear in blocks, names and waiters.
        """
        attachment = self._attachment
        findings, total, counts = attachment.check_sanity()
        said = places(attachment, [offset for _, offset, _, _ in findings])
        shown = (Finding(*finding, place=place) for finding, place in zip(findings, said, strict=True))
        return Report(tuple(shown), total, counts)

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
