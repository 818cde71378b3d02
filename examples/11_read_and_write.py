"""Readers in one process, a writer in another: nobody ever sees two halves of different age."""

import asyncio
import multiprocessing
import os

from aioipc import ManagedSharedMemory, RWLock

ROUNDS = 200


def write(name: str, handle: int) -> None:
    with ManagedSharedMemory.open(name) as segment, memoryview(segment.block(handle)) as memory:
        lock = RWLock(segment, "pair")
        with memory.cast("q") as pair:
            for number in range(1, ROUNDS + 1):
                with lock.blocking.write():
                    pair[0] = number
                    pair[1] = number


async def read(lock: RWLock, pair: memoryview) -> int:
    torn = 0
    while pair[0] < ROUNDS:
        async with lock.read():
            torn += pair[0] != pair[1]
        await asyncio.sleep(0)
    return torn


async def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        block, lock = segment.allocate(16), RWLock(segment, "pair")
        with memoryview(block) as memory, memory.cast("q") as pair:
            writer = multiprocessing.Process(target=write, args=(name, block.handle))
            writer.start()
            torn = sum(await asyncio.gather(*(read(lock, pair) for _ in range(3))))
            writer.join()
            print(f"{ROUNDS} writes, {torn} torn reads")


if __name__ == "__main__":
    asyncio.run(main())
