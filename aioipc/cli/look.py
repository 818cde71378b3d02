"""A look at one segment, as `ls` and `info` show it."""

import pwd
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from aioipc import CorruptSegmentError, IPCError, ManagedSharedMemory, Participant, SegmentInfo, _names

__all__ = ["Look", "any_owner_option", "look", "looks", "opened", "usable"]

_F = TypeVar("_F", bound=Callable[..., Any])


def any_owner_option(command: _F) -> _F:
    """Adds `--any-owner`."""
    help_text = "Also a segment that belongs to another user."
    return click.option("--any-owner", is_flag=True, help=help_text)(command)


@dataclass(frozen=True)
class Look:
    """What the header says, and, unless attaching failed, what only an attached process knows."""

    info: SegmentInfo
    free: int | None = None
    algorithm: str | None = None
    others: tuple[Participant, ...] = ()  # all participants but this process
    trouble: str | None = None  # why attaching failed
    damaged: bool = False

    @property
    def used(self) -> int | None:
        """Bytes that are not free, the segment's own records included."""
        return None if self.free is None else self.info.size - self.free

    @property
    def alive(self) -> int | None:
        """Attached processes."""
        return None if self.free is None else sum(other.alive for other in self.others)

    @property
    def dead(self) -> int | None:
        """Killed processes that nobody has cleaned up after."""
        return None if self.free is None else sum(not other.alive for other in self.others)

    @property
    def owner(self) -> str:
        """The user's name, or number where it has no name."""
        try:
            return pwd.getpwuid(self.info.uid).pw_name
        except KeyError:
            return str(self.info.uid)

    @property
    def lifetime(self) -> str:
        """As `create` takes it."""
        return "last_detach" if self.info.last_detach else "persistent"

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        info = self.info
        return {
            "name": info.name,
            "uuid": str(info.uuid),
            "size": info.size,
            "max_size": info.max_size,
            "used": self.used,
            "free": self.free,
            "in_use": info.alive,
            "alive": self.alive,
            "dead": self.dead,
            "slots": info.participants,
            "created_at": info.created_at,
            "creator_pid": info.creator_pid,
            "owner": self.owner,
            "mode": f"{info.mode:04o}",
            "lifetime": self.lifetime,
            "algorithm": self.algorithm,
            "damaged": self.damaged,
            "trouble": self.trouble,
        }


def looks() -> Iterator[Look]:
    """One for each segment of this machine that the user can read; attaches for a moment."""
    for info in ManagedSharedMemory.all():
        try:
            with ManagedSharedMemory.open(info.name) as segment:
                yield look(info, segment)
        except IPCError as error:
            yield Look(info, trouble=str(error), damaged=isinstance(error, CorruptSegmentError))


def look(info: SegmentInfo, segment: ManagedSharedMemory) -> Look:
    """The segment of which the header said `info`."""
    if segment.uuid != info.uuid:
        return Look(info, trouble="another segment has just taken this name")
    others = tuple(found for found in segment.participants() if not found.is_self)
    return Look(info, segment.free_memory, segment.algorithm, others)


def usable(name: str) -> None:
    """Says that a name which can be no segment's is wrong usage."""
    try:
        _names.checked(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def opened(name: str, any_owner: bool) -> ManagedSharedMemory:
    """The segment of that name."""
    usable(name)
    return ManagedSharedMemory.open(name, allow_other_owner=any_owner)
