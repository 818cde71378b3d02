"""Segments of this process alone: the heap's, and buffers of the caller's."""

import array
import mmap
import os

import pytest

from aioipc import ManagedExternalBuffer, ManagedHeapMemory, ManagedSharedMemory, SharedDict

SIZE = 1 << 20


def test_heap_memory_costs_only_what_is_used() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE

    before = resident()
    with ManagedHeapMemory.create(SIZE, max_size=1 << 36) as segment:
        assert segment.max_size == 1 << 36
        assert resident() - before < 8 * SIZE
        with memoryview(segment.allocate(SIZE // 2)) as view:
            view[:] = b"x" * (SIZE // 2)


def test_nothing_of_it_is_in_dev_shm() -> None:
    before = set(os.listdir("/dev/shm"))
    with ManagedHeapMemory.create(SIZE), ManagedExternalBuffer.create(bytearray(SIZE)):
        assert set(os.listdir("/dev/shm")) == before


def test_a_buffer_cannot_be_resized_while_it_is_a_segment() -> None:
    buffer = bytearray(SIZE)
    with ManagedExternalBuffer.create(buffer), pytest.raises(BufferError):
        buffer.append(1)
    buffer.append(1)


@pytest.mark.parametrize("size", [SIZE, SIZE + 1, SIZE + 15])
def test_a_ragged_end_is_left_alone(size: int) -> None:
    buffer = bytearray(b"\xff" * size)
    with ManagedExternalBuffer.create(buffer) as segment:
        assert segment.size == SIZE
        assert segment.max_size == SIZE
    assert len(buffer) == size


@pytest.mark.parametrize("size", [SIZE + 2048, SIZE + 4096, 133120, 133136, 206864])
def test_any_size_will_do(size: int) -> None:
    buffer = bytearray(size)
    with ManagedExternalBuffer.create(buffer) as segment:
        SharedDict(segment, "d").update((i, "x" * i) for i in range(100))
        report = segment.check_sanity()
        assert report, str(report)
    with ManagedExternalBuffer.open(bytearray(buffer)) as copied:
        assert len(SharedDict(copied, "d")) == 100


def test_any_writable_buffer_will_do() -> None:
    for buffer in (bytearray(SIZE), mmap.mmap(-1, SIZE), array.array("d", [1.5]) * (SIZE // 8)):
        with ManagedExternalBuffer.create(buffer) as segment:
            SharedDict(segment, "d")["k"] = 1
        with ManagedExternalBuffer.open(buffer) as segment:
            assert SharedDict(segment, "d")["k"] == 1


def test_what_is_no_writable_buffer_is_refused() -> None:
    for make in (ManagedExternalBuffer.create, ManagedExternalBuffer.open):
        with pytest.raises((BufferError, TypeError)):
            make(bytes(SIZE))
        with pytest.raises(TypeError):
            make("text")


def test_a_buffer_at_an_odd_place_is_refused() -> None:
    with (
        memoryview(bytearray(SIZE + 8)) as view,
        view[8:] as odd,
        pytest.raises(ValueError, match="multiple of 16"),
    ):
        ManagedExternalBuffer.create(odd)


def test_two_segments_cannot_share_memory() -> None:
    with memoryview(bytearray(2 * SIZE)) as view, view[: SIZE + 1024] as first, view[SIZE:] as second:
        with ManagedExternalBuffer.create(first):
            for again in (first, second):
                with pytest.raises(BufferError, match="is open"):
                    ManagedExternalBuffer.create(again)
        ManagedExternalBuffer.create(second).close()


def test_the_same_buffer_opened_twice_is_one_segment() -> None:
    buffer = bytearray(SIZE)
    with ManagedExternalBuffer.create(buffer) as first, ManagedExternalBuffer.open(buffer) as second:
        assert first.uuid == second.uuid
        first.close()
        SharedDict(second, "d")["k"] = 1
        with pytest.raises(BufferError):
            buffer.clear()


def test_a_smaller_copy_of_a_segment_that_could_grow_cannot(segment_name: str) -> None:
    with (
        ManagedSharedMemory.create(segment_name, SIZE, max_size=4 * SIZE, lifetime="last_detach"),
        open(f"/dev/shm/{segment_name}", "rb") as file,
    ):
        buffer = bytearray(file.read() + bytes(32))
    with ManagedExternalBuffer.open(buffer) as segment:
        assert (segment.size, segment.max_size) == (SIZE, SIZE + 32)
        assert segment.check_sanity()
