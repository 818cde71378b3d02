"""Random damage to the metadata of a segment in which everything is, and what becomes of it.

    python -m tests.support.corruption --trials 3000

A trial: the bytes of a segment, one corruption, then, in a process of its own, open(), check_sanity(), and
every operation there is.  The address space goes on behind the segment's end: a look beyond it is a SIGBUS.

    refused    open() or the check itself said that the segment is damaged
    found      check_sanity() reported it
    harmless   not found; every operation did what it does on the sound segment, and left it sound
    misled     not found; an operation answered something else, without an error
    tripped    not found; an operation raised CorruptSegmentError, or the check found something after it
    crashed    a signal;  hung: no end within 30 seconds
"""

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

import aioipc
from aioipc import (
    Array,
    AtomicInt64,
    Barrier,
    BufferIO,
    CapacityLimiter,
    Condition,
    CorruptSegmentError,
    Event,
    IPCError,
    Leader,
    Lock,
    ManagedMappedFile,
    OffsetPtr,
    Once,
    PeerStalledError,
    Queue,
    RLock,
    RWLock,
    Semaphore,
    SharedDict,
    Struct,
    VectorIO,
    _names,
    unique_instance,
)
from aioipc._native import _core

SIZE, BEYOND, PARTICIPANTS, LONGEST = 256 << 10, 1 << 20, 3, 30
FILLER = b"\xa5" * 8
"""What payloads consist of: any bytes are right there, so words with any of it are left alone."""
NO_METADATA = "blocks of users, free memory"
KINDS = ("bit", "byte", "zero", "random", "swapped", "copied", "near")


class Sample(Struct):
    number: aioipc.uint64
    other: aioipc.uint64[3]
    to: OffsetPtr[Any]


# --------------------------------------------------------------------------------- a rich segment


def fill(segment: Any) -> list[int]:
    """Puts everything into a segment; the handles of its blocks."""
    handles = [segment.allocate(16 + 40 * n).handle for n in range(60)]
    for handle in handles:
        memoryview(segment.block(handle))[:] = (FILLER * 400)[: segment.block(handle).size]
    for handle in handles[::3]:
        segment.deallocate(segment.block(handle))
    large = segment.allocate(30000)
    segment.deallocate(large)
    segment.trim()
    for n in range(40):
        Event(segment, f"event {n}")
    for n in range(0, 40, 2):
        segment.destroy(Event, f"event {n}")
    fill_containers(segment)
    for cls, name, arguments in PRIMITIVES:
        cls(segment, name, *arguments)
    Condition(segment, "condition", Lock(segment, "lock"))
    Lock(segment, unique_instance)
    return [handle for n, handle in enumerate(handles) if n % 3]


PRIMITIVES: list[tuple[Any, str, tuple[Any, ...]]] = [
    (Lock, "lock", ()),
    (RLock, "rlock", ()),
    (RWLock, "rwlock", ()),
    (Semaphore, "semaphore", (3,)),
    (CapacityLimiter, "limiter", (3,)),
    (Barrier, "barrier", (2,)),
    (Event, "event", ()),
    (Leader, "leader", ()),
    (Once, "once", ()),
    (AtomicInt64, "atomic", ()),
]
KEYS = [f"key {n}" for n in range(60)]


def fill_containers(segment: Any) -> None:
    shared = SharedDict(segment, "dict")
    for n, key in enumerate(KEYS):
        shared[key] = FILLER * (n % 5 + 1)
    for key in KEYS[::4]:
        del shared[key]
    queue = Queue(segment, "queue", codec="raw")
    for n in range(30):
        queue.put_nowait(FILLER * (n % 7 + (600 if n == 20 else 0)))
    for _ in range(5):
        queue.get_nowait()
        queue.task_done()
    number = int.from_bytes(FILLER, "little")
    sample = Sample(segment, "struct", number=number, other=[number] * 3)
    sample.to = sample
    Array(segment, "array", "u8", (4, 5)).fill(number)
    VectorIO(segment, "vector").write(FILLER * 700)
    BufferIO(segment, "buffer", 800).write(FILLER * 60)


def hold_until_killed(path: str, ready: int) -> None:
    """What a process has in the middle of its work: locks, leases, a place in a queue, handles, views."""
    segment = ManagedMappedFile.open(path)
    held = [segment.find(cls, name) for cls, name, _ in PRIMITIVES if cls in (Lock, RLock, Leader)]
    for one in held:
        one.blocking.campaign() if isinstance(one, Leader) else one.blocking.acquire()
    segment.find(RWLock, "rwlock").blocking.read().__enter__()
    segment.find(CapacityLimiter, "limiter").blocking.acquire()
    queue = segment.find(Queue, "queue")
    queue.blocking.lease().__enter__()
    queue.get_nowait()
    view = SharedDict(segment, "dict").view(KEYS[3])
    memoryview(segment.allocate(80, owned=True))[:] = FILLER * 10
    lock = segment.find(Lock, unique_instance)
    lock.blocking.acquire()
    for _ in range(2):
        threading.Thread(target=Lock(segment, unique_instance).blocking.acquire, daemon=True).start()
    while lock.statistics().waiters < 2:
        os.sched_yield()
    os.write(ready, b"x")
    signal.pause()
    del view


@dataclass
class Image:
    """The bytes of a segment that everybody has left, or whose last process was killed."""

    path: str
    content: bytes
    handles: list[int]
    words: dict[str, list[int]] = field(default_factory=dict)  # offsets that may be damaged, by area

    @classmethod
    def make(cls, path: Path, killed: bool) -> "Image":
        index: Any = "ordered" if killed else "hash"
        largest = SIZE + BEYOND
        with ManagedMappedFile.create(
            path, SIZE, max_size=largest, participants=PARTICIPANTS, index=index
        ) as segment:
            handles = fill(segment)
        with ManagedMappedFile.open(path) as segment:  # what its maker had has been given back
            words = cls._areas(segment)
        if killed:
            _kill_a_holder(str(path))
        os.link(path, f"{path}.kept")
        return cls(str(path), path.read_bytes(), handles, words)

    @classmethod
    def _areas(cls, segment: Any) -> dict[str, list[int]]:
        content = Path(segment.name).read_bytes()
        words: dict[str, list[int]] = {}
        for first in range(0, SIZE, 512):
            offsets = list(range(first, first + 512, 8))
            for offset, (area, _, block, size, flags, there) in zip(
                offsets, _core.where(segment._attachment, offsets), strict=True
            ):
                if FILLER[:1] in content[offset : offset + 8]:
                    continue
                words.setdefault(_area(area, offset - block, size, flags, there), []).append(offset)
        for name in ("heap", "catalog", "waits"):  # begin with a domain, whose log is empty
            first = words[name][0]
            words[name] = [offset for offset in words[name] if not 64 <= offset - first < 1088]
        return words


def _area(area: str, within: int, size: int, flags: int, there: Any) -> str:
    if area != "block":
        return area or NO_METADATA
    if within == -8:
        return "block headers"
    if not flags & 1:
        return "links of free blocks" if within >= size - 24 else NO_METADATA
    if there is not None:
        return "objects"
    return {0: NO_METADATA, 4: "names and holdings", 8: NO_METADATA, 12: "parts"}[flags & 12]


def _kill_a_holder(path: str) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            hold_until_killed(path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# -------------------------------------------------------------------------------------- the damage


def damage(image: Image, chance: random.Random) -> tuple[str, str, bytes, int]:
    """(area, kind, bytes, offset) of one corruption that changes something."""
    while True:
        area = chance.choice([name for name in sorted(image.words) if name != NO_METADATA])
        kind, at = chance.choice(KINDS), chance.choice(image.words[area])
        changed = bytearray(image.content)
        _change(changed, image, kind, at, chance)
        if changed != image.content:
            return area, kind, bytes(changed), at


def _change(changed: bytearray, image: Image, kind: str, at: int, chance: random.Random) -> None:
    word = int.from_bytes(changed[at : at + 8], "little")
    other = chance.choice(image.words[chance.choice(sorted(image.words))])
    if kind == "bit":
        word ^= 1 << chance.randrange(64)
    elif kind == "byte":
        word ^= chance.randrange(1, 256) << 8 * chance.randrange(8)
    elif kind == "zero":
        word = 0
    elif kind == "random":
        word = chance.getrandbits(64)
    elif kind == "near":
        word = (word + chance.choice((-16, -8, -1, 1, 8, 16))) % (1 << 64)
    else:
        if kind == "swapped":
            changed[other : other + 8], word = (
                changed[at : at + 8],
                int.from_bytes(changed[other : other + 8], "little"),
            )
        else:
            word = int.from_bytes(changed[other : other + 8], "little")
    changed[at : at + 8] = word.to_bytes(8, "little")


# ---------------------------------------------------------------------------------- the operations


def operations(segment: Any, handles: list[int]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that can be done with it, and what of the answers has nothing to do with payloads."""
    yield "participants", lambda: len(segment.participants())
    yield (
        "objects",
        lambda: sorted((kind, name, number) for kind, name, number, *_ in segment._attachment.objects()),
    )
    yield "holders", lambda: segment.holders() and None
    yield "names", lambda: [one.name for one in segment.named_objects()]
    yield "trim", lambda: segment.trim() and None
    yield "statistics", lambda: (segment.free_memory, segment.largest_free_block)
    for name in (f"event {n}" for n in range(0, 40, 7)):
        yield name, lambda name=name: segment.find(Event, name) is not None
    yield from of_dict(lambda: segment.find(SharedDict, "dict"))
    yield from of_queue(lambda: segment.find(Queue, "queue"))
    yield from of_primitives(segment)
    yield from of_values(segment)
    yield "blocks", lambda: [segment.block(handle).size for handle in handles]
    yield "construct", lambda: [Event(segment, f"new {n}") and None for n in range(60)]
    yield "destroy", lambda: [segment.destroy(Event, f"new {n}") for n in range(60)]
    yield "deallocate", lambda: [segment.deallocate(segment.block(handle)) for handle in handles]
    yield "allocate", lambda: [segment.allocate(n * 97).size for n in range(40)]
    yield "fill", lambda: sum(1 for _ in iter(lambda: segment.try_allocate(2000), None))
    yield "free memory", lambda: segment.free_memory
    yield "grow", lambda: (segment.grow(8192), segment.allocate(5000).size)


def of_dict(find: Callable[[], Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "dict read", lambda: [key in find() for key in KEYS]
    yield "dict list", lambda: (len(find()), list(find()), list(reversed(find())))
    yield "dict get", lambda: [find()[key] and None for key in find()]
    yield "dict write", lambda: [find().__setitem__(f"new {n}", n) for n in range(100)]
    yield "dict delete", lambda: [find().pop(key, 0) is None for key in KEYS]
    yield "dict left", lambda: (len(find()), list(find()))
    yield "dict clear", lambda: (find().clear(), len(find()))


def of_queue(find: Callable[[], Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "queue", lambda: find().qsize()
    yield "queue get", lambda: [len(find().get_nowait()) for _ in range(8)]
    yield "queue put", lambda: [find().put_nowait(FILLER * (n * 9)) for n in range(40)]
    yield "queue done", lambda: [find().task_done() for _ in range(8)]
    yield "queue lease", lambda: find().blocking.lease(timeout=0).__enter__() and None
    yield "queue empty", lambda: [len(find().get_nowait()) for _ in range(find().qsize())]


def of_primitives(segment: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Who holds them is a value like others: the answers are not compared, only that there is one."""
    for cls, name, _ in PRIMITIVES:

        def use(cls: Any = cls, name: str = name) -> None:
            one = segment.find(cls, name)
            with contextlib.suppress(*ANSWERS):
                if cls is RWLock:
                    with one.blocking.read(timeout=0):
                        pass
                elif cls is Event:
                    one.set(), one.clear()
                elif cls is Barrier:
                    one.statistics(), one.blocking.wait(timeout=0)
                elif cls is AtomicInt64:
                    one.add(1)
                elif cls in (Leader, Once):
                    one.statistics()
                else:
                    one.acquire_nowait(), one.release()

        yield name, use
    yield "condition", lambda: segment.find(Condition, "condition").statistics() and None
    yield "unique", lambda: segment.find(Lock, unique_instance).statistics() and None


def of_values(segment: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "struct", lambda: len(segment.find(Sample, "struct").other.tolist())
    yield "pointer", lambda: followed(segment)
    yield "array", lambda: len(segment.find(Array, "array").tolist())
    yield "vector", lambda: segment.find(VectorIO, "vector").getvalue() and None
    yield "vector write", lambda: segment.find(VectorIO, "vector").write(bytes(9000))
    yield "buffer", lambda: segment.find(BufferIO, "buffer").getvalue() and None
    for cls, name in ((SharedDict, "dict"), (Queue, "queue"), (VectorIO, "vector"), (Sample, "struct")):
        yield f"find {name}", lambda cls=cls, name=name: segment.find(cls, name) is not None


def followed(segment: Any) -> None:
    """A pointer is a value like others: it may lead to something, or to nothing any more."""
    with contextlib.suppress(aioipc.NotFoundError):
        segment.find(Sample, "struct").to.get()


# What an operation may say of a primitive in any state.
ANSWERS = (
    aioipc.WouldBlock,
    aioipc.NotOwnerError,
    aioipc.ClosedError,
    aioipc.BrokenBarrierError,
    aioipc.OptionMismatchError,
    TimeoutError,
    ValueError,
)


def outcome(image: Image) -> tuple[str, str]:
    """What becomes of the bytes that are in the file now, and how that shows."""
    try:
        segment = ManagedMappedFile.open(image.path)
    except (
        CorruptSegmentError,
        PeerStalledError,
        IPCError,
    ) as error:
        return "refused", str(error)
    try:
        report = segment.check_sanity()
    except IPCError as error:
        return "refused", str(error)
    if not report:
        for _, use in operations(segment, image.handles):
            with contextlib.suppress(Exception):
                use()
        with contextlib.suppress(IPCError):
            segment.check_sanity()
        return "found", report.findings[0].what
    return _unfound(segment, image)


def _unfound(segment: Any, image: Image) -> tuple[str, str]:
    answers: list[Any] = []
    for name, use in operations(segment, image.handles):
        try:
            answers.append([name, use()])
        except (CorruptSegmentError, PeerStalledError) as error:
            return "tripped", f"{name}: {error}"
        except Exception as error:
            answers.append([name, type(error).__name__])
    report = segment.check_sanity()
    if not report:
        return "tripped", f"afterwards: {report.findings[0].what}"
    return "harmless", json.dumps(answers, default=str)


# ------------------------------------------------------------------------------------------- trials


def trial(image: Image, content: bytes) -> tuple[str, str]:
    """In a process of its own."""
    if not os.path.exists(image.path):  # a damaged flag said that it goes with its last user
        os.link(f"{image.path}.kept", image.path)
    with open(image.path, "r+b") as file:
        file.write(content)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.alarm(LONGEST)
        with open(os.devnull, "w") as nothing:
            sys.stderr = sys.stdout = nothing
            try:
                said = json.dumps(outcome(image)).encode()
            except BaseException as error:  # a test's own mistake, or memory that a damaged number asked for
                said = json.dumps(("crashed", repr(error))).encode()
            with open(writing, "wb") as pipe:
                pipe.write(said)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGALRM:
        return "hung", ""
    if status != 0 or not said:
        return "crashed", f"exit status {status}"
    what, words = json.loads(said)
    return str(what), str(words)


@dataclass
class Tally:
    """What became of all trials."""

    by_area: dict[str, Counter[str]] = field(default_factory=dict)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def add(self, area: str, kind: str, what: str, words: str) -> None:
        self.by_area.setdefault(area, Counter())[what] += 1
        self.by_kind.setdefault(kind, Counter())[what] += 1
        if what not in ("refused", "found", "harmless"):
            self.bad.append(f"{what}: {area}, {kind}: {words[:300]}")

    @property
    def total(self) -> Counter[str]:
        return sum(self.by_area.values(), Counter())


def run(trials: int, seed: int, folder: Path, killed: bool) -> Tally:
    """So many corruptions of one image."""
    before = {*_names.SHM.iterdir()}
    try:
        return _run(trials, random.Random(seed), folder, killed)
    finally:  # bells of segments that a damaged uuid made others
        for left in {*_names.SHM.glob(f"{_names.RESERVED}*")} - before:
            with contextlib.suppress(OSError):
                _names._remove_bells(left)


def _run(trials: int, chance: random.Random, folder: Path, killed: bool) -> Tally:
    tally = Tally()
    image = Image.make(folder / f"{'killed' if killed else 'closed'}.segment", killed)
    sound, expected = trial(image, image.content)
    assert sound == "harmless", expected
    for number in range(trials):
        area, kind, content, at = damage(image, chance)
        what, words = trial(image, content)
        if what == "harmless" and words != expected:
            differ = [(a, b) for a, b in zip(json.loads(expected), json.loads(words), strict=True) if a != b]
            what, words = "misled", str(differ)
        tally.add(area, kind, what, f"trial {number}, offset {at:#x}: {words}")
    return tally


COLUMNS = ("refused", "found", "harmless", "misled", "tripped", "crashed", "hung")


def table(rows: dict[str, Counter[str]], title: str) -> str:
    """As the docs have it."""
    lines = [f"| {title} | injected | {' | '.join(COLUMNS)} |", "|---" + "|---:" * (len(COLUMNS) + 1) + "|"]
    for name, counts in sorted(rows.items()):
        lines.append(
            f"| {name} | {counts.total()} | {' | '.join(str(counts[column]) for column in COLUMNS)} |"
        )
    return "\n".join(lines)


@click.command()
@click.option("--trials", default=3000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--verbose", is_flag=True, help="Print those that an operation could trip over.")
def main(trials: int, seed: int, verbose: bool) -> None:
    """Half of them in a segment that everybody has left, half in one whose last process was killed."""
    with tempfile.TemporaryDirectory() as folder:
        for killed in (False, True):
            tally = run(trials // 2, seed + killed, Path(folder), killed)
            click.echo(f"\n{'the last process was killed' if killed else 'closed in good order'}\n")
            click.echo(table(tally.by_area | {"**all**": tally.total}, "where"))
            click.echo("\n" + table(tally.by_kind, "how"))
            if verbose:
                click.echo("\n".join(tally.bad))


if __name__ == "__main__":
    main()
