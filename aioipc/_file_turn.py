"""Whose turn it is at a file: the lines in which the tasks and threads of one user wait for it."""

import contextlib
from dataclasses import dataclass

from . import _home
from .errors import ClosedError
from .rwlock import BlockingRWGuard, RWGuard, RWLock


class Turn:
    """A place in a line of a file, and the turn when it has come: one writer's, or that of readers together.

    A line gives order and wake-ups, and tells of holders that died; what excludes others is the kernel's lock
    on the file.  So nothing breaks when two processes stand in different lines, as after `aioipc rm`.
    """

    __slots__ = ("_awaited", "_blocked", "_line")

    def __init__(self, line: str, shared: bool) -> None:
        self._line = _home.transient(RWLock, f"file-{line}", fair=True)
        # A guard notes in one step that it holds: no KeyboardInterrupt comes between.
        self._awaited: RWGuard = self._line.read() if shared else self._line.write()
        self._blocked: BlockingRWGuard = self._line.blocking.read() if shared else self._line.blocking.write()

    async def acquire(self) -> None:
        """Waits for the turn."""
        await self._awaited.acquire()

    def acquire_blocking(self, timeout: float | None) -> bool:
        """Waits for the turn in a thread; False when the time is over."""
        return self._blocked.acquire(timeout)

    def release(self) -> None:
        """Lets the next come; harmless when it is not our turn."""
        for guard in (self._awaited, self._blocked):
            if guard.level is not None:
                with contextlib.suppress(ClosedError):
                    guard.release()

    @property
    def abandoned(self) -> bool:
        """Whether the process of a writer died in its turn, and no other writer's turn has ended since."""
        return self._line.abandoned

    @property
    def closed(self) -> bool:
        """Whether the segment is closed.  If not, a ClosedError said that the line was dissolved."""
        return self._line.opening.closed


@dataclass(frozen=True, slots=True)
class LineState:
    """A line at one moment."""

    owner_pid: int | None = None
    """Whose turn to write it is."""
    waiters: int = 0
    abandoned: bool = False


def state(line: str) -> LineState:
    """The line of that name, which may not be there."""
    home = _home.existing()
    found = None if home is None else home.find(RWLock, f"{_home.RESERVED}file-{line}")
    if found is None:
        return LineState()
    record = found.statistics()
    return LineState(record.owner_pid, record.waiting_readers + record.waiting_writers, record.abandoned)
