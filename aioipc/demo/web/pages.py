"""What is computed: the outline of a module of the standard library, as a page of HTML."""

import ast
import os
import secrets
from collections.abc import Iterator
from html import escape
from pathlib import Path

from ..counting import FIELDS, count, python_files

__all__ = ["render", "sources"]

_SMALLEST, _LARGEST = 40_000, 120_000  # bytes: a tenth of a second, or some


def sources(pages: int) -> list[str]:
    """The path of a module for each page."""
    paths = [path for path in python_files() if _SMALLEST <= os.path.getsize(path) <= _LARGEST]
    return [paths[number * len(paths) // pages] for number in range(pages)]


def render(path: str) -> bytes:
    """The page.  It names its computer and a random number: no two computations look alike."""
    counts = [(field, number) for field, number in zip(FIELDS, count(path), strict=True) if number]
    outline = "\n".join(_outline(path))
    figures = "".join(f"<tr><td>{escape(field)}<td>{number}" for field, number in counts)
    title = escape(os.path.basename(path))
    signature = f"computed by process {os.getpid()}, {secrets.token_hex(16)}"
    head = f"<!doctype html><title>{title}</title><h1>{title}</h1>"
    return f"{head}<table>{figures}</table>\n{outline}\n<p>{signature}".encode()


def _outline(path: str) -> Iterator[str]:
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError):
        return  # some test files are meant not to parse
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = (ast.get_docstring(node) or "").partition("\n")[0]
            yield f"<p>{node.lineno}: <b>{escape(node.name)}</b> {escape(said)}"
