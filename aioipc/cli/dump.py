"""`aioipc dump WHERE [NAME]…`."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

import click

from aioipc import (
    Array,
    BufferIO,
    IPCError,
    ManagedSegment,
    Queue,
    QueueEmpty,
    QueueShutDown,
    ReadOnlyArray,
    ReadOnlySegment,
    ReadOnlyStruct,
    SharedDict,
    SharedObject,
    VectorIO,
    unique_instance,
)
from aioipc._native import _core
from aioipc.atomics import Atomic
from aioipc.object_info import Listed
from aioipc.objects import known_type, type_name
from aioipc.read_only_places import ReadOnlyAtomic, ReadOnlyPointer
from aioipc.read_only_primitives import PEEKS

from .described import described_type
from .output import json_option, print_json
from .plain import plain
from .where import WHERE, Where, any_owner_option

__all__ = ["FORMAT", "dump"]

FORMAT = 1
_PRIVATE = {"mine", "my_reads", "depth", "borrowers"}  # of this process, which holds nothing


@click.command()
@click.argument("where", type=WHERE)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--no-items", is_flag=True, help="Without the items of queues.")
@any_owner_option
@json_option
def dump(where: Where, names: tuple[str, ...], no_items: bool, any_owner: bool, as_json: bool) -> None:
    """Print the named objects of a segment and their values as JSON, or only those of these names.

    Reads without a lock, beside whoever writes; the items of queues come from a private copy of the whole
    segment.  Exits with 1 when an object cannot be read, which its "trouble" says.
    """
    with ExitStack() as stack:
        segment = stack.enter_context(where.open(any_owner))
        reader = stack.enter_context(where.kind.open_read_only(where.name, allow_other_owner=any_owner))
        found = sorted(
            _core.listed(segment._attachment, 0, None, None, None), key=lambda one: (one[1], one[0])
        )
        wanted = {name.encode() for name in names}
        objects = [_dumped(segment, reader, one) for one in found if not wanted or one[1] in wanted]
        queues = [one for one in objects if one["type"] == "Queue" and "trouble" not in one]
        if not no_items and any(one["state"]["qsize"] for one in queues):
            _add_items(where, any_owner, queues)
        print_json(
            {
                "format": FORMAT,
                "name": where.name,
                "uuid": str(segment.uuid),
                "size": segment.size,
                "objects": objects,
            }
        )
    missing = sorted({*names} - {one["name"] for one in objects})
    for name in missing:
        click.echo(f"Error: there is no object named {name!r}", err=True)
    sys.exit(1 if missing or any("trouble" in one for one in objects) else 0)


def _dumped(segment: ManagedSegment, reader: ReadOnlySegment, found: Listed) -> dict[str, Any]:
    kind, name, number, count, size, pins, *_ = found
    label = name.decode(errors="replace")
    told: dict[str, Any] = {
        "name": label,
        "kind": "unique" if kind == _core.UNIQUE else "named",
        "type": type_name(number),
        "count": count,
        "bytes": size,
        "pins": pins,
    }
    try:
        seen = reader._reader.find(kind, name)
        if seen is not None:
            told |= _told(segment, reader, seen, unique_instance if kind == _core.UNIQUE else label)
    except (IPCError, ValueError) as error:
        told["trouble"] = str(error)
    return told


def _told(segment: ManagedSegment, reader: ReadOnlySegment, seen: _core.Seen, name: Any) -> dict[str, Any]:
    """What is in an object, by its type."""
    cls = known_type(seen.type)
    if seen.type & _core.TYPE_STRUCT:
        text = seen.description.decode(errors="replace")
        return {
            "type": text.partition("(")[0],
            "layout": text,
            "value": _place(_whole(ReadOnlyStruct, reader, seen, text)),
        }
    if cls is Array:
        text = seen.description.decode(errors="replace")
        array = _whole(ReadOnlyArray, reader, seen, text)
        return {"dtype": array.dtype, "shape": list(array.shape), "layout": text, "value": _place(array)}
    if cls is None:
        return {"trouble": "an object of a type that is not known here"}
    for known, tell in _BY_TYPE:
        if issubclass(cls, known):
            return tell(segment, reader, cls, name)
    return {"state": _record(reader.find(cls, name).statistics())} if cls in PEEKS else {}


def _whole(cls: Any, reader: ReadOnlySegment, seen: _core.Seen, text: str) -> Any:
    return cls()._whole(reader, seen, described_type(text))


def _place(found: Any) -> Any:
    """The value of a struct, an array, an atomic number, a pointer, or of what is in one."""
    if isinstance(found, ReadOnlyStruct):
        if len(found) > 1:
            return [_place(one) for one in found]
        return {name: _place(getattr(found, name)) for name in found._names()}
    if isinstance(found, ReadOnlyArray):
        return [_place(one) for one in found]
    if isinstance(found, ReadOnlyAtomic):
        return found.load()
    if isinstance(found, ReadOnlyPointer):
        return {"$pointer": found._load() >> 24 << 4} if found else None
    return plain(found)


def _record(statistics: Any) -> dict[str, Any]:
    """A frozen record."""
    record = {field.name: plain(getattr(statistics, field.name)) for field in fields(statistics)}
    return {name: value for name, value in record.items() if name not in _PRIVATE}


# --- by type


def _dict(segment: ManagedSegment, reader: ReadOnlySegment, cls: Any, name: Any) -> dict[str, Any]:
    seen: Any = reader.find(SharedDict, name)
    return {"items": [[plain(key), plain(value)] for key, value in seen.items()]}


def _queue(segment: ManagedSegment, reader: ReadOnlySegment, cls: Any, name: Any) -> dict[str, Any]:
    seen: Any = reader.find(Queue, name)
    return {"state": _record(seen.statistics())}


def _atomic(segment: ManagedSegment, reader: ReadOnlySegment, cls: Any, name: Any) -> dict[str, Any]:
    return {"value": reader.find(cls, name).load()}


def _stream(segment: ManagedSegment, reader: ReadOnlySegment, cls: Any, name: Any) -> dict[str, Any]:
    stream: Any = segment.find(cls, name)
    return {"value": plain(stream.getvalue())}


_BY_TYPE: list[tuple[type[SharedObject], Callable[..., dict[str, Any]]]] = [
    (SharedDict, _dict),
    (Queue, _queue),
    (Atomic, _atomic),
    (BufferIO, _stream),
    (VectorIO, _stream),
]


class _AsBytes:
    """Stands for a codec that only the queue's own programs have."""

    encode = decode = bytes


def _add_items(where: Where, any_owner: bool, queues: list[dict[str, Any]]) -> None:
    """Takes them out of a copy, which nobody else sees."""
    try:
        with where.kind.open_copy_on_write(where.name, allow_other_owner=any_owner) as copy:
            for told in queues:
                _add_items_of(copy, told)
    except IPCError as error:
        for told in queues:
            told.setdefault("trouble", f"its items cannot be read: {error}")


def _add_items_of(copy: ManagedSegment, told: dict[str, Any]) -> None:
    queue = copy.find(Queue, unique_instance if told["kind"] == "unique" else told["name"])
    told["items"] = []
    try:
        while queue is not None:
            queue._encoder = _AsBytes()
            told["items"].append(plain(queue.get_nowait()))
    except (QueueEmpty, QueueShutDown):
        pass
    except (IPCError, ValueError) as error:
        told["trouble"] = f"not all of its items can be read: {error}"
