"""A process that dies in the middle of destroying an object: its name is gone, and it has told nobody."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aioipc import ClosedError, Lock, ManagedSharedMemory, Queue, SharedDict
from tests.support.forked import forked
from tests.support.peers import Link
from tests.support.stalled import WAITS, half_destroyed, stalled


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report


def waits(_: Link, handle: Any) -> str:
    """Waits for what does not come; how that ended."""
    wait = handle.blocking.acquire if isinstance(handle, Lock) else handle.blocking.get
    try:
        wait()
    except ClosedError:
        return "told"
    return "got it"


def destroys(test: Link, handle: Any) -> bool:
    handle.statistics()  # attaches
    test.sync("attached")
    return bool(handle.segment.destroy_object(handle))


def how_many_wait(handle: Any) -> int:
    statistics = handle.statistics()
    return int(statistics.waiters if isinstance(handle, Lock) else statistics.getters)


@pytest.mark.parametrize("kind", [Lock, Queue])
def test_who_waits_for_an_object_whose_destroyer_was_killed_is_told(
    segment: ManagedSharedMemory, kind: Any
) -> None:
    handle = kind(segment, "object")
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
    again = kind(segment, "object")
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
