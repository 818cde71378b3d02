"""Cancelling something at its n-th suspension, for every n."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any


class Interrupter:
    """Awaits something and calls `cancel` at its n-th suspension."""

    def __init__(self, awaitable: Awaitable[Any], nth: int, cancel: Callable[[], object]) -> None:
        self._awaitable = awaitable
        self._nth = nth
        self._cancel = cancel
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaitable.__await__()
        value: Any = None
        failure: BaseException | None = None
        while True:
            try:
                yielded = inner.send(value) if failure is None else inner.throw(failure)
            except StopIteration as stop:
                return stop.value
            self.suspensions += 1
            if self.suspensions == self._nth:
                self._cancel()
            value = failure = None
            try:
                value = yield yielded
            except BaseException as error:
                failure = error
