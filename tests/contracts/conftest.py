"""What all contracts are tried on."""

from collections.abc import Iterator

import pytest

from aioipc import ManagedSharedMemory


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    """A segment that must be sound, and free of waiters, when the test is over."""
    segment = ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach")
    yield segment
    if not segment.closed:
        report = segment.check_sanity()
        assert report, report
        assert report.counts["nodes_waiting"] == 0
    segment.close()
