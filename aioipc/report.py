"""What `segment.check_sanity()` found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Finding", "Report"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction in a segment's own data."""

    what: str
    """The invariant that is broken, by its name in docs/design, and words: "H3 free blocks touch"."""
    offset: int
    """Where, in bytes from the segment's beginning."""
    found: int
    expected: int

    def __str__(self) -> str:
        return f"{self.what} at offset {self.offset:#x}: found {self.found:#x}, expected {self.expected:#x}"


@dataclass(frozen=True, slots=True)
class Report:
    """The result of walking a whole segment: true when it is sound.

    Example::

        report = segment.check_sanity()
        if not report:
            print(report)      # one line for each finding
    """

    findings: tuple[Finding, ...] = ()
    """The first 64 findings; empty when the segment is sound."""
    total: int = 0
    """All findings, also those not listed."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was walked: blocks, free_blocks, user_blocks, owned_blocks, internal_blocks, objects, holdings,
    nodes_waiting, and free_bytes and largest_free in bytes."""

    def __bool__(self) -> bool:
        return self.total == 0

    def __str__(self) -> str:
        if self:
            return f"sound: {self.counts.get('blocks', 0)} blocks, {self.counts.get('objects', 0)} objects"
        lines = [str(finding) for finding in self.findings]
        if self.total > len(lines):
            lines.append(f"and {self.total - len(lines)} more")
        return "\n".join(lines)
