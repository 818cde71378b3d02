"""The parts of the demo that can be tried without processes: journal, counting, cache, verdict."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioipc import ManagedSharedMemory, QueueStatistics
from aioipc.demo.alone import Alone
from aioipc.demo.counting import FIELDS, count, python_files
from aioipc.demo.lock.journal import Journal
from aioipc.demo.lock.outcome import LockOutcome, Together
from aioipc.demo.outcome import Outcome, verdict
from aioipc.demo.pipeline.belt import Entry
from aioipc.demo.pipeline.outcome import PipelineOutcome
from aioipc.demo.web.cache import PageCache
from aioipc.demo.web.outcome import WebOutcome
from aioipc.demo.web.pages import render, sources
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


def lock_outcome() -> LockOutcome:
    totals = [1] * len(FIELDS)
    handovers = [(2_000_000, True), (40_000_000, False), (4_000_000, True)]
    return LockOutcome(1, 4, Together(1.0, totals, 9, 3, 1, handovers, [], []), Alone(list(totals), 1.0))


def pipeline_outcome() -> PipelineOutcome:
    entries: dict[str, Entry] = {
        "a.py": {"by": "trio", "deliveries": 1, "counts": [1] * len(FIELDS)},
        "b.py": {"by": "blocking", "deliveries": 3, "counts": [2] * len(FIELDS)},
    }
    queue = QueueStatistics(0, 32, 0, None, 0, 0, 2, 2, 2, 0, 0, 0, True)
    return PipelineOutcome(["a.py", "b.py"], 1.0, 2, entries, queue, [], [], Alone([3] * len(FIELDS), 1.0))


def web_outcome() -> WebOutcome:
    return WebOutcome(
        pages=2,
        workers=2,
        kills_wanted=1,
        seconds=2.0,
        how={"hit": 6, "waited": 2, "computed": 2},
        answers={11: 5, 12: 5},
        broken=1,
        seen={0: {"aa": [11, 12]}, 1: {"bb": [11, 12]}},
        cached={0: "aa", 1: "bb"},
        computations={0: 1, 1: 2},
        kills=1,
        killed_over={1: 1},
        killed_at={1: 1_000_000},
        taken_over={1: 4_000_000},
        abandoned=1,
        findings=[],
        left_behind=[],
    )


def test_times_to_the_next_holder_tell_waiting_from_coming_later() -> None:
    together = lock_outcome().together
    assert together.next_holder(waiting_only=True) == {"count": 2, "median": 3.0, "p99": 4.0, "max": 4.0}
    assert together.next_holder(waiting_only=False)["max"] == 40.0


def test_figures_of_the_pipeline_are_sums_over_its_entries() -> None:
    outcome = pipeline_outcome()
    assert outcome.totals() == [3] * len(FIELDS)
    assert outcome.deliveries() == {1: 1, 3: 1}
    assert outcome.by_kind() == {"blocking": 1, "trio": 1}


def test_figures_of_the_server_are_shares_of_its_answers() -> None:
    outcome = web_outcome()
    assert outcome.hit_ratio == 0.6
    assert outcome.as_json()["requests_per_second"] == 5.0
    assert outcome.takeovers() == {"count": 1, "median": 3.0, "p99": 3.0, "max": 3.0}


def changed(outcome: Any, **changes: Any) -> Outcome:
    found: Outcome = replace(outcome, **changes)
    return found


def test_each_broken_promise_is_told() -> None:
    lock, pipeline, web = lock_outcome(), pipeline_outcome(), web_outcome()
    entry = pipeline.results["a.py"]
    bad = [
        changed(lock, together=replace(lock.together, totals=[2, *lock.together.totals[1:]])),
        changed(lock, together=replace(lock.together, findings=["something"])),
        changed(lock, together=replace(lock.together, left_behind=["something"])),
        changed(pipeline, alone=Alone([4] * len(FIELDS), 1.0)),
        changed(pipeline, results={"b.py": pipeline.results["b.py"], "c.py": entry}),
        changed(pipeline, queue=replace(pipeline.queue, unfinished=1)),
        changed(pipeline, findings=["something"]),
        changed(pipeline, left_behind=["something"]),
        changed(web, how={**web.how, "failed": 1}),
        changed(web, computations={0: 2, 1: 2}),
        changed(web, seen={**web.seen, 0: {"aa": [11], "cc": [12]}}),
        changed(web, cached={0: "cc", 1: "bb"}),
        changed(web, answers={11: 10}),
        changed(web, kills_wanted=2),
        changed(web, findings=["something"]),
        changed(web, left_behind=["something"]),
    ]
    for good in (lock, pipeline, web):
        assert good.sound
        assert good.as_json()["sound"] is True
        assert "✗" not in "".join(verdict(good))
    for outcome in bad:
        assert not outcome.sound
        assert outcome.as_json()["sound"] is False
        assert len([line for line in verdict(outcome) if "✗" in line]) == 1


@pytest.mark.anyio
async def test_whoever_is_first_computes_the_page_and_the_others_wait(segment_name: str) -> None:
    begun, finish = anyio.Event(), anyio.Event()
    got: list[tuple[bytes, str]] = []

    async def compute(page: int) -> bytes:
        begun.set()
        await finish.wait()
        return b"page %d" % page

    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        cache = PageCache(segment)

        async def ask() -> None:
            got.append(await cache.get(7, compute))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await begun.wait()
            assert cache.computing() == {7: os.getpid()}
            finish.set()
        await ask()
        assert got[0] == (b"page 7", "computed")
        assert got[1:] == [(b"page 7", "waited")] * 2 + [(b"page 7", "hit")]
        assert cache.computations() == {7: 1}
        assert cache.computing() == {}


@pytest.mark.anyio
async def test_a_computation_that_fails_is_begun_anew_by_the_next(segment_name: str) -> None:
    async def fail(page: int) -> bytes:
        raise RuntimeError("no such page")

    async def compute(page: int) -> bytes:
        return b"page"

    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        cache = PageCache(segment)
        with pytest.raises(RuntimeError, match="no such page"):
            await cache.get(1, fail)
        assert cache.computing() == {}
        assert await cache.get(1, compute) == (b"page", "computed")


def test_no_two_computations_of_a_page_look_alike() -> None:
    path = sources(2)[0]
    first, second = render(path), render(path)
    assert first != second
    assert first.rpartition(b"\n")[0] == second.rpartition(b"\n")[0]


@pytest.mark.parametrize(
    ("module", "too_large"),
    [
        ("lock.worker", {"rich", "click"}),
        ("pipeline.consumer", {"rich", "click"}),
        ("pipeline.producer", {"rich", "click"}),
        ("web.app", {"rich"}),  # uvicorn imports click
    ],
)
def test_workers_are_small(module: str, too_large: set[str]) -> None:
    code = f"import sys, aioipc.demo.{module}; print({too_large} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
