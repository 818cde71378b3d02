"""The one segment in which a user's named primitives live: made when needed, open until the process ends.

What has a name there is a user's, or the package's own: those names begin with `.aioipc-`, and what has one
goes when nobody uses it (`transient`).
"""

import atexit
import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from weakref import WeakSet

from . import _names
from ._native._core import MAX_PARTICIPANTS, NAMED
from ._native._core import listed as listed_names
from .errors import (
    CorruptSegmentError,
    IncompatibleSegmentError,
    IPCError,
    PermissionDeniedError,
    SegmentFullError,
    TooManyParticipantsError,
    TypeMismatchError,
)
from .objects import New, ObjectName, SharedObject, known_type
from .segment import ManagedSegment
from .shared_memory import ManagedSharedMemory

SIZE: Final = 4 << 20
"""Bytes of the segment, unless AIOIPC_NAMED_SIZE says otherwise when it is made."""
RESERVED: Final = ".aioipc-"
_BYTES_FOR_EACH_PROCESS = 16384  # 256 processes in 4 MiB

P = ParamSpec("P")
T = TypeVar("T", bound=SharedObject)
Kind = Callable[Concatenate[ManagedSegment, ObjectName | New, P], T]
"""A type of objects, as it is called."""

_current: ManagedSharedMemory | None = None
_opening = threading.RLock()
_path = functools.lru_cache(_names.path_of)
_opened_here: WeakSet[ManagedSharedMemory] = WeakSet()  # the removed ones too, as long as they are in use


# --- the segment


def segment() -> ManagedSharedMemory:
    """The segment in which this user's named primitives live; made when there is none.

    When it was removed (`aioipc rm`), a new one is made; handles of before stay on the old one.

    Raises PermissionDeniedError when it is another user's, SegmentFullError when /dev/shm has no room for it,
    TooManyParticipantsError, CorruptSegmentError, IncompatibleSegmentError; each says what to do.
    """
    global _current
    home = _current
    if home is None or not _is_current(home):
        with _opening:
            home = _current
            if home is None or not _is_current(home):
                home = _current = _opened(name())
    return home


def existing() -> ManagedSharedMemory | None:
    """The segment, unless it would have to be made."""
    home = _current
    if home is not None and _is_current(home):
        return home
    return segment() if ManagedSharedMemory.exists(name()) else None


def name() -> str:
    """The segment's name."""
    return os.environ.get("AIOIPC_NAMED") or f"aioipc-named-{os.geteuid()}"


def _is_current(home: ManagedSharedMemory) -> bool:
    """Whether it is open, and the one that others find by this name."""
    if home.closed or home.name != name():
        return False
    try:
        status = os.stat(_path(home.name))
    except FileNotFoundError:
        return False
    return (status.st_dev, status.st_ino) == home._opening.attachment.inode


def _opened(name: str) -> ManagedSharedMemory:
    size = _size()
    processes = min(max(size // _BYTES_FOR_EACH_PROCESS, 1), MAX_PARTICIPANTS)
    with _advising(_OPENING, name):
        home = ManagedSharedMemory.open_or_create(name, size, participants=processes)
    home._quiet = True  # nobody wrote an open() that a close() could belong to
    _opened_here.add(home)
    return home


def _size() -> int:
    text = os.environ.get("AIOIPC_NAMED_SIZE") or str(SIZE)
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"AIOIPC_NAMED_SIZE must be a number of bytes, not {text!r}")
    return int(text)


def _close_quietly() -> None:
    """At the end of the process.  Where a thread still waits, or works, the end itself has to do."""
    for home in list(_opened_here):
        if not home.closed and not home._opening.attachment.sleepers:
            with contextlib.suppress(IPCError):
                home.close(when_released=True)


def _after_fork() -> None:
    global _opening
    _opening = threading.RLock()  # its holder may be a thread that the child does not have


atexit.register(_close_quietly)
os.register_at_fork(after_in_child=_after_fork)


# --- what errors advise

_LARGER = "aioipc rm {name}, then AIOIPC_NAMED_SIZE=<bytes> for a larger one"
_DAMAGED = "{error}; aioipc rm {name} removes it, and the next program makes a new one"
_Advice = dict[type[IPCError], str]
_OPENING: _Advice = {
    PermissionDeniedError: "{name!r}, where named primitives live, is another user's or not permitted: have "
    "it removed by its owner or root (aioipc rm --any-owner {name}), or use another (AIOIPC_NAMED=<name>)",
    SegmentFullError: "{error}; AIOIPC_NAMED_SIZE=<bytes> asks for less",
    TooManyParticipantsError: f"{{error}}: {_LARGER}, {_BYTES_FOR_EACH_PROCESS} for each process",
    CorruptSegmentError: _DAMAGED,
    IncompatibleSegmentError: "{error}; remove it (aioipc rm {name}, or rm /dev/shm/{name}), and the next "
    "program makes a new one",
}
_USING: _Advice = {
    SegmentFullError: f"{{error}}: remove() what is no longer needed, all() lists it; or {_LARGER}",
    CorruptSegmentError: _DAMAGED,
}


@contextlib.contextmanager
def _advising(advice: _Advice, name: str) -> Iterator[None]:
    """Lets errors say what to do about them here."""
    try:
        yield
    except tuple(advice) as error:
        error.args = (advice[type(error)].format(error=error, name=name),)
        raise


# --- what is in it

_SWEEP_EVERY = 16  # times that this process made something transient
_ABANDONED = 256  # so many are kept for who comes next, though nobody uses them: their holders died
_made = itertools.count()


def constructed(
    home: ManagedSharedMemory, kind: "Kind[P, T]", name: str, /, *args: P.args, **options: P.kwargs
) -> T:
    """`kind(home, name, ...)`; makes room if that helps."""
    with _advising(_USING, home.name):
        try:
            return kind(home, name, *args, **options)
        except SegmentFullError:
            if not _sweep(home):
                raise
            return kind(home, name, *args, **options)


def transient(kind: "Kind[P, T]", key: str, /, *args: P.args, **options: P.kwargs) -> T:
    """A primitive of the package's own.  It may be destroyed whenever no process has a handle on it.

    Who has just found it then gets ClosedError, and asks for it again.
    """
    home, name = segment(), RESERVED + key
    with _advising(_USING, home.name):
        pin = home._attachment.find(NAMED, name.encode())
        if pin is None and next(_made) % _SWEEP_EVERY == 0:
            _sweep(home)
    return constructed(home, kind, name, *args, **options)


def listed(home: ManagedSharedMemory) -> list[tuple[str, int, int]]:
    """(name, number of the type, pins) of everything with a name."""
    objects = listed_names(home._attachment, NAMED, None, None, None)
    return [(name.decode(errors="replace"), of, pins) for _, name, of, _, _, pins, _, _ in objects]


def primitive(home: ManagedSharedMemory, name: str, number: int) -> Any:
    """A handle on what was listed; None when it is gone, or of a type that this version does not know."""
    kind = known_type(number)
    try:
        return None if kind is None else home.find(kind, name)
    except TypeMismatchError:  # made anew meanwhile, as something else
        return None


def _sweep(home: ManagedSharedMemory) -> int:
    """Destroys the transient primitives that nobody uses; how many that were."""
    swept = abandoned = 0
    for name, number, pins in listed(home):
        found = None if pins or not name.startswith(RESERVED) else primitive(home, name, number)
        if found is None:
            continue
        if abandoned < _ABANDONED and found.statistics().abandoned:
            abandoned += 1
        else:
            swept += home.destroy_object(found)
    return swept
