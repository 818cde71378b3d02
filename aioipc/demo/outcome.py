"""What a run of the demo found, and whether it is what was promised."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from .counting import FIELDS

__all__ = ["Outcome", "Together"]


@dataclass(frozen=True)
class Together:
    """What the crew did, and what it left."""

    seconds: float
    totals: list[int]
    kills: int
    recoveries: int
    repairs: int
    handovers: list[tuple[int, bool]]  # ns from a kill to the next holder, and whether it had been waiting
    findings: list[str]  # check_sanity's
    left_behind: list[str]  # in /dev/shm

    def next_holder(self, *, waiting_only: bool) -> dict[str, float]:
        """Milliseconds from a kill to the next holder of the lock."""
        times = sorted(ns / 1e6 for ns, waited in self.handovers if waited or not waiting_only)
        if not times:
            return {"count": 0}
        p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
        return {"count": len(times), "median": median(times), "p99": p99, "max": times[-1]}


@dataclass(frozen=True)
class Outcome:
    """The figures of one run; `sound` when every promise was kept."""

    files: int
    workers: int
    together: Together
    expected: list[int]
    alone_seconds: float

    @property
    def sound(self) -> bool:
        """Totals equal, segment sane, nothing left in /dev/shm."""
        together = self.together
        return together.totals == self.expected and not together.findings and not together.left_behind

    @property
    def files_per_second(self) -> float:
        """Of the crew, kills included."""
        return self.files / self.together.seconds

    def differences(self) -> Iterator[str]:
        """One line for each counter that differs from the single-process run's."""
        for field, total, expected in zip(FIELDS, self.together.totals, self.expected, strict=True):
            if total != expected:
                yield f"{field}: {total:,}, expected {expected:,}"

    def counters(self) -> dict[str, int]:
        """The totals that are not zero, by name."""
        return {field: total for field, total in zip(FIELDS, self.together.totals, strict=True) if total}

    def as_json(self) -> dict[str, Any]:
        """Everything, for --json."""
        together = self.together
        return {
            "sound": self.sound,
            "files": self.files,
            "workers": self.workers,
            "seconds": together.seconds,
            "files_per_second": self.files_per_second,
            "kills": together.kills,
            "recoveries": together.recoveries,
            "repairs": together.repairs,
            "kill_to_next_holder_ms": {
                "waiting": together.next_holder(waiting_only=True),
                "all": together.next_holder(waiting_only=False),
            },
            "totals": self.counters(),
            "alone": {"seconds": self.alone_seconds, "differences": list(self.differences())},
            "check_sanity": together.findings,
            "left_behind": together.left_behind,
        }
