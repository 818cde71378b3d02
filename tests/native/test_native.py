"""Compiles the C tests with the core, in each build their first lines ask for, and runs them.

`test_*.c` run always and, as slow tests, once more with AIPC_TEST_FULL=1; `stress_*.c` are slow only.
The programs run ahead of the tests that report them, as many at a time as there are processors.  Each says
what its tests cost: `pytest -rP -k NAME`.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.c_programs import NATIVE, PROCESSORS, VARIANTS, Workshop, header, succeed
from tests.support.leaks import FEW, Snapshot, remove_entries


class Job(NamedTuple):
    source: Path
    variant: str
    full: bool

    def run(self, workshop: Workshop) -> str:
        program = workshop.program(self.source, *VARIANTS[self.variant], *["-O2"] * self.full)
        return succeed(program, self.variant, **{"AIPC_TEST_FULL": "1"} if self.full else {})


Jobs = Mapping[Job, Future[str]]


def programs(*patterns: str) -> list[object]:
    return [
        pytest.param(source, variant, id=f"{source.stem}-{variant}")
        for source in sorted((path for pattern in patterns for path in NATIVE.glob(pattern)), key=_turn)
        for variant in header(source, "variants") or ["plain"]
    ]


def _turn(source: Path) -> tuple[bool, str]:
    """Those that leave something behind come last: their tests would wait for all others."""
    return bool(header(source, "leaves")), source.name


def asked_for(session: pytest.Session) -> list[Job]:
    """What the tests of this run report."""
    full = {test_c: False, test_c_in_full: True}
    tests = [item for item in session.items if isinstance(item, pytest.Function) and item.function in full]
    return [
        Job(test.callspec.params["source"], test.callspec.params["variant"], full[test.function])
        for test in tests
    ]


@pytest.fixture(scope="module")
def jobs(request: pytest.FixtureRequest, workshop: Workshop) -> Iterator[Jobs]:
    """Starts the programs, last those that leave something behind; fails when others have left something."""
    before = Snapshot.take()
    pool = ThreadPoolExecutor(PROCESSORS)

    def look() -> list[str]:
        wait(tidy.values())
        return before.leaked_since()

    def run_after_look(job: Job) -> str:
        wait([looked])
        return job.run(workshop)

    asked = asked_for(request.session)
    tidy = {job: pool.submit(job.run, workshop) for job in asked if not header(job.source, "leaves")}
    looked = pool.submit(look)
    yield tidy | {job: pool.submit(run_after_look, job) for job in asked if job not in tidy}
    pool.shutdown(cancel_futures=True)
    leaks = [] if looked.cancelled() else looked.result()
    remove_entries(leaks + before.leaked_since(FEW))
    if leaks:
        pytest.fail("a C test leaks (-k runs one alone): " + "; ".join(leaks), pytrace=False)


@pytest.mark.no_leak_check  # of one alone: others run beside it
@pytest.mark.parametrize(("source", "variant"), programs("test_*.c"))
def test_c(jobs: Jobs, source: Path, variant: str) -> None:
    print(jobs[Job(source, variant, full=False)].result())


@pytest.mark.slow
@pytest.mark.no_leak_check
@pytest.mark.parametrize(("source", "variant"), programs("test_*.c", "stress_*.c"))
def test_c_in_full(jobs: Jobs, source: Path, variant: str) -> None:
    print(jobs[Job(source, variant, full=True)].result())


def test_a_failed_check_ends_the_children_of_the_test(workshop: Workshop, tmp_path: Path) -> None:
    source = tmp_path / "orphaning.c"
    source.write_text(
        "// core: no\n"
        f'#include "{NATIVE}/harness.h"\n'
        "static void parents(void) {\n"
        "    for (int i = 0; i < 2; i++)\n"
        "        if (fork() == 0) for (;;) i == 0 ? (void)raise(SIGSTOP) : (void)pause();\n"
        "    CHECK(false);\n"
        "}\n"
        "int main(void) { RUN(parents); return SUMMARY(); }\n"
    )
    with pytest.raises(pytest.fail.Exception, match=r"orphaning\.c:6: in parents"):  # in no time
        succeed(workshop.program(source))


def test_a_failed_check_names_file_and_line(workshop: Workshop, tmp_path: Path) -> None:
    source = tmp_path / "failing.c"
    source.write_text(
        "// core: no\n"
        f'#include "{NATIVE}/harness.h"\n'
        "static void sums(void) { CHECK_EQ(1 + 1, 3); }\n"
        "int main(void) { RUN(sums); return SUMMARY(); }\n"
    )
    with pytest.raises(pytest.fail.Exception, match=r"1 \+ 1 is 2, 3 is 3\n.*failing\.c:3: in sums"):
        succeed(workshop.program(source))
