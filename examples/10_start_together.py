"""Four processes prepare the tables once, start together, and choose who leads; the leader is killed."""

import asyncio
import multiprocessing
import os
import signal

from aioipc import Barrier, Leader, ManagedSharedMemory, Once, SharedDict

WORKERS = 4


async def work(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        notes = SharedDict(segment, "notes")
        async with Once(segment, "tables") as first:
            if first:
                notes.update_with("prepared", lambda n: (n or 0) + 1)
        await Barrier(segment, "start", WORKERS).wait()
        async with Leader(segment, "boss") as term:
            notes[f"term {term}"] = os.getpid()
            if term == 1:
                os.kill(os.getpid(), signal.SIGKILL)


def worker(name: str) -> None:
    asyncio.run(work(name))


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        processes = [multiprocessing.Process(target=worker, args=(name,)) for _ in range(WORKERS)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        notes = SharedDict(segment, "notes")
        terms = [key for key in notes if key.startswith("term")]
        leaders = {notes[term] for term in terms}
        print(f"prepared {notes['prepared']} time, {len(terms)} led: {len(leaders)} processes")


if __name__ == "__main__":
    main()
