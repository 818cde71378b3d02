"""Tests of code that uses aioipc, under pytest-asyncio: pytest examples/07_test_suite.py

Each test has a segment of its own, which is checked and gone at its end."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from aioipc import ManagedSharedMemory, Queue


@pytest.fixture
def segment(request):
    name = f"test-{os.getpid()}-{request.node.name}"  # the pid, for runs side by side
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        assert segment.check_sanity()
    assert not ManagedSharedMemory.exists(name)


@pytest.fixture
def other_process(segment):
    with subprocess.Popen([sys.executable, __file__, segment.name]) as process:
        yield process
        process.kill()


def lease_one_and_wait(name):
    """What the other process does."""
    with ManagedSharedMemory.open(name) as segment, Queue(segment, "jobs").blocking.lease() as job:
        Queue(segment, "news").blocking.put(f"leased {job}")
        signal.pause()


@pytest.mark.asyncio
async def test_a_cancelled_get_takes_nothing(segment):
    queue = Queue(segment, "jobs")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.01)
    await queue.put(1)
    assert await queue.get() == 1


@pytest.mark.asyncio
async def test_what_a_killed_process_had_on_lease_comes_back(segment, other_process):
    jobs, news = Queue(segment, "jobs"), Queue(segment, "news")
    await jobs.put("precious")
    async with asyncio.timeout(30):
        assert await news.get() == "leased precious"
        other_process.kill()
        async with (lease := jobs.lease()) as job:
            assert (job, lease.deliveries) == ("precious", 2)


if __name__ == "__main__":
    lease_one_and_wait(sys.argv[1])
