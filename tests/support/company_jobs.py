"""What processes do with each primitive while some of them are killed, and what must be true of it."""

import random
from typing import Any, ClassVar

from aioipc import (
    Barrier,
    BoundedSemaphore,
    BrokenBarrierError,
    CapacityLimiter,
    Condition,
    Event,
    Leader,
    Lock,
    Once,
    RLock,
    RWLock,
    Semaphore,
)
from tests.support.company import HOLDING, IDLE, LEAVING, PAUSED, SEATS, TALLY, TRYING, Face, Job

OWNER, FIRST, SECOND, TERM, THINGS, ENOUGH, EPOCH, WON = range(8)  # words; of WON there are many


class LockJob(Job):
    """One at a time; who follows a dead one sees `abandoned`."""

    def make(self) -> Any:
        return Lock(self.segment, self.name)

    async def turn(self, face: Face) -> None:
        async with face.enter(face.of(self.handle)):
            if await self.alone(face):
                assert self.handle.abandoned

    def account(self, killed: list[int]) -> None:
        self.free()
        statistics = self.handle.statistics()
        assert (statistics.locked, statistics.waiters) == (False, 0)

    def free(self) -> None:
        """Takes over what a dead one held when nobody else wanted it."""
        with self.handle.blocking:
            self.words[OWNER] = 0
        assert not self.handle.abandoned


class RLockJob(LockJob):
    def make(self) -> Any:
        return RLock(self.segment, self.name)

    async def turn(self, face: Face) -> None:
        async with face.enter(face.of(self.handle)), face.enter(face.of(self.handle)):
            assert self.handle.statistics().depth == 2
            if await self.alone(face):
                assert self.handle.abandoned


class LeaderJob(LockJob):
    """Terms grow from leader to leader."""

    def make(self) -> Any:
        return Leader(self.segment, self.name)

    async def turn(self, face: Face) -> None:
        async with face.enter(face.of(self.handle)) as term:
            assert term > self.words[TERM]
            self.words[TERM] = term
            if await self.alone(face):
                assert self.handle.statistics().abandoned
            assert self.handle.term == term

    def free(self) -> None:
        with self.handle.blocking as term:
            self.words[OWNER] = 0
            assert term > self.words[TERM]
            self.words[TERM] = term


class RWLockJob(Job):
    """Two words that are the same whenever nobody writes, or a writer has died."""

    fair: ClassVar[bool] = False

    def make(self) -> Any:
        return RWLock(self.segment, self.name, fair=self.fair)

    async def turn(self, face: Face) -> None:
        await random.choice((self.read, self.read, self.write, self.upgrade))(face)

    async def read(self, face: Face) -> None:
        async with face.enter(face.of(self.handle).read()) as guard:
            first, second = self.words[FIRST], self.words[SECOND]
            assert first == second or guard.abandoned
            await face.pause()
            assert (self.words[FIRST], self.words[SECOND]) == (first, second)

    async def write(self, face: Face) -> None:
        async with face.enter(face.of(self.handle).write()) as guard:
            await self.rewrite(face, guard)

    async def upgrade(self, face: Face) -> None:
        async with face.enter(face.of(self.handle).upgradable()) as guard:
            seen = self.words[FIRST], self.words[SECOND]
            await face.call(guard.upgrade)
            assert seen == (self.words[FIRST], self.words[SECOND])
            await self.rewrite(face, guard)
            guard.downgrade()
            await face.pause()
            assert self.words[FIRST] == self.words[SECOND]

    async def rewrite(self, face: Face, guard: Any) -> None:
        assert self.words[FIRST] == self.words[SECOND] or guard.abandoned
        self.words[FIRST] += 1
        if await self.alone(face):
            assert guard.abandoned
        self.words[SECOND] = self.words[FIRST]

    def account(self, killed: list[int]) -> None:
        with self.handle.blocking.write():
            self.words[OWNER], self.words[SECOND] = 0, self.words[FIRST]
        s = self.handle.statistics()
        assert (s.readers, s.writing, s.upgradable, s.abandoned) == (0, False, False, False)
        waiting = (s.waiting_readers, s.waiting_writers, s.waiting_upgradables, s.waiting_upgrades)
        assert waiting == (0, 0, 0, 0)


class FairRWLockJob(RWLockJob):
    fair = True


class SemaphoreJob(Job):
    """Never more at once than there are permits.  One is lost with each process that was killed holding it,
    one or none with one that was killed taking it or giving it back, none otherwise."""

    permits: ClassVar[int] = 3

    def make(self) -> Any:
        return Semaphore(self.segment, self.name, self.permits)

    async def turn(self, face: Face) -> None:
        self.is_about(TRYING)
        async with face.enter(face.of(self.handle)):
            self.is_about(HOLDING)
            await face.pause()
            assert self.at_once() <= self.permits
            self.is_about(LEAVING)
        self.is_about(IDLE)

    def account(self, killed: list[int]) -> None:
        lost = self.permits - self.handle.value
        unknown = killed.count(TRYING) + killed.count(LEAVING)
        assert killed.count(HOLDING) <= lost <= killed.count(HOLDING) + unknown
        if lost:
            self.handle.release(lost)
        assert self.handle.statistics().waiters == 0


class BoundedSemaphoreJob(SemaphoreJob):
    def make(self) -> Any:
        return BoundedSemaphore(self.segment, self.name, self.permits)


class LimiterJob(SemaphoreJob):
    """No token is ever lost."""

    def make(self) -> Any:
        return CapacityLimiter(self.segment, self.name, self.permits)

    def account(self, killed: list[int]) -> None:
        statistics = self.handle.statistics()
        assert statistics.borrowed_by_process == {}
        assert (statistics.borrowed_tokens, statistics.tasks_waiting) == (0, 0)


class EventJob(Job):
    """Half of them wait for it, the others set and clear it."""

    def make(self) -> Any:
        return Event(self.segment, self.name)

    async def turn(self, face: Face) -> None:
        if self.seat % 2:
            await face.call(face.of(self.handle).wait)
            return
        self.handle.set()
        self.handle.clear()

    def relieve(self) -> None:
        """All at once, also those for whom it is cleared before they run."""
        self.handle.set()
        self.handle.clear()

    def account(self, killed: list[int]) -> None:
        statistics = self.handle.statistics()
        assert (statistics.set, statistics.waiters) == (False, 0)


class BarrierJob(Job):
    """Whenever it is passed, the places 0, 1 and 2 are given away, all but those of who was killed."""

    PARTIES = 3

    def make(self) -> Any:
        self.missing = 0
        return Barrier(self.segment, self.name, self.PARTIES)

    async def turn(self, face: Face) -> None:
        self.is_about(TRYING)
        try:
            place = await face.call(face.of(self.handle).wait)
        except BrokenBarrierError:
            return
        self.words[self.place(place)] += 1
        self.is_about(IDLE)

    def place(self, place: int, seat: int | None = None) -> int:
        """Each process counts for itself: the word's other writers are dead."""
        return WON + self.PARTIES * (self.seat if seat is None else seat) + place

    def relieve(self) -> None:
        self.handle.abort()

    def account(self, killed: list[int]) -> None:
        assert self.handle.n_waiting == 0
        self.handle.reset()
        self.missing += killed.count(TRYING)
        given = [sum(self.words[self.place(p, s)] for s in range(SEATS)) for p in range(self.PARTIES)]
        assert max(given) > 0
        assert sum(max(given) - count for count in given) <= self.missing


class ConditionJob(Job):
    """Half of them bring things and notify one, the others wait for them.  Who follows one that died with the
    lock notifies all: the dead one may have meant to."""

    def make(self) -> Any:
        return Condition(self.segment, self.name)

    async def turn(self, face: Face) -> None:
        async with face.enter(face.of(self.handle)):
            await self.enter(face)
            if self.seat % 2:
                await self.take(face)
            elif self.words[THINGS] < SEATS:
                self.words[THINGS] += 1
                await face.pause()
                self.handle_of(face).notify()

    def handle_of(self, face: Face) -> Any:
        return face.of(self.handle)

    async def enter(self, face: Face) -> None:
        if await self.alone(face):
            assert self.handle.lock.abandoned
        if self.handle.lock.abandoned:
            self.handle_of(face).notify_all()

    async def take(self, face: Face) -> None:
        while not self.words[THINGS] and not self.words[ENOUGH]:
            await face.call(self.handle_of(face).wait)
            await self.enter(face)
        if self.words[THINGS]:
            self.words[THINGS] -= 1

    def relieve(self) -> None:
        """Once nobody waits beside a thing that was brought: for ever, when a notification was lost."""
        bringers = [state for seat, state in enumerate(self.states()) if seat % 2 == 0]
        with self.handle.blocking:
            if self.handle.lock.abandoned:
                self.words[OWNER] = 0
                self.handle.blocking.notify_all()
            waiters = self.handle.statistics().waiters
            if bringers == [PAUSED] * len(bringers) and not (waiters and self.words[THINGS]):
                self.words[ENOUGH] = 1
                self.handle.blocking.notify_all()

    def account(self, killed: list[int]) -> None:
        with self.handle.blocking:
            self.words[ENOUGH] = self.words[OWNER] = 0
        statistics = self.handle.statistics()
        assert (statistics.locked, statistics.waiters) == (False, 0)


class OnceJob(Job):
    """One Once after the other: each is done once, however often somebody fails or dies on the way."""

    ROUND = 20

    def make(self) -> Any:
        return Once(self.segment, f"{self.name}{self.words[EPOCH]}")

    async def turn(self, face: Face) -> None:
        epoch = self.words[EPOCH]
        if epoch % self.ROUND == self.ROUND - 1:
            return  # until the next account
        once = Once(self.segment, f"{self.name}{epoch}")
        won = False
        try:
            async with face.enter(face.of(once)) as first:
                if first:
                    assert not self.words[self.won(epoch)], "it was done"
                    await self.alone(face)
                    if random.random() < 0.3:
                        raise KeyError
                    won = True
        except KeyError:
            return
        assert once.done
        if won:
            self.words[self.won(epoch)] = 1
            self.words[self.row(TALLY)] += 1
        if self.words[EPOCH] == epoch:
            self.words[EPOCH] = epoch + 1

    def won(self, epoch: int) -> int:
        return WON + epoch % self.ROUND

    def account(self, killed: list[int]) -> None:
        """What was begun is done, or can be; nearly all of it was reported by who did it."""
        first = self.words[EPOCH] // self.ROUND * self.ROUND
        self.words[OWNER] = 0
        unreported = 0
        for number in range(first, first + self.ROUND):
            begun = self.segment.find(Once, f"{self.name}{number}")
            if begun is not None:
                unreported += begun.done and not self.words[self.won(number)]
                with begun.blocking:  # as if nobody had died in it
                    pass
                assert begun.done
                self.segment.destroy_object(begun)
            self.words[self.won(number)] = 0
        assert unreported <= len(killed)
        self.words[EPOCH] = first + self.ROUND
        self.handle = self.make()


JOBS: list[type[Job]] = [
    LockJob, RLockJob, LeaderJob, RWLockJob, FairRWLockJob, SemaphoreJob, BoundedSemaphoreJob, LimiterJob,
    EventJob, BarrierJob, ConditionJob, OnceJob,
]  # fmt: skip
