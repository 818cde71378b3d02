"""Atomic numbers between processes: nothing is lost, nothing is done twice."""

import os
from collections.abc import Callable

from aioipc import AtomicFlag, AtomicInt64, ManagedSharedMemory, Struct
from tests.support.peers import Link, Peer

Spawn = Callable[..., Peer]
ROUNDS = 20_000


class Tick(Struct):
    hits: AtomicInt64


def adding(test: Link, name: str) -> int:
    with ManagedSharedMemory.open(name) as segment:
        tick, hits, first = Tick(segment, "tick"), AtomicInt64(segment, "hits"), AtomicFlag(segment, "first")
        test.sync("ready")
        for _ in range(ROUNDS):
            hits.add()
            tick.hits.fetch_sub(2)
            while not tick.hits.compare_exchange(before := tick.hits.load(), before + 1):
                pass
        return int(not first.test_and_set())


def test_no_addition_of_several_processes_is_lost(spawn: Spawn, segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        tick, hits = Tick(segment, "tick"), AtomicInt64(segment, "hits")
        peers = [spawn(adding, segment_name) for _ in range(3)]
        for peer in peers:
            assert peer.receive() == "ready"
        for peer in peers:
            peer.go()
        assert sum(peer.result() for peer in peers) == 1
        assert (hits.load(), tick.hits.load()) == (3 * ROUNDS, -3 * ROUNDS)


def test_a_forked_child_goes_on_with_its_handles(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, 1 << 20) as segment:
        hits, field = AtomicInt64(segment, "hits"), Tick(segment, "tick").hits
        if (pid := os.fork()) == 0:
            try:
                hits.add(7)
                field.sub(2)
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert (hits.load(), field.load()) == (7, -2)
