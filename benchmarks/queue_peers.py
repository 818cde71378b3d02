"""What bench_queue.py compares: each peer is a context manager that gives (put, get) inside a worker.

`put(item)` and `get()` block or are awaited, as the table below says; the `put` of a peer for batches takes
a list, and its `get(n)` gives one.  Peers that carry only bytes get the dict as msgpack.  Every queue is
bounded to BOUND items, posix_ipc's to what the system allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgpack
import posix_ipc
from compare import installed
from redis_server import RedisServer
from team import FORK

from aioipc import ManagedSharedMemory, Queue

BOUND, BATCH = 1000, 100
KINDS: dict[str, Any] = {
    "64 B": b"x" * 64,
    "1 KiB": b"x" * 1024,
    "64 KiB": b"x" * 65536,
    "dict": {"id": 7, "user": "ann@example.org", "amount": 12.5, "tags": ["new", "paid"]},
}
FIFO_BYTES = {"64 B": 1 << 20, "1 KiB": 2 << 20, "64 KiB": 68 << 20, "dict": 1 << 20}


class Inherited:
    """What the workers of one team share."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.segment = f"bench-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with ManagedSharedMemory.create(self.segment, 256 << 20) as segment:
            Queue(segment, "raw", BOUND, codec="raw")
            Queue(segment, "msgpack", BOUND)
        self.queue = FORK.Queue(BOUND)
        self.sockets = socket.socketpair()
        self.fifos: dict[str, Any] = {}
        with contextlib.suppress(ImportError):
            import faster_fifo

            self.fifos = {kind: faster_fifo.Queue(size) for kind, size in FIFO_BYTES.items()}
        self.messages = f"/bench-{os.getpid()}"
        _message_queue(self.messages)
        self.redis = RedisServer.start()

    def close(self) -> None:
        ManagedSharedMemory.remove(self.segment)
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_message_queue(self.messages)
        if self.redis is not None:
            self.redis.close()
        for end in self.sockets:
            end.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def _message_queue(name: str) -> None:
    for most in (BOUND // 10, 10):  # 10 is what the system allows everybody
        with contextlib.suppress(ValueError, OSError):
            return posix_ipc.MessageQueue(
                name, posix_ipc.O_CREX, max_messages=most, max_message_size=8192
            ).close()


def _codec(kind: str, put: Any, get: Any) -> tuple[Any, Any]:
    """Items that are no bytes go through msgpack."""
    if kind != "dict":
        return put, get
    return lambda item: put(msgpack.packb(item)), lambda: msgpack.unpackb(get())


def _async_codec(kind: str, put: Any, get: Any) -> tuple[Any, Any]:
    if kind != "dict":
        return put, get

    async def unpacked() -> Any:
        return msgpack.unpackb(await get())

    return lambda item: put(msgpack.packb(item)), unpacked


# ---- peers that block ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _aioipc_queue(shared: Inherited, kind: str) -> Iterator[Any]:
    with ManagedSharedMemory.open(shared.segment) as segment:
        yield Queue(segment, "msgpack" if kind == "dict" else "raw")


@contextlib.contextmanager
def aioipc_blocking(shared: Inherited, kind: str, role: int) -> Iterator[tuple[Any, Any]]:
    with _aioipc_queue(shared, kind) as queue:
        yield queue.blocking.put, queue.blocking.get


@contextlib.contextmanager
def multiprocessing_queue(shared: Inherited, kind: str, role: int) -> Iterator[tuple[Any, Any]]:
    yield shared.queue.put, shared.queue.get


@contextlib.contextmanager
def faster_fifo_many(shared: Inherited, kind: str, role: int) -> Iterator[tuple[Any, Any]]:
    queue = shared.fifos[kind]
    yield (
        lambda items: queue.put_many(items, timeout=10),
        lambda most: queue.get_many(timeout=10, max_messages_to_get=most),
    )


@contextlib.contextmanager
def posix_ipc_queue(shared: Inherited, kind: str, role: int) -> Iterator[tuple[Any, Any]]:
    queue = posix_ipc.MessageQueue(shared.messages)
    yield _codec(kind, queue.send, lambda: queue.receive()[0])
    queue.close()


@contextlib.contextmanager
def _zmq_socket(module: Any, shared: Inherited, role: int) -> Iterator[Any]:
    import zmq

    context = module.Context()
    end = context.socket((zmq.PUSH, zmq.PULL)[role])
    end.hwm = BOUND
    address = f"ipc://{shared.directory}/{module.__name__}"
    if role == 1:
        end.bind(address)
    else:
        end.connect(address)
    yield end
    end.close(linger=-1)
    context.term()


@contextlib.contextmanager
def pyzmq_sync(shared: Inherited, kind: str, role: int) -> Iterator[tuple[Any, Any]]:
    import zmq

    with _zmq_socket(zmq, shared, role) as end:
        yield _codec(kind, end.send, end.recv)


# ---- peers that are awaited ------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def aioipc_awaited(shared: Inherited, kind: str, role: int) -> AsyncIterator[tuple[Any, Any]]:
    with _aioipc_queue(shared, kind) as queue:
        yield queue.put, queue.get


@contextlib.asynccontextmanager
async def aioipc_many(shared: Inherited, kind: str, role: int) -> AsyncIterator[tuple[Any, Any]]:
    with _aioipc_queue(shared, kind) as queue:
        yield queue.put_many, queue.get_many


@contextlib.asynccontextmanager
async def aioipc_lease(shared: Inherited, kind: str, role: int) -> AsyncIterator[tuple[Any, Any]]:
    with _aioipc_queue(shared, kind) as queue:

        async def get() -> None:
            async with queue.lease():
                pass

        yield queue.put, get


@contextlib.asynccontextmanager
async def multiprocessing_in_thread(
    shared: Inherited, kind: str, role: int
) -> AsyncIterator[tuple[Any, Any]]:
    queue = shared.queue
    yield lambda item: asyncio.to_thread(queue.put, item), lambda: asyncio.to_thread(queue.get)


@contextlib.asynccontextmanager
async def pyzmq_asyncio(shared: Inherited, kind: str, role: int) -> AsyncIterator[tuple[Any, Any]]:
    import zmq.asyncio

    with _zmq_socket(zmq.asyncio, shared, role) as end:
        yield _async_codec(kind, end.send, end.recv)


@contextlib.asynccontextmanager
async def asyncio_stream(shared: Inherited, kind: str, role: int) -> AsyncIterator[tuple[Any, Any]]:
    reader, writer = await asyncio.open_unix_connection(sock=shared.sockets[role].dup(), limit=1 << 20)
    header = struct.Struct("<I")

    async def put(item: bytes) -> None:
        writer.write(header.pack(len(item)) + item)
        await writer.drain()

    async def get() -> bytes:
        (size,) = header.unpack(await reader.readexactly(4))
        return await reader.readexactly(size)

    yield _async_codec(kind, put, get)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@contextlib.asynccontextmanager
async def redis_asyncio(shared: Inherited, kind: str, role: int) -> AsyncIterator[tuple[Any, Any]]:
    client = shared.redis.asyncio_client()

    async def get() -> bytes:
        return (await client.blpop("queue"))[1]  # type: ignore[no-any-return]

    yield _async_codec(kind, lambda item: client.rpush("queue", item), get)
    await client.aclose()


# name: (peer, how it is run, the module it needs, whether its put and get take lists, what it cannot do)
PEERS: dict[str, tuple[Any, str, str, bool, str]] = {
    "aioipc, asyncio, put/get": (aioipc_awaited, "asyncio", "aioipc", False, ""),
    "aioipc, uvloop, put/get": (aioipc_awaited, "uvloop", "uvloop", False, ""),
    "aioipc, asyncio, put_many/get_many": (aioipc_many, "asyncio", "aioipc", True, ""),
    "aioipc, asyncio, put/lease": (aioipc_lease, "asyncio", "aioipc", False, ""),
    "aioipc.blocking, put/get": (aioipc_blocking, "", "aioipc", False, ""),
    "multiprocessing.Queue": (multiprocessing_queue, "", "multiprocessing", False, ""),
    "multiprocessing.Queue + to_thread": (multiprocessing_in_thread, "asyncio", "multiprocessing", False, ""),
    "faster-fifo put/get_many": (faster_fifo_many, "", "faster_fifo", True, ""),
    "pyzmq, sync": (pyzmq_sync, "", "zmq", False, "many"),
    "pyzmq, asyncio": (pyzmq_asyncio, "asyncio", "zmq", False, "many"),
    "posix_ipc.MessageQueue": (posix_ipc_queue, "", "posix_ipc", False, "64 KiB"),
    "asyncio stream, unix socket": (asyncio_stream, "asyncio", "asyncio", False, "many"),
    "redis.asyncio, unix socket": (redis_asyncio, "asyncio", "redis", False, ""),
}


def available(redis: RedisServer | None) -> dict[str, tuple[Any, str, str, bool, str]]:
    """Those that are installed; says which are not."""
    found = {module: installed(module) for module in dict.fromkeys(peer[2] for peer in PEERS.values())}
    if found["redis"] and redis is None:
        print("  skipped: no redis-server on the PATH")
        found["redis"] = False
    return {name: peer for name, peer in PEERS.items() if found[peer[2]]}
