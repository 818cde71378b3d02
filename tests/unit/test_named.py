"""Primitives by name alone: one segment for all of a user's, made when needed, and what can go wrong."""

import inspect
import os
import pickle
import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

import aioipc
from aioipc import (
    AtomicInt64,
    ClosedError,
    CorruptSegmentError,
    IncompatibleSegmentError,
    Lock,
    ManagedSharedMemory,
    PermissionDeniedError,
    Queue,
    SegmentFullError,
    SharedDict,
    TooManyParticipantsError,
    TypeMismatchError,
    _home,
    named,
)
from tests.support.forked import forked
from tests.support.peers import Link

pytestmark = pytest.mark.usefixtures("named_home")

SHM = Path("/dev/shm")
ARGUMENTS: dict[str, tuple[int, ...]] = {"Barrier": (2,), "CapacityLimiter": (2,), "Semaphore": (2,)}
PRIMITIVES = [name for name in named.__all__ if isinstance(getattr(aioipc, name, None), type)]


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_named_primitive_takes_the_arguments_of_its_type(name: str) -> None:
    make, kind = getattr(named, name), getattr(aioipc, name)
    own = list(inspect.signature(kind).parameters.values())[2:]
    signature = inspect.signature(make)
    assert list(signature.parameters.values())[1:] == own
    assert (make.__name__, signature.return_annotation) == (name, kind)
    assert f"aioipc.{name}" in make.__doc__


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_can_be_had_by_name(name: str) -> None:
    made = getattr(named, name)("a", *ARGUMENTS.get(name, ()))
    assert type(made) is getattr(aioipc, name)
    assert made == getattr(named, name)("a") == pickle.loads(pickle.dumps(made))
    (record,) = named.all()
    assert (record.name, record.type, record.holder_pid) == ("a", name, None)
    assert record.statistics == made.statistics()
    assert named.remove("a")
    assert named.all() == []


def test_every_primitive_of_the_package_has_a_name_here() -> None:
    primitives = {"Lock", "RLock", "RWLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier"}
    assert set(PRIMITIVES) == primitives | {"CapacityLimiter", "Once", "Leader"}


def test_a_condition_takes_a_named_lock() -> None:
    lock = named.Lock("l")
    condition = named.Condition("c", lock)
    with condition.blocking:
        assert lock.statistics().mine
    assert named.Condition("c").lock == lock


def test_the_same_name_is_the_same_primitive() -> None:
    assert named.Lock("a") == named.Lock("a", spin_us=7)
    assert named.Lock("a") != named.Lock("b")
    assert named.Lock("a", spin_us=7).spin_us == 7
    assert type(named.Lock("a")) is Lock
    assert named.Lock("a").name == "a"


def test_the_segment_is_persistent_private_and_of_the_documented_size(named_home: str) -> None:
    assert not ManagedSharedMemory.exists(named_home)
    named.Lock("a")
    found = next(info for info in ManagedSharedMemory.all() if info.name == named_home)
    assert (found.size, found.mode, found.participants) == (named.SIZE, 0o600, 256)
    assert not found.last_detach
    assert named.segment().uuid == found.uuid
    assert (SHM / named_home).stat().st_size == named.SIZE == 4 << 20


def test_without_the_variable_it_is_named_after_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIOIPC_NAMED")
    assert _home.name() == f"aioipc-named-{os.geteuid()}"


def test_looking_makes_no_segment(named_home: str) -> None:
    assert named.all() == []
    assert not named.exists("a")
    assert not named.remove("a")
    assert not ManagedSharedMemory.exists(named_home)


def test_all_lists_names_types_holders_and_statistics() -> None:
    held = named.Lock("held")
    named.Lock("äther")
    Lock(named.segment(), f"{_home.RESERVED}file")
    Lock(named.segment())
    with held.blocking:
        first, second = named.all()
        assert first == named.NamedPrimitive("held", "Lock", os.getpid(), held.statistics())
        assert (second.name, second.type, second.holder_pid) == ("äther", "Lock", None)
        with pytest.raises(AttributeError):
            first.name = "other"  # type: ignore[misc]


def test_removing_ends_the_waiting_and_frees_the_name(run_async) -> None:
    ended = 0

    async def waiter() -> None:
        nonlocal ended
        with pytest.raises(ClosedError):
            await named.Lock("a").acquire()
        ended += 1

    async def body() -> None:
        lock = named.Lock("a")
        await lock.acquire()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(waiter)
            while lock.statistics().waiters != 3:
                await anyio.lowlevel.checkpoint()
            assert named.exists("a")
            assert named.remove("a")
        assert ended == 3
        assert not named.exists("a")
        assert not named.remove("a")
        named.Lock("a").acquire_nowait()
        assert named.remove("a")

    run_async(body)


def test_another_type_of_that_name_is_refused_and_can_be_removed() -> None:
    SharedDict(named.segment(), "a")
    with pytest.raises(TypeMismatchError, match="'a' is a SharedDict, not a Lock"):
        named.Lock("a")
    assert [record.type for record in named.all()] == ["SharedDict"]
    assert named.remove("a")
    named.Lock("a")


def test_a_type_of_a_later_version_is_listed_and_removed() -> None:
    named.segment()._attachment.construct(aioipc._native._core.NAMED, b"novel", 0x999, 16, 1, None)
    (record,) = named.all()
    assert (record.name, record.type) == ("novel", "object of unknown type 0x999")
    assert record.holder_pid is record.statistics is None
    assert named.remove("novel")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (None, TypeError, "a str, not None"),
        (b"a", TypeError, "a str"),
        (".aioipc-a", ValueError, "aioipc's own"),
        ("x" * 256, ValueError, "255 bytes"),
    ],
)
def test_what_cannot_be_a_name_is_refused(name: object, error: type[Exception], words: str) -> None:
    for use in (named.Lock, named.exists, named.remove):
        with pytest.raises(error, match=words):
            use(name)  # type: ignore[operator]
    assert named.all() == []


# ------------------------------------------------------------------------------------------ the segment


def test_the_size_is_read_when_the_segment_is_made(named_home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOIPC_NAMED_SIZE", str(1 << 20))
    assert named.segment().size == 1 << 20
    monkeypatch.setenv("AIOIPC_NAMED_SIZE", str(2 << 20))
    named.segment().close()
    assert named.segment().size == 1 << 20
    (info,) = (info for info in ManagedSharedMemory.all() if info.name == named_home)
    assert info.participants == 64


@pytest.mark.parametrize("size", ["4M", "-1", "1.5", " "])
def test_a_size_that_is_no_number_is_refused(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOIPC_NAMED_SIZE", size)
    with pytest.raises(ValueError, match="AIOIPC_NAMED_SIZE must be a number of bytes"):
        named.Lock("a")


def test_a_full_segment_says_what_to_do(named_home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOIPC_NAMED_SIZE", str(128 << 10))
    with pytest.raises(SegmentFullError) as caught:
        all(named.Lock(f"lock {number}") for number in range(10_000))
    for words in ("remove()", "all()", f"aioipc rm {named_home}", "AIOIPC_NAMED_SIZE"):
        assert words in str(caught.value)
    assert caught.value.asked is not None
    assert named.remove("lock 0")
    named.Lock("another")


def test_a_full_dev_shm_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    filesystem = os.statvfs(SHM)
    size = filesystem.f_frsize * filesystem.f_blocks + (1 << 30)
    monkeypatch.setenv("AIOIPC_NAMED_SIZE", str(size))
    with pytest.raises(SegmentFullError, match=r"room for .*AIOIPC_NAMED_SIZE=<bytes> asks for less"):
        named.Lock("a")


def test_a_removed_segment_is_made_anew_and_old_handles_stay_on_the_old_one(named_home: str) -> None:
    before = named.Lock("a")
    before.acquire_nowait()
    assert ManagedSharedMemory.remove(named_home)
    after = named.Lock("a")
    assert after.segment.uuid != before.segment.uuid
    after.acquire_nowait()
    assert named.Lock("a") == after
    before.release()
    before.acquire_nowait()
    after.release()
    before.release()


def test_a_closed_segment_is_opened_again() -> None:
    lock = named.Lock("a")
    named.segment().close()
    with pytest.raises(ClosedError):
        lock.acquire_nowait()
    with named.Lock("a").blocking:
        assert named.exists("a")


def test_another_name_is_another_segment(monkeypatch: pytest.MonkeyPatch, named_home: str) -> None:
    first = named.Lock("a")
    monkeypatch.setenv("AIOIPC_NAMED", f"{named_home}-other")
    try:
        assert not named.exists("a")
        assert named.Lock("a") != first
        monkeypatch.setenv("AIOIPC_NAMED", named_home)
        assert named.Lock("a") == first
    finally:
        _home._close_quietly()
        ManagedSharedMemory.remove(f"{named_home}-other")


def test_a_segment_of_another_user_is_refused_and_the_error_says_what_to_do(
    named_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ManagedSharedMemory.create(named_home, 1 << 20):
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(PermissionDeniedError, match=rf"another user's.*rm --any-owner {named_home}"):
            named.Lock("a")
        with pytest.raises(PermissionDeniedError):
            named.all()


@pytest.mark.parametrize("where", ["object", "end"])
def test_a_damaged_segment_is_an_error_that_says_what_to_do(named_home: str, where: str) -> None:
    at = named.Lock("a").pin.offset
    named.segment().close()
    with (SHM / named_home).open("r+b") as file:
        if where == "end":
            file.truncate(1 << 20)
        else:
            file.seek(at - 8)  # the header of its block
            file.write(b"\xff" * 4096)
    with pytest.raises(CorruptSegmentError, match=f"aioipc rm {named_home} removes it") as caught:
        named.Lock("a")
    assert caught.value.what is not None
    assert ManagedSharedMemory.remove(named_home)
    named.Lock("a")


def test_what_is_no_segment_is_an_error_that_says_what_to_do(named_home: str) -> None:
    (SHM / named_home).write_bytes(b"not one" * 1000)
    try:
        with pytest.raises(IncompatibleSegmentError, match=f"rm /dev/shm/{named_home}"):
            named.Lock("a")
    finally:
        (SHM / named_home).unlink()


def test_too_many_processes_is_an_error_that_says_what_to_do(named_home: str) -> None:
    with (
        ManagedSharedMemory.create(named_home, 1 << 20, participants=1),
        ManagedSharedMemory.open(named_home) as again,
    ):
        assert again.uuid
        pid = os.fork()
        if pid == 0:
            try:
                named.Lock("a")
            except TooManyParticipantsError as error:
                os._exit(0 if f"aioipc rm {named_home}" in str(error) else 2)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_many_threads_that_use_it_first_open_it_once() -> None:
    together, found = threading.Barrier(8), []

    def use() -> None:
        together.wait()
        found.append(named.Lock("a").segment)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(segment) for segment in found}) == 1


def test_the_segment_takes_other_objects_of_its_users_too() -> None:
    jobs: Queue[int] = Queue(named.segment(), "jobs")
    jobs.put_nowait(1)
    assert jobs.get_nowait() == 1
    AtomicInt64(named.segment(), "count")
    assert [(record.name, record.type) for record in named.all()] == [
        ("count", "AtomicInt64"),
        ("jobs", "Queue"),
    ]
    assert named.all()[0].statistics is None
    assert named.segment().check_sanity()


# ------------------------------------------------------------------------- what the package keeps for itself


def transients() -> set[str]:
    names = (name for name, _, _ in _home.listed(named.segment()))
    return {name.removeprefix(_home.RESERVED) for name in names if name.startswith(_home.RESERVED)}


def test_a_transient_primitive_is_one_for_all_while_it_is_in_use() -> None:
    used = _home.transient(Lock, "used", spin_us=7)
    for number in range(100):
        _home.transient(Lock, f"dropped {number}")
        assert len(transients()) <= 1 + _home._SWEEP_EVERY
    assert _home.transient(Lock, "used") == used
    assert used.spin_us == 7
    assert named.all() == []


def test_a_transient_primitive_whose_holder_died_is_kept_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_home, "_ABANDONED", 2)

    def die(_: Link) -> None:
        for number in range(3):
            _home.transient(Lock, f"held {number}").acquire_nowait()

    with forked(die) as child:
        child.result()
    named.segment().check_sanity()  # looks after the dead
    _home._sweep(named.segment())
    assert len(transients()) == 2
    for key in transients():
        with _home.transient(Lock, key).blocking:
            assert _home.transient(Lock, key).abandoned
    _home._sweep(named.segment())
    assert transients() == set()


def test_a_full_segment_is_swept_before_it_is_called_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOIPC_NAMED_SIZE", str(128 << 10))
    monkeypatch.setattr(_home, "_SWEEP_EVERY", 1 << 30)
    for number in range(10_000):
        _home.transient(Lock, f"dropped {number}")
    assert len(transients()) < 10_000
    for number in range(10_000):
        if not transients():
            break
        named.Lock(f"lock {number}")
    assert number < 9_999
