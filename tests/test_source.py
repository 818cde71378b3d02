"""Policy of the source, each rule a linter over text, each linter shown to bite."""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.support.sources import PACKAGE, ROOT, binding_files, c_code, core_files, python_files

Linter = Callable[[str], list[str]]

# Tests that really wait, and why they must.
SLEEPERS: dict[str, str] = {"support/leaks.py": "waits for other test runs of this machine to clean up"}

C_FILE, C_FUNCTION = 600, 60
PYTHON_FILE, PYTHON_TEST_FILE, PYTHON_FUNCTION = 400, 600, 40
BINDING_FILE = 450


def findings(paths: Iterable[Path], linter: Linter) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {finding}" for path in paths for finding in linter(path.read_text())]


def matches(pattern: str, text: str) -> list[str]:
    """Each match of the pattern, with its line number."""
    return [f"{text.count(chr(10), 0, m.start()) + 1}: {m[0]}" for m in re.finditer(pattern, text)]


# ----------------------------------------------------------------------------------------- the core


def raw_atomics(text: str) -> list[str]:
    return matches(r"\b(?:__atomic_|__sync_|atomic_|_Atomic\b)\w*|<stdatomic\.h>", c_code(text))


def interpreter_and_libc(text: str) -> list[str]:
    calls = "malloc|calloc|realloc|free|abort|assert|v?f?printf|puts"
    return matches(rf"Python\.h|<assert\.h>|(?<![\w.>])(?:{calls})\s*\(", c_code(text))


def system_calls(text: str) -> list[str]:
    headers = r"<(?:(?:sys|linux)/[\w/]+|unistd|fcntl|poll|sched|signal|time|dirent|pthread)\.h>"
    calls = (
        "syscall|mmap|munmap|mremap|madvise|openat?|close|read|write|pread|pwritev?2?|ftruncate|fallocate"
        "|fcntl|fstat|ioctl|p?poll|epoll_\\w+|mkfifo\\w*|mkdir\\w*|(?:un)?link(?:at)?|getpid|gettid|kill"
        "|clock_\\w+|nanosleep|usleep|pthread_\\w+"
    )
    return matches(rf"{headers}|(?<![\w.>])(?:{calls})\s*\(", c_code(text))


def lonely_sync_tags(text: str) -> list[str]:
    tags = re.findall(r"\bSYNC ([a-z][a-z0-9-]*)", text)
    return sorted({tag for tag in tags if tags.count(tag) < 2})


def long_c_functions(text: str) -> list[str]:
    definition = r"^[A-Za-z_][^;{}#]*\([^;{}]*\)\s*\{\n(?:.*\n)*?\}"
    found = re.finditer(definition, c_code(text), re.MULTILINE)
    return [m[0].split("\n", 1)[0] for m in found if m[0].count("\n") + 1 > C_FUNCTION]


def longer_than(limit: int) -> Linter:
    def linter(text: str) -> list[str]:
        lines = text.count("\n")
        return [f"{lines} lines, {limit} allowed"] if lines > limit else []

    return linter


def test_only_atomics_h_uses_atomic_builtins() -> None:
    assert findings([p for p in core_files() if p.name != "atomics.h"], raw_atomics) == []
    assert raw_atomics("\n__atomic_load_n(p, 0); /* __sync_x */") == ["2: __atomic_load_n"]
    assert raw_atomics("_Atomic int a;") == ["1: _Atomic"]
    assert raw_atomics("atomic_store(&a, 1); aipc_atomic_thing();") == ["1: atomic_store"]


def test_the_core_knows_neither_python_nor_malloc_nor_printf_nor_abort() -> None:
    assert findings(core_files(), interpreter_and_libc) == []
    assert interpreter_and_libc("#include <Python.h>") == ["1: Python.h"]
    assert interpreter_and_libc('x = malloc(3); s = "free("; aipc_heap_free(x);') == ["1: malloc("]
    assert interpreter_and_libc("free(x); assert(y); _Static_assert(1, z); ops->free(x);") == [
        "1: free(",
        "1: assert(",
    ]


def test_only_the_door_to_the_system_makes_system_calls() -> None:
    door = ("os_linux.c", "os_file_lock.c", "os.h")
    assert findings([p for p in core_files() if p.name not in door], system_calls) == []
    assert system_calls("#include <sys/mman.h>\n#include <stdint.h>") == ["1: <sys/mman.h>"]
    assert system_calls("syscall(SYS_futex); aipc_os_close(fd);\nclose(fd);") == ["1: syscall(", "2: close("]


def test_every_sync_tag_has_two_sides() -> None:
    assert lonely_sync_tags("\n".join(path.read_text() for path in core_files())) == []
    assert lonely_sync_tags("// SYNC bell\n/* SYNC bell */ // SYNC ring-publish") == ["ring-publish"]


def test_c_files_and_functions_are_short() -> None:
    assert findings(core_files(), longer_than(C_FILE)) == []
    assert findings(core_files(), long_c_functions) == []
    body = "    x++;\n" * (C_FUNCTION - 2)
    fits = f"static int fits(int a,\n{body[5:]}".replace("x++;\n", "int b) {\n", 1) + "}\n"
    assert long_c_functions(f"void fits(void) {{\n{body}}}\n") == []
    assert long_c_functions(fits) == []
    assert long_c_functions(f"int a;\nstatic void long_one(void) {{\n{body}    y;\n}}\n") == [
        "static void long_one(void) {"
    ]


# ------------------------------------------------------------------------------------------- Python


def long_python_functions(text: str) -> list[str]:
    """Functions over the limit, their docstrings not counted."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0  # type: ignore[operator]
            if node.end_lineno - node.lineno + 1 - docstring > PYTHON_FUNCTION:  # type: ignore[operator]
                found.append(node.name)
    return found


def sleeps(text: str) -> list[str]:
    """Calls of a sleep with a number other than 0."""
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] == "sleep"
        and any(isinstance(a, ast.Constant) and a.value != 0 for a in node.args)
    ]


def expected_failures(text: str) -> list[str]:
    return [
        f"{node.lineno}: xfail"
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Attribute) and node.attr == "xfail")
        or (isinstance(node, ast.Name) and node.id == "xfail")
    ]


def blanket_ignores(text: str) -> list[str]:
    """`type: ignore` comments that do not say what they ignore."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [t for t in tokens if t.type == tokenize.COMMENT]
    return [f"{t.start[0]}: {t.string}" for t in comments if re.search(r"type:\s*ignore(?!\[)", t.string)]


def undocumented(namespace: dict[str, object]) -> list[str]:
    """The public names whose class, function or value has no docstring."""
    names: Iterable[str] = namespace.get("__all__", ())  # type: ignore[assignment]
    return [name for name in names if not (inspect.getdoc(namespace[name]) or "").strip()]


def test_python_files_and_functions_are_short() -> None:
    assert findings(python_files("aioipc", "examples", "benchmarks"), longer_than(PYTHON_FILE)) == []
    assert findings(python_files("tests"), longer_than(PYTHON_TEST_FILE)) == []
    assert findings(python_files("aioipc", "examples", "benchmarks", "tests"), long_python_functions) == []
    assert findings(binding_files(), longer_than(BINDING_FILE)) == []

    body = '    """Two\n    lines."""\n' + "    x = 1\n" * (PYTHON_FUNCTION - 1)
    assert long_python_functions(f"def fits():\n{body}") == []
    assert long_python_functions(f"async def too_long():\n{body}    x = 2\n") == ["too_long"]
    assert longer_than(3)("a\n" * 3) == []
    assert longer_than(3)("a\n" * 4) == ["4 lines, 3 allowed"]


def test_tests_do_not_sleep() -> None:
    files = [p for p in python_files("tests") if str(p.relative_to(ROOT / "tests")) not in SLEEPERS]
    assert findings(files, sleeps) == []
    assert sleeps("await asyncio.sleep(0)\nrest()\ntime.sleep(0.1)") == ["3: time.sleep(0.1)"]
    assert sleeps("sleep(1)") == ["1: sleep(1)"]


def test_no_test_is_expected_to_fail() -> None:
    assert findings(python_files("tests"), expected_failures) == []
    assert expected_failures("@pytest.mark.xfail\ndef test_x(): pass") == ["1: xfail"]
    assert expected_failures("from pytest import xfail\nxfail('later')") == ["2: xfail"]


def test_ignored_type_errors_are_named() -> None:
    assert findings(python_files("aioipc", "examples", "tests"), blanket_ignores) == []
    assert blanket_ignores("x = 1  # type: ignore[misc]\n") == []
    assert blanket_ignores("x = 1  # type: ignore\n") == ["1: # type: ignore"]


def test_every_public_name_has_a_docstring() -> None:
    if (PACKAGE / "__init__.py").exists():
        import aioipc

        assert undocumented(vars(aioipc)) == []
    assert undocumented({"__all__": ["ast", "f"], "ast": ast, "f": lambda: 0}) == ["f"]
