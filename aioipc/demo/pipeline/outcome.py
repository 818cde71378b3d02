"""What a run of the pipeline found, and whether it is what was promised."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aioipc import QueueStatistics

from ..alone import Alone, differences, totals_text
from ..counting import FIELDS
from ..outcome import Outcome
from .belt import Entry

__all__ = ["PipelineOutcome"]


@dataclass(frozen=True)
class PipelineOutcome(Outcome):
    """The figures of one run."""

    paths: list[str]
    seconds: float
    kills: int
    results: dict[str, Entry]
    queue: QueueStatistics
    findings: list[str]  # check_sanity's
    left_behind: list[str]  # in /dev/shm
    alone: Alone

    def promises(self) -> dict[str, list[str]]:
        """Every file once, totals equal, nothing pending, segment sane, nothing left in /dev/shm."""
        missing = [f"no entry: {path}" for path in self.paths if path not in self.results]
        extra = [f"unknown entry: {path}" for path in self.results.keys() - set(self.paths)]
        pending = {name: getattr(self.queue, name) for name in ("qsize", "leased", "unfinished")}
        return {
            "totals equal the single-process run exactly": differences(self.totals(), self.alone.totals),
            "there is one entry for each file": missing + extra,
            "every item was dealt with": [
                f"{name} is {number}" for name, number in pending.items() if number
            ],
            "check_sanity() is sound": self.findings,
            "nothing is left in /dev/shm": self.left_behind,
        }

    def totals(self) -> list[int]:
        """The sum of all entries."""
        columns = zip(*(entry["counts"] for entry in self.results.values()), strict=True)
        return [sum(column) for column in columns] or [0] * len(FIELDS)

    def deliveries(self) -> dict[int, int]:
        """How many files were delivered so many times."""
        return dict(sorted(Counter(entry["deliveries"] for entry in self.results.values()).items()))

    def by_kind(self) -> dict[str, int]:
        """How many files each kind of consumer finished."""
        return dict(sorted(Counter(entry["by"] for entry in self.results.values()).items()))

    def figures(self) -> Iterator[str]:
        """How much, how fast, how often killed, how often delivered."""
        files, alone = len(self.paths), self.alone.seconds
        yield totals_text(self.totals())
        yield (
            f"[bold]{files / self.seconds:.0f} files/s[/] ({self.seconds:.1f} s) by three consumers under "
            f"fire, {files / alone:.0f} files/s ({alone:.1f} s) by one process alone"
        )
        yield "finished by " + ", ".join(f"{kind}: {number}" for kind, number in self.by_kind().items())
        again = [f"{number} files {times} times" for times, number in self.deliveries().items() if times > 1]
        yield (
            f"{self.kills} kills: {self.queue.returned} leases came back; "
            f"delivered more than once: {', '.join(again) or 'none'}"
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, for --json."""
        totals = zip(FIELDS, self.totals(), strict=True)
        return {
            "sound": self.sound,
            "broken": {promise: broken for promise, broken in self.promises().items() if broken},
            "files": len(self.paths),
            "entries": len(self.results),
            "seconds": self.seconds,
            "files_per_second": len(self.paths) / self.seconds,
            "kills": self.kills,
            "leases_returned": self.queue.returned,
            "files_by_deliveries": self.deliveries(),
            "files_by_consumer": self.by_kind(),
            "totals": {field: total for field, total in totals if total},
            "alone": {
                "seconds": self.alone.seconds,
                "differences": differences(self.totals(), self.alone.totals),
            },
            "check_sanity": self.findings,
            "left_behind": self.left_behind,
        }
