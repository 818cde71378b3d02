"""The cache that all workers share: whoever is first computes a page, the others wait for it."""

import os
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from aioipc import Lock, ManagedSharedMemory, SharedDict

__all__ = ["How", "PageCache"]

_LOCKS = 64
_NO_NOTE = (0, 0)

How = Literal["hit", "waited", "computed"]


class PageCache:
    """Pages by number.  Beside them stand some notes for the demo's main process."""

    def __init__(self, segment: ManagedSharedMemory) -> None:
        self.pages: SharedDict[int, bytes] = SharedDict(segment, "pages")
        self._locks = [Lock(segment, f"pages {number}") for number in range(_LOCKS)]
        self.workers: SharedDict[int, bool] = SharedDict(segment, "workers")
        """The workers that are, or were, ready to serve, by pid."""
        self.notes: SharedDict[int, tuple[int, int]] = SharedDict(segment, "notes")
        """Page: how often its computation was begun, and the pid that is at it (0: nobody)."""
        self.taken_over: SharedDict[int, int] = SharedDict(segment, "taken over")
        """Page: when a process found that the one that computed it had died; CLOCK_MONOTONIC, ns."""

    async def get(self, page: int, compute: Callable[[int], Awaitable[bytes]]) -> tuple[bytes, How]:
        """The page, and how it was come by."""
        body = self.pages.get(page)
        if body is not None:
            return body, "hit"
        lock = self._locks[page % _LOCKS]
        async with lock:
            body = self.pages.get(page)  # whoever held the lock may have computed it
            if body is not None:
                return body, "waited"
            if lock.abandoned:  # or was killed before the page was there: then it is computed once more
                self.taken_over[page] = time.monotonic_ns()
            self.notes.update_with(page, lambda note: ((note or _NO_NOTE)[0] + 1, os.getpid()))
            try:
                body = await compute(page)
                self.pages[page] = body
            finally:
                self.notes.update_with(page, lambda note: ((note or _NO_NOTE)[0], 0))
            return body, "computed"

    def computing(self) -> dict[int, int]:
        """The pages that are not there yet, and the pid that is at them: alive, or killed over it."""
        return {page: pid for page, (_, pid) in self.notes.items() if pid and page not in self.pages}

    def computations(self) -> dict[int, int]:
        """How often the computation of each page was begun."""
        return {page: begun for page, (begun, _) in sorted(self.notes.items())}

    def abandoned(self) -> int:
        """How often a lock was taken over from a process that had died."""
        return sum(lock.statistics().abandoned_count for lock in self._locks)
