"""One event loop's place to be woken from, in one segment.

The bell is a FIFO that wakers write to; the watch is a descriptor that becomes readable when another process
may have died.  Both hang in one epoll descriptor of the doorbell's own, which the loop watches as long as it
and the segment are there: so waiting registers and unregisters nothing.

    arm     before the loop may sleep: "write to the FIFO from now on".  If something came before, drain soon.
    drain   empty the FIFO, wake the tasks whose nodes were notified; all tasks, when somebody has died.
"""

import abc
import os
import select
import threading
from itertools import count
from typing import Any, Protocol
from weakref import WeakValueDictionary

from .._native._core import Attachment, Opening
from ..errors import ClosedError

_tokens = count(1)


class Node(Protocol):
    """A place in a queue of the segment."""

    def look(self) -> bool:
        """Whether it is our turn; the node is gone then.  ClosedError likewise."""

    def cancel(self) -> None:
        """Leaves the queue, if the node is still there, and passes on what was granted to it."""


class Waitable(Protocol):
    """What can be waited for."""

    @property
    def opening(self) -> Opening:
        """The segment handle it was made through."""

    def wait(self, bell: int, token: int) -> Node | None:
        """Stands in the queue; None when there is nothing to wait for any more."""


class Place:
    """One task that waits."""

    __slots__ = ("node", "opening", "parked")

    def __init__(self, opening: Opening, node: Node) -> None:
        self.opening = opening
        self.node = node
        self.parked: Any = None  # what resumes it

    def ready(self) -> bool:
        """Called by the task itself when it has been woken."""
        if self.opening.closed:
            raise ClosedError("the segment was closed while waiting")
        return self.node.look()


class Doorbell(abc.ABC):
    """The bell of one event loop in one segment, and the tasks of that loop that wait there."""

    def __init__(self, attachment: Attachment, loop: Any) -> None:
        self.loop = loop
        self._attachment = attachment
        self._places: dict[int, Place] = {}
        self._armed = False
        self._closed = False
        self._pid, self._thread = os.getpid(), threading.get_ident()
        self._identity = attachment.identity
        self._epoch = attachment.epoch
        self._epoll = select.epoll()
        self.bell, self._bell_fd = attachment.bell_take()
        try:
            self._epoll.register(self._bell_fd, select.EPOLLIN)
            self._epoll.register(attachment.watch_open(), select.EPOLLIN)
        except OSError as error:
            if attachment.closed:  # by another thread, and the descriptors with it
                raise ClosedError("the segment was closed") from error
            raise
        _register(self, attachment)
        if attachment.closed:  # before it was registered: nobody else will close it
            raise ClosedError("the segment was closed")

    # --- what a kind of loop adds

    @abc.abstractmethod
    async def wait(self, handle: Waitable) -> None:
        """Parks the running task until `handle` has what it waits for."""

    @abc.abstractmethod
    async def wait_to_the_end(self, handle: Waitable) -> BaseException | None:
        """`wait`, keeping its place whatever cancels it meanwhile: the latest of that, unless it comes back
        by itself."""

    @abc.abstractmethod
    def _wake(self, place: Place) -> None:
        """Lets the task run and look.  In the loop's thread."""

    @abc.abstractmethod
    def _soon(self) -> None:
        """Drains again before the loop sleeps."""

    @abc.abstractmethod
    def _in_loop(self, call: Any, *args: Any) -> None:
        """Calls in the loop's thread, from any thread."""

    def _ended(self) -> bool:
        """Whether the loop will never run again."""
        return False

    @abc.abstractmethod
    def _unhook(self) -> None:
        """Makes the loop forget the descriptor.  In the loop's thread."""

    # --- waiting

    def _stand(self, handle: Waitable) -> tuple[int, Place | None]:
        """(token, place) in the queue of `handle`; no place when it need not wait."""
        self._watch(only_newcomers=bool(self._places))
        sweep(self._attachment)
        token = next(_tokens)
        node = handle.wait(self.bell, token)
        if node is None:
            return token, None
        place = self._places[token] = Place(handle.opening, node)
        if handle.opening.closed:  # by another thread, which may have looked at our places before
            self._leave(token, place)
            raise ClosedError("the segment was closed")
        return token, place

    def _leave(self, token: int, place: Place) -> None:
        self._places.pop(token, None)
        place.node.cancel()

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            if self._attachment.bell_arm(self.bell):
                self._soon()

    def rung(self) -> None:
        """The bell or the watch has something: called by the loop."""
        self.drain(only_newcomers=False)

    def drain(self, only_newcomers: bool = True) -> None:
        """Wakes the tasks whose turn may have come."""
        if self._closed or self._attachment.closed:
            return
        self._armed = False
        try:
            for token in self._attachment.bell_collect(self.bell, self._bell_fd):
                place = self._places.get(token)
                if place is not None:
                    self._wake(place)
            self._watch(only_newcomers)
            if self._places:
                self._arm()
        except Exception:  # they look, and each gets the exception itself
            self._wake_all()

    def _watch(self, only_newcomers: bool) -> None:
        self._attachment.watch(only_newcomers)
        epoch = self._attachment.epoch
        if epoch != self._epoch:
            self._epoch = epoch
            self._wake_all()

    def _wake_all(self) -> None:
        for place in list(self._places.values()):
            self._wake(place)

    # --- the end

    def withdraw(self, opening: Opening) -> None:
        """Takes the waiters of a closed opening out of their queues and wakes them.  From any thread."""
        if self._identity != self._attachment.identity:
            return  # a parent's
        for place in list(self._places.values()):
            if place.opening is opening:
                place.node.cancel()
                self._in_loop(self._wake, place)

    def abandon(self) -> None:
        """The loop has ended with tasks still waiting: what they stood for goes to others."""
        for place in list(self._places.values()):
            place.node.cancel()
        self._places.clear()
        self.close()

    def close(self) -> None:
        """Gives the bell back.  In the loop's thread, or when the loop is gone."""
        if not self._closed:
            self._closed = True
            if self._pid == os.getpid():  # a forked child shares the loop's epoll with its parent
                self._unhook()
            self._attachment.bell_give_back(self.bell, self._identity)
            self._epoll.close()

    def __del__(self) -> None:
        if hasattr(self, "_bell_fd"):  # it was made
            self.close()


def _register(doorbell: Doorbell, attachment: Attachment) -> None:
    if attachment.doorbells is None:
        attachment.doorbells = WeakValueDictionary()
        attachment.on_detach = _detached
    attachment.doorbells[id(doorbell.loop)] = doorbell


def find(attachment: Attachment, loop: Any) -> Doorbell | None:
    """The doorbell of a loop.  While it lives it keeps the loop, so the number is no other loop's."""
    if loop is None or attachment.doorbells is None:
        return None
    doorbell: Doorbell | None = attachment.doorbells.get(id(loop))
    if doorbell is None or doorbell._closed or doorbell._identity != attachment.identity:
        return None
    return doorbell


def all_of(attachment: Attachment) -> list[Doorbell]:
    """All doorbells of a segment at one moment, while other threads may make more."""
    references = attachment.doorbells.valuerefs() if attachment.doorbells is not None else []
    return [doorbell for reference in references if (doorbell := reference()) is not None]


def sweep(attachment: Attachment) -> None:
    """Withdraws the waiters of loops that were closed under them."""
    for doorbell in all_of(attachment):
        if doorbell._ended() and not doorbell._closed:
            doorbell.abandon()


def _detached(attachment: Attachment) -> None:
    """The last opening was closed: nobody waits any more."""
    for doorbell in all_of(attachment):
        if doorbell._thread == threading.get_ident():
            doorbell.close()
        elif doorbell._pid == os.getpid():
            doorbell._in_loop(doorbell.close)
