"""A zip archive in shared memory: one process writes it, another reads it."""

import csv
import io
import multiprocessing
import os
import zipfile

from aioipc import ManagedSharedMemory, VectorIO


def child(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment, zipfile.ZipFile(VectorIO(segment, "archive")) as archive:
        print("the child reads", archive.namelist())
        print(*csv.reader(io.TextIOWrapper(archive.open("report.csv"))))


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        with zipfile.ZipFile(VectorIO(segment, "archive"), "w") as archive:
            text = io.StringIO()
            csv.writer(text).writerows([["who", "count"], ["Ann", 3]])
            archive.writestr("report.csv", text.getvalue())
        process = multiprocessing.Process(target=child, args=(name,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
