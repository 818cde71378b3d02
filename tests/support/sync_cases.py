"""Ways to wait for what is entered, as a task that is swept and a rival that makes it wait.

What may be held by one at a time says so itself when two have it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, ClassVar

import anyio
import anyio.lowlevel

from aioipc import (
    BoundedSemaphore,
    CapacityLimiter,
    Leader,
    ManagedSharedMemory,
    Once,
    RLock,
    RWLock,
    Semaphore,
)
from tests.support.queues import until


async def pause(turns: int = 3) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()


class Case:
    """One way to wait for one object."""

    def __init__(self, segment: ManagedSharedMemory) -> None:
        self.segment = segment
        self.over = False  # the one who is swept has ended
        self.alone = 0
        self.handle: Any = self.make()

    def make(self) -> Any:
        raise NotImplementedError

    async def prepare(self) -> None:
        """Before anybody runs."""

    async def swept(self) -> None:
        raise NotImplementedError

    async def rival(self) -> None:
        """Makes the swept one wait, and lets it go on; ends once that has ended."""
        raise NotImplementedError

    def waiters(self) -> int:
        count: int = self.handle.statistics().waiters
        return count

    def free(self) -> bool:
        raise NotImplementedError

    async def works(self) -> None:
        raise NotImplementedError

    async def settle(self) -> None:
        assert self.alone == 0
        assert self.waiters() == 0
        assert self.free()
        await self.works()
        assert self.waiters() == 0
        assert self.free()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        assert self.alone == 0, "two have it at once"
        self.alone += 1
        try:
            yield
        finally:
            self.alone -= 1


class Held(Case):
    """What is entered, and by one at a time."""

    def enter(self) -> AbstractAsyncContextManager[Any]:
        handle: AbstractAsyncContextManager[Any] = self.handle
        return handle

    def enter_as_rival(self) -> AbstractAsyncContextManager[Any]:
        return self.enter()

    async def use(self) -> None:
        async with self.enter():
            with self.exclusive():
                await anyio.lowlevel.checkpoint()

    async def swept(self) -> None:
        for _ in range(4):
            await self.use()

    async def rival(self) -> None:
        for _ in range(6):
            async with self.enter_as_rival():
                with self.exclusive():
                    await pause()
            await anyio.lowlevel.checkpoint()

    async def works(self) -> None:
        async with anyio.create_task_group() as group, self.enter_as_rival():
            group.start_soon(self.use)
            await until(lambda: self.waiters() == 1)


class ReentrantLock(Held):
    def make(self) -> RLock:
        return RLock(self.segment, spin_us=0)

    @asynccontextmanager
    async def enter_twice(self) -> AsyncIterator[None]:
        async with self.handle, self.handle:
            assert self.handle.statistics().depth == 2
            yield

    def enter(self) -> AbstractAsyncContextManager[Any]:
        return self.enter_twice()

    def enter_as_rival(self) -> AbstractAsyncContextManager[Any]:
        return super().enter()

    def free(self) -> bool:
        statistics = self.handle.statistics()
        return not statistics.locked and statistics.depth == 0


class Write(Held):
    fair: ClassVar[bool] = False

    def make(self) -> RWLock:
        return RWLock(self.segment, fair=self.fair)

    def enter(self) -> AbstractAsyncContextManager[Any]:
        guard: AbstractAsyncContextManager[Any] = self.handle.write()
        return guard

    def waiters(self) -> int:
        s = self.handle.statistics()
        count: int = s.waiting_readers + s.waiting_writers + s.waiting_upgradables + s.waiting_upgrades
        return count

    def free(self) -> bool:
        statistics = self.handle.statistics()
        return not self.handle.locked() and statistics.my_reads == 0 and not statistics.mine


class Read(Write):
    def enter(self) -> AbstractAsyncContextManager[Any]:
        guard: AbstractAsyncContextManager[Any] = self.handle.read()
        return guard

    def enter_as_rival(self) -> AbstractAsyncContextManager[Any]:
        return super().enter()


class Upgradable(Write):
    def enter(self) -> AbstractAsyncContextManager[Any]:
        guard: AbstractAsyncContextManager[Any] = self.handle.upgradable()
        return guard


class Upgrade(Write):
    """Waits to be upgradable, and then for a reader to leave."""

    @asynccontextmanager
    async def upgraded(self) -> AsyncIterator[None]:
        async with self.handle.upgradable() as guard:
            try:
                await guard.upgrade()
            except BaseException:
                assert guard.level == "upgradable"
                assert self.handle.statistics().upgradable
                raise
            yield
            guard.downgrade("upgradable")

    def enter(self) -> AbstractAsyncContextManager[Any]:
        return self.upgraded()

    def enter_as_rival(self) -> AbstractAsyncContextManager[Any]:
        guard: AbstractAsyncContextManager[Any] = self.handle.read()
        return guard


class FairWrite(Write):
    fair = True


class FairRead(Read):
    fair = True


class FairUpgrade(Upgrade):
    fair = True


class Permit(Held):
    def make(self) -> Semaphore:
        return Semaphore(self.segment, None, 1)

    def free(self) -> bool:
        value: int = self.handle.value
        return value == 1


class BoundedPermit(Permit):
    def make(self) -> Semaphore:
        return BoundedSemaphore(self.segment, None, 1)


class Token(Held):
    def make(self) -> CapacityLimiter:
        return CapacityLimiter(self.segment, None, 1)

    def waiters(self) -> int:
        count: int = self.handle.statistics().tasks_waiting
        return count

    def free(self) -> bool:
        statistics = self.handle.statistics()
        return statistics.borrowed_tokens == 0 and statistics.borrowers == ()


class TokenOnBehalf(Token):
    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[None]:
        borrower = object()
        await self.handle.acquire_on_behalf_of(borrower)
        try:
            yield
        finally:
            self.handle.release_on_behalf_of(borrower)

    def enter(self) -> AbstractAsyncContextManager[Any]:
        return self.borrowed()

    def enter_as_rival(self) -> AbstractAsyncContextManager[Any]:
        return super().enter()


class Leadership(Held):
    def make(self) -> Leader:
        self.term = 0
        return Leader(self.segment)

    @asynccontextmanager
    async def led(self) -> AsyncIterator[None]:
        async with self.handle as term:
            assert term > self.term
            self.term = term
            yield

    def enter(self) -> AbstractAsyncContextManager[Any]:
        return self.led()

    def enter_as_rival(self) -> AbstractAsyncContextManager[Any]:
        return super().enter()

    def free(self) -> bool:
        leading: bool = self.handle.leading
        return not leading


class StartUp(Held):
    """A rival tries first and fails; then the swept one is to do it."""

    def make(self) -> Once:
        self.times = 0
        return Once(self.segment)

    async def prepare(self) -> None:
        assert await self.handle.__aenter__() is True

    async def use(self) -> None:
        async with self.handle as first:
            if first:
                with self.exclusive():
                    await pause()
                self.times += 1

    async def swept(self) -> None:
        await self.use()

    async def rival(self) -> None:
        await pause()
        await self.handle.__aexit__(KeyError, KeyError(), None)
        await pause()
        await self.use()

    def free(self) -> bool:
        return not self.handle.statistics().locked

    async def works(self) -> None:
        await self.use()
        assert self.handle.done
        assert self.times == 1


HELD: tuple[type[Held], ...] = (
    ReentrantLock, Write, Read, Upgradable, Upgrade, FairWrite, FairRead, FairUpgrade, Permit, BoundedPermit,
    Token, TokenOnBehalf, Leadership,
)  # fmt: skip
