"""Negative controls: a core whose log is broken on purpose must fail the sweeps that a sound one passes.

Each `AIPC_BREAK_...` is one branch of `aipc_tx_set` in journal.h.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leaks import Snapshot, remove_entries

HERE = Path(__file__).parent
CORE = HERE.parents[1] / "aioipc" / "_native" / "core"


@pytest.fixture(autouse=True)
def what_broken_builds_leave_is_removed() -> Iterator[None]:
    before = Snapshot.take()
    yield
    remove_entries(before.leaked_since())


def build(source: str, folder: Path, *flags: str) -> Path:
    program = folder / source
    command = ["gcc", "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-pthread", f"-I{CORE}", *flags]
    command.append(str(HERE / f"{source}.c"))
    done = subprocess.run(
        [*command, *map(str, sorted(CORE.glob("*.c"))), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("broken", ["NO_LOG", "ORDER"])
def test_the_crash_sweep_finds_a_broken_log(broken: str, tmp_path: Path) -> None:
    program = build("test_heap_crash", tmp_path, "-DAIPC_HOOK", f"-DAIPC_BREAK_{broken}")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "death at point" in done.stderr


@pytest.mark.parametrize("broken", ["NO_LOG", "ORDER"])
def test_the_instruction_sweep_finds_a_broken_log(broken: str, tmp_path: Path) -> None:
    program = build("test_heap_step", tmp_path, f"-DAIPC_BREAK_{broken}")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this machine does not let a process trace its child")
    assert done.returncode == 1
    assert "death after instruction" in done.stderr


@pytest.mark.slow
def test_only_the_full_instruction_sweep_finds_plain_stores(tmp_path: Path) -> None:
    program = build("test_heap_step", tmp_path, "-DAIPC_BREAK_PLAIN_STORES")
    environment = os.environ | {"AIPC_TEST_FULL": "1"}
    done = subprocess.run([program], capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 77:
        pytest.skip("this machine does not let a process trace its child")
    assert done.returncode == 1
    assert "death after instruction" in done.stderr


def test_the_soak_finds_that_there_is_no_log(tmp_path: Path) -> None:
    program = build("test_soak", tmp_path, "-DAIPC_BREAK_NO_LOG")
    environment = os.environ | {"AIPC_TEST_FULL": "1"}  # it ends with the first thing found
    done = subprocess.run([program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "[kill " in done.stderr


@pytest.mark.slow
def test_the_long_soak_finds_a_log_written_too_late(tmp_path: Path) -> None:
    program = build("stress_soak", tmp_path, "-DAIPC_BREAK_ORDER")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "[kill " in done.stderr
