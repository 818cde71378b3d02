"""The ways of using a read-write lock that must all be the same, and what tests ask of one."""

from typing import Any, Literal

from aioipc import RWLock, WouldBlock
from tests.support.holders import in_thread, until

Level = Literal["read", "upgradable", "write"]


class Awaited:
    """Guards of `lock.read()` in the test's own loop."""

    def __init__(self, lock: RWLock) -> None:
        self.lock = lock

    def guard(self, level: Level) -> Any:
        return getattr(self.lock, level)()

    async def acquire(self, guard: Any) -> bool:
        return bool(await guard.acquire())

    async def upgrade(self, guard: Any) -> None:
        await guard.upgrade()


class Blocking(Awaited):
    """Guards of `lock.blocking.read()`, which wait in threads."""

    def guard(self, level: Level) -> Any:
        return getattr(self.lock.blocking, level)()

    async def acquire(self, guard: Any) -> bool:
        return bool(await in_thread(guard.acquire))

    async def upgrade(self, guard: Any) -> None:
        assert await in_thread(guard.upgrade)


def waiters(lock: RWLock) -> tuple[int, int, int, int]:
    """To read, to write, to be upgradable, to upgrade."""
    record = lock.statistics()
    return (
        record.waiting_readers,
        record.waiting_writers,
        record.waiting_upgradables,
        record.waiting_upgrades,
    )


async def waiting(lock: RWLock, *, read: int = 0, write: int = 0, upgradable: int = 0, up: int = 0) -> None:
    await until(lambda: waiters(lock) == (read, write, upgradable, up))


def held(lock: RWLock) -> tuple[int, bool, bool]:
    record = lock.statistics()
    return record.readers, record.upgradable, record.writing


def idle(lock: RWLock) -> bool:
    """Nobody holds it or waits, and it still works."""
    nobody = held(lock) == (0, False, False) and waiters(lock) == (0, 0, 0, 0)
    guard = lock.write()
    guard.acquire_nowait()
    guard.release()
    return nobody and not lock.locked()


def may(lock: RWLock, level: Level) -> bool:
    """Whether one more can hold it so."""
    guard = getattr(lock, level)()
    try:
        guard.acquire_nowait()
    except WouldBlock:
        return False
    guard.release()
    return True
