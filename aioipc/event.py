"""Event: something that has happened, or not yet."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from . import _waiting
from ._native import _core
from .objects import New, ObjectName, SharedObject

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .segment import ManagedSegment

__all__ = ["BlockingEvent", "Event", "EventStatistics"]


@dataclass(frozen=True, slots=True)
class EventStatistics:
    """An event at one moment."""

    set: bool
    """Whether it is set."""
    waiters: int
    """Tasks and threads of all processes that wait."""
    contended: int
    """How many had to wait, since it was constructed."""


class Event(_core.EventHandle, SharedObject):
    """A flag to wait for, as `asyncio.Event`, for any number of processes.

    Parameters: the segment; the name (found or constructed), none for a new anonymous one.  It begins unset.

    `set` wakes everybody who waits, in any process, also those for whom `clear` comes before they run.
    Nobody owns an event: a death changes nothing, and a `set` that its process did not live to finish is
    finished by the others.

    Example::

        ready = Event(segment, "ready")
        await ready.wait()
        ready.blocking.wait(timeout=1.5)     # the same event, in a thread
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_EVENT
    _size: ClassVar[int] = _core.EVENT_SIZE

    def __init__(self, segment: "ManagedSegment", name: ObjectName | New = None) -> None:
        self._attach(segment, name)

    def wait(self) -> "Coroutine[Any, Any, Literal[True]]":
        """Waits until the event is set; gives True.

        Cancelled while it waits, it leaves no trace.  Under asyncio it does not suspend when it is set.
        Raises ClosedError when the segment is closed or the event destroyed.
        """
        return self._waiting()

    def statistics(self) -> EventStatistics:
        """The event at this moment, as a frozen record."""
        return EventStatistics(*self._statistics())

    @property
    def blocking(self) -> "BlockingEvent":
        """The same event for threads: `event.blocking.wait(timeout=1.5)`."""
        return BlockingEvent(self)

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def _describe(self) -> str:
        record = self.statistics()
        waiters = f", waiters:{record.waiters}" if record.waiters else ""
        return f"[{'set' if record.set else 'unset'}{waiters}]"


class BlockingEvent:
    """An Event for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        self._event = event

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, `timeout` seconds at most, None for ever.  False: the time was over."""
        return _core.blocked(self._event._waiting(), timeout)

    def is_set(self) -> bool:
        """Whether the event is set."""
        return self._event.is_set()

    def set(self) -> None:
        """Sets the event: whoever waits in any process goes on."""
        self._event.set()

    def clear(self) -> None:
        """Resets the event."""
        self._event.clear()

    def __repr__(self) -> str:
        return f"<blocking view of {self._event!r}>"
