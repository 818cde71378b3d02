"""The command line in a process of its own."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

from aioipc.cli import commands
from tests.support.peers import Link, spawn


class Outcome(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def aioipc(*arguments: str) -> Outcome:
    """Run it; no command may ever show a traceback."""
    peer = spawn(command_line, *arguments)
    try:
        outcome = Outcome(*peer.result())
    finally:
        peer.discard()
    assert "Traceback" not in outcome.stderr
    return outcome


def command_line(test: Link, *arguments: str) -> Outcome:
    """What runs there."""
    sys.argv[1:] = arguments
    code: Any = 0
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            commands(prog_name="aioipc")
        except SystemExit as end:
            code = end.code
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return Outcome(code or 0, *said)


def as_json(*arguments: str) -> Any:
    """What it prints with --json."""
    return json.loads(aioipc(*arguments, "--json").stdout)
