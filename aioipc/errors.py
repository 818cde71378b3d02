"""The exceptions of aioipc, by who caused them.

Your code: WouldBlock, ClosedError, NotOwnerError, TypeMismatchError, OptionMismatchError, ReadOnlyError.
The size of things: SegmentFullError, MessageTooLargeError, TooManyParticipantsError, TooManyWaitersError.
The name: AlreadyExistsError, NotFoundError, PermissionDeniedError, SegmentInUseError.
The segment's bytes: CorruptSegmentError, IncompatibleSegmentError.
Another process: PeerDiedError, PeerStalledError.

All of them are `IPCError`; most are also the built-in exception that a caller would look for.
"""

import asyncio
import errno
import queue
import threading
from typing import TYPE_CHECKING

__all__ = [
    "AlreadyExistsError",
    "BrokenBarrierError",
    "ClosedError",
    "CorruptSegmentError",
    "IPCError",
    "IncompatibleSegmentError",
    "MessageTooLargeError",
    "NotFoundError",
    "NotOwnerError",
    "OptionMismatchError",
    "PeerDiedError",
    "PeerStalledError",
    "PermissionDeniedError",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "ReadOnlyError",
    "SegmentFullError",
    "SegmentInUseError",
    "TooManyParticipantsError",
    "TooManyWaitersError",
    "TypeMismatchError",
    "WouldBlock",
]


class IPCError(Exception):
    """Every error of this package."""


# ------------------------------------------------------------------------------------- memory and sizes


class SegmentFullError(IPCError, MemoryError):
    """No free block is large enough, or the filesystem has no room for the segment.

    Remedy: free something, create the segment larger, or enlarge /dev/shm.

    `asked`, `free` and `largest` are bytes: the request, all free memory, the largest free block.
    `free - largest` large means fragmentation. For a segment that could not be created, `free` is the room in
    /dev/shm and `largest` None.
    """

    asked: int | None = None
    free: int | None = None
    largest: int | None = None


class MessageTooLargeError(IPCError, ValueError):
    """The message could never fit, however long one waited. Remedy: a larger queue, or a Block."""


class TooManyParticipantsError(IPCError):
    """Every participant slot of the segment is taken by a living process.

    Remedy: create the segment with a larger `participants=`. You don't get it for slots of dead
    processes: those are taken over. `participants` is the number of slots.
    """

    participants: int | None = None


class TooManyWaitersError(IPCError):
    """All wait nodes of the segment, or all bells of this process, are in use.

    A segment has one wait node for each 2 KiB of its size (64 at least, 16384 at most); a process can
    have 64 event loops and blocked threads waiting in it. Remedy: fewer waiters, or a larger segment.
    """


# --------------------------------------------------------------------------------------------- names


class _OSIPCError(IPCError, OSError):
    """An IPCError that is an OSError too: `errno` is set, the message stays as written."""

    _errno = 0

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.errno = self._errno


class AlreadyExistsError(_OSIPCError, FileExistsError):
    """The name is taken. Remedy: open it, or open_or_create / find_or_construct."""

    _errno = errno.EEXIST


class NotFoundError(_OSIPCError, FileNotFoundError):
    """There is no segment or object of this name, or what a pickle or handle named is gone."""

    _errno = errno.ENOENT


class SegmentInUseError(_OSIPCError):
    """Some process has the segment open, maybe this one, maybe for reading; what was asked needs it alone.

    Remedy: close it everywhere, `participants()` says by whom it is open; or do without.
    """

    _errno = errno.EBUSY


class PermissionDeniedError(_OSIPCError, PermissionError):
    """The system refuses access, or the object belongs to another user.

    Remedy: ask its owner for a wider `mode=`; if you trust the other user, `allow_other_owner=True`.
    """

    _errno = errno.EACCES


class TypeMismatchError(IPCError, TypeError):
    """An object of this name exists and is of another type. Remedy: another name, or the right type."""


class OptionMismatchError(IPCError, ValueError):
    """The object exists with other options. Remedy: leave the option out, or destroy the object."""


# --------------------------------------------------------------------------------- the segment's bytes


class _FaultError(IPCError):
    """Says what was found, what was expected, and where."""

    what: str | None = None
    found: int | None = None
    expected: int | None = None
    offset: int | None = None


class CorruptSegmentError(_FaultError):
    """The segment's own data contradicts itself: something wrote over it.

    Remedy: look at `check_sanity()`, save what can be read, remove the segment and make a new one. Killed
    processes do not cause it. `what` names the invariant; `found`, `expected` and `offset` say where.
    """


class IncompatibleSegmentError(_FaultError):
    """This is no segment, or one of another version, layout or byte order, or a copy of one.

    Remedy: use the aioipc that made it, or remove it. `what`, `found`, `expected` and `offset` say why.
    """


# ------------------------------------------------------------------------------------------- the caller


class ClosedError(IPCError):
    """The segment was closed by this process, or the object destroyed by any. Also from a pending await."""


class WouldBlock(IPCError):
    """A `_nowait` call would have had to wait. Remedy: await the form without `_nowait`, or try later."""


class NotOwnerError(IPCError, RuntimeError):
    """This process does not hold what it tries to give back."""


class ReadOnlyError(IPCError, TypeError):
    """The segment was opened read-only. Remedy: open it with `open()`."""


# --------------------------------------------------------------------------------------- other processes


class PeerDiedError(IPCError):
    """Another process died while this one depended on it. You don't get it from a Lock: see `abandoned`."""


class PeerStalledError(IPCError):
    """A stopped process (SIGSTOP, a frozen container) has held one of the segment's short locks for 5 s.

    Nothing was changed, and its lock is not taken. Remedy: resume or kill the process `pid`, then try again.
    """

    pid: int | None = None


# ------------------------------------------------------------------------------ namesakes of asyncio's


class QueueFull(IPCError, asyncio.QueueFull, queue.Full):
    """The queue has no room. Remedy: `await put(...)`."""


class QueueEmpty(IPCError, asyncio.QueueEmpty, queue.Empty):
    """The queue has no item. Remedy: `await get()`."""


if TYPE_CHECKING:

    class _QueueShutDown(Exception): ...

    class _BrokenBarrierError(RuntimeError): ...
else:  # subclasses of asyncio's where this Python has them
    _QueueShutDown = getattr(asyncio, "QueueShutDown", Exception)
    _BrokenBarrierError = getattr(asyncio, "BrokenBarrierError", RuntimeError)


class QueueShutDown(IPCError, _QueueShutDown):
    """The queue was shut down: nothing more can be put, or nothing is left to get."""


class BrokenBarrierError(IPCError, _BrokenBarrierError, threading.BrokenBarrierError):
    """The barrier was reset or broken while parties waited at it."""
