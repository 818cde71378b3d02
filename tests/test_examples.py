"""Every example runs as a program of its own, prints what it says, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT

EXAMPLES = ROOT / "examples"
LINES = 60

OUTPUT = {
    "01_segment.py": [
        "the child reads  b'hello'",
        "the parent reads b'HELLO'",
        "sound: True",
        "gone: True",
    ],
    "02_lock_between_processes.py": ["4 processes, 2000 additions each: 8000"],
    "03_abandoned.py": [
        "abandoned: True, together 70",
        "repaired:  together 100",
        "afterwards abandoned: False",
    ],
    "04_blocking_and_async.py": ["a thread held it", "an asyncio task held it", "a trio task held it"],
}


@pytest.mark.parametrize("name", OUTPUT)
def test_an_example_prints_what_it_promises(name: str) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == OUTPUT[name]
    assert done.returncode == 0


def test_every_example_is_run_and_listed() -> None:
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert names == sorted(OUTPUT)
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
