"""Programs that share nothing but a name: only one of them runs at a time, also after one was killed.

`named.Lock("...")` needs no segment: all of a user's named primitives live in one, made by whoever is first.
"""

import multiprocessing
import os
import signal

from aioipc import named

NAME = "example: nightly import"


def program(killed: bool) -> None:
    running = named.Lock(NAME)
    if not running.blocking.acquire(timeout=0):
        (found,) = (primitive for primitive in named.all() if primitive.name == NAME)
        print(f"runs already: a {found.type}, held by my parent: {found.holder_pid == os.getppid()}")
        return
    print(f"runs; the one before was killed: {running.abandoned}")
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    running.release()


def start(killed: bool = False) -> None:
    process = multiprocessing.Process(target=program, args=(killed,))
    process.start()
    process.join()


def main() -> None:
    with named.Lock(NAME).blocking:
        start()
    start(killed=True)
    start()
    print(f"removed: {named.remove(NAME)}, still there: {named.exists(NAME)}")


if __name__ == "__main__":
    main()
