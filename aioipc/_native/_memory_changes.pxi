# Many blocks at once, another size for one, zeros.  Part of _core.pyx.

GROW_FORWARD = AIPC_GROW_FORWARD
GROW_BACKWARD = AIPC_GROW_BACKWARD
SHRINK = AIPC_SHRINK


cdef class _Numbers:
    """So many 64-bit numbers."""

    cdef uint64_t *at

    def __cinit__(self, uint64_t count):
        self.at = <uint64_t *>PyMem_RawCalloc(count + 1, sizeof(uint64_t))
        if self.at == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_RawFree(self.at)


def allocate_many(Opening opening not None, object segment, list sizes not None, uint64_t count, uint64_t alignment):
    """A Block of zeros for each size; `count` Blocks of the one size when there is one.  All or none."""
    cdef _Numbers wanted = _Numbers(len(sizes)), payloads = _Numbers(count)
    cdef aipc_many many
    cdef uint64_t i, total = 0
    for i in range(<uint64_t>len(sizes)):
        wanted.at[i] = sizes[i]
        total += wanted.at[i]
    many.sizes, many.equal, many.count = wanted.at, len(sizes) == 1, count
    many.alignment, many.payloads = alignment, payloads.at
    opening.require()
    cdef Attachment attachment = opening.attachment
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_status status = aipc_allocate_many(ctx, &many)
    aipc_ctx_leave(ctx)
    if status == AIPC_INVALID:
        raise ValueError(f"alignment must be a power of two within the segment's size, not {alignment}")
    attachment.check_space(status, total * count if many.equal else total, f"allocating {count} blocks")
    attachment.fall_asleep()
    try:
        for i in range(count):
            _clear(attachment.seg.base + payloads.at[i], usable_of(attachment.seg, payloads.at[i]))
    finally:
        attachment.wake_up()
    return [_block(segment, opening, payloads.at[i], wanted.at[0 if many.equal else i]) for i in range(count)]


def deallocate_many(Opening opening not None, list blocks not None):
    """Frees blocks.  Nothing is freed when one of them is not this segment's, or in use, or there twice."""
    cdef _Numbers payloads = _Numbers(len(blocks))
    cdef Block block
    cdef uint64_t i, freed = 0
    opening.require()
    for i, block in enumerate(blocks):
        block.require()
        _of_this_segment(opening, block, "deallocate")
        payloads.at[i] = block.handle
    if len({block.handle for block in blocks}) != len(blocks):
        raise ValueError("a block is there twice")
    for block in blocks:
        block.freed = True
    cdef aipc_ctx *ctx = opening.attachment.enter()
    cdef aipc_status status = aipc_deallocate_many(ctx, payloads.at, len(blocks), &freed)
    aipc_ctx_leave(ctx)
    for i in range(freed, <uint64_t>len(blocks)):
        block = blocks[i]
        block.freed = i == freed and status == AIPC_INVALID
    if status == AIPC_INVALID:
        raise NotFoundError(f"{blocks[freed]!r} was deallocated before, through another handle; so were the {freed} "
                            "blocks before it now, and those behind it are as they were")
    check(opening.attachment.seg, status, f"deallocating block {freed + 1} of {len(blocks)}")
    if opening.attachment.allocating > 0:
        _passed_on(opening.attachment)


cdef int _of_this_segment(Opening opening, Block block, str what) except -1:
    if block.opening.attachment is not opening.attachment:
        raise ValueError("the block belongs to another segment")
    if block.pool is not None:
        raise ValueError(f"cannot {what} {block!r}: it is of {block.pool!r}")
    if block.exports > 0:
        raise BufferError(f"cannot {what} {block!r}: its buffer is in use; release the memoryviews first")
    return 0


def resize(Opening opening not None, Block block not None, uint64_t minimum, uint64_t preferred, uint32_t ways,
           bint may_move, uint64_t alignment):
    """The block with another size, as a new Block; the old one is of no use then."""
    cdef aipc_resizing r
    opening.require()
    block.require()
    _of_this_segment(opening, block, "resize")
    r.payload, r.minimum, r.preferred, r.ways = block.handle, minimum, preferred, ways
    cdef Attachment attachment = opening.attachment
    cdef aipc_ctx *ctx = attachment.enter()
    block.freed = True  # while the GIL may be gone
    cdef aipc_status status = aipc_resize(ctx, &r, alignment, may_move)
    aipc_ctx_leave(ctx)
    if status == AIPC_OK:
        return _block(block.segment, opening, r.payload, r.usable)
    block.freed = status == AIPC_INVALID
    if status == AIPC_INVALID:
        raise NotFoundError(f"{block!r} was deallocated before, through another handle")
    if status != AIPC_FULL:
        check(attachment.seg, status, f"resizing {block!r}")
    error = SegmentFullError(f"resizing {block!r}: {minimum} bytes asked, {r.usable} might be had this way; "
                             "ask for less, allow more ways, or free something")
    error.asked, error.free, error.largest = minimum, attachment.heap_stats()[1], r.usable
    raise error


def zero_free_memory(Opening opening not None):
    """Writes zeros over everything that is free."""
    opening.require()
    cdef aipc_ctx *ctx = opening.attachment.enter()
    cdef aipc_status status = aipc_zero_free_memory(ctx)
    aipc_ctx_leave(ctx)
    check(opening.attachment.seg, status, "clearing free memory")


def all_deallocated(Opening opening not None) -> bool:
    """Whether nothing of the user's is left."""
    cdef cbool all = False
    opening.require()
    cdef aipc_ctx *ctx = opening.attachment.enter()
    cdef aipc_status status = aipc_all_deallocated(ctx, &all)
    aipc_ctx_leave(ctx)
    check(opening.attachment.seg, status, "looking for what is allocated")
    return bool(all)
