"""Views of random values against the decoded objects, and of random bytes against the edge of memory.

The bytes end where a forbidden page begins, and begin where one ends: reading outside kills this process.
"""

import ctypes
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aioipc import CorruptSegmentError, View
from aioipc._native._msgpack import packb, unpackb, unpackb_key
from tests.support.edges import EAST, FLOATS, INTS, VALUES
from tests.support.guarded import Guarded

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.sampled_from([*INTS, *FLOATS])
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.datetimes(timezones=st.just(EAST))
)
keys = scalars | st.lists(scalars, max_size=3).map(tuple)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(keys, inner, max_size=8),
    max_leaves=40,
)
# Bytes that look like msgpack more often than chance would have it.
headers = st.sampled_from([bytes([b]) for b in (*range(0x80, 0x90), *range(0x90, 0xA0), *range(0xC0, 0xE0))])
noise = st.lists(headers | st.binary(max_size=4), max_size=40).map(b"".join) | st.binary(max_size=60)

# What an operation on damaged bytes may answer with.
ERRORS = (CorruptSegmentError, TypeError, LookupError, ValueError, OverflowError)


@pytest.fixture(scope="module")
def memory() -> Guarded:
    return Guarded(pages=32)


# ------------------------------------------------------------------------------------- random values


def agree(seen: Any, value: Any) -> None:
    """What a view handed out is the value, read by every way there is."""
    if isinstance(value, dict | list):
        assert isinstance(seen, View)
        assert seen == value
        assert seen.decode() == value
        assert unpackb(seen.raw) == value
        assert len(seen) == len(value)
        assert bool(seen) == bool(value)
        agree_map(seen, value) if isinstance(value, dict) else agree_array(seen, value)
    else:
        assert seen == value
        assert isinstance(seen, memoryview if isinstance(value, bytes) else type(value))


def agree_map(seen: View, value: dict[Any, Any]) -> None:
    assert list(seen) == list(value)
    assert seen.keys() == value.keys()
    for (key, part), (their_key, their_part) in zip(seen.items(), value.items(), strict=True):
        assert key == their_key
        assert type(key) is type(their_key)
        agree(part, their_part)
    for part, their_part in zip(seen.values(), value.values(), strict=True):
        agree(part, their_part)
    for key in reversed(value):
        assert key in seen
        agree(seen[key], value[key])
        agree(seen.get(key), value[key])
    assert ("no", "such", "key") not in seen


def agree_array(seen: View, value: list[Any]) -> None:
    for mine, theirs in (
        (list(seen), value),
        (list(reversed(seen)), value[::-1]),
        (seen[1:-1], value[1:-1]),
        (seen[::-2], value[::-2]),
        ([seen[i] for i in range(len(value))], value),
        ([seen[-i] for i in range(1, len(value) + 1)], value[::-1]),
    ):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            agree(a, b)
    for part in value[:3]:
        assert part in seen
        assert seen.index(part) == value.index(part)
        assert seen.count(part) == value.count(part)


@given(values)
@settings(deadline=None)
def test_a_view_reads_as_the_decoded_object(value: Any) -> None:
    packed = packb(value)
    decoded = unpackb(packed)
    v = View.of(packed)
    assert v == decoded
    if isinstance(decoded, dict | list):
        agree(v, decoded)
    else:
        assert v.decode() == decoded
        assert bool(v) == bool(decoded)


# --------------------------------------------------------------------------------------- random bytes

PROBES: list[Any] = [
    0,
    1.0,
    True,
    None,
    "",
    "a",
    b"a",
    (),
    (1, ("a",)),
    FLOATS[5],
    {},
    [],
    [1],
    {"a": 1},
    EAST,
    -1,
]
OPERATIONS: list[Callable[[View], Any]] = [
    lambda v: v.decode(),
    lambda v: bytes(v.raw),
    lambda v: v.kind,
    repr,
    str,
    bytes,
    len,
    int,
    float,
    bool,
    lambda v: v.__index__(),
    list,
    lambda v: list(reversed(v)),
    lambda v: bytes(memoryview(v)),
    lambda v: list(v.keys()),
    lambda v: list(v.values()),
    lambda v: list(v.items()),
    lambda v: v[::-1],
    lambda v: v[0],
    lambda v: v[-1],
    lambda v: [v[i] for i in range(len(v))],
    lambda v: [v[i] for i in reversed(range(len(v)))],
    *(lambda v, p=p: v == p for p in PROBES),
    *(lambda v, p=p: p in v for p in PROBES),
    *(lambda v, p=p: v[p] for p in PROBES),
    *(lambda v, p=p: v.get(p) for p in PROBES),
    *(lambda v, p=p: v.index(p) for p in PROBES),
    *(lambda v, p=p: v.count(p) for p in PROBES),
    lambda v: v == View.of(b"\x91\x01"),
]


def touch(answer: Any) -> None:
    """Looks at every byte of an answer; a str must be one."""
    if isinstance(answer, memoryview):
        bytes(answer)
    elif isinstance(answer, str):
        answer.encode()
    elif isinstance(answer, list | tuple):
        for part in answer:
            touch(part)


def attempt(operation: Callable[[Any], Any], subject: Any) -> Any:
    try:
        answer = operation(subject)
    except ERRORS:
        return None
    touch(answer)
    return answer


def poke(data: Any, depth: int = 2) -> None:
    """Every operation on a view of the bytes, on a new view each and all on one, and on the views inside."""
    attempt(unpackb, data)
    attempt(unpackb_key, data)
    for operation in OPERATIONS:
        attempt(lambda d, operation=operation: operation(View.of(d)), data)
    whole = attempt(View.of, data)
    if whole is not None:
        poke_view(whole, depth)


def poke_view(v: View, depth: int) -> None:
    for operation in OPERATIONS:
        answer = attempt(operation, v)
        if depth > 0 and isinstance(answer, View):
            poke_view(answer, depth - 1)


@given(noise)
@settings(deadline=None)
@example(b"\x81\xc7\x00")
@example(b"\xde\x00\x01\xdb\x00\x00\x00\x01")
def test_random_bytes_are_read_within_their_bounds(memory: Guarded, data: bytes) -> None:
    poke(memory.at_end(data))
    poke(memory.at_start(data), depth=0)


@given(values.map(packb), st.data())
@settings(max_examples=60, deadline=None)
def test_mutated_values_are_read_within_their_bounds(
    memory: Guarded, packed: bytes, data: st.DataObject
) -> None:
    mutated = bytearray(packed)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place : place + 1] = data.draw(headers | st.binary(max_size=2))
        mutated = mutated or bytearray(b"\x90")
    poke(memory.at_end(bytes(mutated)))


@pytest.mark.parametrize(
    "data", [packb(value) for value in VALUES if len(packb(value)) < 2000], ids=lambda d: d[:8].hex()
)
def test_every_prefix_of_an_edge_value_is_read_within_its_bounds(memory: Guarded, data: bytes) -> None:
    for size in {*range(min(len(data), 12)), len(data) // 2, max(len(data) - 1, 0), len(data)}:
        poke(memory.at_end(data[:size]), depth=0)


def test_the_forbidden_page_bites(memory: Guarded) -> None:
    """Without this the other tests might prove nothing."""
    for buffer, offset in ((memory.at_end(b"abc"), 3), (memory.at_start(b"abc"), -1)):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            ctypes.string_at(ctypes.addressof(buffer) + offset, 1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGSEGV


# ----------------------------------------------------------------------------- bytes that change meanwhile

BOOK = {
    "title": "naïve " * 30,
    "pages": [[i, "x" * i, b"y" * i, {i: -i}] for i in range(40)],
    **{f"key{i}": (i, None) for i in range(20)},
}


def scribble(target: Any, packed: bytes, seed: int) -> None:
    """Changes bytes and puts them back, until killed."""
    rng = random.Random(seed)
    with memoryview(target).cast("B") as room:
        while True:
            place = rng.randrange(len(packed))
            room[place] = rng.choice((0xC1, 0xDD, 0xDF, 0xDB, 0xC6, 0x91, 0xFF, 0x00, rng.randrange(256)))
            for _ in range(rng.randrange(50)):
                room[rng.randrange(len(packed))] ^= 0x80
            room[:] = packed


@pytest.mark.parametrize("seed", range(3))
def test_bytes_that_another_process_changes_do_no_harm(memory: Guarded, seed: int) -> None:
    packed = packb(BOOK)
    target = memory.at_end(packed)
    child = os.fork()
    if child == 0:
        try:
            scribble(target, packed, seed)
        finally:
            os._exit(1)
    outcomes = {"read": 0, "refused": 0}
    deadline = time.monotonic() + 1.5
    try:
        while time.monotonic() < deadline:
            try:
                v = View.of(target)
                for operation in OPERATIONS:
                    attempt(operation, v)
                touch([v["title"], *v["pages"][7], *v["pages"][:-3:-1], *v.items()])
                touch(list(v.decode().items()))
                outcomes["read"] += 1
            except ERRORS:
                outcomes["refused"] += 1
    finally:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)  # it scribbled to the end
    assert outcomes["refused"] > 0, outcomes
    memory.at_end(packed)
    assert View.of(target) == unpackb(packed)
