"""A process is killed in the middle of a transfer, while it holds the Lock; the next holder repairs.

`lock.abandoned` tells it that what the lock protects may be half-written; what to do is the program's to say.
"""

import multiprocessing
import os
import signal

from aioipc import Lock, ManagedSharedMemory

ALICE, BOB = 0, 1  # two accounts that always hold 100 together


def killed_half_way(name: str, handle: int) -> None:
    with ManagedSharedMemory.open(name) as segment:
        accounts = memoryview(segment.block(handle)).cast("q")
        with Lock(segment, "accounts").blocking:
            accounts[ALICE] -= 30
            os.kill(os.getpid(), signal.SIGKILL)  # Bob never gets it


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        block = segment.allocate(16)
        lock = Lock(segment, "accounts")
        with memoryview(block) as memory, memory.cast("q") as accounts:
            accounts[ALICE], accounts[BOB] = 100, 0
            process = multiprocessing.Process(target=killed_half_way, args=(name, block.handle))
            process.start()
            process.join()
            with lock.blocking:
                print(f"abandoned: {lock.abandoned}, together {accounts[ALICE] + accounts[BOB]}")
                accounts[ALICE] = 100 - accounts[BOB]  # Bob's side comes last: his is right, hers is not
                print(f"repaired:  together {accounts[ALICE] + accounts[BOB]}")
            with lock.blocking:
                print(f"afterwards abandoned: {lock.abandoned}")


if __name__ == "__main__":
    main()
