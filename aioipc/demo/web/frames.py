"""What is shown while the client loads the server."""

from dataclasses import dataclass

from ..crew import Crew
from ..frame import Frame
from .cache import PageCache
from .client import Client
from .killer import Killer

__all__ = ["Scene"]


@dataclass(frozen=True)
class Scene:
    """What there is to see."""

    cache: PageCache
    client: Client
    crew: Crew
    killer: Killer

    def frame(self) -> Frame:
        """It, now."""
        client = self.client
        answers, how = client.answers, client.how
        rate, hits = answers / max(client.seconds, 0.001), 100 * how["hit"] / max(answers, 1)
        notes = (
            f"{rate:.0f} requests/s, {hits:.1f} % hits, {how['waited']} waited, {how['computed']} computed, "
            f"{len(self.killer.killed)} kills"
        )
        last = answers == client.requests
        return Frame("web", answers, client.requests, "requests", notes, self._table(), last)

    def _table(self) -> tuple[tuple[str, ...], ...]:
        rows = [("worker", "pid", "answers", "computed", "")]
        computing = {pid: page for page, pid in self.cache.computing().items()}
        for seat, pid in self.crew.pids().items():
            state = f"[bold yellow]computes page {computing[pid]}" if pid in computing else ""
            numbers = str(self.client.by_worker[pid]), str(self.client.computed_by[pid])
            rows.append((str(seat + 1), str(pid), *numbers, state))
        return tuple(rows)
