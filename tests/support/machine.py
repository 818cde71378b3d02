"""What the model tests share: one segment and three processes, any of which may be killed between two steps.

A role answers messages, see `serve`; the test's side is a machine of rules that asks and compares.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from aioipc import ManagedSharedMemory
from tests.support.peers import Link, Peer, spawn

SIZE = 1 << 20
PROCESSES = 3

#: Which of the processes is to do it.
who = st.integers(0, PROCESSES - 1)


def serve(test: Link, name: str, operations: dict[str, Callable[..., Any]], *more: Any) -> None:
    """Does what it is told: [operation, argument, ...] -> operation(segment, argument, ..., *more)."""
    with ManagedSharedMemory.open(name) as segment:
        test.send("ready")
        while True:
            operation, *arguments = test.receive()
            test.send(operations[operation](segment, *arguments, *more))


class SegmentMachine(RuleBasedStateMachine):
    """A segment that must be sound after every step, and the processes."""

    role: ClassVar[Callable[..., None]]
    name = ""  # set for each run
    options: ClassVar[dict[str, Any]] = {}  # of the segment

    def __init__(self) -> None:
        super().__init__()
        self.segment = ManagedSharedMemory.create(
            self.name, SIZE, participants=8, lifetime="last_detach", **self.options
        )
        self.workers = [self.start() for _ in range(PROCESSES)]

    def start(self) -> Peer:
        peer = spawn(type(self).role, self.name)
        assert peer.receive() == "ready"
        return peer

    def ask(self, who: int, *message: Any) -> Any:
        self.workers[who].send(message)
        return self.workers[who].receive()

    @rule(who=who)
    def kill(self, who: int) -> None:
        self.workers[who].discard()
        self.workers[who] = self.start()

    @invariant()
    def sound(self) -> None:
        report = self.segment.check_sanity()
        assert report, report

    def everything_given_back(self) -> None:
        """What must be true once the processes are gone and the model is cleared away."""

    def clear_away(self) -> None:
        """Removes everything the model knows of."""

    def teardown(self) -> None:
        for peer in self.workers:
            peer.discard()
        self.clear_away()
        self.sound()
        self.everything_given_back()
        self.segment.close()


def explore(machine: type[SegmentMachine], segment_name: str, examples: int, steps: int) -> None:
    """Tries random sequences of the machine's rules."""
    machine.name = segment_name
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
