"""What there is to show of a run at one moment, and who shows it."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["FRAME", "Frame", "Screen"]

FRAME = 0.1
"""Seconds from one frame to the next."""


@dataclass(frozen=True)
class Frame:
    """One moment of one step of a demo.  Texts may have rich's markup."""

    step: str
    done: int
    total: int
    unit: str
    notes: str = ""
    """What else there is to say, in some words."""
    table: tuple[tuple[str, ...], ...] = ()
    """A row for each worker, below a row of headings."""
    last: bool = False
    """Whether the step is over."""


class Screen(Protocol):
    """Shows progress; called about ten times a second."""

    def show(self, frame: Frame) -> None:
        """Now it looks like this."""
