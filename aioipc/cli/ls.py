"""`aioipc ls`."""

import click
from rich.table import Table

from aioipc import _names

from .leftovers import remove_dead_segments
from .look import Look, looks
from .output import age, console, json_option, print_json, size

__all__ = ["ls"]


@click.command()
@json_option
def ls(as_json: bool) -> None:
    """List the named segments.

    A last_detach segment whose last user was killed is removed, and named on stderr.  Of a damaged segment
    nothing is known but its name and what is wrong.
    """
    for name in remove_dead_segments():
        click.echo(f"removed {name}: its last user was killed", err=True)
    found, damaged = list(looks()), _names.damaged()
    if as_json:
        wrecks = [{"name": name, "damaged": True, "trouble": str(error)} for name, error in damaged.items()]
        print_json([one.as_json() for one in found] + wrecks)
        return
    if found or damaged:
        console().print(_table(found, list(damaged)))
    troubles = {one.info.name: one.trouble for one in found if one.trouble}
    for name, trouble in (troubles | damaged).items():
        click.echo(f"{name}: {trouble}", err=True)


def _table(found: list[Look], damaged: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("name", overflow="fold")
    for heading in ("size", "used", "free", "alive", "dead", "age"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("owner", no_wrap=True)
    table.add_column("lifetime", no_wrap=True)
    for one in found:
        sizes = [size(one.info.size), _or_unknown(one.used), _or_unknown(one.free)]
        numbers = ["?" if number is None else str(number) for number in (one.alive, one.dead)]
        table.add_row(one.info.name, *sizes, *numbers, age(one.info.created_at), one.owner, one.lifetime)
    for name in damaged:
        table.add_row(name, "damaged", *["?"] * (len(table.columns) - 2))
    return table


def _or_unknown(count: int | None) -> str:
    return "?" if count is None else size(count)
