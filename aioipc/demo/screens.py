"""How a run is shown: live in a terminal, as plain lines elsewhere, not at all for --json."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .counting import FILES
from .run import Scene

__all__ = ["LiveScreen", "PlainScreen", "SilentScreen"]


class SilentScreen:
    """Shows nothing."""

    def together(self, scene: Scene) -> None:
        """Nothing."""

    def alone(self, done: int, files: int) -> None:
        """Nothing."""


class PlainScreen:
    """A line each second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def together(self, scene: Scene) -> None:
        """Files, kills, recoveries."""
        board, done = scene.board, scene.board.totals[FILES]
        self._line(
            f"together: {done}/{scene.files} files, {scene.killer.kills} kills, "
            f"{board.recoveries} times abandoned",
            last=not scene.crew.busy,
        )

    def alone(self, done: int, files: int) -> None:
        """Files."""
        self._line(f"alone: {done}/{files} files", last=done == files)

    def _line(self, text: str, *, last: bool) -> None:
        now = time.monotonic()
        if last or now >= self._next:
            self._next = 0.0 if last else now + 1
            self._console.print(text, highlight=False)


class LiveScreen:
    """Two bars and a table of the workers, redrawn in place.  Used as a context manager."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<32}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._crew_bar = self._bars.add_task("together, one killed now and then", total=None)
        self._alone_bar = self._bars.add_task("alone, to compare", total=None, start=False)
        self._live = Live(self._bars, console=console, auto_refresh=False)

    def together(self, scene: Scene) -> None:
        """The crew's bar, the table of seats, what has been survived."""
        self._bars.update(self._crew_bar, total=scene.files, completed=scene.board.totals[FILES])
        self._live.update(Group(self._bars, _seats(scene), _survived(scene)), refresh=True)

    def alone(self, done: int, files: int) -> None:
        """The other bar."""
        if done == 0:
            self._bars.start_task(self._alone_bar)
        self._bars.update(self._alone_bar, total=files, completed=done)
        self._live.update(self._bars, refresh=True)

    def __enter__(self) -> "LiveScreen":
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()


def _seats(scene: Scene) -> Table:
    table = Table("seat", "runs on", "pid", "files", "killed", "", box=None, padding=(0, 2))
    ready = scene.crew.ready()
    for number, seat in enumerate(scene.board.seats):
        pid = str(ready[number]) if number in ready else "[dim]starting"
        killed = str(scene.killer.kills_at_seat[number])
        state = "[bold yellow]holds the lock" if scene.board.holder == number + 1 else ""
        table.add_row(str(number + 1), scene.crew.kind(number), pid, str(seat.done), killed, state)
    return table


def _survived(scene: Scene) -> RenderableType:
    board = scene.board
    return (
        f"  [red]{scene.killer.kills} kills[/], "
        f"[green]{board.recoveries} times the lock was found abandoned[/], "
        f"{board.repairs} half-made changes finished"
    )
