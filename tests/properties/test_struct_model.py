"""Any Struct is a dict of its fields: what is stored in one is read from it, and nothing else changes."""

import os
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aioipc
from aioipc import ManagedSharedMemory, Struct, fixed_bytes, fixed_str

CODES = {"i": "bhiq", "u": "BHIQ"}


def whole(name: str, bits: int, signed: bool) -> tuple[Any, st.SearchStrategy[Any], Any]:
    low = -(1 << (bits - 1)) if signed else 0
    return getattr(aioipc, name), st.integers(low, low + (1 << bits) - 1), 0


SCALARS = [
    *(whole(f"{'int' if s else 'uint'}{bits}", bits, s) for bits in (8, 16, 32, 64) for s in (True, False)),
    (aioipc.float64, st.floats(allow_nan=False), 0.0),
    (aioipc.float32, st.floats(allow_nan=False, width=32), 0.0),
    (aioipc.bool_, st.booleans(), False),
]


@st.composite
def kinds(draw: st.DrawFn, depth: int = 2) -> tuple[Any, st.SearchStrategy[Any], Any]:
    """(type of a field, its values, the first of them)."""
    which = draw(st.integers(0, 3 + (depth > 0) * 2))
    if which <= 1:
        return draw(st.sampled_from(SCALARS))
    if which == 2:
        size = draw(st.integers(1, 20))
        values = st.binary(max_size=size).map(lambda b: b.ljust(size, b"\0"))
        return fixed_bytes[size], values, bytes(size)  # type: ignore[valid-type,misc,name-defined]
    if which == 3:
        size = draw(st.integers(1, 20))
        text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
        return fixed_str[size], text.filter(lambda t: len(t.encode()) <= size), ""  # type: ignore[valid-type,misc,name-defined]
    if which == 4:
        item, values, first = draw(kinds(depth=0))
        length = draw(st.integers(1, 5))
        return item[length], st.lists(values, min_size=length, max_size=length), [first] * length
    cls, values, first = draw(structs(depth - 1))
    return cls, values, first


@st.composite
def structs(draw: st.DrawFn, depth: int = 2) -> tuple[Any, st.SearchStrategy[Any], Any]:
    fields = draw(st.lists(kinds(depth), min_size=1, max_size=6))
    names = [f"f{n}" for n in range(len(fields))]
    annotations = {name: kind for name, (kind, _, _) in zip(names, fields, strict=True)}
    cls = type("Drawn", (Struct,), {"__annotations__": annotations})
    values = st.fixed_dictionaries({name: v for name, (_, v, _) in zip(names, fields, strict=True)})
    return cls, values, {name: first for name, (_, _, first) in zip(names, fields, strict=True)}


def plain(value: Any) -> Any:
    """What a value looks like when it is read out of shared memory."""
    if isinstance(value, Struct):
        return {field.name: plain(getattr(value, field.name)) for field in type(value)._field_type.fields}
    if isinstance(value, aioipc.Items):
        return [plain(item) for item in value]
    return value


@pytest.fixture(scope="module")
def segment() -> Iterator[ManagedSharedMemory]:
    name = f"aioipc-test-structs-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_struct_keeps_what_is_stored_in_it(segment: ManagedSharedMemory, data: st.DataObject) -> None:
    cls, values, first = data.draw(structs())
    given_values, changes = data.draw(values), data.draw(values)
    empty, made = cls(segment), cls(segment, **given_values)
    assert (plain(empty), plain(made)) == (first, given_values)
    model = dict(given_values)
    for name in data.draw(st.lists(st.sampled_from(sorted(model)), max_size=6)):
        setattr(made, name, changes[name])
        model[name] = changes[name]
        assert plain(made) == model
    several = segment.construct(cls, None, count=3, **given_values)
    several[1].f0 = changes["f0"]
    expected = [given_values, given_values | {"f0": changes["f0"]}, given_values]
    assert [plain(element) for element in several] == expected
    for handle in (empty, made, several):
        assert segment.destroy_object(handle)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_numbers_lie_as_the_struct_module_packs_them(
    segment: ManagedSharedMemory, data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=8))
    kinds = {f"f{n}": kind for n, (kind, _, _) in enumerate(chosen)}
    layout = type("Drawn", (Struct,), {"__annotations__": kinds})._field_type  # type: ignore[attr-defined]
    end = {1: "b", 2: "h", 4: "i", 8: "q"}[max(kind.alignment for kind in kinds.values())]
    packing = f"@{''.join(kind.format for kind in kinds.values())}0{end}"
    assert layout.size == struct.calcsize(packing)
    values = [data.draw(v) for _, v, _ in chosen]
    packed = layout.pack(segment._opening.attachment, dict(zip(kinds, values, strict=True)))
    assert list(struct.unpack(packing, packed)) == values
