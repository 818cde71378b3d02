"""What a run of the demo found, and whether it is what was promised."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..alone import Alone, differences, totals_text
from ..counting import FIELDS
from ..outcome import Outcome, spread, spread_text

__all__ = ["LockOutcome", "Together"]


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
        return spread([ns / 1e6 for ns, waited in self.handovers if waited or not waiting_only])


@dataclass(frozen=True)
class LockOutcome(Outcome):
    """The figures of one run."""

    files: int
    workers: int
    together: Together
    alone: Alone

    def promises(self) -> dict[str, list[str]]:
        """Totals equal, segment sane, nothing left in /dev/shm."""
        return {
            "totals equal the single-process run exactly": differences(
                self.together.totals, self.alone.totals
            ),
            "check_sanity() is sound": self.together.findings,
            "nothing is left in /dev/shm": self.together.left_behind,
        }

    @property
    def files_per_second(self) -> float:
        """Of the crew, kills included."""
        return self.files / self.together.seconds

    def figures(self) -> Iterator[str]:
        """How much, how fast, how often killed, how soon went on."""
        together, alone = self.together, self.alone
        yield totals_text(together.totals)
        yield (
            f"[bold]{self.files_per_second:.0f} files/s[/] ({together.seconds:.1f} s) by {self.workers} "
            f"workers under fire, {self.files / alone.seconds:.0f} files/s ({alone.seconds:.1f} s) by one "
            "process alone"
        )
        yield (
            f"{together.kills} kills: the lock was found abandoned {together.recoveries} times, "
            f"{together.repairs} of them with a half-made change, which was finished"
        )
        yield "from a kill to the next holder of the lock:"
        yield "  who was waiting already:  " + spread_text(together.next_holder(waiting_only=True))
        yield "  all, also who came later: " + spread_text(together.next_holder(waiting_only=False))

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
            "totals": {field: total for field, total in zip(FIELDS, together.totals, strict=True) if total},
            "alone": {
                "seconds": self.alone.seconds,
                "differences": differences(together.totals, self.alone.totals),
            },
            "check_sanity": together.findings,
            "left_behind": together.left_behind,
        }
