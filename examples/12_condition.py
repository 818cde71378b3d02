"""A stock that one process fills and others empty; a consumer is killed while it waits."""

import asyncio
import multiprocessing
import os
import time

from aioipc import CapacityLimiter, Condition, ManagedSharedMemory, SharedDict

CONSUMERS, GOODS = 3, 30


async def consume(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        filled, stock = Condition(segment, "filled"), SharedDict(segment, "stock")
        checkout = CapacityLimiter(segment, "checkout")
        while True:
            async with filled:
                await filled.wait_for(lambda: stock["there"] > 0 or stock["closed"])
                if stock["there"] == 0:
                    return
                stock["there"] -= 1
            async with checkout:  # two at a time, whoever dies
                stock.update_with("sold", lambda n: n + 1)


def consumer(name: str) -> None:
    asyncio.run(consume(name))


async def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        stock, filled = SharedDict(segment, "stock"), Condition(segment, "filled")
        CapacityLimiter(segment, "checkout", 2)
        stock.update({"there": 0, "sold": 0, "closed": False})
        consumers = [multiprocessing.Process(target=consumer, args=(name,)) for _ in range(CONSUMERS)]
        for process in consumers:
            process.start()
        while filled.statistics().waiters < CONSUMERS:
            time.sleep(0.01)  # noqa: ASYNC251 - nothing else to do
        consumers[0].kill()  # the first in line: its notification goes to the next
        for _ in range(GOODS):
            async with filled:
                stock["there"] += 1
                filled.notify()
        async with filled:
            stock["closed"] = True
            filled.notify_all()
        for process in consumers:
            process.join()
        print(f"sold {stock['sold']} of {GOODS}")


if __name__ == "__main__":
    asyncio.run(main())
