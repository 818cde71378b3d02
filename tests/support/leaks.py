"""What a test must leave as it found it: /dev/shm, descriptors of shared memory, mappings."""

import gc
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SHM = Path("/dev/shm")
PATIENCE = 40  # looks before something is called a leak
FEW = 8  # looks where it is left on purpose, and removed
# Sockets, pipes and files report themselves (ResourceWarning is an error); these do not.
_OUR_DESCRIPTORS = ("/dev/shm/", "/memfd:", "anon_inode:")


@dataclass(frozen=True)
class Snapshot:
    """What this process holds of shared memory at one moment."""

    entries: frozenset[str]
    descriptors: Counter[str]
    mappings: Counter[str]

    @classmethod
    def take(cls) -> "Snapshot":
        return cls(
            frozenset(os.listdir(SHM)),
            Counter(t for t in _descriptors("self") if t.startswith(_OUR_DESCRIPTORS)),
            Counter(_mappings("self")),
        )

    def leaked_since(self, looks: int = PATIENCE) -> list[str]:
        """One line for each thing that is there now and was not when the snapshot was taken."""
        leaks = self._compare()
        for _ in range(looks):  # the collector may only be late, or another test run about to clean up
            if not leaks:
                break
            gc.collect()
            time.sleep(0.025)
            now = set(self._compare())
            leaks = [leak for leak in leaks if leak in now]
        return leaks

    def _compare(self) -> list[str]:
        now = Snapshot.take()
        entries = sorted(now.entries - self.entries)
        used = _used_by_others() if entries else set()
        return [
            *(f"/dev/shm entry {e}" for e in entries if not any(u.startswith(str(SHM / e)) for u in used)),
            *(f"open descriptor of {target}" for target in (now.descriptors - self.descriptors).elements()),
            *(f"mapping of {target}" for target in (now.mappings - self.mappings).elements()),
        ]


def remove_entries(leaks: list[str]) -> None:
    """Remove the /dev/shm entries among `leaks`, so that one failing test does not fill the machine."""
    for leak in leaks:
        kind, _, name = leak.partition(" entry ")
        if kind == "/dev/shm":
            shutil.rmtree(SHM / name, ignore_errors=True)
            (SHM / name).unlink(missing_ok=True)


def _descriptors(pid: str) -> Iterator[str]:
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{fd}")


def _mappings(pid: str) -> Iterator[str]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        path = line.split(maxsplit=5)[5:]
        if path and path[0].startswith(("/dev/shm/", "/memfd:")):
            yield path[0]


def _used_by_others() -> set[str]:
    """The paths of somebody else's work on this machine, for instance of a second test run."""
    used: set[str] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if pid != str(os.getpid()):
            with suppress(OSError):
                used.update(_descriptors(pid), _mappings(pid))
    return used
