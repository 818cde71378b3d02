"""Segments in files: paths, owners, filesystems, what creators leave, copies on disk."""

import os
import resource
import shutil
from pathlib import Path

import pytest

from aioipc import (
    CorruptSegmentError,
    IncompatibleSegmentError,
    IPCError,
    ManagedHeapMemory,
    ManagedMappedFile,
    NotFoundError,
    PermissionDeniedError,
    SegmentFullError,
    SharedDict,
    _files,
)

SIZE = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.segment"


def test_the_file_has_the_size_and_mode_that_were_asked_for(path: Path) -> None:
    old = os.umask(0o077)
    try:
        with ManagedMappedFile.create(path, SIZE - 1, mode=0o640, max_size=4 * SIZE) as segment:
            status = path.stat()
            assert (status.st_size, status.st_mode & 0o777) == (SIZE, 0o640)
            assert status.st_blocks * 512 >= SIZE  # reserved: no bus error later
            assert segment.max_size == 4 * SIZE
            assert segment.name == str(path)
    finally:
        os.umask(old)
    assert os.listdir(path.parent) == [path.name]


def test_the_path_may_be_relative_and_the_directory_changed_meanwhile(path: Path, monkeypatch) -> None:
    monkeypatch.chdir(path.parent)
    with ManagedMappedFile.create("shop.segment", SIZE) as segment:
        monkeypatch.chdir("/")
        assert segment.name == str(path)
        with ManagedMappedFile.open(segment.name) as again:
            assert again.uuid == segment.uuid


def test_no_bells_are_left_in_dev_shm(path: Path) -> None:
    with ManagedMappedFile.create(path, SIZE) as segment:
        bells = Path(f"/dev/shm/.aioipc-{segment.uuid.hex}")
        assert bells.is_dir()
    assert not bells.exists()


@pytest.mark.parametrize("where", ["", "a\0b", b"bytes", 5, "x" * 5000])
def test_what_cannot_be_a_path_is_refused(where: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        ManagedMappedFile.create(where, SIZE)


def test_a_missing_directory_is_an_error_that_names_it(path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no directory.*missing"):
        ManagedMappedFile.create(path.parent / "missing" / "x", SIZE)


def test_a_symbolic_link_is_not_followed(path: Path) -> None:
    ManagedMappedFile.create(path, SIZE).close()
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(IPCError, match="link"):
        ManagedMappedFile.open(link)
    with pytest.raises(FileExistsError):
        ManagedMappedFile.create(link, SIZE)


def test_a_file_of_somebody_else_is_refused_unless_that_is_meant(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    ManagedMappedFile.create(path, SIZE).close()
    os.chown(path, 12345, -1)
    with pytest.raises(PermissionDeniedError, match="belongs to user 12345"):
        ManagedMappedFile.open(path)
    ManagedMappedFile.open(path, allow_other_owner=True).close()


@pytest.mark.parametrize("content", [b"", b"not a segment", bytes(SIZE)])
def test_a_foreign_file_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(IncompatibleSegmentError):
        ManagedMappedFile.open(path)
    with pytest.raises(FileExistsError):
        ManagedMappedFile.create(path, SIZE)
    with pytest.raises(IncompatibleSegmentError):
        ManagedMappedFile.remove(path)
    assert path.read_bytes() == content


def test_a_directory_and_a_fifo_are_refused(path: Path) -> None:
    os.mkfifo(path)
    for where in (path, path.parent):
        with pytest.raises(IPCError):
            ManagedMappedFile.open(where)


def test_more_than_the_filesystem_has_is_refused_at_once(path: Path) -> None:
    filesystem = os.statvfs(path.parent)
    size = filesystem.f_frsize * filesystem.f_bavail + (1 << 30)
    with pytest.raises(SegmentFullError, match="has room for"):
        ManagedMappedFile.create(path, size)
    assert os.listdir(path.parent) == []


def test_without_nameless_files_a_temporary_name_does_it_too(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        _files.os, "O_TMPFILE", os.O_DIRECTORY
    )  # what a filesystem that lacks them makes of it
    with ManagedMappedFile.create(path, SIZE), pytest.raises(FileExistsError):
        ManagedMappedFile.create(path, SIZE)
    with ManagedMappedFile.open(path) as segment:
        assert segment.check_sanity()
    assert os.listdir(path.parent) == [path.name]


def test_the_filesystem_of_a_path_is_known(path: Path) -> None:
    assert _files._filesystem(os.stat("/proc").st_dev) == "proc"
    assert _files._filesystem(os.stat("/dev/shm").st_dev) == "tmpfs"
    assert _files._filesystem(os.makedev(4000, 4000)) is None


def test_a_filesystem_of_other_machines_is_refused(path: Path, monkeypatch) -> None:
    ManagedMappedFile.create(path, SIZE).close()
    monkeypatch.setattr(_files, "_filesystem", lambda device: "nfs4")
    with pytest.raises(IPCError, match="nfs4"):
        ManagedMappedFile.open(path)
    with pytest.raises(IPCError, match="nfs4"):
        ManagedMappedFile.create(path.with_name("other"), SIZE)


def test_a_copied_file_is_a_segment_of_its_own_and_persistent(path: Path) -> None:
    copy = path.with_name("copy")
    with ManagedMappedFile.create(path, SIZE, lifetime="last_detach") as segment:
        identity = segment.uuid
        SharedDict(segment, "d")["k"] = "then"
        shutil.copyfile(path, copy)
        SharedDict(segment, "d")["k"] = "now"
    assert not path.exists()
    for _ in range(2):
        with ManagedMappedFile.open(copy) as copied:
            assert copied.uuid != identity
            assert SharedDict(copied, "d")["k"] == "then"
    assert copy.exists()


def test_a_copy_in_the_place_of_what_it_was_copied_from_is_a_copy(path: Path) -> None:
    for _ in range(5):  # some filesystems give it the very number of the inode that was freed
        with ManagedMappedFile.create(path, SIZE, lifetime="last_detach") as segment:
            SharedDict(segment, "d")["k"] = 1
            identity, content = segment.uuid, path.read_bytes()
        assert not path.exists()
        path.write_bytes(content)
        assert ManagedMappedFile.exists(path)
        with ManagedMappedFile.open(path) as copied:
            assert copied.uuid != identity
            assert SharedDict(copied, "d")["k"] == 1
        assert path.exists()
        path.unlink()


def test_a_moved_file_is_the_same_segment(path: Path) -> None:
    with ManagedMappedFile.create(path, SIZE) as segment:
        identity = segment.uuid
    moved = path.rename(path.with_name("moved"))
    with ManagedMappedFile.open(moved) as segment:
        assert segment.uuid == identity


def test_a_file_cut_short_is_refused(path: Path) -> None:
    ManagedMappedFile.create(path, SIZE).close()
    os.truncate(path, SIZE // 2)
    with pytest.raises(CorruptSegmentError, match="truncated"):
        ManagedMappedFile.open(path)


def test_the_files_name_is_flushed_with_its_content(path: Path, monkeypatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd)))
    with ManagedMappedFile.create(path, SIZE) as segment:
        segment.flush()
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]


def test_a_snapshot_leaves_nothing_in_dev_shm_even_for_a_moment(path: Path) -> None:
    def untouched() -> bool:
        before = os.stat("/dev/shm").st_mtime_ns
        segment.snapshot(path)
        path.unlink()
        return os.stat("/dev/shm").st_mtime_ns == before

    with ManagedHeapMemory.create(SIZE) as segment:
        assert any(untouched() for _ in range(20))  # others may be busy there
        with pytest.raises(ValueError, match="permission bits"):
            segment.snapshot(path, mode=0o4755)


def test_a_snapshot_that_finds_the_disk_full_says_so_and_leaves_nothing(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ManagedHeapMemory.create(2 * SIZE) as segment:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, limits[1]))
        try:
            with pytest.raises(SegmentFullError):
                segment.snapshot(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not path.exists()
