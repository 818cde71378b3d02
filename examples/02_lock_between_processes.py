"""Four processes add to one counter under one Lock: no addition is lost.

`async with lock` waits in the event loop; nothing polls, and no broker or helper thread is needed.
"""

import asyncio
import multiprocessing
import os

from aioipc import Lock, ManagedSharedMemory

PROCESSES, ADDITIONS = 4, 2_000


async def add(name: str, handle: int) -> None:
    with ManagedSharedMemory.open(name) as segment:
        lock = Lock(segment, "counter")  # finds the lock of this name, or makes it
        with memoryview(segment.block(handle)) as memory, memory.cast("Q") as counter:
            for _ in range(ADDITIONS):
                async with lock:
                    counter[0] += 1


def worker(name: str, handle: int) -> None:
    asyncio.run(add(name, handle))


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        counter = segment.allocate(8)
        where = (name, counter.handle)
        processes = [multiprocessing.Process(target=worker, args=where) for _ in range(PROCESSES)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        total = int.from_bytes(counter, "little")
        print(f"{PROCESSES} processes, {ADDITIONS} additions each: {total}")


if __name__ == "__main__":
    main()
