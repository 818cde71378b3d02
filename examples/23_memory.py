"""Raw memory: blocks that another process finds by their handles, many at once, larger later, then gone."""

import multiprocessing
import struct

from aioipc import ManagedAnonymousMemory


def fill(segment: ManagedAnonymousMemory, handles: list[int]) -> None:
    """In a child process: a number into each block; one block of its own, which goes with it."""
    with segment:
        for i, handle in enumerate(handles):
            with memoryview(segment.block(handle)) as view:
                struct.pack_into("q", view, 0, i * i)
        segment.allocate(100_000, owned=True)


def main() -> None:
    with ManagedAnonymousMemory.create(1 << 20, algorithm="tlsf") as segment:
        blocks = segment.allocate_many(64, 5)  # all of them or none
        spawn = multiprocessing.get_context("spawn")
        child = spawn.Process(target=fill, args=(segment, [block.handle for block in blocks]))
        child.start()
        child.join()
        print("found:    ", [struct.unpack_from("q", block)[0] for block in blocks])

        last = blocks.pop()
        larger = segment.resize(last, 4096)  # where it is, as there is room behind it
        (number,) = struct.unpack_from("q", larger)
        print("larger:   ", larger.size >= 4096, larger.handle == last.handle, number)

        segment.deallocate_many([*blocks, larger])
        segment.zero_free_memory()  # nobody reads what was in them
        print("all freed:", segment.all_memory_deallocated(), "by", segment.algorithm)


if __name__ == "__main__":
    main()
