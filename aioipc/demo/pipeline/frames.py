"""What is shown while the pipeline runs."""

import os
from dataclasses import dataclass

from ..crew import Crew
from ..frame import Frame
from .belt import Belt
from .killer import Killer

__all__ = ["Scene"]


@dataclass(frozen=True)
class Scene:
    """What there is to see."""

    files: int
    belt: Belt
    crew: Crew
    killer: Killer

    def frame(self) -> Frame:
        """It, now."""
        queue = self.belt.files.statistics()
        notes = (
            f"{self.killer.kills} kills, {queue.returned} leases came back, "
            f"{queue.qsize} of {queue.maxsize} places in the queue taken"
        )
        done, last = len(self.belt.results), not self.crew.busy
        return Frame("pipeline", done, self.files, "files", notes, self._table(), last)

    def _table(self) -> tuple[tuple[str, ...], ...]:
        seats = self.belt.seats.copy()
        rows = [("consumer", "pid", "killed", "delivery", "file")]
        for seat, pid in self.crew.pids().items():
            worker, path, deliveries = seats.get(seat, (0, "", 0))
            if worker == pid:
                killed = str(self.killer.kills_at_seat.get(seat, 0))
                kind = self.crew.kind(seat)
                rows.append((kind, str(pid), killed, str(deliveries), os.path.basename(path)))
        return tuple(rows)
