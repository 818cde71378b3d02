"""Real child processes that a test leads step by step, without sleeps.

A role is a function, sync or async, of a module both sides can import::

    def holder(test: Link, name: str) -> None:
        with ManagedSharedMemory.open(name) as segment, Lock(segment, "l").blocking:
            test.sync("held")                     # tells the test, waits for its go-ahead

    def test_next_waiter_gets_a_killed_holders_lock(spawn, segment_name):
        peer = spawn(holder, segment_name)
        assert peer.receive() == "held"
        peer.kill()

Messages are JSON, one a line, over a socket pair; the child's stdout and stderr are the test's own.
A child dies with the process of the tests.  (Where it comes from: tests/support/nursery.py.)
"""

import json
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio.to_thread

from tests.support.nursery import Nursery, Wrapped, nursery

FRESH = "AIOIPC_TEST_FRESH"  # in the environment: each peer gets an interpreter of its own


class PeerFailedError(AssertionError):
    """The role raised; the message is its traceback."""


class PeerExitedError(AssertionError):
    """The other side is gone and will send nothing more."""


class Link:
    """One end of the conversation between a test and its peer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    def send(self, message: Any) -> None:
        """Send one message, any JSON value."""
        self._send({"message": message})

    def receive(self) -> Any:
        """Wait for the next message."""
        envelope = self._receive()
        if "message" not in envelope:
            raise PeerExitedError(f"the role returned {envelope['result']!r} instead of sending")
        return envelope["message"]

    async def receive_async(self) -> Any:
        """`receive` for code on an event loop, under any of them."""
        return await anyio.to_thread.run_sync(self.receive, abandon_on_cancel=True)

    def sync(self, step: Any) -> Any:
        """Announce a step and wait for the other side's answer (the test's `peer.go()`)."""
        self.send(step)
        return self.receive()

    async def sync_async(self, step: Any) -> Any:
        """`sync` for code on an event loop."""
        self.send(step)
        return await self.receive_async()

    def go(self) -> None:
        """Answer the other side's `sync`."""
        self.send("go")

    def close(self) -> None:
        """Close this end; the other side's `receive` then raises PeerExitedError."""
        self._lines.close()
        self._connection.close()

    def _send(self, envelope: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(envelope).encode() + b"\n")

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            line = b""
        if not line:
            raise PeerExitedError("the other side is gone")
        envelope: dict[str, Any] = json.loads(line)
        if "error" in envelope:
            raise PeerFailedError(envelope["error"])
        return envelope


class Peer(Link):
    """A child process running one role; the test's end of the link."""

    def __init__(
        self, role: Callable[..., Any] | str, *args: Any, loop: str = "asyncio", wrapper: Sequence[str] = ()
    ) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        path = role if isinstance(role, str) else f"{role.__module__}:{role.__qualname__}"
        self._own_nursery = Wrapped(wrapper) if wrapper else Nursery() if FRESH in os.environ else None
        self._nursery = self._own_nursery or nursery()
        with theirs:
            self.pid = self._nursery.fork(path.partition(":")[0], theirs)
        self._status: int | None = None
        self._reaping = threading.Lock()
        self.send([loop, path, args, dict(os.environ)])

    def result(self) -> Any:
        """Wait for the role to return and the process to end; the role's return value."""
        envelope = self._receive()
        if "result" not in envelope:
            raise AssertionError(f"the role sent {envelope!r} instead of returning")
        self.wait()
        return envelope["result"]

    def wait(self) -> int:
        """Wait for the process to end; its exit status, negative for a signal."""
        with self._reaping:
            if self._status is None:
                _await_end(self.pid)
                self._status = self._nursery.reap(self.pid)
            return self._status

    def kill(self) -> None:
        """SIGKILL the process and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """Suspend the process (SIGSTOP) and wait until it is suspended."""
        self._signal(signal.SIGSTOP)
        self._nursery.await_stop(self.pid)

    def resume(self) -> None:
        """Let a stopped process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does."""
        self._signal(signal.SIGINT)

    def discard(self) -> None:
        """Kill the process if it still runs, and close the link."""
        self.kill()
        self.close()
        if self._own_nursery is not None:
            self._own_nursery.close()

    def _signal(self, number: int) -> None:
        if self._status is None:
            os.kill(self.pid, number)


def _await_end(pid: int) -> None:
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll()
    finally:
        os.close(fd)


def spawn(
    role: Callable[..., Any] | str, *args: Any, loop: str = "asyncio", wrapper: Sequence[str] = ()
) -> Peer:
    """Start a process that calls `role(link, *args)`; an async role runs under `loop` (see loops.LOOPS).

    `role` is a module-level function or "dotted.module:function"; `args` are JSON values; `wrapper` is a
    command that runs the process.
    """
    return Peer(role, *args, loop=loop, wrapper=wrapper)


def kill(peer: Peer) -> None:
    """SIGKILL a peer and wait until it is gone."""
    peer.kill()
