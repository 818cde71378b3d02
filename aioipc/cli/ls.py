"""`aioipc ls [WHERE]…`."""

import sys

import click
from rich.table import Table

from .leftovers import remove_dead_segments
from .look import Look, lifetime, looks, owner
from .output import age, console, json_option, print_json, size
from .where import WHERE, Where, everywhere

__all__ = ["ls"]


@click.command()
@click.argument("where", nargs=-1, type=WHERE)
@json_option
def ls(where: tuple[Where, ...], as_json: bool) -> None:
    """List segments: all in shared memory, or those of these names, files and directories.

    A last_detach segment whose last user was killed is removed, and named on stderr.  Of a damaged segment
    nothing is known but its name and what is wrong.  Exits with 1 when what was named is no segment.
    """
    if not where:
        for name in remove_dead_segments():
            click.echo(f"removed {name}: its last user was killed", err=True)
    found = list(looks(everywhere(where)))
    if as_json:
        print_json([one.as_json() for one in found])
    elif found:
        console().print(_table(found))
    for one in found:
        if one.trouble:
            click.echo(f"{one.name}: {one.trouble}", err=True)
    sys.exit(1 if where and any(one.info is None for one in found) else 0)


def _table(found: list[Look]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("name", overflow="fold")
    for heading in ("size", "used", "free", "largest", "alive", "dead", "age"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("owner", no_wrap=True)
    table.add_column("lifetime", no_wrap=True)
    for one in found:
        if one.info is None:
            table.add_row(one.name, "damaged" if one.damaged else "?", *["?"] * (len(table.columns) - 2))
            continue
        sizes = [size(one.info.size), *map(_or_unknown, (one.used, one.free, one.largest))]
        numbers = ["?" if number is None else str(number) for number in (one.alive, one.dead)]
        rest = [age(one.info.created_at), owner(one.info), lifetime(one.info)]
        table.add_row(one.name, *sizes, *numbers, *rest)
    return table


def _or_unknown(count: int | None) -> str:
    return "?" if count is None else size(count)
