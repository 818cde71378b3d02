"""Views end as they should: released, outlived by what was taken from them, stopped by damage."""

import gc
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from aioipc import ClosedError, CorruptSegmentError, View
from aioipc._native._msgpack import packb

RECORD = {"name": "Ann", "scores": [1, 2, 3], "photo": b"\x00jpg", 7: None}


def view(value: Any) -> View:
    return View.of(packb(value))


def test_after_release_a_view_is_closed() -> None:
    with view(RECORD) as v:
        walk, keys, items = iter(v), v.keys(), v.items()
        next(walk)
    uses: list[Any] = [
        lambda: v["name"], lambda: len(v), lambda: iter(v), lambda: v.decode(), lambda: v.raw,
        lambda: v == 1, lambda: v.kind, lambda: "a" in v, lambda: v.get("a"), lambda: bool(v),
        lambda: int(v), lambda: float(v), lambda: v.keys(), lambda: next(walk), lambda: list(keys),
        lambda: list(items), lambda: memoryview(v), lambda: v.__enter__(), lambda: v.index(1),
        lambda: reversed(v), lambda: bytes(v),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(ClosedError, match="released"):
            use()
    assert repr(v) == str(v) == "<aioipc.View released>"
    v.release()


def test_a_finished_iterator_stays_finished_after_release() -> None:
    v = view([1])
    walk = iter(v)
    assert list(walk) == [1]
    v.release()
    assert list(walk) == []


TAKEN: dict[str, Callable[[View], Any]] = {
    "a view": lambda v: v["list"],
    "bytes": lambda v: v["photo"],
    "bytes from a loop": lambda v: next(part for part in v.values() if isinstance(part, memoryview)),
    "raw": lambda v: v["list"].raw,
    "a buffer": lambda v: memoryview(View.of(v.raw)["photo"]),
    "an iterator": lambda v: iter(v["list"]),
}


@pytest.mark.parametrize("take", TAKEN.values(), ids=TAKEN.keys())
def test_what_was_taken_from_a_view_outlives_it(take: Callable[[View], Any]) -> None:
    memory = bytearray(packb({"list": [1, [2]], "photo": b"abc"}))
    v = View.of(memory)
    taken = take(v)
    v.release()
    del v
    gc.collect()
    if isinstance(taken, memoryview):
        assert bytes(taken) in (b"abc", packb([1, [2]]))
    else:
        assert list(taken)[1][0] == 2
    with pytest.raises(BufferError):
        memory.append(1)  # refused while somebody holds it
    del taken
    memory.append(1)


def test_a_buffer_outlives_the_release_of_its_view() -> None:
    memory = bytearray(packb(b"abc"))
    v = View.of(memory)
    buffer = memoryview(v)
    v.release()
    with pytest.raises(BufferError):
        memory.append(1)
    assert buffer == b"abc"
    buffer.release()
    memory.append(1)


def refuses(kinds: Any, *uses: Callable[[], Any]) -> None:
    for use in uses:
        with pytest.raises(kinds):
            use()


def use_well_and_badly(memory: bytearray) -> None:
    v = View.of(memory)
    scores, photo = v["scores"], v["photo"]
    assert [*scores[::-1], *reversed(scores), *photo[1:]]
    assert [*v, *v.items(), v.raw, v.decode(), repr(v)]
    assert v == RECORD
    assert "name" in v
    assert v.keys() & {7}
    assert scores.index(2)
    refuses(KeyError, lambda: v["no"])
    refuses(IndexError, lambda: scores[9])
    refuses(TypeError, lambda: v[[]], lambda: v.index(1), lambda: memoryview(v), lambda: int(scores))
    unfinished = iter(scores)
    next(unfinished)
    v.release()


def use_damaged(damaged: bytearray) -> None:
    v = View.of(damaged)
    refuses(CorruptSegmentError, lambda: v[2], lambda: list(v), v.decode, lambda: v.raw, lambda: v[-1])
    refuses(CorruptSegmentError, lambda: View.of(memoryview(damaged)[:0]))


def test_no_way_to_use_a_view_keeps_its_memory() -> None:
    memory = bytearray(packb(RECORD))
    damaged = bytearray(b"\x93\xc1\xc4\x01a\xa1x")
    before = sys.getrefcount(memory), sys.getrefcount(damaged)
    for _ in range(3):
        use_well_and_badly(memory)
        use_damaged(damaged)
    gc.collect()
    assert (sys.getrefcount(memory), sys.getrefcount(damaged)) == before
    memory.append(0)  # which an exported buffer would refuse
    damaged.append(0)


def test_a_view_released_in_the_middle_of_an_operation_ends_it_without_harm() -> None:
    memory = bytearray(packb([[1], [2], [3]] * 50))

    class Releases:
        def __eq__(self, other: object) -> bool:
            v.release()
            gc.collect()
            return False

        def __index__(self) -> int:
            v.release()
            return 1

        def __hash__(self) -> int:
            v.release()
            return 1

    uses: list[Any] = [
        lambda v: Releases() in v,
        lambda v: v.count(Releases()),
        lambda v: v.index(Releases()),
        lambda v: v[Releases()],
    ]
    for use in uses:
        v = View.of(memory)
        with pytest.raises(ClosedError):
            use(v)
    v = View.of(memory)
    assert v != Releases()
    v = view({"a": 1})
    assert v.get(Releases()) is None
    memory.append(0)


def test_a_cycle_through_a_views_memory_is_collected() -> None:
    memory = bytearray(packb({"photo": b"abc"}))

    class Node:
        pass

    node = Node()
    node.view, node.photo, node.walk, node.self = (  # type: ignore[attr-defined]
        View.of(memory),
        View.of(memory)["photo"],
        iter(View.of(memory)),
        node,
    )
    del node
    gc.collect()
    memory.append(0)


# ---------------------------------------------------------------------------------------------- company


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run_threads(*bodies: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("hasty_threads")
def test_threads_share_a_view() -> None:
    pairs, numbers = view({f"k{i}": [i] for i in range(100)}), view(list(range(500)))
    wrong: list[int] = []

    def look(seed: int) -> None:
        for i in random.Random(seed).sample(range(-500, 500), 1000):
            if pairs[f"k{i % 100}"] != [i % 100] or numbers[i] != i % 500:
                wrong.append(i)

    run_threads(*(partial(look, seed) for seed in range(4)))
    assert wrong == []


@pytest.mark.usefixtures("hasty_threads")
def test_threads_share_an_iterator() -> None:
    walk, seen = iter(view(list(range(5000)))), []
    run_threads(*[lambda: seen.extend(walk)] * 4)
    assert sorted(seen) == list(range(5000))


class Releases:
    """Releases a view when it is collected, which only the garbage collector does."""

    def __init__(self, v: View) -> None:
        self.view, self.itself = v, self

    def __del__(self) -> None:
        self.view.release()


def test_a_collection_in_the_middle_of_a_loop_may_release_the_view() -> None:
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    ended = 0
    try:
        for n in range(30):
            v = View.of(bytearray(packb({i: [[i], b"x" * i] for i in range(30)})))
            with suppress(ClosedError):
                for key, part in v.items():
                    if key == n:
                        Releases(v)
                    assert bytes(part[1]) == b"x" * key
                    assert v[key][0] == [key]
                continue
            ended += 1
    finally:
        gc.set_threshold(*thresholds)
    assert ended > 0


# ---------------------------------------------------------------------------------------------- damage


def test_damage_is_found_when_it_is_reached() -> None:
    v = View.of(b"\x93\x01\xc1\x02")
    assert v[0] == 1
    for reach in (
        lambda: v[1],
        lambda: v[2],
        lambda: v.decode(),
        lambda: list(v),
        lambda: v.raw,
        lambda: 9 in v,
    ):
        with pytest.raises(CorruptSegmentError):
            reach()
    assert len(v) == 3


def test_a_walk_over_damage_can_be_asked_again() -> None:
    walk = iter(View.of(b"\x92\x01\xc1"))
    assert next(walk) == 1
    for _ in range(2):
        with pytest.raises(CorruptSegmentError):
            next(walk)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\xa5abc", b"\x01\x02", b"\xdd\xff\xff\xff\xff"], ids=repr)
def test_no_view_is_made_of_what_begins_no_value(data: bytes) -> None:
    with pytest.raises(CorruptSegmentError):
        View.of(data)


def test_bytes_behind_a_value_are_found_when_the_end_is_known() -> None:
    v = View.of(b"\x91\x01\x02")
    assert list(v) == [1]
    for whole in (v.decode, lambda: v.raw, lambda: v == [1]):
        with pytest.raises(CorruptSegmentError, match=r"1 byte\(s\) follow"):
            whole()


def test_nesting_without_end_is_walked_over_but_not_decoded() -> None:
    v = View.of(b"\x92" + b"\x91" * 100_000 + b"\x01\x05")
    assert v[1] == 5
    assert len(v.raw) == 100_003
    with pytest.raises(CorruptSegmentError, match="nested deeper"):
        v.decode()
    with pytest.raises(CorruptSegmentError, match="nested deeper"):
        v == [[], 5]  # noqa: B015
