"""A SharedDict against a dict, driven from three processes, any of which may be killed between two steps.

The model: a dict and its order, the same for everybody; views show what was there when they were made, until
they are released or their process dies.  After every step the segment is sound; in the end memory is back.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from aioipc import MISSING, ManagedSharedMemory, SegmentFullError, SharedDict
from tests.support.forked import Forked, forked
from tests.support.machine import PROCESSES, SegmentMachine, explore, serve, who
from tests.support.peers import Link

Dict = SharedDict[Any, Any]

# Keys travel as numbers.  Few, so that they meet; some are equal to others (1, True, 1.0), some are long.
KEYS: list[Any] = [
    0, 1, True, 1.0, -0.0, "", "a", "名前", b"", b"a", None, (), (1, "a"), (1.0, "a"),
    2**64 - 1, -(2**63), 0.5,
    "k" * 300, ("t" * 1000, (None,)), *range(10, 40),
]  # fmt: skip
keys = st.integers(0, len(KEYS) - 1)
# Values as (seed, size): what they are is worked out on both sides.
sizes = st.integers(0, 50) | st.integers(51, 5000) | st.sampled_from([0, 31, 32, 255, 256, 65536, 100_000])
values = st.tuples(st.integers(0, 255), sizes)


def value_of(seed: int, size: int) -> Any:
    """A value of about that size; all kinds of types."""
    if size > 300:
        return bytes([seed]) * size
    return [seed, None, 0.5, "ä" * size][seed % 4] if size % 2 else {"n": seed, 1: [True] * (size // 2)}


def told(value: Any) -> Any:
    """How an answer travels: exactly, and short."""
    text = repr(value)
    return text if len(text) < 500 else [len(text), text[:50], text[-50:]]


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gave or raised, as it travels."""
    try:
        result = call()
    except KeyError as error:
        return ["KeyError", told(error.args)]
    except SegmentFullError:
        return ["full"]
    return told(result)


def operate(d: Any, operation: str, key: Any, value: Any) -> Any:
    """One operation on a SharedDict, or on the model."""
    return outcome(lambda: OPERATIONS[operation](d, key, value))


OPERATIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "get": lambda d, key, value: d.get(key, value),
    "[]": lambda d, key, value: d[key],
    "in": lambda d, key, value: key in d,
    "set": lambda d, key, value: d.__setitem__(key, value),
    "del": lambda d, key, value: d.__delitem__(key),
    "pop": lambda d, key, value: d.pop(key),
    "pop default": lambda d, key, value: d.pop(key, "default"),
    "popitem": lambda d, key, value: d.popitem(),
    "setdefault": lambda d, key, value: d.setdefault(key, value),
    "clear": lambda d, key, value: d.clear(),
    "items": lambda d, key, value: list(d.items()),
    "reversed": lambda d, key, value: list(reversed(d)),
}
SHARED_ONLY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "update_with": lambda d, key, value: d.update_with(key, lambda old: [old, 1] if old == 0 else value, 0),
    "drop": lambda d, key, value: d.update_with(key, lambda old: MISSING) is MISSING,
    "claim": lambda d, key, value: d.compare_and_set(key, MISSING, value),
    "swap": lambda d, key, value: d.compare_and_set(key, d.get(key, MISSING), value),
    "fail": lambda d, key, value: d.compare_and_set(key, "never", value),
    "many": lambda d, key, value: d.update((("many", i), value_of(i % 256, i % 40)) for i in range(200)),
    "fewer": lambda d, key, value: [d.pop(("many", i), None) for i in range(0, 200, 3)] and None,
}
OPERATIONS_OF_ALL = OPERATIONS | SHARED_ONLY


def modelled(model: dict[Any, Any], operation: str, key: Any, value: Any) -> Any:
    """What SHARED_ONLY does, to a dict."""
    there = key in model
    if operation == "update_with":
        model[key] = [model.get(key, 0), 1] if model.get(key, 0) == 0 else value
        return told(model[key])
    if operation == "drop":
        model.pop(key, None)
        return told(True)
    if operation in ("claim", "swap"):
        done = operation == "swap" or not there
        if done:
            model[key] = value
        return told(done)
    if operation == "fail":
        return told(False)
    return outcome(lambda: SHARED_ONLY[operation](model, key, value))


class Kept:
    """What a process has of the dict."""

    def __init__(self) -> None:
        self.dict: Dict | None = None
        self.views: list[Any] = []

    def of(self, segment: ManagedSharedMemory) -> Dict:
        if self.dict is None:
            self.dict = SharedDict(segment, "d")
        return self.dict


def answer(segment: ManagedSharedMemory, operation: str, key: int, value: list[int], kept: Kept) -> Any:
    act = OPERATIONS_OF_ALL[operation]
    return outcome(lambda: act(kept.of(segment), KEYS[key], value_of(*value)))


def view(segment: ManagedSharedMemory, key: int, kept: Kept) -> Any:
    return outcome(lambda: kept.views.append(kept.of(segment).view(KEYS[key])))


def look(segment: ManagedSharedMemory, kept: Kept) -> Any:
    """What the views show; they are released."""
    shown = [told(view.decode()) for view in kept.views]
    for view in kept.views:
        view.release()
    kept.views.clear()
    return shown


def worker(test: Link, name: str) -> None:
    serve(test, name, {"operate": answer, "view": view, "look": look}, Kept())


class DictMachine(SegmentMachine):
    role = worker

    def __init__(self) -> None:
        super().__init__()
        self.empty = self.segment.free_memory
        self.d: Dict = SharedDict(self.segment, "d")
        self.model: dict[Any, Any] = {}
        self.views: list[list[Any]] = [[] for _ in range(PROCESSES)]

    def start(self) -> Forked:  # type: ignore[override]  # a fork is there at once
        peer = forked(type(self).role, self.name)
        assert peer.receive() == "ready"
        return peer

    @rule(who=who, operation=st.sampled_from(sorted(OPERATIONS)), key=keys, value=values)
    def operate(self, who: int, operation: str, key: int, value: tuple[int, int]) -> None:
        said = self.ask(who, "operate", operation, key, value)
        if said == ["full"]:
            self.was_full(value[1])
        else:
            assert said == operate(self.model, operation, KEYS[key], value_of(*value))

    @rule(who=who, operation=st.sampled_from(sorted(SHARED_ONLY)), key=keys, value=values)
    def operate_as_shared(self, who: int, operation: str, key: int, value: tuple[int, int]) -> None:
        said = self.ask(who, "operate", operation, key, value)
        if said == ["full"] and operation == "many":
            self.model = self.d.copy()
        elif said == ["full"]:
            self.was_full(value[1])
        else:
            assert said == modelled(self.model, operation, KEYS[key], value_of(*value))

    def was_full(self, size: int) -> None:
        assert self.segment.largest_free_block < size + 70_000  # with room for a larger table

    @rule(who=who, key=keys)
    def look_at(self, who: int, key: int) -> None:
        said = self.ask(who, "view", key)
        assert said == outcome(lambda: self.model[KEYS[key]] and None)
        if said == told(None):
            self.views[who].append(told(self.model[KEYS[key]]))

    @rule(who=who)
    def look_again(self, who: int) -> None:
        assert self.ask(who, "look") == self.views[who]
        self.views[who] = []

    @rule(who=who)
    def kill(self, who: int) -> None:
        super().kill(who)
        self.views[who] = []

    @rule(who=who, key=keys, seed=st.integers(0, 99))
    def kill_in_the_middle(self, who: int, key: int, seed: int) -> None:
        """The operation was done wholly or not at all."""
        before = dict(self.model)
        self.workers[who].send(["operate", "set", key, (7, 3)])
        for _ in range(random.Random(seed).randrange(30)):
            self.d.get(KEYS[key])
        self.workers[who].discard()
        after = before | {KEYS[key]: value_of(7, 3)}
        assert list(self.d.items()) in (list(before.items()), list(after.items()))
        self.d[KEYS[key]] = value_of(7, 3)  # so that the next run of this example goes on in the same way
        self.model = after
        self.workers[who] = self.start()
        self.views[who] = []

    @invariant()
    def the_same_for_us(self) -> None:
        assert repr(list(self.d.items())) == repr(list(self.model.items()))
        assert len(self.d) == len(self.model)

    def clear_away(self) -> None:
        while self.model:
            assert repr(self.d.popitem()) == repr(self.model.popitem())
        self.segment.destroy(SharedDict, "d")
        del self.d

    def everything_given_back(self) -> None:
        assert self.segment.free_memory == self.empty


def test_shared_dict_agrees_with_a_dict(segment_name: str) -> None:
    explore(DictMachine, segment_name, examples=12, steps=40)


@pytest.mark.slow
def test_shared_dict_agrees_with_a_dict_for_long(segment_name: str) -> None:
    explore(DictMachine, segment_name, examples=100, steps=60)
