"""Atomic blocks against a dict and a stack of drafts, in three processes, any of which may be killed.

The model: everybody sees the committed names; who is in a block sees its latest draft.  A name that a block
has touched is refused to the others.  With either index, and what is listed is sorted.
"""

from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from aioipc import AlreadyExistsError, Lock, ManagedSharedMemory, WouldBlock
from tests.support.machine import SegmentMachine, explore, serve, who
from tests.support.peers import Link

keys = st.sampled_from(["", "a", "ab", "b", "naïve-名前"])
Names = dict[str, int]  # name -> serial


def worker(test: Link, name: str) -> None:
    serve(test, name, OPERATIONS, [])


class _Back(Exception):
    """Takes a block back."""


def begin(segment: ManagedSharedMemory, blocks: list[Any]) -> bool:
    block = segment.atomic_nowait()
    try:
        block.__enter__()
    except WouldBlock:
        return False
    blocks.append(block)
    return True


def end(segment: ManagedSharedMemory, commit: bool, blocks: list[Any]) -> None:
    error = None if commit else _Back()
    blocks.pop().__exit__(type(error) if error else None, error, None)


def construct(segment: ManagedSharedMemory, key: str, blocks: list[Any]) -> int | str:
    try:
        return segment.construct(Lock, key).pin.serial
    except (AlreadyExistsError, WouldBlock) as error:
        return type(error).__name__


def find(segment: ManagedSharedMemory, key: str, blocks: list[Any]) -> int | None:
    lock = segment.find(Lock, key)
    return None if lock is None else lock.pin.serial


def destroy(segment: ManagedSharedMemory, key: str, blocks: list[Any]) -> bool | str:
    try:
        return segment.destroy(Lock, key)
    except WouldBlock as error:
        return type(error).__name__


def listed(segment: ManagedSharedMemory, blocks: list[Any]) -> list[str | None]:
    return [info.name for info in segment.named_objects()]


OPERATIONS: dict[str, Any] = {
    "begin": begin, "end": end, "construct": construct, "find": find, "destroy": destroy, "listed": listed,
}  # fmt: skip


class BlocksMachine(SegmentMachine):
    role = worker

    def __init__(self) -> None:
        super().__init__()
        self.committed: Names = {}
        self.owner: int | None = None
        self.drafts: list[Names] = []  # what the owner sees, at each depth
        self.touched: list[set[str]] = []  # what others may not have
        self.serials: set[int] = set()

    def seen(self, who: int) -> Names:
        return self.drafts[-1] if who == self.owner else self.committed

    def refused(self, who: int) -> set[str]:
        return set() if who == self.owner or not self.touched else self.touched[-1]

    def changed(self, who: int, key: str, serial: int | None) -> None:
        everybody = [self.drafts[-1]] if who == self.owner else [self.committed, *self.drafts]
        for names in everybody:
            if serial is None:
                names.pop(key, None)
            else:
                names[key] = serial
        if who == self.owner:
            self.touched[-1].add(key)

    @rule(who=who)
    def begin(self, who: int) -> None:
        assert self.ask(who, "begin") is (self.owner in (None, who))
        if self.owner in (None, who):
            self.owner = who
            self.drafts.append(dict(self.drafts[-1] if self.drafts else self.committed))
            self.touched.append(set(self.touched[-1]) if self.touched else set())

    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        if self.owner is None:
            return
        self.ask(self.owner, "end", commit)
        draft, touched = self.drafts.pop(), self.touched.pop()
        if commit and self.drafts:
            self.drafts[-1], self.touched[-1] = draft, touched
        elif commit:
            self.committed = draft
        if not self.drafts:
            self.owner = None

    @rule(who=who)
    def kill(self, who: int) -> None:
        super().kill(who)
        if who == self.owner:
            self.owner = None
            self.drafts.clear()
            self.touched.clear()

    @rule(who=who, key=keys)
    def construct(self, who: int, key: str) -> None:
        answer = self.ask(who, "construct", key)
        if key in self.seen(who):
            assert answer == "AlreadyExistsError"
        elif key in self.refused(who):
            assert answer == "WouldBlock"
        else:
            assert answer not in self.serials
            self.serials.add(answer)
            self.changed(who, key, answer)

    @rule(who=who, key=keys)
    def find(self, who: int, key: str) -> None:
        assert self.ask(who, "find", key) == self.seen(who).get(key)

    @rule(who=who, key=keys)
    def destroy(self, who: int, key: str) -> None:
        answer = self.ask(who, "destroy", key)
        if key not in self.seen(who):
            assert answer is False
        elif key in self.refused(who):
            assert answer == "WouldBlock"
        else:
            assert answer is True
            self.changed(who, key, None)

    @rule(who=who)
    def listed(self, who: int) -> None:
        assert self.ask(who, "listed") == sorted(self.seen(who))

    def clear_away(self) -> None:
        if self.owner is not None:  # its process is dead
            self.owner = None
        for key in self.committed:
            assert self.segment.destroy(Lock, key)

    def everything_given_back(self) -> None:
        assert self.segment.check_sanity().counts["objects"] == 0


class OrderedBlocksMachine(BlocksMachine):
    options: ClassVar[dict[str, Any]] = {"index": "ordered"}


@pytest.mark.parametrize("machine", [BlocksMachine, OrderedBlocksMachine])
def test_blocks_agree_with_drafts(segment_name: str, machine: type[BlocksMachine]) -> None:
    explore(machine, segment_name, examples=8, steps=30)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [BlocksMachine, OrderedBlocksMachine])
def test_blocks_agree_with_drafts_for_long(segment_name: str, machine: type[BlocksMachine]) -> None:
    explore(machine, segment_name, examples=150, steps=60)
