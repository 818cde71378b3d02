"""How the commands print: tables for people, JSON for programs, sizes and ages in words."""

import json
import time
from typing import Any

import click
from rich.console import Console

__all__ = ["age", "console", "json_option", "print_json", "size"]

_WIDE = 500

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def console() -> Console:
    """Where people read; lines that go into a file or a pipe are not broken."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=_WIDE)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2))


def size(count: int) -> str:
    """1536 is "1.5 KiB"."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        amount /= 1024
        if amount < 1024 or unit == "TiB":
            break
    return f"{amount:.1f} {unit}"


def age(created_at: float) -> str:
    """How long ago a moment (seconds since the epoch) was: "7 s", "12 min", "3 h", "5 d"."""
    seconds = max(0.0, time.time() - created_at)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
