"""The worker processes: started at their seats, replaced when they are killed.

They are forked from a process that has imported what a worker needs and never touched the segment
(multiprocessing's fork server): a fresh interpreter needs more processor time to start than there is
between two kills.
"""

import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
from multiprocessing.context import ForkServerProcess

from .board import Board
from .worker import KINDS, Place, work

__all__ = ["Crew", "WorkerFailedError"]


class WorkerFailedError(Exception):
    """A worker ended by itself before all was counted; its own traceback is on stderr."""


class Crew:
    """One worker at each seat, until it finds nothing more to do.  Leaving the `with` ends them all."""

    def __init__(self, place: Place, board: Board) -> None:
        self._place = place
        self._board = board
        self._context = multiprocessing.get_context("forkserver")
        self._workers: dict[int, ForkServerProcess] = {}
        _start_server()
        for seat in range(len(board.seats)):
            self._start(seat)

    @property
    def busy(self) -> bool:
        """Whether anybody is still at work."""
        return bool(self._workers)

    def ready(self) -> dict[int, int]:
        """The workers that have reported for work: seat and pid."""
        return {
            seat: worker.pid
            for seat, worker in self._workers.items()
            if worker.pid is not None and worker.pid == self._board.seats[seat].pid
        }

    def kind(self, seat: int) -> str:
        """What runs at this seat."""
        return list(KINDS)[seat % len(KINDS)]

    def tend(self, seconds: float) -> None:
        """Wait so long, or until somebody ends; replace who was killed."""
        ends = [worker.sentinel for worker in self._workers.values()]
        multiprocessing.connection.wait(ends, max(0.0, seconds))
        for seat, worker in list(self._workers.items()):
            if worker.exitcode is not None:
                self._replace(seat, worker)

    def _replace(self, seat: int, worker: ForkServerProcess) -> None:
        status = worker.exitcode
        del self._workers[seat]
        worker.close()
        if status == -signal.SIGKILL:
            self._start(seat)
        elif status != 0:
            raise WorkerFailedError(f"the {self.kind(seat)} worker at seat {seat + 1} ended with {status}")

    def _start(self, seat: int) -> None:
        worker = self._context.Process(target=work, args=(self._place, seat, self.kind(seat)), daemon=True)
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


def _start_server() -> None:
    """With SIGINT blocked, for it and all its children: Ctrl-C is the main process's business."""
    multiprocessing.set_forkserver_preload([work.__module__])
    multiprocessing.resource_tracker.ensure_running()  # starting it would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # It is started with `python -c`, which looks for modules in the current directory first: a checkout
    # there is not the package that is installed.
    safe_path = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        if safe_path is None:
            del os.environ["PYTHONSAFEPATH"]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
