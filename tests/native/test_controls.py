"""Negative controls: a core whose log is broken on purpose must fail the sweeps that a sound one passes.

Each `AIPC_BREAK_...` is one branch of `aipc_tx_set` in journal.h.
"""

import os
import shutil
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


def build(source: str, folder: Path, *flags: str, core: Path = CORE) -> Path:
    program = folder / source
    command = ["gcc", "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-pthread", f"-I{core}", *flags]
    command.append(str(HERE / f"{source}.c"))
    done = subprocess.run(
        [*command, *map(str, sorted(core.glob("*.c"))), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def failure(program: str, file: str, sound: str, broken: str, folder: Path) -> str:
    """What the hooked program says when it fails with one place of the core replaced."""
    core = shutil.copytree(CORE, folder / "core")
    text = (core / file).read_text()
    assert sound in text
    (core / file).write_text(text.replace(sound, broken, 1))
    command = [build(program, folder, "-DAIPC_HOOK", core=core)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


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


@pytest.mark.parametrize(
    ("file", "sound", "broken", "program"),
    [
        ("line.c", "(void)aipc_exchange_seq_cst32(&line->asleep, 1);", "", "test_queue_explore"),
        pytest.param(
            "line.c",
            "if (w->left == 0) return AIPC_OK;",
            "if (w->left == 0) break;",
            "test_queue_explore",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "queue.c",
            "if (aipc_line_asleep(line) && usable_by_next(queue, role))",
            "if (false)",
            "test_queue_explore",
            marks=pytest.mark.slow,
        ),
        ("semaphore.c", "(void)aipc_line_wake(ctx, &s->line, 1);", ";", "test_sync_explore"),
        pytest.param(
            "semaphore.c",
            "value <= reserved",
            "value == 0 || reserved != 0",
            "test_sync_explore",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "line.c",
            "if (ordered && withdrawn(head)) (void)aipc_exchange_seq_cst32(&line->ordered, 0);",
            "",
            "test_sync_explore",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["not asleep", "all awake", "not passed on", "permits kept", "stopped head", "withdrawn head"],
)
def test_the_explorer_finds_a_lost_wake_up(
    file: str, sound: str, broken: str, program: str, tmp_path: Path
) -> None:
    assert "deadlock violated" in failure(program, file, sound, broken, tmp_path)


@pytest.mark.parametrize(
    ("file", "sound", "broken", "program", "finding"),
    [
        (
            "waiters.c",
            "return aipc_wait_give(tx, from, heir, queue, AIPC_GOT_TOKEN, target);",
            "return AIPC_OK;",
            "test_condition_explore",
            "deadlock violated",
        ),
        pytest.param(
            "condition.c",
            "aipc_wait_rouse(seg); /* a token",
            "/* a token",
            "test_condition_explore",
            "deadlock violated",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "waiters.c",
            "aipc_tx_set32(tx, &node->got, got);",
            "aipc_store_relaxed32(&node->got, got);",
            "test_condition_deaths",
            "death at point",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "barrier.c",
            "aipc_status status = settle(seg, b, rings);\n    leave",
            "aipc_status status = AIPC_OK;\n    leave",
            "test_barrier_explore",
            "deadlock violated",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["token kept", "in silence", "token not logged", "nobody told"],
)
def test_broken_conditions_and_barriers_are_found(
    file: str, sound: str, broken: str, program: str, finding: str, tmp_path: Path
) -> None:
    assert finding in failure(program, file, sound, broken, tmp_path)
