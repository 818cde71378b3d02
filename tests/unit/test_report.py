"""What a Report says: names for programs, words for people, places in both."""

import re
from pathlib import Path

import pytest

from aioipc import Finding, Lock, ManagedMappedFile, ManagedSharedMemory, Report, SharedDict
from aioipc.report import _MEANINGS
from tests.support.leaks import SHM
from tests.support.sources import core_files


def invariants() -> set[str]:
    """All that the core can report."""
    found = (re.findall(r'"([A-Z]\d+ [^"]*)"', path.read_text()) for path in core_files())
    return {what for some in found for what in some}


def test_every_invariant_has_words() -> None:
    known = invariants()
    assert len(known) > 100
    for what in known:
        finding = Finding(what, 64, 1, 2)
        assert finding.invariant == what.split()[0]
        assert finding.meaning != "the segment's own data contradicts itself"
        assert finding.words.startswith(what)
        assert finding.advice in finding.words
    unused = [name for name in _MEANINGS if not any(what.startswith(name) for what in known)]
    assert unused == []


def test_an_unknown_finding_has_words_too() -> None:
    assert "To do: " in Finding("something else", 0, 0, 0).words
    assert "To do: " in Finding("Header of tomorrow", 0, 0, 0).words


def test_a_report_says_each_meaning_once() -> None:
    findings = tuple(Finding("H3 free blocks touch", n, 1, 2, "a block") for n in range(3))
    text = str(Report(findings, 5))
    assert text.count("H3 free blocks touch at offset 0x1, a block: found 0x1, expected 0x2") == 1
    assert text.count("the list of used and free memory is damaged") == 1
    assert "and 2 more" in text
    assert text.splitlines()[-1].startswith("To do: ")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "segment"


def damage(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def test_places_are_named(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, participants=4) as segment:
        path = SHM / segment_name
        lock, shared, block = Lock(segment, "orders"), SharedDict(segment, "prices"), segment.allocate(100)
        shared["tea"] = b"t" * 5000
        assert segment.check_sanity()
        payload = lock.pin.offset + 64 + 16  # header, padded name
        damage(path, payload, b"\xff" * 8)  # its word
        (finding,) = segment.check_sanity().findings[:1]
        assert (finding.invariant, finding.place) == ("K1", "the Lock 'orders'")
        damage(path, payload, bytes(8))
        damage(path, 104, b"\x05")
        assert segment.check_sanity().findings[0].place == "the segment's header"
        damage(path, 104, b"\x04")
        header = path.read_bytes()[block.handle - 8 : block.handle]
        damage(path, block.handle - 8, b"\xff" * 8)
        finding = segment.check_sanity().findings[0]
        assert finding.invariant == "H1"
        assert "behind the block with handle" in finding.place
        assert finding.words.endswith(".")
        damage(path, block.handle - 8, header)
        assert segment.check_sanity()


def test_a_type_that_was_damaged_is_found(file: Path) -> None:
    with ManagedMappedFile.create(file, 1 << 20) as segment:
        lock = Lock(segment, "orders")
        for at, value in ((16, b"\x04"), (32, b"\x48"), (56, b"\x02")):  # type, size, count
            content = file.read_bytes()
            damage(file, lock.pin.offset + at, value)
            found = [one.invariant for one in segment.check_sanity().findings]
            assert "C8" in found or "C1" in found
            damage(file, lock.pin.offset, content[lock.pin.offset :][:64])
        assert segment.check_sanity()


def test_a_state_that_is_none_is_refused_and_no_endless_loop(file: Path) -> None:
    from aioipc import CorruptSegmentError

    ManagedMappedFile.create(file, 1 << 20).close()
    for state in (0, 2, 3, 1 << 31):
        damage(file, 136, state.to_bytes(4, "little"))
        for opening in (ManagedMappedFile.open, ManagedMappedFile.open_read_only):
            with pytest.raises(CorruptSegmentError, match="state"):
                opening(file)
        assert ManagedMappedFile.exists(file)
    damage(file, 136, b"\1\0\0\0")
    with ManagedMappedFile.open(file) as segment:
        assert segment.check_sanity()
