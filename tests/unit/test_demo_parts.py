"""The parts of the demo that can be tried without processes: the journal, the counting, the verdict."""

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aioipc.demo.alone import Alone
from aioipc.demo.counting import FIELDS, count, python_files
from aioipc.demo.lock.journal import Journal
from aioipc.demo.lock.outcome import LockOutcome, Together
from aioipc.demo.outcome import verdict
from tests.support.sources import ROOT


class Killed(BaseException):
    """Instead of SIGKILL."""


class Words:
    """Shared words; the process that writes them dies before its n-th store."""

    def __init__(self, values: list[int], stores_left: list[int]) -> None:
        self.values, self._stores_left = values, stores_left

    def __getitem__(self, index: int) -> int:
        return self.values[index]

    def __setitem__(self, index: int, value: int) -> None:
        if self._stores_left[0] == 0:
            raise Killed
        self._stores_left[0] -= 1
        self.values[index] = value


def test_a_change_is_whole_or_not_at_all_wherever_its_writer_is_killed() -> None:
    before, after = [10, 20, 30, 40], [11, 20, 33, 44]
    changes = {0: 11, 2: 33, 3: 44}
    seen = set()
    for stores in range(20):
        values, log = list(before), [0] * 16
        # The writer is killed, then a repairer, then one is not.
        for number, left in enumerate(([stores], [stores % 3], [-1])):
            words: Any = Words(values, left)
            place: Any = Words(log, left)
            journal = Journal(words, place)
            with suppress(Killed):
                journal.redo() if number else journal.commit(changes)
        assert log[0] == 0
        assert values in (before, after)
        seen.add(tuple(values))
    assert len(seen) == 2


def test_every_file_of_the_standard_library_is_found() -> None:
    paths = python_files()
    assert any(path.endswith("/asyncio/locks.py") for path in paths)
    assert not any("site-packages" in path for path in paths)
    assert len(python_files(10)) == 10
    assert set(python_files(10)) <= set(paths)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = (1 +\n 2)\n", {"files": 1, "lines": 2, "NAME": 1, "NUMBER": 2, "PLUS": 1, "NEWLINE": 1}),
        ("", {"files": 1, "lines": 0, "bytes": 0, "NAME": 0}),
        ("x", {"lines": 1, "bytes": 1, "NAME": 1}),
        ("x = (\n", {"files": 1, "not tokenized": 1, "lines": 1, "bytes": 6, "NAME": 0}),
    ],
)
def test_lines_bytes_and_kinds_are_counted(tmp_path: Path, text: str, expected: dict[str, int]) -> None:
    path = tmp_path / "some.py"
    path.write_text(text)
    counted = dict(zip(FIELDS, count(str(path)), strict=True))
    assert expected.items() <= counted.items()


def outcome() -> LockOutcome:
    totals = [1] * len(FIELDS)
    handovers = [(2_000_000, True), (40_000_000, False), (4_000_000, True)]
    return LockOutcome(1, 4, Together(1.0, totals, 9, 3, 1, handovers, [], []), Alone(list(totals), 1.0))


def test_times_to_the_next_holder_tell_waiting_from_coming_later() -> None:
    together = outcome().together
    assert together.next_holder(waiting_only=True) == {"count": 2, "median": 3.0, "p99": 4.0, "max": 4.0}
    assert together.next_holder(waiting_only=False)["max"] == 40.0


@pytest.mark.parametrize("broken", ["totals", "findings", "left_behind"])
def test_each_broken_promise_is_told(broken: str) -> None:
    good = outcome()
    assert good.sound
    assert "✗" not in "".join(verdict(good))
    wrong: Any = [2, *good.together.totals[1:]] if broken == "totals" else ["something"]
    bad = replace(good, together=replace(good.together, **{broken: wrong}))
    assert not bad.sound
    assert bad.as_json()["sound"] is False
    assert len([line for line in verdict(bad) if "✗" in line]) == 1


def test_workers_are_small() -> None:
    code = "import sys, aioipc.demo.lock.worker; print({'rich', 'click'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
