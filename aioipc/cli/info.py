"""`aioipc info NAME`."""

from dataclasses import asdict
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table

from aioipc import ManagedSharedMemory, NotFoundError, SegmentInfo
from aioipc.objects import type_name

from .look import Look, any_owner_option, look, opened
from .output import age, console, json_option, print_json, size

__all__ = ["info"]


@click.command()
@click.argument("name")
@any_owner_option
@json_option
def info(name: str, any_owner: bool, as_json: bool) -> None:
    """Show one segment: sizes, participants, named objects."""
    with opened(name, any_owner) as segment:
        seen, objects = look(_header(segment), segment), _objects(segment)
    if as_json:
        participants = [asdict(other) for other in seen.others]
        print_json(seen.as_json() | {"participants": participants, "objects": objects})
        return
    for part in (_facts(seen), _participants(seen), _object_table(objects)):
        console().print(part)


def _header(segment: ManagedSharedMemory) -> SegmentInfo:
    for found in ManagedSharedMemory.all():
        if found.uuid == segment.uuid:
            return found
    raise NotFoundError(f"segment {segment.name!r} has just been removed")


def _objects(segment: ManagedSharedMemory) -> list[dict[str, Any]]:
    return [
        {"name": name.decode(errors="replace"), "type": type_name(number), "bytes": length, "pins": pins}
        for _kind, name, number, _count, length, pins in segment._attachment.objects()
    ]


def _facts(seen: Look) -> RenderableType:
    header = seen.info
    facts = Table.grid(padding=(0, 2))
    facts.add_row("name", header.name)
    facts.add_row("uuid", str(header.uuid))
    facts.add_row("size", f"{size(header.size)}, may grow to {size(header.max_size)}")
    if seen.used is not None and seen.free is not None:
        facts.add_row("used", f"{size(seen.used)}, {size(seen.free)} free")
    if seen.algorithm is not None:
        facts.add_row("algorithm", seen.algorithm)
    facts.add_row("created", f"{age(header.created_at)} ago by process {header.creator_pid}")
    facts.add_row("owner", f"{seen.owner}, mode {header.mode:04o}")
    facts.add_row("lifetime", seen.lifetime)
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
