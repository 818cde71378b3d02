"""Segments in System V memory: keys, control files, and who else may have them."""

import os
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sysv_ipc

from aioipc import (
    AlreadyExistsError,
    IncompatibleSegmentError,
    Lock,
    ManagedMappedFile,
    ManagedXSISharedMemory,
    NotFoundError,
    PeerStalledError,
    Queue,
    SegmentFullError,
    SharedDict,
    XSIKey,
    _xsi,
)
from tests.support.forked import forked
from tests.support.peers import Link

SIZE = 1 << 20


@pytest.fixture
def key(segment_name: str) -> Iterator[XSIKey]:
    key = XSIKey(0x7A000000 | hash((segment_name, os.getpid())) & 0xFFFFFF)
    yield key
    control = Path(_xsi.XSIPlace(key).path)
    control.unlink(missing_ok=True)
    try:
        memory = sysv_ipc.SharedMemory(key.number)
    except sysv_ipc.ExistentialError:
        return
    memory.remove()
    memory.detach()


def control_of(key: XSIKey) -> Path:
    return Path(_xsi.XSIPlace(key).path)


def number_of_memories() -> int:
    with open("/proc/sysvipc/shm", encoding="ascii") as table:
        return len(table.readlines())


# ------------------------------------------------------------------------------------------------ keys


def test_a_key_is_a_number_of_32_bits_or_is_made_of_a_file(tmp_path: Path) -> None:
    assert XSIKey.of(0x5E6) == XSIKey.of(XSIKey(0x5E6))
    assert str(XSIKey(0x5E6)) == "0x000005e6"
    assert XSIKey((1 << 32) - 1).number == -1
    (tmp_path / "file").touch()
    assert XSIKey.of_path(tmp_path / "file") == XSIKey.of_path(tmp_path / "file", 1)
    assert XSIKey.of_path(tmp_path / "file") != XSIKey.of_path(tmp_path / "file", 2)
    with pytest.raises(NotFoundError):
        XSIKey.of_path(tmp_path / "none")
    for wrong in (1 << 32, -(1 << 31) - 1):
        with pytest.raises(ValueError, match="32 bits"):
            XSIKey.of(wrong)
    with pytest.raises(ValueError, match="from 1 to 255"):
        XSIKey.of_path(tmp_path / "file", 256)
    for no_key in ("name", True, 1.5):
        with pytest.raises(TypeError, match="a key is"):
            ManagedXSISharedMemory.exists(no_key)  # type: ignore[arg-type]


def test_a_key_opens_the_same_segment_everywhere(key: XSIKey, spawn: Any) -> None:
    with ManagedXSISharedMemory.create(key, SIZE, mode=0o640) as segment:
        assert segment.name == str(key)
        assert (segment.key, segment.size, segment.max_size) == (key, SIZE, SIZE)
        assert control_of(key).stat().st_mode & 0o777 == 0o640
        SharedDict(segment, "d")["k"] = "v"
        peers = [spawn(count, key.value) for _ in range(3)]
        for peer in peers:
            assert peer.receive() == "v"
        assert len(segment.participants()) == 4
        for peer in peers:
            peer.go()
        for peer in peers:
            peer.result()
        assert SharedDict(segment, "d")["n"] == 300
        assert segment.check_sanity()
    with ManagedXSISharedMemory.open(key.number) as segment:
        assert SharedDict(segment, "d")["n"] == 300


def count(test: Link, key: int) -> None:
    with ManagedXSISharedMemory.open(key) as segment:
        shared = SharedDict(segment, "d")
        test.sync(shared["k"])
        for _ in range(100):
            shared.update_with("n", lambda n: (n or 0) + 1)


def test_private_memory_is_opened_by_its_id(spawn: Any) -> None:
    before = number_of_memories()
    with ManagedXSISharedMemory.create(XSIKey.private(), SIZE) as segment:
        assert segment.key.value == 0
        assert segment.key.id is not None
        SharedDict(segment, "d")["k"] = "v"
        with ManagedXSISharedMemory.create(XSIKey.private(), SIZE) as other:
            assert other.key != segment.key
            ManagedXSISharedMemory.remove(other.key)
        with pickle.loads(pickle.dumps(segment)) as again:
            assert again.uuid == segment.uuid
        assert spawn(read_private, segment.key.id).result() == "v"
        assert ManagedXSISharedMemory.remove(segment.key)
        assert not ManagedXSISharedMemory.exists(segment.key) or number_of_memories() == before + 1
    assert number_of_memories() == before


def read_private(test: Link, number: int) -> str:
    with ManagedXSISharedMemory.open(XSIKey(0, number)) as segment:
        return SharedDict[str, str](segment, "d")["k"]


# ------------------------------------------------------------------------------------------- life and death


def test_memory_is_detached_with_the_last_handle(key: XSIKey) -> None:
    with ManagedXSISharedMemory.create(key, SIZE) as segment, ManagedXSISharedMemory.open(key) as again:
        assert again.uuid == segment.uuid
        memory = sysv_ipc.SharedMemory(key.number)
        assert memory.number_attached == 2
    assert memory.number_attached == 1
    memory.detach()


def test_who_has_a_removed_segment_keeps_it(key: XSIKey) -> None:
    with ManagedXSISharedMemory.create(key, SIZE) as segment:
        uuid = segment.uuid
        assert ManagedXSISharedMemory.remove(key)
        assert not ManagedXSISharedMemory.remove(key)
        assert not ManagedXSISharedMemory.exists(key)
        SharedDict(segment, "d")["k"] = "v"
        with ManagedXSISharedMemory.create(key, SIZE) as other:
            assert other.uuid != uuid
            assert SharedDict(segment, "d")["k"] == "v"
            assert len(other.participants()) == len(segment.participants()) == 1
    assert ManagedXSISharedMemory.remove(key)
    assert not control_of(key).exists()


def hold(test: Link, key: int) -> None:
    with ManagedXSISharedMemory.open(key) as segment, Lock(segment, "l").blocking:
        Queue(segment, "q").put_nowait(os.getpid())
        test.sync("held")


def test_a_killed_process_is_recovered_and_its_lock_passes_on(key: XSIKey, spawn: Any) -> None:
    with ManagedXSISharedMemory.create(key, SIZE) as segment:
        lock = Lock(segment, "l")
        for _ in range(3):
            peer = spawn(hold, key.value)
            assert peer.receive() == "held"
            peer.kill()
            with lock.blocking:
                assert lock.abandoned
        assert Queue(segment, "q").qsize() == 3
        assert len(segment.participants()) == 1
        assert segment.check_sanity()


def test_a_forked_child_is_a_participant_of_its_own(key: XSIKey) -> None:
    with ManagedXSISharedMemory.create(key, SIZE) as segment:
        with forked(lambda _: len(segment.participants())) as child:
            assert child.result() == 2
        assert [p.alive for p in segment.participants()].count(True) == 1


def test_all_memory_is_there_or_none(key: XSIKey) -> None:
    with pytest.raises(SegmentFullError, match="shmmax"):
        ManagedXSISharedMemory.create(key, 1 << 46)
    assert not ManagedXSISharedMemory.exists(key)
    assert not control_of(key).exists()


def test_free_pages_go_and_come_again(key: XSIKey) -> None:
    with ManagedXSISharedMemory.create(key, 8 * SIZE) as segment:
        assert segment.trim() > 7 * SIZE
        with open("/proc/sysvipc/shm", encoding="ascii") as table:
            head, *rows = [line.split() for line in table]
        resident = next(int(row[head.index("rss")]) for row in rows if int(row[0]) == key.number)
        assert resident < SIZE
        block = segment.allocate(6 * SIZE)
        memoryview(block)[:] = b"x" * (6 * SIZE)
        assert segment.check_sanity()


def test_copies_of_it_are_other_kinds_of_segments(key: XSIKey, tmp_path: Path) -> None:
    with ManagedXSISharedMemory.create(key, SIZE) as segment:
        SharedDict(segment, "d")["k"] = "v"
        segment.snapshot(tmp_path / "file")
        with ManagedXSISharedMemory.open_copy_on_write(key) as copy:
            SharedDict(copy, "d")["k"] = "private"
        assert SharedDict(segment, "d")["k"] == "v"
    with ManagedMappedFile.open(tmp_path / "file") as copy:
        assert SharedDict(copy, "d")["k"] == "v"


# ---------------------------------------------------------------------------------- what is not in good order


def test_another_programs_memory_is_left_alone(key: XSIKey) -> None:
    for content in (b"\0", b"somebody else's"):
        memory = sysv_ipc.SharedMemory(key.number, sysv_ipc.IPC_CREX, 0o600, SIZE, b"\0")
        memory.write(content)
        for act in (ManagedXSISharedMemory.open, ManagedXSISharedMemory.remove):
            with pytest.raises(IncompatibleSegmentError, match=r"no aioipc segment.*another key"):
                act(key)
        with pytest.raises(AlreadyExistsError):
            ManagedXSISharedMemory.create(key, SIZE)
        with pytest.raises(IncompatibleSegmentError):
            ManagedXSISharedMemory.open_or_create(key, SIZE)
        assert ManagedXSISharedMemory.exists(key)
        assert memory.read(len(content)) == content
        assert not control_of(key).exists()
        memory.remove()
        memory.detach()


def test_memory_smaller_than_a_header_is_refused(key: XSIKey) -> None:
    memory = sysv_ipc.SharedMemory(key.number, sysv_ipc.IPC_CREX, 0o600, 64, b"\0")
    with pytest.raises(IncompatibleSegmentError):
        ManagedXSISharedMemory.open(key)
    memory.remove()
    memory.detach()


def die_in_creation(link: Any, key: XSIKey, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "before":
        monkeypatch.setattr(_xsi.XSIMemory, "make", die)
    elif where == "empty":
        monkeypatch.setattr("aioipc._attachments._core.create_attachment", die)
    else:
        monkeypatch.setattr(_xsi, "whole", die)
    ManagedXSISharedMemory.create(key, SIZE)


@pytest.mark.parametrize("where", ["before", "empty", "said"])
def test_what_a_killed_creator_left_is_in_nobodys_way(
    key: XSIKey, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forked(die_in_creation, key, where, monkeypatch) as child:
        assert child.wait() == -signal.SIGKILL
    if where == "said":  # it was whole
        with ManagedXSISharedMemory.open(key) as segment:
            assert segment.check_sanity()
        assert ManagedXSISharedMemory.remove(key)
    else:
        with pytest.raises(NotFoundError):
            ManagedXSISharedMemory.open(key)
    with ManagedXSISharedMemory.create(key, SIZE) as segment:
        assert segment.check_sanity()
        assert len(segment.participants()) == 1


def test_a_control_file_of_memory_that_is_gone_is_replaced(key: XSIKey) -> None:
    with ManagedXSISharedMemory.create(key, SIZE) as first:
        sysv_ipc.remove_shared_memory(sysv_ipc.SharedMemory(key.number).id)  # as ipcrm does
        with pytest.raises(NotFoundError):
            ManagedXSISharedMemory.open(key)
        with ManagedXSISharedMemory.create(key, SIZE) as second:
            assert second.uuid != first.uuid
            assert len(second.participants()) == 1
            SharedDict(first, "d")["k"] = 1
            assert second.find(SharedDict, "d") is None


def test_without_its_control_file_a_segment_is_refused_while_it_is_in_use(key: XSIKey) -> None:
    with ManagedXSISharedMemory.create(key, SIZE) as segment:
        SharedDict(segment, "d")["k"] = "v"
        uuid = segment.uuid
        control_of(key).unlink()
        with pytest.raises(IncompatibleSegmentError, match="nobody can tell who is alive"):
            ManagedXSISharedMemory.open(key)
        assert SharedDict(segment, "d")["k"] == "v"
    with ManagedXSISharedMemory.open(key) as segment:  # nobody has it: it is adopted
        assert segment.uuid != uuid
        assert SharedDict(segment, "d")["k"] == "v"


def test_a_stopped_maker_is_no_reason_to_hang(key: XSIKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_xsi, "_PATIENCE", 0.05)
    ManagedXSISharedMemory.create(key, SIZE).close()
    with _xsi.XSIPlace(key).turn(), pytest.raises(PeerStalledError, match="stopped"):
        ManagedXSISharedMemory.open(key)


def test_of_many_creators_one_wins(key: XSIKey) -> None:
    results: list[str] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        try:
            ManagedXSISharedMemory.create(key, SIZE).close()
        except AlreadyExistsError:
            results.append("lost")
        else:
            results.append("won")

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["lost"] * 7 + ["won"]
