"""Pool, AdaptivePool and PrivatePool: many blocks of one size."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from ._native import _core
from .errors import OptionMismatchError
from .objects import New, ObjectName, SharedObject, anonymous_instance, whole

if TYPE_CHECKING:
    from .segment import ManagedSegment

__all__ = ["AdaptivePool", "Pool", "PoolStatistics", "PrivatePool"]

_CACHED = 64


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A pool at one moment."""

    block_size: int
    """Bytes of each block."""
    used: int
    """Blocks that are in use, or kept for themselves by some process."""
    free: int
    """Blocks that anybody can have without more memory."""
    cached: int
    """Of those in `used`: free ones that this process keeps for itself."""
    chunks: int
    """Pieces of the segment that the blocks are cut out of."""
    free_chunks: int
    """Of them, those in which nothing is in use."""


class Pool(_core.PoolHandle, SharedObject):
    """Blocks of one size, faster and smaller than the segment's own: Boost's node_allocator.

    Parameters: the segment; the name (found or constructed), none for a new anonymous one; `block_size` in
    bytes; `owned`: whether the blocks of a process that dies or closes the segment come back by themselves;
    `blocks_per_chunk`, which are allocated at a time (64).  `cached` is this process's own affair: it keeps
    up to 64 free blocks for itself (`max_cached_nodes`), and needs no lock for most of what it does.

    Blocks may be given back by any process, as those of `segment.allocate`; so, as there, they stay when the
    process that allocated them dies, unless they are `owned`.  What it had cached always comes back.
    A pool never gets smaller, except by `deallocate_free_blocks()`; see AdaptivePool.  Destroying
    it takes all of its blocks along.

    Example::

        orders = Pool(segment, "orders", 64)
        block = orders.allocate()
        memoryview(block)[:5] = b"hello"
        orders.block(block.handle)             # in any process
        orders.deallocate(block)
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_POOL
    _size: ClassVar[int] = _core.POOL_SIZE
    _kept: ClassVar[int] = _core.POOL_NEVER  # chunks without a used block
    _flags: ClassVar[int] = 0

    def __init__(
        self,
        segment: "ManagedSegment",
        name: ObjectName | New = None,
        block_size: int | None = None,
        *,
        owned: bool | None = None,
        blocks_per_chunk: int | None = None,
        cached: bool = False,
    ) -> None:
        self._open(segment, name, block_size, owned, blocks_per_chunk, None, cached)

    @classmethod
    def of_size(cls, segment: "ManagedSegment", block_size: int, *, cached: bool = False) -> Self:
        """The segment's one pool of this class for blocks of so many bytes, rounded up to 8, 24, 40 ...:
        what all who need such blocks share."""
        size = (_checked_size(block_size) + 7) // 16 * 16 + 8
        key = f"{cls.__name__} {size}".encode()
        attachment = segment._opening_checked().attachment
        image = _core.pool_image(attachment, size, _CACHED, cls._kept, cls._flags)
        pin, _ = attachment.find_or_construct(_core.UNIQUE, key, cls._type, cls._size, 1, image)
        assert isinstance(pin, _core.Pin)
        self = cls._of(segment, cls._fitting(pin, key.decode()))
        self._cache(cached)
        return self

    def statistics(self) -> PoolStatistics:
        """The pool at this moment, as a frozen record."""
        size, per_chunk, *_ = self._options()
        chunks, free_chunks, free, cached = self._statistics()
        return PoolStatistics(size, max(chunks * per_chunk - free, 0), free, cached, chunks, free_chunks)

    def _open(
        self,
        segment: "ManagedSegment",
        name: ObjectName | New,
        block_size: int | None,
        owned: bool | None,
        blocks_per_chunk: int | None,
        kept: int | None,
        cached: bool,
    ) -> None:
        per_chunk = _CACHED if blocks_per_chunk is None else whole("blocks_per_chunk", blocks_per_chunk)
        if not 1 <= per_chunk <= _core.POOL_CHUNK_MAX:
            raise ValueError(f"a chunk has 1 to {_core.POOL_CHUNK_MAX} blocks, not {per_chunk}")
        if block_size is None:
            self._find_or_refuse(segment, name, f"a new {type(self).__name__} needs a block_size")
            size, new = 0, False
        else:
            size = _checked_size(block_size)
            flags = self._flags | (_core.POOL_OWNED if owned else 0)
            attachment = segment._opening_checked().attachment
            most = self._kept if kept is None else kept
            image = _core.pool_image(attachment, size, per_chunk, most, flags)
            new = self._attach(segment, name, image)
        if not new:
            self._agree(
                block_size and size,
                None if owned is None else int(owned),
                blocks_per_chunk and per_chunk,
                kept,
            )
        self._cache(cached)

    def _agree(self, size: int | None, owned: int | None, per_chunk: int | None, kept: int | None) -> None:
        """OptionMismatchError for options that were given and are other ones."""
        has_size, has_per_chunk, has_kept, flags = self._options()
        for option, wanted, has in (
            ("block_size", size, has_size),
            ("owned", owned, int(bool(flags & _core.POOL_OWNED))),
            ("blocks_per_chunk", per_chunk, has_per_chunk),
            ("max_free_chunks", kept, has_kept),
        ):
            if wanted is not None and wanted != has:
                raise OptionMismatchError(
                    f"the pool {self.name!r} was constructed with {option}={has}, not {wanted}; "
                    "leave it out, or destroy the pool"
                )

    def _cache(self, cached: bool) -> None:
        if cached and self.max_cached_nodes == 0:
            self.max_cached_nodes = _CACHED

    def _describe(self) -> str:
        s = self.statistics()
        return f"[{s.used} of {s.used + s.free} blocks of {s.block_size} bytes]"


class AdaptivePool(Pool):
    """A Pool that gives memory back: of chunks without a used block it keeps `max_free_chunks` (2).

    Parameters: those of Pool, and `max_free_chunks`.

    Example::

        orders = AdaptivePool(segment, "orders", 64, max_free_chunks=4)
        blocks = orders.allocate_many(1000)
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_ADAPTIVE_POOL
    _kept: ClassVar[int] = 2

    def __init__(
        self,
        segment: "ManagedSegment",
        name: ObjectName | New = None,
        block_size: int | None = None,
        *,
        max_free_chunks: int | None = None,
        owned: bool | None = None,
        blocks_per_chunk: int | None = None,
        cached: bool = False,
    ) -> None:
        kept = _checked_kept(max_free_chunks)
        self._open(segment, name, block_size, owned, blocks_per_chunk, kept, cached)


class PrivatePool(Pool):
    """A Pool of this process alone: its blocks go with it, when it dies, closes the segment, or destroys it.

    Parameters: those of AdaptivePool, without `owned`; it has no name.  `max_free_chunks` is None: it keeps
    all of them.  Other processes may use its blocks' memory, but neither find nor free them.

    Example::

        scratch = PrivatePool(segment, None, 256)
        block = scratch.allocate()
    """

    __slots__ = ()
    _type: ClassVar[int] = _core.TYPE_PRIVATE_POOL
    _flags: ClassVar[int] = _core.POOL_PRIVATE

    def __init__(
        self,
        segment: "ManagedSegment",
        name: ObjectName | New = None,
        block_size: int | None = None,
        *,
        max_free_chunks: int | None = None,
        blocks_per_chunk: int | None = None,
        cached: bool = False,
    ) -> None:
        plain = name.name if isinstance(name, New) else name
        if plain is not None and plain is not anonymous_instance:
            raise ValueError(f"a PrivatePool has no name, nobody else could find it: {plain!r}")
        kept = _checked_kept(max_free_chunks)
        self._open(segment, name, block_size, None, blocks_per_chunk, kept, cached)

    @classmethod
    def of_size(cls, segment: "ManagedSegment", block_size: int, *, cached: bool = False) -> Self:
        """Raises TypeError: there is nobody to share it with."""
        raise TypeError("a PrivatePool is shared with nobody: make one with PrivatePool(segment, None, size)")

    def __reduce__(self) -> str:
        raise TypeError(f"{self!r} belongs to this process: it cannot be pickled or copied")


def _checked_size(block_size: int) -> int:
    size = whole("block_size", block_size)
    if not 1 <= size <= 1 << 40:
        raise ValueError(f"a block of a pool has 1 to {1 << 40} bytes, not {block_size!r}")
    return size


def _checked_kept(chunks: int | None) -> int | None:
    kept = None if chunks is None else whole("max_free_chunks", chunks)
    if kept is not None and not 0 <= kept < 1 << 63:
        raise ValueError(f"max_free_chunks is 0 or more, not {chunks!r}")
    return kept
