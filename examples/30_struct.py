"""A record that two processes read and write in place, with a counter that loses nothing."""

import multiprocessing
import os

from aioipc import AtomicInt64, ManagedSharedMemory, Struct, float64, uint32


class Tick(Struct):
    price: float64
    volume: uint32
    bids: float64[4]
    readers: AtomicInt64


def reader(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        tick = Tick(segment, "EURUSD")
        tick.readers.add()
        print("the child reads", tick.price, tick.volume, tick.bids[1])


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        tick = Tick(segment, "EURUSD", price=1.08, volume=100)
        tick.volume += 50
        tick.bids[1] = 1.0799
        process = multiprocessing.Process(target=reader, args=(name,))
        process.start()
        process.join()
        print("readers:", tick.readers.load())


if __name__ == "__main__":
    main()
