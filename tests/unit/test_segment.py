"""Segments: making, opening, closing, what they report, what they refuse."""

import gc
import os
import pickle
import warnings

import pytest

from aioipc import (
    AlreadyExistsError,
    ClosedError,
    CorruptSegmentError,
    Lock,
    ManagedSharedMemory,
    NotFoundError,
    Queue,
    SegmentFullError,
    SharedDict,
    TooManyParticipantsError,
    TypeMismatchError,
    anonymous_instance,
    unique_instance,
)
from tests.support.peers import Link

SIZE = 1 << 20


def test_a_new_segment_says_what_it_is(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE - 1, max_size=SIZE * 2) as segment:
        assert (segment.size, segment.max_size, segment.name) == (SIZE, 2 * SIZE, segment_name)
        assert 0 < segment.largest_free_block <= segment.free_memory < SIZE
        assert not segment.closed
        assert segment_name in repr(segment)


def test_a_segment_too_small_for_its_own_records_is_refused_with_the_size_it_needs(segment_name: str) -> None:
    with pytest.raises(ValueError, match=r"64 participants needs more than [0-9]+ bytes"):
        ManagedSharedMemory.create(segment_name, 4096)
    with ManagedSharedMemory.create(segment_name, 65536, participants=2):
        pass


@pytest.mark.parametrize(
    "options",
    [
        {"size": -1},
        {"max_size": SIZE // 2},
        {"max_size": 1 << 60},
        {"mode": 0o10000},
        {"lifetime": "short"},
        {"algorithm": "first_fit"},
        {"participants": 0},
        {"participants": 5000},
    ],
)
def test_impossible_options_are_refused(segment_name: str, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be|number of bytes"):
        ManagedSharedMemory.create(segment_name, **({"size": SIZE} | options))  # type: ignore[arg-type]
    assert not ManagedSharedMemory.exists(segment_name)


def test_a_segment_larger_than_dev_shm_is_an_error_at_once_and_leaves_nothing(segment_name: str) -> None:
    filesystem = os.statvfs("/dev/shm")
    size = filesystem.f_frsize * filesystem.f_blocks + (1 << 30)
    with pytest.raises(SegmentFullError, match=f"room for [0-9]+ bytes, not {size}.*shm-size") as caught:
        ManagedSharedMemory.create(segment_name, size)
    assert caught.value.asked == size
    assert not ManagedSharedMemory.exists(segment_name)


def test_opening_twice_in_one_process_is_one_participant(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as first:
        with ManagedSharedMemory.open(segment_name) as second:
            assert len(first.participants()) == 1
            assert Lock(first, "l") == Lock(second, "l")
        assert first.free_memory > 0
        with pytest.raises(ClosedError):
            second.free_memory  # noqa: B018


def test_open_or_create_creates_and_then_opens(segment_name: str) -> None:
    with ManagedSharedMemory.open_or_create(segment_name, SIZE) as first:
        second = ManagedSharedMemory.open_or_create(segment_name, 2 * SIZE)
        assert second.uuid == first.uuid
        assert second.size == SIZE
        second.close()


def test_a_persistent_segment_outlives_its_users(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        handle = segment.allocate(10).handle
        memoryview(segment.block(handle))[:4] = b"kept"
    with ManagedSharedMemory.open(segment_name) as segment:
        assert bytes(segment.block(handle, 4)) == b"kept"
    assert ManagedSharedMemory.remove(segment_name) is True
    assert not ManagedSharedMemory.exists(segment_name)


def test_a_last_detach_segment_goes_with_its_last_handle(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach"):
        with ManagedSharedMemory.open(segment_name):
            pass
        assert ManagedSharedMemory.exists(segment_name)
    assert not ManagedSharedMemory.exists(segment_name)


def leave_by_dying(test: Link, name: str) -> None:
    ManagedSharedMemory.create(name, SIZE, lifetime="last_detach")
    test.sync("created")


@pytest.mark.parametrize("how", ["open", "exists", "all", "create"])
def test_a_last_detach_segment_whose_last_user_was_killed_goes_when_next_looked_at(
    segment_name: str, spawn, how: str
) -> None:
    peer = spawn(leave_by_dying, segment_name)
    assert peer.receive() == "created"
    peer.kill()
    if how == "open":
        with pytest.raises(NotFoundError):
            ManagedSharedMemory.open(segment_name)
    elif how == "exists":
        assert not ManagedSharedMemory.exists(segment_name)
    elif how == "all":
        assert segment_name not in [info.name for info in ManagedSharedMemory.all()]
    else:
        ManagedSharedMemory.create(segment_name, SIZE).close()
        ManagedSharedMemory.remove(segment_name)
    assert not os.path.exists(f"/dev/shm/{segment_name}")


def test_a_removed_segment_stays_usable_for_those_who_have_it(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as old:
        assert ManagedSharedMemory.remove(segment_name)
        with ManagedSharedMemory.create(segment_name, SIZE) as new:
            assert new.uuid != old.uuid
            old.deallocate(old.allocate(100))
            assert old.check_sanity()
    assert ManagedSharedMemory.exists(segment_name)


def test_participants_name_the_processes(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        (me,) = segment.participants()
        assert (me.pid, me.alive, me.is_self, me.uid) == (os.getpid(), True, True, os.geteuid())


def attach(test: Link, name: str) -> None:
    with ManagedSharedMemory.open(name):
        test.sync("attached")


def test_a_full_house_says_how_to_make_room(segment_name: str, spawn) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, participants=1):
        peer = spawn("tests.unit.test_segment:attach_is_refused", segment_name)
        assert peer.result() == 1


def attach_is_refused(test: Link, name: str) -> int:
    with pytest.raises(TooManyParticipantsError, match=r"all 1 participant.*participants="):
        ManagedSharedMemory.open(name)
    try:
        ManagedSharedMemory.open(name)
    except TooManyParticipantsError as error:
        return error.participants or 0
    return 0


def test_the_slot_of_a_killed_process_is_taken_over(segment_name: str, spawn) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, participants=2) as segment:
        for _ in range(3):
            peer = spawn(attach, segment_name)
            assert peer.receive() == "attached"
            peer.kill()
        assert segment.check_sanity()
        assert [p.pid for p in segment.participants()] == [os.getpid()]


def test_closing_is_idempotent_and_ends_everything_made_through_the_handle(segment_name: str) -> None:
    segment = ManagedSharedMemory.create(segment_name, SIZE)
    block, lock = segment.allocate(10), Lock(segment, "l")
    segment.close()
    segment.close()
    assert segment.closed
    for use in (
        lambda: segment.allocate(1),
        lambda: segment.size,
        lambda: segment.find(Lock, "l"),
        lambda: Lock(segment, "l"),
        lambda: segment.deallocate(block),
        lambda: memoryview(block),
        lambda: lock.acquire_nowait(),
        lambda: lock.blocking.acquire(),
        lambda: lock.statistics(),
        lambda: segment.__enter__(),
    ):
        with pytest.raises(ClosedError):
            use()
    assert "closed" in repr(segment)
    assert "closed" in repr(lock)
    assert "closed" in repr(block)


def test_closing_with_live_views_is_refused_and_closes_nothing(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        view = memoryview(segment.allocate(10))
        with pytest.raises(BufferError, match="when_released"):
            segment.close()
        assert segment.free_memory > 0
        view.release()


def test_closing_when_released_unmaps_with_the_last_view(segment_name: str) -> None:
    segment = ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach")
    view = memoryview(segment.allocate(10))
    segment.close(when_released=True)
    with pytest.raises(ClosedError):
        segment.allocate(10)
    view[:5] = b"alive"
    assert bytes(view[:5]) == b"alive"
    assert os.path.exists(f"/dev/shm/{segment_name}")
    view.release()
    assert not os.path.exists(f"/dev/shm/{segment_name}")


def test_an_unclosed_segment_warns_with_the_place_it_was_opened_at(segment_name: str) -> None:
    segment = ManagedSharedMemory.create(segment_name, SIZE)
    with pytest.warns(ResourceWarning, match=rf"unclosed.*{segment_name}.*test_segment\.py:[0-9]+"):
        del segment


def test_a_segment_is_not_made_by_its_constructor() -> None:
    with pytest.raises(TypeError, match="create"):
        ManagedSharedMemory()


# ------------------------------------------------------------------------------------------------ objects


def test_construct_refuses_a_taken_name_and_find_finds_it(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        assert segment.find(Lock, "l") is None
        lock = segment.construct(Lock, "l", spin_us=3)
        assert lock.spin_us == 3
        with pytest.raises(AlreadyExistsError, match="'l' exists already"):
            segment.construct(Lock, "l")
        assert segment.find(Lock, "l") == lock
        assert segment.find_or_construct(Lock, "l") == lock
        assert Lock(segment, "m") != lock


def test_names_unique_and_anonymous_are_kept_apart(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        named = Lock(segment, "Lock")
        unique = Lock(segment, unique_instance)
        anonymous = Lock(segment)
        assert unique != named
        assert Lock(segment, unique_instance) == unique
        assert Lock(segment, anonymous_instance) != anonymous
        assert segment.find(Lock, anonymous_instance) is None
        assert [segment.kind_of(lock) for lock in (named, unique, anonymous)] == [
            "named",
            "unique",
            "anonymous",
        ]
        assert [segment.name_of(lock) for lock in (named, unique, anonymous)] == ["Lock", None, None]
        assert segment.length_of(named) == 1


@pytest.mark.parametrize("name", ["x" * 256, "ü" * 128])
def test_impossible_object_names_are_refused(segment_name: str, name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment, pytest.raises(ValueError, match="name"):
        Lock(segment, name)


def test_object_names_may_have_any_characters(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        for name in ("", "a/b", "ü" * 127, "\0", " ", "x" * 255):
            assert Lock(segment, name).name == name


def test_destroying_frees_the_name_and_at_last_the_memory(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        Lock(segment, "warm up")
        segment.destroy(Lock, "warm up")
        gc.collect()
        free = segment.free_memory
        lock = Lock(segment, "l")
        assert segment.destroy(Lock, "l") is True
        assert segment.destroy(Lock, "l") is False
        with pytest.raises(ClosedError):
            lock.acquire_nowait()
        again = Lock(segment, "l")
        assert again != lock
        assert segment.destroy_object(again) is True
        assert segment.destroy_object(again) is False
        del lock, again
        assert segment.free_memory == free
        assert segment.check_sanity()


def test_an_object_of_another_type_is_refused(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        attachment = segment._attachment
        assert attachment.construct(1, b"other", 77, 64, 1, None) is not None
        for use in (
            lambda: Lock(segment, "other"),
            lambda: segment.find(Lock, "other"),
            lambda: segment.destroy(Lock, "other"),
        ):
            with pytest.raises(TypeMismatchError, match=r"'other' is a.*not a Lock"):
                use()


def test_handles_do_not_leak_pins(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        lock = Lock(segment, "l")
        free = segment.free_memory
        for _ in range(100):
            assert Lock(segment, "l") == segment.find(Lock, "l") == lock
        assert segment.free_memory == free
        del lock
        assert segment.free_memory > free


@pytest.mark.parametrize("kind", [Lock, Queue, SharedDict])
def test_a_handle_whose_constructor_failed_can_be_shown(segment_name: str, kind: type) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE, lifetime="last_detach") as segment:
        other = (Queue if kind is Lock else Lock)(segment, "other")
        handle = kind.__new__(kind)
        assert repr(handle) == f"<aioipc.{kind.__name__} [not there]>"
        with pytest.raises(TypeMismatchError):
            handle.__init__(segment, "other")
        assert repr(handle) == f"<aioipc.{kind.__name__} [not there]>"
        assert handle != other


# ------------------------------------------------------------------------------------------- pickle, damage


def test_a_pickled_segment_opens_the_same_one(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        again = pickle.loads(pickle.dumps(segment))
        assert again.uuid == segment.uuid
        del again  # no ResourceWarning: nobody opened it by hand


def test_a_stale_pickle_is_not_found(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        pickled = pickle.dumps(segment)
        ManagedSharedMemory.remove(segment_name)
    with pytest.raises(NotFoundError):
        pickle.loads(pickled)
    with ManagedSharedMemory.create(segment_name, SIZE), pytest.raises(NotFoundError, match="gone"):
        pickle.loads(pickled)


def test_a_sound_segment_is_reported_as_such(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        Lock(segment, "l")
        report = segment.check_sanity()
        assert report
        assert (report.findings, report.total) == ((), 0)
        assert report.counts["objects"] == 1
        assert str(report).startswith("sound")


def test_damage_is_found_and_what_trips_over_it_says_where(segment_name: str) -> None:
    with ManagedSharedMemory.create(segment_name, SIZE) as segment:
        block = segment.allocate(100)
        with open(f"/dev/shm/{segment_name}", "r+b") as file:
            file.seek(block.handle - 8)
            file.write(b"\xff" * 8)
        report = segment.check_sanity()
        assert not report
        assert report.total >= 1
        assert "offset" in str(report)
        assert report.findings[0].what
        with pytest.raises((CorruptSegmentError, NotFoundError)):
            segment.deallocate(block)


def test_warnings_are_errors_in_this_suite() -> None:
    with pytest.raises(UserWarning):
        warnings.warn("x", UserWarning, stacklevel=1)
