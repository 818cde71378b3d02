"""What the processes of the pipeline share."""

from typing import TypedDict

from aioipc import ManagedSharedMemory, Queue, SharedDict

__all__ = ["Belt", "Entry"]

_ROOM = 32


class Entry(TypedDict):
    """What is written of one file.  Writing it twice changes nothing: it stands under the file's name."""

    by: str
    """What the consumer ran on."""
    deliveries: int
    """How many consumers had the file on lease: more than 1 when one was killed over it."""
    counts: list[int]
    """One number for each of counting.FIELDS."""


class Belt:
    """The queue, the results, and who is at which file."""

    def __init__(self, segment: ManagedSharedMemory) -> None:
        self.files: Queue[str] = Queue(segment, "files", maxsize=_ROOM)
        self.results: SharedDict[str, Entry] = SharedDict(segment, "results")
        self.seats: SharedDict[int, tuple[int, str, int]] = SharedDict(segment, "seats")
        """Seat: the consumer's pid, the file it leased last, that lease's deliveries."""
