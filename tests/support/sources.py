"""What the source tests (test_layering.py, test_source.py) read."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "aioipc"
CORE = PACKAGE / "_native" / "core"

_C_COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def core_files() -> list[Path]:
    """The C core: headers and sources."""
    return sorted([*CORE.glob("*.h"), *CORE.glob("*.c")])


def binding_files() -> list[Path]:
    """What the extension modules are made of: Cython sources, their parts and declarations."""
    return sorted(path for pattern in ("*.pyx", "*.pxi", "*.pxd") for path in CORE.parent.glob(pattern))


def python_files(*folders: str) -> list[Path]:
    """The Python files below the folders, relative to the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def c_code(text: str) -> str:
    """C text without the contents of comments and strings; line numbers and #include lines stay."""

    def blank(match: re.Match[str]) -> str:
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if match[0].startswith('"'):
            return match[0] if line.lstrip().startswith("#include") else '""'
        return "\n" * match[0].count("\n")

    return _C_COMMENT_OR_STRING.sub(blank, text)
