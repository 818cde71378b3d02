"""`aioipc demo`."""

import importlib
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from .output import console, json_option, print_json

if TYPE_CHECKING:
    from aioipc.demo.outcome import Outcome
    from aioipc.demo.run import Options

__all__ = ["demo"]

_INTERRUPTED = 130


@click.command()
@click.option("--files", type=click.IntRange(min=1), help="Only so many files.")
@click.option("--workers", type=click.IntRange(1, 32), default=4, show_default=True, help="Worker processes.")
@click.option(
    "--kill-every",
    type=click.FloatRange(min=1),
    default=50,
    show_default=True,
    metavar="MS",
    help="Milliseconds from one kill to the next.",
)
@json_option
def demo(files: int | None, workers: int, kill_every: float, as_json: bool) -> None:
    """Count the standard library with four processes, and kill one every 50 ms.

    They run on asyncio, uvloop, trio and a plain thread, and share one Block of counters under one Lock.
    Exits with 1 when the totals differ from a single process's, or anything is damaged or left behind.
    """
    _require("trio", "uvloop")
    from aioipc.demo.crew import WorkerFailedError
    from aioipc.demo.run import Options

    try:
        outcome = _run(Options(files, workers, kill_every / 1000), as_json)
    except KeyboardInterrupt:
        click.echo("interrupted; the workers are gone, and the segment with them", err=True)
        sys.exit(_INTERRUPTED)
    except WorkerFailedError as error:
        raise click.ClickException(str(error)) from None
    _show(outcome, as_json)
    sys.exit(0 if outcome.sound else 1)


def _require(*modules: str) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            raise click.ClickException("the demo needs trio and uvloop: pip install 'aioipc[demo]'") from None


def _run(options: "Options", as_json: bool) -> "Outcome":
    from aioipc.demo.run import run
    from aioipc.demo.screens import LiveScreen, PlainScreen, SilentScreen

    if as_json:
        return run(options, SilentScreen())
    terminal = console()
    screen = LiveScreen(terminal) if terminal.is_terminal else nullcontext(PlainScreen(terminal))
    with screen as shown:
        return run(options, shown)


def _show(outcome: "Outcome", as_json: bool) -> None:
    from aioipc.demo.verdict import verdict

    if as_json:
        print_json(outcome.as_json())
        return
    terminal = console()
    for line in verdict(outcome):
        terminal.print(line)
