# Pools: blocks of one size, and those of them that this process has in stock.  Part of _core.pyx.

TYPE_POOL = AIPC_TYPE_POOL
TYPE_PRIVATE_POOL = AIPC_TYPE_PRIVATE_POOL
TYPE_ADAPTIVE_POOL = AIPC_TYPE_ADAPTIVE_POOL
POOL_SIZE = sizeof(aipc_pool)
POOL_CHUNK_MAX = AIPC_POOL_CHUNK_MAX
POOL_NEVER = AIPC_POOL_NEVER
POOL_OWNED = AIPC_POOL_OWNED
POOL_PRIVATE = AIPC_POOL_PRIVATE


def pool_image(Attachment attachment not None, uint64_t size, uint32_t per_chunk, uint64_t max_idle,
               uint32_t flags) -> bytes:
    """What a new pool starts with."""
    cdef aipc_pool image
    attachment.require()
    aipc_pool_init(&image, size, per_chunk, max_idle, flags, attachment.seg.self if flags & AIPC_POOL_PRIVATE else 0)
    return (<char *>&image)[:sizeof(image)]


@cython.no_gc_clear  # its last act needs what it refers to
cdef class PoolPin(Pin):
    """One pool, as this process knows it."""

    cdef aipc_pool_view view
    cdef aipc_pool_node *stock   # nodes that are cached here
    cdef uint32_t count, room
    cdef uint32_t limit          # so many are kept when blocks are freed

    cdef int bound(self) except -1:
        if not aipc_pool_at(self.seg, self.ref.payload, self.ref.size, &self.view):
            raise CorruptSegmentError(f"the pool at offset {self.ref.object:#x} contradicts itself")
        self.count = 0  # what was there is a parent's
        if self.view.flags & AIPC_POOL_PRIVATE and self.view.owner != self.seg.self:
            raise ClosedError("the private pool belongs to another process")
        if self.view.flags & AIPC_POOL_PRIVATE:
            self.attachment.keeping[self.ref.serial] = self
        return 0

    def __dealloc__(self):
        if self.attachment is not None and self.identity != 0 and self.identity == self.seg.self:
            self.give_up(0)
        PyMem_RawFree(self.stock)

    cdef int close(self) except -1:
        """Destroyed: the stock goes with it."""
        self.count = 0
        self.attachment.keeping.pop(self.ref.serial, None)
        return 0

    cdef int reserve(self, uint32_t count) except -1:
        """Room for so many more in stock."""
        cdef aipc_pool_node *more
        if self.count + count <= self.room:
            return 0
        more = <aipc_pool_node *>PyMem_RawRealloc(self.stock, (self.count + count) * 2 * sizeof(aipc_pool_node))
        if more == NULL:
            raise MemoryError
        self.stock, self.room = more, (self.count + count) * 2
        return 0

    cdef int fill(self, uint32_t want) except -1:
        """Takes up to `want` into stock, at least one; SegmentFullError."""
        cdef aipc_pool_node fresh[BATCH]
        cdef uint32_t got = 0
        want = min(want, <uint32_t>BATCH)
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_pool_take(ctx, &self.view, fresh, want, &got)  # other threads may run meanwhile
        aipc_ctx_leave(ctx)
        try:
            self.reserve(got)
        except BaseException:
            self.give(fresh, got)
            raise
        memcpy(&self.stock[self.count], fresh, got * sizeof(aipc_pool_node))
        self.count += got
        if got == 0:
            self.attachment.check_space(status, self.view.stride * self.view.per_chunk, "allocating from a pool")
        return 0

    cdef aipc_status give(self, aipc_pool_node *nodes, uint32_t count) noexcept:
        """Back to the pool; what cannot go back is in stock again."""
        global shield
        cdef aipc_ctx *ctx = NULL
        cdef uint32_t given = 0
        shield += 1
        cdef aipc_status status = enter_at_last(self.seg, &ctx)
        if status == AIPC_OK:
            status = aipc_pool_give(ctx, &self.view, nodes, count, &given)
            aipc_ctx_leave(ctx)
        shield -= 1
        if given < count and self.count + count - given <= self.room:
            memcpy(&self.stock[self.count], &nodes[given], (count - given) * sizeof(aipc_pool_node))
            self.count += count - given
        return status

    cdef aipc_status give_up(self, uint32_t keep) noexcept:
        """Of the stock, all but `keep`."""
        cdef aipc_pool_node nodes[BATCH]
        cdef aipc_status status = AIPC_OK
        cdef uint32_t count
        while status == AIPC_OK and self.count > keep:
            count = min(self.count - keep, <uint32_t>BATCH)
            self.count -= count
            memcpy(nodes, &self.stock[self.count], count * sizeof(aipc_pool_node))
            status = self.give(nodes, count)
        return status


cdef class PoolHandle(Handle):
    """What all kinds of pools do."""

    cdef PoolPin pool

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.pool = <PoolPin?>pin

    cdef inline Block hand_out(self):
        """The next one in stock."""
        cdef PoolPin pool = self.pool
        cdef Block block = _block(self.segment, self.opening, 0, pool.view.size)
        if pool.view.flags & AIPC_POOL_OWNED and pool.ref.serial not in pool.attachment.keeping:
            pool.attachment.keeping[pool.ref.serial] = pool  # its pin leads to what is to be given back
        block.pool = self
        pool.count -= 1
        block.handle = aipc_pool_hand(pool.seg, &pool.view, &pool.stock[pool.count])
        memset(pool.seg.base + block.handle, 0, pool.view.size)
        return block

    def allocate(self) -> Block:
        """A block of `block_size` zero bytes.  Raises SegmentFullError, ClosedError."""
        self.usable("pool")
        while self.pool.count == 0:
            self.pool.fill(1 + self.pool.limit // 2)
            self.usable("pool")
        return self.hand_out()

    def allocate_many(self, uint32_t count) -> list:
        """`count` blocks, or SegmentFullError and none.  Killed in the middle, what was not handed out yet comes back."""
        self.usable("pool")
        try:
            while self.pool.count < count:
                self.pool.fill(count - self.pool.count)
                self.usable("pool")
            return [self.hand_out() for _ in range(count)]
        finally:
            if self.pool.count > self.pool.limit:
                self.pool.give_up(self.pool.limit)

    def deallocate(self, Block block not None) -> None:
        """Gives a block back to the pool, whoever allocated it; the Block then raises ClosedError.

        Raises BufferError while memoryviews of it are in use here, NotFoundError when it was given back before.
        """
        cdef aipc_pool_node node
        cdef PoolPin pool = self.pool
        self.usable("pool")
        block.require()
        if block.pool is None or (<PoolHandle>block.pool).pool is not pool:
            raise ValueError(f"{block!r} is no block of {self!r}")
        if block.exports > 0:
            raise BufferError(f"cannot deallocate {block!r}: its buffer is in use; release the memoryviews first")
        pool.reserve(BATCH)
        cdef aipc_status status = aipc_pool_back(pool.seg, &pool.view, block.handle, &node)
        block.freed = True
        if status == AIPC_INVALID:
            raise NotFoundError(f"{block!r} was deallocated before, through another handle")
        pool.stock[pool.count] = node
        pool.count += 1
        if pool.count > pool.limit:
            check(pool.seg, pool.give_up(pool.limit // 2), f"deallocating {block!r}")
            if pool.attachment.allocating > 0:
                _passed_on(pool.attachment)

    def block(self, uint64_t handle) -> Block:
        """The block that has this handle, in whichever process it was allocated.  Raises NotFoundError."""
        self.usable("pool")
        if aipc_pool_test(self.pool.seg, &self.pool.view, handle) != AIPC_OK:
            raise NotFoundError(f"there is no block with handle {handle} in this pool")
        cdef Block block = _block(self.segment, self.opening, handle, self.pool.view.size)
        block.pool = self
        return block

    @property
    def block_size(self) -> int:
        """Bytes of each block."""
        self.attached("pool")
        return self.pool.view.size

    @property
    def max_cached_nodes(self) -> int:
        """How many free blocks this process keeps for itself, whatever handle it uses; 0: none.  Setting it gives back what is
        too many."""
        return self.pool.limit

    @max_cached_nodes.setter
    def max_cached_nodes(self, uint32_t most):
        self.usable("pool")
        self.pool.limit = most
        check(self.pool.seg, self.pool.give_up(most), "giving cached blocks back")

    def deallocate_cache(self) -> None:
        """Gives back the free blocks that this process keeps for itself."""
        self.usable("pool")
        check(self.pool.seg, self.pool.give_up(0), "giving cached blocks back")

    def deallocate_free_blocks(self) -> int:
        """Gives chunks without a used block back to the segment, the cache first; how many chunks."""
        cdef uint64_t freed = 0
        self.deallocate_cache()
        cdef aipc_ctx *ctx = self.pool.attachment.enter()
        cdef aipc_status status = aipc_pool_trim(ctx, &self.pool.view, 0, &freed)
        aipc_ctx_leave(ctx)
        check(self.pool.seg, status, "giving free chunks back")
        if freed and self.pool.attachment.allocating > 0:
            _passed_on(self.pool.attachment)
        return freed

    def _options(self):
        """(size, blocks per chunk, idle chunks kept, flags)."""
        self.attached("pool")
        cdef aipc_pool_view *view = &self.pool.view
        return view.size, view.per_chunk, view.max_idle, view.flags

    def _statistics(self):
        """(chunks, idle chunks, free blocks, blocks cached here)."""
        cdef aipc_pool_stats stats
        self.usable("pool")
        aipc_pool_stats_get(&self.pool.view, &stats)
        return stats.chunks, stats.idle_chunks, stats.free_nodes, self.pool.count
