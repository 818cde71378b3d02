"""The ways of using a queue that must all be the same, and what tests ask of one."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from aioipc import Lease, Queue
from tests.support.faces import in_thread, until


class Awaited:
    """`await queue.get()` in the test's own loop."""

    def __init__(self, queue: Queue[Any]) -> None:
        self.queue = queue

    async def put(self, item: Any) -> None:
        await self.queue.put(item)

    async def get(self) -> Any:
        return await self.queue.get()

    async def put_many(self, items: list[Any]) -> None:
        await self.queue.put_many(items)

    async def get_many(self, most: int) -> list[Any]:
        return await self.queue.get_many(most)

    async def peek(self) -> Any:
        return await self.queue.peek()

    async def join(self) -> None:
        await self.queue.join()

    async def all_items(self) -> list[Any]:
        return [item async for item in self.queue]

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[tuple[Any, Lease[Any]]]:
        lease = self.queue.lease()
        async with lease as item:
            yield item, lease


class Blocking:
    """`queue.blocking.get()`, each in a thread of its own."""

    def __init__(self, queue: Queue[Any]) -> None:
        self.queue = queue

    async def put(self, item: Any) -> None:
        await in_thread(self.queue.blocking.put, item)

    async def get(self) -> Any:
        return await in_thread(self.queue.blocking.get)

    async def put_many(self, items: list[Any]) -> None:
        await in_thread(self.queue.blocking.put_many, items)

    async def get_many(self, most: int) -> list[Any]:
        return await in_thread(self.queue.blocking.get_many, most)

    async def peek(self) -> Any:
        return await in_thread(self.queue.blocking.peek)

    async def join(self) -> None:
        assert await in_thread(self.queue.blocking.join) is True

    async def all_items(self) -> list[Any]:
        return await in_thread(list, self.queue.blocking)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[tuple[Any, Lease[Any]]]:
        lease = self.queue.blocking.lease()
        item = await in_thread(lease.__enter__)
        try:
            yield item, lease
        except BaseException:
            lease.__exit__(*sys.exc_info())
            raise
        lease.__exit__(None, None, None)


Face = Awaited | Blocking


@contextmanager
def failing() -> Iterator[None]:
    """Around a block of several steps that ends with `raise KeyError`."""
    with pytest.raises(KeyError):
        yield


def waiters(queue: Queue[Any]) -> tuple[int, int, int]:
    """How many getters, putters and joiners wait in all processes."""
    statistics = queue.statistics()
    return statistics.getters, statistics.putters, statistics.joiners


async def waiting(queue: Queue[Any], getters: int = 0, putters: int = 0, joiners: int = 0) -> None:
    """Returns when so many stand in the queue's lines."""
    await until(lambda: waiters(queue) == (getters, putters, joiners))


def idle(queue: Queue[Any]) -> bool:
    """Nothing is in it, on lease or unfinished, nobody waits, and it still works."""
    before = queue.statistics()
    queue.put_nowait(b"works")
    works = queue.get_nowait() == b"works"
    queue.task_done()
    after = queue.statistics()
    for statistics in (before, after):
        works &= not (statistics.qsize or statistics.bytes or statistics.leased or statistics.unfinished)
    return works and waiters(queue) == (0, 0, 0)
