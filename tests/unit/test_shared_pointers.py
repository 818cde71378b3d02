"""SharedPtr, WeakPtr, IntrusivePtr: who owns what, in one process, and what is refused."""

import copy
import gc
import os
import pickle
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import aioipc
from aioipc import (
    Array,
    ClosedError,
    IntrusivePtr,
    Lock,
    ManagedSharedMemory,
    NotFoundError,
    NotOwnerError,
    OffsetPtr,
    Queue,
    SegmentFullError,
    SharedPtr,
    Struct,
    TypeMismatchError,
    UniquePtr,
    WeakPtr,
)


class Node(Struct):
    value: aioipc.int64
    next: SharedPtr["Node"]
    other: IntrusivePtr["Node"]
    parent: WeakPtr["Node"]
    bids: aioipc.float64[4]


class Pair(Struct):
    first: SharedPtr[Any]
    second: SharedPtr[Lock]


class Nested(Struct):
    name: aioipc.fixed_str[4]
    pair: Pair
    pairs: Pair[3]
    loose: OffsetPtr[Any]


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


def node(segment: ManagedSharedMemory, value: int = 0) -> SharedPtr[Node]:
    return SharedPtr(segment, Node, value=value)


# --------------------------------------------------------------------------------------------- handles


def test_the_object_goes_with_the_last_pointer(segment: ManagedSharedMemory) -> None:
    first = node(segment, 5)
    second = first.copy()
    target = first.target
    assert (target.value, first.use_count, second.use_count) == (5, 2, 2)
    first.reset()
    assert (bool(first), first.get(), first.use_count, second.use_count) == (False, None, 0, 1)
    assert target.value == 5
    del second
    with pytest.raises(ClosedError, match="destroyed"):
        target.value  # noqa: B018
    del target
    assert living(segment) == 0


def test_a_with_block_gives_back(segment: ManagedSharedMemory) -> None:
    with node(segment) as first, copy.copy(first) as second:
        weak = second.weak()
        assert weak.use_count == 2
    assert weak.expired
    assert not first
    assert living(segment) == 0


def test_a_name_is_found_or_constructed(segment: ManagedSharedMemory) -> None:
    first = SharedPtr(segment, Node, "config", value=1)
    again = SharedPtr(segment, Node, "config", value=2)
    assert (again.target.value, first.use_count) == (1, 2)
    assert segment.find(Node, "config") == first.target
    with pytest.raises(TypeMismatchError):
        SharedPtr(segment, Lock, "config")
    assert first.use_count == 2
    first.reset()
    again.reset()
    assert segment.find(Node, "config") is None
    queue = SharedPtr(segment, Queue, "jobs", maxsize=3)
    assert queue.target.maxsize == 3
    many = SharedPtr(segment, Node, "many", count=5)
    assert len(many.target) == 5
    assert SharedPtr(segment, Array, "numbers", "f8", 7).target.shape == (7,)


def test_what_nobody_shares_is_not_found_as_a_pointer(segment: ManagedSharedMemory) -> None:
    plain, lock = Node(segment, "plain"), Lock(segment, "lock")
    for type in (Node, Lock):
        with pytest.raises(NotOwnerError):
            SharedPtr(segment, type, "plain")
    assert segment.find(Node, "plain") == plain  # and nothing became of it
    with pytest.raises(NotOwnerError), UniquePtr(segment, Node, "sole"):
        SharedPtr(segment, Node, "sole")
    with SharedPtr(segment, lock) as owner:
        assert owner.target == lock
        assert SharedPtr(segment, Lock, "lock").use_count == 2
    assert segment.find(Lock, "lock") is None


def test_an_object_with_owners_is_not_destroyed_by_hand(segment: ManagedSharedMemory) -> None:
    owner = SharedPtr(segment, Node, "n")
    for destroy in (lambda: segment.destroy(Node, "n"), lambda: segment.destroy_object(owner.target)):
        with pytest.raises(NotOwnerError, match="goes with the last of them"):
            destroy()
    owner.reset()
    assert segment.destroy(Node, "n") is False


def test_reset_and_swap(segment: ManagedSharedMemory) -> None:
    a, b = node(segment, 1), node(segment, 2)
    a.swap(b)
    assert (a.target.value, b.target.value) == (2, 1)
    target = a.target
    a.reset(b)
    assert (a.target.value, a.use_count) == (1, 2)
    assert target.pin.destroyed
    a.reset(Node(segment, value=3))
    assert (a.target.value, a.use_count, b.use_count) == (3, 1, 1)
    a.reset(a)
    assert a.use_count == 1
    empty: SharedPtr[Node] = SharedPtr(segment)
    empty.swap(a)
    assert (empty.target.value, bool(a)) == (3, False)
    with pytest.raises(ValueError, match="this SharedPtr is empty"):
        a.target  # noqa: B018
    a.reset(empty)
    assert empty.use_count == 2


def test_pointers_made_from_an_object_count_the_same_owners(segment: ManagedSharedMemory) -> None:
    plain = Node(segment, value=4)
    one, two = IntrusivePtr(plain), IntrusivePtr(plain)
    three = SharedPtr(segment, plain)
    assert (one.use_count, isinstance(one, SharedPtr), one == three) == (3, True, True)
    four = IntrusivePtr(three)
    assert type(four) is type(pickle.loads(pickle.dumps(four))) is IntrusivePtr
    for pointer in (one, two, three):
        pointer.reset()
    assert four.use_count == 1
    assert four.target.value == 4
    with pytest.raises(TypeError, match="an object is wanted"):
        IntrusivePtr(5)


def test_an_alias_leads_to_a_part_and_owns_the_whole(segment: ManagedSharedMemory) -> None:
    owner = node(segment)
    bids = owner.alias(owner.target.bids)
    owner.target.bids[1] = 2.5
    assert bids.use_count == 2
    assert bids != owner
    owner.reset()
    assert bids.target[1] == 2.5
    again = pickle.loads(pickle.dumps(bids))
    assert (list(again.target), again == bids, again.use_count) == ([0.0, 2.5, 0.0, 0.0], True, 2)
    assert WeakPtr(bids).use_count == 2
    with pytest.raises(ValueError, match="is no part of"):
        bids.alias(Node(segment).bids)


def test_equality_and_order(segment: ManagedSharedMemory) -> None:
    a, b = node(segment), node(segment)
    assert a == a.copy() != b
    assert a != 5
    assert SharedPtr(segment) == SharedPtr(segment) != a
    assert (a < b) != (b < a)
    assert sorted([a, b, a]) == sorted([b, a, a])
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)
    weak = {a.weak(): "a", b.weak(): "b"}
    order = sorted(weak)
    found = weak[WeakPtr(a.target)]
    a.reset()
    b.reset()
    assert (order == sorted(weak), found, all(w.expired for w in weak)) == (True, "a", True)
    assert weak[WeakPtr(order[0])] in "ab"


# ------------------------------------------------------------------------------------------------- weak


def test_a_weak_pointer_makes_an_owner_while_there_is_one(segment: ManagedSharedMemory) -> None:
    owner = node(segment, 7)
    weak = WeakPtr(owner)
    with weak.lock() as locked:  # type: ignore[union-attr]
        assert (locked.target.value, weak.use_count, weak.expired) == (7, 2, False)
    owner.reset()
    assert (weak.lock(), weak.use_count, weak.expired, bool(weak)) == (None, 0, True, True)
    later = [node(segment) for _ in range(5)]  # one of them in the same place
    assert weak.lock() is None
    assert all(WeakPtr(one) != weak for one in later)


def test_weak_pointers_to_what_nobody_owns(segment: ManagedSharedMemory) -> None:
    plain = Node(segment)
    weak = WeakPtr(plain)
    assert (weak.lock(), weak.expired) == (None, True)
    owner = SharedPtr(segment, plain)
    assert weak.lock() == owner
    assert WeakPtr(weak) == weak
    nothing: WeakPtr[Node] = WeakPtr(SharedPtr(segment))
    assert (bool(nothing), nothing.lock(), nothing.use_count) == (False, None, 0)
    with UniquePtr(segment, Node) as sole, pytest.raises(NotOwnerError):
        WeakPtr(sole.target).lock()
    with pytest.raises(TypeError, match="a WeakPtr or a whole object is wanted"):
        WeakPtr(5)


# ----------------------------------------------------------------------------------------------- fields


def test_a_field_is_an_owner(segment: ManagedSharedMemory) -> None:
    head = Node(segment, "head")
    assert not head.next
    first = node(segment, 1)
    head.next = first
    assert (head.next == first, first.use_count, head.next.target.value) == (True, 2, 1)
    head.next = head.next
    head.next = first.target
    assert first.use_count == 2
    head.next = node(segment, 2)
    assert (first.use_count, head.next.target.value, head.next.use_count) == (1, 2, 2)  # itself too
    head.other = first
    head.parent = first
    assert (first.use_count, type(head.other), head.parent.lock()) == (2, IntrusivePtr, first)
    first.reset()
    assert head.parent.use_count == 1
    head.other = None
    assert head.parent.expired
    assert "next=<aioipc.SharedPtr to a Node>" in repr(head)
    segment.destroy(Node, "head")
    del head
    assert living(segment) == 0


def test_a_new_object_owns_what_it_is_given(segment: ManagedSharedMemory) -> None:
    tail = node(segment, 1)
    head = SharedPtr(segment, Node, value=2, next=tail, parent=tail)
    assert tail.use_count == 2
    tail.reset()
    assert head.target.next.target.value == 1
    again = Node(segment, value=3, next=head.target.next, other=head.target)
    assert (WeakPtr(head).use_count, head.target.parent.use_count) == (2, 2)
    head.reset()
    assert again.other.target.next == again.next
    segment.destroy_object(again)
    del again
    assert living(segment) == 0


def test_a_list_longer_than_any_stack(segment: ManagedSharedMemory) -> None:
    head = node(segment)
    for value in range(2000):
        head = SharedPtr(segment, Node, value=value, next=head)
    values, at = 0, head.copy()
    while at:
        at, values = at.target.next, values + 1
    assert values == 2001
    assert living(segment) == 2001
    head.reset()
    assert living(segment) == 0


def test_pointers_in_parts_and_arrays(segment: ManagedSharedMemory) -> None:
    lock = SharedPtr(segment, Lock)
    nested = segment.construct(Nested, "nested", count=4)
    nested[2].pairs[1].second = lock
    nested[2].pair.first = lock
    nested[3].pairs[2].second = lock.target
    nested[0].loose = lock
    assert lock.use_count == 4
    assert nested[2].pairs[1].second == lock
    assert nested[0].loose.get() == lock.target
    segment.destroy(Nested, "nested")  # though there is a handle on it
    assert lock.use_count == 1
    with pytest.raises(ClosedError):
        nested[0].pair.first = lock
    assert lock.use_count == 1
    with pytest.raises(TypeError, match="pointers that own: construct the structs"):
        Array(segment, "a", Pair, 5)
    with pytest.raises(ValueError, match="at most 4096 pointers that own"):
        type("Wide", (Struct,), {"__annotations__": {"pairs": Pair[2049]}})


def test_structs_with_pointers_are_assigned_field_by_field(segment: ManagedSharedMemory) -> None:
    lock = SharedPtr(segment, Lock)
    nested, pair = Nested(segment), Pair(segment, second=lock)
    wrong: Any
    for wrong in (pair, {"second": lock}, {}):
        with pytest.raises(TypeError, match="a Pair has pointers that own: assign its fields one by one"):
            nested.pair = wrong
        with pytest.raises(TypeError, match="assign its fields"):
            nested.pairs[0] = wrong
    for wrong in ([pair] * 3, [{}] * 3):
        with pytest.raises(TypeError, match="assign its fields"):
            nested.pairs = wrong
    other = Nested(segment, pair=pair, pairs=[{}, pair, {"second": lock}])
    assert (lock.use_count, other.pairs[1].second) == (5, lock)
    with pytest.raises(ValueError, match="a new Pair owns at most 32 objects"):
        segment.construct_each(Pair, "many", [(lock, lock)] * 17)
    segment.construct_each(Pair, "many", [(lock, lock)] * 16)
    assert lock.use_count == 37


def test_what_cannot_be_owned(segment: ManagedSharedMemory) -> None:
    head = Node(segment)
    wrong: Any
    for wrong in (5, "x", Node, WeakPtr(head), segment.allocate(8)):
        with pytest.raises(TypeError, match=r"Node\.next: a pointer that owns, an object or None is wanted"):
            head.next = wrong
    with pytest.raises(ValueError, match="whole objects"):
        head.next = head.bids  # type: ignore[assignment]
    for wrong in (5, "x", int, SharedPtr, head.bids):
        with pytest.raises(TypeError, match="a whole object or the type of a new one is wanted"):
            SharedPtr(segment, wrong)
    with pytest.raises(TypeError, match="give the type of a new object"):
        SharedPtr(segment, head, "name")  # type: ignore[call-overload]
    with UniquePtr(segment, Node) as sole:
        with pytest.raises(TypeError, match="a UniquePtr cannot be assigned to a SharedPtr"):
            head.next = sole  # type: ignore[assignment]
        with pytest.raises(NotOwnerError):
            head.next = sole.target
        with pytest.raises(NotOwnerError):
            Node(segment, next=sole.target)
        with pytest.raises(NotOwnerError):
            SharedPtr(segment, sole.target)
    gone = Node(segment)
    segment.destroy_object(gone)
    with pytest.raises(ClosedError):
        head.next = gone
    with pytest.raises(NotFoundError):
        SharedPtr(segment, gone)
    assert not head.next


def test_what_lives_elsewhere_cannot_be_owned(segment: ManagedSharedMemory, segment_name: str) -> None:
    head = Node(segment)
    with ManagedSharedMemory.create(f"{segment_name}-b", 1 << 20, lifetime="last_detach") as other:
        stranger = SharedPtr(other, Node)
        uses: list[Callable[[], Any]] = [
            lambda: SharedPtr(segment, stranger),
            lambda: SharedPtr(segment, stranger.target),
            lambda: setattr(head, "next", stranger),
            lambda: setattr(head, "parent", stranger),
            lambda: Node(segment, next=stranger),
            lambda: node(segment).swap(stranger),
        ]
        for use in uses:
            with pytest.raises(ValueError, match="lives in another segment"):
                use()
        assert stranger != node(segment)
    assert not head.next


def test_types_are_checked(segment: ManagedSharedMemory) -> None:
    head, pair = Node(segment), Pair(segment)
    lock = SharedPtr(segment, Lock)
    head.next = lock  # type: ignore[assignment]
    with pytest.raises(TypeMismatchError, match="leads to a Lock, not to a Node"):
        head.next  # noqa: B018
    head.next = None
    pair.first = lock
    assert pair.first.target == lock.target
    head.parent = lock  # type: ignore[assignment]
    with pytest.raises(TypeMismatchError):
        head.parent.lock()
    assert lock.use_count == 2


# ------------------------------------------------------------------------------------------------ circles


def test_circles_stay_until_they_are_opened(segment: ManagedSharedMemory) -> None:
    a, b = node(segment), node(segment)
    a.target.next, b.target.next = b, a
    handle = a.target
    a.reset()
    b.reset()
    assert living(segment) == 2
    handle.next = None
    del handle
    assert living(segment) == 0


def test_weak_pointers_close_no_circle(segment: ManagedSharedMemory) -> None:
    a, b = node(segment), node(segment)
    a.target.next, b.target.parent = b, a
    b.reset()
    a.reset()
    assert living(segment) == 0


# --------------------------------------------------------------------------------------------------- life


def test_pickles_hold_no_share(segment: ManagedSharedMemory) -> None:
    owner = node(segment, 3)
    data, weak = pickle.dumps(owner), pickle.dumps(owner.weak())
    assert owner.use_count == 1
    again = pickle.loads(data)
    assert (again.target.value, owner.use_count, pickle.loads(weak) == owner.weak()) == (3, 2, True)
    assert not pickle.loads(pickle.dumps(SharedPtr(segment)))
    again.reset()
    owner.reset()
    with pytest.raises(NotFoundError):
        pickle.loads(data)
    assert pickle.loads(weak).expired


def test_after_the_segment_is_closed(segment: ManagedSharedMemory) -> None:
    owner, empty = node(segment), SharedPtr[Node](segment)
    weak, head = owner.weak(), Node(segment)
    segment.close()
    uses: list[Callable[[], Any]] = [
        lambda: owner.target, owner.get, owner.copy, owner.weak, weak.lock, lambda: weak.expired,
        lambda: head.next, lambda: setattr(head, "next", None), lambda: head.parent,
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(ClosedError):
            use()
    assert (owner == owner, owner != empty, weak == weak, {weak: 1}[weak]) == (True, True, True, 1)
    owner.reset()
    empty.reset()
    assert (repr(owner), repr(weak)) == ("<aioipc.SharedPtr [closed]>", "<aioipc.WeakPtr [closed]>")


def test_another_opening_keeps_the_share(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        other = ManagedSharedMemory.open(segment_name)
        owner = node(other, 1)
        weak = WeakPtr(SharedPtr(segment, owner))
        other.close()
        assert weak.use_count == 1
        del owner
        assert weak.expired


def test_a_full_segment_can_be_emptied(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 16, participants=4, lifetime="last_detach") as segment:
        owners = [node(segment)]
        with pytest.raises(SegmentFullError):
            owners.extend(owners[0].copy() for _ in range(10_000))
        assert owners[0].use_count == len(owners)
        owners.clear()
        assert living(segment) == 0


def test_threads_share_objects(segment: ManagedSharedMemory) -> None:
    head, common = Node(segment), [node(segment, n) for n in range(3)]

    def work(seed: int) -> int:
        dice, mine = random.Random(seed), SharedPtr[Node](segment)
        for _ in range(400):
            one = common[dice.randrange(3)]
            what = dice.randrange(5)
            if what == 0:
                mine = one.copy()
            elif what == 1:
                head.next = mine
            elif what == 2:
                mine = head.next
            elif what == 3:
                mine = SharedPtr(segment, Node, next=mine)
            else:
                mine.reset()
        return seed

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 1, 2, 3]
    assert segment.check_sanity()
    head.next = None
    assert [one.use_count for one in common] == [1, 1, 1]
    assert living(segment) == 4


def test_who_waits_learns_that_the_last_owner_went(segment: ManagedSharedMemory) -> None:
    owner = SharedPtr(segment, Queue, maxsize=1)
    queue = owner.target
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.blocking.get)
        while not queue.statistics().getters:
            os.sched_yield()
        owner.reset()
        with pytest.raises(ClosedError):
            waiting.result()
