"""Each algorithm's heap against a dict, driven from three processes that may be killed between two steps.

The model: a handle has the bytes that were last written to it, whoever wrote them, until it is freed.
After every step the heap is sound; in the end everything can be given back.
"""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple, rule

from aioipc import ManagedSharedMemory, NotFoundError, SegmentFullError
from tests.support.machine import SIZE, SegmentMachine, explore, serve, who
from tests.support.peers import Link

sizes = st.one_of(
    st.integers(0, 64),
    st.integers(65, 2048),
    st.integers(2049, 100_000),
    st.sampled_from([0, 1, 2**31, SIZE]),
)
alignments = st.sampled_from([1, 8, 16, 32, 64, 256, 4096])
ALGORITHMS = ("best_fit", "tlsf", "seq_fit")


def worker(test: Link, name: str) -> None:
    serve(test, name, OPERATIONS)


def allocate(segment: ManagedSharedMemory, size: int, alignment: int, fill: int) -> int | None:
    try:
        block = segment.allocate(size, alignment=alignment)
    except SegmentFullError:
        return None
    with memoryview(block) as view:
        view[:] = bytes([fill]) * len(view)
    return block.handle


def write(segment: ManagedSharedMemory, handle: int, size: int, fill: int) -> bool:
    with memoryview(segment.block(handle, size)) as view:
        view[:] = bytes([fill]) * size
    return True


def read(segment: ManagedSharedMemory, handle: int, size: int) -> list[int]:
    """The distinct bytes in the block."""
    with memoryview(segment.block(handle, size)) as view:
        return sorted(set(view.tobytes()))


def free(segment: ManagedSharedMemory, handle: int) -> bool:
    try:
        segment.deallocate(segment.block(handle))
    except NotFoundError:
        return False
    return True


def many(segment: ManagedSharedMemory, size: int, count: int, alignment: int, fill: int) -> list[int] | None:
    try:
        blocks = segment.allocate_many(size, count, alignment=alignment)
    except SegmentFullError:
        return None
    for block in blocks:
        write(segment, block.handle, size, fill)
    return [block.handle for block in blocks]


def resize(segment: ManagedSharedMemory, handle: int, size: int, preferred: int, fill: int, ways: int) -> Any:
    """The new handle; before the block is filled, what it had is found to be there."""
    block = segment.block(handle)
    try:
        block = segment.resize(
            block,
            preferred,
            grow_forward=bool(ways & 1),
            grow_backward=bool(ways & 2),
            allocate_new=bool(ways & 4),
            shrink=bool(ways & 8),
        )
    except SegmentFullError:
        return None
    kept = min(size, preferred)
    assert bytes(block)[:kept] == bytes([fill]) * kept
    write(segment, block.handle, preferred, fill)
    return block.handle


OPERATIONS: dict[str, Any] = {
    "allocate": allocate,
    "write": write,
    "read": read,
    "free": free,
    "many": many,
    "resize": resize,
}


class HeapMachine(SegmentMachine):
    role = worker
    alignment: int | None = None  # of all blocks; None: of each its own
    handles = Bundle("handles")
    fill = st.integers(0, 255)

    def __init__(self) -> None:
        super().__init__()
        self.empty = self.segment.free_memory
        self.model: dict[int, tuple[int, int]] = {}  # handle -> size, byte

    @rule(target=handles, who=who, size=sizes, alignment=alignments, fill=fill)
    def allocate(self, who: int, size: int, alignment: int, fill: int) -> Any:
        alignment = self.alignment or alignment
        handle = self.ask(who, "allocate", size, alignment, fill)
        if handle is None:
            assert size > 1024  # there is always room for little here
            return multiple()
        assert handle not in self.model
        assert handle % max(alignment, 16) == 0
        self.model[handle] = (size, fill)
        return handle

    @rule(
        target=handles,
        who=who,
        size=st.integers(0, 3000),
        count=st.integers(0, 100),
        alignment=alignments,
        fill=fill,
    )
    def many(self, who: int, size: int, count: int, alignment: int, fill: int) -> Any:
        found = self.ask(who, "many", size, count, self.alignment or alignment, fill)
        if found is None:
            return multiple()
        assert len({*found}) == count
        assert not {*found} & {*self.model}
        self.model |= dict.fromkeys(found, (size, fill))
        return multiple(*found)

    @rule(target=handles, who=who, handle=handles, preferred=sizes, ways=st.integers(0, 15))
    def resize(self, who: int, handle: int, preferred: int, ways: int) -> Any:
        if handle not in self.model:
            return multiple()
        size, fill = self.model[handle]
        moved = self.ask(who, "resize", handle, size, preferred, fill, ways)
        if moved is None:
            return multiple()
        del self.model[handle]
        assert moved not in self.model
        self.model[moved] = (preferred, fill)
        return moved

    @rule(who=who, handle=handles, fill=fill)
    def write(self, who: int, handle: int, fill: int) -> None:
        if handle in self.model:
            size, _ = self.model[handle]
            assert self.ask(who, "write", handle, size, fill)
            self.model[handle] = (size, fill)

    @rule(who=who, handle=handles)
    def read(self, who: int, handle: int) -> None:
        if handle in self.model:
            size, fill = self.model[handle]
            assert self.ask(who, "read", handle, size) == ([fill] if size else [])

    @rule(who=who, handle=consumes(handles))
    def free(self, who: int, handle: int) -> None:
        expected = self.model.pop(handle, None) is not None
        assert self.ask(who, "free", handle) is expected

    @rule(who=who, handle=st.integers(0, SIZE * 2))
    def free_what_is_none(self, who: int, handle: int) -> None:
        if handle not in self.model:
            assert self.ask(who, "free", handle) is False

    def clear_away(self) -> None:
        for handle, (size, fill) in self.model.items():
            assert read(self.segment, handle, size) == ([fill] if size else [])
            assert free(self.segment, handle)

    def everything_given_back(self) -> None:
        assert self.segment.free_memory == self.empty


def machine(algorithm: str, alignment: int | None) -> type[HeapMachine]:
    return type("Machine", (HeapMachine,), {"options": {"algorithm": algorithm}, "alignment": alignment})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("alignment", [None, 4096])
def test_heap_agrees_with_a_dict(segment_name: str, algorithm: str, alignment: int | None) -> None:
    explore(machine(algorithm, alignment), segment_name, examples=2, steps=20)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("alignment", [None, 16, 64, 4096])
def test_heap_agrees_with_a_dict_for_long(segment_name: str, algorithm: str, alignment: int | None) -> None:
    explore(machine(algorithm, alignment), segment_name, examples=50, steps=60)
