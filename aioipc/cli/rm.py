"""`aioipc rm WHERE…` and `aioipc rm --stale`."""

import sys

import click

from aioipc import IPCError

from .leftovers import remove_leftovers
from .output import json_option, print_json
from .where import WHERE, Where, any_owner_option

__all__ = ["rm"]


@click.command()
@click.argument("where", nargs=-1, type=WHERE)
@click.option("--stale", is_flag=True, help="Remove what killed processes left behind.")
@any_owner_option
@json_option
def rm(where: tuple[Where, ...], stale: bool, any_owner: bool, as_json: bool) -> None:
    """Take segments' names away; processes that use one keep it until they close it.

    --stale removes last_detach segments without a living process, half-made segments whose creator
    was killed, and bells without a segment.
    """
    if bool(where) == stale:
        raise click.UsageError("give names, or --stale")
    removed, failed = (remove_leftovers(), {}) if stale else _remove(where, any_owner)
    if as_json:
        print_json({"removed": removed, "failed": failed})
    else:
        for name in removed:
            click.echo(f"removed {name}")
        if stale and not removed:
            click.echo("nothing stale")
    for reason in failed.values():
        click.echo(f"Error: {reason}", err=True)
    sys.exit(1 if failed else 0)


def _remove(places: tuple[Where, ...], any_owner: bool) -> tuple[list[str], dict[str, str]]:
    """What was removed; why the others were not."""
    removed: list[str] = []
    failed: dict[str, str] = {}
    for where in places:
        try:
            where.remove(any_owner)
            removed.append(where.name)
        except IPCError as error:
            failed[where.name] = str(error)
    return removed, failed
