"""What `segment.check_sanity()` found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .errors import CorruptSegmentError

__all__ = ["Finding", "Report"]

_REPLACE = "save what can be read (aioipc dump), remove the segment and make a new one"
_REMAKE = "destroy this object and construct it anew; the rest of the segment is not touched by it"
# By the first letter of the invariant, or the whole of its name: what it means, and what to do.
_MEANINGS: dict[str, tuple[str, str]] = {
    "G": ("something wrote over the header, the beginning of the segment", _REPLACE),
    "P": ("the record of a process that has the segment open is damaged", _REPLACE),
    "R": ("what a process left when it died cannot be given back", _REPLACE),
    "L": (
        "the notes for undoing an unfinished change are damaged, so that change cannot be taken back",
        _REPLACE,
    ),
    "L2 copied": (
        "this copy was made while a process was in the middle of a change",
        "copy it again, with segment.snapshot(path), which is of one moment",
    ),
    "H": (
        "the list of used and free memory is damaged: allocations may fail, or give out memory in use; "
        "the usual cause is a program that writes beyond the end of its block",
        f"stop allocating; {_REPLACE}",
    ),
    "H7": ("the counters of free memory are wrong: free_memory misleads, nothing else", _REPLACE),
    "C": (
        "the table of names is damaged: an object may not be found, or its memory not be given back",
        _REPLACE,
    ),
    "C3": ("the counters of names are wrong", _REPLACE),
    "C8": (
        "the type or the size that an object says it has is damaged: who opens it may read what it is not",
        _REMAKE,
    ),
    "C7": (
        "memory belongs to a container that does not know of it: it is lost until the segment goes",
        _REPLACE,
    ),
    "D": ("what a process holds is damaged: it may not be given back when the process dies", _REPLACE),
    "D2 last word": (
        "the end of a block with owned=True was overwritten: a program writes beyond the end of its block",
        "find the program that has this block, and stop it; freeing the block is refused until then",
    ),
    "W": (
        "the lines of those who wait are damaged: somebody may not be woken",
        f"cancel what waits and try again; if it lasts, {_REPLACE}",
    ),
    "N": ("the line of those who wait for this object is damaged: somebody may not be woken", _REMAKE),
    "K": ("the word that says who holds this lock is damaged: it may be held for ever, or by two", _REMAKE),
    "X": ("the words that say who reads and writes are damaged: it may be held for ever, or by two", _REMAKE),
    "S": ("the number of permits is beyond its limit", _REMAKE),
    "T": ("the word that says what a process has borrowed is damaged", _REMAKE),
    "Y": (
        "what an atomic block has registered is damaged: names may be missing, or stay hidden",
        _REPLACE,
    ),
    "J": ("the chunks or nodes of this pool are damaged: blocks may be lost, or given out twice", _REMAKE),
    "U": (
        "the count of this object's owners is damaged: it may stay for ever, or go while somebody owns it",
        _REPLACE,
    ),
    "O": ("the sorted list of names is damaged: named_objects() may miss some, lookups do not", _REPLACE),
    "B": ("the count of those who have arrived is damaged: the others may wait for ever", _REMAKE),
    "E": (
        "the hash table of this dict is damaged: keys may be missing or be there twice",
        f"copy what can be read; {_REMAKE}",
    ),
    "Q": (
        "the messages of this queue are damaged: some may be lost, or come twice",
        f"take what can be taken; {_REMAKE}",
    ),
    "Q7": (
        "the limits or the codec of this queue are damaged: its messages may be read as what they are not",
        _REMAKE,
    ),
    "V": ("the length or the chunks of this stream are damaged", f"copy what can be read; {_REMAKE}"),
    "F": ("the layout that this struct or array says it has is damaged: it cannot be opened", _REMAKE),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction in a segment's own data."""

    what: str
    """The invariant that is broken, by its name in docs/design, and words: "H3 free blocks touch"."""
    offset: int
    """Where, in bytes from the segment's beginning."""
    found: int
    expected: int
    place: str = ""
    """What lies there: "the Lock 'orders'", "a user's block of 120 bytes, handle 4711"; "" when not known."""

    @classmethod
    def of(cls, error: CorruptSegmentError) -> Self:
        """The finding that an operation has tripped over."""
        what = str(error) if error.what is None else error.what
        return cls(what, error.offset or 0, error.found or 0, error.expected or 0)

    @property
    def invariant(self) -> str:
        """Its name alone, for programs: "H3"."""
        return self.what.partition(" ")[0]

    @property
    def meaning(self) -> str:
        """What it means for those who use the segment."""
        return self._meant()[0]

    @property
    def advice(self) -> str:
        """What to do."""
        return self._meant()[1]

    @property
    def words(self) -> str:
        """All of it: what is broken, where, what that means, what to do."""
        where = f" in {self.place}" if self.place else ""
        return f"{self.what}{where}: {self.meaning}. To do: {self.advice}."

    def _meant(self) -> tuple[str, str]:
        known = [name for name in _MEANINGS if self.what.startswith(name)]
        unknown = "the segment's own data contradicts itself", _REPLACE
        return _MEANINGS[max(known, key=len)] if known and self.what[1:2].isdigit() else unknown

    def __str__(self) -> str:
        where = f", {self.place}" if self.place else ""
        numbers = f"found {self.found:#x}, expected {self.expected:#x}"
        return f"{self.what} at offset {self.offset:#x}{where}: {numbers}"


@dataclass(frozen=True, slots=True)
class Report:
    """The result of walking a whole segment: true when it is sound.

    Example::

        report = segment.check_sanity()
        if not report:
            print(report)      # one line for each finding, and what each kind means
    """

    findings: tuple[Finding, ...] = ()
    """The first 64 findings; empty when the segment is sound."""
    total: int = 0
    """All findings, also those not listed."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was walked: blocks, free_blocks, user_blocks, owned_blocks, internal_blocks, objects, holdings,
    nodes_waiting, holes (trimmed memory), and free_bytes, largest_free and hole_bytes in bytes."""

    def __bool__(self) -> bool:
        return self.total == 0

    def __str__(self) -> str:
        if self:
            return f"sound: {self.counts.get('blocks', 0)} blocks, {self.counts.get('objects', 0)} objects"
        lines = [str(finding) for finding in self.findings]
        if self.total > len(lines):
            lines.append(f"and {self.total - len(lines)} more")
        return "\n".join([*lines, *self._explained()])

    def _explained(self) -> list[str]:
        """What the findings mean, each once, and what to do about them."""
        meanings = dict.fromkeys(f"{finding.invariant}: {finding.meaning}." for finding in self.findings)
        advice = dict.fromkeys(f"To do: {finding.advice}." for finding in self.findings)
        return [*meanings, *advice]
