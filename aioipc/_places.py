"""Offsets in words: what lies at a place of a segment."""

from ._native import _core
from .objects import type_name

__all__ = ["places"]

_AREAS = {
    "header": "the segment's header",
    "heap": "the records of the heap",
    "catalog": "the records of the catalog",
    "waits": "the records of the wait queues",
    "node": "wait node {index}",
}
_USED, _INTERNAL, _OWNED, _PART = 1, 4, 8, 12


def places(attachment: _core.Attachment, offsets: list[int]) -> list[str]:
    """What lies at up to 64 offsets; "" where that cannot be told."""
    pids = {record[3]: record[0] for record in _core.participants_of(attachment)}
    return [_said(found, pids) for found in _core.where(attachment, offsets)]


def _said(found: tuple[str, int, int, int, int, tuple[int, bytes, int] | None], pids: dict[int, int]) -> str:
    area, index, block, size, flags, there = found
    if area in _AREAS:
        return _AREAS[area].format(index=index)
    if area in ("slot", "context"):
        whose = f"process {pids[index]}" if index in pids else "no process"
        return f"slot {index} ({whose})"
    if area == "block":
        return _block(block, size, flags, there)
    return f"what lies behind the block with handle {block}, which ends at {block + size:#x}" if block else ""


def _block(block: int, size: int, flags: int, there: tuple[int, bytes, int] | None) -> str:
    if there is not None:
        kind, name, number = there
        if kind == _core.NAMED:
            return f"the {type_name(number)} {name.decode(errors='replace')!r}"
        return f"the {'unique' if kind == _core.UNIQUE else 'anonymous'} {type_name(number)}, handle {block}"
    whose = {_PART: "a container's", _INTERNAL: "the catalog's", _OWNED: "an owned", 0: "a user's"}[
        flags & _PART
    ]
    return f"{whose if flags & _USED else 'a free'} block of {size} bytes, handle {block}"
