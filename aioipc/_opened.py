"""What every open segment is: a handle that can be closed."""

import os
import sys
import warnings
from types import TracebackType
from typing import Self

from . import _waiting
from ._native._core import Attachment, Opening
from .errors import ClosedError

__all__ = ["OpenedSegment"]


class OpenedSegment:
    """A handle on a segment, until it is closed."""

    _opening: Opening
    _name: str
    _quiet = False  # whether it may be dropped without close()
    _pid: int
    _made_at: str

    def __init__(self) -> None:
        raise TypeError(f"make one with {type(self).__name__}.create(), open() or open_or_create()")

    @classmethod
    def _handle(cls, opening: Opening, name: str) -> Self:
        self = cls.__new__(cls)
        self._opening = opening
        self._name = name
        self._pid = os.getpid()
        self._made_at = _caller()
        return self

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        return self._opening.closed

    def close(self, *, when_released: bool = False) -> None:
        """Closes this handle; again does nothing.

        Tasks and threads that wait through it get ClosedError; locks that the process still holds count as
        abandoned once its last handle is closed.  Raises BufferError, and closes nothing, while memoryviews
        of its blocks are in use; `when_released=True` closes for everything new and unmaps with the last one.
        """
        opening = self._opening
        if not opening.closed:
            opening.begin_close(when_released)
            _waiting.close(opening)
        opening.finish_close()

    def __enter__(self) -> Self:
        self._opening_checked()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        opening = getattr(self, "_opening", None)
        if opening is not None and not opening.closed:
            if not self._quiet and self._pid == os.getpid():
                message = f"unclosed {self!r}, opened at {self._made_at}"
                warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
            self.close(when_released=True)

    def __repr__(self) -> str:
        return f"<aioipc.{type(self).__name__} {self._name!r}{' closed' if self._opening.closed else ''}>"

    # --- for the other modules

    @property
    def _attachment(self) -> Attachment:
        return self._opening_checked().attachment

    def _opening_checked(self) -> Opening:
        if self._opening.closed:
            raise ClosedError(f"{self!r}")
        return self._opening


def _caller() -> str:
    """Where the first frame outside this package is."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
