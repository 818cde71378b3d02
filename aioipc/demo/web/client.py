"""The client: keep-alive connections that ask for pages, mostly for the newest one."""

import asyncio
import hashlib
import random
import time
from collections import Counter, defaultdict

__all__ = ["Client"]

_CONNECTIONS = 32
_RENEWED_AFTER = 20  # requests; else one worker that was quick to accept would serve them all to the end
_SEED = 7


class Client:
    """Asks `requests` times, and notes what it gets.

    Pages come out one after the other, evenly over the run; every second request is for the newest one, so
    each time many connections ask at once for a page that nobody has computed.  A request whose connection
    breaks is sent again over another one.
    """

    def __init__(self, port: int, pages: int, requests: int) -> None:
        self._port, self._pages, self.requests = port, pages, requests
        self._asked = 0
        self._newest = -1
        self._started: float | None = None
        self._random = random.Random(_SEED)
        self.broken = 0
        """Connections that broke before the answer was there."""
        self.how: Counter[str] = Counter()
        """Answers, by how the worker came by the page; "failed" are those that are no page."""
        self.by_worker: Counter[int] = Counter()
        """Answers, by the worker's pid."""
        self.computed_by: Counter[int] = Counter()
        """Answers that the worker had computed itself, by its pid."""
        self.seen: dict[int, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        """Page: each version of it that was seen (sha256): the workers it came from."""

    @property
    def answers(self) -> int:
        """How many answers there are so far."""
        return self.how.total()

    @property
    def seconds(self) -> float:
        """Since it began to ask."""
        return 0.0 if self._started is None else time.monotonic() - self._started

    async def run(self) -> None:
        """Ask until every request is answered."""
        self._started = time.monotonic()
        async with asyncio.TaskGroup() as connections:
            for _ in range(_CONNECTIONS):
                connections.create_task(self._ask_on())

    async def _ask_on(self) -> None:
        connection = _Connection(self._port)
        while self._asked < self.requests:
            connection.renew()
            page = self._choose()
            self._asked += 1
            while (answer := await connection.get(page)) is None:
                self.broken += 1
            self._note(page, *answer)
        connection.close()

    def _choose(self) -> int:
        newest = self._asked * self._pages // self.requests
        if newest > self._newest or self._random.random() < 0.5:
            self._newest = newest
            return newest
        return self._random.randint(0, newest)

    def _note(self, page: int, headers: dict[bytes, bytes], body: bytes) -> None:
        how = headers[b"x-cache"].decode()
        self.how[how] += 1
        if how == "failed":
            return
        worker = int(headers[b"x-worker"])
        self.by_worker[worker] += 1
        if how == "computed":
            self.computed_by[worker] += 1
        self.seen[page][hashlib.sha256(body).hexdigest()].add(worker)


class _Connection:
    """One keep-alive connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0

    def renew(self) -> None:
        """Be a new one when it is old."""
        if self._used >= _RENEWED_AFTER:
            self.close()

    async def get(self, page: int) -> tuple[dict[bytes, bytes], bytes] | None:
        """Headers and body; None when the connection broke, or the server broke off."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                self._used = 0
            self._used += 1
            reader, writer = self._streams
            writer.write(b"GET /%d HTTP/1.1\r\nhost: demo\r\n\r\n" % page)
            status, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
            headers = dict(line.lower().split(b": ", 1) for line in lines)
            body = await reader.readexactly(int(headers[b"content-length"]))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return None
        if status.split()[1] != b"200":
            headers[b"x-cache"] = b"failed"
        return headers, body

    def close(self) -> None:
        """Close it, if it is open."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
