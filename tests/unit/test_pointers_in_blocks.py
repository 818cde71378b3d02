"""Pointers that own, and atomic blocks: what one has touched, what it cannot take back, what goes with it."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

import aioipc
from aioipc import (
    IntrusivePtr,
    ManagedSharedMemory,
    NotFoundError,
    NotOwnerError,
    SharedPtr,
    Struct,
    UniquePtr,
    WeakPtr,
    WouldBlock,
)


class Kept(Struct):
    value: aioipc.int64
    next: SharedPtr["Kept"]
    alone: UniquePtr["Kept"]
    count: IntrusivePtr["Kept"]
    back: WeakPtr["Kept"]


class Undone(Exception):
    """Ends a block without its effects."""


@contextmanager
def undone(segment: ManagedSharedMemory) -> Iterator[None]:
    try:
        with segment.atomic():
            yield
            raise Undone
    except Undone:
        pass


@pytest.fixture(params=["hash", "ordered"])
def segment(request: pytest.FixtureRequest, segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(
        segment_name, 1 << 20, index=request.param, lifetime="last_detach"
    ) as segment:
        yield segment
        gc.collect()
        report = segment.check_sanity()
        assert report, report


def test_what_the_block_has_touched_is_not_owned(segment: ManagedSharedMemory) -> None:
    old, holder = Kept(segment, "old"), Kept(segment, "holder")
    with segment.atomic():
        new = Kept(segment, "new")
        uses: list[Callable[[], Any]] = [
            lambda: SharedPtr(segment, new),
            lambda: IntrusivePtr(new),
            lambda: UniquePtr(segment, new),
            lambda: setattr(holder, "next", new),
            lambda: setattr(holder, "alone", new),
            lambda: Kept(segment, next=new),
        ]
        for use in uses:
            with pytest.raises(WouldBlock):
                use()
        assert WeakPtr(new).lock() is None
        segment.destroy(Kept, "old")
        with pytest.raises(NotFoundError):
            SharedPtr(segment, old)
        with ThreadPoolExecutor() as others, pytest.raises(WouldBlock):  # there it is, and may go
            others.submit(SharedPtr, segment, old).result()
    holder.next = new
    assert holder.next.use_count == 2


def test_an_owned_object_made_inside_stays(segment: ManagedSharedMemory) -> None:
    with undone(segment):
        kept = SharedPtr(segment, Kept, "kept", value=1)
        alone = UniquePtr(segment, Kept, "alone", value=2)
        owner = Kept(segment, "owner", next=kept)
        Kept(segment, "undone")
    assert {one.name for one in segment.named_objects()} == {"alone", "kept", "owner"}
    assert (kept.target.value, alone.target.value, owner.next.target.value) == (1, 2, 1)
    assert segment.find(Kept, "undone") is None
    assert segment.destroy(Kept, "owner")
    assert kept.use_count == 1


def test_owned_objects_are_not_destroyed_by_a_block(segment: ManagedSharedMemory) -> None:
    kept = SharedPtr(segment, Kept, "kept")
    with segment.atomic():
        with pytest.raises(NotOwnerError):
            segment.destroy(Kept, "kept")
        kept.reset()  # at once
        assert segment.find(Kept, "kept") is None


@pytest.mark.parametrize("commits", [True, False])
def test_a_block_that_destroys_an_owner(segment: ManagedSharedMemory, commits: bool) -> None:
    owner = Kept(segment, "owner", next=SharedPtr(segment, Kept, "inner"))
    owner.alone = UniquePtr(segment, Kept, "innermost")
    with segment.atomic() if commits else undone(segment):
        segment.destroy(Kept, "owner")
        assert segment.find(Kept, "inner") is not None  # until the block ends
    there = [segment.find(Kept, name) is not None for name in ("owner", "inner", "innermost")]
    assert there == [not commits] * 3
    assert segment.num_named_objects == (0 if commits else 3)


def test_an_owner_made_inside_lets_go_when_the_block_is_undone(segment: ManagedSharedMemory) -> None:
    kept = SharedPtr(segment, Kept, "kept")
    with undone(segment):
        owner = Kept(segment, "owner")
        owner.next = kept
        assert kept.use_count == 2
    assert kept.use_count == 1


def test_readers_and_dumps_follow_pointers_that_own(segment: ManagedSharedMemory, segment_name: str) -> None:
    owner = Kept(segment, "owner", value=1, next=SharedPtr(segment, Kept, value=2))
    owner.back = owner
    with ManagedSharedMemory.open_read_only(segment_name) as reader:
        seen = reader.find(Kept, "owner")
        assert seen is not None
        assert (seen.next.get().value, seen.back.get().value, seen.alone.get()) == (2, 1, None)
        assert (bool(seen.next), bool(seen.count)) == (True, False)
    from aioipc.cli.described import described_type

    described = described_type(Kept._field_type.text)
    assert described.text == Kept._field_type.text


def test_holders_tell_of_shares(segment: ManagedSharedMemory) -> None:
    kept = SharedPtr(segment, Kept, "kept")
    shares = [holder for holder in segment.holders() if holder.what == "share"]
    assert [(holder.name, holder.alive) for holder in shares] == [("kept", True)]
    assert str(shares[0]).endswith(" 'kept'")
    kept.reset()
    assert not [holder for holder in segment.holders() if holder.what == "share"]
