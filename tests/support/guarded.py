"""Memory in which reading one byte too far kills the process."""

import ctypes
import mmap
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
PAGE = mmap.PAGESIZE


class Guarded:
    """Pages with a forbidden one before and behind them, shared with forked children."""

    def __init__(self, pages: int = 4) -> None:
        self.size = pages * PAGE
        self._map = mmap.mmap(-1, self.size + 2 * PAGE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        for page in (self._base, self._base + PAGE + self.size):
            if _libc.mprotect(page, PAGE, 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")

    def at_end(self, data: bytes) -> Any:
        """`data`, right before the forbidden page behind; a writable buffer, valid until the next call."""
        return self._place(data, self._base + PAGE + self.size - len(data))

    def at_start(self, data: bytes) -> Any:
        """`data`, right behind the forbidden page before."""
        return self._place(data, self._base + PAGE)

    def _place(self, data: bytes, address: int) -> Any:
        assert len(data) <= self.size
        ctypes.memmove(address, data, len(data))
        return (ctypes.c_uint8 * len(data)).from_address(address)
