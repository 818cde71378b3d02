"""UniquePtr and ScopedPtr: one owner, moved, released, undone."""

import copy
import gc
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import aioipc
from aioipc import (
    AlreadyExistsError,
    ClosedError,
    Lock,
    ManagedSharedMemory,
    NotOwnerError,
    ScopedPtr,
    SharedPtr,
    Struct,
    TypeMismatchError,
    UniqueField,
    UniquePtr,
)


class Tree(Struct):
    value: aioipc.int64
    left: UniquePtr["Tree"]
    right: UniquePtr["Tree"]
    lock: UniquePtr[Lock]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


def living(segment: ManagedSharedMemory) -> int:
    gc.collect()
    report = segment.check_sanity()
    assert report, report
    return report.counts["objects"]


def test_the_object_goes_with_its_owner(segment: ManagedSharedMemory) -> None:
    pointer = UniquePtr(segment, Tree, "tree", value=3)
    assert (pointer.target.value, pointer.use_count, bool(pointer)) == (3, 1, True)
    with pytest.raises(AlreadyExistsError):
        UniquePtr(segment, Tree, "tree")
    pointer.reset()
    assert (segment.find(Tree, "tree"), bool(pointer), pointer.get()) == (None, False, None)
    with UniquePtr(segment, Tree):
        assert living(segment) == 1
    assert living(segment) == 0


def test_what_has_no_owner_yet_can_be_taken(segment: ManagedSharedMemory) -> None:
    lock = Lock(segment, "lock")
    pointer = UniquePtr(segment, lock)
    for other in (UniquePtr, ScopedPtr, SharedPtr):
        with pytest.raises(NotOwnerError):
            other(segment, lock)
    assert pointer.release() == lock
    assert not pointer
    with pytest.raises(ValueError, match="this UniquePtr is empty"):
        pointer.release()
    assert segment.destroy(Lock, "lock")


def test_it_moves_into_a_field_and_out(segment: ManagedSharedMemory) -> None:
    tree, pointer = Tree(segment, "root"), UniquePtr(segment, Tree, value=5)
    target = pointer.target
    tree.left = pointer
    assert (bool(pointer), bool(tree.left), tree.left.get()) == (False, True, target)
    tree.right = tree.left  # from field to field
    assert (bool(tree.left), tree.right.get()) == (False, target)
    taken = tree.right.take()
    assert (taken.target, tree.right.get(), taken.use_count) == (target, None, 1)
    assert not tree.right.take()
    tree.left.set(taken)
    tree.left = UniquePtr(segment, Tree, value=6)  # the end of the other one
    assert target.pin.destroyed
    tree.left = Tree(segment, value=7)
    found = tree.left.get()
    assert found is not None
    assert found.value == 7
    tree.left.reset()
    assert not tree.left
    tree.right = UniquePtr(segment)  # empty
    assert repr(tree.left) == "<aioipc.UniqueField 'root'.left [null]>"


def test_a_tree_goes_with_its_root(segment: ManagedSharedMemory) -> None:
    def grow(depth: int) -> UniquePtr[Tree]:
        pointer = UniquePtr(segment, Tree, value=depth)
        if depth:
            pointer.target.left, pointer.target.right = grow(depth - 1), grow(depth - 1)
        pointer.target.lock = UniquePtr(segment, Lock)
        return pointer

    root = grow(5)
    assert living(segment) == 2 * 63
    root.target.left.take().reset()
    assert living(segment) == 2 * 32
    root.reset()
    assert living(segment) == 0


def test_it_can_be_shared_from_then_on(segment: ManagedSharedMemory) -> None:
    pointer = UniquePtr(segment, Tree, value=8)
    shared = pointer.share()
    assert (bool(pointer), shared.target.value, shared.copy().use_count) == (False, 8, 2)
    shared.reset()
    assert living(segment) == 0


def test_swap(segment: ManagedSharedMemory) -> None:
    a, b = UniquePtr(segment, Tree, value=1), UniquePtr[Tree](segment)
    a.swap(b)
    assert (bool(a), b.target.value) == (False, 1)


def test_a_scope_undoes_what_was_not_released(segment: ManagedSharedMemory) -> None:
    def build(fail: bool) -> Tree:
        with ScopedPtr(segment, Tree, "tree", value=1) as scope:
            scope.target.left = UniquePtr(segment, Tree, value=2)
            if fail:
                raise ValueError("after half of it")
            return scope.release()

    with pytest.raises(ValueError, match="after half of it"):
        build(True)
    assert living(segment) == 0
    tree = build(False)
    assert segment.find(Tree, "tree") == tree
    assert living(segment) == 2
    with ScopedPtr(segment, tree):
        pass
    assert tree.pin.destroyed


def test_what_is_refused(segment: ManagedSharedMemory, segment_name: str) -> None:
    pointer, tree = UniquePtr(segment, Tree), Tree(segment, "root")
    with pytest.raises(TypeError, match="move it through a field"):
        pickle.dumps(pointer)
    with pytest.raises(TypeError, match="move it through a field"):
        copy.copy(pointer)
    with pytest.raises(TypeError, match="a new object owns nothing alone"):
        Tree(segment, left=pointer)
    with pytest.raises(TypeError, match="a SharedPtr cannot be assigned to a UniquePtr"):
        tree.left = SharedPtr(segment, Tree)  # type: ignore[assignment]
    shared = SharedPtr(segment, Tree)
    with pytest.raises(NotOwnerError):
        tree.left = shared.target
    with pytest.raises(TypeError, match="get it from a field"):
        UniqueField()
    tree.lock = pointer  # type: ignore[assignment]
    with pytest.raises(TypeMismatchError, match="the field 'lock' leads to a Tree, not to a Lock"):
        tree.lock.get()
    with ManagedSharedMemory.create(f"{segment_name}-b", 1 << 20, lifetime="last_detach") as other:
        stranger = UniquePtr(other, Tree)
        with pytest.raises(ValueError, match="lives in another segment"):
            tree.left = stranger
        with pytest.raises(ValueError, match="lives in another segment"):
            stranger.swap(UniquePtr(segment, Tree))
        assert stranger.use_count == 1
    field = tree.lock
    segment.destroy(Tree, "root")
    late = UniquePtr(segment, Tree)
    uses: list[Callable[[], Any]] = [field.get, field.take, lambda: bool(field), lambda: field.set(late)]
    for use in uses:
        with pytest.raises(ClosedError):
            use()
    assert late.use_count == 1
    left = Tree(segment).left
    segment.close()
    for use in (left.get, left.take, lambda: bool(left), left.reset, lambda: late.target, late.release):
        with pytest.raises(ClosedError):
            use()
