"""Names against a dict, driven from three processes, any of which may be killed between two steps.

The model: a name means one object, the same for everybody, from its construction to its destruction;
a process that dies takes nothing with it.
"""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from aioipc import AlreadyExistsError, Lock, ManagedSharedMemory
from tests.support.machine import SegmentMachine, explore, serve, who
from tests.support.peers import Link

# Few names, so that they meet; some awkward: empty, long, not ASCII.
names = st.sampled_from(["", "a", "b", "orders", "o" * 255, "naïve-名前", "with/slash", "x y"])


def worker(test: Link, name: str) -> None:
    """Keeps every handle it gets."""
    handles: list[Lock] = []
    serve(test, name, OPERATIONS, handles)


def construct(segment: ManagedSharedMemory, key: str, handles: list[Lock]) -> int | None:
    try:
        handles.append(segment.construct(Lock, key))
    except AlreadyExistsError:
        return None
    return handles[-1].pin.serial


def find(segment: ManagedSharedMemory, key: str, handles: list[Lock]) -> int | None:
    lock = segment.find(Lock, key)
    if lock is None:
        return None
    handles.append(lock)
    return lock.pin.serial


def find_or_construct(segment: ManagedSharedMemory, key: str, handles: list[Lock]) -> int:
    handles.append(Lock(segment, key))
    handles[-1].acquire_nowait()
    handles[-1].release()
    return handles[-1].pin.serial


def destroy(segment: ManagedSharedMemory, key: str, handles: list[Lock]) -> bool:
    return segment.destroy(Lock, key)


OPERATIONS: dict[str, Any] = {
    "construct": construct, "find": find, "find_or_construct": find_or_construct, "destroy": destroy,
}  # fmt: skip


class NamesMachine(SegmentMachine):
    role = worker

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, int] = {}
        self.serials: set[int] = set()

    def is_new(self, key: str, serial: int) -> None:
        assert serial not in self.serials  # an object is never taken for another one
        self.serials.add(serial)
        self.model[key] = serial

    @rule(who=who, key=names)
    def construct(self, who: int, key: str) -> None:
        serial = self.ask(who, "construct", key)
        assert (serial is None) == (key in self.model)
        if serial is not None:
            self.is_new(key, serial)

    @rule(who=who, key=names)
    def find(self, who: int, key: str) -> None:
        assert self.ask(who, "find", key) == self.model.get(key)

    @rule(who=who, key=names)
    def find_or_construct(self, who: int, key: str) -> None:
        serial = self.ask(who, "find_or_construct", key)
        if key in self.model:
            assert serial == self.model[key]
        else:
            self.is_new(key, serial)

    @rule(who=who, key=names)
    def destroy(self, who: int, key: str) -> None:
        assert self.ask(who, "destroy", key) is (self.model.pop(key, None) is not None)

    def clear_away(self) -> None:
        for key in self.model:
            assert self.segment.destroy(Lock, key)

    def everything_given_back(self) -> None:
        assert self.segment.check_sanity().counts["objects"] == 0


def test_names_agree_with_a_dict(segment_name: str) -> None:
    explore(NamesMachine, segment_name, examples=4, steps=20)


@pytest.mark.slow
def test_names_agree_with_a_dict_for_long(segment_name: str) -> None:
    explore(NamesMachine, segment_name, examples=100, steps=60)
