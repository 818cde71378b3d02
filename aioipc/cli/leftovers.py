"""What killed processes leave in /dev/shm."""

import os
from collections.abc import Iterator

from aioipc import ManagedSharedMemory, _names

__all__ = ["remove_dead_segments", "remove_leftovers"]


def remove_dead_segments() -> list[str]:
    """Removes last_detach segments whose last user was killed; their names."""
    return [name for name in _entries() if not ManagedSharedMemory.exists(name)]  # exists() finishes them off


def remove_leftovers() -> list[str]:
    """Removes those, half-made segments, and bells without a segment; the names of the entries."""
    return remove_dead_segments() + _names.remove_stale()


def _entries() -> Iterator[str]:
    for name in sorted(os.listdir(_names.SHM)):
        try:
            yield _names.checked(name)
        except ValueError:
            continue  # no name a segment can have
