"""Every example runs as a program of its own, prints what it says, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT

EXAMPLES = ROOT / "examples"
LINES = 60

Run = tuple[str, ...]

OUTPUT: dict[Run, list[str]] = {
    ("01_segment.py",): [
        "the child reads  b'hello'",
        "the parent reads b'HELLO'",
        "sound: True",
        "gone: True",
    ],
    ("02_lock_between_processes.py",): ["4 processes, 2000 additions each: 8000"],
    ("03_abandoned.py",): [
        "abandoned: True, together 70",
        "repaired:  together 100",
        "afterwards abandoned: False",
    ],
    ("04_blocking_and_async.py",): ["a thread held it", "an asyncio task held it", "a trio task held it"],
    ("10_start_together.py",): ["prepared 1 time, 4 led: 4 processes"],
    ("11_read_and_write.py",): ["200 writes, 0 torn reads"],
    ("12_condition.py",): ["sold 30 of 30"],
    ("25_pool.py",): ["read 500 of 1000, together 62375.0", "sound: True, still used: 0"],
    ("24_wait_for_memory.py",): ["12 frames of 256 KiB through 1024 KiB"],
    **{("05_web_cache.py", loop): ["60 answers, 3 computations"] for loop in ("asyncio", "uvloop")},
    **{
        ("06_pipeline.py", loop): ["killed: 1", "results right: True", "delivered twice: [123]"]
        for loop in ("asyncio", "uvloop", "trio")
    },
    ("08_named.py",): [
        "runs already: a Lock, held by my parent: True",
        "runs; the one before was killed: False",
        "runs; the one before was killed: True",
        "removed: True, still there: False",
    ],
    ("09_file_lock.py",): [
        "flock(1) holds it: True",
        "a task waits, and the event loop runs on: True",
        "the task has it, and flock(1) gets it: False",
        "beside two readers flock -s gets it: True",
    ],
    ("30_struct.py",): ["the child reads 1.08 150 1.0799", "readers: 1"],
    ("31_array.py",): ["[81, 100, 121] 121"],
    ("32_offset_ptr.py",): ["the child reads [3, 2, 1]"],
    ("34_atomic.py",): [
        "the one that was killed has done nothing: [1, 1]",
        "inside: [3, 3]",
        "now: [3, 3]",
    ],
    ("33_stream.py",): ["the child reads ['report.csv']", "['who', 'count'] ['Ann', '3']"],
    ("34_shared_ptr.py",): [
        "a process reads first edition",
        "the site has the second edition",
        "the first one has 1 owner",
        "the reader was killed; the first one is gone: True",
    ],
    ("20_file.py",): [
        "there again: {'tea': 3, 'cake': 5}",
        "the backup:  {'tea': 3, 'cake': 5}",
        "sound:       True",
    ],
    ("23_memory.py",): [
        "found:     [0, 1, 4, 9, 16]",
        "larger:    True True 16",
        "all freed: True by tlsf",
    ],
    ("21_memfd.py",): ["inherited: {'greeting': 'hello'}", "argument:  [0, 1, 4, 9, 16]"],
    ("22_grow.py",): [
        "full after 3 pages of 4 MiB",
        "full after 11 pages of 12 MiB",
        "full after 19 pages of 20 MiB",
        "20 pages in 28 MiB",
        "trimmed: more than 20 MiB: True, all of it still free: True",
        "shrunk to less than 1 MiB: True",
    ],
}
SUITES = ["07_test_suite.py"]  # run by pytest


@pytest.mark.usefixtures("named_home")
@pytest.mark.parametrize("run", OUTPUT, ids=" ".join)
def test_an_example_prints_what_it_promises(run: Run) -> None:
    name, *arguments = run
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == OUTPUT[run]
    assert done.returncode == 0


@pytest.mark.parametrize("name", SUITES)
def test_an_example_that_is_a_test_suite_passes(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed in " in done.stdout


def test_every_example_is_run_and_listed() -> None:
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert names == sorted({*(run[0] for run in OUTPUT), *SUITES})
    listed = (EXAMPLES / "README.md").read_text()
    assert [name for name in names if f"({name})" not in listed] == []


def test_examples_are_short_and_say_what_they_show() -> None:
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= LINES, path.name
        assert text.startswith('"""'), path.name


def test_the_readme_names_only_files_that_exist() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    linked = [part.split(")")[0] for part in readme.split("](")[1:]]
    assert [link for link in linked if not Path(EXAMPLES, link).exists()] == []
