"""The program of a peer with an interpreter of its own: `python -m tests.support._peer FD`."""

import ctypes
import signal
import socket
import sys

from tests.support._nursery import PR_SET_PDEATHSIG, live

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.exit(live(socket.socket(fileno=int(sys.argv[1]))))
