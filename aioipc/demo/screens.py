"""How a run is shown: live in a terminal, as plain lines elsewhere, not at all for --json."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from .frame import Frame

__all__ = ["LiveScreen", "PlainScreen", "SilentScreen"]


class SilentScreen:
    """Shows nothing."""

    def show(self, frame: Frame) -> None:
        """Nothing."""


class PlainScreen:
    """A line each second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def show(self, frame: Frame) -> None:
        """A line, if it is time for one or the step is over."""
        now = time.monotonic()
        if frame.last or now >= self._next:
            self._next = 0.0 if frame.last else now + 1
            notes = f", {frame.notes}" if frame.notes else ""
            self._console.print(
                f"{frame.step}: {frame.done}/{frame.total} {frame.unit}{notes}", highlight=False
            )


class LiveScreen:
    """A bar for each step, and a table of the workers, redrawn in place.  Used as a context manager."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._steps: dict[str, TaskID] = {}
        self._live = Live(self._bars, console=console, auto_refresh=False)

    def show(self, frame: Frame) -> None:
        """The bars so far, the workers of this step, the notes."""
        if frame.step not in self._steps:
            self._steps[frame.step] = self._bars.add_task(frame.step, unit=frame.unit)
        self._bars.update(self._steps[frame.step], total=frame.total, completed=frame.done)
        parts: list[RenderableType] = [self._bars]
        if frame.table and not frame.last:
            parts.append(_table(frame))
        if frame.notes and not frame.last:
            parts.append(f"  {frame.notes}")
        self._live.update(Group(*parts), refresh=True)

    def __enter__(self) -> "LiveScreen":
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()


def _table(frame: Frame) -> Table:
    headings, *rows = frame.table
    table = Table(*headings, box=None, padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return table
