"""Compiles the C tests with the core, in each build their first lines ask for, and runs them.

    // variants: plain asan tsan hook      (plain when the line is missing)
    // core: no                            (not linked with the core: tests of the harness itself)
    // leaves: bells                       (kills creators; `aioipc rm --stale` would remove their bells)

`test_*.c` run always and, as slow tests, once more with AIPC_TEST_FULL=1; `stress_*.c` are slow only.
"""

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.leaks import Snapshot, remove_entries

HERE = Path(__file__).parent
CORE = HERE.parents[1] / "aioipc" / "_native" / "core"

FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread", f"-I{CORE}"]
CORE_FLAGS = [*FLAGS, "-Wconversion"]
VARIANTS = {
    "plain": [],
    "asan": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"],
    "tsan": ["-fsanitize=thread"],
    "hook": ["-DAIPC_HOOK"],
}
SKIPPED = 77  # HARNESS_SKIPPED in step.h

Build = Callable[[Path, str], Path]


def header(source: Path, key: str) -> list[str]:
    """The words of `// key: …` among the first lines of a C test."""
    match = re.search(rf"^// {key}: (.*)$", "".join(source.read_text().splitlines(True)[:5]), re.MULTILINE)
    return match[1].split() if match else []


def programs(*patterns: str) -> list[object]:
    return [
        pytest.param(source, variant, id=f"{source.stem}-{variant}")
        for source in sorted(path for pattern in patterns for path in HERE.glob(pattern))
        for variant in header(source, "variants") or ["plain"]
    ]


def compile_c(*arguments: str | Path) -> None:
    done = subprocess.run(["gcc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(done.stderr, pytrace=False)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build(source, variant)` compiles one program; the core is compiled once a variant."""
    folder = tmp_path_factory.mktemp("native")

    @functools.cache
    def core_objects(variant: str) -> list[Path]:
        objects = {source: folder / f"{source.stem}.{variant}.o" for source in sorted(CORE.glob("*.c"))}
        flags = [*CORE_FLAGS, *VARIANTS[variant], "-c"]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda source: compile_c(*flags, source, "-o", objects[source]), objects))
        return list(objects.values())

    @functools.cache
    def program(source: Path, variant: str) -> Path:
        core = [] if header(source, "core") == ["no"] else core_objects(variant)
        binary = folder / f"{source.stem}.{variant}"
        compile_c(*FLAGS, *VARIANTS[variant], source, *core, "-o", binary)
        return binary

    return program


def run(binary: Path, variant: str, **environment: str) -> None:
    command = [str(binary)]
    if variant == "tsan" and _fixed_addresses():
        command = ["setarch", "-R", *command]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
        env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1"} | environment,
    )
    if done.returncode == SKIPPED:
        pytest.skip("this machine does not let a process trace its child")
    if done.returncode != 0:
        pytest.fail(f"exit status {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)


@functools.cache
def _fixed_addresses() -> bool:
    """Whether randomization can be turned off here: older TSan runtimes refuse its widest form."""
    tool = shutil.which("setarch")
    return tool is not None and subprocess.run([tool, "-R", "true"], check=False).returncode == 0


@contextlib.contextmanager
def leaving(source: Path) -> Iterator[None]:
    """Removes what a test may leave, and says so in its first lines."""
    before = Snapshot.take()
    yield
    if header(source, "leaves"):
        remove_entries(before.leaked_since())


@pytest.mark.parametrize(("source", "variant"), programs("test_*.c"))
def test_c(build: Build, source: Path, variant: str) -> None:
    with leaving(source):
        run(build(source, variant), variant)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "variant"), programs("test_*.c", "stress_*.c"))
def test_c_in_full(build: Build, source: Path, variant: str) -> None:
    with leaving(source):
        run(build(source, variant), variant, AIPC_TEST_FULL="1")


def test_a_failed_check_ends_the_children_of_the_test(build: Build, tmp_path: Path) -> None:
    source = tmp_path / "orphaning.c"
    source.write_text(
        "// core: no\n"
        f'#include "{HERE}/harness.h"\n'
        "static void parents(void) {\n"
        "    for (int i = 0; i < 2; i++)\n"
        "        if (fork() == 0) for (;;) i == 0 ? (void)raise(SIGSTOP) : (void)pause();\n"
        "    CHECK(false);\n"
        "}\n"
        "int main(void) { RUN(parents); return SUMMARY(); }\n"
    )
    with pytest.raises(pytest.fail.Exception, match=r"orphaning\.c:6: in parents"):  # in no time
        run(build(source, "plain"), "plain")


def test_a_failed_check_names_file_and_line(build: Build, tmp_path: Path) -> None:
    source = tmp_path / "failing.c"
    source.write_text(
        "// core: no\n"
        f'#include "{HERE}/harness.h"\n'
        "static void sums(void) { CHECK_EQ(1 + 1, 3); }\n"
        "int main(void) { RUN(sums); return SUMMARY(); }\n"
    )
    with pytest.raises(pytest.fail.Exception, match=r"1 \+ 1 is 2, 3 is 3\n.*failing\.c:3: in sums"):
        run(build(source, "plain"), "plain")
