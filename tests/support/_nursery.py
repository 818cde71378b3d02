"""The program that peers are forked from: `python -m tests.support._nursery FD`.

It answers requests, each a packet of JSON: [what, argument].
"""

import ctypes
import functools
import gc
import importlib
import inspect
import json
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress

from tests.support.loops import run_under
from tests.support.peers import Link

PR_SET_PDEATHSIG = 1


def main(fd: str) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test
    link = serve(socket.socket(fileno=int(fd)))
    return 0 if link is None else live(link)


def serve(test: socket.socket) -> socket.socket | None:
    """Answers until nobody can ask any more; in a child, returns the link to the test."""
    answers = {"fork": fork, "reap": reap, "await_stop": await_stop}
    while True:
        request, fds, _, _ = socket.recv_fds(test, 4096, 4)
        if not request:
            return None
        what, argument = json.loads(request)
        answer = answers[what](argument)
        if what == "fork" and answer == 0:
            test.close()
            return adopt(*fds)
        for fd in fds:
            os.close(fd)
        test.send(json.dumps(answer).encode())


def fork(module: str) -> int:
    with suppress(BaseException):  # should it fail, it fails in the child again, which says so
        importlib.import_module(module)
    gc.freeze()  # what was imported: its collection at the end of each child would cost more than the child
    return os.fork()


def reap(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def await_stop(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


def adopt(link: int, *standard: int) -> socket.socket:
    """The test's own stdin, stdout and stderr, and its end with ours."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(standard):
        os.dup2(fd, number)
        os.close(fd)
    return socket.socket(fileno=link)


def live(connection: socket.socket) -> int:
    """Does what the test's first message says."""
    link = Link(connection)
    loop, path, args, environment = link.receive()
    os.environ.clear()
    os.environ.update(environment)
    module, _, name = path.partition(":")
    try:
        role = getattr(importlib.import_module(module), name)
        call = functools.partial(role, link, *args)
        result = run_under(loop, call) if inspect.iscoroutinefunction(role) else call()
    except BaseException:
        link._send({"error": traceback.format_exc()})
        return 1
    link._send({"result": result})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
