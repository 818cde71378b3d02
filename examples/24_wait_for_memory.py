"""Frames that are made faster than they are used: the maker waits for memory; a user of frames is killed."""

import asyncio
import multiprocessing
import os

from aioipc import Event, ManagedSharedMemory, Queue

FRAME, FRAMES = 1 << 18, 12


async def make(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        frames = Queue(segment, "frames")
        for number in range(FRAMES):
            block = await segment.allocate_when_free(FRAME)  # there is room for three
            memoryview(block)[0] = number
            await frames.put(block.handle)


def maker(name: str) -> None:
    asyncio.run(make(name))


def hoarder(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        block = segment.blocking.allocate_when_free(2 * FRAME, owned=True)
        Event(segment, "hoards").set()
        memoryview(block)[0] = 1
        Event(segment, "never").blocking.wait()


async def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 3 * FRAME + (1 << 18), lifetime="last_detach") as segment:
        frames, hoards = Queue(segment, "frames"), Event(segment, "hoards")
        keeper = multiprocessing.Process(target=hoarder, args=(name,))
        keeper.start()
        await hoards.wait()
        process = multiprocessing.Process(target=maker, args=(name,))
        process.start()
        seen = []
        for number in range(FRAMES):
            if number == 1:
                while not segment.waiting_for_memory:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                keeper.kill()  # what it owned comes back, and ends the wait
            block = segment.block(await frames.get())
            seen.append(memoryview(block)[0])
            segment.deallocate(block)
        keeper.join()
        process.join()
        print(f"{len(seen)} frames of {FRAME >> 10} KiB through {segment.size >> 10} KiB")
        assert seen == list(range(FRAMES))


if __name__ == "__main__":
    asyncio.run(main())
