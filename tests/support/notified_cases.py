"""Ways to wait for what others do: events, barriers and conditions; see sync_cases."""

import anyio
import anyio.lowlevel

from aioipc import Barrier, Condition, Event, RLock
from tests.support.queues import until
from tests.support.sync_cases import Case, pause


class Happening(Case):
    def make(self) -> Event:
        return Event(self.segment)

    async def swept(self) -> None:
        for _ in range(3):
            assert await self.handle.wait() is True
            await pause()

    async def rival(self) -> None:
        while not self.over:
            if self.waiters():
                self.handle.set()
                self.handle.clear()
            await anyio.lowlevel.checkpoint()

    def free(self) -> bool:
        return not self.handle.is_set()

    async def works(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.handle.wait)
            await until(lambda: self.waiters() == 1)
            self.handle.set()
            self.handle.clear()


class Meeting(Case):
    def make(self) -> Barrier:
        self.met = {"swept": 0, "rival": 0}
        return Barrier(self.segment, None, 2)

    async def pass_as(self, who: str) -> None:
        await self.handle.wait()
        self.met[who] += 1
        await pause(2)

    async def swept(self) -> None:
        for _ in range(4):
            await self.pass_as("swept")

    async def rival(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.until_over, group.cancel_scope)
            while True:
                await self.pass_as("rival")

    async def until_over(self, scope: anyio.CancelScope) -> None:
        await until(lambda: self.over)
        await pause(5)  # for whom it let pass
        scope.cancel()

    def waiters(self) -> int:
        count: int = self.handle.n_waiting
        return count

    def free(self) -> bool:
        """Whoever is cancelled in the instant of passing has passed, and does not know."""
        return not self.handle.broken and self.met["rival"] - self.met["swept"] in (0, 1)

    async def works(self) -> None:
        places = []

        async def come() -> None:
            async with self.handle as place:
                places.append(place)

        async with anyio.create_task_group() as group:
            group.start_soon(come)
            group.start_soon(come)
        assert sorted(places) == [0, 1]


class Notification(Case):
    """The rival brings one thing at a time and notifies one of two who wait for it: the swept one, and one
    who waits to the end."""

    def make(self) -> Condition:
        self.things = self.brought = self.taken = 0
        self.enough = False  # nobody needs to wait for more
        return Condition(self.segment)

    async def wait(self) -> None:
        self.alone -= 1
        try:
            await self.handle.wait()
        finally:  # also when it was cancelled, it holds the lock
            assert self.alone == 0, "it came back without the lock"
            self.alone += 1

    async def take(self) -> None:
        async with self.handle:
            with self.exclusive():
                while not self.things and not self.enough:
                    await self.wait()
                if self.things:
                    self.things -= 1
                    self.taken += 1

    async def swept(self) -> None:
        for _ in range(3):
            await self.take()

    async def steady(self) -> None:
        while not self.enough:
            await self.take()

    async def rival(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.steady)
            while not self.over:
                await self.bring()
                await until(lambda: not self.things)  # for ever, when the notification was lost
            async with self.handle:
                self.enough = True
                self.handle.notify_all()

    async def bring(self) -> None:
        async with self.handle:
            with self.exclusive():
                await pause(2)  # those who were notified, or are cancelled, wait for the lock
                self.things += 1
                self.brought += 1
                self.handle.notify()
                await pause(1)

    def free(self) -> bool:
        return not self.handle.locked()

    async def works(self) -> None:
        assert self.taken == self.brought
        self.enough = False
        async with anyio.create_task_group() as group:
            group.start_soon(self.take)
            await until(lambda: self.waiters() == 1)
            await self.bring()
        assert self.taken == self.brought


class NotificationBesideAnRLock(Notification):
    """Held twice, and so again after each wait."""

    def make(self) -> Condition:
        self.things = self.brought = self.taken = 0
        self.enough = False  # nobody needs to wait for more
        return Condition(self.segment, None, RLock(self.segment, spin_us=0))

    async def wait(self) -> None:
        async with self.handle:
            try:
                await super().wait()
            finally:
                assert self.handle.lock.statistics().depth == 2


NOTIFIED = (Happening, Meeting, Notification, NotificationBesideAnRLock)
