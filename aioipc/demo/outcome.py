"""What every part of the demo gives in the end: figures, and promises that were kept or broken."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from statistics import median
from typing import Any

__all__ = ["Outcome", "spread", "spread_text", "verdict"]


class Outcome(ABC):
    """What one run found."""

    @abstractmethod
    def figures(self) -> Iterator[str]:
        """Lines to print, with rich's markup."""

    @abstractmethod
    def promises(self) -> dict[str, list[str]]:
        """What was promised, and for each promise what breaks it: nothing, hopefully."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Everything, for --json."""

    @property
    def sound(self) -> bool:
        """Whether every promise was kept."""
        return not any(self.promises().values())


def verdict(outcome: Outcome) -> Iterator[str]:
    """The figures, and a line for each promise."""
    yield from outcome.figures()
    for promise, broken in outcome.promises().items():
        if broken:
            yield f"[bold red]✗ not true: {promise}[/]: " + "; ".join(broken)
        else:
            yield f"[green]✓[/] {promise}"


def spread(milliseconds: list[float]) -> dict[str, float]:
    """How a set of times is spread; only the count when there are none."""
    times = sorted(milliseconds)
    if not times:
        return {"count": 0}
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    return {"count": len(times), "median": median(times), "p99": p99, "max": times[-1]}


def spread_text(times: dict[str, float]) -> str:
    """The same in words."""
    if not times["count"]:
        return "none"
    figures = ", ".join(f"{name} {times[name]:.2f} ms" for name in ("median", "p99", "max"))
    return f"{figures} ({times['count']:.0f})"
