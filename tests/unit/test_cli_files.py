"""The commands of `aioipc` on segments in files, on what is damaged or foreign, and shells that complete."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aioipc import Lock, ManagedMappedFile, ManagedSharedMemory, SharedDict
from tests.support.command_line import aioipc, as_json
from tests.support.leaks import SHM
from tests.support.peers import Link, Peer
from tests.support.sources import ROOT

Spawn = Callable[..., Peer]
SIZE = 1 << 20
PYTHONPATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.segment"
    with ManagedMappedFile.create(path, SIZE, participants=8) as segment:
        SharedDict(segment, "prices")["tea"] = 3
        segment.allocate(5000)
    return path


# --------------------------------------------------------------------------------------------- files


def test_every_command_takes_a_file(file: Path) -> None:
    where = str(file)
    (seen,) = as_json("ls", where)
    assert (seen["name"], seen["size"], seen["damaged"], seen["trouble"]) == (where, SIZE, False, None)
    assert seen["largest"] <= seen["free"] < SIZE
    assert as_json("info", where)["objects"][0]["name"] == "prices"
    assert as_json("check", where)["sound"] is True
    assert as_json("map", where)["size"] == SIZE
    assert as_json("dump", where)["objects"][0]["items"] == [["tea", 3]]
    assert aioipc("rm", where).stdout == f"removed {where}\n"
    assert not file.exists()


def test_relative_paths_have_a_slash(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relative = os.path.relpath(file)
    assert "/" in relative
    assert as_json("info", relative)["name"] == str(file)


def test_ls_of_a_directory_lists_the_segments_in_it(file: Path) -> None:
    (file.parent / "note.txt").write_text("x" * 5000)
    (file.parent / "link").symlink_to(file)
    (file.parent / "folder").mkdir()
    damaged = file.parent / "z.segment"
    shutil.copy(file, damaged)
    os.truncate(damaged, SIZE // 2)
    done = aioipc("ls", str(file.parent))
    assert done.returncode == 1
    lines = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert lines == [str(file), str(damaged)]
    assert "truncated" in done.stderr
    (sound, broken) = as_json("ls", str(file.parent))
    assert (sound["damaged"], broken["damaged"]) == (False, True)


def test_ls_of_names_shows_only_them(segment_name: str, file: Path) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE):
        assert [one["name"] for one in as_json("ls", str(file), segment_name)] == [str(file), segment_name]
        done = aioipc("ls", segment_name, "no-such-segment")
    assert done.returncode == 1
    assert "no-such-segment" in done.stderr


def test_check_takes_several(segment_name: str, file: Path) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE):
        assert aioipc("check", segment_name, str(file)).returncode == 0
        results = as_json("check", segment_name, str(file), "no-such-segment")
    assert [result["sound"] for result in results] == [True, True, None]
    assert "no-such-segment" in results[2]["trouble"]
    assert aioipc("check", str(file), "no-such-segment").returncode == 1


# ------------------------------------------------------------------------- damaged, foreign, strange


COMMANDS = ("info", "check", "map", "dump", "rm")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b""), "segment"),
        (lambda path: path.write_bytes(b"no segment at all" * 1000), "segment"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: os.mkfifo(path), "segment"),
        (lambda path: path.symlink_to("/etc/passwd"), "symbolic"),
        (lambda path: None, "there is no"),
    ],
    ids=["empty", "text", "directory", "fifo", "link", "nothing"],
)
def test_what_is_no_segment_is_one_line(
    command: str, make: Callable[[Path], Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "strange"
    make(path)
    done = aioipc(command, str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "rm"])
def test_another_version_is_named(command: str, file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(8)
        opened.write(b"\x63\x00\x00\x00")
    done = aioipc(command, str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert "version" in done.stderr
    assert "99" in done.stderr or "0x63" in done.stderr


@pytest.mark.parametrize("command", ["info", "map", "dump"])
def test_a_damaged_segment_is_one_line(command: str, file: Path) -> None:
    os.truncate(file, SIZE // 2)
    done = aioipc(command, str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert "truncated" in done.stderr
    found = aioipc("check", str(file))
    assert (found.returncode, found.stderr) == (1, "")
    assert "truncated" in found.stdout


def test_a_damaged_heap_is_drawn_as_an_error(file: Path) -> None:
    with ManagedMappedFile.open(file) as segment:
        handle = segment.allocate(100).handle
        with file.open("r+b") as opened:
            opened.seek(handle - 8)
            opened.write(b"\xff" * 8)
        done = aioipc("map", str(file))
        assert done.returncode == 1
        assert "H1" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a segment to another user")
def test_another_users_segment_is_asked_for_by_name(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        Lock(segment, "orders")
    os.chown(SHM / segment_name, 12345, 12345)
    for command in COMMANDS:
        done = aioipc(command, segment_name)
        assert (done.returncode, done.stdout) == (1, "")
        assert "belongs to user 12345" in done.stderr
    (seen,) = as_json("ls", segment_name)
    assert (seen["owner"], seen["free"]) == ("12345", None)
    assert "12345" in seen["trouble"]
    for command in COMMANDS:
        assert aioipc(command, segment_name, "--any-owner").returncode == 0


# -------------------------------------------------------------------------------------- who holds what


def hold(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment, Lock(segment, "orders").blocking:
        test.sync("held")


def test_info_says_who_holds_what(segment_name: str, spawn: Spawn) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach"):
        peer = spawn(hold, segment_name)
        assert peer.receive() == "held"
        assert (
            f"process {peer.pid} (thread {peer.pid}) holds the Lock 'orders'"
            in aioipc("info", segment_name).stdout
        )
        held = [one for one in as_json("info", segment_name)["holders"] if one["what"] == "lock"]
        assert [(one["pid"], one["name"], one["type"], one["alive"]) for one in held] == [
            (peer.pid, "orders", "Lock", True)
        ]
        peer.kill()


# ------------------------------------------------------------------------------------------------ map


def test_map_draws_what_memory_is_used_for(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, participants=8) as segment:
        blocks = [segment.allocate(4000) for _ in range(100)]
        for block in blocks[::2]:
            segment.deallocate(block)
        seen = as_json("map", segment_name, "--width", "64", "--lines", "16")
        totals = seen["totals"]
        assert seen["free"] == segment.free_memory
        done = aioipc("map", segment_name, "--width", "64", "--lines", "8")
    assert sum(totals.values()) == SIZE
    assert sum(sum(cell.values()) for cell in seen["cells"]) == SIZE
    assert 50 * 4000 <= totals["user"] < 50 * 4100
    assert seen["free_blocks"] == {"2048": 50, "524288": 1}
    assert 0.2 < seen["fragmentation"] < 0.6
    drawn = done.stdout.splitlines()
    assert [len(line) for line in drawn[:8]] == [64] * 8
    assert {*"".join(drawn[:8])} >= {"·", "█", "░"}
    assert "51 pieces" in drawn[-1]


def test_map_shows_what_was_trimmed(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 4 * SIZE) as segment:
        given = segment.trim()
        seen = as_json("map", segment_name, "--width", "64", "--lines", "16")
        drawn = aioipc("map", segment_name).stdout
    assert given <= seen["totals"]["trimmed"] < given + 8192
    assert seen["free"] > seen["totals"]["trimmed"] > 3 * SIZE
    assert "╌" in drawn
    assert "given back to the system" in drawn


@pytest.mark.parametrize("width", [8, 79, 1000])
def test_map_scales_to_any_width(segment_name: str, width: int) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE):
        lines = aioipc("map", segment_name, "--width", str(width), "--lines", "3").stdout.splitlines()
    assert [len(line) for line in lines[:2]] == [width] * 2
    assert 0 < len(lines[2]) <= width


def test_map_of_a_small_segment_has_no_cells_beyond_its_end(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 64 << 10, participants=2) as segment:
        seen = as_json("map", segment_name, "--width", "1000", "--lines", "100")
        assert len(seen["cells"]) <= 100_000
        assert sum(sum(cell.values()) for cell in seen["cells"]) == segment.size


def test_map_without_a_terminal_that_has_blocks_is_ascii(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        segment.allocate(SIZE // 4)
        command = [sys.executable, "-m", "aioipc", "map", segment_name, "--width", "40"]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": PYTHONPATH}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.isascii()
    assert {*"".join(done.stdout.splitlines()[:16])} >= {".", "#", "%"}


# ----------------------------------------------------------------------------------------- completion


@pytest.fixture
def path_with_aioipc(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "aioipc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m aioipc "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": PYTHONPATH}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_and_names(segment_name: str, path_with_aioipc: dict[str, str]) -> None:
    script = """
        eval "$(aioipc completion bash)"
        complete_words() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _aioipc_completion aioipc
            echo "${COMPREPLY[@]}"
        }
        complete_words aioipc in
        complete_words aioipc info %s
        complete_words aioipc rm no-such
    """
    with ManagedSharedMemory.create(segment_name, SIZE):
        done = subprocess.run(
            ["bash", "-c", script % segment_name[:-1]],
            capture_output=True,
            text=True,
            env=path_with_aioipc,
            check=True,
        )
    assert done.stdout.splitlines() == ["info", segment_name, ""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_ask_for_names_of_segments(
    shell: str, segment_name: str, path_with_aioipc: dict[str, str]
) -> None:
    script = aioipc("completion", shell)
    assert script.returncode == 0
    assert f"_AIOIPC_COMPLETE={shell}_complete" in script.stdout
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=script.stdout, text=True, check=True)
    words = {"COMP_WORDS": f"aioipc check {segment_name[:-1]}", "COMP_CWORD": "2"}
    if shell == "fish":
        words["COMP_CWORD"] = segment_name[:-1]
    with ManagedSharedMemory.create(segment_name, SIZE):
        done = subprocess.run(
            ["aioipc"],
            capture_output=True,
            text=True,
            env={**path_with_aioipc, **words, "_AIOIPC_COMPLETE": f"{shell}_complete"},
            check=True,
        )
    assert segment_name in done.stdout


def test_json_is_one_value(segment_name: str, file: Path) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE):
        for command in ("ls", "info", "check", "map", "dump", "rm"):
            arguments = [] if command == "ls" else [segment_name]
            assert json.loads(aioipc(command, *arguments, "--json").stdout) is not None
