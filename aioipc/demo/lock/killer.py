"""Who is killed, and when.

Every second kill is aimed: the killer watches the board until somebody holds the lock, stops that process
(SIGSTOP) until another one queues behind it, and kills it.  The other kills are blind: anybody, at any
instant.  A worker whose file has cost a life already is let finish it; else a slow machine would never get
through the longest files.
"""

import random
import signal
import time

from aioipc import Lock

from ..crew import Crew, send
from .board import Board

__all__ = ["Killer"]

_LIVES = 1  # that counting one file may cost
_GLANCE = 20e-6  # seconds between two looks at the board


class Killer:
    """SIGKILLs one worker each `interval` seconds."""

    def __init__(self, board: Board, lock: Lock, crew: Crew, interval: float) -> None:
        self._board, self._lock, self._crew = board, lock, crew
        self._interval = interval
        self._aim = True
        self.kills_at_seat = [0] * len(board.seats)
        self.next_at = time.monotonic() + interval

    @property
    def kills(self) -> int:
        """How many so far."""
        return sum(self.kills_at_seat)

    def ready(self) -> dict[int, int]:
        """The workers that have reported for work: seat and pid."""
        seats = self._board.seats
        return {seat: pid for seat, pid in self._crew.pids().items() if pid == seats[seat].pid}

    def strike_if_due(self) -> None:
        """Kill one worker, if it is time."""
        now = time.monotonic()
        if now < self.next_at:
            return
        self.next_at = max(self.next_at + self._interval, now)
        seat = self._catch_holder() if self._aim else None
        if seat is None:
            seat = self._anybody()
        if seat is not None:
            self._kill(seat)
        self._aim = not self._aim

    def _catch_holder(self) -> int | None:
        """Watch for a holder and stop it until somebody waits for it; not for long, and it may be faster."""
        limit = time.monotonic() + self._interval / 2
        while not (holder := self._board.holder):
            if time.monotonic() > limit:
                return None
            time.sleep(_GLANCE)
        pid = self.ready().get(holder - 1)
        if pid is None or not send(pid, signal.SIGSTOP):
            return None  # dead already
        limit = time.monotonic() + self._interval / 2
        while self._board.holder == holder and time.monotonic() < limit:
            if self._lock.statistics().waiters:
                break
            time.sleep(_GLANCE)
        return holder - 1

    def _anybody(self) -> int | None:
        seats = [seat for seat in self.ready() if self._board.seats[seat].lost < _LIVES]
        return random.choice(seats) if seats else None

    def _kill(self, seat: int) -> None:
        pid = self.ready()[seat]
        self._board.seats[seat].killed_at = self._board.killed_at = time.monotonic_ns()
        if send(pid, signal.SIGKILL):
            self.kills_at_seat[seat] += 1
        self._board.seats[seat].pid = 0  # it is not ready any more
