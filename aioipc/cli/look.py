"""A look at one segment, as `ls` and `info` show it."""

import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aioipc import CorruptSegmentError, IPCError, ManagedSegment, Participant, SegmentInfo

from .where import Where

__all__ = ["Look", "look", "looks"]


@dataclass(frozen=True)
class Look:
    """What the header says, and, unless attaching failed, what only an attached process knows."""

    name: str
    info: SegmentInfo | None = None  # None: the header contradicts itself, or cannot be read
    free: int | None = None
    largest: int | None = None
    algorithm: str | None = None
    others: tuple[Participant, ...] = ()  # all participants but this process
    trouble: str | None = None  # why attaching failed
    damaged: bool = False

    @property
    def used(self) -> int | None:
        """Bytes that are not free, the segment's own records included."""
        return None if self.free is None or self.info is None else self.info.size - self.free

    @property
    def alive(self) -> int | None:
        """Attached processes."""
        return None if self.free is None else sum(other.alive for other in self.others)

    @property
    def dead(self) -> int | None:
        """Killed processes that nobody has cleaned up after."""
        return None if self.free is None else sum(not other.alive for other in self.others)

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        if self.info is None:
            return {"name": self.name, "damaged": self.damaged, "trouble": self.trouble}
        info = self.info
        return {
            "name": info.name,
            "uuid": str(info.uuid),
            "size": info.size,
            "max_size": info.max_size,
            "used": self.used,
            "free": self.free,
            "largest": self.largest,
            "in_use": info.alive,
            "alive": self.alive,
            "dead": self.dead,
            "slots": info.participants,
            "created_at": info.created_at,
            "creator_pid": info.creator_pid,
            "owner": owner(info),
            "mode": f"{info.mode:04o}",
            "lifetime": lifetime(info),
            "algorithm": self.algorithm,
            "damaged": self.damaged,
            "trouble": self.trouble,
        }


def owner(info: SegmentInfo) -> str:
    """The user's name, or number where it has no name."""
    try:
        return pwd.getpwuid(info.uid).pw_name
    except KeyError:
        return str(info.uid)


def lifetime(info: SegmentInfo) -> str:
    """As `create` takes it."""
    return "last_detach" if info.last_detach else "persistent"


def looks(places: Iterable[Where]) -> Iterator[Look]:
    """One for each; attaches for a moment."""
    for where in places:
        info = None
        try:
            info = where.info()
            with where.open(False) as segment:
                yield look(info, segment)
        except IPCError as error:
            damaged = isinstance(error, CorruptSegmentError)
            yield Look(where.name, info, trouble=str(error), damaged=damaged)


def look(info: SegmentInfo, segment: ManagedSegment) -> Look:
    """The segment of which the header said `info`."""
    if segment.uuid != info.uuid:
        return Look(info.name, info, trouble="another segment has just taken this name")
    others = tuple(found for found in segment.participants() if not found.is_self)
    return Look(info.name, info, segment.free_memory, segment.largest_free_block, segment.algorithm, others)
