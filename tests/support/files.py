"""What the tests of FileLock share: other programs' locks, and what must be left as it was."""

import fcntl
import os
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aioipc import FileLock
from tests.support.faces import until

PROTOCOLS = ("ofd", "flock")


def file_range(kind: int) -> bytes:
    """struct flock for a whole file, as Boost.Interprocess fills it."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)


@contextmanager
def foreign(path: str | Path, protocol: str, shared: bool = False) -> Iterator[None]:
    """A lock that aioipc knows nothing of: what another program has."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if protocol == "flock":
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, file_range(fcntl.F_RDLCK if shared else fcntl.F_WRLCK))
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # closing is not enough while a forked child has the descriptor
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, file_range(fcntl.F_UNLCK))
        os.close(fd)


def threads() -> int:
    """How many threads of this process wait in the kernel for a file.

    One that was joined stays listed for a moment, on its way out of the kernel: it does not count.
    """
    found, pf_exiting = 0, 4
    for thread in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = Path(f"/proc/self/task/{thread}/stat").read_text().partition(") ")
            found += name.endswith("(aioipc-file") and not int(rest.split()[6]) & pf_exiting
    return found


def descriptors(folder: Path) -> int:
    """The open descriptors of this process below a folder."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{fd}").startswith(f"{folder}/")
    return found


def again(lock: FileLock) -> FileLock:
    """Another object for the same lock."""
    made: FileLock = pickle.loads(pickle.dumps(lock))
    return made


async def waiting(lock: FileLock, count: int) -> None:
    """Returns when so many stand in line."""
    await until(lambda: lock.statistics().waiters == count)


def idle(lock: FileLock) -> bool:
    """Nobody holds it or waits, and it still works."""
    for guard in (lock, lock.write(), lock.read()):
        guard.acquire_nowait()
        guard.release()
    statistics = lock.statistics()
    return (statistics.locked, statistics.mine, statistics.waiters) == (False, False, 0)
