# Waiting for memory that somebody frees.  Part of _core.pyx.

@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class AllocateOperation(Operation):
    """`segment.allocate_when_free(n)`"""

    cdef object segment
    cdef uint64_t size, alignment
    cdef bint owned

    cdef object attempt(self):
        cdef uint64_t payload = 0
        self.opening.require()
        cdef Block block = _block(self.segment, self.opening, 0, self.size)  # before there is something to lose
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status turn = aipc_room_turn(ctx, self.node), status = turn
        if turn == AIPC_OK and self.owned:
            status = aipc_owned_allocate(ctx, self.size, self.alignment, &payload)
        elif turn == AIPC_OK:
            status = aipc_heap_allocate(ctx, self.size, self.alignment, 0, NULL, &payload)
        aipc_ctx_leave(ctx)
        if turn == AIPC_AGAIN or status == AIPC_FULL:
            return NOT_YET
        check(self.seg, status, "allocating")
        block.handle = payload
        self.withdraw()  # the next one need not wait until it is all zeros
        self.clear(block)
        return block

    cdef int clear(self, Block block) except -1:
        """Fills it with zeros.  Closed by another thread meanwhile, the segment keeps no block that nobody has."""
        cdef aipc_ctx *ctx = NULL
        self.attachment.fall_asleep()
        self.opening.clear(block.handle, self.size)
        if self.opening.closed and enter_at_last(self.seg, &ctx) == AIPC_OK:
            aipc_deallocate(ctx, block.handle)
            aipc_ctx_leave(ctx)
        self.attachment.wake_up()
        return self.opening.require()

    cdef bint last_chance(self) except -1:
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_room_turn_recover(ctx)
        aipc_ctx_leave(ctx)
        if status == AIPC_AGAIN:
            return False
        check(self.seg, status, "allocating")
        return self.succeeds()

    cdef aipc_status stand(self, aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node):
        return aipc_room_stand(ctx, bell, token, node)

    cdef aipc_status again(self, aipc_ctx *ctx, uint32_t node):
        return aipc_room_again(ctx, node)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_room_leave(ctx, node)

    cdef void counted(self, int change) noexcept:
        self.attachment.allocating += change

    def refuse(self, str what not None):
        """Raises SegmentFullError."""
        self.attachment.check_space(AIPC_FULL, self.size, what)


aioipc_set_am_send(AllocateOperation, _send)


def allocating(object segment, Opening opening not None, uint64_t size, uint64_t alignment,
               bint owned) -> AllocateOperation:
    """Waits until there is a block of `size` bytes.  SegmentFullError when there never will be."""
    opening.require()
    cdef Attachment attachment = opening.attachment
    cdef uint64_t most = aipc_catalog_most(attachment.seg, alignment)
    if alignment == 0 or alignment & (alignment - 1):
        raise ValueError(f"alignment must be a power of two within the segment's size, not {alignment}")
    if size > most:
        attachment.check_space(AIPC_FULL, size, f"waiting for a block of at most {most} bytes, as there can be")
    cdef AllocateOperation operation = AllocateOperation.__new__(AllocateOperation)
    operation.opening, operation.attachment, operation.seg = opening, attachment, attachment.seg
    operation.segment, operation.size, operation.alignment, operation.owned = segment, size, alignment, owned
    return operation


def allocators(Attachment attachment not None) -> int:
    """How many tasks and threads of all processes wait for memory."""
    attachment.require()
    return aipc_room_waiters(attachment.seg)
