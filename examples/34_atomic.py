"""Replacing a set of objects at one moment, also when the process that does it is killed."""

import multiprocessing
import os
import signal

from aioipc import ManagedSharedMemory, SharedDict

PARTS = ("catalog/prices", "catalog/stock")


def publish(segment: ManagedSharedMemory, version: int) -> None:
    for part in PARTS:
        segment.destroy(SharedDict, part)
        SharedDict(segment, part)["version"] = version


def versions(segment: ManagedSharedMemory) -> list[int]:
    return [info.find()["version"] for info in segment.named_objects(prefix="catalog/")]


def child(name: str, version: int, dies: bool) -> None:
    with ManagedSharedMemory.open(name) as segment, segment.atomic():
        publish(segment, version)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        print("inside:", versions(segment))


def run(name: str, version: int, dies: bool) -> None:
    process = multiprocessing.Process(target=child, args=(name, version, dies))
    process.start()
    process.join()


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, index="ordered", lifetime="last_detach") as segment:
        publish(segment, 1)
        run(name, 2, dies=True)
        print("the one that was killed has done nothing:", versions(segment))
        run(name, 3, dies=False)
        print("now:", versions(segment))


if __name__ == "__main__":
    main()
