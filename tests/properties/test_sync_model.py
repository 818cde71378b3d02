"""RWLock, Semaphore and CapacityLimiter against plain numbers, driven from three processes that are killed.

The model: who holds how many reads, who is upgradable or writes, and whether a writer died; how many permits
there are, whoever took them; who borrowed which tokens.  A killed process's holds and tokens are given back,
the permits it took are not.  After every step the segment is sound, and each primitive says what the model
says.
"""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from aioipc import BoundedSemaphore, CapacityLimiter, ManagedSharedMemory, RWLock, Semaphore, WouldBlock
from tests.support.forked import Forked, forked
from tests.support.machine import PROCESSES, SegmentMachine, explore, serve, who
from tests.support.peers import Link

LEVELS = ("read", "upgradable", "write")
BORROWERS = ("a", "b", "c")
levels = st.sampled_from(LEVELS)
tokens = st.integers(1, 5)


class Kept:
    """What a process has of the primitives."""

    def __init__(self) -> None:
        self.guards: list[Any] = []
        self.known: tuple[RWLock, Semaphore, CapacityLimiter] | None = None

    def of(self, segment: ManagedSharedMemory) -> tuple[RWLock, Semaphore, CapacityLimiter]:
        if self.known is None:
            semaphore = segment.find(BoundedSemaphore, "bounded") or segment.find(Semaphore, "semaphore")
            assert semaphore is not None
            self.known = RWLock(segment, "lock"), semaphore, CapacityLimiter(segment, "limiter")
        return self.known


def acquire(segment: ManagedSharedMemory, level: str, kept: Kept) -> bool:
    guard = getattr(kept.of(segment)[0].blocking, level)()
    if not guard.acquire(timeout=0):
        return False
    kept.guards.append(guard)
    return True


def convert(segment: ManagedSharedMemory, which: int, change: str, to: str, kept: Kept) -> Any:
    try:
        return getattr(kept.guards[which], change)(to)
    except ValueError:
        return "ValueError"


def release(segment: ManagedSharedMemory, which: int, kept: Kept) -> None:
    kept.guards.pop(which).release()


def take(segment: ManagedSharedMemory, kept: Kept) -> bool:
    try:
        kept.of(segment)[1].acquire_nowait()
    except WouldBlock:
        return False
    return True


def give(segment: ManagedSharedMemory, permits: int, kept: Kept) -> bool:
    try:
        kept.of(segment)[1].release(permits)
    except ValueError:
        return False
    return True


def borrow(segment: ManagedSharedMemory, borrower: str, kept: Kept) -> Any:
    try:
        return kept.of(segment)[2].blocking.acquire_on_behalf_of(borrower, timeout=0)
    except RuntimeError:
        return "holds one"


def bring_back(segment: ManagedSharedMemory, borrower: str, kept: Kept) -> bool:
    try:
        kept.of(segment)[2].release_on_behalf_of(borrower)
    except RuntimeError:
        return False
    return True


def resize(segment: ManagedSharedMemory, total: int, kept: Kept) -> None:
    kept.of(segment)[2].total_tokens = total


OPERATIONS = {
    "acquire": acquire, "convert": convert, "release": release, "take": take, "give": give, "borrow": borrow,
    "bring back": bring_back, "resize": resize,
}  # fmt: skip


def worker(test: Link, name: str) -> None:
    serve(test, name, OPERATIONS, Kept())


def convertible(change: str, level: str, to: str) -> bool:
    """Whether there is such a conversion."""
    if change == "try_upgrade":
        return to != "read" and LEVELS.index(level) < LEVELS.index(to)
    return to != "write" and LEVELS.index(level) > LEVELS.index(to)


class SyncMachine(SegmentMachine):
    role = worker

    def __init__(self) -> None:
        super().__init__()
        self.empty = self.segment.free_memory
        self.holds: list[list[str]] = [[] for _ in range(PROCESSES)]
        self.abandoned, self.dead, self.found_dead = False, 0, 0  # writers; those found by who came next
        self.borrowed: list[set[str]] = [set() for _ in range(PROCESSES)]
        self.made = False

    @initialize(fair=st.booleans(), bounded=st.booleans(), permits=st.integers(0, 3), total=tokens)
    def make(self, fair: bool, bounded: bool, permits: int, total: int) -> None:
        self.lock = RWLock(self.segment, "lock", fair=fair)
        self.semaphore: Semaphore
        if bounded:
            self.semaphore = BoundedSemaphore(self.segment, "bounded", permits)
        else:
            self.semaphore = Semaphore(self.segment, "semaphore", permits)
        self.limiter = CapacityLimiter(self.segment, "limiter", total)
        self.made = True
        self.permits, self.total = permits, total
        self.bound = permits if bounded else None

    def start(self) -> Forked:  # type: ignore[override]  # a fork is there at once
        peer = forked(type(self).role, self.name)
        assert peer.receive() == "ready"
        return peer

    # --- the lock

    def held(self, *wanted: str) -> int:
        return sum(level in wanted for levels in self.holds for level in levels)

    def possible(self, level: str) -> bool:
        """Beside what the others hold."""
        others = {"read": ("write",), "upgradable": ("upgradable", "write"), "write": LEVELS}[level]
        return self.held(*others) == 0

    @rule(who=who, level=levels)
    def acquire(self, who: int, level: str) -> None:
        possible = self.possible(level)
        assert self.ask(who, "acquire", level) is possible
        if possible:
            self.holds[who].append(level)
            self.found_dead = self.dead

    @precondition(lambda self: self.held(*LEVELS))
    @rule(choice=st.integers(0, 1 << 20))
    def release(self, choice: int) -> None:
        who, which = self.chosen(choice)
        self.ask(who, "release", which)
        self.no_longer(self.holds[who].pop(which))

    @precondition(lambda self: self.held(*LEVELS))
    @rule(choice=st.integers(0, 1 << 20), change=st.sampled_from(["try_upgrade", "downgrade"]), to=levels)
    def convert(self, choice: int, change: str, to: str) -> None:
        who, which = self.chosen(choice)
        level = self.holds[who][which]
        said = self.ask(who, "convert", which, change, to)
        if not convertible(change, level, to):
            assert said == "ValueError"
            return
        self.holds[who][which] = "nothing"
        possible = self.possible(to)
        self.holds[who][which] = to if possible else level
        assert said is (possible if change == "try_upgrade" else None)
        if possible:
            self.no_longer(level)

    def chosen(self, choice: int) -> tuple[int, int]:
        everybody = [(who, which) for who in range(PROCESSES) for which in range(len(self.holds[who]))]
        return everybody[choice % len(everybody)]

    def no_longer(self, level: str) -> None:
        if level == "write":
            self.abandoned = False

    # --- permits and tokens

    @rule(who=who)
    def take(self, who: int) -> None:
        assert self.ask(who, "take") is (self.permits > 0)
        self.permits = max(self.permits - 1, 0)

    @rule(who=who, permits=st.integers(1, 3))
    def give(self, who: int, permits: int) -> None:
        possible = self.bound is None or self.permits + permits <= self.bound
        assert self.ask(who, "give", permits) is possible
        if possible:
            self.permits += permits

    @rule(who=who, borrower=st.sampled_from(BORROWERS))
    def borrow(self, who: int, borrower: str) -> None:
        said = self.ask(who, "borrow", borrower)
        if borrower in self.borrowed[who]:
            assert said == "holds one"
            return
        assert said is (sum(map(len, self.borrowed)) < self.total)
        if said:
            self.borrowed[who].add(borrower)

    @rule(who=who, borrower=st.sampled_from(BORROWERS))
    def bring_back(self, who: int, borrower: str) -> None:
        assert self.ask(who, "bring back", borrower) is (borrower in self.borrowed[who])
        self.borrowed[who].discard(borrower)

    @rule(who=who, total=tokens)
    def resize(self, who: int, total: int) -> None:
        """Perhaps to fewer than are on loan."""
        self.ask(who, "resize", total)
        self.total = total

    # --- deaths

    @rule(who=who)
    def kill(self, who: int) -> None:
        super().kill(who)  # whoever attaches finds the dead
        if "write" in self.holds[who]:
            self.abandoned = True
            self.dead += 1
        self.holds[who].clear()
        self.borrowed[who].clear()

    # --- what they say

    @invariant()
    def the_lock_says_what_the_model_says(self) -> None:
        if not self.made:
            return
        s = self.lock.statistics()
        assert (s.readers, s.writing, s.upgradable) == (
            self.held("read"), self.held("write") == 1, self.held("upgradable") == 1,
        )  # fmt: skip
        assert (s.abandoned, s.abandoned_count) == (self.abandoned, self.found_dead)
        owners = [self.workers[i].pid for i in range(PROCESSES) if {"write", "upgradable"} & {*self.holds[i]}]
        assert s.owner_pid == (owners[0] if owners else None)
        assert (s.my_reads, s.mine) == (0, False)
        assert (s.waiting_readers, s.waiting_writers, s.waiting_upgradables, s.waiting_upgrades) == (
            0,
            0,
            0,
            0,
        )

    @invariant()
    def the_counters_say_what_the_model_says(self) -> None:
        if not self.made:
            return
        s = self.semaphore.statistics()
        assert (s.value, s.bound, s.waiters) == (self.permits, self.bound, 0)
        t = self.limiter.statistics()
        by_process = {
            self.workers[i].pid: len(self.borrowed[i]) for i in range(PROCESSES) if self.borrowed[i]
        }
        assert t.borrowed_by_process == by_process
        assert (t.borrowed_tokens, t.total_tokens) == (sum(by_process.values()), self.total)
        assert self.limiter.available_tokens == self.total - t.borrowed_tokens
        assert (t.borrowers, t.tasks_waiting) == ((), 0)

    def clear_away(self) -> None:
        if not self.made:
            return
        for handle in (self.lock, self.semaphore, self.limiter):
            assert self.segment.destroy_object(handle)
        del self.lock, self.semaphore, self.limiter, handle

    def everything_given_back(self) -> None:
        assert self.segment.free_memory == self.empty


def test_lock_permits_and_tokens_agree_with_numbers(segment_name: str) -> None:
    explore(SyncMachine, segment_name, examples=12, steps=40)


@pytest.mark.slow
def test_lock_permits_and_tokens_agree_with_numbers_for_long(segment_name: str) -> None:
    explore(SyncMachine, segment_name, examples=200, steps=60)
