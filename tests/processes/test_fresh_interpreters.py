"""The long form of all tests with peers: each has an interpreter of its own, rather than being forked."""

import os
import subprocess
import sys

import pytest

from tests.support.nursery import ROOT
from tests.support.peers import FRESH


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["processes", "faults", "properties"])
def test_peers_that_are_no_forks_do_the_same(folder: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{folder}"]
    environment = os.environ | {FRESH: "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
