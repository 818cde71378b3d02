"""File locks between processes: other programs' own, deaths, forks, Ctrl-C, and how interpreters end."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioipc import FileLock, NotOwnerError, WouldBlock
from tests.support.faces import until
from tests.support.files import descriptors, foreign, idle, threads, waiting
from tests.support.forked import Forked, forked
from tests.support.loops import LOOPS
from tests.support.peers import Link, Peer
from tests.support.sources import ROOT

Spawn = Callable[..., Peer]
RunAsync = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("named_home")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.lock"


@pytest.fixture
def lock(path: Path) -> FileLock:
    return FileLock(path)


def waits(lock: FileLock, count: int) -> None:
    """Returns when so many stand in line."""
    while lock.statistics().waiters != count:
        os.sched_yield()


# --------------------------------------------------------------------------------------------- the roles


def hold(test: Link, path: str) -> None:
    with FileLock(path).blocking:
        test.sync("held")


def hold_reading(test: Link, path: str) -> None:
    with FileLock(path).blocking.read():
        test.sync("held")


async def wait(test: Link, path: str) -> bool:
    lock = FileLock(path)
    async with lock:
        return lock.abandoned


def wait_blocking(test: Link, path: str) -> bool:
    lock = FileLock(path)
    with lock.blocking:
        return lock.abandoned


def number(path: str) -> int:
    return int(Path(path).read_text())


def add(path: str) -> None:
    """What only one may do at a time."""
    Path(path).write_text(str(number(path) + 1))


async def count(test: Link, path: str, rounds: int) -> None:
    lock = FileLock(path)
    for _ in range(rounds):
        async with lock:
            add(path)
        async with lock.read():
            number(path)


def count_blocking(test: Link, path: str, rounds: int) -> None:
    lock = FileLock(path)
    for _ in range(rounds):
        with lock.blocking:
            add(path)
        with lock.blocking.read():
            number(path)


def count_with_lockf(test: Link, path: str, rounds: int) -> None:
    """Another program: it waits for us in the kernel, and we for it."""
    for _ in range(rounds):
        with open(path, "r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            total = int(file.read())
            file.seek(0)
            file.write(str(total + 1))
            file.flush()


def test_processes_of_every_kind_exclude_each_other(spawn: Spawn, path: Path, lock: FileLock) -> None:
    rounds = 40
    path.write_text("0")
    peers = [spawn(count, str(path), rounds, loop=loop) for loop in LOOPS if loop != "asyncio-debug"]
    peers += [spawn(role, str(path), rounds) for role in (count_blocking, count_with_lockf, count_with_lockf)]
    for peer in peers:
        peer.result()
    assert path.read_text() == str(rounds * len(peers))
    assert idle(lock)


def test_a_held_lock_is_seen_by_other_processes(spawn: Spawn, path: Path, lock: FileLock) -> None:
    peer = spawn(hold, str(path))
    assert peer.receive() == "held"
    statistics = lock.statistics()
    assert (statistics.locked, statistics.mine, statistics.owner_pid) == (True, False, peer.pid)
    with pytest.raises(WouldBlock):
        lock.acquire_nowait()
    with pytest.raises(WouldBlock):
        lock.read().acquire_nowait()
    with pytest.raises(NotOwnerError):
        lock.release()
    peer.go()
    peer.result()
    reader = spawn(hold_reading, str(path))
    assert reader.receive() == "held"
    with lock.blocking.read():
        pass
    with pytest.raises(WouldBlock):
        lock.acquire_nowait()
    reader.go()
    reader.result()
    assert idle(lock)


# ---------------------------------------------------------------------------------------------- deaths


def test_a_waiter_gets_a_killed_holders_lock(
    spawn: Spawn, run_async: RunAsync, path: Path, lock: FileLock
) -> None:
    peer = spawn(hold, str(path))
    assert peer.receive() == "held"

    async def waiter() -> None:
        async with lock:
            assert lock.abandoned
        assert not lock.abandoned

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await waiting(lock, 1)
            peer.kill()

    run_async(body)
    assert idle(lock)


@pytest.mark.parametrize("role", [wait, wait_blocking])
def test_waiters_of_other_processes_are_served_though_some_are_killed(
    spawn: Spawn, path: Path, lock: FileLock, role: Any
) -> None:
    holder = spawn(hold, str(path))
    assert holder.receive() == "held"
    first = spawn(role, str(path))
    waits(lock, 1)
    second = spawn(role, str(path))
    waits(lock, 2)
    first.kill()
    holder.kill()
    assert second.result() is True
    assert idle(lock)


def test_a_holder_killed_before_anybody_waits_is_told_to_the_next(
    spawn: Spawn, path: Path, lock: FileLock
) -> None:
    reader = lock.read()
    for guard in (lock, lock.write(), reader):
        peer = spawn(hold, str(path))
        assert peer.receive() == "held"
        peer.kill()
        assert guard.blocking.acquire(timeout=60)
        assert guard.abandoned
        guard.release()
        with lock.blocking:
            assert lock.abandoned == (guard is reader)  # until somebody has held it to write
        assert not lock.statistics().abandoned
    assert idle(lock)


def test_a_killed_reader_is_nothing_to_a_writer(spawn: Spawn, path: Path, lock: FileLock) -> None:
    reader = spawn(hold_reading, str(path))
    assert reader.receive() == "held"
    writer = spawn(wait, str(path))
    lock.statistics()
    with pytest.raises(WouldBlock):
        lock.acquire_nowait()
    reader.kill()
    assert writer.result() is False
    assert idle(lock)


def test_a_waiter_killed_while_it_waits_for_another_program_leaves_nothing(
    spawn: Spawn, path: Path, lock: FileLock
) -> None:
    with foreign(path, "ofd"):
        peer = spawn(wait, str(path))
        while not blocked(path):
            os.sched_yield()
        peer.kill()
    with foreign(path, "ofd"):
        pass
    assert idle(lock)


def test_a_stopped_holder_keeps_the_lock(spawn: Spawn, path: Path, lock: FileLock) -> None:
    peer = spawn(hold, str(path))
    assert peer.receive() == "held"
    peer.stop()
    assert lock.blocking.acquire(timeout=0.05) is False
    assert lock.statistics().owner_pid == peer.pid
    peer.resume()
    peer.go()
    with lock.blocking:
        assert not lock.abandoned
    peer.result()


# --------------------------------------------------------------------------------------- other programs


@contextmanager
def program(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A program that says "held" when it has the lock, and ends when it is told something."""
    with started(*command) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """With its children: flock(1) shares its lock with the program that it runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def flock_1(path: Path, *options: str) -> list[str]:
    return ["flock", *options, str(path), "sh", "-c", "echo held; read line"]


def locking_with(call: str, path: Path) -> list[str]:
    imports = "import fcntl, sys; from tests.support.files import file_range"
    program = f"{imports}; f = open(sys.argv[1], 'r+'); {call}; print('held', flush=True); input()"
    return [sys.executable, "-c", program, str(path)]


def lockf(path: Path) -> list[str]:
    return locking_with("fcntl.lockf(f, fcntl.LOCK_EX)", path)


def boost(path: Path, kind: str) -> list[str]:
    """What Boost.Interprocess's file_lock does for lock() and lock_sharable()."""
    return locking_with(f"fcntl.fcntl(f, fcntl.F_SETLKW, file_range(fcntl.{kind}))", path)


PROGRAMS: dict[str, tuple[str, Callable[[Path], list[str]], bool]] = {
    "flock(1)": ("flock", flock_1, False),
    "flock(1) -s": ("flock", lambda path: flock_1(path, "-s"), True),
    "lockf": ("ofd", lockf, False),
    "Boost's lock": ("ofd", lambda path: boost(path, "F_WRLCK"), False),
    "Boost's lock_sharable": ("ofd", lambda path: boost(path, "F_RDLCK"), True),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("end", ["release", "kill"])
def test_a_program_that_holds_the_lock_is_waited_for(path: Path, name: str, end: str) -> None:
    protocol, command, shared = PROGRAMS[name]
    path.touch()
    lock = FileLock(path, protocol=protocol)  # type: ignore[arg-type]

    async def body() -> None:
        with program(*command(path)) as process:
            statistics = lock.statistics()
            assert (statistics.locked, statistics.writing) == (True, not shared)
            assert statistics.owner_pid == (process.pid if protocol == "ofd" and not shared else None)
            if shared:
                async with lock.read():
                    pass
            async with anyio.create_task_group() as group:
                group.start_soon(lock.acquire)
                await until(lambda: threads() == 1)
                if end == "kill":
                    kill(process)
                else:
                    process.communicate("go\n")
        assert lock.statistics().mine
        assert not lock.abandoned  # of other programs nothing is known
        lock.release()
        assert idle(lock)

    anyio.run(body)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_waits_for_us_and_gets_it_next(path: Path, name: str) -> None:
    protocol, command, _ = PROGRAMS[name]
    path.touch()
    lock = FileLock(path, protocol=protocol)  # type: ignore[arg-type]
    lock.acquire_nowait()
    with started(*command(path)) as process:
        assert process.stdout is not None
        while not blocked(path):
            os.sched_yield()
        lock.release()
        assert process.stdout.readline() == "held\n"
        with pytest.raises(WouldBlock):
            lock.acquire_nowait()
        process.communicate("go\n")
    assert idle(lock)


def blocked(path: Path) -> bool:
    """Whether anybody waits in the kernel for a lock of this file."""
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and inode in line for line in lines)


def test_a_program_that_does_not_wait_is_refused(path: Path) -> None:
    lock = FileLock(path, protocol="flock")
    with lock.blocking.read():
        assert subprocess.run(["flock", "-n", "-s", path, "true"], check=False).returncode == 0
        assert subprocess.run(["flock", "-n", path, "true"], check=False).returncode == 1
    assert subprocess.run(["flock", "-n", path, "true"], check=False).returncode == 0
    with FileLock(path).blocking, path.open("r+") as file, pytest.raises(BlockingIOError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# ----------------------------------------------------------------------------------------------- forks


def child_holds_nothing(test: Link, lock: FileLock, folder: str) -> list[bool]:
    found = [descriptors(Path(folder)) == 0, not lock.statistics().mine, not lock.abandoned]
    with pytest.raises(NotOwnerError):
        lock.release()
    with pytest.raises(WouldBlock):
        lock.acquire_nowait()
    test.sync("looked")
    lock.blocking.acquire()
    found.append(lock.statistics().mine)
    return found


def test_a_forked_child_holds_nothing_of_its_parents(lock: FileLock, path: Path) -> None:
    lock.acquire_nowait()
    with forked(child_holds_nothing, lock, str(path.parent)) as child:
        assert child.receive() == "looked"
        assert lock.statistics().mine
        lock.release()
        child.go()
        assert child.result() == [True] * 4
    assert lock.blocking.acquire(timeout=60)  # it ended holding it
    assert lock.abandoned
    lock.release()
    assert idle(lock)


def hold_and_fork(test: Link, path: str, waiting_too: bool) -> None:
    """Holds the lock, and has a child that lives on."""
    lock, other = FileLock(path), FileLock(path)
    lock.acquire_nowait()

    async def body() -> None:
        async with anyio.create_task_group() as group:
            if waiting_too:
                group.start_soon(other.acquire)
                await waiting(lock, 1)
            child = Forked(lambda link: link.sync("there"))
            assert child.receive() == "there"
            test.sync(child.pid)

    anyio.run(body)


@pytest.mark.parametrize("waiting_too", [False, True])
def test_a_forked_child_does_not_keep_a_killed_parents_lock(
    spawn: Spawn, path: Path, lock: FileLock, waiting_too: bool
) -> None:
    peer = spawn(hold_and_fork, str(path), waiting_too)
    child = peer.receive()
    os.kill(peer.pid, signal.SIGSTOP)
    os.kill(child, 0)
    peer.kill()
    assert lock.blocking.acquire(timeout=60)
    lock.release()
    assert idle(lock)


def test_a_child_forked_while_a_task_waits_for_another_program_does_not_disturb_it(
    run_async: RunAsync, lock: FileLock, path: Path
) -> None:
    async def body() -> None:
        async with anyio.create_task_group() as group:
            with foreign(path, "ofd"):
                group.start_soon(lock.acquire)
                await until(lambda: threads() == 1)
                child = Forked(lambda link: [link.sync("there"), threads(), lock.statistics().mine])
                assert child.receive() == "there"
        assert lock.statistics().mine
        lock.release()
        with foreign(path, "ofd"):  # the child lives, and holds nothing
            pass
        with child:
            child.go()
            assert child.result() == ["go", 0, False]
        assert idle(lock)

    run_async(body)


def take_and_report(lock: FileLock, connection: Any) -> None:
    with lock.blocking:
        connection.send((lock.path, lock.statistics().mine))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_lock_travels_through_multiprocessing_arguments(lock: FileLock, method: str) -> None:
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=take_and_report, args=(lock, theirs))
    process.start()
    assert ours.recv() == (lock.path, True)
    process.join()
    assert process.exitcode == 0
    ours.close()
    theirs.close()
    process.close()
    assert idle(lock)


# --------------------------------------------------------------------------------- signals, and the end


def interrupted(test: Link, path: str) -> list[Any]:
    lock = FileLock(path)
    try:
        with lock.blocking:
            return []
    except KeyboardInterrupt:
        return [lock.statistics().mine, threads(), descriptors(Path(path).parent)]


@pytest.mark.parametrize("behind", ["us", "another program"])
def test_ctrl_c_ends_a_blocking_acquire_and_leaves_nothing(
    spawn: Spawn, path: Path, lock: FileLock, behind: str
) -> None:
    holding = lock.blocking if behind == "us" else foreign(path, "ofd")
    with holding:
        peer = spawn(interrupted, str(path))
        if behind == "us":
            waits(lock, 1)
        else:
            while not blocked(path):
                os.sched_yield()
        peer.interrupt()
        assert peer.result() == [False, 0, 0]
        assert lock.statistics().waiters == 0
    assert idle(lock)


@pytest.mark.parametrize("behind", ["us", "another program"])
def test_an_interpreter_that_ends_with_waiters_pending_ends(path: Path, lock: FileLock, behind: str) -> None:
    program = f"""
import asyncio, threading
from aioipc import FileLock
lock = FileLock({str(path)!r})
async def main():
    asyncio.create_task(lock.acquire())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
threading.Thread(target=lock.blocking.acquire, daemon=True).start()
threading.Thread(target=lock.blocking.read().acquire, daemon=True).start()
while lock.statistics().waiters < {1 if behind == "us" else 0}:
    pass
asyncio.run(main())
loop = asyncio.new_event_loop()
task = loop.create_task(lock.acquire())
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
"""
    holding = lock.blocking if behind == "us" else foreign(path, "ofd")
    with holding:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], check=False, capture_output=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr.decode()
    with lock.blocking:
        assert lock.statistics().waiters == 0
    assert idle(lock)


def test_a_lock_that_is_held_to_the_end_needs_no_release(path: Path, lock: FileLock) -> None:
    program = f"from aioipc import FileLock; lock = FileLock({str(path)!r}); lock.acquire_nowait()"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert idle(lock)
