"""`aioipc map WHERE`."""

import shutil
import sys
from dataclasses import dataclass
from typing import Any

import click
from rich.text import Text

from aioipc._native import _core

from .output import console, json_option, print_json, size
from .where import WHERE, Where, any_owner_option

__all__ = ["heap_map"]

# What a cell is mostly made of: name, characters (the second where the terminal has no blocks), color.
_KINDS = (
    ("free", "·", ".", "green"),
    ("trimmed", "╌", "-", "cyan"),
    ("user", "█", "#", "bright_blue"),
    ("objects", "▒", "o", "yellow"),
    ("parts", "▓", "+", "magenta"),
    ("own", "░", "%", "bright_black"),
)
_WORDS = {
    "free": "free",
    "trimmed": "free, its pages given back to the system",
    "user": "blocks of users",
    "objects": "names and objects",
    "parts": "contents of containers",
    "own": "the segment's own records",
}


@dataclass(frozen=True)
class _Picture:
    size: int
    width: int
    cells: list[tuple[int, ...]]  # bytes of each kind
    free_blocks: dict[int, int]
    free: int
    largest: int

    @property
    def totals(self) -> dict[str, int]:
        return {kind[0]: sum(cell[n] for cell in self.cells) for n, kind in enumerate(_KINDS)}

    @property
    def fragmentation(self) -> float:
        """Which part of what is free one allocation cannot have."""
        return 1 - self.largest / self.free if self.free > 0 else 0.0


@click.command("map")
@click.argument("where", type=WHERE)
@click.option("--width", type=click.IntRange(8, 1000), help="Characters of a line; the terminal's.")
@click.option("--lines", type=click.IntRange(1, 1000), default=16, show_default=True, help="Lines.")
@any_owner_option
@json_option
def heap_map(where: Where, width: int | None, lines: int, any_owner: bool, as_json: bool) -> None:
    """Draw what a segment's memory is used for.

    Each character is an equal part of the segment, from the first byte to the last, and shows what most of it
    is.  Others that allocate wait for the walk.
    """
    columns = width or max(8, shutil.get_terminal_size().columns)
    with where.open(any_owner) as segment:
        picture = _picture(segment, columns * lines)
    if as_json:
        print_json(_as_json(where.name, picture))
        return
    out = console()
    for part in (_drawing(picture, columns), _legend(picture)):
        out.print(part, soft_wrap=True)
    out.print(_free_words(picture), soft_wrap=True)


def _picture(segment: Any, count: int) -> _Picture:
    total, width, cells, free_blocks = _core.heap_map(segment._attachment, count)
    shown: list[tuple[int, ...]] = [
        (*cell, max(0, min(width, total - n * width) - sum(cell)))
        for n, cell in enumerate(cells)
        if n * width < total
    ]
    return _Picture(total, width, shown, free_blocks, segment.free_memory, segment.largest_free_block)


def _blocks_can_be_shown() -> bool:
    try:
        "".join(kind[1] for kind in _KINDS).encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _drawing(picture: _Picture, columns: int) -> Text:
    which = 1 if _blocks_can_be_shown() else 2
    drawn = Text()
    for n, cell in enumerate(picture.cells):
        kind = _KINDS[cell.index(max(cell))]
        drawn.append("\n" if n and n % columns == 0 else "")
        drawn.append(str(kind[which]), style=kind[3])
    return drawn


def _legend(picture: _Picture) -> Text:
    which = 1 if _blocks_can_be_shown() else 2
    legend = Text(f"one character is {size(picture.width)} of {size(picture.size)}")
    for kind in _KINDS:
        total = picture.totals[kind[0]]
        legend.append(f"\n{kind[which]}", style=kind[3])
        legend.append(f" {size(total):>10} {total / picture.size:4.0%}  {_WORDS[kind[0]]}")
    return legend


def _free_words(picture: _Picture) -> str:
    blocks = sum(picture.free_blocks.values())
    pieces = "one piece" if blocks == 1 else f"{blocks} pieces"
    return (
        f"free: {pieces}, the largest allocation that fits now has {size(picture.largest)}; "
        f"fragmentation {picture.fragmentation:.0%}"
    )


def _as_json(name: str, picture: _Picture) -> dict[str, Any]:
    kinds = [kind[0] for kind in _KINDS]
    return {
        "name": name,
        "size": picture.size,
        "cell": picture.width,
        "totals": picture.totals,
        "free": picture.free,
        "largest": picture.largest,
        "fragmentation": picture.fragmentation,
        "free_blocks": {str(1 << n): count for n, count in picture.free_blocks.items()},
        "cells": [dict(zip(kinds, cell, strict=True)) for cell in picture.cells],
    }
