"""A segment without a name: a child gets it through an inherited descriptor, or as an argument."""

import multiprocessing
import subprocess
import sys

from aioipc import ManagedAnonymousMemory, Queue, SharedDict


def count(squares: Queue, numbers: range) -> None:
    for n in numbers:
        squares.blocking.put(n * n)


def greet(fd: int) -> None:
    with ManagedAnonymousMemory.from_fd(fd) as segment:
        SharedDict(segment, "words")["greeting"] = "hello"


def main() -> None:
    with ManagedAnonymousMemory.create(1 << 20) as segment:
        fd = segment.fileno()
        subprocess.run([sys.executable, __file__, str(fd)], pass_fds=[fd], check=True)
        print("inherited:", SharedDict(segment, "words").copy())

        squares = Queue(segment, "squares")
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=count, args=(squares, range(5)))
        process.start()
        print("argument: ", [squares.blocking.get() for _ in range(5)])
        process.join()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        greet(int(sys.argv[1]))
    else:
        main()
