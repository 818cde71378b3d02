"""Child processes made by fork: they start at once, inherit everything, and talk as peers do.

    def writer(test: Link, d: SharedDict) -> None: ...

    with forked(writer, d) as child:
        child.receive()
        child.kill()

What `act` returns is a JSON value.  A child dies with the thread that forked it, and at the end of `with`.
"""

import ctypes
import os
import signal
import socket
import traceback
from collections.abc import Callable
from typing import Any, Self

from tests.support.peers import Link

PR_SET_PDEATHSIG = 1


class Forked(Link):
    """A forked child that runs one function; the test's end of the link."""

    def __init__(self, act: Callable[..., Any], *args: Any) -> None:
        ours, theirs = socket.socketpair()
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _run(Link(theirs), act, args)
        theirs.close()
        super().__init__(ours)

    def result(self) -> Any:
        """Wait for the function to return and the process to end; what it returned."""
        envelope = self._receive()
        if "result" not in envelope:
            raise AssertionError(f"the child sent {envelope!r} instead of returning")
        self.wait()
        return envelope["result"]

    def wait(self) -> int:
        """Wait for the process to end; its exit status, negative for a signal."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def kill(self) -> None:
        """SIGKILL the process and wait until it is gone."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def stop(self) -> None:
        """Suspend the process (SIGSTOP) and wait until it is suspended."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a stopped process go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def discard(self) -> None:
        """Kill the process if it still runs, and close the link."""
        self.kill()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def _run(test: Link, act: Callable[..., Any], args: tuple[Any, ...]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        test._send({"result": act(test, *args)})
        os._exit(0)
    except BaseException:
        test._send({"error": traceback.format_exc()})
        os._exit(1)


def forked(act: Callable[..., Any], *args: Any) -> Forked:
    """Forks a child that calls `act(link, *args)`."""
    return Forked(act, *args)


def together(count: int, act: Callable[..., Any], *args: Any) -> list[Any]:
    """The results of `count` children that call `act(link, number, *args)` at the same time."""
    children = [forked(_in_step, act, number, *args) for number in range(count)]
    try:
        for child in children:
            assert child.receive() == "ready"
        for child in children:
            child.go()
        return [child.result() for child in children]
    finally:
        for child in children:
            child.discard()


def _in_step(test: Link, act: Callable[..., Any], *args: Any) -> Any:
    test.sync("ready")
    return act(test, *args)
