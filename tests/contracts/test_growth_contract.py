"""Growing, trimming and shrinking, of every kind of segment that can."""

import io
import os
import resource
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from aioipc import (
    Array,
    CorruptSegmentError,
    ManagedMappedFile,
    ManagedSegment,
    ManagedSharedMemory,
    NotFoundError,
    Queue,
    SegmentFullError,
    SegmentInUseError,
    SharedDict,
)
from tests.support.kinds import COPIED, FIXED, KINDS, NAMED, SIZE, Kind
from tests.support.peers import Link

PAGE = os.sysconf("SC_PAGESIZE")
MOST = 8 * SIZE
GROWING = [name for name in KINDS if name not in FIXED]
TRIMMED = [name for name in KINDS if name != "external_buffer"]


@pytest.fixture
def kind(request: pytest.FixtureRequest, segment_name: str) -> Iterator[Kind]:
    with KINDS[request.param](segment_name) as kind:
        yield kind


def each(names: Any) -> Any:
    return pytest.mark.parametrize("kind", list(names), indirect=True)


def resident(segment: ManagedSegment) -> int:
    """Bytes of memory or disk that a segment's object has."""
    return os.fstat(segment._attachment.fileno()).st_blocks * 512


def fill(segment: ManagedSegment, size: int) -> int:
    block = segment.allocate(size)
    with memoryview(block) as view:
        view[:] = bytes([size % 251]) * size
    return block.handle


# --------------------------------------------------------------------------------------------- growing


@each(GROWING)
def test_it_grows_while_it_is_used(kind: Kind) -> None:
    with kind.create(max_size=MOST) as segment:
        shared = SharedDict(segment, "d")
        shared["k"] = "v"
        with memoryview(segment.allocate(1000)) as view:
            view[:5] = b"alive"
            free = segment.free_memory
            assert segment.grow(SIZE) == segment.size == 2 * SIZE
            assert free + SIZE - 8192 <= segment.free_memory <= free + SIZE
            assert segment.largest_free_block > SIZE
            fill(segment, SIZE)
            assert (bytes(view[:5]), shared["k"], segment.max_size) == (b"alive", "v", MOST)
        assert segment.grow(1) == 2 * SIZE + PAGE
        assert segment.grow(0) == 2 * SIZE + PAGE
        assert segment.check_sanity()


@each(GROWING)
def test_past_max_size_it_says_so_and_stays_as_it_is(kind: Kind) -> None:
    with kind.create(max_size=2 * SIZE) as segment:
        free = segment.free_memory
        with pytest.raises(
            SegmentFullError, match=rf"{SIZE} more, its max_size is {2 * SIZE}.*max_size="
        ) as caught:
            segment.grow(SIZE + 1)
        assert (caught.value.asked, caught.value.free) == (SIZE + PAGE, SIZE)
        for much in (1 << 62, (1 << 63) - PAGE):
            with pytest.raises(SegmentFullError):
                segment.grow(much)
        for wrong in (-1, 1 << 63):
            with pytest.raises(ValueError, match="bytes"):
                segment.grow(wrong)
        assert (segment.size, segment.free_memory) == (SIZE, free)
        assert segment.grow(SIZE) == 2 * SIZE
        with pytest.raises(SegmentFullError, match="create a larger segment"):
            segment.allocate(2 * SIZE)
        assert segment.check_sanity()


@each(GROWING)
def test_a_full_segment_says_that_it_can_grow(kind: Kind) -> None:
    with kind.create(max_size=MOST) as segment:
        with pytest.raises(SegmentFullError, match=rf"grow\(\) the segment: max_size is {MOST}"):
            segment.allocate(SIZE)
        segment.grow(SIZE)
        segment.allocate(SIZE)


@each(FIXED)
def test_memory_of_a_fixed_size_says_why_it_cannot_grow(kind: Kind) -> None:
    with kind.create() as segment:
        with pytest.raises(io.UnsupportedOperation, match="cannot grow"):
            segment.grow(PAGE)
        assert segment.size == segment.max_size == SIZE


@each(COPIED)
def test_what_others_opened_grows_with_it(kind: Kind) -> None:
    with kind.create(max_size=MOST) as segment, closing(_reader(kind, segment)) as reader:
        shared = SharedDict(segment, "d")
        seen = reader.find(SharedDict, "d")
        segment.grow(2 * SIZE)
        shared["large"] = b"x" * SIZE
        shared["small"] = 1
        handle = fill(segment, SIZE)
        assert (seen["large"], seen["small"]) == (b"x" * SIZE, 1)
        assert bytes(reader.block(handle, 3)) == bytes([SIZE % 251]) * 3
        assert reader.size == segment.size == 3 * SIZE


def _reader(kind: Kind, segment: Any) -> Any:
    return kind.cls.open_read_only(kind.where if kind.where is not None else segment.fileno())


def use_what_is_there(test: Link, name: str) -> int:
    with ManagedSharedMemory.open(name) as segment:
        test.sync("open")
        handle = fill(segment, 2 * SIZE)
        test.sync("grown")
        return handle


def test_another_process_has_the_room_at_once(spawn: Any, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, max_size=MOST) as segment:
        peer = spawn(use_what_is_there, segment_name)
        assert peer.receive() == "open"
        segment.grow(3 * SIZE)
        peer.go()
        assert peer.receive() == "grown"
        peer.go()
        assert bytes(segment.block(peer.result(), 1)) == bytes([2 * SIZE % 251])


@each(COPIED)
def test_copies_of_a_grown_segment_grow_too(kind: Kind, tmp_path: Path) -> None:
    with kind.create(max_size=MOST) as segment:
        segment.grow(SIZE)
        SharedDict(segment, "d")["k"] = b"x" * SIZE
        segment.snapshot(tmp_path / "copy")
        where = kind.where if kind.where is not None else segment.fileno()
        with kind.cls.open_copy_on_write(where) as copy:
            assert copy.grow(SIZE) == 3 * SIZE
            SharedDict(copy, "d")["l"] = b"y" * SIZE
        assert segment.size == 2 * SIZE
        assert dict(SharedDict(segment, "d")).keys() == {"k"}
    with ManagedMappedFile.open(tmp_path / "copy") as copy:
        assert copy.grow(SIZE) == 3 * SIZE
        assert SharedDict(copy, "d")["k"] == b"x" * SIZE
        assert copy.check_sanity()


@each(GROWING)
def test_tasks_go_on_while_it_grows_and_is_trimmed(kind: Kind, run_async: Any) -> None:
    async def body() -> None:
        with kind.create(max_size=MOST) as segment:
            queue: Queue[bytes] = Queue(segment, "q")
            async with anyio.create_task_group() as group:

                async def take() -> None:
                    assert await queue.get() == b"x" * SIZE

                group.start_soon(take)
                await anyio.to_thread.run_sync(segment.grow, 2 * SIZE)
                await anyio.to_thread.run_sync(segment.trim)
                await queue.put(b"x" * SIZE)

    run_async(body)


# --------------------------------------------------------------------------------------------- trimming


@each(TRIMMED)
def test_free_pages_go_and_come_again(kind: Kind) -> None:
    with kind.create(8 * SIZE) as segment:
        kept = [fill(segment, size) for size in (100, 50_000, 500_000)]
        SharedDict(segment, "d").update({str(i): "x" * i for i in range(500)})
        free, largest, before = segment.free_memory, segment.largest_free_block, resident(segment)
        given = segment.trim()
        assert given > 6 * SIZE
        if kind.cls.__name__ in ("ManagedSharedMemory", "ManagedMappedFile", "ManagedAnonymousMemory"):
            assert resident(segment) <= before - given
        assert segment.free_memory == free
        assert largest - 64 <= segment.largest_free_block <= largest
        assert segment.trim() == 0
        assert segment.check_sanity()
        again = fill(segment, segment.largest_free_block)
        for size, handle in zip((100, 50_000, 500_000), kept, strict=True):
            assert bytes(segment.block(handle, size)) == bytes([size % 251]) * size
        assert SharedDict(segment, "d").copy() == {str(i): "x" * i for i in range(500)}
        segment.deallocate(segment.block(again))
        assert segment.check_sanity()
        assert segment.trim() > 6 * SIZE


@each(TRIMMED)
def test_trimmed_memory_is_free_memory_for_every_request(kind: Kind) -> None:
    with kind.create(8 * SIZE) as segment:
        for act in (segment.trim, segment.zero_free_memory, segment.trim):
            act()
            assert segment.all_memory_deallocated()
        many = segment.allocate_many(10_000, 500)
        segment.trim()
        grown = segment.resize(many[-1], SIZE)
        assert grown.size >= SIZE
        assert bytes(grown) == bytes(grown.size)
        segment.trim()
        shared = [SharedDict(segment, str(i)) for i in range(300)]
        for i, d in enumerate(shared):
            d["k"] = bytes(i)
        segment.deallocate_many([*many[:-1], grown])
        for i, d in enumerate(shared):
            assert d["k"] == bytes(i)
        assert segment.check_sanity()


@each(["external_buffer"])
def test_a_buffer_has_no_pages_of_its_own(kind: Kind) -> None:
    with kind.create() as segment, pytest.raises(io.UnsupportedOperation, match="of its own"):
        segment.trim()


@each(COPIED)
def test_copies_of_a_trimmed_segment_have_its_holes(kind: Kind, tmp_path: Path) -> None:
    with kind.create(16 * SIZE) as segment:
        SharedDict(segment, "d")["k"] = [1, 2, 3]
        handle = fill(segment, SIZE)
        segment.trim()
        where = kind.where if kind.where is not None else segment.fileno()
        segment.snapshot(tmp_path / "copy")
        with kind.cls.open_copy_on_write(where) as private:
            assert resident(private) < 4 * SIZE
            assert SharedDict(private, "d")["k"] == [1, 2, 3]
            fill(private, 8 * SIZE)
            assert private.check_sanity()
        (tmp_path / "bytes").write_bytes(kind.image())
    for name in ("copy", "bytes"):
        with ManagedMappedFile.open(tmp_path / name) as copy:
            assert SharedDict(copy, "d")["k"] == [1, 2, 3]
            assert bytes(copy.block(handle, 9)) == bytes([SIZE % 251]) * 9
            if name == "copy":
                assert resident(copy) < 4 * SIZE
            fill(copy, 8 * SIZE)
            assert copy.check_sanity()
            copy.trim()
            assert resident(copy) < 12 * SIZE


@each(TRIMMED)
def test_a_handle_into_trimmed_memory_leads_nowhere(kind: Kind) -> None:
    with kind.create(8 * SIZE) as segment:
        block = segment.allocate(4 * SIZE)
        array = Array(segment, "a", "u1", 2 * SIZE)
        memoryview(block)[:1] = b"x"
        stale = segment.block(block.handle)
        segment.deallocate(block)
        assert array[0] == 0
        segment.trim()
        with pytest.raises(NotFoundError):
            segment.deallocate(stale)
        for handle in range(block.handle, block.handle + 4 * SIZE, 65536):
            with pytest.raises(NotFoundError):
                segment.block(handle)
        assert segment.check_sanity()


@each(["shared_memory", "mapped_file"])
def test_damaged_holes_are_found(kind: Kind) -> None:
    with kind.create(8 * SIZE) as segment:
        segment.trim()
        assert segment.check_sanity()
    image = bytearray(kind.image())
    _damage_a_hole(image)
    path = kind.where if kind.cls is ManagedMappedFile else f"/dev/shm/{kind.where}"
    with open(path, "r+b") as file:
        file.write(image[: 2 * SIZE])
    with kind.again() as segment:
        assert not segment.check_sanity()
        with pytest.raises(CorruptSegmentError):
            segment.allocate(4 * SIZE)


def _damage_a_hole(image: bytearray) -> None:
    """The `prev` of the only hole, whose words end where its first page begins."""
    for page in range(PAGE, 2 * SIZE, 4096):
        words = image[page - 40 : page]
        if any(words[:8]) and not any(words[8:32]) and not any(image[page : page + 4096]):
            image[page - 24] = 8
            return
    raise AssertionError("no hole")


# --------------------------------------------------------------------------------------------- by name


@each(NAMED)
def test_by_name_it_grows_whether_it_is_open_or_not(kind: Kind) -> None:
    with kind.create(max_size=4 * SIZE) as segment:
        assert kind.cls.grow(kind.where, SIZE) == segment.size == 2 * SIZE
        with pytest.raises(SegmentInUseError, match=f"beyond its max_size.*{os.getpid()}"):
            kind.cls.grow(kind.where, 4 * SIZE)
        handle = fill(segment, 1000)
    assert kind.cls.grow(kind.where, SIZE) == 3 * SIZE
    assert kind.cls.grow(kind.where, 4 * SIZE) == 7 * SIZE
    with kind.again() as segment:
        assert (segment.size, segment.max_size) == (7 * SIZE, 7 * SIZE)
        assert bytes(segment.block(handle, 1)) == bytes([1000 % 251])
        fill(segment, 5 * SIZE)
        assert segment.check_sanity()


@each(NAMED)
def test_shrinking_leaves_what_is_used(kind: Kind) -> None:
    with kind.create(8 * SIZE) as segment:
        SharedDict(segment, "d")["k"] = "v"
        handle = fill(segment, SIZE)
        uuid = segment.uuid
        with pytest.raises(SegmentInUseError, match="in use"):
            kind.cls.shrink_to_fit(kind.where)
        segment.trim()
    size = kind.cls.shrink_to_fit(kind.where)
    assert SIZE < size < 2 * SIZE
    assert len(kind.image()) == size
    assert kind.cls.shrink_to_fit(kind.where) == size
    with kind.again() as segment:
        assert (segment.size, segment.max_size, segment.uuid) == (size, 8 * SIZE, uuid)
        assert segment.check_sanity()
        assert SharedDict(segment, "d")["k"] == "v"
        assert segment.grow(SIZE) == size + SIZE
        fill(segment, SIZE // 2)
        assert bytes(segment.block(handle, 1)) == bytes([SIZE % 251])


@each(NAMED)
def test_readers_keep_it_from_shrinking(kind: Kind) -> None:
    kind.create(8 * SIZE).close()
    with kind.cls.open_read_only(kind.where), pytest.raises(SegmentInUseError, match="not even for reading"):
        kind.cls.shrink_to_fit(kind.where)
    assert kind.cls.shrink_to_fit(kind.where) < SIZE


@each(NAMED)
def test_a_missing_name_is_not_found_and_not_made(kind: Kind) -> None:
    for act in (lambda: kind.cls.grow(kind.where, SIZE), lambda: kind.cls.shrink_to_fit(kind.where)):
        with pytest.raises(NotFoundError):
            act()
    assert not kind.cls.exists(kind.where)


@each([name for name in KINDS if name not in NAMED and name not in FIXED])
def test_kinds_without_a_name_are_not_found_by_one(kind: Kind) -> None:
    for act in (lambda: kind.cls.grow("x", SIZE), lambda: kind.cls.shrink_to_fit("x")):
        with pytest.raises(io.UnsupportedOperation):
            act()


# --------------------------------------------------------------------------------------------- limits


@each(NAMED)
def test_a_limit_on_file_sizes_is_an_error_and_changes_nothing(kind: Kind, spawn: Any) -> None:
    kind.create(max_size=MOST).close()
    assert spawn(grow_below_a_limit, kind.cls.__name__, kind.where).result() == "RLIMIT_FSIZE"
    with kind.again() as segment:
        assert segment.size == SIZE
        assert segment.grow(2 * SIZE) == 3 * SIZE
        assert segment.check_sanity()


def grow_below_a_limit(test: Link, cls: str, where: str) -> str:
    import aioipc

    with getattr(aioipc, cls).open(where) as segment:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, resource.RLIM_INFINITY))
        with pytest.raises(SegmentFullError, match="RLIMIT_FSIZE"):
            segment.grow(2 * SIZE)
        assert segment.size == SIZE
        assert segment.check_sanity()
    return "RLIMIT_FSIZE"
