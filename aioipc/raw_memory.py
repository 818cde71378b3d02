"""Raw memory: what segments lie in, for programs that want bytes and nothing else.

An object (`SharedMemoryObject`, `FileMapping`, or any descriptor) is opened, parts of it are mapped as
`MappedRegion`, and a region is a buffer. No names in it, no allocation, no locks, no recovery.
"""

import errno
import mmap
import os
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import posix_ipc

from . import _names
from ._files import FilePlace
from ._native import _core
from .errors import AlreadyExistsError, NotFoundError, PermissionDeniedError, ReadOnlyError, SegmentFullError

__all__ = ["PAGE_SIZE", "FileMapping", "MappedRegion", "SharedMemoryObject", "anonymous_shared_memory"]

PAGE_SIZE: Final = mmap.PAGESIZE
"""Bytes of a page of this machine."""

Access = Literal["read_only", "read_write", "copy_on_write"]
Advice = Literal[
    "normal", "sequential", "random", "willneed", "dontneed", "hugepage", "nohugepage", "populate"
]

_ADVICE: Final[dict[str, int]] = {
    "normal": mmap.MADV_NORMAL,
    "sequential": mmap.MADV_SEQUENTIAL,
    "random": mmap.MADV_RANDOM,
    "willneed": mmap.MADV_WILLNEED,
    # MADV_DONTNEED would drop what a private mapping has changed
    "dontneed": 20,  # MADV_COLD
    "hugepage": mmap.MADV_HUGEPAGE,
    "nohugepage": mmap.MADV_NOHUGEPAGE,
    "populate": 22,  # MADV_POPULATE_READ
}
_POPULATE_WRITE = 23
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Mappable(Protocol):
    def fileno(self) -> int: ...


class _Object:
    """An open object: a descriptor that says how large it is."""

    _fd: int = -1

    def __init__(self, fd: int, name: str, writable: bool) -> None:
        self._fd, self._name, self._writable = fd, name, writable

    @property
    def name(self) -> str:
        """What it was opened by."""
        return self._name

    @property
    def size(self) -> int:
        """Bytes it has now."""
        return os.fstat(self.fileno()).st_size

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._writable

    def fileno(self) -> int:
        """Its descriptor, valid until it is closed; regions do not need it any more."""
        if self._fd < 0:
            raise ValueError(f"{self!r} is closed")
        return self._fd

    def close(self) -> None:
        """Closes the descriptor; again does nothing. Regions stay."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be copied or pickled, nor can its descriptor; open it again")

    def __repr__(self) -> str:
        return f"<aioipc.{type(self).__name__} {self._name!r}{' closed' if self._fd < 0 else ''}>"


class SharedMemoryObject(_Object):
    """A named POSIX shared memory object: /dev/shm/<name>, empty when it is made.

    Example::

        with SharedMemoryObject.create("frame") as frame:
            frame.truncate(1 << 20)
            region = MappedRegion(frame)
            memoryview(region)[:5] = b"hello"
    """

    @classmethod
    def create(cls, name: str, *, mode: int = 0o600) -> Self:
        """Makes an empty object; `mode` is applied exactly. Raises AlreadyExistsError."""
        return cls._open(name, posix_ipc.O_CREX, mode, False)

    @classmethod
    def open(cls, name: str, *, read_only: bool = False) -> Self:
        """Opens an existing object. Raises NotFoundError, PermissionDeniedError."""
        return cls._open(name, 0, 0o600, read_only)

    @classmethod
    def open_or_create(cls, name: str, *, mode: int = 0o600) -> Self:
        """Opens the object, or makes an empty one with this mode."""
        while True:
            try:
                return cls.open(name)
            except NotFoundError:
                pass
            try:
                return cls.create(name, mode=mode)
            except AlreadyExistsError:
                pass

    @classmethod
    def _open(cls, name: str, flags: int, mode: int, read_only: bool) -> Self:
        _names.checked(name)
        try:
            memory = posix_ipc.SharedMemory(f"/{name}", flags, mode=mode, read_only=read_only)
        except posix_ipc.ExistentialError:
            if flags:
                raise AlreadyExistsError(f"shared memory {name!r} exists already") from None
            raise NotFoundError(f"there is no shared memory {name!r}") from None
        except posix_ipc.PermissionsError:
            raise PermissionDeniedError(f"no permission to open shared memory {name!r}") from None
        self = cls(memory.fd, name, not read_only)
        if flags:
            os.fchmod(self._fd, mode)
        return self

    @classmethod
    def remove(cls, name: str) -> bool:
        """Takes the name away; False when there was none. Whoever has it mapped keeps it."""
        try:
            posix_ipc.unlink_shared_memory(f"/{_names.checked(name)}")
        except posix_ipc.ExistentialError:
            return False
        return True

    def truncate(self, size: int) -> None:
        """Gives it `size` bytes, reserved at once: SegmentFullError now, and no bus error later.

        Who has mapped bytes that are cut off gets SIGBUS when touching them, as always with mapped memory.
        """
        if not self._writable:
            raise ReadOnlyError(f"{self!r} was opened read-only")
        fd, before = self.fileno(), self.size
        if size <= before:
            os.ftruncate(fd, size)
            return
        try:
            os.posix_fallocate(fd, before, size - before)
        except OSError as error:  # the kernel has given back what it had got
            if error.errno not in _NO_ROOM:
                raise
            raise SegmentFullError(f"{self!r}: no room for {size} bytes: {error}") from error


class FileMapping(_Object):
    """An existing file, to be mapped.

    Example::

        with FileMapping("/var/lib/table") as table:
            header = MappedRegion(table, "read_only", size=100)
    """

    def __init__(self, path: "str | os.PathLike[str]", *, read_only: bool = False) -> None:
        """Opens the file. Raises NotFoundError, PermissionDeniedError, OSError."""
        name = FilePlace.of(path).path
        flags = os.O_CLOEXEC | os.O_NONBLOCK | (os.O_RDONLY if read_only else os.O_RDWR)
        try:
            fd = os.open(name, flags)
        except FileNotFoundError:
            raise NotFoundError(f"there is no file {name!r}") from None
        except PermissionError:
            raise PermissionDeniedError(f"no permission to open {name!r}") from None
        super().__init__(fd, name, not read_only)

    @classmethod
    def remove(cls, path: "str | os.PathLike[str]") -> bool:
        """Removes the file; False when there was none."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True


class MappedRegion(_core.Region):
    """A part of an object, mapped into this process: a buffer of exactly the bytes that were asked for.

    `mapping` is a SharedMemoryObject, a FileMapping or anything with a `fileno()`. Any `offset` will do;
    without `size` the region goes to the object's end. Bytes beyond that end are refused. `address` asks for
    that very place; what is mapped there already is `OSError` (EBUSY). In a "copy_on_write" region changes
    stay private, while pages that were not touched follow the others' changes. `populate` reads everything
    in at once.

    A region stays mapped until it is closed, also when the object was closed or removed. What somebody
    truncates under it is SIGBUS when touched.

    Example::

        region = MappedRegion(frame, "read_write", offset=100, size=5000)
        memoryview(region)[0:5] = b"hello"
        region.flush()
    """

    def __new__(
        cls,
        mapping: _Mappable,
        access: Access = "read_write",
        offset: int = 0,
        size: int | None = None,
        *,
        address: int | None = None,
        populate: bool = False,
    ) -> Self:
        if access not in ("read_only", "read_write", "copy_on_write"):
            raise ValueError(f"access is 'read_only', 'read_write' or 'copy_on_write', not {access!r}")
        fd = mapping.fileno()
        count = _part(offset, size, os.fstat(fd).st_size, "the object")
        if count == 0:
            raise ValueError("a region has at least one byte")
        if address is not None and (address <= 0 or (address - offset) % PAGE_SIZE):
            raise ValueError(
                f"the address {address:#x} does not fit offset {offset} in pages of {PAGE_SIZE} bytes"
            )
        return cls._mapped(fd, offset, count, address, access, populate)

    @classmethod
    def _mapped(
        cls, fd: int, offset: int, size: int, address: int | None, access: Access, populate: bool
    ) -> Self:
        write, copy = access != "read_only", access == "copy_on_write"
        self = super().__new__(cls, fd, offset, size, address or 0, write, copy, populate)
        self._access = access
        return self

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    _access: Access

    @property
    def access(self) -> Access:
        """What may be done with its bytes."""
        return self._access

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        with memoryview(self) as view:
            found = view[index]
            return bytes(found) if isinstance(found, memoryview) else found

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.readonly:
            raise ReadOnlyError(f"{self!r} cannot be written")
        with memoryview(self) as view:
            view[index] = value

    def flush(self, offset: int = 0, n: int | None = None, *, asynchronous: bool = False) -> None:
        """Writes a part to the file beneath; returns when it is on the disk, or at once if `asynchronous`.

        Blocks with the GIL released. Raises ValueError for a part outside of the region, OSError.
        """
        self.sync(offset, _part(offset, n, self.size, "the region"), not asynchronous)

    def advise(self, advice: Advice, offset: int = 0, n: int | None = None) -> None:  # type: ignore[override]
        """Tells the kernel how a part will be used; no advice changes what it contains.

        "populate" brings it into memory at once; "hugepage" needs transparent huge pages for the kind of
        memory. Raises ValueError, and OSError for what this kernel does not know.
        """
        if advice not in _ADVICE:
            raise ValueError(f"advice is one of {', '.join(_ADVICE)}, not {advice!r}")
        number = _POPULATE_WRITE if advice == "populate" and not self.readonly else _ADVICE[advice]
        super().advise(offset, _part(offset, n, self.size, "the region"), number)

    def shrink_by(self, n: int, *, from_back: bool = True) -> None:
        """Gives up `n` bytes at the end, or at the beginning; all of them closes it.

        Whole pages are unmapped, so the memory goes with the last byte of a page. Raises BufferError while
        memoryviews of it are in use.
        """
        if n < 0:
            raise ValueError(f"a number of bytes is not negative: {n}")
        self.shrink(n, from_back)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "closed" if self.closed else f"{self._access} {self.size} bytes at {self.address:#x}"
        return f"<aioipc.MappedRegion {where}>"


def anonymous_shared_memory(size: int, *, address: int | None = None) -> MappedRegion:
    """A region of `size` zero bytes without a name, shared with the children this process forks.

    For other processes there is ManagedAnonymousMemory, or a memfd and its descriptor.
    """
    if size <= 0:
        raise ValueError(f"a region has at least one byte, not {size}")
    if address is not None and (address <= 0 or address % PAGE_SIZE):
        raise ValueError(f"the address {address:#x} is no multiple of {PAGE_SIZE}")
    return MappedRegion._mapped(-1, 0, size, address, "read_write", False)


def _part(offset: int, size: int | None, whole: int, of_what: str) -> int:
    """The number of bytes from offset on; ValueError when they are not all there."""
    count = whole - offset if size is None else size
    if offset < 0 or count < 0 or offset + count > whole:
        raise ValueError(f"{count} bytes at {offset} are not inside of {of_what}, which has {whole}")
    return count
