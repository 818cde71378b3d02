"""`aioipc rm NAME…` and `aioipc rm --stale`."""

import sys

import click

from aioipc import IPCError, ManagedSharedMemory

from .leftovers import remove_leftovers
from .look import any_owner_option, usable
from .output import json_option, print_json

__all__ = ["rm"]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--stale", is_flag=True, help="Remove what killed processes left behind.")
@any_owner_option
@json_option
def rm(names: tuple[str, ...], stale: bool, any_owner: bool, as_json: bool) -> None:
    """Take segments' names away; processes that use one keep it until they close it.

    --stale removes last_detach segments without a living process, half-made segments whose creator
    was killed, and bells without a segment.
    """
    if bool(names) == stale:
        raise click.UsageError("give names, or --stale")
    removed, failed = (remove_leftovers(), {}) if stale else _remove(names, any_owner)
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


def _remove(names: tuple[str, ...], any_owner: bool) -> tuple[list[str], dict[str, str]]:
    """What was removed; why the others were not."""
    removed: list[str] = []
    failed: dict[str, str] = {}
    for name in names:
        usable(name)
    for name in names:
        try:
            if ManagedSharedMemory.remove(name, allow_other_owner=any_owner):
                removed.append(name)
            else:
                failed[name] = f"there is no segment named {name!r}"
        except IPCError as error:
            failed[name] = str(error)
    return removed, failed
