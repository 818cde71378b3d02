"""A producer, a bounded Queue, three consumers; one is killed while it has a job, which another does.

A lease is a loan: the item is done when the block ends, and back in front of the queue when its process dies.
So an item may be delivered twice; its effect is the same, because the result stands under the job's own key.
"""

import multiprocessing
import os
import signal
import sys

import anyio

from aioipc import ManagedSharedMemory, Queue, QueueShutDown, SharedDict

LOOPS = {"asyncio": {}, "uvloop": {"backend_options": {"use_uvloop": True}}, "trio": {"backend": "trio"}}
JOBS, CONSUMERS, DEADLY = 500, 3, 123


async def consume(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        jobs: Queue[int] = Queue(segment, "jobs")
        results: SharedDict[int, list[int]] = SharedDict(segment, "results")
        while True:
            lease = jobs.lease()
            try:
                async with lease as job:
                    if job == DEADLY and lease.deliveries == 1:
                        os.kill(os.getpid(), signal.SIGKILL)
                    results[job] = [job * job, lease.deliveries]
            except QueueShutDown:  # and empty
                return


def consumer(name: str, loop: str) -> None:
    anyio.run(consume, name, **LOOPS[loop])


def main(loop: str = "asyncio") -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        jobs: Queue[int] = Queue(segment, "jobs", maxsize=10)
        results: SharedDict[int, list[int]] = SharedDict(segment, "results")
        processes = [multiprocessing.Process(target=consumer, args=(name, loop)) for _ in range(CONSUMERS)]
        for process in processes:
            process.start()
        for job in range(JOBS):
            jobs.blocking.put(job)  # waits while there are ten in the queue
        jobs.blocking.join()  # until every job was dealt with
        jobs.shutdown()
        for process in processes:
            process.join()
        squares = {job: square for job, (square, _) in results.items()}
        print("killed:", sum(process.exitcode == -signal.SIGKILL for process in processes))
        print("results right:", squares == {job: job * job for job in range(JOBS)})
        print("delivered twice:", [job for job, (_, deliveries) in results.items() if deliveries > 1])


if __name__ == "__main__":
    main(*sys.argv[1:])
