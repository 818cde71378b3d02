"""Raw memory: objects, and regions mapped from them."""

import copy
import errno
import gc
import mmap
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from aioipc import (
    PAGE_SIZE,
    AlreadyExistsError,
    ClosedError,
    FileMapping,
    MappedRegion,
    NotFoundError,
    PermissionDeniedError,
    ReadOnlyError,
    SegmentFullError,
    SharedMemoryObject,
    anonymous_shared_memory,
)

SIZE = 5 * PAGE_SIZE + 100


@pytest.fixture
def memory(segment_name: str) -> Iterator[SharedMemoryObject]:
    with SharedMemoryObject.create(segment_name) as memory:
        memory.truncate(SIZE)
        yield memory
    SharedMemoryObject.remove(segment_name)


def content(memory: SharedMemoryObject) -> bytes:
    return os.pread(memory.fileno(), memory.size, 0)


# ------------------------------------------------------------------------------------------- objects


def test_an_object_is_made_empty_opened_and_removed(segment_name: str) -> None:
    with pytest.raises(NotFoundError):
        SharedMemoryObject.open(segment_name)
    with SharedMemoryObject.create(segment_name, mode=0o640) as made:
        assert (made.size, made.name, made.writable) == (0, segment_name, True)
        assert os.stat(f"/dev/shm/{segment_name}").st_mode & 0o777 == 0o640
        with pytest.raises(AlreadyExistsError):
            SharedMemoryObject.create(segment_name)
        made.truncate(10)
        with SharedMemoryObject.open_or_create(segment_name) as found:
            assert found.size == 10
    assert SharedMemoryObject.remove(segment_name)
    assert not SharedMemoryObject.remove(segment_name)
    made.close()
    with pytest.raises(ValueError, match="closed"):
        made.fileno()


def test_nobody_else_gets_to_close_an_objects_descriptor(memory: SharedMemoryObject) -> None:
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="open it again"):
            copied(memory)
    assert memory.size == SIZE


def test_an_object_too_large_for_dev_shm_is_refused_and_stays_as_it_was(memory: SharedMemoryObject) -> None:
    filesystem = os.statvfs("/dev/shm")
    with pytest.raises(SegmentFullError):
        memory.truncate(filesystem.f_frsize * filesystem.f_blocks + (1 << 30))
    assert memory.size == SIZE
    memory.truncate(10)
    assert memory.size == 10


def test_an_object_opened_for_reading_cannot_be_truncated(memory: SharedMemoryObject) -> None:
    with SharedMemoryObject.open(memory.name, read_only=True) as reader:
        for size in (0, SIZE, 2 * SIZE):
            with pytest.raises(ReadOnlyError, match="read-only"):
                reader.truncate(size)
    assert memory.size == SIZE


def test_a_truncate_that_fails_leaves_what_another_has_made(
    memory: SharedMemoryObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        with SharedMemoryObject.open(memory.name) as other:
            monkeypatch.undo()
            other.truncate(3 * SIZE)
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SegmentFullError):
        memory.truncate(2 * SIZE)
    assert memory.size == 3 * SIZE


def test_a_fifo_is_no_file_to_wait_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with (
        FileMapping(tmp_path / "fifo", read_only=True) as fifo,
        pytest.raises(ValueError, match="not inside"),
    ):
        MappedRegion(fifo, "read_only", size=1)


def test_a_file_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(NotFoundError):
        FileMapping(path)
    path.write_bytes(b"x" * 100)
    with FileMapping(path) as file:
        assert file.size == 100
        with MappedRegion(file, offset=99) as region:
            region[0] = ord("y")
    assert path.read_bytes() == b"x" * 99 + b"y"
    assert FileMapping.remove(path)
    assert not FileMapping.remove(path)


def test_what_was_opened_for_reading_cannot_be_mapped_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with FileMapping(path, read_only=True) as file:
        with pytest.raises(PermissionDeniedError):
            MappedRegion(file, "read_write")
        with MappedRegion(file, "copy_on_write") as private:
            private[0:3] = b"abc"
            assert private[:4] == b"abcx"
    assert path.read_bytes() == b"x" * 100


# ------------------------------------------------------------------------------------------- regions


@pytest.mark.parametrize("offset", [0, 1, 7, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, SIZE - 1])
@pytest.mark.parametrize("size", [None, 1, 100])
def test_a_region_is_exactly_what_was_asked_for(
    memory: SharedMemoryObject, offset: int, size: int | None
) -> None:
    expected = SIZE - offset if size is None else size
    if offset + expected > SIZE:
        with pytest.raises(ValueError, match="not inside"):
            MappedRegion(memory, offset=offset, size=size)
        return
    with MappedRegion(memory, offset=offset, size=size) as region:
        assert (region.size, len(region), region.address % PAGE_SIZE) == (
            expected,
            expected,
            offset % PAGE_SIZE,
        )
        with memoryview(region) as view:
            view[:] = b"\x11" * expected
        assert content(memory) == bytes(offset) + b"\x11" * expected + bytes(SIZE - offset - expected)


@pytest.mark.parametrize(
    ("offset", "size"), [(SIZE, None), (SIZE, 0), (0, 0), (SIZE + 1, None), (0, SIZE + 1), (-1, 5), (5, -1)]
)
def test_parts_that_are_not_there_are_refused(
    memory: SharedMemoryObject, offset: int, size: int | None
) -> None:
    with pytest.raises(ValueError, match=r"not inside|at least one byte"):
        MappedRegion(memory, offset=offset, size=size)


def test_an_empty_object_cannot_be_mapped(memory: SharedMemoryObject) -> None:
    memory.truncate(0)
    with pytest.raises(ValueError, match="one byte"):
        MappedRegion(memory)


def test_regions_of_one_object_share_its_bytes_and_outlive_it(segment_name: str) -> None:
    with SharedMemoryObject.create(segment_name) as memory:
        memory.truncate(SIZE)
        first, second = MappedRegion(memory), MappedRegion(memory, "read_only", offset=10)
    SharedMemoryObject.remove(segment_name)
    first[10:15] = b"hello"
    assert second[:5] == b"hello"
    first.close()
    second.close()


def test_a_read_only_region_raises_and_never_crashes(memory: SharedMemoryObject) -> None:
    with MappedRegion(memory, "read_only") as region:
        assert (region.access, region.readonly) == ("read_only", True)
        with pytest.raises(ReadOnlyError):
            region[0] = 1
        with memoryview(region) as view:
            assert view.readonly
            with pytest.raises(TypeError):
                view[0] = 1
        with pytest.raises(ReadOnlyError):
            os.readv(memory.fileno(), [region])


def test_private_changes_stay_private(memory: SharedMemoryObject) -> None:
    with MappedRegion(memory, "copy_on_write") as region:
        region[:5] = b"mine!"
        assert content(memory) == bytes(SIZE)
        os.pwrite(memory.fileno(), b"theirs", 0)
        assert region[:6] == b"mine!\0"


def free_address(pages: int) -> int:
    """Where nothing is mapped now."""
    with anonymous_shared_memory(pages * PAGE_SIZE) as region:
        return region.address


def test_a_region_at_an_address_of_ones_choice(memory: SharedMemoryObject) -> None:
    address = free_address(8)
    with MappedRegion(memory, offset=10, size=PAGE_SIZE, address=address + 10) as region:
        assert region.address == address + 10
        with pytest.raises(OSError, match="already") as caught:
            MappedRegion(memory, address=address)
        assert caught.value.errno == errno.EBUSY
    for wrong in (address + 1, -PAGE_SIZE, 0):
        with pytest.raises(ValueError, match="address"):
            MappedRegion(memory, address=wrong)


def test_flushing_parts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    with FileMapping(path) as file, MappedRegion(file, offset=100) as region:
        region[0:5] = b"hello"
        region.flush()
        region.flush(PAGE_SIZE + 3, 10, asynchronous=True)
        region.flush(region.size)
        for part in ((0, region.size + 1), (-1, 2), (region.size + 1, None)):
            with pytest.raises(ValueError, match="not inside"):
                region.flush(*part)


@pytest.mark.parametrize("advice", ["normal", "sequential", "random", "willneed", "dontneed", "populate"])
def test_advice_changes_no_content(memory: SharedMemoryObject, advice: str) -> None:
    for access in ("read_write", "read_only", "copy_on_write"):
        with MappedRegion(memory, access) as region:
            if access != "read_only":
                region[:] = b"\x22" * SIZE
            before = region[:]
            region.advise(advice)
            region.advise(advice, PAGE_SIZE + 1, 10)
            assert region[:] == before


def test_advice_about_huge_pages_and_nonsense() -> None:
    with anonymous_shared_memory(4 << 20) as region:
        if os.path.exists("/sys/kernel/mm/transparent_hugepage"):
            region.advise("hugepage")
            region.advise("nohugepage")
        with pytest.raises(ValueError, match="advice is one of"):
            region.advise("quickly")


def test_populated_memory_is_resident(memory: SharedMemoryObject) -> None:
    with MappedRegion(memory, populate=True) as region:
        region.advise("populate")
        assert resident(region.address) >= SIZE // PAGE_SIZE * PAGE_SIZE


def resident(address: int) -> int:
    start = f"{address // PAGE_SIZE * PAGE_SIZE:x}-"
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.startswith(start):
            rss = next(line for line in lines if line.startswith("Rss:"))
            return int(rss.split()[1]) * 1024
    raise AssertionError("not mapped")


def mapped(address: int) -> bool:
    ranges = (line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines())
    return any(int(begin, 16) <= address < int(end, 16) for begin, end in ranges)


@pytest.mark.parametrize("offset", [0, 10])
@pytest.mark.parametrize("from_back", [True, False])
@pytest.mark.parametrize("n", [0, 1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE])
def test_shrinking_is_exact_and_unmaps_whole_pages(
    memory: SharedMemoryObject, offset: int, from_back: bool, n: int
) -> None:
    os.pwrite(memory.fileno(), bytes(i * 7 % 251 for i in range(SIZE)), 0)
    region = MappedRegion(memory, offset=offset)
    before, first, last = region[:], region.address, region.address + region.size - 1
    region.shrink_by(n, from_back=from_back)
    assert region.size == len(before) - n
    assert region[:] == (before[: len(before) - n] if from_back else before[n:])
    assert region.address == (first if from_back else first + n)
    if from_back:
        assert mapped(last) == (last // PAGE_SIZE == (last - n) // PAGE_SIZE)
    else:
        assert mapped(first) == (first // PAGE_SIZE == (first + n) // PAGE_SIZE)
    region.shrink_by(10**9)
    assert region.closed
    assert not mapped(last)


def test_a_region_in_use_is_neither_closed_nor_shrunk(memory: SharedMemoryObject) -> None:
    region = MappedRegion(memory)
    view = memoryview(region)
    for use in (region.close, lambda: region.shrink_by(1)):
        with pytest.raises(BufferError):
            use()
    view.release()
    region.close()
    region.close()
    for late in (
        lambda: region.address,
        lambda: memoryview(region),
        lambda: region.flush(),
        lambda: region[0],
    ):
        with pytest.raises(ClosedError):
            late()


def test_a_dropped_region_is_unmapped_with_its_last_view(memory: SharedMemoryObject) -> None:
    region = MappedRegion(memory)
    address, view = region.address, memoryview(region)
    del region
    gc.collect()
    view[0] = 1
    assert mapped(address)
    view.release()
    del view
    gc.collect()
    assert not mapped(address)


def test_anonymous_memory_is_shared_with_forked_children() -> None:
    with anonymous_shared_memory(100) as region:
        assert region[:] == bytes(100)
        pid = os.fork()
        if pid == 0:
            region[:5] = b"child"
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert region[:5] == b"child"
    with pytest.raises(ValueError, match="at least one byte"):
        anonymous_shared_memory(0)
    assert PAGE_SIZE == mmap.PAGESIZE
