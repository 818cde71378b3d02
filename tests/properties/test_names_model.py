"""Names against a dict, driven from three processes, any of which may be killed between two steps.

The model: a name means one object, the same for everybody, from its construction to its destruction;
a process that dies takes nothing with it.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from aioipc import AlreadyExistsError, Lock, ManagedSharedMemory
from tests.support.peers import Link, Peer, spawn

PROCESSES = 3
# Few names, so that they meet; some awkward: empty, long, not ASCII.
names = st.sampled_from(["", "a", "b", "orders", "o" * 255, "naïve-名前", "with/slash", "x y"])


def worker(test: Link, name: str) -> None:
    """Does what it is told: [operation, name] -> answer. Keeps every handle it gets."""
    handles: list[Lock] = []
    with ManagedSharedMemory.open(name) as segment:
        test.send("ready")
        while True:
            operation, key = test.receive()
            test.send(OPERATIONS[operation](segment, key, handles))


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


class NamesMachine(RuleBasedStateMachine):
    name = ""  # set for each run
    who = st.integers(0, PROCESSES - 1)

    def __init__(self) -> None:
        super().__init__()
        self.segment = ManagedSharedMemory.create(self.name, 1 << 20, participants=8, lifetime="last_detach")
        self.model: dict[str, int] = {}
        self.serials: set[int] = set()
        self.workers = [self.start() for _ in range(PROCESSES)]

    def start(self) -> Peer:
        peer = spawn(worker, self.name)
        assert peer.receive() == "ready"
        return peer

    def ask(self, who: int, operation: str, key: str) -> Any:
        self.workers[who].send([operation, key])
        return self.workers[who].receive()

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

    @rule(who=who)
    def kill(self, who: int) -> None:
        self.workers[who].discard()
        self.workers[who] = self.start()

    @invariant()
    def sound(self) -> None:
        report = self.segment.check_sanity()
        assert report, report

    def teardown(self) -> None:
        for peer in self.workers:
            peer.discard()
        for key in self.model:
            assert self.segment.destroy(Lock, key)
        report = self.segment.check_sanity()
        assert report, report
        assert report.counts["objects"] == 0
        self.segment.close()


def explore(segment_name: str, examples: int, steps: int) -> None:
    NamesMachine.name = segment_name
    run_state_machine_as_test(
        NamesMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_names_agree_with_a_dict(segment_name: str) -> None:
    explore(segment_name, examples=4, steps=20)


@pytest.mark.slow
def test_names_agree_with_a_dict_for_long(segment_name: str) -> None:
    explore(segment_name, examples=100, steps=60)
