"""Segments in files."""

import os

from ._files import FilePlace
from .named_segment import NamedSegment

__all__ = ["ManagedMappedFile"]


class ManagedMappedFile(NamedSegment):
    """A segment in a file, on any local filesystem: it is there again after a reboot.

    The kernel writes changes to the disk when it likes; `flush()` waits until they are there. After power
    loss, or on another machine, the next `open` checks the whole segment first and refuses it when it is not
    sound. Symbolic links at the end of the path are not followed.

    Example::

        with ManagedMappedFile.create("/var/lib/shop.segment", 1 << 20) as segment:
            prices = SharedDict(segment, "prices")
            prices["tea"] = 3
            segment.flush()
    """

    @classmethod
    def _place(cls, where: "str | os.PathLike[str]") -> FilePlace:
        return FilePlace.of(where)

    def flush(self) -> None:
        """Returns when everything written so far is on the disk, and the file's name too.

        Blocks the thread for as long as the disk takes, with the GIL released: under an event loop use
        `asyncio.to_thread(segment.flush)`. Others may write meanwhile; what they write then may be there or
        not. Raises OSError when the disk fails.
        """
        os.fsync(self._attachment.fileno())
        folder = os.open(os.path.dirname(self._name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
