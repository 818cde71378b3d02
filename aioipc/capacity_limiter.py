"""CapacityLimiter: tokens that tasks and threads borrow, and that come back when their process dies."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from . import _waiting
from ._native import _core
from .errors import OptionMismatchError, WouldBlock
from .objects import New, ObjectName, SharedObject

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .segment import ManagedSegment

__all__ = ["BlockingCapacityLimiter", "CapacityLimiter", "CapacityLimiterStatistics"]


@dataclass(frozen=True, slots=True)
class CapacityLimiterStatistics:
    """A capacity limiter at one moment."""

    borrowed_tokens: int
    """Tokens that living processes hold."""
    total_tokens: float
    """Tokens there are; `math.inf` without a limit."""
    borrowers: tuple[object, ...]
    """Who holds them, in this process: tasks, threads' numbers, or what was named."""
    borrowed_by_process: dict[int, int]
    """How many tokens each process holds, by pid in its own pid namespace."""
    tasks_waiting: int
    """Tasks and threads of all processes that wait."""
    contended: int
    """How many had to wait, since it was constructed."""


class CapacityLimiter(_core.LimiterHandle, SharedObject):
    """Limits how many tasks or threads of all processes do something at once, as `anyio.CapacityLimiter`.

    Parameters: the segment; the name (found or constructed), none for a new anonymous one; `total_tokens`, a
    number or `math.inf`; needed to construct it.  Another number than an existing limiter's raises
    OptionMismatchError.

    A borrower holds one token at a time: the task, the thread through `.blocking`, or any hashable object
    with the `on_behalf_of` forms.  When a process dies, its tokens go to those who wait at once.  A stopped
    process keeps its tokens.  Waiters are served first come first served; a running process may take a token
    ahead of those that have waited for less than 1 ms.  Cancelling leaves no trace.

    Example::

        uploads = CapacityLimiter(segment, "uploads", 8)
        async with uploads:
            ...
        with uploads.blocking:               # the same limiter, in a thread
            ...
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_LIMITER

    def __init__(
        self, segment: "ManagedSegment", name: ObjectName | New = None, total_tokens: float | None = None
    ) -> None:
        if total_tokens is None:
            self._find_or_refuse(
                segment,
                name,
                "a new limiter needs its number of tokens: CapacityLimiter(segment, name, total_tokens)",
            )
            return
        attachment = segment._opening_checked().attachment
        image = _core.limiter_image(attachment, _tokens(total_tokens))
        if not self._attach(segment, name, image) and self.total_tokens != total_tokens:
            raise OptionMismatchError(
                f"the limiter {self.name!r} exists with {self.total_tokens} tokens, not {total_tokens}; "
                "leave the number out, set total_tokens, or destroy the limiter"
            )

    @classmethod
    def _payload_size(cls, segment: "ManagedSegment") -> int:
        return _core.limiter_size(segment._opening_checked().attachment)

    @property
    def total_tokens(self) -> float:
        """Tokens there are; settable.  With more, those who wait go on; with fewer, those on loan stay so."""
        total = self._statistics()[0]
        return math.inf if total is None else total

    @total_tokens.setter
    def total_tokens(self, value: float) -> None:
        total = _tokens(value)
        self._resize(_core.NO_LIMIT if total is None else total)

    @property
    def borrowed_tokens(self) -> int:
        """Tokens that living processes hold now."""
        return self._statistics()[1]

    @property
    def available_tokens(self) -> float:
        """Tokens to be had now; negative when `total_tokens` was set below what is on loan."""
        total, borrowed, *_ = self._statistics()
        return math.inf if total is None else total - borrowed

    def acquire_on_behalf_of(self, borrower: object) -> "Coroutine[Any, Any, None]":
        """`acquire` for another borrower than the running task."""
        return self._acquiring(borrower)

    def acquire_nowait(self) -> None:
        """Borrows a token for the running task if that needs no waiting; raises WouldBlock otherwise."""
        self.acquire_on_behalf_of_nowait(_core.borrower_here(False))

    def acquire_on_behalf_of_nowait(self, borrower: object) -> None:
        """`acquire_nowait` for another borrower than the running task."""
        if not self._take(borrower):
            raise WouldBlock(f"{self!r}: await acquire() to wait for a token")

    def release(self) -> None:
        """Gives the running task's token back; NotOwnerError (a RuntimeError) when it holds none."""
        self._give(_core.borrower_here(False))

    def release_on_behalf_of(self, borrower: object) -> None:
        """`release` for another borrower than the running task."""
        self._give(borrower)

    def statistics(self) -> CapacityLimiterStatistics:
        """The limiter at this moment, as a frozen record."""
        total, borrowed, waiters, contended, by_process = self._statistics()
        return CapacityLimiterStatistics(
            borrowed,
            math.inf if total is None else total,
            self._borrowers(),
            dict(by_process),
            waiters,
            contended,
        )

    @property
    def blocking(self) -> "BlockingCapacityLimiter":
        """The same limiter for threads: `limiter.blocking.acquire(timeout=1.5)`, `with limiter.blocking:`."""
        return BlockingCapacityLimiter(self)

    def __enter__(self) -> NoReturn:
        raise TypeError("use 'async with limiter:' in a coroutine, or 'with limiter.blocking:' in a thread")

    def __exit__(self, *_: object) -> None:
        """There for `with` to reach `__enter__`, which says what to use instead."""

    def _passed_on(self) -> None:
        _waiting.passed_on(self.opening.attachment)

    def _describe(self) -> str:
        record = self.statistics()
        waiters = f", waiters:{record.tasks_waiting}" if record.tasks_waiting else ""
        return f"[{record.borrowed_tokens}/{record.total_tokens} borrowed{waiters}]"


class BlockingCapacityLimiter(_core.BlockingLimiter):
    """A CapacityLimiter for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    __slots__ = ()

    def acquire(self, timeout: float | None = None) -> bool:
        """Borrows a token for this thread; waits up to `timeout` seconds, None for ever.  False: the time was
        over."""
        return self.acquire_on_behalf_of(_core.borrower_here(True), timeout)

    def acquire_on_behalf_of(self, borrower: object, timeout: float | None = None) -> bool:
        """`acquire` for another borrower than this thread."""
        operation: Any = self._limiter._acquiring(borrower)
        return _core.blocked(operation, timeout)

    def release(self) -> None:
        """Gives this thread's token back; NotOwnerError when it holds none."""
        self._limiter._give(_core.borrower_here(True))

    def release_on_behalf_of(self, borrower: object) -> None:
        """`release` for another borrower than this thread."""
        self._limiter._give(borrower)

    def __repr__(self) -> str:
        return f"<blocking view of {self._limiter!r}>"


def _tokens(total: float) -> int | None:
    """The number the segment knows; None: any number."""
    if total == math.inf:
        return None
    if not isinstance(total, int):
        raise TypeError(f"total_tokens must be an int or math.inf, not {total!r}")
    if not 0 <= total < 1 << 32:
        raise ValueError(f"total_tokens must be at least 0, and less than 2**32, not {total!r}")
    return total
