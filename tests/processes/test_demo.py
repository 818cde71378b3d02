"""`aioipc demo` as a real program: what it promises is so, whoever is killed, and nothing is left behind."""

import json
import os
import pty
import signal
import subprocess
import sys
from typing import Any

import pytest

from aioipc import ManagedSharedMemory
from aioipc.demo.crew import Crew, Role, WorkerFailedError
from tests.support.leaks import SHM
from tests.support.sources import ROOT

DEMO = [sys.executable, "-m", "aioipc", "demo"]

# Each part alone: its command, and what its first line of progress begins with.
PARTS = {"web": "web:", "pipeline": "pipeline:", "lock": "together:"}


def demo(*arguments: str) -> Any:
    """Run the demo to its end; its --json."""
    done = subprocess.run([*DEMO, *arguments, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    outcome = json.loads(done.stdout)
    assert done.returncode == (0 if outcome["sound"] else 1)
    return outcome


def left_behind() -> list[str]:
    return [name for name in os.listdir(SHM) if name.startswith("aioipc-demo")]


def assert_nothing_is_wrong(outcome: Any) -> None:
    assert outcome["check_sanity"] == []
    assert outcome["left_behind"] == []
    assert outcome["sound"] is True
    assert left_behind() == []


def test_each_page_is_computed_once_and_once_more_for_each_killed_computer() -> None:
    outcome = demo("web", "--requests", "400", "--pages", "8", "--kills", "2")
    assert_nothing_is_wrong(outcome)
    assert outcome["kills"] == 2
    killed_over = outcome["killed_over_page"]
    assert sum(killed_over.values()) >= 2
    assert outcome["computations"] == {str(page): 1 + killed_over.get(str(page), 0) for page in range(8)}
    assert set(outcome["versions_seen"].values()) == {1}
    assert outcome["abandoned"] >= sum(killed_over.values())
    assert sum(outcome["answers_by_cache"].values()) == outcome["requests"] == 400
    assert len(outcome["answers_by_worker"]) >= 2


def test_a_server_that_is_left_alone_breaks_no_connection() -> None:
    outcome = demo("web", "--requests", "1000", "--pages", "2", "--kills", "0", "--workers", "2")
    assert_nothing_is_wrong(outcome)
    assert outcome["broken_connections"] == 0
    assert outcome["answers_by_cache"]["computed"] == 2


def test_each_file_counts_once_whoever_is_killed_over_it() -> None:
    outcome = demo("pipeline", "--files", "60", "--kill-every", "60")
    assert_nothing_is_wrong(outcome)
    assert outcome["alone"]["differences"] == []
    assert outcome["entries"] == outcome["totals"]["files"] == 60
    assert outcome["kills"] >= 1
    assert outcome["leases_returned"] >= 1
    assert sum(outcome["files_by_deliveries"].values()) == 60
    assert set(outcome["files_by_consumer"]) <= {"asyncio", "trio", "blocking"}


@pytest.mark.slow  # the next two run both as well
def test_both_run_one_after_the_other() -> None:
    outcome = demo("--requests", "200", "--files", "12")
    assert outcome["sound"] is True
    assert_nothing_is_wrong(outcome["web"])
    assert_nothing_is_wrong(outcome["pipeline"])


def test_totals_are_exact_whoever_is_killed() -> None:
    outcome = demo("lock", "--files", "60", "--kill-every", "25")
    assert outcome["alone"]["differences"] == []
    assert_nothing_is_wrong(outcome)
    assert outcome["totals"]["files"] == 60
    assert outcome["totals"]["NAME"] > 0
    assert outcome["kills"] >= 1
    assert outcome["recoveries"] >= outcome["repairs"]
    assert outcome["kill_to_next_holder_ms"]["all"]["count"] == outcome["recoveries"]


def test_one_worker_alone_gets_through_too() -> None:
    outcome = demo("lock", "--files", "12", "--workers", "1", "--kill-every", "40")
    assert outcome["sound"] is True
    assert outcome["totals"]["files"] == 12


def test_without_a_terminal_it_prints_plain_lines() -> None:
    command = [*DEMO, "--requests", "200", "--files", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(line.startswith("web: 200/200 requests") for line in lines)
    assert any(line.startswith("pipeline: 8/8 files") for line in lines)
    assert "✓ each page was computed once, and once more for each killed computer" in lines
    assert "✓ totals equal the single-process run exactly" in lines
    assert lines.count("✓ check_sanity() is sound") == 2
    assert lines.count("✓ nothing is left in /dev/shm") == 2


def test_a_terminal_sees_progress_redrawn() -> None:
    ours, theirs = pty.openpty()
    command = [*DEMO, "--requests", "200", "--files", "8"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    with open(ours, "rb", closefd=True, buffering=0) as terminal:
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
    assert process.wait() == 0
    assert b"worker" in shown
    assert b"blocking" in shown
    assert b"\x1b[" in shown


def _read(terminal: Any) -> bytes:
    try:
        chunk: bytes = terminal.read(65536)
    except OSError:  # what a terminal says at the end
        return b""
    return chunk


def test_a_worker_that_ends_by_itself_is_not_replaced_but_told() -> None:
    with Crew([Role("broken", os._exit, (3,))], "spawn") as crew:
        with pytest.raises(WorkerFailedError, match="the broken worker at seat 1 ended with 3"):
            _finish(crew)
        assert not crew.busy


def _finish(crew: Crew) -> None:
    while crew.busy:
        crew.tend(60)


@pytest.mark.parametrize("arguments", [("web", "--pages", "9", "--requests", "8"), ("--json", "web")])
def test_what_cannot_be_meant_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*DEMO, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Error:" in done.stderr


@pytest.mark.parametrize("part", PARTS)
def test_when_the_demo_itself_is_killed_its_workers_go_too(part: str) -> None:
    process = _started(part)
    process.kill()
    process.communicate()  # until the last worker has closed its end of the pipes
    assert not ManagedSharedMemory.exists(f"aioipc-demo-{part}-{process.pid}")  # the next look removes it
    assert left_behind() == []


@pytest.mark.parametrize("part", PARTS)
def test_ctrl_c_leaves_nothing_behind(part: str) -> None:
    process = _started(part)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes of the group
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted; the workers are gone, and the segment with them"]
    assert left_behind() == []


def _started(part: str) -> subprocess.Popen[str]:
    """Part of the demo, with its workers at work."""
    process = subprocess.Popen(
        [*DEMO, part],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(PARTS[part])
    assert process.stdout.readline().startswith(PARTS[part])
    return process
