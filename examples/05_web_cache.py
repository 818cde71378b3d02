"""A cache that all workers of a web server share: one of them computes a page, the others wait for it.

Plain ASGI, which uvicorn runs as it stands: SEGMENT=pages uvicorn 05_web_cache:app --workers 4
In FastAPI, `live` is the lifespan function, and `page` is called from a route.
"""

import asyncio
import os
import socket
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

from aioipc import Lock, ManagedSharedMemory, SharedDict


async def page(path):
    if (body := cache.get(path)) is None:  # reading takes no lock
        async with locks[zlib.crc32(path.encode()) % len(locks)]:  # hash() differs between processes
            if (body := cache.get(path)) is None:  # nobody computed it, or somebody was killed over it
                await asyncio.sleep(0.1)  # here is the work
                body = cache[path] = f"{path}, computed by process {os.getpid()}".encode()
    return body


async def live(receive, send):
    global cache, locks
    name = os.environ["SEGMENT"]
    await receive()
    with ManagedSharedMemory.open_or_create(name, 1 << 20, lifetime="last_detach") as segment:
        cache, locks = SharedDict(segment, "pages"), [Lock(segment, f"{n}") for n in range(16)]
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await live(receive, send)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": await page(scope["path"])})


def main(loop="auto"):
    os.environ["SEGMENT"] = f"example-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(12) as clients:
        fd, port = listener.fileno(), listener.getsockname()[1]
        options = f"--fd {fd} --workers 2 --loop {loop} --log-level error 05_web_cache:app".split()
        command = [sys.executable, "-m", "uvicorn", "--app-dir", sys.path[0], *options]
        with subprocess.Popen(command, pass_fds=[fd]) as server:
            urls = [f"http://127.0.0.1:{port}/{n % 3}" for n in range(60)]
            answers = list(clients.map(lambda url: urlopen(url, timeout=60).read(), urls))
            server.terminate()
    print(f"{len(answers)} answers, {len(set(answers))} computations")


if __name__ == "__main__":
    main(*sys.argv[1:])
