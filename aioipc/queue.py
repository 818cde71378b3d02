"""Queue: items from any number of processes to any number of processes, first in first out."""

from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Protocol, TypeVar

from . import _waiting
from ._native import _core
from .errors import IPCError, OptionMismatchError, QueueShutDown
from .objects import New, ObjectName, SharedObject, whole

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["Codec", "Lease", "Queue", "QueueStatistics"]

T = TypeVar("T")


class Codec(Protocol):
    """What turns items into bytes and back, when msgpack does not do it."""

    def encode(self, item: Any, /) -> Any:
        """The item as something bytes-like."""

    def decode(self, data: bytes, /) -> Any:
        """The item again."""


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """A queue at one moment; each number is right by itself."""

    qsize: int
    """Items in the queue."""
    maxsize: int
    """Items it may hold; 0: any number."""
    bytes: int
    """Bytes of the encoded items in the queue."""
    max_bytes: int | None
    """Bytes it may hold; None: as many as the segment has."""
    unfinished: int
    """Items put and not yet dealt with: what `join` waits for."""
    leased: int
    """Items on lease, in all processes."""
    put: int
    """Items ever put."""
    taken: int
    """Items ever taken or leased, each time one was."""
    returned: int
    """Leases that ended without success, by an exception, a cancellation or a death."""
    getters: int
    """Tasks and threads of all processes that wait for an item."""
    putters: int
    """Those that wait for room."""
    joiners: int
    """Those that wait until all is done."""
    shut_down: bool
    """Whether `shutdown` was called."""


class Queue(SharedObject, _core.QueueHandle, Generic[T]):
    """asyncio.Queue between processes.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one;
    `maxsize`, the number of items it holds at most (0 or less: any number); `max_bytes`, the same for the
    bytes of the encoded items (None: any number); `codec`: "msgpack" (what msgpack can encode, and datetime),
    "raw" (bytes-like in, bytes out), or an object with `encode` and `decode`, the same in every process.
    Options that are left out are an existing queue's own; others raise OptionMismatchError when they differ
    from it.

    Methods and exceptions are those of asyncio.Queue in Python 3.13.  Beside them: `put_many` and `get_many`
    for many items with one wake-up, `lease` for items that must not be lost with their taker, `peek`,
    `clear`, and `async for item in queue`, which ends when the queue is shut down and empty.

    Items are taken in the order in which they were put.  Who waits is served first come first served; a
    running task of another process may still be faster than a sleeping one.  Cancelling a `get` leaves the
    item in the queue, cancelling a `put` leaves it out.

    When a process dies, an item that it was putting is in the queue or is not; the items it got and had not
    reported with `task_done` count as done; the items it had on lease are back in front at once.  Other
    processes go on.

    Example::

        jobs: Queue[dict] = Queue(segment, "jobs", maxsize=100)
        await jobs.put({"page": 7})
        async with jobs.lease() as job:      # back in the queue if this block fails or dies
            ...
        jobs.blocking.get(timeout=1.5)       # the same queue, in a thread
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_QUEUE

    def __init__(
        self,
        segment: "ManagedSegment",
        name: ObjectName | New = None,
        maxsize: int | None = None,
        *,
        max_bytes: int | None = None,
        codec: str | Codec | None = None,
    ) -> None:
        number, encoder = _codec_number(codec)
        most = max(whole("maxsize", maxsize or 0), 0)
        if max_bytes is not None and whole("max_bytes", max_bytes) < 1:
            raise ValueError(f"max_bytes must be at least 1 byte, or None, not {max_bytes!r}")
        attachment = segment._opening_checked().attachment
        image = _core.queue_image(attachment, most, max_bytes or 0, number or 0)
        if not self._attach(segment, name, image):
            given = {
                "maxsize": None if maxsize is None else most,
                "max_bytes": max_bytes,
                "codec": number,
            }
            self._compare(given)
        self._encoder = encoder

    def _compare(self, given: dict[str, Any]) -> None:
        statistics = self._statistics()
        found = {
            "maxsize": statistics["maxsize"],
            "max_bytes": statistics["max_bytes"],
            "codec": self._codec,
        }
        for option, value in given.items():
            if value is not None and value != found[option]:
                raise OptionMismatchError(
                    f"the queue {self.name!r} exists with {option}={_shown(option, found[option])}, not "
                    f"{_shown(option, value)}; leave the option out, or destroy the queue"
                )

    @classmethod
    def _payload_size(cls, segment: "ManagedSegment") -> int:
        return _core.queue_size(segment._opening_checked().attachment)

    # --- one item

    if TYPE_CHECKING:

        def put(self, item: T) -> Coroutine[Any, Any, None]: ...
        def get(self) -> Coroutine[Any, Any, T]: ...
        def put_nowait(self, item: T) -> None: ...
        def get_nowait(self) -> T: ...

    def peek(self) -> Coroutine[Any, Any, T]:
        """The next item, which stays in the queue; waits for one, and raises, as `get` does."""
        return self._peek()

    def lease(self) -> "Lease[T]":
        """An item that comes back unless it is dealt with: `async with queue.lease() as item:`.

        Leaving the block reports the item as done.  When the block raises or is cancelled, or its process
        dies, the item is at once the next one that anybody takes, with its `deliveries` one higher.
        """
        return Lease(self)

    # --- many

    async def put_many(self, items: Iterable[T]) -> None:
        """Puts items one after the other, waiting for room as long as it takes, with one wake-up for many.

        Others may put between them.  Cancelled while it waits, or stopped by an exception, it has put the
        first ones, in order: `put_many_nowait` says how many.
        """
        await self._put_many(items)

    def put_many_nowait(self, items: Iterable[T]) -> int:
        """Puts as many of the items as there is room for, in order; returns how many that were.

        What stops it otherwise is raised when not even the first could be put.
        """
        operation = self._put_many(items)
        operation.close()  # it is never awaited
        try:
            operation.ready()
        except IPCError:
            if operation.count == 0:
                raise
        return operation.count

    def get_many(self, max_items: int) -> Coroutine[Any, Any, list[T]]:
        """Takes all items that are there, `max_items` at most; waits for one when there is none.

        Cancelled while it waits, it has taken nothing.
        """
        return self._get_many(max_items)

    # --- the rest

    def join(self) -> Coroutine[Any, Any, None]:
        """Waits until every item ever put was dealt with: leased and done, or taken and reported."""
        return self._join()

    def empty(self) -> bool:
        """Whether there is no item now."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether there are `maxsize` items now; never, when that is 0."""
        return 0 < self.maxsize <= self.qsize()

    def statistics(self) -> QueueStatistics:
        """The queue at this moment, as a frozen record."""
        return QueueStatistics(**self._statistics(looking_after_the_dead=True))

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.get()
        except QueueShutDown:
            raise StopAsyncIteration from None

    def __iter__(self) -> NoReturn:
        raise TypeError("use 'async for item in queue', or 'for item in queue.blocking' in a thread")

    def _leased(self, timeout: float | None) -> "_BlockingLease[T]":
        return _BlockingLease(self, timeout)

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def _local_state(self) -> Any:
        return self._encoder

    def _restore_local_state(self, state: Any) -> None:
        self._encoder = state

    def _describe(self) -> str:
        statistics = self._statistics()
        unfinished = f" tasks={statistics['unfinished']}" if statistics["unfinished"] else ""
        return f"maxsize={statistics['maxsize']} qsize={statistics['qsize']}{unfinished}"


class Lease(Generic[T]):
    """An item on loan; made by `Queue.lease`, entered once."""

    __slots__ = ("_held", "_queue")

    def __init__(self, queue: Queue[T]) -> None:
        self._queue = queue
        self._held: _core.HeldLease | None = None

    @property
    def deliveries(self) -> int:
        """How often the item was leased, this time included: more than 1 when it came back before."""
        if self._held is None:
            raise RuntimeError("a lease has an item once it is entered: async with queue.lease() as item")
        return self._held.deliveries

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lease belongs to the process that took it: it cannot be copied or pickled")

    def _begin(self, held: "_core.HeldLease") -> T:
        if self._held is not None:
            held.settle(False)
            raise RuntimeError("a lease is entered once; make another one with queue.lease()")
        self._held = held
        try:
            item: T = held.decoded()
        except BaseException:
            held.settle(False)
            raise
        return item

    def _end(self, done: bool) -> None:
        assert self._held is not None
        self._held.settle(done)

    async def __aenter__(self) -> T:
        return self._begin(await self._queue._lease())

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end(kind is None)

    def __enter__(self) -> NoReturn:
        raise TypeError("use 'async with queue.lease()', or 'with queue.blocking.lease()' in a thread")

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""


class _BlockingLease(Lease[T]):
    """The same for a thread."""

    __slots__ = ("_timeout",)

    def __init__(self, queue: Queue[T], timeout: float | None) -> None:
        super().__init__(queue)
        self._timeout = timeout

    def __enter__(self) -> T:  # type: ignore[override]
        return self._begin(self._queue.blocking._wait_lease(self._timeout))

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:  # type: ignore[override]
        self._end(kind is None)

    async def __aenter__(self) -> NoReturn:
        raise TypeError("use 'with queue.blocking.lease()', or 'async with queue.lease()' in a coroutine")


def _shown(option: str, value: Any) -> str:
    if option != "codec":
        return repr(value)
    names = [name for name, number in _core.CODECS.items() if number == value]
    return repr(names[0]) if names else "an object"


def _codec_number(codec: str | Codec | None) -> tuple[int | None, Codec | None]:
    """(the number the segment knows, the object that encodes)."""
    if codec is None:
        return None, None
    if isinstance(codec, str):
        if codec not in _core.CODECS:
            raise ValueError(f"codec is 'msgpack', 'raw' or an object with encode and decode, not {codec!r}")
        return _core.CODECS[codec], None
    if not callable(getattr(codec, "encode", None)) or not callable(getattr(codec, "decode", None)):
        raise TypeError(f"a codec has the methods encode and decode; {codec!r} has not")
    return _core.CODEC_OF_OBJECT, codec
