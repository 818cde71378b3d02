"""Named primitives between real processes: first use at once, death, fork, and the quiet end of a process."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from aioipc import ManagedSharedMemory, NotOwnerError, WouldBlock, _home, named
from tests.support.forked import forked, together
from tests.support.peers import Link, Peer
from tests.support.sources import ROOT

pytestmark = pytest.mark.usefixtures("named_home")

Spawn = Callable[..., Peer]


def hold(test: Link) -> None:
    with named.Lock("a").blocking:
        test.sync("held")


async def wait(test: Link) -> bool:
    async with named.Lock("a"):
        return named.Lock("a").abandoned


def first_use(test: Link, number: int) -> str:
    with named.Lock("a").blocking:
        named.Lock(f"own {number}").acquire_nowait()
    return str(named.segment().uuid)


def test_processes_that_use_it_first_at_once_find_one_segment() -> None:
    uuids = together(6, first_use)
    assert set(uuids) == {str(named.segment().uuid)}
    records = {record.name: record for record in named.all()}
    assert sorted(records) == ["a", *(f"own {number}" for number in range(6))]
    assert all(record.statistics.abandoned for name, record in records.items() if name != "a")
    assert len(named.segment().participants()) == 1
    assert named.segment().check_sanity()


def test_only_the_process_that_holds_it_may_release(spawn: Spawn) -> None:
    peer = spawn(hold)
    assert peer.receive() == "held"
    lock = named.Lock("a")
    with pytest.raises(NotOwnerError):
        lock.release()
    with pytest.raises(WouldBlock):
        lock.acquire_nowait()
    (record,) = named.all()
    assert record.holder_pid == peer.pid
    peer.go()
    peer.result()
    lock.acquire_nowait()
    lock.release()


def test_a_waiter_gets_a_killed_holders_lock(spawn: Spawn) -> None:
    holder = spawn(hold)
    assert holder.receive() == "held"
    waiter = spawn(wait)
    lock = named.Lock("a")
    while lock.statistics().waiters != 1:
        os.sched_yield()
    holder.kill()
    assert waiter.result() is True
    assert not lock.abandoned


def in_child(test: Link) -> list[bool]:
    lock = named.Lock("a")
    taken = lock.blocking.acquire(timeout=0)
    named.Lock("child's").acquire_nowait()
    pids = {found.pid for found in named.segment().participants()}
    _home._close_quietly()
    return [taken, pids == {os.getpid(), os.getppid()}]


def test_a_forked_child_attaches_for_itself() -> None:
    lock = named.Lock("a")
    with lock.blocking, forked(in_child) as child:
        assert child.result() == [False, True]
        assert lock.statistics().mine
    assert len(named.segment().participants()) == 1
    assert named.Lock("child's").abandoned


def ended(program: str) -> str:
    """What a process that runs the program writes to stderr."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "program",
    [
        "from aioipc import named; named.Lock('a').acquire_nowait()",
        "from aioipc import named, ManagedSharedMemory as M\n"
        "kept = named.Lock('a'); M.remove(kept.segment.name); again = named.Lock('a')",
        "from aioipc import named; import threading\n"
        "def rest(kept, ready): ready.set(); threading.Event().wait()\n"
        "ready = threading.Event()\n"
        "threading.Thread(target=rest, args=(named.Lock('a'), ready), daemon=True).start(); ready.wait()",
    ],
    ids=["holding", "removed", "kept by a daemon thread"],
)
def test_a_process_leaves_when_it_ends_and_says_nothing(program: str, named_home: str) -> None:
    segment = ManagedSharedMemory.create(named_home, 1 << 20)
    with segment:
        assert ended(program) == ""
        assert [found.pid for found in segment.participants()] == [os.getpid()]


def test_a_process_ends_quietly_while_a_daemon_thread_waits() -> None:
    program = """
import os, threading
from aioipc import named
lock = named.Lock("a")
lock.acquire_nowait()
threading.Thread(target=lock.blocking.acquire, daemon=True).start()
while not lock.statistics().waiters:
    os.sched_yield()
"""
    assert ended(program) == ""
    named.Lock("a").acquire_nowait()


def test_a_process_ends_quietly_in_the_middle_of_an_await() -> None:
    program = """
import asyncio
from aioipc import named
async def main():
    lock = named.Lock("a")
    await lock.acquire()
    task = asyncio.create_task(lock.acquire())
    await asyncio.sleep(0)
asyncio.run(main())
"""
    assert ended(program) == ""
    named.Lock("a").acquire_nowait()
