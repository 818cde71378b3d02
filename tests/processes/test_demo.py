"""`aioipc demo` as a real program: it counts right, whoever is killed, and leaves nothing behind."""

import json
import os
import pty
import signal
import subprocess
import sys
from typing import Any

from aioipc import ManagedSharedMemory
from tests.support.leaks import SHM
from tests.support.sources import ROOT

LOCK = [sys.executable, "-m", "aioipc", "demo", "lock"]


def demo(*options: str) -> Any:
    """Run the counting demo to its end; its --json."""
    done = subprocess.run([*LOCK, "--json", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    outcome = json.loads(done.stdout)
    assert done.returncode == (0 if outcome["sound"] else 1)
    return outcome


def left_behind() -> list[str]:
    return [name for name in os.listdir(SHM) if name.startswith("aioipc-demo")]


def test_totals_are_exact_whoever_is_killed() -> None:
    outcome = demo("--files", "60", "--kill-every", "25")
    assert outcome["alone"]["differences"] == []
    assert outcome["check_sanity"] == []
    assert outcome["left_behind"] == []
    assert outcome["sound"] is True
    assert outcome["totals"]["files"] == 60
    assert outcome["totals"]["NAME"] > 0
    assert outcome["kills"] >= 1
    assert outcome["recoveries"] >= outcome["repairs"]
    assert outcome["kill_to_next_holder_ms"]["all"]["count"] == outcome["recoveries"]
    assert left_behind() == []


def test_one_worker_alone_gets_through_too() -> None:
    outcome = demo("--files", "12", "--workers", "1", "--kill-every", "40")
    assert outcome["sound"] is True
    assert outcome["totals"]["files"] == 12


def test_without_a_terminal_it_prints_plain_lines() -> None:
    done = subprocess.run([*LOCK, "--files", "8"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(line.startswith("together: 8/8 files") for line in lines)
    assert "✓ totals equal the single-process run exactly" in lines
    assert "✓ check_sanity() is sound" in lines
    assert "✓ nothing is left in /dev/shm" in lines


def test_a_terminal_sees_progress_redrawn() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*LOCK, "--files", "8"], cwd=ROOT, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    with open(ours, "rb", closefd=True, buffering=0) as terminal:
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
    assert process.wait() == 0
    assert b"uvloop" in shown
    assert b"\x1b[" in shown


def _read(terminal: Any) -> bytes:
    try:
        chunk: bytes = terminal.read(65536)
    except OSError:  # what a terminal says at the end
        return b""
    return chunk


def test_when_the_demo_itself_is_killed_its_workers_go_too() -> None:
    process = subprocess.Popen(LOCK, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("together:")
    process.kill()
    process.communicate()  # until the last worker has closed its end of the pipes
    assert not ManagedSharedMemory.exists(f"aioipc-demo-lock-{process.pid}")  # the next look removes it
    assert left_behind() == []


def test_ctrl_c_leaves_nothing_behind() -> None:
    process = subprocess.Popen(
        LOCK, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("together:")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes of the group
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted; the workers are gone, and the segment with them"]
    assert left_behind() == []
