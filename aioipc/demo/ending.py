"""Workers that go when the demo goes, however it ended."""

import fcntl
import multiprocessing
import os
import signal
import sys

__all__ = ["end_with_the_demo"]


def end_with_the_demo() -> None:
    """Be killed by the kernel when the demo is, even while stopped for an aimed kill.

    The end of the demo closes a pipe, which raises the signal that is asked for here.
    """
    demo = multiprocessing.parent_process()
    assert demo is not None
    pipe = demo.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if not demo.is_alive():
        sys.exit(1)  # it was killed just before
