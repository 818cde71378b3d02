"""RLock: a lock that the task or thread which holds it may take again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ._native import _core
from .errors import WouldBlock
from .lock import Lockable, LockStatistics
from .objects import New, ObjectName

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["RLock", "RLockStatistics"]


@dataclass(frozen=True, slots=True)
class RLockStatistics(LockStatistics):
    """A reentrant lock at one moment."""

    depth: int
    """How many times over its owner holds it; 0 when that is another process's."""


class RLock(_core.RLockHandle, Lockable):
    """A reentrant lock, owned by a task: by a thread through `.blocking`.

    Parameters, order, cancellation and death are those of `Lock`.  The task that holds it takes it again at
    once, and gives it back with as many releases; other tasks of the same process wait, as other processes
    do.  Only its owner may release it, else NotOwnerError.  A thread that runs an event loop is two owners:
    the task that awaits, and the thread through `.blocking`.

    When the owner's process dies, the next waiter gets it at once, however deep it was held, and sees
    `abandoned`. A task that ends without releasing keeps it, as with `threading.RLock`.

    Example::

        tree = RLock(segment, "tree")
        async with tree:
            async with tree:             # the same task again
                ...
        with tree.blocking:              # the same lock, in a thread
            ...
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_RLOCK
    _entrances = "'async with rlock:' in a coroutine, or 'with rlock.blocking:' in a thread"

    def __init__(
        self, segment: "ManagedSegment", name: ObjectName | New = None, *, spin_us: float | None = None
    ) -> None:
        self._attach(segment, name)
        self.spin_us = spin_us

    def acquire_nowait(self) -> None:
        """Takes the lock if that needs no waiting; raises WouldBlock otherwise, ClosedError as `acquire`."""
        if not self.try_recover():
            raise WouldBlock(f"{self!r}: await acquire() to wait for it")

    def statistics(self) -> RLockStatistics:
        """The lock at this moment, as a frozen record."""
        return RLockStatistics(*self._statistics(), depth=self._depth())
