"""One attachment for each segment of this process, however often it is opened."""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple
from weakref import WeakValueDictionary

from ._native import _core
from ._native._core import LAST_DETACH, MAX_PARTICIPANTS, ORDERED, Attachment, Opening, minimum_size

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Index",
    "Layout",
    "LentMemory",
    "Lifetime",
    "attached",
    "checked_layout",
    "checked_mode",
    "checked_size",
    "created",
    "lock",
]

if TYPE_CHECKING:
    from typing_extensions import Buffer

Lifetime = Literal["persistent", "last_detach"]
Algorithm = Literal["best_fit", "tlsf", "seq_fit"]
ALGORITHMS: dict[Algorithm, int] = {"best_fit": _core.BEST_FIT, "tlsf": _core.TLSF, "seq_fit": _core.SEQ_FIT}
Index = Literal["hash", "ordered"]
PAGE_SIZE = os.sysconf("SC_PAGESIZE")

# By device and inode of the object.
_attachments: WeakValueDictionary[tuple[int, int], Attachment] = WeakValueDictionary()
lock = threading.RLock()
"""Held while attaching."""


def _after_fork() -> None:
    global lock
    lock = threading.RLock()  # its holder may be a thread that the child does not have


os.register_at_fork(after_in_child=_after_fork)


class Layout(NamedTuple):
    """What the core needs to know of a new segment."""

    size: int
    max_size: int
    participants: int
    flags: int
    mode: int
    algorithm: int


class LentMemory(NamedTuple):
    """Memory that a segment lies in, when it is not the object behind its descriptor that is mapped."""

    buffer: "Buffer"
    pages: int
    released: Callable[[], None]
    """Called when nobody here has it open any more."""


def created(
    fd: int,
    path: str,
    layout: Layout,
    publish: Callable[[], None] | None = None,
    lent: LentMemory | None = None,
) -> Opening:
    """Makes a segment of the empty object behind fd, which is taken over, and gives it its name.

    With `lent`, zeros, the segment lies there.
    """
    with lock:
        if lent is None:
            attachment = _core.create_attachment(fd, path, *layout)
        else:
            attachment = _core.create_attachment(
                fd, path, *layout, lent.buffer, False, lent.pages, lent.released
            )
        opening = Opening(attachment)
        try:
            if publish is not None:
                publish()
        except BaseException:
            opening.begin_close(True)
            opening.finish_close()
            raise
        _attachments[attachment.inode] = attachment
    return opening


def attached(fd: int, path: str, lent: LentMemory | None = None) -> Opening | None:
    """Opens the segment behind fd, which is taken over, or in `lent`; None when it is just going away."""
    with lock:
        status = os.fstat(fd)
        key = (status.st_dev, status.st_ino)
        attachment = _attachments.get(key)
        if attachment is not None and not attachment.closed:
            os.close(fd)
            if lent is not None:
                lent.released()
            return Opening(attachment)
        if lent is None:
            attachment = _core.open_attachment(fd, path)
        else:
            attachment = _core.open_attachment(fd, path, lent.buffer, False, lent.pages, lent.released)
        if attachment is None:
            return None
        _attachments[key] = attachment
        return Opening(attachment)


def checked_size(n: int) -> int:
    """The number of bytes, when it can be one."""
    if not 0 <= n < 1 << 63:
        raise ValueError(f"a number of bytes must be between 0 and 2**63, not {n}")
    return n


def checked_mode(mode: int) -> int:
    """The mode, when it is permission bits."""
    if mode & ~0o777:
        raise ValueError(f"mode must be permission bits, at most 0o777, not {mode:#o}")
    return mode


def checked_layout(
    size: int,
    *,
    max_size: int | None = None,
    mode: int = 0o600,
    algorithm: Algorithm = "best_fit",
    lifetime: Lifetime = "persistent",
    index: Index = "hash",
    participants: int = 64,
    granularity: int = PAGE_SIZE,
) -> Layout:
    """The layout with these options; ValueError for what the core would refuse."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be 'best_fit', 'tlsf' or 'seq_fit', not {algorithm!r}")
    if lifetime not in ("persistent", "last_detach"):
        raise ValueError(f"lifetime must be 'persistent' or 'last_detach', not {lifetime!r}")
    if index not in ("hash", "ordered"):
        raise ValueError(f"index must be 'hash' or 'ordered', not {index!r}")
    if not 1 <= participants <= MAX_PARTICIPANTS:
        raise ValueError(f"participants must be between 1 and {MAX_PARTICIPANTS}, not {participants}")
    checked_mode(mode)
    size = -(-checked_size(size) // granularity) * granularity
    least = minimum_size(size, participants)
    if size < least:
        raise ValueError(
            f"a segment for {participants} participants needs more than {least} bytes, not {size}; "
            "make it larger, or lower participants="
        )
    largest = size if max_size is None else -(-checked_size(max_size) // granularity) * granularity
    if not size <= largest < 1 << 47:
        raise ValueError(f"max_size must be between size ({size}) and 128 TiB, not {largest}")
    flags = (LAST_DETACH if lifetime == "last_detach" else 0) | (ORDERED if index == "ordered" else 0)
    return Layout(size, largest, participants, flags, mode, ALGORITHMS[algorithm])
