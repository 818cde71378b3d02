"""One acquisition of a lock on a file: what is opened for it, what is waited for, what is given back."""

import math
import os
import select
import time
from dataclasses import dataclass
from typing import Literal, Protocol

from . import _waiting
from ._file_turn import Turn
from ._native._core import KernelLock
from .errors import ClosedError

FileProtocol = Literal["ofd", "flock"]
_LONGEST_POLL = 1e6  # seconds


@dataclass(frozen=True, slots=True)
class File:
    """What is locked, and how."""

    path: str
    protocol: FileProtocol
    create: bool
    mode: int

    def opened(self, shared: bool, create: bool) -> KernelLock:
        return KernelLock(os.fsencode(self.path), shared, create, self.mode, self.protocol == "flock")

    def line(self, kernel: KernelLock) -> str:
        """The line for the file itself, whatever its path; the protocols do not see each other."""
        device, inode = kernel.inode
        return f"{self.protocol}-{device:x}-{inode}"

    def gate(self, kernel: KernelLock) -> str:
        """The line of those who found another program in the way."""
        return f"{self.line(kernel)}-gate"

    def is_at_its_path(self, kernel: KernelLock) -> bool:
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == kernel.inode


class Way(Protocol):
    """How to wait."""

    async def turn(self, turn: Turn) -> None:
        """Waits for our turn among this user's processes."""

    async def kernel(self, kernel: KernelLock) -> None:
        """Waits for another program to give the kernel's lock back."""


class Awaiting:
    """In a task."""

    async def turn(self, turn: Turn) -> None:
        await turn.acquire()

    async def kernel(self, kernel: KernelLock) -> None:
        await _waiting.readable(kernel.begin_wait())
        kernel.end_wait()


class LateError(Exception):
    """The time is over."""


class Blocking:
    """In a thread; these coroutines never suspend."""

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must be a number of seconds >= 0 or None, not {timeout!r}")
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def _left(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0)

    async def turn(self, turn: Turn) -> None:
        if not turn.acquire_blocking(self._left()):
            raise LateError

    async def kernel(self, kernel: KernelLock) -> None:
        if self._left() == 0:
            raise LateError
        poll = select.poll()
        poll.register(kernel.begin_wait(), select.POLLIN)
        while not poll.poll(self._milliseconds()):
            if self._left() == 0:
                raise LateError
        kernel.end_wait()

    def _milliseconds(self) -> int | None:
        left = self._left()
        return None if left is None else math.ceil(min(left, _LONGEST_POLL) * 1000)


class Hold:
    """One lock that is held, or on its way: a turn, and then the kernel's lock."""

    __slots__ = ("_file", "_kernel", "_turn", "abandoned")

    def __init__(self, file: File, shared: bool) -> None:
        self.abandoned = False
        self._file = file
        self._kernel = file.opened(shared, file.create)
        self._turn = self._own(Turn(file.line(self._kernel), shared))

    async def acquired(self, way: Way) -> bool:
        """Whether it is held now; if not, it was for nothing: another file has this path, or another line."""
        try:
            await way.turn(self._turn)
            if not self._kernel.lock():
                await self._wait_for_others(way)
        except ClosedError:
            if self._turn.closed:
                raise
            return False
        self.abandoned = self._turn.abandoned
        self._kernel.held = self._file.is_at_its_path(self._kernel)
        return self._kernel.held

    async def _wait_for_others(self, way: Way) -> None:
        """Waits behind another program: one thread does, for all readers of ours whose turn it is."""
        gate = self._own(Turn(self._file.gate(self._kernel), shared=False))
        await way.turn(gate)
        if not self._kernel.lock():
            await way.kernel(self._kernel)
        gate.release()

    def _own(self, turn: Turn) -> Turn:
        """Lets a turn be given back with the kernel's lock."""
        self._kernel.turns.append(turn)
        return turn

    @property
    def mine(self) -> bool:
        """False once given back, and in a forked child."""
        return self._kernel.mine

    def close(self) -> bool:
        """Gives everything back; False when that was done, or is not ours to do."""
        return self._kernel.close()
