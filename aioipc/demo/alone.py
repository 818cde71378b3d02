"""The same count by one process, to compare with."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from .counting import FIELDS, FILES, count
from .frame import FRAME, Frame, Screen

__all__ = ["Alone", "count_alone", "differences", "totals_text"]


@dataclass(frozen=True)
class Alone:
    """What one process counted, and in which time."""

    totals: list[int]
    seconds: float


def count_alone(paths: list[str], screen: Screen, stop_if_asked: Callable[[], None]) -> Alone:
    """Count all the files, one after the other."""
    started = time.monotonic()
    totals = [0] * len(FIELDS)
    next_frame = 0.0
    with warnings.catch_warnings(action="ignore"):  # what the tokenizer thinks of old test files
        for done, path in enumerate(paths):
            stop_if_asked()
            if time.monotonic() >= next_frame:
                screen.show(Frame("alone", done, len(paths), "files"))
                next_frame = time.monotonic() + FRAME
            totals = [total + number for total, number in zip(totals, count(path), strict=True)]
    screen.show(Frame("alone", len(paths), len(paths), "files", last=True))
    return Alone(totals, time.monotonic() - started)


def differences(totals: list[int], expected: list[int]) -> list[str]:
    """One line for each counter that differs from the single-process run's."""
    return [
        f"{field}: {total:,}, expected {right:,}"
        for field, total, right in zip(FIELDS, totals, expected, strict=True)
        if total != right
    ]


def totals_text(totals: list[int]) -> str:
    """What was counted, in one line."""
    counted = dict(zip(FIELDS, totals, strict=True))
    tokens = sum(number for field, number in counted.items() if field.isupper())
    return (
        f"{totals[FILES]} files, {counted['lines']:,} lines, {counted['bytes']:,} bytes, {tokens:,} tokens; "
        f"{counted['not tokenized']} files do not tokenize"
    )
