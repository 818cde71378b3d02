"""Primitives by name alone: `named.Lock("orders")`, without a segment of one's own.

All of a user's live in one persistent segment, `aioipc-named-<uid>`, mode 0600, made by whichever process
needs it first.  A process keeps it open until it ends.  Two environment variables say otherwise:

    AIOIPC_NAMED        another name for the segment; looked at on every use
    AIOIPC_NAMED_SIZE   its size in bytes, instead of 4 MiB; looked at when the segment is made

Example::

    from aioipc import named

    async with named.Lock("orders"):     # the same lock in all programs of this user
        ...
"""

import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate

from . import (
    _home,
    barrier,
    capacity_limiter,
    condition,
    event,
    leader,
    lock,
    once,
    rlock,
    rwlock,
    semaphore,
)
from ._home import SIZE, Kind, P, T, segment
from ._native._core import NAMED, Pin
from .objects import SharedObject, encode_name, known_type, type_name
from .shared_memory import ManagedSharedMemory

__all__ = [
    # primitives
    "Lock",
    "RLock",
    "RWLock",
    "Condition",
    "Semaphore",
    "BoundedSemaphore",
    "Event",
    "Barrier",
    "CapacityLimiter",
    "Once",
    "Leader",
    # all of them
    "NamedPrimitive",
    "all",
    "exists",
    "remove",
    "segment",
    "SIZE",
]


def _by_name(kind: Kind[P, T]) -> Callable[Concatenate[str, P], T]:
    """`kind(segment, name, ...)` without the segment."""

    def make(name: str, /, *args: P.args, **options: P.kwargs) -> T:
        _checked(name)
        return _home.constructed(segment(), kind, name, *args, **options)

    called, own = kind.__name__, list(inspect.signature(kind).parameters.values())[2:]
    first = inspect.Parameter("name", inspect.Parameter.POSITIONAL_ONLY, annotation=str)
    make.__name__ = make.__qualname__ = called
    make.__doc__ = f"The {called} of this name; arguments, promises and errors are those of aioipc.{called}."
    make.__signature__ = inspect.Signature([first, *own], return_annotation=kind)  # type: ignore[attr-defined]
    return make


Lock = _by_name(lock.Lock)
RLock = _by_name(rlock.RLock)
RWLock = _by_name(rwlock.RWLock)
Condition = _by_name(condition.Condition)
Semaphore = _by_name(semaphore.Semaphore)
BoundedSemaphore = _by_name(semaphore.BoundedSemaphore)
Event = _by_name(event.Event)
Barrier = _by_name(barrier.Barrier)
CapacityLimiter = _by_name(capacity_limiter.CapacityLimiter)
Once = _by_name(once.Once)
Leader = _by_name(leader.Leader)


@dataclass(frozen=True, slots=True)
class NamedPrimitive:
    """One named primitive at one moment."""

    name: str
    type: str
    """What it is: "Lock"."""
    holder_pid: int | None
    """The process that holds it, in its own pid namespace; None when that kind of primitive cannot say."""
    statistics: Any
    """What its `statistics()` gives; None when it has none, or this process does not know its type."""


def all() -> list[NamedPrimitive]:
    """This user's named primitives, by name.  Those that aioipc keeps for itself are left out."""
    home = _home.existing()
    if home is None:
        return []
    names = [(name, of) for name, of, _ in _home.listed(home) if not name.startswith(_home.RESERVED)]
    records = [_record(home, name, of) for name, of in names]
    return sorted((record for record in records if record is not None), key=operator.attrgetter("name"))


def exists(name: str) -> bool:
    """Whether there is a primitive of this name, of whatever type."""
    return _found(name) is not None


def remove(name: str) -> bool:
    """Destroys the primitive of this name, of whatever type; False when there is none.

    Who waits on it, or uses it later through a handle of before, gets ClosedError; the next to use the name
    makes a new one.
    """
    pin = _found(name)
    return pin is not None and pin.destroy()


def _checked(name: str) -> bytes:
    """The name as the segment knows it."""
    if not isinstance(name, str):
        raise TypeError(f"a primitive's name is a str, not {name!r}")
    if name.startswith(_home.RESERVED):
        raise ValueError(f"names that begin with {_home.RESERVED!r} are aioipc's own: {name!r}")
    return encode_name(SharedObject, name)[1]


def _found(name: str) -> Pin | None:
    key, home = _checked(name), _home.existing()
    return None if home is None else home._attachment.find(NAMED, key)


def _record(home: ManagedSharedMemory, name: str, number: int) -> NamedPrimitive | None:
    if known_type(number) is None:
        return NamedPrimitive(name, type_name(number), None, None)
    primitive = _home.primitive(home, name, number)
    if primitive is None:
        return None
    statistics = primitive.statistics() if hasattr(primitive, "statistics") else None
    return NamedPrimitive(name, type_name(number), getattr(statistics, "owner_pid", None), statistics)
