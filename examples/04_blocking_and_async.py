"""One Lock, three ways to wait for it: a thread that blocks, an asyncio task, a trio task.

The three pass it on in a fixed order here, so that each has really waited for the one before it.
"""

import asyncio
import os
import threading

import trio

from aioipc import Lock, ManagedSharedMemory


def thread(lock: Lock, said: list[str]) -> None:
    with lock.blocking:  # blocks this thread, with the GIL released; `async with lock` would not
        said.append("a thread held it")


async def task(lock: Lock, said: list[str], who: str) -> None:
    async with lock:
        said.append(f"{who} held it")


def main() -> None:
    name = f"example-{os.getpid()}"
    said: list[str] = []
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        lock = Lock(segment, "shared")
        lock.acquire_nowait()  # never waits; WouldBlock when it is taken
        waiting = [
            threading.Thread(target=thread, args=(lock, said)),
            threading.Thread(target=lambda: asyncio.run(task(lock, said, "an asyncio task"))),
            threading.Thread(target=lambda: trio.run(task, lock, said, "a trio task")),
        ]
        for number, waiter in enumerate(waiting, 1):
            waiter.start()
            while lock.statistics().waiters < number:
                os.sched_yield()
        lock.release()
        for waiter in waiting:
            waiter.join()
        print("\n".join(said))


if __name__ == "__main__":
    main()
