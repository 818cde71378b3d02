"""Compiles the C tests with the core and runs them, as many at a time as there are processors.

    // variants: plain asan tsan hook      (plain when the line is missing)
    // core: no                            (not linked with the core: tests of the harness itself)
    // leaves: bells                       (kills creators; `aioipc rm --stale` would remove their bells)

What a program says of itself in its first lines.
"""

import functools
import itertools
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[1] / "native"
CORE = NATIVE.parents[1] / "aioipc" / "_native" / "core"
PROCESSORS = len(os.sched_getaffinity(0))

FLAGS = ("-std=gnu11", "-g1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread", f"-I{CORE}")
CORE_FLAGS = (*FLAGS, "-Wconversion")
# What is instrumented need not be optimized much; in the long form it is.
LIGHT = ("-O1", "-Wno-format-truncation")  # so it knows too little of lengths
VARIANTS = {
    "plain": ("-O2",),
    "asan": (*LIGHT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"),
    "tsan": (*LIGHT, "-fsanitize=thread"),
    "hook": (*LIGHT, "-DAIPC_HOOK"),
}
SKIPPED = 77  # HARNESS_SKIPPED in step_ptrace.h


def header(source: Path, key: str) -> list[str]:
    """The words of `// key: …` among the first lines of a C test."""
    match = re.search(rf"^// {key}: (.*)$", "".join(source.read_text().splitlines(True)[:5]), re.MULTILINE)
    return match[1].split() if match else []


class Workshop:
    """Compiles each file once for each set of flags, several at a time; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(PROCESSORS)
        self._lock = threading.Lock()
        self._objects: dict[tuple[Path, tuple[str, ...]], Future[Path]] = {}
        self._serial = itertools.count()

    def program(self, source: Path, *flags: str, instead: Mapping[str, Path] | None = None) -> Path:
        """Compiles a C test, with the core when it asks for that; `instead`: broken files of the core."""
        files = [] if header(source, "core") == ["no"] else sorted(CORE.glob("*.c"))
        broken = {
            name: self._object(path, *CORE_FLAGS, *flags, "-w") for name, path in (instead or {}).items()
        }
        core = [broken.get(file.name) or self._object(file, *CORE_FLAGS, *flags) for file in files]
        objects = [future.result() for future in (self._object(source, *FLAGS, *flags), *core)]
        program = self._new_path(source, "")
        _compile(*FLAGS, *flags, *objects, "-o", program)
        return program

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _object(self, source: Path, *flags: str) -> Future[Path]:
        with self._lock:
            if (source, flags) not in self._objects:
                made = self._new_path(source, ".o")
                self._objects[source, flags] = self._pool.submit(_compile, *flags, "-c", source, "-o", made)
            return self._objects[source, flags]

    def _new_path(self, source: Path, suffix: str) -> Path:
        return self._folder / f"{source.stem}.{next(self._serial)}{suffix}"


def _compile(*arguments: str | Path) -> Path:
    done = subprocess.run(["gcc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(done.stderr, pytrace=False)
    return Path(arguments[-1])


def run(program: Path, variant: str = "plain", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end; skips the test when the program says that it cannot run here."""
    done = subprocess.run(
        ["setarch", "-R", program] if variant == "tsan" and _fixed_addresses() else [program],
        capture_output=True,
        text=True,
        check=False,
        cwd=NATIVE,
        env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1"} | environment,
    )
    if done.returncode == SKIPPED:
        pytest.skip("this machine does not let a process trace its child")
    return done


def succeed(program: Path, variant: str = "plain", **environment: str) -> str:
    """Runs a program that must not fail; what it says of its tests."""
    done = run(program, variant, **environment)
    if done.returncode != 0:
        pytest.fail(f"exit status {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stderr


@functools.cache
def _fixed_addresses() -> bool:
    """Whether randomization can be turned off here: older TSan runtimes refuse its widest form."""
    tool = shutil.which("setarch")
    return tool is not None and subprocess.run([tool, "-R", "true"], check=False).returncode == 0
