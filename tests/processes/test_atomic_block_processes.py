"""Atomic blocks between real processes: who sees what, deaths inside, stopped owners, fork, many at once."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from aioipc import Event, Lock, ManagedSharedMemory, NotOwnerError, SharedDict, WouldBlock
from tests.support.blocks import names
from tests.support.forked import forked
from tests.support.loops import LOOPS
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]


@pytest.fixture(params=["hash", "ordered"])
def segment(request: pytest.FixtureRequest, segment_name: str) -> Iterator[ManagedSharedMemory]:
    with ManagedSharedMemory.create(
        segment_name, 1 << 20, index=request.param, lifetime="last_detach"
    ) as segment:
        yield segment
        assert segment.check_sanity()
        assert segment.atomic().statistics().waiters == 0


# ------------------------------------------------------------------------------------------ roles


def change(segment: ManagedSharedMemory) -> None:
    """What the blocks do: one goes, one is replaced, one comes."""
    segment.destroy(Lock, "gone")
    segment.destroy(SharedDict, "replaced")
    SharedDict(segment, "replaced")["is"] = "new"
    Lock(segment, "new").acquire_nowait()


def prepare(segment: ManagedSharedMemory) -> None:
    Lock(segment, "gone")
    SharedDict(segment, "replaced")["is"] = "old"


def looks(segment: ManagedSharedMemory) -> str:
    """Which of the two states there is; nothing between them."""
    found = {"names": names(segment), "is": segment.find(SharedDict, "replaced")["is"]}  # type: ignore[index]
    states = {
        "before": {"names": ["gone", "replaced"], "is": "old"},
        "after": {"names": ["new", "replaced"], "is": "new"},
    }
    (state,) = [name for name, state in states.items() if state == found]
    return state


def stay(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment, segment.atomic():
        change(segment)
        test.sync("inside")


async def stay_async(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        async with segment.atomic():
            change(segment)
            await test.sync_async("inside")


def enter(test: Link, name: str) -> str:
    with ManagedSharedMemory.open(name) as segment:
        test.send("waiting")
        with segment.atomic():
            return looks(segment)


async def enter_async(test: Link, name: str) -> str:
    with ManagedSharedMemory.open(name) as segment:
        test.send("waiting")
        async with segment.atomic():
            return looks(segment)


# ------------------------------------------------------------------------------------------ who sees what


@pytest.mark.parametrize("role", [stay, stay_async])
def test_other_processes_see_it_when_it_has_ended(
    spawn: Spawn, segment: ManagedSharedMemory, role: Callable[..., Any]
) -> None:
    prepare(segment)
    peer = spawn(role, segment.name)
    assert peer.receive() == "inside"
    assert looks(segment) == "before"
    record = segment.atomic().statistics()
    assert (record.open, record.mine, record.owner_pid) == (True, False, peer.pid)
    for refused in (
        lambda: Lock(segment, "new"),
        lambda: segment.destroy(Lock, "gone"),
        segment.atomic_nowait().__enter__,
    ):
        with pytest.raises(WouldBlock):
            refused()
    assert segment.check_sanity()
    peer.go()
    peer.result()
    assert looks(segment) == "after"


@pytest.mark.parametrize("waiter", [enter, enter_async])
@pytest.mark.parametrize("ends", ["goes on", "is killed"])
def test_a_waiter_enters_when_the_owner_is_gone(
    spawn: Spawn, segment: ManagedSharedMemory, waiter: Callable[..., Any], ends: str
) -> None:
    prepare(segment)
    owner = spawn(stay, segment.name)
    assert owner.receive() == "inside"
    waiting = spawn(waiter, segment.name)
    assert waiting.receive() == "waiting"
    while segment.atomic().statistics().waiters == 0:
        os.sched_yield()
    if ends == "is killed":
        owner.kill()
    else:
        owner.go()
    assert waiting.result() == ("before" if ends == "is killed" else "after")
    assert segment.atomic().statistics().abandoned_count == (ends == "is killed")


def test_what_a_dead_owner_had_touched_is_free_again(spawn: Spawn, segment: ManagedSharedMemory) -> None:
    prepare(segment)
    free = segment.free_memory
    owner = spawn(stay, segment.name)
    assert owner.receive() == "inside"
    owner.kill()
    with segment.atomic_nowait():  # notices, and takes back first
        assert looks(segment) == "before"
    assert segment.check_sanity()
    assert segment.free_memory == free
    assert segment.destroy(Lock, "gone")
    Lock(segment, "new")


@pytest.mark.parametrize("change", ["construct", "find_or_construct", "destroy"])
def test_a_dead_owners_block_refuses_nobody(spawn: Spawn, segment: ManagedSharedMemory, change: str) -> None:
    prepare(segment)
    owner = spawn(stay, segment.name)
    assert owner.receive() == "inside"
    owner.kill()
    {
        "construct": lambda: segment.construct(Lock, "new"),
        "find_or_construct": lambda: Lock(segment, "new"),
        "destroy": lambda: segment.destroy(Lock, "gone"),
    }[change]()
    assert names(segment) == (["replaced"] if change == "destroy" else ["gone", "new", "replaced"])


def test_a_stopped_owner_keeps_its_block_and_nobody_else_up(
    spawn: Spawn, segment: ManagedSharedMemory
) -> None:
    prepare(segment)
    owner = spawn(stay, segment.name)
    assert owner.receive() == "inside"
    owner.stop()
    assert looks(segment) == "before"
    Lock(segment, "beside")
    assert segment.destroy(Lock, "beside")
    assert segment.check_sanity()
    with pytest.raises(WouldBlock), segment.atomic_nowait():
        pytest.fail("entered")
    owner.resume()
    owner.go()
    owner.result()
    assert looks(segment) == "after"


def wait_for_event(test: Link, name: str) -> str:
    with ManagedSharedMemory.open(name) as segment:
        event = Event(segment, "event")
        test.send("waiting")
        try:
            event.blocking.wait()
        except Exception as error:
            return type(error).__name__
        return "set"


def test_a_waiter_in_another_process_is_told_at_the_end(spawn: Spawn, segment: ManagedSharedMemory) -> None:
    event = Event(segment, "event")
    waiter = spawn(wait_for_event, segment.name)
    assert waiter.receive() == "waiting"
    while event.statistics().waiters == 0:
        os.sched_yield()
    with segment.atomic():
        segment.destroy(Event, "event")
        Event(segment, "event").set()
        assert event.statistics().waiters == 1
    assert waiter.result() == "ClosedError"


# ------------------------------------------------------------------------------------------ fork


def leave_in_child(test: Link, segment: ManagedSharedMemory, block: Any) -> list[Any]:
    seen: list[Any] = [looks(segment)]
    with pytest.raises(WouldBlock):
        Lock(segment, "new")
    try:
        block.__exit__(None, None, None)
    except NotOwnerError:
        seen.append("not mine")
    block.__exit__(KeyError, KeyError(), None)
    segment.close()
    return seen


def test_a_forked_child_is_not_in_it(segment: ManagedSharedMemory) -> None:
    prepare(segment)
    block = segment.atomic()
    with block:
        change(segment)
        with forked(leave_in_child, segment, block) as child:
            assert child.result() == ["before", "not mine"]
        assert segment.find(Lock, "gone") is None
    assert looks(segment) == "after"


# ------------------------------------------------------------------------------------------ many


async def move(test: Link, name: str, rounds: int) -> int:
    """Moves the one object from name to name, in blocks, and looks that it is the only one."""
    rng = random.Random(os.getpid())
    with ManagedSharedMemory.open(name) as segment:
        for _ in range(rounds):
            async with segment.atomic():
                (info,) = segment.named_objects(prefix="at ")
                assert info.name is not None
                segment.destroy(SharedDict, info.name)
                SharedDict(segment, f"at {rng.randrange(20)}")
                if rng.random() < 0.2:
                    with suppress(KeyError):
                        async with segment.atomic():
                            SharedDict(segment, "at never")
                            raise KeyError
    return rounds


async def move_for_ever(test: Link, name: str) -> None:
    await move(test, name, 1)
    test.send("moving")
    await move(test, name, sys.maxsize)


def test_processes_of_every_kind_exclude_each_other(spawn: Spawn, segment: ManagedSharedMemory) -> None:
    SharedDict(segment, "at first")
    peers = [spawn(move, segment.name, 40, loop=loop) for loop in LOOPS]
    with ManagedSharedMemory.open_read_only(segment.name) as reader:
        for _ in range(200):
            assert len(names(segment)) == 1
            assert reader.num_named_objects == 1
    assert [peer.result() for peer in peers] == [40] * len(peers)
    assert len(names(segment)) == 1


def test_processes_are_killed_in_their_blocks_and_there_is_always_one(
    spawn: Spawn, segment: ManagedSharedMemory
) -> None:
    """A process that moves the object is killed over and over, at whatever it does."""
    SharedDict(segment, "at first")
    rng = random.Random(7)
    for _ in range(12):
        peers = [spawn(move_for_ever, segment.name) for _ in range(2)]
        assert [peer.receive() for peer in peers] == ["moving"] * 2
        for _ in range(rng.randrange(1, 60)):
            assert len(names(segment)) == 1
        for peer in peers:
            peer.kill()
        assert len(names(segment)) == 1
        with segment.atomic():
            assert len(names(segment)) == 1
        assert segment.check_sanity()
