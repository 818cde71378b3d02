"""Builds and runs the C and C++ programs in benchmarks/native, in turn, and compares their lines.

Each program prints `name  median  min  max` for each of its cases; the names are the same on both sides.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
CORE = HERE.parent / "aioipc" / "_native" / "core"
_LINE = re.compile(r"^(.*\S)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)$")


def build_core(source: str) -> Path:
    """A program of ours: the core compiled the way the wheel compiles it."""
    program = Path(tempfile.mkdtemp()) / source.removesuffix(".c")
    include = [f"-I{CORE}", f"-I{HERE / 'native'}", f"-I{HERE.parent / 'tests' / 'native'}"]
    flags = ["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-pthread"]
    core = [str(path) for path in sorted(CORE.glob("*.c"))]
    subprocess.run(["gcc", *flags, *include, str(HERE / "native" / source), *core, "-o", program], check=True)
    return program


def build_boost(source: str) -> Path | None:
    """Boost's side of it; None, and a line that says so, when Boost's headers are not installed."""
    program = Path(tempfile.mkdtemp()) / source.removesuffix(".cpp")
    command = ["g++", "-O2", "-std=c++17", "-pthread", f"-I{HERE / 'native'}", str(HERE / "native" / source)]
    if subprocess.run([*command, "-o", program, "-lrt"], capture_output=True, check=False).returncode != 0:
        print("  skipped: Boost.Interprocess does not compile here (apt-get install libboost-dev g++)")
        return None
    return program


def _run(program: Path, arguments: Sequence[str]) -> dict[str, float]:
    output = subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout
    return {m[1]: float(m[2]) for line in output.splitlines() if (m := _LINE.match(line))}


def compare_programs(title: str, programs: dict[str, tuple[Path, Sequence[str]]], *, rounds: int) -> None:
    """Runs the programs in turn, `rounds` times; one row a case, ratios to the first program."""
    seen: dict[str, dict[str, list[float]]] = {name: {} for name in programs}
    for _ in range(rounds):
        for name, (program, arguments) in programs.items():
            for case, value in _run(program, arguments).items():
                seen[name].setdefault(case, []).append(value)
    ours, *peers = programs
    print(f"\n{title} [ns; median of {rounds}; ratio > 1: aioipc is better]")
    print(f"  {'':<46}{ours:>12}" + "".join(f"{peer:>24}" for peer in peers))
    for case, values in seen[ours].items():
        mine = statistics.median(values)
        row = f"  {case:<46}{mine:>12.1f}"
        for peer in peers:
            theirs = seen[peer].get(case)
            row += (
                f"{statistics.median(theirs):>16.1f}{statistics.median(theirs) / mine:>8.2f}"
                if theirs
                else f"{'-':>24}"
            )
        print(row)
