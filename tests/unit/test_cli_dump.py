"""`aioipc dump`: every type of object as JSON, read beside those who write."""

import base64
import math
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

import aioipc as ipc
from aioipc import (
    Array,
    AtomicFlag,
    AtomicInt64,
    BufferIO,
    CapacityLimiter,
    Lock,
    ManagedSharedMemory,
    OffsetPtr,
    Queue,
    RWLock,
    Semaphore,
    SharedDict,
    Struct,
    VectorIO,
    unique_instance,
)
from tests.support.command_line import aioipc, as_json
from tests.support.leaks import SHM
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]
SIZE = 1 << 20


class DumpedTick(Struct):
    price: ipc.float64
    label: ipc.fixed_str[8]
    raw: ipc.fixed_bytes[2]
    hits: AtomicInt64
    grid: ipc.uint8[2, 2]


class DumpedBook(Struct):
    best: DumpedTick
    ticks: DumpedTick[2]
    to: OffsetPtr[DumpedTick]


def dumped(name: str, *arguments: str) -> dict[str, Any]:
    found = as_json("dump", name, *arguments)
    assert (found["format"], found["name"]) == (1, name)
    return {one["name"]: one for one in found["objects"]}


def binary(value: bytes) -> dict[str, str]:
    return {"$bytes": base64.b64encode(value).decode()}


def test_structs_are_dumped_by_processes_that_do_not_declare_them(segment_name: str) -> None:
    tick = {"price": 1.5, "label": "ü", "raw": b"\0\xff", "grid": [[1, 2], [3, 4]]}
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        one = DumpedTick(segment, "one", **tick)
        one.hits.add(7)
        DumpedBook(segment, "book", best=tick, to=one)
        segment.construct(DumpedTick, "three", count=3)[1].price = math.inf
        Array(segment, "array", DumpedTick, 2)[1] = tick
        found = dumped(segment_name)
    expected = {"price": 1.5, "label": "ü", "raw": binary(b"\0\xff"), "hits": 7, "grid": [[1, 2], [3, 4]]}
    assert (found["one"]["type"], found["one"]["value"]) == ("DumpedTick", expected)
    assert found["book"]["value"]["best"] == {**expected, "hits": 0}
    assert len(found["book"]["value"]["ticks"]) == 2
    assert found["book"]["value"]["to"].keys() == {"$pointer"}
    assert [value["price"] for value in found["three"]["value"]] == [0.0, {"$float": "inf"}, 0.0]
    assert (found["three"]["count"], found["array"]["shape"]) == (3, [2])
    assert found["array"]["value"][1] == {**expected, "hits": 0}
    assert found["one"]["layout"].startswith("DumpedTick(price:float64@0,")


def test_values_of_dicts_queues_arrays_streams_and_atomics(segment_name: str) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        shared = SharedDict(segment, "dict")
        shared.update({"a": [1, None, True], (1, "b"): b"\xff", 3: {1: moment, "$x": -math.inf}})
        queue = Queue(segment, "queue", maxsize=5)
        for item in (1, b"two", {"three": 3}):
            queue.put_nowait(item)
        queue.get_nowait()
        Queue(segment, "raw", codec="raw").put_nowait(b"r")
        Array(segment, "array", "f8", (2, 2))[1, 1] = 2.5
        AtomicInt64(segment, "number", -3), AtomicFlag(segment, "flag", True)
        VectorIO(segment, "vector").write(b"hello")
        BufferIO(segment, "buffer", 3).write(b"abc")
        found = dumped(segment_name)
        assert queue.qsize() == 2
        assert dumped(segment_name, "number").keys() == {"number"}
        assert "items" not in dumped(segment_name, "queue", "--no-items")["queue"]
        assert segment.check_sanity()
    assert found["dict"]["items"] == [
        ["a", [1, None, True]],
        [[1, "b"], binary(b"\xff")],
        [3, {"$map": [[1, {"$datetime": moment.isoformat()}], ["$x", {"$float": "-inf"}]]}],
    ]
    assert found["queue"]["items"] == [binary(b"two"), {"three": 3}]
    assert (found["queue"]["state"]["qsize"], found["queue"]["state"]["maxsize"]) == (2, 5)
    assert found["raw"]["items"] == [binary(b"r")]
    assert (found["array"]["value"], found["array"]["dtype"]) == ([[0.0, 0.0], [0.0, 2.5]], "float64")
    assert (found["number"]["value"], found["flag"]["value"]) == (-3, True)
    assert (found["vector"]["value"], found["buffer"]["value"]) == (binary(b"hello"), binary(b"abc"))
    assert list(found) == sorted(found)


def hold(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment, ExitStack() as stack:
        stack.enter_context(Lock(segment, "lock").blocking)
        stack.enter_context(RWLock(segment, "rw").blocking.write())
        stack.enter_context(CapacityLimiter(segment, "limiter", 3).blocking)
        test.sync("held")


def test_states_of_primitives_are_as_their_holders_have_them(segment_name: str, spawn: Spawn) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        Semaphore(segment, "semaphore", 2), Lock(segment, unique_instance)
        peer = spawn(hold, segment_name)
        assert peer.receive() == "held"
        found = dumped(segment_name)
        peer.kill()
        after = dumped(segment_name)
    assert (found["lock"]["state"]["locked"], found["lock"]["state"]["owner_pid"]) == (True, peer.pid)
    assert (found["rw"]["state"]["writing"], found["semaphore"]["state"]["value"]) == (True, 2)
    assert found["limiter"]["state"]["borrowed_by_process"] == {"$map": [[peer.pid, 1]]}
    assert found["Lock"]["kind"] == "unique"
    assert (after["lock"]["state"]["locked"], after["lock"]["state"]["abandoned"]) == (False, True)


class Shout:
    def encode(self, value: Any) -> bytes:
        return str(value).upper().encode()

    def decode(self, value: bytes) -> str:
        return value.decode()


def test_a_codec_that_is_not_known_here_is_no_trouble(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        Queue(segment, "shout", codec=Shout()).put_nowait("x")
        Queue(segment, "plain").put_nowait(1)
        found = dumped(segment_name)
    assert found["shout"]["items"] == [binary(b"X")]
    assert found["plain"]["items"] == [1]


def test_damaged_objects_are_trouble_and_the_others_are_dumped(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        Array(segment, "array", "f8", 3)
        AtomicInt64(segment, "number", 4)
        content = (SHM / segment_name).read_bytes()
        with (SHM / segment_name).open("r+b") as file:
            file.seek(content.index(b"float64[3]"))
            file.write(b"float9((3]")
        done = aioipc("dump", segment_name)
        found = dumped(segment_name)
    assert done.returncode == 1
    assert "is no layout" in found["array"]["trouble"]
    assert found["number"]["value"] == 4


def test_a_name_that_is_not_there_is_one_line(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        AtomicInt64(segment, "number", 4)
        done = aioipc("dump", segment_name, "number", "nothing")
    assert (done.returncode, done.stderr) == (1, "Error: there is no object named 'nothing'\n")


@pytest.mark.parametrize(
    "text",
    [
        "T(a:int32@4)8",
        "T(a:int32@0",
        "T(a:T(a:T(a:nothing@0)4@0)4@0)4",
        "int32[0]",
        "int32[-1]",
        "int32[9999999999999999999999]",
        "fixed_str[0]",
        "T(" * 500 + ")0" * 500,
        "T(a:int32[99999999999]@0)8",
        "",
    ],
)
def test_layouts_that_are_none_are_refused(text: str) -> None:
    from aioipc.cli.described import described_type

    with pytest.raises(ipc.CorruptSegmentError):
        described_type(text)
