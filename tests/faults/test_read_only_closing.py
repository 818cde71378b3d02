"""A reader that is closed in the middle of a lookup, by a signal handler of its own thread."""

import itertools
import mmap
import os
import signal

import pytest

from aioipc import ClosedError, ManagedSharedMemory, SharedDict
from tests.support.kinds import SIZE
from tests.support.peers import Link
from tests.support.stalled import CATALOG

CATALOG_ACQUISITIONS = CATALOG + 4  # where the names' lock counts who has taken it


def count_on(test: Link, name: str) -> None:
    """No two looks at the catalog find the same count."""
    with open(f"/dev/shm/{name}", "r+b") as file, mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE) as memory:
        test.sync("counting")
        with memoryview(memory) as view, view.cast("I") as words:
            while True:
                words[CATALOG_ACQUISITIONS // 4] ^= 1


def test_it_may_be_closed_while_it_looks_again(segment_name: str, spawn) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach") as segment:
        with open(f"/dev/shm/{segment_name}", "rb") as file:
            counts = [os.pread(file.fileno(), 4, CATALOG_ACQUISITIONS)]
            SharedDict(segment, "d")
            counts.append(os.pread(file.fileno(), 4, CATALOG_ACQUISITIONS))
        assert counts[0] != counts[1]
        peer = spawn(count_on, segment_name)
        assert peer.receive() == "counting"
        peer.go()
        previous = signal.getsignal(signal.SIGALRM)
        for _ in range(20):
            reader = ManagedSharedMemory.open_read_only(segment_name)
            signal.signal(signal.SIGALRM, lambda *_, reader=reader: reader.close())
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            with pytest.raises(ClosedError):
                any(reader.find(SharedDict, "d") is None for _ in itertools.count())
        signal.signal(signal.SIGALRM, previous)
        peer.kill()
