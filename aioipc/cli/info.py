"""`aioipc info WHERE`."""

from dataclasses import asdict
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table

from aioipc import Holder, ManagedSegment, SegmentInfo

from .look import Look, lifetime, look, owner
from .output import age, console, json_option, print_json, size
from .where import WHERE, Where, any_owner_option

__all__ = ["info"]


@click.command()
@click.argument("where", type=WHERE)
@any_owner_option
@json_option
def info(where: Where, any_owner: bool, as_json: bool) -> None:
    """Show one segment: sizes, participants, named objects, who holds what."""
    with where.open(any_owner) as segment:
        header = where.info()
        seen, objects = look(header, segment), _objects(segment)
        mine = {(other.slot, other.generation) for other in segment.participants() if other.is_self}
        holders = [one for one in segment.holders() if (one.slot, one.generation) not in mine]
    if as_json:
        participants = [asdict(other) for other in seen.others]
        held = [asdict(holder) for holder in holders]
        print_json(seen.as_json() | {"participants": participants, "objects": objects, "holders": held})
        return
    for part in (_facts(seen, header), _participants(seen), _object_table(objects), _holder_table(holders)):
        console().print(part)


def _objects(segment: ManagedSegment) -> list[dict[str, Any]]:
    """Named and unique objects."""
    return [
        {
            "name": info.name or info.type_name,
            "kind": info.kind,
            "type": info.type_name,
            "count": info.count,
            "bytes": info.size,
            "pins": info.pins,
        }
        for info in segment.named_objects() + segment.unique_objects()
    ]


def _facts(seen: Look, header: SegmentInfo) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("name", header.name)
    facts.add_row("uuid", str(header.uuid))
    facts.add_row("size", f"{size(header.size)}, may grow to {size(header.max_size)}")
    if seen.used is not None and seen.free is not None and seen.largest is not None:
        facts.add_row("used", f"{size(seen.used)}, {size(seen.free)} free, in one piece {size(seen.largest)}")
    if seen.algorithm is not None:
        facts.add_row("algorithm", seen.algorithm)
    facts.add_row("created", f"{age(header.created_at)} ago by process {header.creator_pid}")
    facts.add_row("owner", f"{owner(header)}, mode {header.mode:04o}")
    facts.add_row("lifetime", lifetime(header))
    facts.add_row("processes", f"{len(seen.others)}, of {header.participants} at most")
    return facts


def _participants(seen: Look) -> RenderableType:
    if not seen.others:
        return ""
    table = Table("pid", "state", "slot", "attached", box=None, pad_edge=False)
    for other in seen.others:
        state = "alive" if other.alive else "dead, not cleaned up after"
        table.add_row(str(other.pid), state, str(other.slot), age(other.attached_at))
    return table


def _object_table(objects: list[dict[str, Any]]) -> RenderableType:
    if not objects:
        return "no named objects"
    table = Table("object", "type", "bytes", "pins", box=None, pad_edge=False)
    for found in objects:
        table.add_row(found["name"], found["type"], str(found["bytes"]), str(found["pins"]))
    return table


def _holder_table(holders: list[Holder]) -> RenderableType:
    """What matters to whoever wonders why something does not go on: not the handles."""
    table = Table.grid()
    for holder in holders:
        if holder.what != "handle":
            table.add_row(str(holder))
    return table
