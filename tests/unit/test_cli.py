"""Each command of `aioipc` in a process of its own, against real segments."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aioipc import Lock, ManagedSharedMemory
from tests.support.command_line import Outcome, aioipc, as_json
from tests.support.leaks import SHM
from tests.support.peers import Link, Peer
from tests.support.sources import ROOT

Spawn = Callable[..., Peer]
LONG_AGO = time.time() - 3600


def listed(name: str) -> dict[str, Any] | None:
    """What `ls` says of one segment."""
    found: dict[str, dict[str, Any]] = {one["name"]: one for one in as_json("ls")}
    return found.get(name)


def participant(test: Link, name: str, create: bool = False) -> None:
    if create:
        segment = ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach")
    else:
        segment = ManagedSharedMemory.open(name)
    with segment, Lock(segment, "orders").blocking:
        test.sync("attached")


# ----------------------------------------------------------------------------------------------- ls


def test_ls_shows_size_memory_age_owner_and_lifetime(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        segment.allocate(1000)
        seen = listed(segment_name)
        assert seen is not None
        assert seen["uuid"] == str(segment.uuid)
        assert (seen["size"], seen["free"]) == (1 << 20, segment.free_memory)
        assert seen["used"] == seen["size"] - seen["free"]
        assert (seen["alive"], seen["dead"], seen["in_use"]) == (1, 0, True)
        assert (seen["lifetime"], seen["mode"]) == ("persistent", "0600")
        assert (seen["creator_pid"], seen["trouble"]) == (os.getpid(), None)
        assert 0 <= time.time() - seen["created_at"] < 3600


def test_ls_prints_a_line_for_each_segment(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach"):
        lines = aioipc("ls").stdout.splitlines()
    assert " ".join(lines[0].split()) == "name size used free largest alive dead age owner lifetime"
    (line,) = [line for line in lines if line.startswith(segment_name)]
    assert line.split()[1:3] == ["1.0", "MiB"]
    assert line.split()[-1] == "last_detach"


def test_ls_leaves_out_what_is_no_segment() -> None:
    foreign = SHM / f"not-aioipc-{os.getpid()}"
    foreign.write_bytes(bytes(8192))
    try:
        assert listed(foreign.name) is None
    finally:
        foreign.unlink()


def test_ls_shows_damaged_segments_as_such(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20):
        pass
    os.truncate(SHM / segment_name, 1 << 19)
    done = aioipc("ls")
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(segment_name)]
    assert line.split()[1:] == ["damaged", *["?"] * 8]
    assert re.search(rf"^{segment_name}: .*truncated", done.stderr, re.MULTILINE)
    seen = listed(segment_name)
    assert seen is not None
    assert seen["damaged"] is True
    assert "truncated" in seen["trouble"]
    assert segment_name not in [info.name for info in ManagedSharedMemory.all()]


def test_ls_counts_the_living_and_not_the_killed(segment_name: str, spawn: Spawn) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20):
        pass
    peers = [spawn(participant, segment_name)]
    assert peers[0].receive() == "attached"
    peers[0].kill()  # holding the lock
    peers.append(spawn(participant, segment_name))
    assert peers[1].receive() == "attached"
    seen = listed(segment_name)
    assert seen is not None
    assert (seen["alive"], seen["in_use"]) == (1, True)
    peers[1].kill()
    seen = listed(segment_name)
    assert seen is not None
    assert (seen["alive"], seen["in_use"]) == (0, False)


def test_ls_removes_a_last_detach_segment_whose_last_user_was_killed(segment_name: str, spawn: Spawn) -> None:
    peer = spawn(participant, segment_name, True)
    assert peer.receive() == "attached"
    peer.kill()
    assert (SHM / segment_name).exists()
    done = aioipc("ls")
    assert done.returncode == 0
    assert segment_name not in done.stdout
    assert f"removed {segment_name}" in done.stderr
    assert not (SHM / segment_name).exists()


# ------------------------------------------------------------------------------------- info and check


def test_info_shows_participants_and_named_objects(segment_name: str, spawn: Spawn) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        peer = spawn(participant, segment_name)
        assert peer.receive() == "attached"
        seen = as_json("info", segment_name)
        assert {other["pid"] for other in seen["participants"]} == {os.getpid(), peer.pid}
        assert all(other["alive"] for other in seen["participants"])
        assert [(found["name"], found["type"]) for found in seen["objects"]] == [("orders", "Lock")]
        text = aioipc("info", segment_name).stdout
        assert str(segment.uuid) in text
        assert re.search(rf"^{peer.pid} +alive", text, re.MULTILINE)
        peer.go()
        peer.result()


def test_check_of_a_sound_segment_exits_with_0(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        segment.allocate(100)
        done = aioipc("check", segment_name)
        assert done.returncode == 0
        assert done.stdout.startswith(f"{segment_name}: sound")
        seen = as_json("check", segment_name)
    assert seen["sound"] is True
    assert seen["findings"] == []
    assert seen["counts"]["user_blocks"] == 1


def test_check_after_a_kill_is_sound(segment_name: str, spawn: Spawn) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20):
        pass
    peer = spawn(participant, segment_name)
    assert peer.receive() == "attached"
    peer.kill()
    assert aioipc("check", segment_name).returncode == 0


def test_check_finds_a_damaged_block(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        handle = segment.allocate(100).handle
    with (SHM / segment_name).open("r+b") as file:
        file.seek(handle - 8)  # the block's header
        file.write(b"\xff" * 8)
    done = aioipc("check", segment_name)
    assert done.returncode == 1
    assert "damaged" in done.stdout
    seen = as_json("check", segment_name)
    assert seen["sound"] is False
    assert seen["findings"][0].keys() == {"what", "offset", "found", "expected", "place", "words"}
    assert "H1" in seen["findings"][0]["words"]
    assert "To do: " in done.stdout


def test_check_of_a_truncated_segment_is_a_finding(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20):
        pass
    os.truncate(SHM / segment_name, 4096)
    done = aioipc("check", segment_name, "--json")
    assert done.returncode == 1
    assert "truncated" in json.loads(done.stdout)["findings"][0]["what"]


# ------------------------------------------------------------------------------------------------ rm


def test_rm_takes_the_name_away_and_leaves_the_memory_to_its_users(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        done = aioipc("rm", segment_name)
        assert (done.returncode, done.stdout) == (0, f"removed {segment_name}\n")
        assert not ManagedSharedMemory.exists(segment_name)
        segment.allocate(100)


def test_rm_says_what_it_could_not_remove(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20):
        pass
    done = aioipc("rm", "no-such-segment", segment_name, "--json")
    assert done.returncode == 1
    seen = json.loads(done.stdout)
    assert seen["removed"] == [segment_name]
    assert "no-such-segment" in seen["failed"]
    assert "no-such-segment" in done.stderr


def test_rm_refuses_what_is_no_segment() -> None:
    foreign = SHM / f"not-aioipc-{os.getpid()}"
    foreign.write_bytes(bytes(8192))
    try:
        assert aioipc("rm", foreign.name).returncode == 1
        assert foreign.exists()
    finally:
        foreign.unlink()


@pytest.fixture
def leftovers() -> Any:
    """A half-made segment of a killed creator, and bells without a segment: both an hour old."""
    temporary = SHM / f".aioipc-tmp-1-{secrets.token_hex(8)}"
    temporary.write_bytes(bytes(4096))
    bells = SHM / f".aioipc-{secrets.token_hex(16)}"
    bells.mkdir()
    os.mkfifo(bells / "0-1-0")
    for path in (temporary, bells):
        os.utime(path, (LONG_AGO, LONG_AGO))
    yield [temporary, bells]
    temporary.unlink(missing_ok=True)
    if bells.exists():
        (bells / "0-1-0").unlink(missing_ok=True)
        bells.rmdir()


def test_rm_stale_removes_what_killed_processes_left(
    segment_name: str, spawn: Spawn, leftovers: list[Path]
) -> None:
    persistent = f"{segment_name}-kept"
    with ManagedSharedMemory.create(persistent, 1 << 20):
        pass
    peer = spawn(participant, segment_name, True)
    assert peer.receive() == "attached"
    peer.kill()
    seen = as_json("rm", "--stale")
    try:
        assert {segment_name, *(path.name for path in leftovers)} <= set(seen["removed"])
        assert not any(path.exists() for path in [SHM / segment_name, *leftovers])
        assert ManagedSharedMemory.exists(persistent)
    finally:
        ManagedSharedMemory.remove(persistent)


def test_rm_stale_leaves_what_is_in_use(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        os.utime(SHM / f".aioipc-{segment.uuid.hex}", (LONG_AGO, LONG_AGO))
        assert segment_name not in aioipc("rm", "--stale").stdout
        assert (SHM / f".aioipc-{segment.uuid.hex}").exists()
        assert aioipc("info", segment_name).returncode == 0


# --------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize("command", ["info", "check", "rm"])
def test_a_segment_that_is_not_there_is_one_line_and_exit_1(command: str) -> None:
    done = aioipc(command, "no-such-segment")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "Error: there is no segment named 'no-such-segment'\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frob"],
        ["info"],
        ["info", ""],
        ["check", ".aioipc-x"],
        ["rm"],
        ["rm", ".aioipc-x"],
        ["map", "x", "--width", "1"],
        ["completion", "tcsh"],
        ["rm", "name", "--stale"],
        ["demo", "--files", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = aioipc(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error:" in done.stderr


def test_python_runs_the_package_as_a_program() -> None:
    command = [sys.executable, "-m", "aioipc", "info", "no-such-segment"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    told = Outcome(done.returncode, done.stdout, done.stderr)
    assert (
        told
        == aioipc("info", "no-such-segment")
        == (1, "", "Error: there is no segment named 'no-such-segment'\n")
    )


def test_a_missing_extra_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from aioipc.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "aioipc: the command line needs click and rich: pip install 'aioipc[cli]'"
    ]
