"""Once: one process does the start-up job, the others wait for its success."""

from typing import TYPE_CHECKING, ClassVar

from ._native import _core
from .lock import Lockable, LockStatistics
from .objects import New, ObjectName

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["BlockingOnce", "Once"]


class Once(_core.OnceHandle, Lockable):
    """Something that is to be done once, by whoever comes first.

    `async with once as first:` gives True to one task of all processes; the others wait until its block has
    ended. When the block ends without an exception it is done for ever: everybody who waits or comes later
    gets False, at once.  When it raises or is cancelled, or its process is killed, the next one who waits
    gets True and takes over; `abandoned` then tells that somebody died in the middle.

    Parameters: the segment and the name.  To do it once more, `segment.destroy(Once, name)`: who still waits
    gets ClosedError.

    Example::

        async with Once(segment, "tables") as first:
            if first:
                await create_tables()
        ...  # here they are there
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ONCE
    _entrances = "'async with once as first:' in a coroutine, or 'with once.blocking as first:' in a thread"

    def __init__(self, segment: "ManagedSegment", name: ObjectName | New = None) -> None:
        self._attach(segment, name)
        self.spin_us = 0  # jobs worth doing once take long

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self._done()

    @property
    def blocking(self) -> "BlockingOnce":
        """The same for threads: `with once.blocking as first:`."""
        return BlockingOnce(self)

    def statistics(self) -> LockStatistics:
        """Who does it at this moment, and how many wait, as a frozen record."""
        return self._record()

    def _found(self) -> None:
        self.spin_us = 0

    def _describe(self) -> str:
        return "[done]" if self.done else super()._describe()


class BlockingOnce(_core.BlockingEntrance):
    """A Once for threads: `with once.blocking as first:`."""

    __slots__ = ()
    _handle: Once

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self._handle.done

    if TYPE_CHECKING:

        def __enter__(self) -> bool: ...
