"""Processes that allocate, free, grow and trim in one segment while one of them is killed now and then."""

import contextlib
import itertools
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from aioipc import ManagedMappedFile, ManagedSharedMemory, SegmentFullError, SharedDict
from tests.support.forked import Forked, forked
from tests.support.peers import Link

SIZE, MOST, PAGE = 1 << 20, 64 << 20, 4096


def work(test: Link, name: str, seed: int) -> None:
    """What it has, it writes to and checks; what it grows by, it counts before and after."""
    generator = random.Random(seed)
    with ManagedSharedMemory.open(name) as segment:
        own: list[tuple[Any, int]] = []
        counts = SharedDict[str, int](segment, "counts")
        test.send("at work")
        while True:
            act = generator.random()
            if act < 0.02:
                grow(segment, counts)
            elif act < 0.06:
                segment.trim()
            elif act < 0.5 and own:
                block, size = own.pop(generator.randrange(len(own)))
                assert bytes(block) == bytes([size % 251]) * size
                segment.deallocate(block)
            elif len(own) < 8:
                size = generator.choice([10, 1000, 50_000, 300_000])
                block = segment.try_allocate(size)
                if block is not None:
                    memoryview(block)[:] = bytes([size % 251]) * size
                    own.append((block, size))


def grow(segment: ManagedSharedMemory, counts: SharedDict[str, int]) -> None:
    counts.update_with("begun", lambda n: (n or 0) + 1)
    try:
        segment.grow(PAGE)
    except SegmentFullError:
        counts.update_with("full", lambda n: (n or 0) + 1)
    else:
        counts.update_with("done", lambda n: (n or 0) + 1)


def kill_for(seconds: float, segment_name: str, processes: int) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, max_size=MOST, participants=32) as segment:
        shared = SharedDict(segment, "kept")
        shared.update({i: str(i) * 100 for i in range(200)})
        peers: list[Forked] = []
        seeds = iter(range(1_000_000))
        generator = random.Random(1)
        try:
            for _ in range(processes):
                peers.append(Forked(work, segment_name, next(seeds)))
                assert peers[-1].receive() == "at work"
            end, kills = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                with forked(nap, generator.random() * 0.05) as napping:
                    napping.result()
                victim = peers.pop(generator.randrange(len(peers)))
                victim.kill()
                kills += 1
                victim.close()
                peers.append(Forked(work, segment_name, next(seeds)))
                assert peers[-1].receive() == "at work"
                assert segment.check_sanity()
        finally:
            for peer in peers:
                peer.discard()
        assert kills > seconds
        report = segment.check_sanity()
        assert report, report
        assert shared.copy() == {i: str(i) * 100 for i in range(200)}
        counts = SharedDict[str, int](segment, "counts")
        grown = (segment.size - SIZE) // PAGE
        assert counts.get("done", 0) <= grown <= counts.get("begun", 0)
        assert grown > 0
        segment.trim()
        largest = segment.largest_free_block
        memoryview(segment.allocate(largest))[:] = b"x" * largest
        assert segment.check_sanity()


def nap(test: Link, seconds: float) -> None:
    signal.sigtimedwait([], seconds)


def test_growers_and_trimmers_are_killed(segment_name: str) -> None:
    kill_for(3, segment_name, 4)


@pytest.mark.slow
def test_growers_and_trimmers_are_killed_for_long(segment_name: str) -> None:
    kill_for(60, segment_name, 8)


def grow_and_trim(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        shared = SharedDict[int, bytes](segment, "numbers")
        test.send("at work")
        for n in itertools.count():
            with contextlib.suppress(SegmentFullError):
                segment.grow(PAGE)
            shared[n % 50] = bytes([n % 50]) * (n % 50) * 1000
            if n % 7 == 0:
                segment.trim()


def test_copies_made_beside_growers_and_trimmers_are_whole(segment_name: str, tmp_path: Path) -> None:
    with ManagedSharedMemory.create(segment_name, 4 * SIZE, max_size=MOST) as segment:
        with (
            forked(grow_and_trim, segment_name) as first,
            forked(grow_and_trim, segment_name) as second,
            ManagedSharedMemory.open_read_only(segment_name) as reader,
        ):
            assert first.receive() == second.receive() == "at work"
            seen = reader.find(SharedDict, "numbers")
            sizes = []
            for i in range(8):
                segment.snapshot(tmp_path / str(i))
                with ManagedSharedMemory.open_copy_on_write(segment_name) as private:
                    sizes.append(private.size)
                    assert private.grow(PAGE) == sizes[-1] + PAGE
                with ManagedMappedFile.open(tmp_path / str(i)) as copy:
                    assert copy.check_sanity()
                    whole(SharedDict[int, bytes](copy, "numbers").copy())
                whole(seen.copy())
            assert sizes == sorted(sizes)
            assert sizes[-1] > 4 * SIZE
        assert segment.check_sanity()


def whole(numbers: dict[int, bytes]) -> None:
    assert all(value == bytes([n]) * n * 1000 for n, value in numbers.items())


def test_a_process_that_closed_its_descriptors_sees_the_growth(segment_name: str) -> None:
    """As daemons do: all but standard input and output."""
    with ManagedSharedMemory.create(segment_name, SIZE, max_size=MOST) as segment:
        with forked(close_all_and_stay, segment_name) as child:
            assert child.receive() == SIZE
            segment.grow(4 * SIZE)
            child.go()
            assert child.result() == 5 * SIZE
        assert segment.check_sanity()


def close_all_and_stay(test: Link, name: str) -> int:
    segment = ManagedSharedMemory.open(name)
    link = test._connection.fileno()
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd != link:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(fd)
    test.sync(segment.size)
    with memoryview(segment.allocate(3 * SIZE)) as view:
        view[:] = b"z" * len(view)
    size = segment.size
    segment.trim()
    segment.allocate(SIZE)
    segment.close()
    return size
