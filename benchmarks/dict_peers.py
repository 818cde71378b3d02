"""What bench_dict.py compares: each peer is opened in a worker by `open_<peer>(shared, size)`.

It has `get_all(keys)` and `set_all(keys, value)`: the loops are part of the peer, so that none pays for calls
that its user would not make.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from compare import installed
from redis_server import RedisServer
from team import FORK

from aioipc import ManagedSharedMemory, SharedDict

KEYS = 10_000
SIZES = {"100 B": 100, "10 KiB": 10 << 10}
BATCH = 100


class Mapping:
    """What reads and writes like a dict."""

    def __init__(self, mapping: Any) -> None:
        self._mapping = mapping

    def get_all(self, keys: Iterable[str]) -> None:
        mapping = self._mapping
        for key in keys:
            mapping[key]

    def set_all(self, keys: Iterable[str], value: bytes) -> None:
        mapping = self._mapping
        for key in keys:
            mapping[key] = value


class Redis:
    """One command after the other, awaited."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self._server, self._prefix = server, prefix

    def get_all(self, keys: Iterable[str]) -> None:
        async def main() -> None:
            async with self._server.asyncio_client() as client:
                for key in keys:
                    await client.get(self._prefix + key)

        asyncio.run(main())

    def set_all(self, keys: Iterable[str], value: bytes) -> None:
        async def main() -> None:
            async with self._server.asyncio_client() as client:
                for key in keys:
                    await client.set(self._prefix + key, value)

        asyncio.run(main())


class Lmdb:
    """Transactions of `batch` operations."""

    def __init__(self, environment: Any, batch: int) -> None:
        self._environment, self._batch = environment, batch

    def get_all(self, keys: Iterable[str]) -> None:
        keys = iter(keys)
        while chunk := list(islice(keys, self._batch)):
            with self._environment.begin() as transaction:
                get = transaction.get
                for key in chunk:
                    get(key.encode())

    def set_all(self, keys: Iterable[str], value: bytes) -> None:
        keys = iter(keys)
        while chunk := list(islice(keys, self._batch)):
            with self._environment.begin(write=True) as transaction:
                put = transaction.put
                for key in chunk:
                    put(key.encode(), value)


class Inherited:
    """What the workers share: every peer filled with KEYS values of either size."""

    def __init__(self, peers: list[str]) -> None:
        self.directory = tempfile.mkdtemp(dir="/dev/shm")
        self.name = f"bench-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.dicts: dict[int, Any] = {}
        self.ultra: list[Any] = []
        self.manager = FORK.Manager()
        self.managed = {size: self.manager.dict() for size in SIZES.values()}
        self.redis = RedisServer.start()
        ManagedSharedMemory.create(self.name, 1 << 30).close()
        keys = [key_of(number) for number in range(KEYS)]
        for size in SIZES.values():
            self.dicts[size] = {}
            if "UltraDict2" in peers:
                from UltraDict2 import UltraDict

                options = {"buffer_size": 2000 * size + (4 << 20), "shared_lock": True, "auto_unlink": True}
                self.ultra.append(UltraDict(name=f"{self.name}-{size}", create=True, **options))
            for peer in peers:
                with PEERS[peer][0](self, size) as opened:
                    opened.set_all(keys, b"v" * size)

    def close(self) -> None:
        ManagedSharedMemory.remove(self.name)
        self.manager.shutdown()
        for ultra in self.ultra:
            ultra.unlink()
        if self.redis is not None:
            self.redis.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def key_of(number: int) -> str:
    return f"user:{number:08}"


@contextlib.contextmanager
def open_dict(shared: Inherited, size: int) -> Iterator[Mapping]:
    yield Mapping(shared.dicts[size])


@contextlib.contextmanager
def open_aioipc(shared: Inherited, size: int) -> Iterator[Mapping]:
    with ManagedSharedMemory.open(shared.name) as segment:
        yield Mapping(SharedDict(segment, f"values-{size}"))


@contextlib.contextmanager
def open_lmdb(shared: Inherited, size: int, batch: int = 1) -> Iterator[Lmdb]:
    import lmdb

    path = f"{shared.directory}/lmdb-{size}-{batch}"
    options = {"map_size": 1 << 30, "sync": False, "metasync": False, "writemap": True}
    with lmdb.open(path, **options) as environment:
        yield Lmdb(environment, batch)


def open_lmdb_batched(shared: Inherited, size: int) -> Any:
    return open_lmdb(shared, size, BATCH)


@contextlib.contextmanager
def open_ultradict(shared: Inherited, size: int) -> Iterator[Mapping]:
    from UltraDict2 import UltraDict

    ultra = UltraDict(name=f"{shared.name}-{size}", create=False, shared_lock=True, auto_unlink=False)
    yield Mapping(ultra)
    ultra.close()


@contextlib.contextmanager
def open_diskcache(shared: Inherited, size: int) -> Iterator[Mapping]:
    import diskcache

    with diskcache.Cache(f"{shared.directory}/diskcache-{size}") as cache:
        yield Mapping(cache)


@contextlib.contextmanager
def open_manager(shared: Inherited, size: int) -> Iterator[Mapping]:
    yield Mapping(shared.managed[size])


@contextlib.contextmanager
def open_redis(shared: Inherited, size: int) -> Iterator[Redis]:
    yield Redis(shared.redis, f"{size}:")


# name: (opener, module it needs)
PEERS: dict[str, tuple[Any, str]] = {
    "aioipc.SharedDict": (open_aioipc, "aioipc"),
    "dict (one process)": (open_dict, "builtins"),
    "UltraDict2": (open_ultradict, "UltraDict2"),
    f"lmdb on tmpfs, {BATCH} a transaction": (open_lmdb_batched, "lmdb"),
    "lmdb on tmpfs": (open_lmdb, "lmdb"),
    "diskcache on tmpfs": (open_diskcache, "diskcache"),
    "Manager().dict": (open_manager, "multiprocessing"),
    "redis.asyncio, unix socket": (open_redis, "redis"),
}


def available() -> list[str]:
    """Those that are installed; says which are not."""
    found = {module: installed(module) for module in dict.fromkeys(module for _, module in PEERS.values())}
    if found["redis"] and not shutil.which("redis-server"):
        print("  skipped: no redis-server on the PATH")
        found["redis"] = False
    return [name for name, (_, module) in PEERS.items() if found[module]]
