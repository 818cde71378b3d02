"""A FileLock is seen by other programs: flock(1) holds it while a task awaits it, and is refused by it.

Behind aioipc's own processes a task waits in the event loop, behind other programs one thread waits for all.
"""

import asyncio
import subprocess
import tempfile
from pathlib import Path

from aioipc import FileLock


def other_program_gets_it(path: Path, *options: str) -> bool:
    return subprocess.run(["flock", "-n", *options, path, "true"]).returncode == 0


def other_program_holds_it(path: Path) -> subprocess.Popen[bytes]:
    other = subprocess.Popen(["flock", path, "sh", "-c", "echo held; read line"], stdin=-1, stdout=-1)
    other.stdout.readline()
    return other


async def main(path: Path) -> None:
    lock = FileLock(path, protocol="flock")  # without it: the locks of fcntl, lockf and Boost
    other = other_program_holds_it(path)
    print(f"flock(1) holds it: {lock.locked()}")

    task = asyncio.create_task(lock.acquire())
    await asyncio.sleep(0.01)
    print(f"a task waits, and the event loop runs on: {not task.done()}")
    other.communicate(b"go\n")
    await task
    print(f"the task has it, and flock(1) gets it: {other_program_gets_it(path)}")
    lock.release()

    async with lock.read(), lock.read():
        print(f"beside two readers flock -s gets it: {other_program_gets_it(path, '-s')}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder, "example.lock")))
