"""Leader: one process of many leads, until it resigns or dies."""

from typing import TYPE_CHECKING, ClassVar

from ._native import _core
from .errors import WouldBlock
from .lock import Lockable, LockStatistics
from .objects import New, ObjectName

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["BlockingLeader", "Leader"]


class Leader(_core.LeaderHandle, Lockable):
    """Leadership among processes.

    `await leader.campaign()` waits until this process leads and gives its term: a number that is higher with
    every leader, so that whoever gets orders from two can tell the later one (a fencing token).  Leadership
    lasts until `resign()`.  When the leader's process dies, the next candidate leads at once, and `abandoned`
    is True until it resigns.  A stopped leader goes on leading: its process may still act when it is resumed.

    Candidates are served first come first served.  Cancelling a campaign leaves no trace.  Leadership is the
    process's: any of its tasks may resign.  Parameters: the segment and the name.

    Example::

        scheduler = Leader(segment, "scheduler")
        async with scheduler as term:        # campaign, and resign in the end
            while True:
                await run_due_jobs(term)
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_LEADER
    _size: ClassVar[int] = _core.LEADER_SIZE
    _entrances = "'async with leader as term:' in a coroutine, or 'with leader.blocking as term:' in a thread"

    def __init__(self, segment: "ManagedSegment", name: ObjectName | New = None) -> None:
        self._attach(segment, name)
        self.spin_us = 0

    def campaign_nowait(self) -> int:
        """Leads if nobody else does; WouldBlock otherwise."""
        if not self._campaign_nowait(False):
            raise WouldBlock(f"{self!r}: await campaign() to wait for it")
        return self.term

    def resign(self) -> None:
        """Leads no more: the next candidate does.  NotOwnerError when this process does not lead."""
        self._resign(False)

    @property
    def leading(self) -> bool:
        """Whether this process leads."""
        return self._record().mine

    @property
    def term(self) -> int:
        """The term of the present leader, or of the last one when nobody leads; 0 before the first."""
        return self._term()

    @property
    def blocking(self) -> "BlockingLeader":
        """The same for threads: `leader.blocking.campaign(timeout=5)`."""
        return BlockingLeader(self)

    def statistics(self) -> LockStatistics:
        """Who leads at this moment, and how many are candidates, as a frozen record."""
        return self._record()

    def _found(self) -> None:
        self.spin_us = 0

    def _describe(self) -> str:
        return super()._describe().replace("[locked by", "[led by").replace("[unlocked", "[vacant")


class BlockingLeader(_core.BlockingEntrance):
    """Leadership for threads."""

    __slots__ = ()
    _handle: Leader

    def campaign(self, timeout: float | None = None) -> int | None:
        """Blocks until this process leads, `timeout` seconds at most: its term,
        None when the time was over."""
        term: int | None = self._handle._block(timeout)
        return term

    def resign(self) -> None:
        """Leads no more; NotOwnerError when this process does not lead."""
        self._handle._resign(True)

    if TYPE_CHECKING:

        def __enter__(self) -> int: ...
