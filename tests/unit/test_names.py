"""Names of segments, their owners and modes, and what is left under them."""

import os
import stat
import time
from pathlib import Path

import pytest

from aioipc import (
    AlreadyExistsError,
    IncompatibleSegmentError,
    IPCError,
    ManagedSharedMemory,
    NotFoundError,
    PermissionDeniedError,
    _names,
)

SIZE = 1 << 20
SHM = Path("/dev/shm")


@pytest.mark.parametrize("name", ["", "a/b", "/a", "a\0b", ".", "..", ".aioipc-x", "x" * 201, "ü" * 101])
def test_a_name_that_cannot_be_a_segments_is_refused(name: str) -> None:
    for call in (ManagedSharedMemory.open, ManagedSharedMemory.exists, ManagedSharedMemory.remove):
        with pytest.raises(ValueError, match="name"):
            call(name)
    with pytest.raises(ValueError, match="name"):
        ManagedSharedMemory.create(name, SIZE)


def test_a_name_that_is_not_a_string_is_refused() -> None:
    with pytest.raises(TypeError, match="str"):
        ManagedSharedMemory.open(b"shop")  # type: ignore[arg-type]


def test_names_may_have_spaces_dots_and_other_scripts(segment_name: str) -> None:
    name = f"{segment_name} .ü-Lager"
    with ManagedSharedMemory.create(name, SIZE, lifetime="last_detach") as segment:
        assert segment.name == name
        assert ManagedSharedMemory.exists(name)


def test_what_does_not_exist_is_not_found(segment_name: str) -> None:
    assert not ManagedSharedMemory.exists(segment_name)
    assert ManagedSharedMemory.remove(segment_name) is False
    with pytest.raises(NotFoundError, match=segment_name):
        ManagedSharedMemory.open(segment_name)


def test_a_taken_name_is_refused_and_the_segment_untouched(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        with pytest.raises(AlreadyExistsError, match="open_or_create"):
            ManagedSharedMemory.create(segment_name, SIZE)
        with ManagedSharedMemory.open(segment_name) as same:
            assert same.uuid == segment.uuid


def test_the_loser_of_a_race_to_create_leaves_nothing_behind(
    segment_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE):
        before = set(os.listdir(SHM))
        monkeypatch.setattr(_names, "exists", lambda name: False)
        with pytest.raises(AlreadyExistsError):
            ManagedSharedMemory.create(segment_name, SIZE)
        assert {entry for entry in set(os.listdir(SHM)) - before if str(os.getpid()) in entry} == set()


def test_the_mode_is_exact_whatever_the_umask(segment_name: str) -> None:
    umask = os.umask(0o077)
    try:
        with ManagedSharedMemory.create(segment_name, SIZE, mode=0o664) as segment:
            assert stat.S_IMODE((SHM / segment_name).stat().st_mode) == 0o664
            bells = SHM / f".aioipc-{segment.uuid.hex}"
            assert stat.S_IMODE(bells.stat().st_mode) & 0o700 == 0o700
    finally:
        os.umask(umask)


def test_by_default_only_the_owner_has_access(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE):
        assert stat.S_IMODE((SHM / segment_name).stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_a_segment_of_another_user_is_refused_unless_asked_for(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE):
        os.chown(SHM / segment_name, 12345, -1)
        with pytest.raises(PermissionDeniedError, match=r"12345.*allow_other_owner"):
            ManagedSharedMemory.open(segment_name)
        with ManagedSharedMemory.open(segment_name, allow_other_owner=True):
            pass
        with pytest.raises(PermissionDeniedError):
            ManagedSharedMemory.remove(segment_name)
        assert ManagedSharedMemory.remove(segment_name, allow_other_owner=True)


def test_a_symbolic_link_is_not_followed(segment_name: str) -> None:
    link = SHM / f"{segment_name}-link"
    with ManagedSharedMemory.create(segment_name, SIZE):
        link.symlink_to(SHM / segment_name)
        try:
            with pytest.raises(IPCError):
                ManagedSharedMemory.open(link.name)
            assert ManagedSharedMemory.exists(link.name)  # the name is taken
        finally:
            link.unlink()


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * 300_000, os.urandom(300_000)])
def test_a_foreign_object_is_neither_opened_nor_removed(segment_name: str, content: bytes) -> None:
    foreign = SHM / segment_name
    foreign.write_bytes(content)
    try:
        with pytest.raises(IncompatibleSegmentError) as caught:
            ManagedSharedMemory.open(segment_name)
        assert caught.value.what
        with pytest.raises(IPCError):
            ManagedSharedMemory.remove(segment_name)
        assert foreign.read_bytes() == content
        assert segment_name not in [info.name for info in ManagedSharedMemory.all()]
    finally:
        foreign.unlink()


def test_a_copy_of_a_segment_in_use_is_a_segment_of_its_own(segment_name: str) -> None:
    copy = SHM / f"{segment_name}-copy"
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        handle = segment.allocate(10).handle
        memoryview(segment.block(handle))[:4] = b"then"
        copy.write_bytes((SHM / segment_name).read_bytes())
        try:
            memoryview(segment.block(handle))[:4] = b"now!"
            with ManagedSharedMemory.open(copy.name) as copied:
                assert copied.uuid != segment.uuid
                assert bytes(copied.block(handle, 4)) == b"then"
                assert copied.check_sanity()
        finally:
            ManagedSharedMemory.remove(copy.name)


def test_all_lists_segments_with_what_their_headers_say(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, max_size=2 * SIZE, participants=3) as segment:
        (info,) = [info for info in ManagedSharedMemory.all() if info.name == segment_name]
        assert (info.uuid, info.size, info.max_size) == (segment.uuid, SIZE, 2 * SIZE)
        assert (info.alive, info.participants, info.last_detach) == (True, 3, False)
        assert (info.creator_pid, info.uid, info.mode) == (os.getpid(), os.geteuid(), 0o600)
    (info,) = [info for info in ManagedSharedMemory.all() if info.name == segment_name]
    assert not info.alive


def test_what_the_dead_left_is_removed_once_it_is_old(segment_name: str) -> None:
    draft = SHM / f".aioipc-tmp-{os.getpid()}-stale"
    bells = SHM / f".aioipc-{os.urandom(16).hex()}"
    draft.write_bytes(b"half a segment")
    bells.mkdir()
    os.mkfifo(bells / "b0.1.0")
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        young = _names.remove_stale()
        assert draft.exists()
        assert bells.exists()
        assert draft.name not in young
        hour_ago = time.time() - 3600
        for path in (draft, bells, SHM / f".aioipc-{segment.uuid.hex}"):
            os.utime(path, (hour_ago, hour_ago))
        assert {draft.name, bells.name} <= set(_names.remove_stale())
        assert (SHM / f".aioipc-{segment.uuid.hex}").exists()
    assert not draft.exists()
    assert not bells.exists()
