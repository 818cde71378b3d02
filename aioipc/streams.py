"""BufferIO and VectorIO: files of bytes in shared memory."""

import io
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ._native import _core
from .errors import OptionMismatchError
from .objects import New, ObjectName, SharedObject, whole

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .segment import ManagedSegment

__all__ = ["BufferIO", "VectorIO"]


class _Stream(SharedObject, _core.StreamHandle):
    """What io.RawIOBase promises beside reading, writing and seeking."""

    __slots__ = ()
    __hash__ = SharedObject.__hash__

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def isatty(self) -> bool:
        """False."""
        return False

    def fileno(self) -> int:
        """Raises io.UnsupportedOperation: there is no descriptor."""
        raise io.UnsupportedOperation("fileno")

    def flush(self) -> None:
        """Does nothing: what was written is there."""
        self.tell()

    def readall(self) -> bytes:
        """All bytes from the position on."""
        return self.read()

    def readline(self, size: int | None = -1) -> bytes:
        """Up to and with the next newline, or the end, or `size` bytes."""
        begin, line = self.tell(), bytearray()
        most = len(self) if size is None or size < 0 else size
        while len(line) < most and (piece := self.read(min(most - len(line), io.DEFAULT_BUFFER_SIZE))):
            end = piece.find(b"\n") + 1
            line += piece[:end] if end else piece
            if end:
                break
        self.seek(begin + len(line))
        return bytes(line)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """All lines; or as many as have `hint` bytes together."""
        lines: list[bytes] = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def writelines(self, lines: "Iterable[Buffer]") -> None:
        """Writes them one after the other."""
        for line in lines:
            self.write(line)

    def getvalue(self) -> bytes:
        """All bytes, wherever the position is."""
        at = self.tell()
        try:
            self.seek(0)
            return self.read()
        finally:
            self.seek(at)

    def __iter__(self) -> Iterator[bytes]:
        self.tell()  # or it is closed
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def __bool__(self) -> bool:
        return True  # also when it is empty, as files are

    def __enter__(self) -> Self:
        self.tell()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _local_state(self) -> Any:
        return self.tell()

    def _restore_local_state(self, state: Any) -> None:
        self.seek(state)

    def _describe(self) -> str:
        room = f" of {self._room}" if self._room else ""
        return f"[{self._length}{room} bytes]"


io.RawIOBase.register(_Stream)


class BufferIO(_Stream):
    """A file of bytes in shared memory that has a fixed size: io.RawIOBase over Boost's bufferstream.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one;
    `size`, the bytes it has room for; it may be left out for one that exists, whose size it must be
    otherwise (OptionMismatchError).

    Each handle has its own position.  Exactly `size` bytes fit.  A write of more takes what fits and says how
    much that was; at the end, it raises OSError (ENOSPC).  Reading at the end gives b"".

    What is written behind the end, others see as a whole; a killed writer leaves all of it or nothing.
    Overwriting, and several writers at a time, need a Lock.  `close` closes this handle only.

    Example::

        log = BufferIO(segment, "log", 1024)
        text = io.TextIOWrapper(log, write_through=True)
        print("hello", file=text)
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_BUFFER_IO

    def __init__(
        self, segment: "ManagedSegment", name: ObjectName | New = None, size: int | None = None
    ) -> None:
        room = self._room_of(segment, name) if size is None else whole("size", size)
        if not 0 < room < 1 << 62:
            raise ValueError(f"a BufferIO has room for at least 1 byte, not {room}")
        head = _core.stream_image(room)
        wanted = name if isinstance(name, New) else New(name, must=False)
        if wanted.count not in (None, 1) or wanted.each is not None:
            raise TypeError("there are no arrays of BufferIO: construct one at a time")
        if not self._attach_several(segment, wanted, len(head) + room, 1, head) and self._room != room:
            raise OptionMismatchError(
                f"{self.name!r} exists with size={self._room}, not {size}; leave it out, or destroy it"
            )

    @classmethod
    def _room_of(cls, segment: "ManagedSegment", name: ObjectName | New) -> int:
        plain = name.name if isinstance(name, New) else name
        found = segment.find(cls, plain)
        if found is None:
            raise TypeError(f"{plain!r} does not exist: a new BufferIO needs a size")
        return found._room


class VectorIO(_Stream):
    """A file of bytes in shared memory that grows: io.RawIOBase over Boost's vectorstream.

    Parameters: the segment it lives in; its name (found or constructed), none for a new anonymous one.

    Each handle has its own position.  A write takes all, or raises SegmentFullError and has written nothing.
    Memory comes in pieces, each twice as large as the one before, and is given back when the object is
    destroyed; `reserve` gets it beforehand.  Reading at the end gives b"".

    What is written behind the end, others see as a whole; a killed writer leaves all of it or nothing.
    Readers wait for nobody.  Overwriting, and several writers at a time, need a Lock.  `close` closes this
    handle only.

    Example::

        out = VectorIO(segment, "report")
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("hello.txt", "hello")
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_VECTOR_IO

    def __init__(self, segment: "ManagedSegment", name: ObjectName | New = None) -> None:
        self._attach(segment, name, _core.stream_image(0))

    @classmethod
    def _payload_size(cls, segment: "ManagedSegment") -> int:
        return len(_core.stream_image(0))
