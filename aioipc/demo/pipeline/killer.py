"""Who is killed: any consumer, at any instant.

Only one whose file has cost two lives already is let finish it; else a slow machine would never get
through the longest files.
"""

import random
import signal
import time

from ..crew import Crew, send
from .belt import Belt

__all__ = ["Killer"]

_DELIVERIES = 2  # after which a file's consumer is spared


class Killer:
    """SIGKILLs one consumer each `interval` seconds."""

    def __init__(self, belt: Belt, crew: Crew, interval: float) -> None:
        self._belt, self._crew, self._interval = belt, crew, interval
        self.kills_at_seat: dict[int, int] = {}
        self.next_at = time.monotonic() + interval

    @property
    def kills(self) -> int:
        """How many so far."""
        return sum(self.kills_at_seat.values())

    def strike_if_due(self) -> None:
        """Kill one consumer, if it is time."""
        now = time.monotonic()
        if now < self.next_at:
            return
        self.next_at = max(self.next_at + self._interval, now)
        pids = self._crew.pids()
        at_work = [
            seat
            for seat, (pid, _, deliveries) in self._belt.seats.items()
            if pids.get(seat) == pid and deliveries <= _DELIVERIES
        ]
        if at_work:
            seat = random.choice(at_work)
            if send(pids[seat], signal.SIGKILL):
                self.kills_at_seat[seat] = self.kills_at_seat.get(seat, 0) + 1
