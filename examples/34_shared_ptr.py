"""Pages that live as long as any process reads them: one reader is killed, and nothing is left behind."""

import multiprocessing
import os
import signal

from aioipc import ManagedSharedMemory, SharedPtr, Struct, WeakPtr, fixed_str


class Page(Struct):
    text: fixed_str[32]


class Site(Struct):
    current: SharedPtr[Page]


def read(page: SharedPtr[Page], reading: "multiprocessing.SimpleQueue[str]") -> None:
    reading.put(page.target.text)
    signal.pause()  # reads on, until it is killed


def main() -> None:
    context = multiprocessing.get_context("spawn")
    with ManagedSharedMemory.create(f"example-{os.getpid()}", 1 << 20, lifetime="last_detach") as segment:
        site, reading = Site(segment, "site"), context.SimpleQueue()
        site.current = SharedPtr(segment, Page, text="first edition")
        weak = WeakPtr(site.current)
        with site.current as page:
            reader = context.Process(target=read, args=(page, reading))
            reader.start()
            print("a process reads", reading.get())
        site.current = SharedPtr(segment, Page, text="second edition")
        print("the site has the", site.current.target.text)
        print("the first one has", weak.use_count, "owner")
        reader.kill()
        reader.join()
        print("the reader was killed; the first one is gone:", weak.expired)


if __name__ == "__main__":
    main()
