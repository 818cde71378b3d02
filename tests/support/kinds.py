"""Every kind of segment, made and opened in one way: what the segment contract runs with."""

import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sysv_ipc

from aioipc import (
    ManagedAnonymousMemory,
    ManagedExternalBuffer,
    ManagedHeapMemory,
    ManagedMappedFile,
    ManagedSegment,
    ManagedSharedMemory,
    ManagedXSISharedMemory,
    XSIKey,
)

SIZE = 1 << 20


@dataclass
class Kind:
    """One kind; `again` opens what `create` made last once more in this process."""

    cls: type[ManagedSegment]
    create: Callable[..., Any]
    again: Callable[[], Any]
    image: Callable[[], bytes]
    """The bytes of the segment as they are now."""
    another: Callable[[str], Any]
    """Makes a second Kind of this kind, under another name."""
    where: Any = None
    """What `cls.open` takes; None for kinds without a name."""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@contextmanager
def shared_memory(name: str) -> Iterator[Kind]:
    yield Kind(
        ManagedSharedMemory,
        lambda size=SIZE, **options: ManagedSharedMemory.create(name, size, **options),
        lambda: ManagedSharedMemory.open(name),
        lambda: _read(f"/dev/shm/{name}"),
        shared_memory,
        where=name,
    )
    ManagedSharedMemory.remove(name)


@contextmanager
def mapped_file(name: str) -> Iterator[Kind]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # on a disk, if there is one
        path = os.path.join(folder, name)
        yield Kind(
            ManagedMappedFile,
            lambda size=SIZE, **options: ManagedMappedFile.create(path, size, **options),
            lambda: ManagedMappedFile.open(path),
            lambda: _read(path),
            mapped_file,
            where=path,
        )


@contextmanager
def anonymous_memory(name: str) -> Iterator[Kind]:
    fds: list[int] = []

    def create(size: int = SIZE, **options: Any) -> ManagedAnonymousMemory:
        segment = ManagedAnonymousMemory.create(size, name=name, **options)
        fds.append(os.dup(segment.fileno()))
        return segment

    yield Kind(
        ManagedAnonymousMemory,
        create,
        lambda: ManagedAnonymousMemory.from_fd(fds[-1]),
        lambda: os.pread(fds[-1], os.fstat(fds[-1]).st_size, 0),
        anonymous_memory,
    )
    for fd in fds:
        os.close(fd)


@contextmanager
def heap_memory(name: str) -> Iterator[Kind]:
    yield Kind(
        ManagedHeapMemory,
        lambda size=SIZE, **options: ManagedHeapMemory.create(size, **options),
        _no,
        _no,
        heap_memory,
    )


@contextmanager
def external_buffer(name: str) -> Iterator[Kind]:
    buffers: list[bytearray] = []

    def create(size: int = SIZE, **options: Any) -> ManagedExternalBuffer:
        buffers.append(bytearray(b"\xa5" * size))  # whatever was there
        return ManagedExternalBuffer.create(buffers[-1], **options)

    yield Kind(
        ManagedExternalBuffer,
        create,
        lambda: ManagedExternalBuffer.open(buffers[-1]),
        lambda: bytes(buffers[-1]),
        external_buffer,
    )


@contextmanager
def xsi_shared_memory(name: str) -> Iterator[Kind]:
    key = XSIKey(zlib.crc32(f"{name} {os.getpid()}".encode()) | 1)
    yield Kind(
        ManagedXSISharedMemory,
        lambda size=SIZE, **options: ManagedXSISharedMemory.create(key, size, **options),
        lambda: ManagedXSISharedMemory.open(key),
        lambda: _attached_bytes(key),
        xsi_shared_memory,
        where=key,
    )
    ManagedXSISharedMemory.remove(key)


def _attached_bytes(key: XSIKey) -> bytes:
    memory = sysv_ipc.SharedMemory(key.number)
    try:
        return bytes(memory.read(memory.size))
    finally:
        memory.detach()


def _no() -> Any:
    raise NotImplementedError


KINDS = {
    "shared_memory": shared_memory,
    "mapped_file": mapped_file,
    "anonymous_memory": anonymous_memory,
    "heap_memory": heap_memory,
    "external_buffer": external_buffer,
    "xsi_shared_memory": xsi_shared_memory,
}
PRIVATE = ("heap_memory", "external_buffer")
SHARED = tuple(name for name in KINDS if name not in PRIVATE)
REOPENED = tuple(name for name in KINDS if name != "heap_memory")
COPIED = ("shared_memory", "mapped_file", "anonymous_memory")
NAMED = ("shared_memory", "mapped_file")
FOUND = (*NAMED, "xsi_shared_memory")  # by anything that other processes can have from a config file
FIXED = ("external_buffer", "xsi_shared_memory")  # as large as it is made
