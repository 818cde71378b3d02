"""Processes that hammer one primitive while one after the other is killed and replaced.

A job says what each of them does, turn after turn, and what must be true of it.  Now and then everybody is
asked to pause: who then does not come back was left hanging, and the sums are held against each other.

    with Company(segment, SomeJob) as company:
        company.kill_and_account(kills=3)
        company.end()
"""

import asyncio
import os
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, Self

import trio

from aioipc import Event, ManagedSharedMemory
from tests.support.forked import Forked, forked
from tests.support.peers import Link

SEATS = 6
_ROWS, _ROW = 160, 4  # words: those of the job, then a row for each seat
WORDS = _ROWS + _ROW * SEATS
_PID, _STAMP, TALLY = range(3)
_STOP = _ROWS - 1

#: What a process is about.
IDLE, TRYING, HOLDING, LEAVING, PAUSED, FAILED = range(6)


def dying(pid: int) -> bool:
    """Whether the process has begun to exit, before anything of it was given back, or is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    pf_exiting = 4
    return bool(int(stat.rpartition(")")[2].split()[6]) & pf_exiting)


class Awaiting:
    """How a task uses a primitive."""

    def __init__(self, pause: Callable[[], Any]) -> None:
        self.pause = pause

    def of(self, handle: Any) -> Any:
        return handle

    def enter(self, manager: Any) -> AbstractAsyncContextManager[Any]:
        entered: AbstractAsyncContextManager[Any] = manager
        return entered

    async def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        return await method(*arguments)


class _Entered:
    """A context manager for threads that looks like one for tasks, and never suspends."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return self._manager.__enter__()

    async def __aexit__(self, *error: Any) -> Any:
        return self._manager.__exit__(*error)


class Blocking:
    """How a thread does: nothing here ever suspends."""

    async def pause(self) -> None:
        os.sched_yield()

    def of(self, handle: Any) -> Any:
        return handle.blocking

    def enter(self, manager: Any) -> AbstractAsyncContextManager[Any]:
        return _Entered(manager)

    async def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        return method(*arguments)


Face = Awaiting | Blocking


class Job:
    """What is done with one primitive: a subclass makes it, and says what a turn is."""

    name: ClassVar[str] = "job"

    def __init__(self, segment: ManagedSharedMemory, words: memoryview, seat: int) -> None:
        self.segment, self.words, self.seat = segment, words, seat
        self.gate = Event(segment, "gate")
        self.handle = self.make()

    def make(self) -> Any:
        raise NotImplementedError

    async def turn(self, face: Face) -> None:
        raise NotImplementedError

    def relieve(self) -> None:
        """Called again and again until all have paused: lets those go on who wait for others' turns."""

    def account(self, killed: list[int]) -> None:
        """What must be true now that all have paused; `killed`: what the killed were about."""

    # --- what they tell each other

    def row(self, word: int, seat: int | None = None) -> int:
        """Where a word of a seat's row lies: nobody else writes it."""
        return _ROWS + _ROW * (self.seat if seat is None else seat) + word

    def is_about(self, state: int) -> None:
        stamp = self.row(_STAMP)
        self.words[stamp] = (self.words[stamp] >> 3) + 1 << 3 | state

    def states(self) -> list[int]:
        return [self.words[self.row(_STAMP, seat)] & 7 for seat in range(SEATS)]

    def at_once(self) -> int:
        """How many living processes hold it at one moment; 0 when there was no such moment."""
        rows = [_ROWS + _ROW * seat for seat in range(SEATS)]
        before = [(self.words[row + _PID], self.words[row + _STAMP]) for row in rows]
        if before != [(self.words[row + _PID], self.words[row + _STAMP]) for row in rows]:
            return 0
        return sum(stamp & 7 == HOLDING and not dying(pid) for pid, stamp in before)

    async def alone(self, face: Face, word: int = 0) -> int:
        """Whoever comes finds nobody, or somebody who died here: its pid."""
        found = self.words[word]
        assert found == 0 or dying(found), f"{found} has it too"
        self.words[word] = os.getpid()
        await face.pause()
        assert self.words[word] == os.getpid(), f"{self.words[word]} came in"
        self.words[word] = 0
        return found

    def open(self) -> None:
        self.words[self.row(_PID)] = os.getpid()
        self.is_about(IDLE)


async def live(job: Job, face: Face) -> None:
    while True:
        if not job.gate.is_set():
            job.is_about(PAUSED)
            await face.call(face.of(job.gate).wait)
        if job.words[_STOP]:
            return
        job.is_about(IDLE)
        await job.turn(face)
        await face.pause()


def work(test: Link, name: str, handle: int, kind: type[Job], seat: int) -> None:
    """The life of one process: a thread, a task of asyncio or one of trio, by its seat."""
    random.seed(os.getpid())
    with (
        ManagedSharedMemory.open(name) as segment,
        memoryview(segment.block(handle)).cast("q") as words,
    ):
        job = kind(segment, words, seat)
        job.open()
        try:
            if seat % 3 == 0:
                with_nothing_to_wait_for(live(job, Blocking()))
            elif seat % 3 == 1:
                asyncio.run(live(job, Awaiting(lambda: asyncio.sleep(0))))
            else:
                trio.run(live, job, Awaiting(trio.lowlevel.checkpoint))
        except BaseException:
            job.is_about(FAILED)
            raise


def with_nothing_to_wait_for(coroutine: Any) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("a blocking form suspended")


class Company:
    """The processes at their seats."""

    def __init__(self, segment: ManagedSharedMemory, kind: type[Job]) -> None:
        self._block = segment.allocate(WORDS * 8)
        self._segment, self._kind = segment, kind
        self._words = memoryview(self._block).cast("q")
        self.job = kind(segment, self._words, SEATS)
        self._seats: list[Forked] = []

    def __enter__(self) -> Self:
        self._seats = [self._start(seat) for seat in range(SEATS)]
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._seats:
            child.discard()
        self._words.release()
        self._segment.deallocate(self._block)

    def _start(self, seat: int) -> Forked:
        return forked(work, self._segment.name, self._block.handle, self._kind, seat)

    def kill_one(self) -> int:
        """What it was about."""
        seat = random.randrange(SEATS)
        self._seats[seat].kill()
        assert self._seats[seat].wait() < 0, "a process ended by itself"
        self._seats[seat].close()
        stamp = self.job.row(_STAMP, seat)
        state = self._words[stamp] & 7
        self._words[stamp] = (self._words[stamp] >> 3) + 1 << 3 | IDLE
        self._seats[seat] = self._start(seat)
        return state

    def kill_and_account(self, kills: int, pace: float) -> None:
        """Lets them work, kills some after `pace` seconds or so each, and looks what is left."""
        self.job.gate.set()
        while PAUSED in self.job.states():  # who is not awake yet would pass for one that has paused again
            os.sched_yield()
        killed = []
        for _ in range(kills):
            time.sleep(random.uniform(0, 2 * pace))
            killed.append(self.kill_one())
        self.pause()
        self.job.account(killed)
        report = self._segment.check_sanity()
        assert report, report

    def pause(self) -> None:
        """Returns when nobody is in a turn; never, when somebody hangs."""
        self.job.gate.clear()
        while (states := self.job.states()) != [PAUSED] * SEATS:
            if FAILED in states:
                self._seats[states.index(FAILED)].result()  # raises
            self.job.relieve()
            os.sched_yield()

    def end(self) -> None:
        """Everybody goes home."""
        self._words[_STOP] = 1
        self.job.gate.set()
        for child in self._seats:
            child.result()
