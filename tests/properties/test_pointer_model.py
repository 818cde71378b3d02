"""Owners against a count kept by hand, driven from three processes, any of which may be killed between steps.

The model: who owns what, by pointer of a process and by field; what nobody owns is gone, with what it owned.
"""

import pickle
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

import aioipc
from aioipc import ManagedSharedMemory, SharedPtr, Struct, WeakPtr
from tests.support.machine import PROCESSES, SegmentMachine, explore, serve, who
from tests.support.peers import Link

ROOTS, SLOTS = 3, 4
root, slot = st.integers(0, ROOTS - 1), st.integers(0, SLOTS - 1)


class ModelNode(Struct):
    number: aioipc.int64
    next: SharedPtr["ModelNode"]


Slots = list[SharedPtr[ModelNode]]


def worker(test: Link, name: str) -> None:
    """Has a few pointers."""
    slots: Slots = []
    serve(test, name, OPERATIONS, slots)


def empty(segment: ManagedSharedMemory, slots: Slots) -> None:
    slots[:] = [SharedPtr(segment) for _ in range(SLOTS)]


def make(segment: ManagedSharedMemory, number: int, to: int, tail: int, slots: Slots) -> str:
    slots[to] = SharedPtr(segment, ModelNode, number=number, next=slots[tail])
    return pickle.dumps(slots[to].weak()).hex()


def copy(segment: ManagedSharedMemory, source: int, to: int, slots: Slots) -> None:
    slots[to] = slots[source].copy()


def drop(segment: ManagedSharedMemory, at: int, slots: Slots) -> None:
    slots[at].reset()


def put(segment: ManagedSharedMemory, name: int, source: int, slots: Slots) -> None:
    ModelNode(segment, f"root{name}").next = slots[source]


def get(segment: ManagedSharedMemory, name: int, to: int, slots: Slots) -> int | None:
    slots[to] = ModelNode(segment, f"root{name}").next
    return slots[to].target.number if slots[to] else None


def link(segment: ManagedSharedMemory, head: int, tail: int, slots: Slots) -> None:
    slots[head].target.next = slots[tail]


def lock(segment: ManagedSharedMemory, weak: str, to: int, slots: Slots) -> int | None:
    pointer: WeakPtr[ModelNode] = pickle.loads(bytes.fromhex(weak))
    locked = pointer.lock()
    if locked is None:
        return None
    slots[to] = locked
    return locked.target.number


def count(segment: ManagedSharedMemory, at: int, slots: Slots) -> int:
    return slots[at].use_count


OPERATIONS: dict[str, Any] = {
    operation.__name__: operation for operation in (empty, make, copy, drop, put, get, link, lock, count)
}


class PointerMachine(SegmentMachine):
    role = worker

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[int | None] = [None] * ROOTS
        self.slots: list[list[int | None]] = [[None] * SLOTS for _ in range(PROCESSES)]
        self.next: dict[int, int | None] = {}  # of the living
        self.weak: dict[int, str] = {}
        self.handles = [ModelNode(self.segment, f"root{n}") for n in range(ROOTS)]
        for number in range(PROCESSES):
            self.ask(number, "empty")

    def owners(self, number: int) -> int:
        everywhere = [*self.roots, *sum(self.slots, []), *self.next.values()]  # noqa: RUF017
        return everywhere.count(number)

    def settle(self) -> None:
        """What nobody owns goes, and what it owned."""
        while gone := [number for number in self.next if self.owners(number) == 0]:
            for number in gone:
                del self.next[number]

    def reaches(self, source: int | None, target: int) -> bool:
        while source is not None and source != target:
            source = self.next[source]
        return source is not None

    @rule(who=who, to=slot, tail=slot)
    def make(self, who: int, to: int, tail: int) -> None:
        number = len(self.weak)
        self.weak[number] = self.ask(who, "make", number, to, tail)
        self.next[number] = self.slots[who][tail]
        self.slots[who][to] = number
        self.settle()

    @rule(who=who, source=slot, to=slot)
    def copy(self, who: int, source: int, to: int) -> None:
        self.ask(who, "copy", source, to)
        self.slots[who][to] = self.slots[who][source]
        self.settle()

    @rule(who=who, at=slot)
    def drop(self, who: int, at: int) -> None:
        self.ask(who, "drop", at)
        self.slots[who][at] = None
        self.settle()

    @rule(who=who, name=root, source=slot)
    def put(self, who: int, name: int, source: int) -> None:
        self.ask(who, "put", name, source)
        self.roots[name] = self.slots[who][source]
        self.settle()

    @rule(who=who, name=root, to=slot)
    def get(self, who: int, name: int, to: int) -> None:
        assert self.ask(who, "get", name, to) == self.roots[name]
        self.slots[who][to] = self.roots[name]
        self.settle()

    @rule(who=who, head=slot, tail=slot)
    def link(self, who: int, head: int, tail: int) -> None:
        first, second = self.slots[who][head], self.slots[who][tail]
        if first is None or self.reaches(second, first):  # circles are for those who want them
            return
        self.ask(who, "link", head, tail)
        self.next[first] = second
        self.settle()

    @rule(who=who, number=st.integers(0, 20), to=slot)
    def lock(self, who: int, number: int, to: int) -> None:
        if number not in self.weak:
            return
        found = self.ask(who, "lock", self.weak[number], to)
        assert found == (number if number in self.next else None)
        if found is not None:
            self.slots[who][to] = found
        self.settle()

    @rule(who=who, at=slot)
    def count(self, who: int, at: int) -> None:
        number = self.slots[who][at]
        assert self.ask(who, "count", at) == (0 if number is None else self.owners(number))

    @rule(who=who)
    def kill(self, who: int) -> None:
        self.workers[who].discard()
        self.slots[who] = [None] * SLOTS
        self.settle()
        for number, weak in self.weak.items():  # before anybody new attaches
            assert pickle.loads(bytes.fromhex(weak)).use_count == (
                self.owners(number) if number in self.next else 0
            )
        self.workers[who] = self.start()
        self.ask(who, "empty")

    @invariant()
    def as_many_as_the_model_says(self) -> None:
        assert self.segment.check_sanity().counts["objects"] == ROOTS + len(self.next)

    def clear_away(self) -> None:
        for handle in self.handles:
            self.segment.destroy_object(handle)

    def everything_given_back(self) -> None:
        assert self.segment.check_sanity().counts["objects"] == 0


def test_owners_agree_with_a_count(segment_name: str) -> None:
    explore(PointerMachine, segment_name, examples=5, steps=25)


@pytest.mark.slow
def test_owners_agree_with_a_count_for_long(segment_name: str) -> None:
    explore(PointerMachine, segment_name, examples=100, steps=60)
