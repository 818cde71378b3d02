"""A process that dies in the middle of destroying an object: its name is gone, and it has told nobody."""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from aioipc import (
    Barrier,
    ClosedError,
    Condition,
    Event,
    Lock,
    ManagedSharedMemory,
    Queue,
    Semaphore,
    SharedDict,
)
from tests.support.forked import forked
from tests.support.peers import Link
from tests.support.stalled import WAITS, half_destroyed, stalled


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


class Kind(NamedTuple):
    make: Callable[[ManagedSharedMemory], Any]
    wait: Callable[[Any], object]
    waiters: str  # in its statistics


def wait_for_condition(condition: Condition) -> None:
    with condition.blocking:
        condition.blocking.wait()


KINDS: dict[type[Any], Kind] = {
    Lock: Kind(lambda segment: Lock(segment, "object"), lambda lock: lock.blocking.acquire(), "waiters"),
    Queue: Kind(lambda segment: Queue(segment, "object"), lambda queue: queue.blocking.get(), "getters"),
    Semaphore: Kind(
        lambda segment: Semaphore(segment, "object", 0), lambda s: s.blocking.acquire(), "waiters"
    ),
    Event: Kind(lambda segment: Event(segment, "object"), lambda event: event.blocking.wait(), "waiters"),
    Barrier: Kind(lambda segment: Barrier(segment, "object", 2), lambda b: b.blocking.wait(), "waiting"),
    Condition: Kind(lambda segment: Condition(segment, "object"), wait_for_condition, "waiters"),
}


def waits(_: Link, handle: Any) -> str:
    """Waits for what does not come; how that ended."""
    try:
        KINDS[type(handle)].wait(handle)
    except ClosedError:
        return "told"
    return "got it"


def destroys(test: Link, handle: Any) -> bool:
    handle.statistics()  # attaches
    test.sync("attached")
    return bool(handle.segment.destroy_object(handle))


def how_many_wait(handle: Any) -> int:
    return int(getattr(handle.statistics(), KINDS[type(handle)].waiters))


@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_for_an_object_whose_destroyer_was_killed_is_told(
    segment: ManagedSharedMemory, kind: Any
) -> None:
    handle = KINDS[kind].make(segment)
    if kind is Lock:
        handle.acquire_nowait()
    with forked(waits, handle) as waiter:
        while how_many_wait(handle) != 1:
            os.sched_yield()
        with forked(destroys, handle) as destroyer:
            assert destroyer.receive() == "attached"
            with stalled(segment, None, WAITS):
                destroyer.go()
                while segment.find(kind, "object") is not None:
                    os.sched_yield()
                destroyer.kill()  # it cannot reach those who wait
        assert waiter.result() == "told"
    assert segment.destroy_object(handle) is False
    again = KINDS[kind].make(segment)
    assert again != handle
    assert how_many_wait(again) == 0


OPERATIONS: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "put": (Queue, lambda queue: queue.put_nowait(1)),
    "get": (Queue, lambda queue: queue.get_nowait()),
    "blocking get": (Queue, lambda queue: queue.blocking.get()),
    "lease": (Queue, lambda queue: queue.blocking.lease().__enter__()),
    "dict read": (SharedDict, lambda d: d.get("k")),
    "dict write": (SharedDict, lambda d: d.update(k=1)),
    "acquire": (Lock, lambda lock: lock.blocking.acquire()),
}


@pytest.mark.parametrize(("kind", "operate"), list(OPERATIONS.values()), ids=list(OPERATIONS))
def test_who_uses_an_object_whose_destroyer_could_tell_nobody_is_told(
    segment: ManagedSharedMemory, kind: Any, operate: Callable[[Any], object]
) -> None:
    handle = kind(segment, "object")
    with half_destroyed(handle), pytest.raises(ClosedError):
        operate(handle)
