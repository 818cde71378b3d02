"""What a run of the web server found, and whether it is what was promised."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..outcome import Outcome, spread, spread_text

__all__ = ["WebOutcome"]


@dataclass(frozen=True)
class WebOutcome(Outcome):
    """The figures of one run; pages are known by their number."""

    pages: int
    workers: int
    kills_wanted: int
    seconds: float
    how: dict[str, int]  # answers, by how the worker came by the page
    answers: dict[int, int]  # by the worker's pid
    broken: int  # connections
    seen: dict[int, dict[str, list[int]]]  # page: digest of each version seen: the workers it came from
    cached: dict[int, str]  # page: digest of what is in the cache at the end
    computations: dict[int, int]
    kills: int
    killed_over: dict[int, int]  # page: how many workers were killed while they computed it
    killed_at: dict[int, int]  # ns, by page
    taken_over: dict[int, int]  # ns, by page
    abandoned: int  # locks taken over from a dead process
    findings: list[str]  # check_sanity's
    left_behind: list[str]  # in /dev/shm

    def promises(self) -> dict[str, list[str]]:
        """All answered, one computation for each page and kill, one version of each page, nothing left."""
        failed = self.how.get("failed", 0)
        return {
            "every request was answered with a page": [f"{failed} were not"] if failed else [],
            "each page was computed once, and once more for each killed computer": list(self._miscounted()),
            "all workers saw the same data": list(self._contradictions()),
            f"{self.kills_wanted} workers were killed while they computed": self._kills_missing(),
            "check_sanity() is sound": self.findings,
            "nothing is left in /dev/shm": self.left_behind,
        }

    def _miscounted(self) -> Iterator[str]:
        for page in range(self.pages):
            begun, right = self.computations.get(page, 0), 1 + self.killed_over.get(page, 0)
            if begun != right:
                yield f"page {page}: {begun} computations, expected {right}"

    def _contradictions(self) -> Iterator[str]:
        for page in range(self.pages):
            versions = self.seen.get(page, {})
            if len(versions) != 1:
                yield f"page {page} was seen in {len(versions)} versions"
            elif self.cached.get(page) not in versions:
                yield f"page {page} was seen otherwise than it is in the cache"
        if len(self.answers) < 2:
            yield "there was only one that answered"

    def _kills_missing(self) -> list[str]:
        return [] if self.kills == self.kills_wanted else [f"only {self.kills} could be caught at it"]

    @property
    def requests(self) -> int:
        """How many were answered."""
        return sum(self.how.values())

    @property
    def hit_ratio(self) -> float:
        """The share of requests whose page was there at once."""
        return self.how.get("hit", 0) / max(self.requests, 1)

    def takeovers(self) -> dict[str, float]:
        """Milliseconds from a kill to the next process that begins to compute the page."""
        killed = self.killed_at.items()
        return spread([(self.taken_over[page] - at) / 1e6 for page, at in killed if page in self.taken_over])

    def figures(self) -> Iterator[str]:
        """How fast, how well cached, how often killed and what of it was noticed."""
        how, total = self.how, sum(self.computations.values())
        yield (
            f"[bold]{self.requests / self.seconds:.0f} requests/s[/] ({self.requests} in "
            f"{self.seconds:.1f} s) by {self.workers} uvicorn workers under fire"
        )
        ways = f"{how.get('hit', 0)} hits, {how.get('waited', 0)} waited while another computed the page"
        yield f"[bold]hit ratio {100 * self.hit_ratio:.1f} %[/]: {ways}, {how.get('computed', 0)} computed it"
        more = f"{sum(self.killed_over.values())} were killed with their worker"
        yield f"{self.pages} pages, {total} computations, of which {more}"
        yield (
            f"{self.kills} workers killed while they computed: {self.abandoned} locks found abandoned, "
            f"{self.broken} connections broken and retried"
        )
        yield "from a kill to the next worker that computes the page: " + spread_text(self.takeovers())
        most = max((len(workers) for page in self.seen.values() for workers in page.values()), default=0)
        yield f"{len(self.answers)} processes answered; the same page came from up to {most} of them"

    def as_json(self) -> dict[str, Any]:
        """Everything, for --json."""
        return {
            "sound": self.sound,
            "broken_promises": {promise: broken for promise, broken in self.promises().items() if broken},
            "workers": self.workers,
            "pages": self.pages,
            "requests": self.requests,
            "seconds": self.seconds,
            "requests_per_second": self.requests / self.seconds,
            "hit_ratio": self.hit_ratio,
            "answers_by_cache": self.how,
            "answers_by_worker": self.answers,
            "broken_connections": self.broken,
            "versions_seen": {page: len(versions) for page, versions in self.seen.items()},
            "computations": self.computations,
            "kills": self.kills,
            "killed_over_page": self.killed_over,
            "abandoned": self.abandoned,
            "kill_to_next_computer_ms": self.takeovers(),
            "check_sanity": self.findings,
            "left_behind": self.left_behind,
        }
