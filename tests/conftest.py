"""Fixtures of every test.

    named_home        a segment of the test's own for `aioipc.named`, also in its children
    run_async(body)   runs `async def body()` under each of asyncio, asyncio debug, uvloop and trio
    segment_name      a name of its own for each test; what is left under it is removed
    spawn(role, ...)  a real child process led step by step (tests/support/peers.py)

A test that is a coroutine itself takes `@pytest.mark.anyio` and runs under the same four loops.
Every test is checked for leaks (tests/support/leaks.py) and ended, with all stacks shown, when it hangs:
after AIOIPC_TEST_TIMEOUT seconds (120; ten times that for slow tests).  AIOIPC_TEST_LOOPS names the loops to
run under ("asyncio uvloop trio"; the slow form runs asyncio's debug mode too).
"""

import faulthandler
import functools
import gc
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.leaks import Snapshot, remove_entries
from tests.support.loops import ANYIO_BACKENDS, LOOPS, run_under
from tests.support.peers import Peer
from tests.support.peers import spawn as spawn_peer

_STDERR = pytest.StashKey[int]()
_serial = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STDERR] = os.dup(2)  # capturing has not begun: the watchdog writes where people look
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; children inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[_STDERR])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the loops that AIOIPC_TEST_LOOPS does not name."""
    wanted = os.environ.get("AIOIPC_TEST_LOOPS", "asyncio uvloop trio").split()

    def is_wanted(item: pytest.Item) -> bool:
        callspec = getattr(item, "callspec", None)
        given = [] if callspec is None else [callspec.params.get("loop_name"), *callspec.id.split("-")]
        debug = callspec is not None and "asyncio-debug" in callspec.id
        loops = {"asyncio-debug"} if debug else {loop for loop in given if loop in LOOPS}
        return not loops or bool(loops & set(wanted))

    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = [item for item in items if is_wanted(item)]


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # thousands of tests live as long as the run: no collection has to look at them again


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    seconds = float(os.environ.get("AIOIPC_TEST_TIMEOUT", "120"))
    if item.get_closest_marker("slow"):
        seconds *= 10
    faulthandler.dump_traceback_later(seconds, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves /dev/shm entries, descriptors of shared memory or mappings behind."""
    before = Snapshot.take()
    yield
    if request.node.get_closest_marker("no_leak_check"):
        return
    if leaks := before.leaked_since():
        remove_entries(leaks)
        pytest.fail("the test leaks: " + "; ".join(leaks), pytrace=False)


@pytest.fixture
def segment_name() -> Iterator[str]:
    """A segment name nobody else uses; a segment left under it is removed afterwards."""
    name = f"aioipc-test-{os.getpid()}-{next(_serial)}"
    yield name
    from aioipc import ManagedSharedMemory

    ManagedSharedMemory.remove(name)


@pytest.fixture
def named_home(segment_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a segment of the test's own for `aioipc.named` and its children; made when it is used."""
    monkeypatch.setenv("AIOIPC_NAMED", segment_name)
    yield segment_name
    from aioipc import _home

    _home._close_quietly()  # as at the end of a process


@pytest.fixture
def spawn() -> Iterator[Callable[..., Peer]]:
    """`spawn(role, *args, loop="asyncio") -> Peer`; peers still running at the end are killed."""
    peers: list[Peer] = []

    def start(role: Callable[..., Any] | str, *args: Any, **options: Any) -> Peer:
        peers.append(spawn_peer(role, *args, **options))
        return peers[-1]

    yield start
    for peer in peers:
        peer.discard()


@pytest.fixture(params=LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    """Each event loop in turn."""
    return str(request.param)


@pytest.fixture
def run_async(loop_name: str) -> Callable[..., Any]:
    """`run_async(body)` runs `async def body()` to its end, under each event loop in turn."""
    return functools.partial(run_under, loop_name)


@pytest.fixture(params=list(ANYIO_BACKENDS.values()), ids=list(ANYIO_BACKENDS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The same loops for `@pytest.mark.anyio` tests."""
    return request.param
