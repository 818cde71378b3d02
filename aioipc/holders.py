"""Who holds what: locks, tokens, leases, places in a queue, handles."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ._native import _core
from .objects import _KINDS, Kind, type_name

__all__ = ["Holder", "held"]

_WORDS: Final = {
    "lock": "holds {}",
    "once": "does {}",
    "leader": "leads by {}",
    "read": "reads under {}",
    "write": "writes under {}",
    "upgradable": "may upgrade in {}",
    "token": "has borrowed from {}",
    "lease": "leases from {}",
    "unfinished": "took from {} and has not reported done",
    "waiting": "waits for {}",
    "handle": "has a handle on {}",
    "block": "owns {}",
    "share": "shares {}",
    "view": "looks at {}",
    "atomic": "has {} open",
    "constructs": "constructs {} in its atomic block",
    "destroys": "destroys {} in its atomic block",
    "core lock": "is inside of {}",
}


@dataclass(frozen=True, slots=True)
class Holder:
    """One thing that one process has: `print(holder)` says it in words.

    Example::

        for holder in segment.holders():
            if holder.what == "lock" and holder.name == "orders":
                print(holder.pid, holder.task, holder.alive)
    """

    what: str
    """What of it: "lock" (Lock, RLock, a Condition's own), "once", "leader", "read", "write", "upgradable"
    (RWLock), "token" (CapacityLimiter), "lease", "unfinished" (taken from a Queue, not reported done),
    "waiting", "handle" (on an object: its memory stays), "block" (memory that goes with its owner), "share"
    (of an object, which goes with the last), "view" (of a value), "atomic" (`segment.atomic()`), and what is
    done to objects there: "constructs", "destroys"; "core lock" (a stopped process in the middle of
    a change), "holding" (anything else that comes back when its process dies)."""
    pid: int | None
    """In the process's own pid namespace; None: it is dead and was cleaned up after, its lock abandoned."""
    alive: bool
    """False: the process has died, or closed the segment, and nobody has taken over yet."""
    name: str | None
    """Of the object; None when it has no name, or it is no object."""
    type: str | None
    """Of the object: "Lock"; None when it is no object; "heap", "catalog", "wait queues"."""
    kind: Kind | None
    """Of the object: "named", "unique" or "anonymous"."""
    count: int
    """How many times, or how many: readers, tokens, leases."""
    task: str | None
    """The holder's task, or "thread 1234", where it is known: of locks and of writers."""
    since: float | None
    """Seconds since the epoch, where it is known: of those who wait."""
    place: int
    """The handle of the block, or where in the segment the object is: bytes from the beginning."""
    slot: int
    generation: int
    """Slot and generation are the participant's."""

    def __str__(self) -> str:
        who = "a process that is gone" if self.pid is None else f"process {self.pid}"
        if self.task is not None:
            who += f" ({self.task})"
        if self.pid is not None and not self.alive:
            who += ", dead,"
        times = f", {self.count} times" if self.count > 1 else ""
        return f"{who} {_WORDS.get(self.what, 'has {}').format(self._thing())}{times}"

    def _thing(self) -> str:
        if self.type is None:
            return f"the memory at {self.place:#x}"
        if self.name is not None:
            return f"the {self.type} {self.name!r}"
        return f"the {self.kind} {self.type}" if self.kind is not None else f"the {self.type}"


def held(records: "Iterable[_core.HolderRecord]") -> list[Holder]:
    """What the core's records say."""
    wall, now = time.time(), _core.monotonic()
    return [_holder(record, wall, now) for record in records]


def _holder(record: "_core.HolderRecord", wall: float, now: int) -> Holder:
    what, core, pid, alive, slot, generation, count, since, thread, task, place, found = record
    name = type = kind = None
    if found is not None:
        number, encoded, type_number, place, _ = found
        kind, type = _KINDS.get(number), type_name(type_number)
        name = encoded.decode(errors="replace") if number == _core.NAMED else None
    elif core is not None:
        type = core
    return Holder(
        what=what,
        pid=pid or None,
        alive=alive,
        name=name,
        type=type,
        kind=kind,
        count=count,
        task=f"thread {thread}" if thread else task,
        since=wall - (now - since) / 1e9 if since else None,
        place=place,
        slot=slot,
        generation=generation,
    )
