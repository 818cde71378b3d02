"""Segments in memory that has no name, only descriptors."""

import fcntl
import os
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any, Self

from ._attachments import Algorithm, Index, attached, checked_layout, created
from ._copies import copy_to_memory
from .errors import NotFoundError
from .read_only import ReadOnlySegment
from .segment import ManagedSegment

__all__ = ["ManagedAnonymousMemory"]


class ManagedAnonymousMemory(ManagedSegment):
    """A segment in a memfd: it lives as long as somebody has it open, or has a descriptor of it.

    Another process gets it through its descriptor: inherited, or sent over a Unix socket
    (`socket.send_fds`), and `from_fd`. As an argument of a `multiprocessing` process, or through its pipes
    and queues, it travels as it is; other pickles are refused, as no descriptor can travel in them. Nobody
    can shrink it: it is sealed against that.

    Example::

        with ManagedAnonymousMemory.create(1 << 20) as segment:
            fd = segment.fileno()
            subprocess.run([sys.executable, "worker.py", str(fd)], pass_fds=[fd])

        with ManagedAnonymousMemory.from_fd(int(sys.argv[1])) as segment:     # in worker.py
            jobs = Queue(segment, "jobs")
    """

    _why_not = "it has descriptors, and no name; send fileno() and use from_fd()"

    @classmethod
    def create(
        cls,
        size: int,
        *,
        name: str = "aioipc",
        max_size: int | None = None,
        mode: int = 0o600,
        algorithm: Algorithm = "best_fit",
        index: Index = "hash",
        participants: int = 64,
    ) -> Self:
        """Creates a segment of `size` bytes (rounded up to whole pages).

        `name` is what /proc shows, and need not be unique. `mode` says which other users, having got a
        descriptor, may attach. The other options are those of every segment. Raises SegmentFullError,
        ValueError.
        """
        layout = checked_layout(
            size,
            max_size=max_size,
            mode=mode,
            algorithm=algorithm,
            index=index,
            participants=participants,
        )
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.fchmod(fd, mode)
        opening = created(fd, "", layout)
        fcntl.fcntl(opening.attachment.fileno(), fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return cls._handle(opening, name)

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Opens the segment behind a descriptor, which stays the caller's to close.

        Raises IncompatibleSegmentError, CorruptSegmentError, TooManyParticipantsError, OSError.
        """
        opening = attached(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0), "")
        if opening is None:
            raise NotFoundError(f"the segment behind descriptor {fd} is being removed")
        return cls._handle(opening, _name_of(fd))

    open = from_fd

    @classmethod
    def open_read_only(cls, fd: int) -> ReadOnlySegment:
        """Opens the segment behind a descriptor for reading; the descriptor may be a read-only one."""
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        return ReadOnlySegment(again, "", _name_of(fd))

    @classmethod
    def open_copy_on_write(cls, fd: int) -> Self:
        """A copy of the segment behind a descriptor, as of one moment, in a memfd of its own."""
        with cls.from_fd(fd) as original:
            copy = copy_to_memory(original._attachment, "aioipc-copy")
            try:
                return cls.from_fd(copy)
            finally:
                os.close(copy)

    def fileno(self) -> int:
        """The descriptor, valid until the segment is closed; give it to another process, do not close it."""
        return self._attachment.fileno()

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self!r} can be pickled by multiprocessing alone: the pickle has to carry a descriptor; "
            "send fileno() with socket.send_fds() and use from_fd()"
        )


def _name_of(fd: int) -> str:
    name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
    return name.removeprefix("memfd:").removesuffix(" (deleted)")


def _reduce(segment: ManagedAnonymousMemory) -> Any:
    return _rebuild, (type(segment), DupFd(segment.fileno()))


def _rebuild(cls: type[ManagedAnonymousMemory], carried: Any) -> ManagedAnonymousMemory:
    fd = carried.detach()
    try:
        segment = cls.from_fd(fd)
    finally:
        os.close(fd)
    segment._quiet = True  # nobody wrote a from_fd() that a close() could belong to
    return segment


ForkingPickler.register(ManagedAnonymousMemory, _reduce)
