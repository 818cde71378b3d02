"""OffsetPtr: what it leads to, what it refuses, and what it says when its target is gone."""

import gc
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import aioipc
from aioipc import (
    Block,
    ClosedError,
    Lock,
    ManagedSharedMemory,
    NotFoundError,
    OffsetPtr,
    SharedDict,
    Struct,
    TypeMismatchError,
)
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]


class Node(Struct):
    value: aioipc.int64
    next: OffsetPtr["Node"]


class Links(Struct):
    anything: OffsetPtr[Any]
    lock: OffsetPtr[Lock]
    entries: OffsetPtr[SharedDict[str, int]]
    block: OffsetPtr[Block]
    node: OffsetPtr[Node]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        yield segment
        if not segment.closed:
            report = segment.check_sanity()
            assert report, report


@pytest.fixture
def links(segment: ManagedSharedMemory) -> Links:
    return Links(segment, "links")


def followed(pointer: OffsetPtr[Any]) -> Any:
    target = pointer.get()
    assert target is not None
    return target


def test_it_leads_to_what_was_assigned(segment: ManagedSharedMemory, links: Links) -> None:
    node, lock, entries = Node(segment, value=5), Lock(segment), SharedDict[str, int](segment)
    assert links.node.get() is None
    assert not links.node
    links.node, links.lock, links.entries = node, lock, entries
    assert (links.node.get(), links.lock.get(), links.entries.get()) == (node, lock, entries)
    assert followed(links.node).value == 5
    assert links.node
    for target in (node, lock, entries):
        links.anything.set(target)
        assert links.anything.get() == target
    links.node = None
    assert links.node.get() is None
    assert (repr(links.node), repr(links.lock)) == (
        "<aioipc.OffsetPtr 'links'.node [null]>",
        "<aioipc.OffsetPtr 'links'.lock [set]>",
    )


def test_it_leads_to_blocks(segment: ManagedSharedMemory, links: Links) -> None:
    block = segment.allocate(100)
    memoryview(block)[:3] = b"abc"
    links.block = links.anything = block  # type: ignore[assignment]
    assert bytes(followed(links.block))[:3] == b"abc"
    assert followed(links.anything).handle == block.handle
    links.lock.set(links.block)
    with pytest.raises(TypeMismatchError, match="the pointer 'lock' leads to a Block, not to a Lock"):
        links.lock.get()
    segment.deallocate(block)
    with pytest.raises(NotFoundError, match="the pointer 'block': the block it led to was deallocated"):
        links.block.get()


def test_a_list_of_nodes(segment: ManagedSharedMemory) -> None:
    head = Node(segment, "head")
    for value in range(5):
        head.next = Node(segment, None, value=value, next=head.next)
    values, node = [], head.next.get()
    while node is not None:
        values.append(node.value)
        node = node.next.get()
    assert values == [4, 3, 2, 1, 0]


def test_pointers_to_the_same_are_equal(segment: ManagedSharedMemory, links: Links) -> None:
    a, b = Node(segment, next=Node(segment)), Node(segment)
    assert links.node == links.lock  # both null
    b.next = a.next
    assert a.next == b.next != links.node
    a.next = a
    assert a.next != b.next
    assert a.next != 5
    with pytest.raises(TypeError, match="unhashable"):
        hash(a.next)


def test_it_is_exchanged_only_if_it_leads_where_expected(segment: ManagedSharedMemory, links: Links) -> None:
    a, b = Node(segment), Node(segment)
    assert links.node.compare_exchange(None, a) is True
    assert links.node.compare_exchange(None, b) is False
    assert links.node.compare_exchange(a, b) is True
    assert links.node.get() == b


def test_a_target_that_is_gone_is_noticed(segment: ManagedSharedMemory, links: Links) -> None:
    node = Node(segment, value=1)
    links.node = node
    place = node.pin.offset
    segment.destroy_object(node)
    with pytest.raises(NotFoundError, match="what it led to was destroyed"):
        links.node.get()  # though its memory is still there
    del node
    others = [Node(segment, value=7) for _ in range(50)]
    assert place in [other.pin.offset for other in others]
    with pytest.raises(NotFoundError):
        links.node.get()  # another one is in its place
    assert links.node
    links.node = others[0]
    assert followed(links.node).value == 7


def test_other_types_than_declared_are_refused(segment: ManagedSharedMemory, links: Links) -> None:
    links.lock.set(Node(segment, "n"))
    with pytest.raises(TypeMismatchError, match="the pointer 'lock' leads to a Node, not to a Lock"):
        links.lock.get()
    node = Node(segment)
    node.next.set(links)
    with pytest.raises(TypeMismatchError, match="the pointer 'next' leads to a Links, not to a Node"):
        node.next.get()
    links.block.set(node)
    with pytest.raises(TypeMismatchError, match="the pointer 'block' leads to a Node, not to a Block"):
        links.block.get()
    elsewhere: Any = type("Elsewhere", (Struct,), {"__annotations__": {"x": aioipc.int8}})
    links.anything = elsewhere(segment, "elsewhere")
    del elsewhere
    gc.collect()
    with pytest.raises(TypeMismatchError, match="a Elsewhere, which this process does not declare"):
        links.anything.get()


def test_what_cannot_be_pointed_at(segment: ManagedSharedMemory, links: Links, segment_name: str) -> None:
    nodes = segment.construct(Node, "nodes", count=3)
    links.node = nodes
    assert len(followed(links.node)) == 3
    wrong: Any
    for wrong in (nodes[1], nodes[-1]):
        with pytest.raises(ValueError, match="a pointer leads to whole objects"):
            links.node = wrong
    for wrong in (5, "x", b"x", Node):
        with pytest.raises(TypeError, match="an object, a Block or None is wanted"):
            links.node = wrong
    gone = Node(segment)
    segment.destroy_object(gone)
    with pytest.raises(ClosedError):
        links.node = gone
    with ManagedSharedMemory.create(f"{segment_name}-b", 1 << 20, lifetime="last_detach") as other:
        for wrong in (Node(other), other.allocate(8), Links(other).node):
            if isinstance(wrong, OffsetPtr):
                wrong.set(Node(other))
            with pytest.raises(ValueError, match="lives in another segment"):
                links.node = wrong
    assert followed(links.node) == nodes


def test_life(segment: ManagedSharedMemory, links: Links) -> None:
    links.node = Node(segment, value=3)
    pointer = links.node
    assert pickle.loads(pickle.dumps(pointer)) == pointer
    with pytest.raises(TypeError, match="get it from a field"):
        OffsetPtr()
    for use in (lambda p: p.get(), bool, lambda p: p.set(None), lambda p: p == p):
        with pytest.raises(ClosedError):
            use(OffsetPtr.__new__(OffsetPtr))
    segment.close()
    for use in (lambda p: p.get(), bool, lambda p: p.set(None), lambda p: p.compare_exchange(None, None)):
        with pytest.raises(ClosedError):
            use(pointer)


@pytest.mark.parametrize("bit", range(64))
def test_any_word_is_followed_to_something_or_nothing(segment: ManagedSharedMemory, bit: int) -> None:
    """Whatever the bytes are: an object, a block, null, or NotFoundError."""

    class Word(Struct):
        pointer: OffsetPtr[Any]

    class Raw(Struct):
        word: aioipc.uint64

    both = Node(segment, value=1), segment.allocate(64)
    for target in both:
        holder = Word(segment, "word")
        holder.pointer.set(target)
        raw = memoryview(holder._field_type.pack(segment._opening.attachment, {"pointer": target}))
        damaged = int.from_bytes(raw, "little") ^ (1 << bit)
        path = f"/dev/shm/{segment.name}"
        with open(path, "r+b") as memory:
            at = memory.read().index(bytes(raw), holder.pin.offset)
            memory.seek(at)
            memory.write(damaged.to_bytes(8, "little"))
        try:
            found = holder.pointer.get()
        except (NotFoundError, aioipc.CorruptSegmentError):
            pass
        else:
            assert found is None or isinstance(found, (Node, Block, Word))


def walking(test: Link, name: str) -> list[int]:
    with ManagedSharedMemory.open(name) as segment:
        node, values = segment.find(Node, "head"), []
        while node is not None:
            values.append(node.value)
            node = node.next.get()
        return values


def test_another_process_follows_the_same_pointers(spawn: Spawn, segment: ManagedSharedMemory) -> None:
    Node(segment, "head", value=1, next=Node(segment, None, value=2, next=Node(segment, None, value=3)))
    assert spawn(walking, segment.name).result() == [1, 2, 3]
