"""segment.holders(): who holds what, of every kind of thing that can be held, alive, stopped and dead."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aioipc import (
    CapacityLimiter,
    ClosedError,
    Condition,
    Event,
    Holder,
    Leader,
    Lock,
    ManagedHeapMemory,
    ManagedMappedFile,
    ManagedSharedMemory,
    Once,
    Queue,
    RLock,
    RWLock,
    SharedDict,
    unique_instance,
)
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]
SIZE = 1 << 20


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


def found(segment: Any, *what: str) -> list[Holder]:
    return [holder for holder in segment.holders() if holder.what in what]


def one(segment: Any, *what: str) -> Holder:
    (holder,) = found(segment, *what)
    return holder


def is_mine(holder: Holder, segment: Any) -> bool:
    (me,) = [other for other in segment.participants() if other.is_self]
    same = (holder.slot, holder.generation) == (me.slot, me.generation)
    return same and (holder.pid, holder.alive) == (os.getpid(), True)


HELD: dict[str, Callable[[Any, str], Any]] = {
    "lock": lambda segment, name: Lock(segment, name).blocking,
    "leader": lambda segment, name: Leader(segment, name).blocking,
    "once": lambda segment, name: Once(segment, name).blocking,
    "read": lambda segment, name: RWLock(segment, name).blocking.read(),
    "write": lambda segment, name: RWLock(segment, name).blocking.write(),
    "upgradable": lambda segment, name: RWLock(segment, name).blocking.upgradable(),
    "token": lambda segment, name: CapacityLimiter(segment, name, 3).blocking,
}
TYPES = {"leader": "Leader", "once": "Once", "token": "CapacityLimiter", "lock": "Lock"}


@pytest.mark.parametrize("what", HELD)
def test_what_is_held_has_a_holder_until_it_is_given_back(segment: Any, what: str) -> None:
    guard = HELD[what](segment, "thing")
    assert found(segment, *HELD) == []
    with guard:
        holder = one(segment, *HELD)
        assert is_mine(holder, segment)
        assert (holder.what, holder.name, holder.kind, holder.count) == (what, "thing", "named", 1)
        assert holder.type == TYPES.get(what, "RWLock")
        assert f"process {os.getpid()}" in str(holder)
        assert f"the {holder.type} 'thing'" in str(holder)
        if what in ("lock", "leader", "once", "write"):
            assert holder.task is not None
            assert re.search(rf"process \d+ \({holder.task}\)", str(holder))
    assert found(segment, *HELD) == []


def test_an_rlock_and_the_lock_of_a_condition_are_locks(segment: Any) -> None:
    for thing in (RLock(segment, "r"), Condition(segment, "c")):
        with thing.blocking:
            holder = one(segment, "lock")
            assert (holder.name, holder.type) == (thing.name, type(thing).__name__)


def test_objects_without_a_name_have_holders(segment: Any) -> None:
    with Lock(segment).blocking, Lock(segment, unique_instance).blocking:
        kinds = {(holder.kind, holder.name) for holder in found(segment, "lock")}
        assert kinds == {("anonymous", None), ("unique", None)}
        assert "the anonymous Lock" in " ".join(map(str, segment.holders()))


def test_amounts_are_counted(segment: Any) -> None:
    limiter, rw = CapacityLimiter(segment, "l", 9), RWLock(segment, "rw")
    tokens = [object() for _ in range(3)]
    for token in tokens:
        limiter.blocking.acquire_on_behalf_of(token)
    with rw.blocking.read(), rw.blocking.read():
        assert (one(segment, "token").count, one(segment, "read").count) == (len(tokens), 2)
        assert "2 times" in str(one(segment, "read"))
    for token in tokens:
        limiter.release_on_behalf_of(token)


def test_what_was_taken_from_a_queue_has_a_holder(segment: Any) -> None:
    queue = Queue(segment, "jobs")
    for n in range(4):
        queue.put_nowait(n)
    queue.get_nowait()
    with queue.blocking.lease(), queue.blocking.lease():
        assert (one(segment, "lease").count, one(segment, "unfinished").count) == (2, 1)
        assert is_mine(one(segment, "lease"), segment)
    queue.task_done()
    assert found(segment, "unfinished", "lease") == []


def test_handles_and_views_have_a_holder(segment: Any) -> None:
    shared = SharedDict(segment, "d")
    shared["k"] = [1, 2, 3]
    handle = one(segment, "handle")
    assert (handle.name, handle.type) == ("d", "SharedDict")
    assert is_mine(handle, segment)
    assert found(segment, "view") == []
    with shared.view("k"):
        view = one(segment, "view")
        assert (view.type, view.name) == (None, None)
        assert f"{view.place:#x}" in str(view)
        assert is_mine(view, segment)
    assert found(segment, "view") == []
    shared = None  # the last handle
    assert found(segment, "handle") == []


def test_an_atomic_block_and_what_it_does_have_a_holder(segment: Any) -> None:
    Event(segment, "old")
    with segment.atomic():
        Lock(segment, "new")
        segment.destroy(Event, "old")
        assert is_mine(one(segment, "atomic"), segment)
        assert (one(segment, "constructs").name, one(segment, "destroys").name) == ("new", "old")
        assert "has the atomic block open" in str(one(segment, "atomic"))
    assert found(segment, "atomic", "constructs", "destroys") == []


def test_private_segments_have_holders() -> None:
    with ManagedHeapMemory.create(SIZE) as segment, Lock(segment, "l").blocking:
        assert is_mine(one(segment, "lock"), segment)
    with pytest.raises(ClosedError):
        segment.holders()


# ------------------------------------------------------------------------------------------ processes


def hold(test: Link, name: str, what: str) -> None:
    with ManagedSharedMemory.open(name) as segment, HELD[what](segment, "thing"):
        test.sync("held")


def wait(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        test.send("waiting")
        Lock(segment, "thing").blocking.acquire()
        test.sync("got")


@pytest.mark.parametrize("what", HELD)
def test_another_process_holds_it_and_dies(segment: Any, segment_name: str, spawn: Spawn, what: str) -> None:
    peer = spawn(hold, segment_name, what)
    assert peer.receive() == "held"
    holder = one(segment, *HELD)
    assert (holder.what, holder.pid, holder.alive) == (what, peer.pid, True)
    with ManagedSharedMemory.open_read_only(segment_name) as reader:
        seen = one(reader, *HELD)
        assert (seen.what, seen.pid, seen.alive, seen.task) == (what, peer.pid, True, holder.task)
        peer.kill()
        for look in (reader, segment):
            dead = one(look, *HELD)
            assert (dead.what, dead.pid, dead.alive) == (what, peer.pid, False)
            assert "dead" in str(dead)
        assert {other.what for other in reader.holders() if other.pid == peer.pid} == {what, "handle"}
    assert segment.check_sanity()  # recovers the dead
    left = found(segment, *HELD)
    if what in ("lock", "leader", "once", "write"):  # until somebody takes it over
        assert [(other.what, other.pid, other.alive) for other in left] == [(what, None, False)]
        assert str(left[0]).startswith("a process that is gone")
    else:
        assert left == []
    assert found(segment, "handle") == []


def test_who_waits_is_listed_with_the_time_since_when(segment: Any, segment_name: str, spawn: Spawn) -> None:
    lock = Lock(segment, "thing")
    before = time.time()
    with lock.blocking:
        peer = spawn(wait, segment_name)
        assert peer.receive() == "waiting"
        while not found(segment, "waiting"):
            os.sched_yield()
        waiter = one(segment, "waiting")
        assert (waiter.pid, waiter.alive, waiter.name, waiter.type) == (peer.pid, True, "thing", "Lock")
        assert waiter.since is not None
        assert before - 1 < waiter.since < time.time() + 1
        assert "waits for the Lock 'thing'" in str(waiter)
        peer.kill()
        waiter = one(segment, "waiting")
        assert (waiter.pid, waiter.alive) == (peer.pid, False)
    with ManagedSharedMemory.open(segment_name):  # attaching anew is enough for nobody: the check cleans up
        assert segment.check_sanity()
    assert found(segment, "waiting") == []


def change_for_ever(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        shared = SharedDict(segment, "d")
        test.sync("changing")
        for n in range(10**9):
            shared[n % 100] = [n] * 50
            if n % 10 == 0:
                Event(segment, f"e{n % 30}")
                segment.destroy(Event, f"e{n % 30}")


def test_beside_processes_that_change_everything_it_is_true_and_ends(
    segment: Any, segment_name: str, spawn: Spawn
) -> None:
    peers = [spawn(change_for_ever, segment_name) for _ in range(2)]
    for peer in peers:
        assert peer.receive() == "changing"
        peer.go()
    pids = {peer.pid for peer in peers}
    with Lock(segment, "mine").blocking:
        for _ in range(200):
            holders = segment.holders()
            assert [other.name for other in holders if other.what == "lock"] == ["mine"]
            assert {other.pid for other in holders} <= {os.getpid(), *pids}
            assert {other.type for other in holders if other.what == "handle"} <= {
                "Lock",
                "SharedDict",
                "Event",
            }
    for peer in peers:
        peer.kill()


def test_a_process_stopped_in_the_middle_of_a_change_is_named(
    segment: Any, segment_name: str, spawn: Spawn
) -> None:
    peer = spawn(change_for_ever, segment_name)
    assert peer.receive() == "changing"
    peer.go()
    inside: list[Holder] = []
    while not inside:
        os.kill(peer.pid, signal.SIGSTOP)
        inside = found(segment, "core lock")
        if not inside:
            os.kill(peer.pid, signal.SIGCONT)
            os.sched_yield()
    assert [(holder.pid, holder.alive, holder.task) for holder in inside] == [
        (peer.pid, True, f"thread {peer.pid}")
    ] * len(inside)
    assert {holder.type for holder in inside} <= {"heap", "catalog", "SharedDict"}
    assert f"process {peer.pid} (thread {peer.pid}) is inside of the " in str(inside[0])
    peer.kill()
    assert segment.check_sanity()
    assert found(segment, "core lock") == []


def test_damaged_bytes_are_no_signal_and_no_endless_loop(tmp_path) -> None:
    path = tmp_path / "segment"
    with ManagedMappedFile.create(path, 64 << 10, participants=2) as segment:
        guards = [HELD[what](segment, what) for what in HELD]
        for guard in guards:
            guard.__enter__()
        queue = Queue(segment, "q")
        queue.put_nowait(1)
        queue.get_nowait()
        SharedDict(segment, "d")["k"] = 1
        with ManagedMappedFile.open_read_only(path) as reader:
            content = path.read_bytes()
            seen = reader.holders()
            assert len(seen) > len(HELD)
            differed = 0
            for at in range(192, len(content) - 8, 56):
                with open(path, "r+b", buffering=0) as file:
                    file.seek(at)
                    file.write(b"\xff\x7f\x01\x80\xff\xff\xff\x3f")
                    differed += reader.holders() != seen
                    file.seek(at)
                    file.write(content[at : at + 8])
            assert differed > 20
        for guard in reversed(guards):
            guard.__exit__(None, None, None)


def want_memory(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        test.send("waiting")
        segment.blocking.allocate_when_free(SIZE // 2)


def test_who_waits_for_memory_is_listed(segment: Any, segment_name: str, spawn: Spawn) -> None:
    taken = segment.allocate(segment.largest_free_block)
    peer = spawn(want_memory, segment_name)
    assert peer.receive() == "waiting"
    while not found(segment, "waiting"):
        os.sched_yield()
    assert "waits for the free memory" in str(one(segment, "waiting"))
    segment.deallocate(taken)
    peer.result()
