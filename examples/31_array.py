"""Numbers that a child process fills in with numpy, and the parent reads."""

import multiprocessing
import os

import numpy

from aioipc import Array, ManagedSharedMemory


def child(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        squares = numpy.asarray(Array(segment, "squares"))  # its dtype and shape are known
        squares[:] = numpy.arange(12).reshape(4, 3) ** 2
        del squares  # or the segment could not be closed


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        squares = Array(segment, "squares", "i8", (4, 3))
        process = multiprocessing.Process(target=child, args=(name,))
        process.start()
        process.join()
        print(squares[3].tolist(), squares[3, 2])


if __name__ == "__main__":
    main()
