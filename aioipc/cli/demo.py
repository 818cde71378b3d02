"""`aioipc demo`."""

import importlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from .output import console, json_option, print_json

if TYPE_CHECKING:
    from aioipc.demo.frame import Screen
    from aioipc.demo.outcome import Outcome

    _Part = Callable[[Screen], Outcome]

__all__ = ["demo"]

_INTERRUPTED = 130
_EXTRA = ("trio", "uvloop", "uvicorn")

_requests = click.option(
    "--requests",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Requests to the server.",
)
_files = click.option("--files", type=click.IntRange(min=1), help="Only so many files.")


def _kill_every(milliseconds: int) -> Callable[..., Callable[..., None]]:
    return click.option(
        "--kill-every",
        type=click.FloatRange(min=1),
        default=milliseconds,
        show_default=True,
        metavar="MS",
        help="Milliseconds from one kill to the next.",
    )


@click.group(invoke_without_command=True)
@_requests
@_files
@json_option
@click.pass_context
def demo(context: click.Context, requests: int, files: int | None, as_json: bool) -> None:
    """Real programs on shared memory, whose processes are killed while they work.

    Without a command: the web server, then the pipeline.  Exits with 1 when anything promised is not so.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    _require(*_EXTRA)
    _perform({"web": _web(requests, min(40, requests), 3, 3), "pipeline": _pipeline(files, 200)}, as_json)


@demo.command()
@_requests
@click.option("--pages", type=click.IntRange(2, 200), default=40, show_default=True, help="Pages.")
@click.option("--workers", type=click.IntRange(2, 16), default=3, show_default=True, help="uvicorn workers.")
@click.option("--kills", type=click.IntRange(0, 50), default=3, show_default=True, help="Workers to kill.")
@json_option
def web(requests: int, pages: int, workers: int, kills: int, as_json: bool) -> None:
    """Load a uvicorn server whose workers share a cache, and kill some while they compute a page.

    Each page is computed by one worker while the others wait for it.
    """
    if pages > requests:
        raise click.BadParameter(f"{pages} pages need at least as many requests", param_hint="--pages")
    _require(*_EXTRA)
    _perform({"web": _web(requests, pages, workers, kills)}, as_json)


@demo.command()
@_files
@_kill_every(200)
@json_option
def pipeline(files: int | None, kill_every: float, as_json: bool) -> None:
    """Put the standard library through a Queue to three consumers, and kill one every 200 ms.

    They run on asyncio, trio and a plain thread, lease each file and write one SharedDict entry for it.
    """
    _require(*_EXTRA)
    _perform({"pipeline": _pipeline(files, kill_every)}, as_json)


@demo.command()
@_files
@click.option("--workers", type=click.IntRange(1, 32), default=4, show_default=True, help="Worker processes.")
@_kill_every(50)
@json_option
def lock(files: int | None, workers: int, kill_every: float, as_json: bool) -> None:
    """Count the standard library with four processes, and kill one every 50 ms.

    They run on asyncio, uvloop, trio and a plain thread, and share one Block of counters under one Lock.
    """
    _require(*_EXTRA)
    from aioipc.demo.lock.run import Options, run

    options = Options(files, workers, kill_every / 1000)
    _perform({"lock": lambda screen: run(options, screen)}, as_json)


def _refuse_options(context: click.Context, command: str) -> None:
    """Rather than ignore them in silence."""
    given = click.core.ParameterSource.COMMANDLINE
    for option in context.command.params:
        if option.name and context.get_parameter_source(option.name) is given:
            raise click.UsageError(
                f"options stand behind the command: aioipc demo {command} {option.opts[0]}"
            )


def _web(requests: int, pages: int, workers: int, kills: int) -> "_Part":
    from aioipc.demo.web.run import Options, run

    return lambda screen: run(Options(requests, pages, workers, kills), screen)


def _pipeline(files: int | None, kill_every: float) -> "_Part":
    from aioipc.demo.pipeline.run import Options, run

    return lambda screen: run(Options(files, kill_every / 1000), screen)


def _require(*modules: str) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            needed = ", ".join(_EXTRA)
            raise click.ClickException(f"the demo needs {needed}: pip install 'aioipc[demo]'") from None


def _perform(parts: "dict[str, _Part]", as_json: bool) -> None:
    """Run the parts, print what they found, and exit."""
    from aioipc.demo.crew import WorkerFailedError

    try:
        outcomes = _run(parts, as_json)
    except KeyboardInterrupt:
        click.echo("interrupted; the workers are gone, and the segment with them", err=True)
        sys.exit(_INTERRUPTED)
    except WorkerFailedError as error:
        raise click.ClickException(str(error)) from None
    _show(outcomes, as_json)
    sys.exit(0 if all(outcome.sound for outcome in outcomes.values()) else 1)


def _run(parts: "dict[str, _Part]", as_json: bool) -> "dict[str, Outcome]":
    from aioipc.demo.screens import LiveScreen, PlainScreen, SilentScreen

    if as_json:
        return {name: part(SilentScreen()) for name, part in parts.items()}
    terminal = console()
    screen = LiveScreen(terminal) if terminal.is_terminal else nullcontext(PlainScreen(terminal))
    with screen as shown:
        return {name: part(shown) for name, part in parts.items()}


def _show(outcomes: "dict[str, Outcome]", as_json: bool) -> None:
    from aioipc.demo.outcome import verdict

    if as_json and len(outcomes) == 1:
        print_json(next(iter(outcomes.values())).as_json())
    elif as_json:
        sound = all(outcome.sound for outcome in outcomes.values())
        print_json({"sound": sound, **{name: outcome.as_json() for name, outcome in outcomes.items()}})
    else:
        terminal = console()
        for name, outcome in outcomes.items():
            terminal.print(f"\n[bold]{name}[/]" if len(outcomes) > 1 else "")
            for line in verdict(outcome):
                terminal.print(line)
