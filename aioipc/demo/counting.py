"""What is counted of one Python file: its bytes, its lines, and its tokens by kind."""

import io
import os
import sysconfig
import token
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

__all__ = ["FIELDS", "FILES", "count", "python_files"]

_KINDS = max(kind for kind in token.tok_name if kind < token.NT_OFFSET) + 1

FIELDS = ("files", "not tokenized", "bytes", "lines", *(token.tok_name.get(k, "") for k in range(_KINDS)))
FILES, NOT_TOKENIZED, BYTES, LINES, FIRST_KIND = range(5)

_NOT_STANDARD = {"site-packages", "dist-packages", "__pycache__"}


def python_files(limit: int | None = None) -> list[str]:
    """The paths of every .py file of the running Python's standard library, tests included.

    With `limit`, so many of them, taken at even distances.
    """
    paths = sorted(_walk(sysconfig.get_path("stdlib")))
    if limit is None or limit >= len(paths):
        return paths
    return [paths[i * len(paths) // limit] for i in range(limit)]


def _walk(root: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _NOT_STANDARD]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".py"))


def count(path: str) -> list[int]:
    """One number for each of FIELDS; of a file that does not tokenize, no kinds."""
    data = Path(path).read_bytes()
    counts = [0] * len(FIELDS)
    counts[FILES] = 1
    counts[BYTES] = len(data)
    counts[LINES] = data.count(b"\n") + (data[-1:] not in (b"", b"\n"))
    try:
        kinds = Counter(found.exact_type for found in tokenize.tokenize(io.BytesIO(data).readline))
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):
        counts[NOT_TOKENIZED] = 1
        return counts
    for kind, number in kinds.items():
        counts[FIRST_KIND + kind] = number
    return counts
