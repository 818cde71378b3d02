"""The helpers in tests/support and the fixtures of conftest.py do what the other tests rely on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import sniffio

from tests.support.leaks import SHM, Snapshot, remove_entries
from tests.support.nursery import ROOT
from tests.support.peers import Link, Peer, PeerExitedError, PeerFailedError

Spawn = Callable[..., Peer]


def test_a_body_runs_under_each_loop(loop_name: str, run_async: Callable[..., Any]) -> None:
    async def body() -> tuple[str, str]:
        await anyio.lowlevel.checkpoint()
        name = sniffio.current_async_library()
        return name, type(asyncio.get_running_loop()).__module__ if name == "asyncio" else ""

    library, loop_module = run_async(body)
    assert library == ("trio" if loop_name == "trio" else "asyncio")
    assert loop_module.startswith("uvloop") == (loop_name == "uvloop")


@pytest.mark.anyio
async def test_a_coroutine_test_runs_under_each_loop(anyio_backend: tuple[str, object]) -> None:
    await anyio.lowlevel.checkpoint()
    assert sniffio.current_async_library() == anyio_backend[0]


@pytest.mark.asyncio
async def test_a_coroutine_test_may_ask_for_asyncio_only() -> None:
    assert sniffio.current_async_library() == "asyncio"


def echo(test: Link, first: str) -> int:
    assert test.sync(first) == "go"
    test.send({"echo": test.receive()})
    return 42


async def echo_async(test: Link, first: str) -> str:
    assert await test.sync_async(first) == "go"
    return sniffio.current_async_library()


def fail(test: Link) -> None:
    raise ValueError("on purpose")


def test_a_peer_is_led_step_by_step(spawn: Spawn) -> None:
    peer = spawn(echo, "started")
    assert peer.receive() == "started"
    peer.go()
    peer.send([1, 2])
    assert peer.receive() == {"echo": [1, 2]}
    assert peer.result() == 42
    assert peer.wait() == 0


def test_an_async_role_runs_under_the_loop_asked_for(spawn: Spawn) -> None:
    peer = spawn(echo_async, "started", loop="trio")
    assert peer.receive() == "started"
    peer.go()
    assert peer.result() == "trio"


def test_a_failing_role_is_reported_with_its_traceback(spawn: Spawn) -> None:
    with pytest.raises(PeerFailedError, match="on purpose"):
        spawn("tests.test_support:fail").receive()


def test_a_killed_peer_is_gone_at_once(spawn: Spawn) -> None:
    peer = spawn(echo, "started")
    assert peer.receive() == "started"
    peer.kill()
    assert peer.wait() == -signal.SIGKILL
    with pytest.raises(PeerExitedError):
        peer.receive()


def test_a_stopped_peer_answers_when_resumed(spawn: Spawn) -> None:
    peer = spawn(echo, "started")
    assert peer.receive() == "started"
    peer.stop()
    peer.go()
    peer.send(None)
    assert ") T " in Path(f"/proc/{peer.pid}/stat").read_text()
    peer.resume()
    assert peer.receive() == {"echo": None}


def test_leaks_are_seen_and_removed() -> None:
    before = Snapshot.take()
    name = f"aioipc-test-leak-{os.getpid()}"
    fd = os.open(SHM / name, os.O_RDWR | os.O_CREAT)
    memory = os.memfd_create("aioipc-test")
    try:
        leaks = before.leaked_since()
        assert leaks[0] == f"/dev/shm entry {name}"
        assert sorted(leak.split()[0] for leak in leaks) == ["/dev/shm", "open", "open"]
        remove_entries(leaks)
        assert not (SHM / name).exists()
    finally:
        os.close(fd)
        os.close(memory)
    assert before.leaked_since() == []


def test_a_hung_test_is_ended_with_its_stack(tmp_path: Path) -> None:
    hanging = tmp_path / "test_hanging.py"
    hanging.write_text("import threading\n\ndef test_hangs():\n    threading.Event().wait()\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-c", str(ROOT / "pyproject.toml"), str(hanging)],
        cwd=ROOT,
        env=os.environ | {"AIOIPC_TEST_TIMEOUT": "0.5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "in test_hangs" in done.stderr
