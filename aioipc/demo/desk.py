"""A worker's turn: what it does while it holds the lock."""

import time

from aioipc import Lock

from .board import Board, Seat

__all__ = ["Desk"]


class Desk:
    """A worker at its seat.  `turn` is the demo's whole critical section, the same under every event loop."""

    def __init__(self, board: Board, seat: int, lock: Lock, files: int) -> None:
        self.lock = lock
        self._board = board
        self._number = seat + 1
        self._seat = board.seats[seat]
        self._files = files

    def turn(self, asked_at: int, counts: list[int] | None) -> int | None:
        """Repair if need be, add what was counted of the claimed file, claim the next (None: all are)."""
        board = self._board
        if self.lock.abandoned:
            self._repair(asked_at)
        board.holder = self._number
        if counts is None and self._seat.claim:
            self._seat.lost += 1  # the predecessor was killed over it
        else:
            self._add_and_claim(counts)
        file = self._seat.claim - 1
        board.holder = 0
        return file if file >= 0 else None

    def _repair(self, asked_at: int) -> None:
        """The last holder was killed: finish what it had begun, and note how long the lock lay there."""
        board = self._board
        dead = board.seats[board.holder - 1] if board.holder else board
        now = time.monotonic_ns()
        board.note_handover(max(0, now - dead.killed_at), waited=asked_at < dead.killed_at)
        if board.journal.redo():
            board.repairs += 1

    def _add_and_claim(self, counts: list[int] | None) -> None:
        """One change of the board, so that no file is ever half-added, lost, or claimed twice."""
        board, seat = self._board, self._seat
        file = board.next_file
        more = file < self._files
        changes = {seat.place(Seat.claim): file + 1 if more else 0, seat.place(Seat.lost): 0}
        if more:
            changes[board.place(Board.next_file)] = file + 1
        if counts is not None:
            changes[seat.place(Seat.done)] = seat.done + 1
            for field, number in enumerate(counts, board.totals_at):
                changes[field] = board.words[field] + number
        board.journal.commit(changes)
