"""What a worker does with the board: alone at its seat, and in its turn, while it holds the lock."""

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

    def put(self, counts: list[int]) -> None:
        """Leave what was counted of the claimed file at the seat, to be added in the next turn.

        Needs no lock: nobody else looks there.  From now on the file need not be counted again.
        """
        for field, number in enumerate(counts):
            self._seat.counts[field] = number
        self._seat.counted = 1

    def turn(self, asked_at: int) -> int | None:
        """Repair if need be, add what lies at the seat, claim the next file (None: all are claimed)."""
        board, seat = self._board, self._seat
        if self.lock.abandoned:
            self._repair(asked_at)
        board.holder = self._number
        if seat.claim and not seat.counted:
            seat.lost += 1  # the predecessor was killed over it; once more
        else:
            self._add_and_claim()
        file = seat.claim - 1
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

    def _add_and_claim(self) -> None:
        """One change of the board, so that no file is ever half-added, lost, or claimed twice."""
        board, seat = self._board, self._seat
        file = board.next_file
        more = file < self._files
        changes = {seat.place(Seat.claim): file + 1 if more else 0, seat.place(Seat.lost): 0}
        if more:
            changes[board.place(Board.next_file)] = file + 1
        if seat.counted:
            changes[seat.place(Seat.counted)] = 0
            changes[seat.place(Seat.done)] = seat.done + 1
            for field, number in enumerate(seat.counts, board.totals_at):
                changes[field] = board.words[field] + number
        board.journal.commit(changes)
