"""The producer: every file into the queue, waiting for room; then it shuts the queue down."""

import asyncio

from aioipc import ManagedSharedMemory

from ..counting import python_files
from ..ending import end_with_the_demo
from .belt import Belt

__all__ = ["produce"]


def produce(name: str, files: int | None) -> None:
    """The whole life of the producer."""
    end_with_the_demo()
    asyncio.run(_produce(name, files))


async def _produce(name: str, files: int | None) -> None:
    with ManagedSharedMemory.open(name) as segment:
        queue = Belt(segment).files
        for path in python_files(files):
            await queue.put(path)
        queue.shutdown()
