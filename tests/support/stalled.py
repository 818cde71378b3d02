"""A living process that is stopped in the middle of a change, as others see it: it holds a short lock.

    with stalled(segment, d, DICT) as holder:
        holder.when_wanted(signal.SIGUSR1)
        d["k"] = 1                            # waits; the test's process gets SIGUSR1

A real process would have to be stopped within nanoseconds; here a child writes the word that such a one
leaves.
The places are those of core/layout.h.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aioipc import ManagedSharedMemory
from tests.support.forked import Forked
from tests.support.leaks import SHM
from tests.support.peers import Link

#: Where the short locks lie in the payloads of objects ...
DICT = 0
PUTTERS, GETTERS = 192 + 64, 192 + 1152 + 128
#: ... and those of the names, and of all waiters, in the segment.
CATALOG = 192 + 4336
WAITS = CATALOG + 1408

_OBJECT, _STATE, _DESTROYED = 64, 40, 2
_CONTENDED = 1


@contextmanager
def _memory(name: str, kind: str) -> Iterator[memoryview]:
    """A segment's bytes, as numbers of a kind of `struct`."""
    with (SHM / name).open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages, memoryview(pages) as view:
        numbers = view.cast(kind)  # type: ignore[call-overload]
        try:
            yield numbers
        finally:
            numbers.release()


def payload_of(handle: Any) -> int:
    """The offset at which an object's own memory begins."""
    return int(handle.pin.offset + _OBJECT + -(-len(handle.pin.name) // 16) * 16)


@contextmanager
def half_destroyed(handle: Any) -> Iterator[None]:
    """The object is, within the block, as a process leaves it that dies in the middle of destroying it."""
    at = (handle.pin.offset + _STATE) // 8
    with _memory(handle.segment.name, "Q") as words:
        before, words[at] = words[at], _DESTROYED
        try:
            yield
        finally:
            words[at] = before


class Holder(Forked):
    """The process that holds the lock."""

    def __init__(self, segment: ManagedSharedMemory, at: int) -> None:
        self._name, self._at = segment.name, at // 4
        super().__init__(_hold, segment, self._at)
        assert self.receive() == "held"

    def when_wanted(self, signal_number: int) -> None:
        """Sends the test's process a signal as soon as somebody waits for the lock."""
        self.send(signal_number)

    def let_go(self) -> None:
        """Releases the lock, if it was not done; any process may call it."""
        with _memory(self._name, "I") as words:
            words[self._at] = 0


def _hold(test: Link, segment: ManagedSharedMemory, at: int) -> None:
    parent = os.getppid()
    segment.check_sanity()  # attaches
    me = next(p for p in segment.participants() if p.is_self)
    with _memory(segment.name, "I") as words:
        words[at] = me.slot << 20 | (1 + me.generation % 8191) << 1
        test.send("held")
        signal_number = test.receive()
        while not words[at] & _CONTENDED:
            os.sched_yield()
    os.kill(parent, signal_number)
    test.receive()  # for ever


def contended(segment: ManagedSharedMemory, at: int) -> bool:
    """Whether somebody waits for the short lock at this place of the segment."""
    with _memory(segment.name, "I") as words:
        return bool(words[at // 4] & _CONTENDED)


@contextmanager
def stalled(segment: ManagedSharedMemory, handle: Any, place: int) -> Iterator[Holder]:
    """The short lock at a place of an object, or of the segment (handle None), is held within the block."""
    with Holder(segment, place if handle is None else payload_of(handle) + place) as holder:
        try:
            yield holder
        finally:
            holder.let_go()
