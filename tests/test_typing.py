"""What strict mypy makes of programs that use structs: with the plugin, and without."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT

PLUGIN = "[mypy]\nstrict = true\nplugins = aioipc.mypy\n"
PLAIN = "[mypy]\nstrict = true\n"

WITH_PLUGIN = """
import aioipc as ipc
from aioipc import AtomicInt64, Struct, fixed_bytes, fixed_str, float64

class Inner(Struct):
    a: ipc.int16

class Tick(Struct):
    price: ipc.float64
    volume: ipc.uint32 = 3
    open: ipc.bool_
    bids: float64[16]
    grid: float64[3, 4]
    label: fixed_str[32]
    raw: fixed_bytes[4]
    hits: AtomicInt64
    many: AtomicInt64[4]
    inner: Inner
    inners: Inner[2]

def use(segment: ipc.ManagedSegment) -> None:
    tick = Tick(segment, "t", price=1.0)
    reveal_type(tick.price)  # float
    reveal_type(tick.volume)  # int
    reveal_type(tick.open)  # bool
    reveal_type(tick.bids[3])  # float
    reveal_type(tick.bids[3:])  # list[float]
    reveal_type(tick.grid[1][2])  # float
    reveal_type(tick.label)  # str
    reveal_type(tick.raw)  # bytes
    reveal_type(tick.hits.add())  # int
    reveal_type(tick.many[0].load())  # int
    reveal_type(tick.inner.a)  # int
    reveal_type(tick.inners[0].a)  # int
    reveal_type(segment.construct(Tick, "ts", count=100)[7])  # user.Tick
    tick.price, tick.volume, tick.label = 1.5, 7, "x"
    tick.bids = [1.0] * 16
    tick.bids[0] = 1.0
    tick.hits = 5
"""

WITHOUT = """
from typing import Annotated
import aioipc as ipc

class Tick(ipc.Struct):
    price: ipc.float64
    label: Annotated[str, ipc.fixed_str[32]]
    bids: Annotated[ipc.Items[float], ipc.float64[16]]

def use(segment: ipc.ManagedSegment) -> None:
    tick = Tick(segment, "t", price=1.0)
    reveal_type(tick.price)  # float
    reveal_type(tick.label)  # str
    reveal_type(tick.bids[3])  # float
"""

POINTERS = """
import aioipc as ipc
from aioipc import IntrusivePtr, ScopedPtr, SharedPtr, UniquePtr, WeakPtr

class Node(ipc.Struct):
    value: ipc.int64
    next: SharedPtr["Node"]
    child: UniquePtr["Node"]
    parent: WeakPtr["Node"]

def use(segment: ipc.ManagedSegment) -> None:
    pointer = SharedPtr(segment, Node, "n", value=1)
    reveal_type(pointer.target.value)  # int
    reveal_type(pointer.get())  # user.Node | None
    reveal_type(pointer.copy().target.next.target)  # user.Node
    reveal_type(SharedPtr(segment, pointer).target)  # user.Node
    reveal_type(SharedPtr(segment, pointer.target).target)  # user.Node
    reveal_type(IntrusivePtr(pointer.target).target)  # user.Node
    reveal_type(WeakPtr(pointer).lock())  # aioipc.shared_pointers.SharedPtr[user.Node] | None
    reveal_type(pointer.target.parent.lock())  # aioipc.shared_pointers.SharedPtr[user.Node] | None
    reveal_type(pointer.target.child.get())  # user.Node | None
    reveal_type(pointer.target.child.take().share().target)  # user.Node
    reveal_type(pointer.alias(3).target)  # int
    with UniquePtr(segment, Node, value=2) as unique, ScopedPtr(segment, unique.target) as scope:
        reveal_type(scope.release())  # user.Node
        pointer.target.child = unique
    pointer.target.next = pointer
    pointer.target.next = pointer.target
    pointer.target.next = None
    pointer.target.parent = pointer
    pointer.target.child = pointer.target.child
"""

WRONG = """
import aioipc as ipc

class Tick(ipc.Struct):
    price: ipc.float64
    bids: ipc.float64[16]
    odd: ipc.float64["x"]

def use(tick: Tick) -> None:
    tick.price = "x"
    tick.prize = 1.0
    tick.bids = 3
"""


def mypy(folder: Path, settings: str, program: str) -> list[str]:
    """What mypy says of the program: a line of it and the message."""
    (folder / "mypy.ini").write_text(settings)
    (folder / "user.py").write_text(program)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(folder / "mypy.ini"),
        str(folder / "user.py"),
    ]
    cache = ["--cache-dir", str(folder / "cache")]
    done = subprocess.run([*command, *cache], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    lines = program.splitlines()
    said = [
        line.partition("user.py:")[2].split(":", 1) for line in done.stdout.splitlines() if "user.py:" in line
    ]
    return [f"{lines[int(number) - 1].strip()}: {text.strip()}" for number, text in said]


@pytest.mark.parametrize(
    ("settings", "program"), [(PLUGIN, WITH_PLUGIN), (PLAIN, WITHOUT), (PLAIN, POINTERS)]
)
def test_fields_have_the_types_of_their_values(tmp_path: Path, settings: str, program: str) -> None:
    expected = [line.strip() for line in program.splitlines() if "reveal_type" in line]
    assert mypy(tmp_path, settings, program) == [
        f'{line}: note: Revealed type is "{line.partition("# ")[2]}"' for line in expected
    ]


def test_wrong_uses_are_found(tmp_path: Path) -> None:
    found = [line.partition(": error: ")[::2] for line in mypy(tmp_path, PLUGIN, WRONG)]
    assert [line for line, _ in found] == [
        'odd: ipc.float64["x"]',
        'tick.price = "x"',
        "tick.prize = 1.0",
        "tick.bids = 3",
    ]
    assert found[0][1].startswith("a shape is made of whole numbers")
