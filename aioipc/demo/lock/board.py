"""The Block that all processes of the demo share: counters, seats, journal, measurements.

A *seat* is a worker's place.  When its worker is killed, the next one takes the seat, and with it the file
that the dead one had claimed, and its counts if it had got so far.
"""

from typing import overload

from aioipc import Block

from ..counting import FIELDS
from .journal import Journal

__all__ = ["Board", "Seat"]

_HEAD, _SEAT, _HANDOVERS = 8, 8, 4096
_CHANGES = len(FIELDS) + 5  # the largest change: every total, next_file, four words of a seat


class Word:
    """An attribute that lives in shared memory: one of the owner's 64-bit words."""

    def __init__(self, index: int) -> None:
        self.index = index

    @overload
    def __get__(self, owner: None, kind: type) -> "Word": ...
    @overload
    def __get__(self, owner: "_Words", kind: type) -> int: ...
    def __get__(self, owner: "_Words | None", kind: type) -> "int | Word":
        if owner is None:
            return self
        value: int = owner.words[self.index]
        return value

    def __set__(self, owner: "_Words", value: int) -> None:
        owner.words[self.index] = value


class _Words:
    def __init__(self, words: memoryview, start: int = 0) -> None:
        self.words = words
        self._start = start

    def place(self, word: Word) -> int:
        """The word's index in the whole board, as the journal wants it."""
        return self._start + word.index


class Seat(_Words):
    """One worker's part of the board; its successor finds it as it was left."""

    pid = Word(0)  # by the worker, once it is ready
    claim = Word(1)  # under the lock: file + 1 that is being counted
    counted = Word(2)  # 1 by the worker when `counts` are complete; 0 under the lock when they are added
    lost = Word(3)  # under the lock: how many workers were killed over this file
    done = Word(4)  # under the lock: files counted from this seat
    killed_at = Word(5)  # by the killer, just before it kills

    def __init__(self, words: memoryview, start: int, counts: memoryview) -> None:
        super().__init__(words, start)
        self.counts = counts


class Board(_Words):
    """The shared Block, seen as words.  `close()`, or leave the `with`, before the segment closes."""

    next_file = Word(0)  # under the lock: the first file that nobody has claimed
    holder = Word(1)  # by the lock's holder: seat + 1; a dead holder's stays
    killed_at = Word(2)  # by the killer: the latest kill, monotonic ns
    recoveries = Word(3)  # under the lock: how many times `abandoned` was seen
    repairs = Word(4)  # under the lock: how many times the journal had something half-made

    def __init__(self, block: Block, seats: int) -> None:
        self._base = memoryview(block)
        super().__init__(self._base.cast("Q"))
        self._views = [self._base, self.words]
        self._end = 0
        self._part(_HEAD)
        self.totals_at = self._end
        self.totals = self._part(len(FIELDS))
        self.seats = [self._seat() for _ in range(seats)]
        self.journal = Journal(self.words, self._part(1 + 2 * _CHANGES))
        self._handovers = self._part(_HANDOVERS)

    @staticmethod
    def size(seats: int) -> int:
        """Bytes of the Block for so many seats."""
        return 8 * (_HEAD + len(FIELDS) + seats * (_SEAT + len(FIELDS)) + 1 + 2 * _CHANGES + _HANDOVERS)

    def note_handover(self, nanoseconds: int, waited: bool) -> None:
        """Under the lock, once for each recovery: how long after the kill the next holder came."""
        self._handovers[self.recoveries % _HANDOVERS] = nanoseconds << 1 | waited
        self.recoveries += 1

    def handovers(self) -> list[tuple[int, bool]]:
        """The latest 4096 of them, and whether that holder had been waiting when the kill came."""
        noted = self._handovers[: min(self.recoveries, _HANDOVERS)]
        return [(value >> 1, bool(value & 1)) for value in noted]

    def close(self) -> None:
        """Let go of the Block's memory."""
        for view in reversed(self._views):
            view.release()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _seat(self) -> Seat:
        start = self._end
        return Seat(self._part(_SEAT), start, self._part(len(FIELDS)))

    def _part(self, length: int) -> memoryview:
        part = self.words[self._end : self._end + length]
        self._views.append(part)
        self._end += length
        return part
