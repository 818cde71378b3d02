"""Shared memory, locks and containers for processes on one Linux machine, awaitable and crash-safe."""

from . import _native as _native  # refuses subinterpreters, before what it stands on does

# isort: split
from . import named
from ._names import SegmentInfo
from ._native._core import Block, BlockingLock, BlockingQueue, ReadOnlyBlock
from ._native._msgpack import View
from .anonymous_memory import ManagedAnonymousMemory
from .arrays import Array
from .atomic_block import AtomicBlock, AtomicStatistics
from .atomics import AtomicBool, AtomicFlag, AtomicInt32, AtomicInt64, AtomicUInt32, AtomicUInt64
from .barrier import Barrier, BarrierStatistics, BlockingBarrier
from .capacity_limiter import BlockingCapacityLimiter, CapacityLimiter, CapacityLimiterStatistics
from .condition import BlockingCondition, Condition, ConditionStatistics
from .errors import (
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
    PeerDiedError,
    PeerStalledError,
    PermissionDeniedError,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    ReadOnlyError,
    SegmentFullError,
    SegmentInUseError,
    TooManyParticipantsError,
    TooManyWaitersError,
    TypeMismatchError,
    WouldBlock,
)
from .event import BlockingEvent, Event, EventStatistics
from .file_lock import BlockingFileGuard, BlockingFileLock, FileGuard, FileLock, FileLockStatistics
from .holders import Holder
from .items import Items
from .leader import BlockingLeader, Leader
from .lock import Lock, LockStatistics
from .mapped_file import ManagedMappedFile
from .object_info import ObjectInfo
from .objects import SharedObject, anonymous_instance, unique_instance
from .once import BlockingOnce, Once
from .pointers import OffsetPtr
from .pools import AdaptivePool, Pool, PoolStatistics, PrivatePool
from .private_memory import ManagedExternalBuffer, ManagedHeapMemory
from .queue import Codec, Lease, Queue, QueueStatistics
from .raw_memory import (
    PAGE_SIZE,
    FileMapping,
    MappedRegion,
    SharedMemoryObject,
    anonymous_shared_memory,
)
from .read_only import ReadOnlyDict, ReadOnlyQueue, ReadOnlySegment
from .read_only_places import ReadOnlyArray, ReadOnlyAtomic, ReadOnlyStruct
from .report import Finding, Report
from .rlock import RLock, RLockStatistics
from .rwlock import BlockingRWGuard, BlockingRWLock, RWGuard, RWLock, RWLockStatistics
from .segment import ManagedSegment, Participant
from .semaphore import BlockingSemaphore, BoundedSemaphore, Semaphore, SemaphoreStatistics
from .shared_dict import MISSING, DictStatistics, SharedDict
from .shared_memory import ManagedSharedMemory
from .shared_pointers import IntrusivePtr, SharedPtr, WeakPtr
from .sole_pointers import ScopedPtr, UniqueField, UniquePtr
from .streams import BufferIO, VectorIO
from .structs import (
    FieldType,
    Struct,
    bool_,
    fixed_bytes,
    fixed_str,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .xsi_memory import ManagedXSISharedMemory, XSIKey

__all__ = [
    # segments
    "ManagedSegment",
    "ManagedSharedMemory",
    "ManagedMappedFile",
    "ManagedAnonymousMemory",
    "ManagedHeapMemory",
    "ManagedExternalBuffer",
    "ManagedXSISharedMemory",
    "XSIKey",
    "Block",
    "Participant",
    "Holder",
    "ObjectInfo",
    "AtomicBlock",
    "AtomicStatistics",
    "SegmentInfo",
    "Report",
    "Finding",
    "ReadOnlySegment",
    "ReadOnlyDict",
    "ReadOnlyQueue",
    "ReadOnlyStruct",
    "ReadOnlyArray",
    "ReadOnlyAtomic",
    "ReadOnlyBlock",
    # raw memory
    "SharedMemoryObject",
    "FileMapping",
    "MappedRegion",
    "anonymous_shared_memory",
    "PAGE_SIZE",
    # objects
    "SharedObject",
    "unique_instance",
    "anonymous_instance",
    # values
    "View",
    # synchronization
    "Lock",
    "BlockingLock",
    "LockStatistics",
    "RLock",
    "RLockStatistics",
    "RWLock",
    "RWGuard",
    "BlockingRWLock",
    "BlockingRWGuard",
    "RWLockStatistics",
    "Condition",
    "BlockingCondition",
    "ConditionStatistics",
    "Semaphore",
    "BoundedSemaphore",
    "BlockingSemaphore",
    "SemaphoreStatistics",
    "Event",
    "BlockingEvent",
    "EventStatistics",
    "Barrier",
    "BlockingBarrier",
    "BarrierStatistics",
    "CapacityLimiter",
    "BlockingCapacityLimiter",
    "CapacityLimiterStatistics",
    "Once",
    "BlockingOnce",
    "Leader",
    "BlockingLeader",
    "named",
    # locks on files
    "FileLock",
    "FileGuard",
    "BlockingFileLock",
    "BlockingFileGuard",
    "FileLockStatistics",
    # queues
    "Queue",
    "Lease",
    "BlockingQueue",
    "QueueStatistics",
    "Codec",
    # containers
    "SharedDict",
    "DictStatistics",
    "MISSING",
    # structs, arrays and atomic numbers
    "Struct",
    "Array",
    "FieldType",
    "Items",
    "bool_",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "fixed_bytes",
    "fixed_str",
    "AtomicInt64",
    "AtomicUInt64",
    "AtomicInt32",
    "AtomicUInt32",
    "AtomicBool",
    "AtomicFlag",
    # pointers
    "OffsetPtr",
    "SharedPtr",
    "WeakPtr",
    "UniquePtr",
    "UniqueField",
    "ScopedPtr",
    "IntrusivePtr",
    # streams
    "Pool",
    "AdaptivePool",
    "PrivatePool",
    "PoolStatistics",
    "BufferIO",
    "VectorIO",
    # errors
    "IPCError",
    "SegmentFullError",
    "SegmentInUseError",
    "AlreadyExistsError",
    "NotFoundError",
    "PermissionDeniedError",
    "TypeMismatchError",
    "OptionMismatchError",
    "ReadOnlyError",
    "CorruptSegmentError",
    "IncompatibleSegmentError",
    "ClosedError",
    "WouldBlock",
    "NotOwnerError",
    "MessageTooLargeError",
    "QueueFull",
    "QueueEmpty",
    "QueueShutDown",
    "BrokenBarrierError",
    "TooManyParticipantsError",
    "TooManyWaitersError",
    "PeerDiedError",
    "PeerStalledError",
]
