"""Where peers come from: a clean interpreter that has imported what they need and forks one for each.

It opens no segment and runs no loop, so a peer begins as a fresh process does, without the half a second that
starting an interpreter and importing the event loops takes.  It ends with the tests, as do the peers.
"""

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Nursery:
    """The test's end: tells the interpreter to fork, and asks what became of its children."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.support._nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        self._turn = threading.Lock()
        os.register_at_fork(after_in_child=self._socket.close)  # its end is that of the test's process alone

    def fork(self, module: str, link: socket.socket) -> int:
        """The pid of a new peer, which has the link; the module is its role's and imported once for all."""
        return int(self._ask("fork", module, fds=[link.fileno(), 0, 1, 2]))

    def reap(self, pid: int) -> int:
        """The exit status of a peer that has ended, negative for a signal."""
        return int(self._ask("reap", pid))

    def await_stop(self, pid: int) -> None:
        """Returns when a stopped peer does nothing any more."""
        self._ask("await_stop", pid)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def _ask(self, *request: Any, fds: list[int] | None = None) -> Any:
        with self._turn:
            socket.send_fds(self._socket, [json.dumps(request).encode()], fds or [])
            return json.loads(self._socket.recv(64))


class Wrapped:
    """In place of a nursery: an interpreter for one peer, started by a command such as `unshare`."""

    def __init__(self, wrapper: Sequence[str]) -> None:
        self._wrapper = wrapper

    def fork(self, module: str, link: socket.socket) -> int:
        """The pid of the command, which stands for the peer."""
        command = [*self._wrapper, sys.executable, "-m", "tests.support._peer", str(link.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[link.fileno()])
        return self._process.pid

    def reap(self, pid: int) -> int:
        return self._process.wait()

    def await_stop(self, pid: int) -> None:
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)

    def close(self) -> None:
        self._process.wait()


@functools.cache
def nursery() -> Nursery:
    """One for all peers of this run."""
    made = Nursery()
    atexit.register(made.close)
    return made
