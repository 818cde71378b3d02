"""What is shown while the crew counts."""

from dataclasses import dataclass

from ..counting import FILES
from ..crew import Crew
from ..frame import Frame
from .board import Board
from .killer import Killer

__all__ = ["Scene"]


@dataclass(frozen=True)
class Scene:
    """What there is to see."""

    files: int
    board: Board
    crew: Crew
    killer: Killer

    def frame(self) -> Frame:
        """It, now."""
        board = self.board
        notes = (
            f"{self.killer.kills} kills, {board.recoveries} times abandoned, "
            f"{board.repairs} half-made changes finished"
        )
        done, last = board.totals[FILES], not self.crew.busy
        return Frame("together", done, self.files, "files", notes, self._table(), last)

    def _table(self) -> tuple[tuple[str, ...], ...]:
        ready = self.killer.ready()
        rows = [("seat", "runs on", "pid", "files", "killed", "")]
        for number, seat in enumerate(self.board.seats):
            pid = str(ready[number]) if number in ready else "[dim]starting"
            killed = str(self.killer.kills_at_seat[number])
            state = "[bold yellow]holds the lock" if self.board.holder == number + 1 else ""
            rows.append((str(number + 1), self.crew.kind(number), pid, str(seat.done), killed, state))
        return tuple(rows)
