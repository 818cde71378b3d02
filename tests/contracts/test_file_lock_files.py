"""The file behind a FileLock: how it is made, who may lock it, and what happens when it goes away."""

import os
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aioipc import (
    ClosedError,
    FileGuard,
    FileLock,
    IPCError,
    NotFoundError,
    PermissionDeniedError,
    WouldBlock,
    _home,
    named,
)
from tests.support.faces import FACES, THREE_LOOPS, Face, until
from tests.support.files import again, descriptors, foreign, idle, threads, waiting

RunAsync = Callable[[Callable[[], Awaitable[Any]]], Any]
MakeFace = Callable[[FileGuard], Face]

pytestmark = pytest.mark.usefixtures("named_home")


@pytest.fixture(params=THREE_LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=FACES)
def face_of(request: pytest.FixtureRequest) -> MakeFace:
    made: MakeFace = request.param
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.lock"


@pytest.fixture
def lock(path: Path) -> Iterator[FileLock]:
    yield FileLock(path)
    assert named.segment().check_sanity()
    assert descriptors(path.parent) == 0


# ---------------------------------------------------------------------------------------------- the file


def test_a_missing_file_is_made_empty_with_the_exact_mode(path: Path) -> None:
    before = os.umask(0o777)
    try:
        for number, mode in enumerate((0o600, 0o666, 0o640)):
            made = path.with_name(f"made {number}")
            with FileLock(made, mode=mode).blocking.read():
                assert (made.stat().st_mode & 0o777, made.stat().st_size) == (mode, 0)
    finally:
        os.umask(before)


def test_what_is_in_the_file_stays(path: Path) -> None:
    path.write_text("content")
    with FileLock(path).blocking:
        assert path.read_text() == "content"


def test_without_create_a_missing_file_is_an_error(run_async: RunAsync, path: Path) -> None:
    async def body() -> None:
        lock = FileLock(path, create=False)
        for guard in (lock, lock.read(), lock.write()):
            with pytest.raises(NotFoundError, match="No such file"):
                await guard.acquire()
            with pytest.raises(FileNotFoundError):
                guard.acquire_nowait()
        assert repr(lock) == f"<aioipc.FileLock {str(path)!r} [unlocked]>"

    run_async(body)
    assert not path.exists()
    path.touch()
    assert idle(FileLock(path, create=False))


def test_a_missing_directory_is_an_error(path: Path) -> None:
    with pytest.raises(NotFoundError):
        FileLock(path / "below").acquire_nowait()
    path.touch()
    with pytest.raises(IPCError, match="Not a directory"):
        FileLock(path / "below").acquire_nowait()


def test_a_directory_can_be_locked_with_flock(tmp_path: Path) -> None:
    with FileLock(tmp_path, protocol="flock").blocking:
        pass
    with pytest.raises(IPCError, match=r"directory.*protocol='flock'"):
        FileLock(tmp_path).acquire_nowait()


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that other users can look into."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def as_another_user(act: Callable[[], object]) -> None:
    """Runs it in a forked child without privileges."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setuid(12345)
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_file_that_may_only_be_read_can_be_locked_for_reading(common: Path, named_home: str) -> None:
    def act() -> None:
        os.environ["AIOIPC_NAMED"] = f"{named_home}-other"
        try:
            lock = FileLock(path)
            with lock.blocking.read():
                assert lock.locked()
            with pytest.raises(PermissionDeniedError, match="Permission denied"):
                lock.acquire_nowait()
            with FileLock(path, protocol="flock").blocking:  # as flock(1) does
                pass
        finally:
            _home._close_quietly()
            named.ManagedSharedMemory.remove(os.environ["AIOIPC_NAMED"])

    path = common / "file.lock"
    path.touch()
    path.chmod(0o444)
    as_another_user(act)


def test_a_file_that_may_not_even_be_read_is_an_error(common: Path) -> None:
    def act() -> None:
        lock = FileLock(path)
        for use in (lock.acquire_nowait, lock.read().acquire_nowait, lock.locked):
            with pytest.raises(PermissionError):
                use()
        assert repr(lock) == f"<aioipc.FileLock {str(path)!r}>"

    path = common / "file.lock"
    path.touch()
    path.chmod(0)
    as_another_user(act)


def test_any_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lock = FileLock("relative")
    monkeypatch.chdir("/")
    with lock.blocking:
        assert lock.path == str(tmp_path / "relative")
        for path in (bytes(tmp_path / "relative"), tmp_path / "relative"):
            with pytest.raises(WouldBlock):
                FileLock(path).acquire_nowait()
    with FileLock(bytes(tmp_path) + b"/\xff").blocking:
        assert os.path.exists(bytes(tmp_path) + b"/\xff")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with FileLock(tmp_path / "link").blocking, pytest.raises(WouldBlock):
        FileLock(tmp_path / "target").acquire_nowait()


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("", {}, "path"),
        ("a\0b", {}, "NUL"),
        ("a", {"mode": 0o1000}, "mode"),
        ("a", {"protocol": "nfs"}, "flock"),
    ],
)
def test_impossible_arguments_are_refused(path: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FileLock(path, **options)


# ------------------------------------------------------------------------------- while the ground moves


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.touch()
    new.rename(path)


def make_anew(path: Path) -> None:
    path.unlink()
    path.touch()


@pytest.mark.parametrize("how", [replace, make_anew, Path.unlink])
@pytest.mark.parametrize("behind", ["us", "another program"])
def test_a_file_that_was_replaced_while_waiting_is_locked_anew(
    run_async: RunAsync,
    face_of: MakeFace,
    lock: FileLock,
    path: Path,
    how: Callable[[Path], None],
    behind: str,
) -> None:
    async def body() -> None:
        other = again(lock)
        async with anyio.create_task_group() as group:
            if behind == "us":
                await other.acquire()
                group.start_soon(face_of(lock), "acquire")
                await waiting(lock, 1)
                how(path)
                other.release()
            else:
                with foreign(path, lock._file.protocol):
                    group.start_soon(face_of(lock), "acquire")
                    await until(lambda: threads() == 1)
                    how(path)
        statistics = lock.statistics()
        assert (statistics.writing, statistics.mine, statistics.owner_pid) == (True, True, os.getpid())
        with pytest.raises(WouldBlock):
            other.acquire_nowait()
        lock.release()
        assert idle(lock)

    run_async(body)


def test_a_file_that_was_removed_while_waiting_is_an_error_without_create(
    run_async: RunAsync, path: Path
) -> None:
    ended = 0
    lock = FileLock(path, create=False)
    path.touch()

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(NotFoundError):
            await lock.acquire()
        ended += 1

    async def body() -> None:
        await lock.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await waiting(lock, 1)
            os.unlink(path)
            lock.release()
        assert ended == 1

    run_async(body)


def lines() -> list[str]:
    """What stands in the segment for the order of files."""
    return [name for name, _, _ in _home.listed(named.segment()) if name.startswith(_home.RESERVED)]


def test_who_waits_in_a_line_that_is_dissolved_stands_in_the_next(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock
) -> None:
    async def body() -> None:
        other = again(lock)
        await other.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(face_of(lock), "acquire")
            await waiting(lock, 1)
            for line in lines():
                assert named.segment()._attachment.find(_home.NAMED, line.encode()).destroy()
            await until(lambda: threads() == 1)  # as behind another program
            other.release()
        assert lock.statistics().mine
        lock.release()
        assert idle(lock)

    run_async(body)


def test_after_the_segment_was_removed_the_lock_still_excludes(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock, named_home: str
) -> None:
    async def body() -> None:
        other = again(lock)
        await other.acquire()
        assert named.ManagedSharedMemory.remove(named_home)
        async with anyio.create_task_group() as group:
            group.start_soon(face_of(lock), "acquire")
            await until(lambda: threads() == 1)
            other.release()
        assert lock.statistics().mine
        lock.release()
        assert idle(lock)

    run_async(body)


def test_closing_the_segment_ends_the_waiting_and_leaves_the_holder(
    run_async: RunAsync, face_of: MakeFace, lock: FileLock, path: Path
) -> None:
    ended = 0

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await face_of(again(lock))("acquire")
        ended += 1

    async def body() -> None:
        nonlocal ended
        ended = 0
        await lock.acquire()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter)
            await waiting(lock, 3)
            named.segment().close()
        assert ended == 3
        with pytest.raises(WouldBlock):
            again(lock).acquire_nowait()
        lock.release()
        with foreign(path, lock._file.protocol):
            pass
        assert idle(lock)

    run_async(body)


def test_lines_that_nobody_stands_in_go_away(tmp_path: Path) -> None:
    for number in range(100):
        with FileLock(tmp_path / str(number)).blocking:
            assert len(lines()) <= 2 * _home._SWEEP_EVERY
