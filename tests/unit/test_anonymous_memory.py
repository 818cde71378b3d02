"""Segments without a name: descriptors that are inherited, sent and pickled."""

import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from aioipc import IncompatibleSegmentError, Lock, ManagedAnonymousMemory, Queue, SharedDict
from tests.support.sources import ROOT

SIZE = 1 << 20


@pytest.fixture
def segment() -> Iterator[ManagedAnonymousMemory]:
    with ManagedAnonymousMemory.create(SIZE, name="shop") as segment:
        yield segment


def test_it_has_a_name_for_people_and_no_place_in_dev_shm(segment: ManagedAnonymousMemory) -> None:
    assert segment.name == "shop"
    assert os.readlink(f"/proc/self/fd/{segment.fileno()}").startswith("/memfd:shop")
    with ManagedAnonymousMemory.from_fd(segment.fileno()) as again:
        assert again.name == "shop"


def test_the_callers_descriptor_stays_the_callers(segment: ManagedAnonymousMemory) -> None:
    fd = os.dup(segment.fileno())
    again = ManagedAnonymousMemory.from_fd(fd)
    os.close(fd)
    assert SharedDict(again, "d").setdefault("k", 1) == 1
    again.close()


def test_it_lives_as_long_as_a_descriptor_of_it() -> None:
    with ManagedAnonymousMemory.create(SIZE) as segment:
        SharedDict(segment, "d")["k"] = 1
        identity, fd = segment.uuid, os.dup(segment.fileno())
    with ManagedAnonymousMemory.from_fd(fd) as segment:
        assert (segment.uuid, SharedDict(segment, "d")["k"]) == (identity, 1)
    os.close(fd)


def test_nobody_can_cut_it_short(segment: ManagedAnonymousMemory) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(segment.fileno(), 4096)
    with (
        ManagedAnonymousMemory.open_copy_on_write(segment.fileno()) as copy,
        pytest.raises(PermissionError),
    ):
        os.ftruncate(copy.fileno(), 4096)


def test_its_descriptor_is_not_inherited_by_accident(segment: ManagedAnonymousMemory) -> None:
    assert not os.get_inheritable(segment.fileno())


def test_a_descriptor_of_something_else_is_refused() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(IncompatibleSegmentError):
            ManagedAnonymousMemory.from_fd(read)
    finally:
        os.close(read)
        os.close(write)


CHILD = """
import sys
from aioipc import ManagedAnonymousMemory, Queue
with ManagedAnonymousMemory.from_fd(int(sys.argv[1])) as segment:
    Queue(segment, "q").blocking.put("from the child")
"""


def test_a_child_that_inherits_the_descriptor_opens_it(segment: ManagedAnonymousMemory) -> None:
    fd = segment.fileno()
    subprocess.run([sys.executable, "-c", CHILD, str(fd)], cwd=ROOT, pass_fds=[fd], check=True)
    assert Queue(segment, "q").get_nowait() == "from the child"


RECEIVER = """
import socket, sys
from aioipc import ManagedAnonymousMemory, Queue
sock = socket.socket(fileno=int(sys.argv[1]))
_, (fd,), _, _ = socket.recv_fds(sock, 1, 1)
with ManagedAnonymousMemory.from_fd(fd) as segment:
    Queue(segment, "q").blocking.put("from a stranger")
"""


def test_a_stranger_that_was_sent_the_descriptor_opens_it(segment: ManagedAnonymousMemory) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", RECEIVER, str(theirs.fileno())]
        with subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()]) as process:
            socket.send_fds(ours, [b"x"], [segment.fileno()])
            assert process.wait() == 0
    assert Queue(segment, "q").get_nowait() == "from a stranger"


def use(segment: ManagedAnonymousMemory, shared: SharedDict) -> None:
    with Lock(segment, "l").blocking:
        shared["sum"] = shared.get("sum", 0) + len(segment.participants())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_travels_as_an_argument_of_a_process(segment: ManagedAnonymousMemory, method: str) -> None:
    shared = SharedDict(segment, "d")
    context = multiprocessing.get_context(method)
    process = context.Process(target=use, args=(segment, shared))
    process.start()
    process.join()
    assert (process.exitcode, shared["sum"]) == (0, 2)


def answer(connection: Connection) -> None:
    segment = connection.recv()
    Queue(segment, "q").blocking.put("through a pipe")


def test_it_travels_through_pipes(segment: ManagedAnonymousMemory) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    try:
        ours.send(segment)
        assert Queue(segment, "q").blocking.get(timeout=60) == "through a pipe"
        process.join()
        assert process.exitcode == 0
    finally:
        from multiprocessing import resource_sharer

        resource_sharer.stop()
        ours.close()
        theirs.close()


def test_other_pickles_say_what_to_do(segment: ManagedAnonymousMemory) -> None:
    with pytest.raises(TypeError, match="send_fds"):
        pickle.dumps(segment)
