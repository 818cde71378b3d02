"""The program of a peer process: `python -m tests.support._peer FD LOOP MODULE:FUNCTION JSON_ARGS`."""

import ctypes
import functools
import importlib
import inspect
import json
import signal
import socket
import sys
import traceback

from tests.support.loops import run_under
from tests.support.peers import Link

PR_SET_PDEATHSIG = 1


def main(fd: str, loop: str, path: str, args: str) -> int:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    link = Link(socket.socket(fileno=int(fd)))
    module, _, name = path.partition(":")
    try:
        role = getattr(importlib.import_module(module), name)
        call = functools.partial(role, link, *json.loads(args))
        result = run_under(loop, call) if inspect.iscoroutinefunction(role) else call()
    except BaseException:
        link._send({"error": traceback.format_exc()})
        return 1
    link._send({"result": result})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
