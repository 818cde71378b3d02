"""The segment of a run: made, checked at the end, and looked for when it should be gone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aioipc import ManagedSharedMemory

__all__ = ["Stage", "staged"]


@dataclass
class Stage:
    """A segment, and when the `with` is over what was found of it."""

    segment: ManagedSharedMemory
    findings: list[str] = field(default_factory=list)
    """What `check_sanity` found."""
    left_behind: list[str] = field(default_factory=list)
    """What of it is still in /dev/shm."""

    def promises(self) -> dict[str, list[str]]:
        """What every part promises of its segment."""
        return {
            "check_sanity() is sound": self.findings,
            "nothing is left in /dev/shm": self.left_behind,
        }


@contextmanager
def staged(part: str, size: int) -> Iterator[Stage]:
    """A segment for one run; everybody else has to be gone when the `with` ends."""
    name = f"aioipc-demo-{part}-{os.getpid()}"
    with ManagedSharedMemory.create(name, size, lifetime="last_detach") as segment:
        uuid = segment.uuid.hex
        stage = Stage(segment)
        yield stage
        stage.findings += [str(finding) for finding in segment.check_sanity().findings]
    stage.left_behind += [entry for entry in os.listdir("/dev/shm") if name in entry or uuid in entry]
