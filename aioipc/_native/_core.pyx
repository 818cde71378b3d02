# cython: language_level=3, binding=True, embedsignature=False, boundscheck=False, wraparound=False
# cython: auto_pickle=False
"""Thin shells over the core (core/aipc.h): argument checks, status to exception, buffer export.

Nothing here decides anything: algorithms are in the core, waiting of coroutines in aioipc._waiting.

Rules
  * Core functions run with the GIL held.  They let it go only while they wait for another process's short
    lock (`_idle`), when they hold none themselves.  So Python runs only between operations, or in that wait.
  * An operation holds a context for its length; `Attachment.leave` waits for all of them, and for the
    threads that sleep or spin without one, before the memory goes.
  * A forked child attaches for itself on its first operation; its pins are then taken anew (`Pin.renew`).
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_F_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE,
    PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals, PyErr_Fetch, PyErr_NormalizeException, PyErr_Restore
from cpython.float cimport PyFloat_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check, PyLong_CheckExact
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc
from cpython.object cimport PyObject
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.errno cimport EBUSY, EFBIG, ENOSPC
from libc.math cimport isinf
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strerror

from aioipc._native._msgpack cimport Key, Owner, Packed, View, pack, pack_key, unpack, unpack_key, view_of
from aioipc._native.c_containers cimport *
from aioipc._native.c_core cimport *
from aioipc._native.c_heap cimport *
from aioipc._native.c_names cimport *
from aioipc._native.c_pool cimport *
from aioipc._native.c_places cimport *
from aioipc._native.c_sync cimport *

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

import mmap
import sys
from array import array as _array
from weakref import WeakValueDictionary, ref as weakref
from collections.abc import Mapping
from functools import reduce as _reduce
from operator import index as _index

from aioipc.errors import (
    AlreadyExistsError,
    BrokenBarrierError,
    ClosedError,
    CorruptSegmentError,
    IncompatibleSegmentError,
    IPCError,
    MessageTooLargeError,
    NotFoundError,
    NotOwnerError,
    OptionMismatchError,
    PeerStalledError,
    PermissionDeniedError,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    ReadOnlyError,
    SegmentFullError,
    TooManyParticipantsError,
    TooManyWaitersError,
    TypeMismatchError,
    WouldBlock,
)

NAMED = AIPC_NAMED
UNIQUE = AIPC_UNIQUE
ANONYMOUS = AIPC_ANONYMOUS
TYPE_LOCK = AIPC_TYPE_LOCK
TYPE_QUEUE = AIPC_TYPE_QUEUE
TYPE_DICT = AIPC_TYPE_DICT
NAME_MAX = AIPC_NAME_MAX
LAST_DETACH = AIPC_FLAG_LAST_DETACH
BEST_FIT = AIPC_BEST_FIT
TLSF = AIPC_TLSF
SEQ_FIT = AIPC_SEQ_FIT
ORDERED = AIPC_FLAG_ORDERED
MAX_PARTICIPANTS = AIPC_MAX_PARTICIPANTS
PAGES_KEPT = AIPC_PAGES_KEPT
PAGES_PRIVATE = AIPC_PAGES_PRIVATE
PAGES_SHARED = AIPC_PAGES_SHARED
TYPE_RLOCK = AIPC_TYPE_RLOCK
TYPE_ONCE = AIPC_TYPE_ONCE
TYPE_LEADER = AIPC_TYPE_LEADER
TYPE_RWLOCK = AIPC_TYPE_RWLOCK
TYPE_CONDITION = AIPC_TYPE_CONDITION
TYPE_SEMAPHORE = AIPC_TYPE_SEMAPHORE
TYPE_BOUNDED_SEMAPHORE = AIPC_TYPE_BOUNDED_SEMAPHORE
TYPE_EVENT = AIPC_TYPE_EVENT
TYPE_BARRIER = AIPC_TYPE_BARRIER
TYPE_LIMITER = AIPC_TYPE_LIMITER
SEMAPHORE_MAX = AIPC_SEMAPHORE_MAX
NO_LIMIT = AIPC_LIMITER_NO_LIMIT
PARTIES_MAX = AIPC_MAX_NODES
CONDITION_SIZE = sizeof(aipc_condition)
SEMAPHORE_SIZE = sizeof(aipc_semaphore)
EVENT_SIZE = sizeof(aipc_event)
BARRIER_SIZE = sizeof(aipc_barrier)
LOCK_SIZE = sizeof(aipc_lock)
LEADER_SIZE = sizeof(aipc_leader)

cdef enum:
    BATCH = 64              # tokens collected at a time
    CLOSE_SLICE_NS = 100_000
    LARGE = 65536           # bytes worth letting the GIL go for
    SPIN_SCORE = 8          # how far good and bad experience with spinning is remembered
    SPIN_PROBE = 32         # after bad experience, one acquire in so many spins all the same

cdef uint64_t PAGE = mmap.PAGESIZE
cdef uint64_t FOREVER = <uint64_t>-1
# A signal that arrives just before the poll does not interrupt it: then Ctrl-C is noticed this much later.
cdef uint64_t SIGNAL_SLICE_NS = 1_000_000_000


# ------------------------------------------------------------------------------------ status to exception

cdef dict _ERRORS = {
    AIPC_AGAIN: (IPCError, "{what}: too many operations are under way in this process; try again"),
    AIPC_EXISTS: (AlreadyExistsError, "{what}: the name is taken; find it, or use find_or_construct"),
    AIPC_PENDING: (
        WouldBlock,
        "{what}: an atomic block has done something to this name and may yet take it back; "
        "enter one, 'async with segment.atomic()', to wait for its end",
    ),
    AIPC_NOT_FOUND: (NotFoundError, "{what}: there is no such object (any more)"),
    AIPC_TYPE_MISMATCH: (TypeMismatchError, "{what}: the object is of another type"),
    AIPC_INVALID: (ValueError, "{what}: not a block of this segment that a user may free, or out of range"),
    AIPC_NOT_OWNER: (NotOwnerError, "{what}: this process does not hold it"),
    AIPC_CLOSED: (ClosedError, "{what}: the object was destroyed, or the segment closed"),
    AIPC_BROKEN: (BrokenBarrierError, "{what}: the barrier is broken"),
    AIPC_SHUT_DOWN: (QueueShutDown, "{what}: the queue was shut down"),
    AIPC_FORKED: (ClosedError, "{what}: the segment belongs to the parent process"),
    AIPC_STALLED: (
        PeerStalledError,
        "{what}: {fault} (pid {pid}) for more than {stall:.3g} s; resume or kill that process and try again",
    ),
    AIPC_NO_SLOT: (
        TooManyParticipantsError,
        "{what}: all {participants} participant slots are taken by living processes; "
        "create the segment with a larger participants=",
    ),
    AIPC_NO_WAITER: (
        TooManyWaitersError,
        "{what}: the segment's wait nodes or this process's bells are used up; "
        "wait with fewer tasks and threads, or create a larger segment",
    ),
    AIPC_INTERRUPTED: (InterruptedError, "{what}: interrupted"),
    AIPC_GONE: (NotFoundError, "{what}: its last user has left and it is being removed; open it by name again"),
    AIPC_FULL: (SegmentFullError, "{what}: the segment has no memory left; free something or create a larger segment"),
    AIPC_CORRUPT: (
        CorruptSegmentError,
        "{what}: the segment is damaged: {fault} at offset {offset:#x}: found {found:#x}, expected {expected:#x}",
    ),
    AIPC_INCOMPATIBLE: (
        IncompatibleSegmentError,
        "{what}: {fault} at offset {offset:#x}: found {found:#x}, expected {expected:#x}",
    ),
}
cdef dict _SYSTEM_ERRORS = {
    1: PermissionDeniedError, 13: PermissionDeniedError, 30: PermissionDeniedError, 2: NotFoundError,
}
cdef dict _SYSTEM_HINTS = {
    12: "; the address space is limited (RLIMIT_AS, `ulimit -v`): lower max_size or raise the limit",
    24: "; the process has too many open files (RLIMIT_NOFILE, `ulimit -n`)",
}


cdef object _exception(aipc_status status, str what, aipc_seg *seg, const aipc_fault *fault, int error):
    """The exception that stands for a status."""
    if status == AIPC_SYSTEM:
        text = f"{what}: {strerror(error).decode()}{_SYSTEM_HINTS.get(error, '')}"
        kind = _SYSTEM_ERRORS.get(error)
        return OSError(error, text) if kind is None else kind(text)
    kind, template = _ERRORS[status]
    fields = {}
    if fault != NULL and fault.what != NULL:
        fields = {"found": fault.found, "expected": fault.expected, "offset": fault.offset,
                  "pid": fault.pid, "fault": fault.what.decode()}
    exception = kind(template.format_map(
        {"what": what, "fault": "?", "offset": 0, "found": 0, "expected": 0, "pid": 0,
         "participants": seg.participants if seg != NULL else 0,
         "stall": seg.stall_ns / 1e9 if seg != NULL else 0} | fields))
    if kind is CorruptSegmentError or kind is IncompatibleSegmentError:
        exception.what = fields.get("fault")
        exception.found, exception.expected = fields.get("found"), fields.get("expected")
        exception.offset = fields.get("offset")
    elif kind is PeerStalledError:
        exception.pid = fields.get("pid")
    elif kind is TooManyParticipantsError:
        exception.participants = seg.participants
    return exception


cdef int check(aipc_seg *seg, aipc_status status, str what) except -1:
    """Returns for AIPC_OK, raises for everything else; a signal handler's own exception goes first."""
    if status == AIPC_OK:
        return 0
    if status == AIPC_INTERRUPTED:
        raise_what_was_raised()
    raise _exception(status, what, seg, &seg.fault, seg.error)


cdef int shield = 0  # > 0 while an operation that must not be cut short is under way

cdef extern from "Python.h":
    int _run_signal_handlers "PyErr_CheckSignals" () noexcept  # as C has it: -1 and an exception that is set

# What a signal handler raised while its thread waited for a short lock, until the operation has come to its end.
cdef dict _raised = {}


cdef int raise_what_was_raised() except -1:
    error = _raised.pop(PyThread_get_thread_ident(), None)
    if error is not None:
        raise error
    return 0


cdef aipc_status _idle(aipc_seg *seg, const uint32_t *word, uint32_t seen) noexcept:
    with nogil:
        aipc_os_futex_wait(word, seen, 10_000_000)
    if shield == 0 and seg.uninterruptible == 0 and _run_signal_handlers() != 0:
        _keep_what_was_raised()
        return AIPC_INTERRUPTED
    return AIPC_OK


cdef void _keep_what_was_raised() noexcept:
    cdef PyObject *kind
    cdef PyObject *value
    cdef PyObject *traceback
    PyErr_Fetch(&kind, &value, &traceback)
    PyErr_NormalizeException(&kind, &value, &traceback)
    error = <object>value
    if traceback != NULL:
        error = error.with_traceback(<object>traceback)
    _raised[PyThread_get_thread_ident()] = error
    Py_XDECREF(kind)
    Py_XDECREF(value)
    Py_XDECREF(traceback)


# --------------------------------------------------------------------------------- without an attachment

def peek(int fd, str path):
    """What a segment's header says, without attaching; None when it was a last_detach segment that nobody has
    any more (it is removed).  A dict: uuid, size, max_size, created_at, creator_pid, participants, flags,
    unlinked, alive, uid, mode."""
    cdef aipc_segment_info info
    cdef aipc_fault fault
    cdef int error = 0
    memset(&fault, 0, sizeof(fault))
    cdef aipc_status status = aipc_segment_peek(fd, path.encode("utf-8", "surrogateescape"), &info, &fault, &error)
    if status == AIPC_GONE:
        return None
    if status != AIPC_OK:
        raise _exception(status, path, NULL, &fault, error)
    return {
        "uuid": (<uint8_t *>info.uuid)[:16], "size": info.size, "max_size": info.max_size,
        "created_at": info.created_at, "creator_pid": info.creator_pid, "participants": info.participants,
        "flags": info.flags, "unlinked": bool(info.unlinked), "alive": bool(info.alive), "uid": info.uid,
        "mode": info.mode,
    }


def remove(int fd, str path) -> bool:
    """Takes the name `path` from the segment behind fd; False when another object has that name by now."""
    cdef int error = 0
    cdef aipc_status status = aipc_segment_remove(fd, path.encode("utf-8", "surrogateescape"), &error)
    if status == AIPC_NOT_FOUND:
        return False
    if status == AIPC_INCOMPATIBLE:
        raise IncompatibleSegmentError(f"{path}: not an aioipc segment; remove it by other means")
    if status != AIPC_OK:
        raise _exception(status, path, NULL, NULL, error)
    return True


def in_use(int fd) -> bool:
    """Whether any living process is attached to the object behind fd."""
    cdef int error = 0
    return aipc_os_test_bytes(fd, AIPC_LIVENESS_BASE, AIPC_MAX_PARTICIPANTS, &error) != AIPC_OK


def minimum_size(uint64_t size, uint32_t participants) -> int:
    """Bytes that a segment of `size` bytes needs for itself."""
    return aipc_segment_minimum(size, participants)


# ------------------------------------------------------------------------- the shells, one concept a file

include "_attachment.pxi"
include "_attaching.pxi"
include "_growing.pxi"
include "_memory.pxi"
include "_memory_changes.pxi"
include "_region.pxi"
include "_objects.pxi"
include "_sleeping.pxi"
include "_operation.pxi"
include "_room.pxi"
include "_tasks.pxi"
include "_lock.pxi"
include "_lock_kinds.pxi"
include "_semaphore.pxi"
include "_limiter.pxi"
include "_rwlock.pxi"
include "_condition.pxi"
include "_barrier.pxi"
include "_queue_items.pxi"
include "_queue.pxi"
include "_queue_operations.pxi"
include "_dict_pins.pxi"
include "_dict.pxi"
include "_places.pxi"
include "_fields.pxi"
include "_struct.pxi"
include "_atomic.pxi"
include "_pointer.pxi"
include "_pool.pxi"
include "_shares.pxi"
include "_owners.pxi"
include "_stream.pxi"
include "_holders.pxi"
include "_map.pxi"
include "_reader.pxi"
include "_seen.pxi"
include "_names.pxi"
include "_atomic_block.pxi"
include "_file_lock.pxi"
