"""Atomic blocks: both ways into one, and how others see what is done there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aioipc import ManagedSegment
from tests.support.faces import in_thread

Work = Callable[[], Any]


class Awaited:
    """In the test's own loop."""

    async def inside(self, segment: ManagedSegment, work: Work) -> Any:
        async with segment.atomic():
            return work()


class Blocking:
    """In a thread of its own."""

    async def inside(self, segment: ManagedSegment, work: Work) -> Any:
        def call() -> Any:
            with segment.atomic():
                return work()

        return await in_thread(call)


class Enough(Exception):
    """Ends a block."""


@contextmanager
def enough() -> Iterator[None]:
    """The block in it raises Enough, and does not keep that to itself."""
    ended = False
    try:
        yield
    except Enough:
        ended = True
    assert ended


def names(segment: ManagedSegment) -> list[str | None]:
    return [info.name for info in segment.named_objects()]


def elsewhere(call: Work) -> Any:
    """What it gives, or the type of what it raises, in a thread that is in no block."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:
            outcome.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return outcome[0]
