"""What segments that have a name have in common: making, opening, removing, pickling by it."""

from abc import abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from . import _copies
from ._attachments import Algorithm, Index, Lifetime, attached, checked_layout, created
from ._native import _core
from ._segment_memory import whole_pages
from .errors import NotFoundError, SegmentInUseError
from .read_only import ReadOnlySegment
from .segment import ManagedSegment

__all__ = ["NamedSegment", "Place", "reopened"]


class Draft(Protocol):
    """An object being built, that nobody knows yet; leaving the context forgets its temporary name."""

    fd: int

    def publish(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Place(Protocol):
    """Where a segment is, or will be."""

    @property
    def path(self) -> str: ...
    @property
    def name(self) -> str: ...
    def open_fd(self, allow_other_owner: bool, read_only: bool = False) -> int: ...
    def draft(self, size: int, mode: int) -> Draft: ...
    def exists(self) -> bool: ...
    def remove(self, allow_other_owner: bool) -> bool: ...
    def already_exists(self) -> Exception: ...


class NamedSegment(ManagedSegment):
    """A segment that other processes open by its name."""

    _is_copy = False  # and so has no name

    @classmethod
    @abstractmethod
    def _place(cls, where: Any) -> Place:
        """Where that name is."""

    @classmethod
    def create(
        cls,
        where: Any,
        size: int,
        *,
        max_size: int | None = None,
        mode: int = 0o600,
        algorithm: Algorithm = "best_fit",
        lifetime: Lifetime = "persistent",
        index: Index = "hash",
        participants: int = 64,
    ) -> Self:
        """Creates a segment of `size` bytes (rounded up to whole pages) and opens it.

        `max_size` bytes of address space are reserved for growing. `mode` is applied exactly, whatever the
        umask. `participants` processes can have it open at once. `lifetime="last_detach"` removes it when the
        last of them closes it. `algorithm` says how free memory is found: "best_fit", "tlsf" or "seq_fit"
        (docs/memory.md compares them); it is the segment's for life. `index="ordered"`
        keeps names sorted as well, for ranges of many names (docs/names.md).

        Raises AlreadyExistsError; SegmentFullError when the filesystem has no room; ValueError.
        """
        place = cls._place(where)
        layout = checked_layout(
            size,
            max_size=max_size,
            mode=mode,
            algorithm=algorithm,
            lifetime=lifetime,
            index=index,
            participants=participants,
        )
        if place.exists():
            raise place.already_exists()
        with place.draft(layout.size, mode) as draft:
            return cls._handle(created(draft.fd, place.path, layout, draft.publish), place.name)

    @classmethod
    def open(cls, where: Any, *, allow_other_owner: bool = False) -> Self:
        """Opens an existing segment.

        A copy of a segment's bytes is checked whole and becomes a segment of its own, with another uuid; who
        used the original is no part of it. One that was copied in the middle of a change is refused.

        Raises NotFoundError; PermissionDeniedError, also when it belongs to another user and
        `allow_other_owner` is not set (for root too); IncompatibleSegmentError, CorruptSegmentError,
        TooManyParticipantsError.
        """
        place = cls._place(where)
        while True:
            opening = attached(place.open_fd(allow_other_owner), place.path)
            if opening is not None:  # None: it was just going away; the name may be another's by now
                return cls._handle(opening, place.name)

    @classmethod
    def open_or_create(
        cls, where: Any, size: int, *, allow_other_owner: bool = False, **options: Any
    ) -> Self:
        """Opens the segment, or creates it with `size` and the options of `create`.

        The size and options of a segment that exists are not compared.
        """
        while True:
            try:
                return cls.open(where, allow_other_owner=allow_other_owner)
            except NotFoundError:
                pass
            try:
                return cls.create(where, size, **options)
            except FileExistsError:
                pass

    @classmethod
    def open_read_only(cls, where: Any, *, allow_other_owner: bool = False) -> ReadOnlySegment:
        """Opens the segment for reading: leave to read it is enough, and nobody notices.

        Raises what `open` raises, and IncompatibleSegmentError for a copy that was not yet opened for
        writing.
        """
        place = cls._place(where)
        return ReadOnlySegment(place.open_fd(allow_other_owner, True), place.path, place.name)

    @classmethod
    def open_copy_on_write(cls, where: Any, *, allow_other_owner: bool = False) -> Self:
        """Opens a copy of the segment as of one moment: what is changed in it, the original does not see.

        The copy is in memory of this process and its children, has a uuid of its own, and goes when it is
        closed; `snapshot` saves it. Making it needs leave to write the original, whose users' changes wait
        meanwhile.

        Raises what `open` and `snapshot` raise.
        """
        with cls.open(where, allow_other_owner=allow_other_owner) as original:
            fd = _copies.copy_to_memory(original._attachment, "aioipc-copy")
            opening = attached(fd, "")
            assert opening is not None  # nobody else knows it
            copy = cls._handle(opening, original.name)
        copy._is_copy = True
        return copy

    @classmethod
    def _grow_by_name(cls, where: Any, extra: int, *, allow_other_owner: bool = False) -> int:
        pages = whole_pages(extra)
        with cls.open(where, allow_other_owner=allow_other_owner) as segment:
            wanted = segment.size + pages
            if wanted <= segment.max_size:
                return segment.grow(pages)
            what = f"growing it beyond its max_size of {segment.max_size} bytes"
            _alone(segment, what, _core.raise_max, wanted)
        with cls.open(where, allow_other_owner=allow_other_owner) as segment:
            return segment.grow(pages)

    @classmethod
    def shrink_to_fit(cls, where: Any, *, allow_other_owner: bool = False) -> int:
        """Cuts off what is free at the segment's end, but for the reserve, in whole pages; its new size.

        What is allocated stays where it is, `max_size` what it was: the segment can grow again. Nobody may
        have it open, not even for reading. A killed caller leaves a sound segment, of the old size or the
        new.

        Raises SegmentInUseError, and what `open` raises; creates nothing.
        """
        with cls.open(where, allow_other_owner=allow_other_owner) as segment:
            _alone(segment, "shrinking it", _core.shrink_to_fit)
            return segment.size

    @classmethod
    def remove(cls, where: Any, *, allow_other_owner: bool = False) -> bool:
        """Takes the name away; False when there was none. Who has the segment open keeps it."""
        return cls._place(where).remove(allow_other_owner)

    @classmethod
    def exists(cls, where: Any) -> bool:
        """Whether the name is taken. Finishes off a last_detach segment whose last user was killed."""
        return cls._place(where).exists()

    def __reduce__(self) -> Any:
        if self._is_copy:
            raise TypeError(f"{self!r} cannot be pickled: it is a copy that has no name; snapshot() it first")
        return reopened, (type(self), self._name, self._attachment.uuid)


def _alone(segment: NamedSegment, what: str, act: Callable[..., bool], *arguments: Any) -> None:
    """Does what needs the segment alone; SegmentInUseError, also when it is open a second time here."""
    if segment._attachment.shared or not act(segment._attachment, *arguments):
        pids = ", ".join(str(p.pid) for p in segment.participants())
        raise SegmentInUseError(
            f"{segment.name!r} is in use: {what} needs that nobody else has it open, not even for reading "
            f"(open in pids {pids})"
        )


def reopened(cls: type[NamedSegment], name: Any, identity: bytes) -> NamedSegment:
    """What unpickling calls: the segment there, when it is still the one that was pickled."""
    segment = cls.open(name)
    segment._quiet = True  # nobody wrote an open() that a close() could belong to
    if segment._attachment.uuid != identity:
        segment.close()
        raise NotFoundError(f"segment {name!r} is not the one that was pickled: that one is gone")
    return segment
