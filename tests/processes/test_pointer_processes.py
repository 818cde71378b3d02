"""Owners in several processes: deaths at any moment, moves from one to another, forks and pickles."""

import multiprocessing
import os
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import aioipc
from aioipc import (
    ManagedSharedMemory,
    NotFoundError,
    NotOwnerError,
    ScopedPtr,
    SharedPtr,
    Struct,
    UniquePtr,
    WeakPtr,
)
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]


class Item(Struct):
    value: aioipc.int64
    next: SharedPtr["Item"]
    child: UniquePtr["Item"]


class Board(Struct):
    shared: SharedPtr[Item]
    passed: UniquePtr[Item]


@pytest.fixture
def segment(segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(segment_name, 1 << 20, lifetime="last_detach") as segment:
        Board(segment, "board")
        yield segment
        report = segment.check_sanity()
        assert report, report


def objects(segment: ManagedSharedMemory) -> int:
    return segment.check_sanity().counts["objects"]


def holder(test: Link, name: str, weak: str) -> None:
    pointer = pickle.loads(bytes.fromhex(weak))
    owners = [pointer.lock() for _ in range(3)]
    with pointer.segment, UniquePtr(pointer.segment, Item), ScopedPtr(pointer.segment, Item, "scoped"):
        test.sync([owner.target.value for owner in owners])


def test_a_killed_process_owns_nothing(spawn: Spawn, segment: ManagedSharedMemory, segment_name: str) -> None:
    owner = SharedPtr(segment, Item, value=7)
    peer = spawn(holder, segment_name, pickle.dumps(owner.weak()).hex())
    assert peer.receive() == [7, 7, 7]
    assert owner.use_count == 4
    assert segment.find(Item, "scoped") is not None
    peer.kill()
    assert owner.use_count == 1
    assert segment.find(Item, "scoped") is None
    assert objects(segment) == 2  # the board and the item


def last_owner(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        head = SharedPtr(segment, Item, "head", value=0)
        for value in range(1, 100):
            head.reset(SharedPtr(segment, Item, value=value, next=head))
        test.sync(pickle.dumps(head.weak()).hex())


def test_what_only_it_owned_goes_with_a_killed_process(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str
) -> None:
    peer = spawn(last_owner, segment_name)
    weak: WeakPtr[Item] = pickle.loads(bytes.fromhex(peer.receive()))
    assert (weak.use_count, objects(segment)) == (1, 101)
    peer.kill()
    assert weak.expired
    assert objects(segment) == 1


def test_before_a_death_is_noticed_its_objects_can_be_had(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str
) -> None:
    peer = spawn(last_owner, segment_name)
    weak: WeakPtr[Item] = pickle.loads(bytes.fromhex(peer.receive()))
    peer.kill()
    owner = weak.lock()
    assert owner is not None
    assert owner.target.value == 99
    assert owner.use_count == 1  # by which it was noticed
    assert objects(segment) == 101


def taker(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        board = Board(segment, "board")
        with board.passed.take() as pointer:
            value = pointer.target.value
            test.sync(value)
            board.passed = pointer


def test_a_unique_pointer_moves_through_a_field(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str
) -> None:
    board = Board(segment, "board")
    board.passed = UniquePtr(segment, Item, value=5)
    for end in ("goes on", "is killed"):
        peer = spawn(taker, segment_name)
        assert peer.receive() == 5
        assert not board.passed
        if end == "goes on":
            peer.go()
            peer.result()
            assert board.passed.take().share().target.value == 5
            board.passed = UniquePtr(segment, Item, value=5)
        else:
            peer.kill()  # with the only owner
            assert objects(segment) == 1


def juggler(test: Link, name: str, seed: int) -> None:
    """Owns and gives up, as fast as it can."""
    dice = random.Random(seed)
    with ManagedSharedMemory.open(name) as segment:
        board = Board(segment, "board")
        mine: list[SharedPtr[Item]] = []
        test.send("going")
        while True:
            what = dice.randrange(6)
            if what == 0:
                mine.append(SharedPtr(segment, Item, value=len(mine), next=mine[-1] if mine else None))
            elif what == 1:
                board.shared = mine[-1] if mine else None
            elif what == 2:
                mine.append(board.shared)
            elif what == 3:
                board.passed = UniquePtr(segment, Item, value=9)
            elif what == 4:
                pointer = board.passed.take()
                if pointer:
                    pointer.target.child = UniquePtr(segment, Item)
            while len(mine) > dice.randrange(1, 12):
                mine.pop(0).reset()


@pytest.mark.parametrize(
    ("kills", "jugglers"), [(8, 2), pytest.param(300, 3, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_killed_jugglers_drop_nothing_and_keep_nothing(
    spawn: Spawn, segment: ManagedSharedMemory, segment_name: str, kills: int, jugglers: int
) -> None:
    board, dice = Board(segment, "board"), random.Random(kills)
    peers = [spawn(juggler, segment_name, seed) for seed in range(jugglers)]
    for peer in peers:
        assert peer.receive() == "going"
    for n in range(kills):
        for _ in range(dice.randrange(2000)):
            with board.shared as owner:
                assert owner.use_count > 0 or not owner
        peers[n % jugglers].kill()
        report = segment.check_sanity()
        assert report, report
        peers[n % jugglers] = spawn(juggler, segment_name, n + jugglers)
        assert peers[n % jugglers].receive() == "going"
    for peer in peers:
        peer.kill()
    board.shared = None
    board.passed.reset()
    assert objects(segment) == 1


def arguments(pointer: SharedPtr[Item], weak: WeakPtr[Item], answers: Any) -> None:
    locked = weak.lock()
    assert locked is not None
    answers.put((pointer.target.value, pointer.use_count, locked == pointer))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pointers_are_arguments_of_processes(segment: ManagedSharedMemory, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    owner, answers = SharedPtr(segment, Item, value=3), context.SimpleQueue()
    process = context.Process(target=arguments, args=(owner, owner.weak(), answers))
    process.start()
    assert answers.get() == (3, 3, True)
    process.join()
    assert owner.use_count == 1


def in_a_child(what: Callable[[], Any]) -> int:
    """The exit status of a forked child that does this."""
    if (pid := os.fork()) == 0:
        try:
            what()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_has_shares_of_its_own(segment: ManagedSharedMemory) -> None:
    owner, sole = SharedPtr(segment, Item, value=3), UniquePtr(segment, Item, value=4)
    lost = SharedPtr(segment, Item)

    def child() -> None:
        assert owner.target.value == 3
        assert owner.use_count == 2
        owner.reset()
        with pytest.raises(NotOwnerError):
            sole.target  # noqa: B018
        sole.reset()  # not the child's to give
        lost.reset()

    assert in_a_child(child) == 0
    assert (owner.use_count, owner.target.value, sole.target.value, lost.use_count) == (1, 3, 4, 1)


def test_what_went_before_a_child_asked_for_it(segment: ManagedSharedMemory) -> None:
    owner, weak = SharedPtr(segment, Item), WeakPtr(SharedPtr(segment))
    ready, go = os.pipe(), os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            with pytest.raises((NotFoundError, aioipc.ClosedError)):
                owner.target  # noqa: B018
            assert not weak
            os._exit(0)
        finally:
            os._exit(1)
    os.read(ready[0], 1)
    owner.reset()
    os.write(go[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for fd in (*ready, *go):
        os.close(fd)


def test_a_copy_of_a_segment_keeps_what_fields_own(
    segment: ManagedSharedMemory, segment_name: str, tmp_path: Any
) -> None:
    owner, kept = SharedPtr(segment, Item, "mine"), SharedPtr(segment, Item, "kept")
    Board(segment, "board").shared = kept
    segment.snapshot(tmp_path / "copy")
    with aioipc.ManagedMappedFile.open(tmp_path / "copy") as copy:
        assert copy.find(Item, "mine") is None  # its owners are no part of the copy
        assert Board(copy, "board").shared.use_count == 2
        assert objects(copy) == 2
    assert owner.use_count == 1
