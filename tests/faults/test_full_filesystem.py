"""A filesystem that is full: what needs more of it is refused, nobody gets SIGBUS, and all goes on.

Each test runs in an interpreter of its own, in a mount namespace whose /dev/shm has a few MiB.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.sources import ROOT

UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-m", "sh", "-c"]
MOUNT = "mount -t tmpfs -o size=16m tmpfs /dev/shm"

PRELUDE = """
import json, os, sys
from aioipc import *
MIB = 1 << 20
def fill_up():
    with open("/dev/shm/filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
def refused(act, *arguments):
    try:
        act(*arguments)
    except SegmentFullError as error:
        return str(error)
    raise AssertionError("it had room")
def fill(segment, size):
    block = segment.allocate(size)
    with memoryview(block) as view:
        view[:] = b"x" * size
    return block
"""


def run(program: str) -> Any:
    """What the program prints, as JSON."""
    if subprocess.run([*UNSHARE, MOUNT], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a small tmpfs")
    command = [*UNSHARE, f'{MOUNT} && exec "$@"', "sh", sys.executable, "-c", PRELUDE + program]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_growing_past_the_filesystem_changes_nothing() -> None:
    before, after, message, largest = run("""
with ManagedSharedMemory.create("s", 4 * MIB, max_size=64 * MIB) as segment:
    blocks = lambda: os.stat("/dev/shm/s").st_blocks
    before = [segment.size, segment.free_memory, blocks()]
    message = refused(segment.grow, 20 * MIB)
    after = [segment.size, segment.free_memory, blocks()]
    fill(segment, segment.largest_free_block)
    segment.grow(8 * MIB)
    largest = fill(segment, segment.largest_free_block).size
    assert segment.check_sanity()
    print(json.dumps([before, after, message, largest]))
""")
    assert before == after
    assert "no room" in message
    assert "nothing has changed" in message
    assert largest > 7 << 20


def test_trimmed_memory_that_is_not_there_any_more_is_an_error_and_no_signal() -> None:
    messages, kept = run("""
with ManagedSharedMemory.create("s", 12 * MIB) as segment:
    shared = SharedDict(segment, "d")
    shared["k"] = "kept"
    block = fill(segment, 4 * MIB)
    handle = block.handle
    segment.deallocate(block)
    segment.trim()
    fill_up()
    messages = [refused(segment.allocate, MIB), refused(segment.allocate, 10 * MIB)]
    messages.append(refused(shared.__setitem__, "large", b"x" * MIB))
    assert segment.try_allocate(MIB) is None
    shared["small"] = "fits into what has its pages"
    for at in range(handle, handle + 8 * MIB, 4096):
        try:
            segment.block(at)
        except NotFoundError:
            pass
        else:
            raise AssertionError(at)
    assert segment.find(Queue, "q") is None
    assert segment.check_sanity(), segment.check_sanity()
    with ManagedSharedMemory.open_read_only("s") as reader:
        kept = reader.find(SharedDict, "d").copy()
    os.unlink("/dev/shm/filler")
    fill(segment, 10 * MIB)
    assert segment.check_sanity()
    print(json.dumps([messages, kept]))
""")
    assert len(messages) == 3
    assert all("trim() gave back" in message for message in messages[:2])
    assert kept == {"k": "kept", "small": "fits into what has its pages"}


def test_a_segment_is_copied_without_its_holes() -> None:
    assert run("""
path = "/var/tmp/aioipc-test-full-%d" % os.getpid()
with ManagedSharedMemory.create("s", 12 * MIB) as segment:
    SharedDict(segment, "d")["k"] = "kept"
    segment.trim()
    fill_up()
    segment.snapshot(path)
with ManagedMappedFile.open(path) as copy:
    assert copy.check_sanity()
    print(json.dumps(SharedDict(copy, "d").copy()))
ManagedMappedFile.remove(path)
""") == {"k": "kept"}


def test_a_part_of_what_was_trimmed_comes_as_long_as_there_is_room() -> None:
    got, message = run("""
with ManagedSharedMemory.create("s", 12 * MIB) as segment:
    segment.trim()
    with open("/dev/shm/other", "wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, 11 * MIB)
    got = 0
    while (block := segment.try_allocate(100_000)) is not None:
        memoryview(block)[:] = b"y" * 100_000
        got += 100_000
    message = refused(segment.allocate, 100_000)
    assert segment.check_sanity()
    print(json.dumps([got, message]))
""")
    assert 4 << 20 < got < 6 << 20
    assert "trim() gave back" in message


def test_a_sparse_copy_is_refused_when_its_pages_have_no_room() -> None:
    """`cp --sparse` leaves out pages that are all zeros, whether they are free or not."""
    assert "no room" in run("""
with ManagedSharedMemory.create("s", 12 * MIB) as segment:
    image = open("/dev/shm/s", "rb").read()
ManagedSharedMemory.remove("s")
with open("/dev/shm/t", "wb") as file:
    file.truncate(len(image))
    for at in range(0, len(image), 4096):
        if any(image[at:at + 4096]):
            file.seek(at)
            file.write(image[at:at + 4096])
os.chmod("/dev/shm/t", 0o600)
fill_up()
print(json.dumps(refused(ManagedSharedMemory.open, "t")))
""")
