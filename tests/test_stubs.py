"""The stubs say what the compiled bindings have."""

import subprocess
import sys

from tests.support.sources import ROOT

# Each with its reason.
ALLOWED = r"""
# what Cython adds
.*\.__reduce_cython__
.*\.__setstate_cython__
.*\.__test__
.*\.__pyx_capi__
.*\.(Block|BlockingLock|BlockingQueue|FieldType|Operation|ReadOnlyBlock|View)\.__init__
# made by the binding alone
.*\._core\.([A-Z][A-Za-z]*Pin|CopiedValue|Done|Lent|Message|PinnedValue|SeenItems|Sleeper)
# for the type checker alone
.*\._core\.(HolderRecord|Peeked)
# the stub names the parameters of __cinit__
.*\._core\.(KernelLock|Opening)\.__init__
.*\._msgpack\.(Bytes|Ink|Piece|Walk)
# what the module itself imports
.*\._msgpack\.(ItemsView|KeysView|ValuesView|datetime|timedelta|timezone|msgpack|ClosedError|CorruptSegmentError)
# `disjoint_base` needs a newer typing_extensions than users may have
.*\._core\.(Attachment|Blocking[A-Z][A-Za-z]*|Block|DescribedPin|FieldType|KernelLock|Lockable|Opening|Pin|Place)
.*\._core\.(ReadOnlyBlock|Reader|Region|Seen|SeenPlace|[A-Z][A-Za-z]*Handle|Handle|[A-Za-z]*Operation)
.*\._msgpack\.Owner
"""


def test_the_stubs_of_the_bindings_are_true(tmp_path) -> None:
    allowed = tmp_path / "allowed.txt"
    allowed.write_text(ALLOWED)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "aioipc._native._core",
            "aioipc._native._msgpack",
            f"--mypy-config-file={ROOT / 'pyproject.toml'}",
            f"--allowlist={allowed}",
            "--ignore-unused-allowlist",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


NAMED = """
from typing import assert_type
import aioipc
from aioipc import named

assert_type(named.Lock("a"), aioipc.Lock)
assert_type(named.Lock("a", spin_us=1), aioipc.Lock)
assert_type(named.Semaphore("b", 4), aioipc.Semaphore)
assert_type(named.Condition("c", named.RLock("d")), aioipc.Condition)
assert_type(named.RWLock("e", fair=True), aioipc.RWLock)
assert_type(named.CapacityLimiter("f", 2.0), aioipc.CapacityLimiter)
named.Lock("a", spin=1)  # type: ignore[call-arg]
named.Lock("a", spin_us="1")  # type: ignore[arg-type]
named.Lock()  # type: ignore[call-arg]
named.Lock(None)  # type: ignore[arg-type]
"""


def test_named_primitives_have_the_types_and_arguments_of_their_own(tmp_path) -> None:
    program = tmp_path / "program.py"
    program.write_text(NAMED)
    command = [sys.executable, "-m", "mypy", f"--config-file={ROOT / 'pyproject.toml'}", str(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
