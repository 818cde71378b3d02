"""Who is killed: workers that are certainly in the middle of computing a page.

A worker notes in the cache which pages it computes.  The killer stops it (SIGSTOP), looks whether a note
still stands, and only then kills it; else it lets it go on.
"""

import asyncio
import os
import signal
import time
from collections import Counter

from ..crew import Crew
from .cache import PageCache
from .client import Client

__all__ = ["Killer"]

_GLANCE = 0.001  # seconds between two looks at the notes


class Killer:
    """SIGKILLs so many workers, evenly over the client's run."""

    def __init__(self, cache: PageCache, crew: Crew, client: Client, kills: int) -> None:
        self._cache, self._crew, self._client = cache, crew, client
        self.wanted = kills
        self.killed: set[int] = set()
        """The pids of the killed."""
        self.killed_over: Counter[int] = Counter()
        """Page: how many workers were killed that were computing it; one may have been at several pages."""
        self.killed_at: dict[int, int] = {}
        """Page: when the latest of them was killed; CLOCK_MONOTONIC, ns."""

    async def run(self) -> None:
        """Until all are killed; to be cancelled when the client has finished."""
        for number in range(1, self.wanted + 1):
            due = self._client.requests * number // (self.wanted + 1)
            while self._client.answers < due or not self._strike():  # noqa: ASYNC110 - nobody would wake us
                await asyncio.sleep(_GLANCE)

    def _strike(self) -> bool:
        alive = set(self._crew.pids().values()) - self.killed
        return any(pid in alive and self._kill(pid) for pid in set(self._cache.computing().values()))

    def _kill(self, pid: int) -> bool:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        pages = [page for page, computer in self._cache.computing().items() if computer == pid]
        if not pages:
            os.kill(pid, signal.SIGCONT)
            return False
        self.killed_at.update(dict.fromkeys(pages, time.monotonic_ns()))
        os.kill(pid, signal.SIGKILL)
        self.killed_over.update(pages)
        self.killed.add(pid)
        return True
