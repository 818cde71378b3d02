"""docs/boost-map.md says the truth: what it names is there, and so are the tests it points at."""

import re
from collections.abc import Iterator
from pathlib import Path

import aioipc
from tests.support.sources import ROOT

PAGE = ROOT / "docs" / "boost-map.md"
SECTIONS = (
    "Conventions",
    "Memory that can be mapped",
    "Managed segments",
    "Memory algorithms and indexes",
    "Allocators",
    "Streams",
    "Smart pointers",
)


def rows() -> Iterator[tuple[str, str, str]]:
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "Boost":
            boost, ours, *shown = (cell.strip(" |") for cell in cells)
            yield boost, ours, "".join(shown)


def names(text: str) -> list[str]:
    """What a cell calls an attribute of aioipc."""
    quoted = re.findall(r"`([^`]+)`", text)
    plain = [name.partition("(")[0] for name in quoted]
    return [name for name in plain if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", name) and is_ours(name)]


def is_ours(name: str) -> bool:
    """Else it is an option, or another module's."""
    first = name.partition(".")[0]
    return first[0].isupper() or hasattr(aioipc, first)


def resolves(name: str) -> bool:
    found: object = aioipc
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def test_every_section_has_rows() -> None:
    text = PAGE.read_text()
    assert [title for title in SECTIONS if f"\n## {title}\n" not in text] == []
    assert len(list(rows())) > 70


def test_what_is_named_is_there() -> None:
    named = {name for _, ours, _ in rows() for name in names(ours)}
    assert len(named) > 50
    assert sorted(name for name in named if not resolves(name)) == []


def test_every_row_has_a_test_or_says_why_it_needs_none() -> None:
    bare = [
        boost for boost, ours, shown in rows() if not shown and not re.search("needs none|Windows only", ours)
    ]
    assert bare == []


def test_the_tests_are_there() -> None:
    links = [link for *_, shown in rows() for link in re.findall(r"\[(\w+)\]\(([^)]+)\)", shown)]
    assert len(links) > 70
    missing = [
        f"{test} in {path}" for test, path in links if not is_test(test, (PAGE.parent / path).resolve())
    ]
    assert missing == []


def is_test(name: str, path: Path) -> bool:
    return path.is_file() and f"def {name}(" in path.read_text()


def test_this_test_finds_what_is_not_there() -> None:
    assert names('`Nothing.at_all`, `alignment=`, `lifetime="x"`, `PAGE_SIZE`') == [
        "Nothing.at_all",
        "PAGE_SIZE",
    ]
    assert not resolves("ManagedSegment.no_such_thing")
    assert not is_test("test_that_is_not_there", Path(__file__))
