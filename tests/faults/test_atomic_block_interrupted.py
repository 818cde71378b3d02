"""Nothing cuts the end of a block short: no signal handler that raises, no thread that wants the next."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from aioipc import Event, Lock, ManagedSharedMemory, WouldBlock
from tests.support.blocks import names
from tests.support.stalled import CATALOG, Holder, contended


class HandlerError(Exception):
    """What the signal's handler raises."""


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        report = segment.check_sanity()
        assert report, report
        with segment.atomic_nowait():
            pass


def fail(*_: object) -> None:
    raise HandlerError


@contextmanager
def held_up_at_its_end(segment: ManagedSharedMemory, change: Callable[[], object]) -> Iterator[None]:
    """An atomic block with that change, whose end has to wait for the names, and meanwhile gets a signal."""
    before = signal.signal(signal.SIGUSR1, fail)

    def signal_and_let_go() -> None:
        while not contended(segment, CATALOG):
            os.sched_yield()
        os.kill(os.getpid(), signal.SIGUSR1)
        holder.let_go()

    thread = threading.Thread(target=signal_and_let_go)
    try:
        with segment.atomic():
            change()
            holder = Holder(segment, CATALOG)
            thread.start()
            yield
    finally:
        thread.join()
        holder.discard()
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_does_not_keep_a_block_from_its_commit(segment: ManagedSharedMemory) -> None:
    with pytest.raises(HandlerError), held_up_at_its_end(segment, lambda: Lock(segment, "new")):
        pass
    assert names(segment) == ["new"]


def test_a_signal_does_not_keep_a_block_from_being_taken_back(segment: ManagedSharedMemory) -> None:
    Event(segment, "old")

    def fails() -> None:
        with held_up_at_its_end(segment, lambda: segment.destroy(Event, "old")):
            raise KeyError

    with pytest.raises((HandlerError, KeyError)):
        fails()
    assert names(segment) == ["old"]
    event = segment.find(Event, "old")
    assert event is not None
    event.set()


@pytest.mark.parametrize("failed", [False, True])
def test_a_thread_that_wants_the_next_block_leaves_the_one_that_ends_alone(
    segment: ManagedSharedMemory, failed: bool
) -> None:
    refused: list[type[Exception]] = []

    def want() -> None:
        while not contended(segment, CATALOG):
            os.sched_yield()
        try:
            segment.atomic_nowait().__enter__()
        except WouldBlock:
            refused.append(WouldBlock)
        holder.let_go()

    thread = threading.Thread(target=want)
    block = segment.atomic()
    block.__enter__()
    Lock(segment, "new")
    holder = Holder(segment, CATALOG)
    thread.start()
    error = KeyError() if failed else None
    block.__exit__(type(error) if error else None, error, None)
    thread.join()
    holder.discard()
    assert refused == [WouldBlock]
    assert names(segment) == ([] if failed else ["new"])
