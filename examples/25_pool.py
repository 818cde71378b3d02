"""Records in an owned pool, read in place by another process; what a killed process had comes back."""

import multiprocessing
import os
import struct

from aioipc import Event, ManagedSharedMemory, Pool, Queue

RECORD = struct.Struct("<qd")
COUNT = 1000


def write(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        records, ready = Pool(segment, "records", cached=True), Queue(segment, "ready")
        for number in range(COUNT):
            block = records.allocate()
            RECORD.pack_into(block, 0, number, number / 2)
            ready.blocking.put(block.handle)
        Event(segment, "done").blocking.wait()  # what it wrote is its own, and goes with it


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        records = Pool(segment, "records", RECORD.size, owned=True)
        ready = Queue(segment, "ready")
        writer = multiprocessing.Process(target=write, args=(name,))
        writer.start()
        total = 0.0
        for _ in range(COUNT // 2):
            block = records.block(ready.blocking.get())
            total += RECORD.unpack_from(block)[1]
            records.deallocate(block)
        while ready.qsize() < COUNT // 2:
            pass
        writer.kill()
        writer.join()
        print(f"read {COUNT // 2} of {COUNT}, together {total}")
        print(f"sound: {bool(segment.check_sanity())}, still used: {records.statistics().used}")


if __name__ == "__main__":
    main()
