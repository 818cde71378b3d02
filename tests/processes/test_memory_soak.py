"""Processes that allocate, resize, construct and grow one segment while one of them is killed every 50 ms.

Every block says on both ends whose it is: two owners of one byte would find out.  Names that are changed in
one atomic block are always seen together.  At the end nothing of the dead is left.
"""

import os
import random
import signal
import struct
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import pytest

from aioipc import (
    AlreadyExistsError,
    AtomicUInt64,
    Block,
    ClosedError,
    Event,
    ManagedSharedMemory,
    SegmentFullError,
)

Algorithm = Literal["best_fit", "tlsf", "seq_fit"]
SIZE, MAX_SIZE = 256 << 10, 8 << 20
PACE = 0.05  # seconds from one kill to the next
NAMES, PAIRS = 30, 5
LARGEST = 30_000
MANY = 5
MARK = struct.Struct("<QQ")  # pid, serial


class Worker:
    """What one process does, until it is told to stop or killed."""

    def __init__(self, segment: ManagedSharedMemory) -> None:
        self.segment = segment
        self.stop = Event(segment, "stop")
        self.random = random.Random(os.getpid())
        self.serial = 0
        self.blocks: list[tuple[Block, int]] = []
        self.actions: list[Callable[[], None]] = [
            *[self.allocate] * 6,
            *[self.free] * 5,
            *[self.resize] * 3,
            self.allocate_many,
            *[self.construct] * 3,
            *[self.destroy] * 3,
            self.change_pair,
            self.look_at_pairs,
            self.grow,
            self.trim,
        ]

    def run(self) -> None:
        while not self.stop.is_set():
            self.random.choice(self.actions)()
        while self.blocks:
            self.free()

    # --- blocks

    def size(self) -> int:
        return int(2 * MARK.size * (LARGEST / (2 * MARK.size)) ** self.random.random())

    def mark(self, block: Block) -> None:
        self.serial += 1
        mark = MARK.pack(os.getpid(), self.serial)
        with memoryview(block) as memory:
            memory[: MARK.size] = memory[-MARK.size :] = mark
        self.blocks.append((block, self.serial))

    def check(self, block: Block, serial: int) -> None:
        with memoryview(block) as memory:
            for end in (memory[: MARK.size], memory[-MARK.size :]):
                assert MARK.unpack(end) == (os.getpid(), serial), f"somebody wrote into {block!r}"

    def allocate(self) -> None:
        block = self.segment.try_allocate(
            self.size(), alignment=self.random.choice((None, 64, 4096)), owned=True
        )
        if block is not None:
            assert not any(memoryview(block)), "a new block is all zeros"
            self.mark(block)

    def allocate_many(self) -> None:
        try:
            blocks = self.segment.allocate_many([self.size() // 8 + 32 for _ in range(MANY)])
        except SegmentFullError:
            return
        for block in blocks:
            self.mark(block)
        for block, serial in self.blocks[-MANY:]:
            self.check(block, serial)
        del self.blocks[-MANY:]
        self.segment.deallocate_many(blocks)  # nobody else would: these are nobody's own

    def free(self) -> None:
        if self.blocks:
            block, serial = self.blocks.pop(self.random.randrange(len(self.blocks)))
            self.check(block, serial)
            self.segment.deallocate(block)

    def resize(self) -> None:
        if not self.blocks:
            return
        block, serial = self.blocks.pop(self.random.randrange(len(self.blocks)))
        self.check(block, serial)
        with suppress(SegmentFullError):
            block = self.segment.resize(block, self.size(), shrink=True)
        with memoryview(block) as memory:
            assert MARK.unpack(memory[: MARK.size]) == (os.getpid(), serial)
        self.mark(block)

    def grow(self) -> None:
        try:
            self.segment.grow(64 << 10)
        except SegmentFullError:
            assert self.segment.size + (64 << 10) > self.segment.max_size

    def trim(self) -> None:
        if self.random.random() < 0.1:
            self.segment.trim()

    # --- names

    def construct(self) -> None:
        number = self.random.randrange(NAMES)
        with suppress(AlreadyExistsError, SegmentFullError):
            self.segment.construct(AtomicUInt64, f"n{number}", number)
        with suppress(ClosedError):  # destroyed between the two looks
            found = self.segment.find(AtomicUInt64, f"n{number}")
            assert found is None or found.load() == number

    def destroy(self) -> None:
        self.segment.destroy(AtomicUInt64, f"n{self.random.randrange(NAMES)}")

    def change_pair(self) -> None:
        """Both or neither: made, or taken away, in one go."""
        names = [f"{side}{self.random.randrange(PAIRS)}" for side in ("left", "right")]
        names[1] = names[1][:-1] + names[0][-1]
        with suppress(SegmentFullError), self.segment.atomic():
            if self.segment.find(AtomicUInt64, names[0]) is None:
                for name in names:
                    self.segment.construct(AtomicUInt64, name, 7)
            else:
                for name in names:
                    assert self.segment.destroy(AtomicUInt64, name)

    def look_at_pairs(self) -> None:
        names = {found.name for found in self.segment.named_objects()}
        for pair in range(PAIRS):
            assert (f"left{pair}" in names) == (f"right{pair}" in names), "half of an atomic block"


def work(name: str) -> None:
    """The life of a child: it must not run on into the test."""
    status = 1
    try:
        with ManagedSharedMemory.open(name) as segment:
            Worker(segment).run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def start(name: str) -> int:
    pid = os.fork()
    if pid == 0:
        work(name)
    return pid


def account(segment: ManagedSharedMemory, kills: int) -> None:
    """Nothing is left but what the living know, and of each killed one the blocks of one call at most."""
    report = segment.check_sanity()
    assert report, report
    assert report.counts["owned_blocks"] == 0
    assert report.counts["user_blocks"] <= MANY * kills
    assert [peer.is_self for peer in segment.participants()] == [True]
    for found in segment.named_objects():
        if found.name != "stop":
            assert found.name is not None
            assert segment.destroy(AtomicUInt64, found.name)
    report = segment.check_sanity()
    assert report, report
    assert segment.num_named_objects == 1


@pytest.mark.parametrize("algorithm", ["best_fit", "tlsf", "seq_fit"])
@pytest.mark.parametrize(
    ("processes", "kills"),
    [(4, 15), *(pytest.param(n, 1200, marks=pytest.mark.slow) for n in (2, 4, 8, 16))],
)
def test_a_kill_every_50_ms_harms_nobody(
    segment_name: str, algorithm: str, processes: int, kills: int
) -> None:
    with ManagedSharedMemory.create(
        segment_name, SIZE, max_size=MAX_SIZE, algorithm=algorithm, lifetime="last_detach"
    ) as segment:
        stop = Event(segment, "stop")
        pids = [start(segment_name) for _ in range(processes)]
        try:
            for _ in range(kills):
                time.sleep(PACE)
                victim = random.choice(pids)
                os.kill(victim, signal.SIGKILL)
                pids.remove(victim)
                assert os.waitpid(victim, 0)[1] == signal.SIGKILL, "a process ended by itself"
                pids.append(start(segment_name))
            stop.set()
            while pids:
                assert os.waitpid(pids.pop(), 0)[1] == 0, "a process failed"
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        account(segment, kills)
