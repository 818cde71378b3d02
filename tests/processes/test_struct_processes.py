"""Structs between processes: one memory, whole words, deaths in the middle."""

import contextlib
import os
import pickle
import signal
from collections.abc import Callable
from typing import Any

import pytest

import aioipc
from aioipc import ClosedError, ManagedSharedMemory, NotFoundError, Struct, TypeMismatchError
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]
ROUNDS = 20_000


class Place(Struct):
    row: aioipc.int16


class Tick(Struct):
    price: aioipc.float64
    volume: aioipc.uint32
    bids: aioipc.float64[4]
    place: Place


def changed(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        tick = segment.find(Tick, "tick")
        assert tick is not None
        test.send([tick.price, tick.volume, list(tick.bids)])
        tick.price, tick.volume, tick.bids[2] = 2.5, 8, 1.25


def declared_otherwise(test: Link, name: str) -> str:
    with ManagedSharedMemory.open(name) as segment:
        other: Any = type("Tick", (Struct,), {"__annotations__": {"price": aioipc.float32}})
        with pytest.raises(TypeMismatchError) as caught:
            other(segment, "tick")
    return str(caught.value)


def test_another_process_reads_and_writes_the_same_fields(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        tick = Tick(segment, "tick", price=1.5, volume=7, bids=[1, 2, 3, 4])
        peer = spawn(changed, segment_name)
        assert peer.receive() == [1.5, 7, [1.0, 2.0, 3.0, 4.0]]
        peer.result()
        assert (tick.price, tick.volume, list(tick.bids)) == (2.5, 8, [1.0, 2.0, 1.25, 4.0])


def test_a_process_that_declares_it_otherwise_is_told_what_differs(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        Tick(segment, "tick")
        said = spawn(declared_otherwise, segment_name).result()
    assert "field 1 is stored as price:float64@0, declared as price:float32@0" in said


def unpickled(test: Link, data: str) -> None:
    handles = pickle.loads(bytes.fromhex(data))
    with handles[0].segment:
        tick, bids, place = handles
        tick.volume, bids[1], place.row = 9, 4.5, 3


def test_handles_travel_in_pickles(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        tick = segment.construct(Tick, "ticks", count=5)[3]
        data = pickle.dumps((tick, tick.bids, tick.place))
        spawn(unpickled, data.hex()).result()
        assert (tick.volume, tick.bids[1], tick.place.row) == (9, 4.5, 3)
        segment.destroy(Tick, "ticks")
        with pytest.raises(NotFoundError):
            pickle.loads(data)


def alternating(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        tick = Tick(segment, "tick")
        test.send("going")
        while True:
            tick.price, tick.volume, tick.bids[1] = -1.0, 0xFFFFFFFF, -1.0
            tick.price, tick.volume, tick.bids[1] = 2.0**-1000, 0, 2.0**-1000


def test_a_word_is_seen_whole_also_when_its_writer_is_killed(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        tick = Tick(segment, "tick")
        seen: set[float] = set()
        for _ in range(3):
            peer = spawn(alternating, segment_name)
            assert peer.receive() == "going"
            for _ in range(ROUNDS):
                seen |= {tick.price, tick.volume, tick.bids[1]}
            os.kill(peer.pid, signal.SIGKILL)
            assert peer.wait() == -signal.SIGKILL
            seen |= {tick.price, tick.volume, tick.bids[1]}
        assert seen <= {0.0, -1.0, 2.0**-1000, 0xFFFFFFFF}
        assert len(seen) > 2
        assert segment.check_sanity()


def constructing(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        test.send("going")
        while True:
            ticks = segment.construct(Tick, "ticks", count=50, price=1.0)
            segment.destroy(Tick, "ticks")
            del ticks


def test_a_killed_constructor_leaves_all_or_nothing(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        free = segment.free_memory
        for _ in range(5):
            peer = spawn(constructing, segment_name)
            assert peer.receive() == "going"
            for _ in range(100):
                if (ticks := segment.find(Tick, "ticks")) is not None:
                    with contextlib.suppress(ClosedError):  # destroyed by its constructor between two reads
                        assert [t.price for t in ticks] == [1.0] * 50
                del ticks
            peer.kill()
            assert segment.check_sanity()
            left = segment.find(Tick, "ticks")
            if left is not None:
                assert [t.price for t in left] == [1.0] * 50
                segment.destroy(Tick, "ticks")
            del left
            assert segment.check_sanity()
            assert segment.free_memory == free


def test_a_forked_child_goes_on_with_its_handles(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        tick = Tick(segment, "tick")
        bids = tick.bids
        if (pid := os.fork()) == 0:
            try:
                tick.volume, bids[3] = 5, 1.5
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert (tick.volume, bids[3]) == (5, 1.5)
