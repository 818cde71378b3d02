"""A segment grows while another process works in it, gives back what it does not need, and is shrunk."""

import multiprocessing
import os
from multiprocessing.connection import Connection

from aioipc import ManagedSharedMemory, SegmentFullError, SharedDict

NAME = f"aioipc-example-grow-{os.getpid()}"
MIB = 1 << 20


def fill(told: Connection) -> None:
    """Puts in what fits, and says when it is full."""
    with ManagedSharedMemory.open(NAME) as segment:
        pages = SharedDict[int, bytes](segment, "pages")
        number = 0
        while number < 20:
            try:
                pages[number] = b"x" * MIB
                number += 1
            except SegmentFullError:
                told.send(number)
                told.recv()  # somebody has made room


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ManagedSharedMemory.create(NAME, 4 * MIB, max_size=64 * MIB) as segment:
        worker = multiprocessing.Process(target=fill, args=(theirs,))
        worker.start()
        theirs.close()
        try:
            while True:
                print(f"full after {ours.recv()} pages of {segment.size // MIB} MiB")
                segment.grow(8 * MIB)
                ours.send("go on")
        except EOFError:
            worker.join()

        pages = SharedDict[int, bytes](segment, "pages")
        print(f"{len(pages)} pages in {segment.size // MIB} MiB")
        pages.clear()
        print(f"trimmed: more than 20 MiB: {segment.trim() > 20 * MIB}, all of it still free: ", end="")
        print(segment.free_memory > 20 * MIB)

    print(f"shrunk to less than 1 MiB: {ManagedSharedMemory.shrink_to_fit(NAME) < MIB}")
    ManagedSharedMemory.remove(NAME)


if __name__ == "__main__":
    main()
