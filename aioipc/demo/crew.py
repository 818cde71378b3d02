"""Worker processes that are replaced when they are killed.

Most are forked from a process that has imported what a worker needs and never touched the segment
(multiprocessing's fork server): a fresh interpreter needs more processor time to start than there is between
two kills.  Those of the web server are spawned, as uvicorn's own are.
"""

import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, Literal

__all__ = ["Crew", "Role", "WorkerFailedError", "send"]


class WorkerFailedError(Exception):
    """A worker ended by itself before all was done, or nothing moved; its own traceback is on stderr."""


@dataclass(frozen=True)
class Role:
    """What the process at one seat does: calls `work(*args)`, and ends."""

    kind: str
    work: Callable[..., None]
    args: tuple[Any, ...]


class Crew:
    """One process for each role, until it has nothing more to do.  Leaving the `with` kills them all."""

    def __init__(self, roles: Sequence[Role], method: Literal["forkserver", "spawn"] = "forkserver") -> None:
        self._roles = roles
        self._context = multiprocessing.get_context(method)
        self._workers: dict[int, BaseProcess] = {}
        multiprocessing.resource_tracker.ensure_running()  # starting it would unblock SIGINT
        if method == "forkserver":
            _start_server({role.work.__module__ for role in roles})
        for seat in range(len(roles)):
            self._start(seat)

    @property
    def busy(self) -> bool:
        """Whether anybody is still at work."""
        return bool(self._workers)

    def pids(self) -> dict[int, int]:
        """Who works at which seat."""
        return {seat: worker.pid for seat, worker in self._workers.items() if worker.pid is not None}

    def kind(self, seat: int) -> str:
        """What runs at this seat."""
        return self._roles[seat].kind

    def tend(self, seconds: float) -> None:
        """Wait so long, or until somebody ends; replace who was killed."""
        ends = [worker.sentinel for worker in self._workers.values()]
        multiprocessing.connection.wait(ends, max(0.0, seconds))
        for seat, worker in list(self._workers.items()):
            if worker.exitcode is not None:
                self._replace(seat, worker)

    def dismiss(self, patience: float) -> None:
        """Ask everybody to end (SIGTERM), and wait so long for it."""
        for worker in self._workers.values():
            worker.terminate()
        for worker in self._workers.values():
            worker.join(patience)

    def _replace(self, seat: int, worker: BaseProcess) -> None:
        status = worker.exitcode
        del self._workers[seat]
        worker.close()
        if status == -signal.SIGKILL:
            self._start(seat)
        elif status != 0:
            raise WorkerFailedError(f"the {self.kind(seat)} worker at seat {seat + 1} ended with {status}")

    def _start(self, seat: int) -> None:
        role = self._roles[seat]
        worker = self._context.Process(target=role.work, args=role.args, daemon=True)  # type: ignore[attr-defined]
        with _without_ctrl_c():
            worker.start()
        self._workers[seat] = worker

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers.values():
            worker.kill()
        for worker in self._workers.values():
            worker.join()
            worker.close()
        self._workers.clear()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """What is started here has SIGINT blocked, with its children: Ctrl-C is the main process's business."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_server(modules: set[str]) -> None:
    multiprocessing.set_forkserver_preload(sorted(modules))
    # It is started with `python -c`, which looks for modules in the current directory first: a checkout
    # there is not the package that is installed.
    safe_path = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        with _without_ctrl_c():
            multiprocessing.forkserver.ensure_running()
    finally:
        if safe_path is None:
            del os.environ["PYTHONSAFEPATH"]


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal to a worker; False when it has just ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
