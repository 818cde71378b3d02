"""Primitives between real processes: stopped and killed ones, and what tells processes apart."""

import dataclasses
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aioipc import (
    Barrier,
    BoundedSemaphore,
    CapacityLimiter,
    Condition,
    Event,
    Leader,
    Lock,
    ManagedSharedMemory,
    Once,
    RLock,
    RWLock,
    Semaphore,
)
from tests.support.forked import Forked, forked
from tests.support.loops import run_under
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


def waiters(handle: Any) -> int:
    """How many wait for it in all processes."""
    fields = dataclasses.asdict(handle.statistics()).items()
    return sum(count for name, count in fields if "waiters" in name or "waiting" in name)


def waits_for(handle: Any, count: int) -> None:
    while waiters(handle) != count:
        os.sched_yield()


class Kind:
    """Something that one process can have at a time."""

    def __init__(self, make: Callable[[ManagedSharedMemory], Any], enter: Callable[[Any], Any]) -> None:
        self.make, self.enter = make, enter

    def had_within(self, handle: Any, seconds: float) -> bool:
        """Whether it can be had; it is given back."""
        entered = self.enter(handle.blocking)
        acquire = getattr(entered, "campaign", None) or entered.acquire
        if not acquire(timeout=seconds):
            return False
        entered.__exit__(None, None, None)
        return True


def itself(handle: Any) -> Any:
    return handle


KINDS = {
    "Lock": Kind(lambda segment: Lock(segment, spin_us=0), itself),
    "RLock": Kind(lambda segment: RLock(segment, spin_us=0), itself),
    "write": Kind(RWLock, lambda lock: lock.write()),
    "fair write": Kind(lambda segment: RWLock(segment, fair=True), lambda lock: lock.write()),
    "upgradable": Kind(RWLock, lambda lock: lock.upgradable()),
    "CapacityLimiter": Kind(lambda segment: CapacityLimiter(segment, None, 1), itself),
    "Leader": Kind(Leader, itself),
    "Semaphore": Kind(lambda segment: Semaphore(segment, None, 1), itself),
    "BoundedSemaphore": Kind(lambda segment: BoundedSemaphore(segment, None, 1), itself),
}
OWNED = [name for name in KINDS if "Semaphore" not in name]


def hold(test: Link, kind: Kind, handle: Any, how: str = "blocking") -> None:
    """Enters it, says so, and leaves it when told to."""

    async def awaiting() -> None:
        async with kind.enter(handle):
            await test.sync_async("has it")

    if how == "blocking":
        with kind.enter(handle.blocking):
            test.sync("has it")
    else:
        run_under(how, awaiting)


def leave(child: Forked) -> None:
    child.go()
    child.result()


# --------------------------------------------------------------------------------------- killed and stopped


@pytest.mark.parametrize("name", OWNED)
@pytest.mark.parametrize("how", ["blocking", "asyncio", "trio"])
def test_what_a_killed_process_held_goes_to_the_next_who_waits_there(
    segment: ManagedSharedMemory, name: str, how: str
) -> None:
    kind = KINDS[name]
    handle = kind.make(segment)
    with forked(hold, kind, handle, how) as holder:
        assert holder.receive() == "has it"
        with forked(hold, kind, handle, how) as waiter:
            waits_for(handle, 1)
            holder.kill()
            assert waiter.receive() == "has it"
            leave(waiter)
    assert kind.had_within(handle, 0)


@pytest.mark.parametrize("name", ["Semaphore", "BoundedSemaphore"])
def test_a_killed_process_s_permit_is_gone_until_somebody_releases_for_it(
    segment: ManagedSharedMemory, name: str
) -> None:
    semaphore = KINDS[name].make(segment)
    with forked(hold, KINDS[name], semaphore) as holder:
        assert holder.receive() == "has it"
        with forked(hold, KINDS[name], semaphore) as waiter:
            waits_for(semaphore, 1)
            holder.kill()
            assert semaphore.blocking.acquire(timeout=0.05) is False
            assert semaphore.value == 0
            semaphore.release()
            assert waiter.receive() == "has it"
            leave(waiter)
    assert semaphore.value == 1


def test_a_killed_reader_s_read_is_given_back_and_a_killed_upgrader_s_wait(
    segment: ManagedSharedMemory,
) -> None:
    def upgrade(test: Link) -> None:
        with lock.blocking.upgradable() as guard:
            guard.upgrade()

    lock = RWLock(segment)
    with forked(hold, Kind(RWLock, lambda lock: lock.read()), lock) as reader:
        assert reader.receive() == "has it"
        with forked(upgrade) as upgrader:
            while lock.statistics().waiting_upgrades == 0:
                os.sched_yield()
            assert lock.blocking.write().acquire(timeout=0.02) is False
            upgrader.kill()
        assert KINDS["upgradable"].had_within(lock, 5)
        reader.kill()
    with lock.blocking.write() as guard:
        assert not guard.abandoned


@pytest.mark.parametrize("name", KINDS)
def test_a_stopped_holder_keeps_what_it_holds(segment: ManagedSharedMemory, name: str) -> None:
    kind = KINDS[name]
    handle = kind.make(segment)
    with forked(hold, kind, handle) as holder:
        assert holder.receive() == "has it"
        holder.stop()
        assert not kind.had_within(handle, 0.05)
        assert waiters(handle) == 0
        holder.resume()
        leave(holder)
    assert kind.had_within(handle, 0)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("how", ["blocking", "asyncio"])
def test_what_is_on_its_way_to_a_stopped_waiter_goes_on_when_that_is_killed(
    segment: ManagedSharedMemory, name: str, how: str
) -> None:
    kind = KINDS[name]
    handle = kind.make(segment)
    held = kind.enter(handle.blocking)
    held.__enter__()
    with forked(hold, kind, handle, how) as first:
        waits_for(handle, 1)
        with forked(hold, kind, handle, how) as second:
            waits_for(handle, 2)
            first.stop()
            held.__exit__(None, None, None)  # wakes the first, or hands it over
            first.kill()
            assert second.receive() == "has it"
            leave(second)
    assert kind.had_within(handle, 0)


def test_a_stopped_waiter_in_front_costs_one_permit_and_not_all(segment: ManagedSharedMemory) -> None:
    semaphore = Semaphore(segment, None, 0)
    kind = KINDS["Semaphore"]
    with forked(hold, kind, semaphore) as first:
        waits_for(semaphore, 1)
        first.stop()
        with forked(hold, kind, semaphore) as second:
            waits_for(semaphore, 2)
            semaphore.release(2)
            assert second.receive() == "has it"
            leave(second)
        first.resume()
        assert first.receive() == "has it"
        leave(first)
    assert semaphore.value == 2


# ------------------------------------------------------------------------------ events, barriers, conditions


def come(test: Link, barrier: Barrier, how: str = "blocking") -> int:
    async def awaiting() -> int:
        return await barrier.wait()

    place: int = barrier.blocking.wait() if how == "blocking" else run_under(how, awaiting)
    return place


@pytest.mark.parametrize("how", ["blocking", "asyncio"])
def test_a_party_that_was_killed_has_not_come(segment: ManagedSharedMemory, how: str) -> None:
    barrier = Barrier(segment, None, 3)
    with forked(come, barrier, how) as dead:
        waits_for(barrier, 1)
        dead.kill()
    with forked(come, barrier, how) as first, forked(come, barrier, how) as second:
        while barrier.statistics().contended != 3:
            os.sched_yield()
        assert Event(segment).blocking.wait(timeout=0.05) is False  # while they would pass
        assert segment.check_sanity()  # finds the dead, if nobody has yet
        assert barrier.n_waiting == 2
        assert not barrier.broken
        places = [barrier.blocking.wait(), first.result(), second.result()]
    assert sorted(places) == [0, 1, 2]


def test_a_stopped_party_has_come(segment: ManagedSharedMemory) -> None:
    barrier = Barrier(segment, None, 2)
    with forked(come, barrier) as stopped:
        waits_for(barrier, 1)
        stopped.stop()
        assert barrier.blocking.wait() == 1
        stopped.resume()
        assert stopped.result() == 0


def be_notified(test: Link, condition: Condition, how: str) -> bool:
    async def awaiting() -> None:
        async with condition:
            await condition.wait()

    if how == "blocking":
        with condition.blocking:
            condition.blocking.wait()
    else:
        run_under(how, awaiting)
    return True


@pytest.mark.parametrize("how", ["blocking", "asyncio", "trio"])
@pytest.mark.parametrize("instant", ["before the lock", "while the lock is held"])
def test_a_notification_of_a_waiter_that_is_killed_goes_to_the_next(
    segment: ManagedSharedMemory, how: str, instant: str
) -> None:
    condition = Condition(segment)
    with forked(be_notified, condition, how) as first:
        waits_for(condition, 1)
        with forked(be_notified, condition, how) as second:
            waits_for(condition, 2)
            with condition.blocking:
                if instant == "before the lock":
                    first.stop()
                condition.blocking.notify()
                if instant == "while the lock is held":
                    waits_for(condition.lock, 1)  # the first, which has heard of it
                first.kill()
            assert second.result() is True
    assert waiters(condition) == 0


def wait_for_event(test: Link, event: Event) -> bool:
    event.blocking.wait()
    return True


def test_a_stopped_waiter_goes_on_for_an_event_that_was_cleared_meanwhile(
    segment: ManagedSharedMemory,
) -> None:
    event = Event(segment)
    with forked(wait_for_event, event) as stopped, forked(wait_for_event, event) as other:
        waits_for(event, 2)
        stopped.stop()
        event.set()
        event.clear()
        assert other.result() is True
        stopped.resume()
        assert stopped.result() is True
    assert waiters(event) == 0


# ------------------------------------------------------------------------------------------- once and leader


def be_first(test: Link, once: Once) -> list[bool]:
    with once.blocking as first:
        record = once.statistics()
        test.sync("entered")
    return [first, record.abandoned]


def test_who_follows_one_killed_in_the_middle_of_a_once_does_it(segment: ManagedSharedMemory) -> None:
    once = Once(segment)
    with forked(be_first, once) as dead:
        assert dead.receive() == "entered"
        with forked(be_first, once) as heir:
            waits_for(once, 1)
            with forked(be_first, once) as late:
                waits_for(once, 2)
                dead.kill()
                assert heir.receive() == "entered"
                assert not once.done
                heir.go()
                assert heir.result() == [True, True]
                assert late.receive() == "entered"
                late.go()
                assert late.result()[0] is False
    assert once.done


def lead(test: Link, leader: Leader) -> None:
    with leader.blocking as term:
        test.sync(term)


def test_terms_grow_over_deaths_and_resignations(segment: ManagedSharedMemory) -> None:
    leader = Leader(segment)
    terms = []
    for ending in (Forked.kill, leave, Forked.kill, Forked.kill, leave):
        with forked(lead, leader) as child:
            terms.append(child.receive())
            assert leader.term == terms[-1]
            ending(child)
    assert terms == sorted(set(terms))


# ------------------------------------------------------------------------------------- which process is which

#: Runs a command as the first process of a pid namespace of its own.
NAMESPACE = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-fp", "--mount-proc", "--kill-child"]


def namespaces_or_skip() -> None:
    try:
        allowed = subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("this machine does not let us make pid namespaces")


def take_in_a_namespace(test: Link, name: str) -> None:
    """Turn by turn with the test; killed in the end."""
    with ManagedSharedMemory.open(name) as segment:
        lock, semaphore = Lock(segment, "lock", spin_us=0), Semaphore(segment, "semaphore")
        with lock.blocking:
            test.sync(os.getpid())
        semaphore.blocking.acquire()
        test.sync("has a permit")
        semaphore.release()
        with lock.blocking:
            test.sync(["has the lock", lock.abandoned])
            test.receive()


def test_two_pid_namespaces_share_a_segment(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str
) -> None:
    namespaces_or_skip()
    lock, semaphore = Lock(segment, "lock", spin_us=0), Semaphore(segment, "semaphore", 0)
    peer = spawn(take_in_a_namespace, segment_name, wrapper=NAMESPACE)
    assert peer.receive() == 1  # the first process there; here that is somebody else's number
    assert lock.statistics().owner_pid == 1
    assert lock.blocking.acquire(timeout=0.05) is False
    peer.go()
    with lock.blocking:
        assert not lock.abandoned
    waits_for(semaphore, 1)
    semaphore.release()
    assert peer.receive() == "has a permit"
    with forked(hold, KINDS["Lock"], lock) as holder:
        assert holder.receive() == "has it"
        peer.go()
        semaphore.blocking.acquire()
        waits_for(lock, 1)
        holder.kill()
        assert peer.receive() == ["has the lock", True]
    peer.go()
    with forked(hold, KINDS["Lock"], lock) as waiter:
        waits_for(lock, 1)
        peer.kill()
        assert waiter.receive() == "has it"
        leave(waiter)
    assert not lock.locked()


def idle(test: Link, handle: Any) -> None:
    assert waiters(handle) == 0
    test.sync("runs")


def reuse_pids(test: Link, name: str) -> list[str]:
    """In a pid namespace of its own; what another process with a dead one's number did not keep."""
    passed = []
    with ManagedSharedMemory.open(name) as segment:
        for kind in (*KINDS, "read"):
            held = KINDS.get(kind) or Kind(RWLock, lambda lock: lock.read())
            handle = held.make(segment)
            with forked(hold, held, handle) as dead:
                assert dead.receive() == "has it"
                dead.kill()
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(dead.pid - 1))
            with forked(idle, handle) as other:
                assert other.receive() == "runs"
                assert other.pid == dead.pid
                wanted = KINDS["write"] if kind == "read" else held
                if wanted.had_within(handle, 5 if kind in (*OWNED, "read") else 0):
                    passed.append(kind)
                leave(other)
    return passed


def test_another_process_with_the_number_of_a_dead_one_holds_nothing(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str
) -> None:
    namespaces_or_skip()
    peer = spawn(reuse_pids, segment_name, wrapper=NAMESPACE)
    assert peer.result() == [*OWNED, "read"]
