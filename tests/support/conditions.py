"""The ways of using a condition that must all be the same, and what tests ask of one."""

from collections.abc import Callable
from typing import Any

from aioipc import Condition, Lock
from tests.support.faces import in_thread, until


class Awaited:
    """In the test's own loop."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition

    async def wait(self, woken: Callable[[], object]) -> bool:
        """Calls `woken` with the lock held."""
        async with self.condition:
            result = await self.condition.wait()
            woken()
            return result

    async def wait_for(self, predicate: Callable[[], Any]) -> Any:
        async with self.condition:
            return await self.condition.wait_for(predicate)

    async def notify(self, n: int = 1) -> None:
        async with self.condition:
            self.condition.notify(n)

    async def notify_all(self) -> None:
        async with self.condition:
            self.condition.notify_all()


class Blocking:
    """Each call in a thread of its own."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition.blocking

    async def wait(self, woken: Callable[[], object]) -> bool:
        def act() -> bool:
            with self.condition:
                result = self.condition.wait()
                woken()
                return result

        return bool(await in_thread(act))

    async def wait_for(self, predicate: Callable[[], Any]) -> Any:
        def act() -> Any:
            with self.condition:
                return self.condition.wait_for(predicate)

        return await in_thread(act)

    async def notify(self, n: int = 1) -> None:
        def act() -> None:
            with self.condition:
                self.condition.notify(n)

        await in_thread(act)

    async def notify_all(self) -> None:
        def act() -> None:
            with self.condition:
                self.condition.notify_all()

        await in_thread(act)


Face = Awaited | Blocking
FACES = (Awaited, Blocking)


async def waiting(condition: Condition, count: int) -> None:
    """Returns when so many wait, and have let the lock go."""
    await until(lambda: condition.statistics().waiters == count and not condition.locked())


def free(condition: Condition) -> bool:
    """Nobody holds the lock or waits, for it or for the condition, and it still works."""
    with condition.blocking:
        condition.blocking.notify_all()
    lock: Lock | Any = condition.lock
    statistics = lock.statistics()
    return (statistics.locked, statistics.waiters, condition.statistics().waiters) == (False, 0, 0)
