"""Who may include and import whom.  To move a file or add one, edit the tables."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sources import PACKAGE, ROOT, binding_files, core_files

# Lowest first.  A unit (its .h and .c) includes only units of lower levels.
CORE_LEVELS = (
    {"atomics", "seal", "status"},
    {"layout"},
    {"attachment"},
    {"os", "report"},
    {"gate", "journal", "participants", "siphash"},
    {"bells", "described", "domain"},
    {"registry", "waiters", "watch"},
    {"line"},
    {"room"},
    {"heap"},
    {"header", "retire"},
    {"barrier", "condition", "dict", "grow", "holdings", "pool", "rwlock", "stream"},
    {"heap", "registry", "watch"},
    {"header", "retire", "waiters"},
    {"barrier", "condition", "dict", "grow", "holdings", "line", "rwlock", "stream"},
    {"catalog", "event", "limiter", "lock", "memory", "queue", "semaphore"},
    {"types"},
    {"quiesce", "reader"},
    {"recovery"},
    {"check", "holders", "where"},
    {"adopt"},
    {"segment"},
    {"aipc"},  # the facade: includes everything
)
# Files that are a part of a unit of another name.
CORE_PARTS = {
    "layout_objects": "layout",
    "os_linux": "os",
    "os_file_lock": "os",
    "names": "catalog",
    "catalog_check": "catalog",
    "catalog_end": "catalog",
    "catalog_parts": "catalog",
    "catalog_room": "catalog",
    "order": "catalog",  # the ordered index
    "pending": "catalog",  # atomic blocks
    "pool_check": "pool",
    "pointer": "catalog",  # what words lead to objects
    **dict.fromkeys(("shares", "shares_check", "shares_shed"), "catalog"),  # who owns objects
    "queue_check": "queue",
    "queue_holders": "queue",
    "queue_lease": "queue",
    "queue_put": "queue",
    "queue_ring": "queue",
    "queue_take": "queue",
    "catalog_list": "catalog",
    **{
        f"heap_{part}": "heap"
        for part in [
            "allocate",
            "bins",
            "block",
            "change",
            "check",
            "find",
            "free",
            "many",
            "map",
            "resize",
            "zero",
        ]
    },
    **{f"heap_{part}": "heap" for part in ("allocate", "back", "bins", "block", "change")},
    **{f"heap_{part}": "heap" for part in ("check", "find", "free", "grow", "holes", "trim")},
    "holes": "heap",
    **{f"dict_{part}": "dict" for part in ("build", "check", "read", "shed", "table", "write")},
    **{f"rwlock_{part}": "rwlock" for part in ("check", "state", "wait")},
    "waiters_check": "lock",  # wait queues and the words of the locks they belong to
}

# Lowest first.  A module imports only modules of lower levels; a package counts as one module.
PYTHON_LEVELS = (
    {"errors"},
    {"_native"},
    {"_attachments", "_names", "_waiting", "report"},
    {"_files", "_opened", "_refusing", "_xsi", "atomic_block", "objects"},
    {"_copies", "_places", "_segment_memory", "_segment_room", "holders", "object_info", "raw_memory"},
    {"_segment_objects"},
    {"segment"},
    {
        "barrier",
        "capacity_limiter",
        "event",
        "lock",
        "places",
        "pools",
        "queue",
        "rwlock",
        "semaphore",
        "shared_dict",
        "streams",
    },
    {"leader", "once", "rlock"},  # kinds of locks
    {"condition"},
    {"atomics", "items", "pointers"},
    {"owners", "structs"},
    {"arrays", "shared_pointers"},
    {"sole_pointers"},
    {"read_only_places", "read_only_primitives"},
    {"private_memory", "read_only"},
    {"anonymous_memory", "named_segment"},
    {"mapped_file", "shared_memory", "xsi_memory"},
    {"_home"},
    {"_file_turn", "named"},
    {"_file_hold"},
    {"file_lock"},
    {"__init__"},  # re-exports; only what stands on top of the library imports it
    {"mypy", "testing"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
# Imports within a level that are meant.
PYTHON_SIBLINGS: set[tuple[str, str]] = set()

# `_waiting` is the only module of the library that knows an event loop.
LOOP_APIS = {"asyncio", "anyio", "sniffio", "trio", "uvloop"}
LOOP_USERS = {
    "_waiting": "the bridge itself",
    "errors": "names asyncio's own errors as bases",
    "demo": "starts loops of its own, as a program does",
    "cli": "starts loops of its own, as a program does",
    "testing": "helps tests to run under each loop",
}


def level_of(name: str, levels: tuple[set[str], ...]) -> int:
    for level, names in enumerate(levels):
        if name in names:
            return level
    raise AssertionError(f"{name} is in no level of tests/test_layering.py")


# ----------------------------------------------------------------------------------------------- C


def unit_of(file: str) -> str:
    return CORE_PARTS.get(Path(file).stem, Path(file).stem)


def core_violations(file: str, text: str) -> list[str]:
    """The includes of one core file that go up or sideways."""
    own = unit_of(file)
    level = level_of(own, CORE_LEVELS)
    included = re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE)
    return [
        f"{file} includes {name}"
        for name in included
        if unit_of(name) != own and level_of(unit_of(name), CORE_LEVELS) >= level
    ]


def test_core_files_include_only_lower_levels() -> None:
    assert [v for path in core_files() for v in core_violations(path.name, path.read_text())] == []


def test_an_upward_include_is_found() -> None:
    assert core_violations("heap.h", '#include "domain.h"\n#include <stdint.h>\n') == []
    assert core_violations("heap_check.c", '#include "heap.h"\n') == []
    assert core_violations("heap.c", '#include "lock.h"\n') == ["heap.c includes lock.h"]
    assert core_violations("catalog.c", '#  include "lock.h"\n') == ["catalog.c includes lock.h"]
    with pytest.raises(AssertionError, match="in no level"):
        core_violations("novel.c", "")


def test_the_build_names_every_core_and_binding_file() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extensions = build["tool"]["setuptools"]["ext-modules"]
    named = {
        Path(name).name for extension in extensions for name in extension["sources"] + extension["depends"]
    }
    assert [path.name for path in [*core_files(), *binding_files()] if path.name not in named] == []


# ------------------------------------------------------------------------------------------ Python


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which import nothing at run time."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        yield child
        yield from runtime_nodes(child)


def imports(text: str, package: str) -> set[str]:
    """The dotted names a module of `package` imports."""
    names: set[str] = set()
    for node in runtime_nodes(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            # `from aioipc import lock` imports a module, `from aioipc import Lock` the facade.
            names.update(f"aioipc.{a.name}" for a in node.names) if module == "aioipc" else names.add(module)
    return names


def own_modules(names: set[str]) -> set[str]:
    """The modules of aioipc among imported names, by their name in the table."""
    known = set().union(*PYTHON_LEVELS)
    paths = [name.split(".") for name in names]
    own = {path[1] if len(path) > 1 else "__init__" for path in paths if path[0] == "aioipc"}
    return {name if name in known or (PACKAGE / f"{name}.py").exists() else "__init__" for name in own}


def python_violations(module: str, package: str, text: str) -> list[str]:
    """The imports of one module that go up, sideways, or to an event loop."""
    names = imports(text, package)
    level = level_of(module, PYTHON_LEVELS)
    upward = [
        f"{module} imports {name}"
        for name in sorted(own_modules(names) - {module})
        if level_of(name, PYTHON_LEVELS) >= level and (module, name) not in PYTHON_SIBLINGS
    ]
    loops = sorted({name.split(".")[0] for name in names} & LOOP_APIS)
    return upward + ([] if module in LOOP_USERS else [f"{module} imports {name}" for name in loops])


def package_modules() -> Iterator[tuple[str, str, str]]:
    """(name in the table, package, text) of every module of aioipc."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        yield (
            relative.parts[0].removesuffix(".py"),
            ".".join(("aioipc", *relative.parts[:-1])),
            path.read_text(),
        )


def test_modules_import_only_lower_levels_and_only_one_knows_event_loops() -> None:
    assert [v for module in package_modules() for v in python_violations(*module)] == []


def test_an_upward_import_is_found() -> None:
    assert python_violations("lock", "aioipc", "from .segment import Segment\nfrom . import errors\n") == []
    assert python_violations("lock", "aioipc", "if TYPE_CHECKING:\n    from .cli import x\n") == []
    assert python_violations("errors", "aioipc", "from ._native._core import x") == ["errors imports _native"]
    assert python_violations("_native", "aioipc._native", "from ..lock import x") == ["_native imports lock"]
    assert python_violations("segment", "aioipc", "def f():\n    import aioipc.lock") == [
        "segment imports lock"
    ]
    assert python_violations("lock", "aioipc", "from aioipc import Lock") == ["lock imports __init__"]
    assert python_violations("demo", "aioipc.demo", "from aioipc import Lock\nfrom . import scenes") == []


def test_an_event_loop_outside_the_bridge_is_found() -> None:
    assert python_violations("_waiting", "aioipc", "import asyncio, trio") == []
    assert python_violations("lock", "aioipc", "from asyncio import Future") == ["lock imports asyncio"]
    assert python_violations("segment", "aioipc", "def f():\n    import anyio.abc") == [
        "segment imports anyio"
    ]


def binding_violations(text: str) -> list[str]:
    """The imports of a binding that are neither the core's declarations nor the errors."""
    found = re.findall(r"^\s*(?:from\s+(\S+)\s+c?import|c?import\s+(\S+))", text, re.MULTILINE)
    names = [a or b for a, b in found]
    ours = [name for name in names if name.startswith((".", "aioipc"))]
    allowed = ("aioipc.errors", "aioipc._native", ".", "..errors")
    upward = [n for n in ours if n not in allowed and not n.startswith(("aioipc._native.", ".c_core"))]
    return upward + [name for name in names if name.split(".")[0] in LOOP_APIS]


def test_the_bindings_import_errors_only() -> None:
    for part in binding_files():
        assert binding_violations(part.read_text()) == [], part.name


def test_an_upward_import_of_the_binding_is_found() -> None:
    assert (
        binding_violations("from aioipc._native cimport c_core as c\nfrom ..errors import IPCError\n") == []
    )
    assert binding_violations("cimport cython\nimport asyncio\n    from ..segment import S\n") == [
        "..segment",
        "asyncio",
    ]


def facade_violations(text: str) -> list[str]:
    """The statements of __init__.py that do more than re-export."""
    allowed = (ast.ImportFrom, ast.Assign, ast.AnnAssign)
    return [
        ast.unparse(node)
        for node in ast.parse(text).body
        if not isinstance(node, allowed)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def test_the_facade_only_reexports() -> None:
    facade = PACKAGE / "__init__.py"
    assert facade_violations(facade.read_text() if facade.exists() else "") == []


def test_code_in_the_facade_is_found() -> None:
    assert facade_violations('"""Doc."""\nfrom .lock import Lock\n__all__ = ["Lock"]\n') == []
    assert facade_violations("def helper(): pass") == ["def helper():\n    pass"]
