"""Signal handlers and finalizers that run in the middle of an operation: what they raise, close, and fork."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aioipc import ClosedError, IPCError, Lock, ManagedSharedMemory, Queue, SharedDict
from tests.support.forked import forked
from tests.support.peers import Link
from tests.support.queues import waiters
from tests.support.stalled import DICT, GETTERS, PUTTERS, Holder, stalled

Dict = SharedDict[Any, Any]


class HandlerError(Exception):
    """What a test's signal handler raises."""


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    segment = ManagedSharedMemory.create(segment_name, 1 << 22, lifetime="last_detach")
    yield segment
    if not segment.closed:
        report = segment.check_sanity()
        assert report, report
    segment.close()


@pytest.fixture
def d(segment: ManagedSharedMemory) -> Dict:
    return SharedDict(segment, "d")


@pytest.fixture
def queue(segment: ManagedSharedMemory) -> Queue[Any]:
    return Queue(segment, "q")


@contextmanager
def on_signal(number: int, act: Callable[[], object]) -> Iterator[None]:
    """Calls `act` whenever the process gets the signal."""
    before = signal.signal(number, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(number, before)


def fail() -> None:
    raise HandlerError


# ------------------------------------------------------------------------------ what signal handlers raise


def raises_while_it_waits(holder: Holder, act: Callable[[], object]) -> None:
    """`act` waits for the lock, and raises what the handler of a signal raises."""
    holder.when_wanted(signal.SIGUSR1)
    with on_signal(signal.SIGUSR1, fail), pytest.raises(HandlerError):
        act()


WRITES: dict[str, Callable[[Dict], object]] = {
    "store": lambda d: d.update(k=2),
    "pop": lambda d: d.pop("k"),
    "clear": lambda d: d.clear(),
}


@pytest.mark.parametrize("act", list(WRITES.values()), ids=list(WRITES))
def test_what_a_signal_handler_raises_while_a_write_waits_is_raised_by_the_write(
    segment: ManagedSharedMemory, d: Dict, act: Callable[[Dict], object]
) -> None:
    d["k"] = 1
    with stalled(segment, d, DICT) as holder:
        raises_while_it_waits(holder, lambda: act(d))
        assert dict(d) == {"k": 1}
    d["k"] = 3
    assert dict(d) == {"k": 3}


@pytest.mark.parametrize("place", [PUTTERS, GETTERS], ids=["put", "get"])
def test_what_a_signal_handler_raises_while_a_queue_is_waited_for_is_raised_there(
    segment: ManagedSharedMemory, queue: Queue[Any], place: int
) -> None:
    queue.put_nowait(1)
    with stalled(segment, queue, place) as holder:
        raises_while_it_waits(holder, queue.get_nowait if place == GETTERS else lambda: queue.put_nowait(2))
        assert queue.qsize() == 1
    queue.put_nowait(2)
    assert queue.blocking.get_many(9) == [1, 2]


def test_ctrl_c_is_not_swallowed_by_a_lock_that_becomes_free_meanwhile(
    segment: ManagedSharedMemory, d: Dict
) -> None:
    with stalled(segment, d, DICT) as holder:

        def interrupt() -> None:
            holder.let_go()
            signal.default_int_handler(signal.SIGINT, None)

        holder.when_wanted(signal.SIGINT)
        with on_signal(signal.SIGINT, interrupt), pytest.raises(KeyboardInterrupt):
            d["k"] = 2
    d["k"] = 3
    assert dict(d) == {"k": 3}


# -------------------------------------------------------------------------------- what signal handlers fork


def test_a_child_forked_in_the_middle_of_a_write_does_not_go_on_with_it(
    segment: ManagedSharedMemory, d: Dict
) -> None:
    d["k"] = 1
    status, gave_up = None, False
    with stalled(segment, d, DICT) as holder:

        def fork() -> None:
            nonlocal status
            child = os.fork()
            if child != 0:  # the child returns into the write
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                holder.let_go()

        holder.when_wanted(signal.SIGUSR1)
        parent = os.getpid()
        with on_signal(signal.SIGUSR1, fork):
            try:
                d["k"] = 2
            except ClosedError:
                gave_up = True
            finally:
                if os.getpid() != parent:
                    os._exit(_as_a_process_of_its_own(segment, d, holder) if gave_up else 7)
    assert (status, gave_up) == (0, False)
    assert dict(d) == {"k": 2, "child": 1}


def _as_a_process_of_its_own(segment: ManagedSharedMemory, d: Dict, holder: Holder) -> int:
    """What the forked child does next; 0: all was well."""
    try:
        holder.let_go()
        d["child"] = d["k"]
        own = next(p.pid for p in segment.participants() if p.is_self)
        return 0 if own == os.getpid() else 8
    except BaseException:
        return 9


# ------------------------------------------------------------------------------- closing from the inside


def signals_who_waits(test: Link, queue: Queue[Any], lock: Lock) -> list[int]:
    """Sends its parent SIGTERM when that waits; says who has the segment afterwards."""
    while queue.statistics().getters + lock.statistics().waiters == 0:
        os.sched_yield()
    os.kill(os.getppid(), signal.SIGTERM)
    test.receive()
    return [p.pid for p in queue.segment.participants()]


@pytest.mark.parametrize("operation", ["get", "peek", "acquire", "lease"])
def test_closing_in_a_signal_handler_ends_what_the_thread_waits_in_and_leaves_the_segment(
    segment: ManagedSharedMemory, queue: Queue[Any], operation: str
) -> None:
    lock = Lock(segment, "l")
    lock.acquire_nowait()
    calls: dict[str, Callable[[], object]] = {
        "get": queue.blocking.get,
        "peek": queue.blocking.peek,
        "acquire": lock.blocking.acquire,
        "lease": queue.blocking.lease().__enter__,
    }
    with forked(signals_who_waits, queue, lock) as child:
        with on_signal(signal.SIGTERM, segment.close), pytest.raises(ClosedError):
            calls[operation]()
        assert segment.closed
        child.go()
        assert child.result() == [child.pid]
    segment.close()


def leases_while_a_finalizer_closes(_: Link, segment: ManagedSharedMemory, queue: Queue[Any]) -> list[Any]:
    refused: list[str] = []

    class Closing:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                segment.close()
            except IPCError as error:
                refused.append(str(error))

    lease = queue.blocking.lease()
    gc.disable()
    gc.collect()
    Closing()
    gc.set_threshold(20_000)
    gc.enable()
    seen = len(lease.__enter__())  # makes more lists than that
    gc.disable()
    del lease
    segment.close()
    return [seen, refused, segment.closed]


def test_a_finalizer_that_closes_the_segment_while_a_lease_decodes_its_item_is_refused(
    segment: ManagedSharedMemory, queue: Queue[Any]
) -> None:
    queue.put_nowait([[number] for number in range(50_000)])
    with forked(leases_while_a_finalizer_closes, segment, queue) as child:
        seen, refused, closed = child.result()
    assert (seen, closed) == (50_000, True)
    assert len(refused) == 1
    assert "in the middle of one of its operations" in refused[0]
    assert queue.qsize() == 1  # it came back
    queue.clear()


# --------------------------------------------------------------------------- forked while a thread sleeps


def closes(_: Link, segment: ManagedSharedMemory, queue: Queue[Any], before: str) -> bool:
    if before == "use it":
        queue.qsize()
    segment.close()
    return segment.closed


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("before", ["use it", "close it at once"])
def test_a_child_closes_its_segment_although_a_thread_of_its_parent_slept_in_it(
    segment: ManagedSharedMemory, queue: Queue[Any], before: str
) -> None:
    lock = Lock(segment, "l")
    lock.acquire_nowait()
    threads = [
        threading.Thread(target=queue.blocking.get),
        threading.Thread(target=lock.blocking.acquire, kwargs={"timeout": 1e6}),
    ]
    for thread in threads:
        thread.start()
    while waiters(queue) != (1, 0, 0) or lock.statistics().waiters != 1:
        os.sched_yield()
    with forked(closes, segment, queue, before) as child:
        assert child.result() is True
    queue.put_nowait(1)
    lock.release()
    for thread in threads:
        thread.join()
    queue.task_done()
