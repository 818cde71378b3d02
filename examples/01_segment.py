"""A segment of shared memory, a block in it, and its handle in another process.

A handle is a plain number that means the same block in every process, wherever the segment is mapped.
"""

import multiprocessing
import os

from aioipc import ManagedSharedMemory


def child(name: str, handle: int) -> None:
    with ManagedSharedMemory.open(name) as segment, memoryview(segment.block(handle)) as text:
        print("the child reads ", bytes(text[:5]))
        text[:5] = b"HELLO"


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        block = segment.allocate(64)
        with memoryview(block) as text:
            text[:5] = b"hello"
            process = multiprocessing.Process(target=child, args=(name, block.handle))
            process.start()
            process.join()
            print("the parent reads", bytes(text[:5]))
        segment.deallocate(block)
        print("sound:", bool(segment.check_sanity()))
    print("gone:", not ManagedSharedMemory.exists(name))  # last_detach: its last user has closed it


if __name__ == "__main__":
    main()
