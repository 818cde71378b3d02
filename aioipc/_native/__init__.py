"""The compiled modules: what they keep is the process's, so only its main interpreter can have them."""

from importlib import import_module
from typing import Any


def _interpreters() -> Any:
    """What knows in which interpreter this runs; it has no public name before Python 3.14."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return import_module(name)
        except ImportError:  # another version of Python
            pass
    return None


_known = _interpreters()
if _known is not None and _known.get_current() != _known.get_main():
    raise ImportError(
        "aioipc cannot be imported in a subinterpreter: to a segment, all of the process is one participant; "
        "import it in the main interpreter, or in another process"
    )
