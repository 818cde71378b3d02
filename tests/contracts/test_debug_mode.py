"""The contracts under asyncio's debug mode, which the short form leaves out."""

import os
import subprocess
import sys

import pytest

from tests.support.sources import ROOT


@pytest.mark.slow
def test_the_contracts_hold_in_asyncios_debug_mode() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "tests/contracts", "tests/faults"]
    environment = os.environ | {"AIOIPC_TEST_LOOPS": "asyncio-debug"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
