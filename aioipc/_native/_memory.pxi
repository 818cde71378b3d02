# Segment handles and blocks of raw memory.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class Opening:
    """One open segment handle: everything made through it stops working when it closes."""

    cdef readonly Attachment attachment
    cdef readonly bint closed
    cdef bint left
    cdef Py_ssize_t exports  # buffers of its blocks that are in use

    def __cinit__(self, Attachment attachment not None):
        attachment.require()
        self.attachment = attachment
        attachment.openings += 1

    def __dealloc__(self):
        if not self.left and self.attachment is not None:
            self.left = True
            try:
                self.attachment.leave()
            except Exception:
                pass

    def begin_close(self, bint when_released):
        """Closes for new operations.  BufferError while blocks' buffers are in use, unless deferred."""
        if self.exports > 0 and not when_released:
            raise BufferError(
                f"cannot close the segment: {self.exports} exported buffer(s) of its blocks are in use; release the "
                "memoryviews first, or use close(when_released=True)")
        self.closed = True
        self.attachment.ring_own()

    def finish_close(self):
        """Leaves the attachment, now or when the last buffer is released."""
        if self.closed and self.exports == 0 and not self.left:
            if PyThread_get_thread_ident() in self.attachment.sleepers:  # a signal handler while this thread waits
                if self not in self.attachment.leaving:
                    self.attachment.leaving.append(self)
                return
            self.left = True
            try:
                self.attachment.leave()
            except BaseException:
                self.left = False
                raise

    cdef int require(self) except -1:
        if self.closed:
            raise ClosedError("the segment is closed")
        return self.attachment.require()

    cdef int released(self) except -1:
        """One exported buffer less, maybe in the middle of an exception, which goes on afterwards."""
        cdef PyObject *kind = NULL
        cdef PyObject *error = NULL
        cdef PyObject *traceback = NULL
        self.exports -= 1
        if not self.closed:
            return 0
        PyErr_Fetch(&kind, &error, &traceback)
        try:
            self.finish_close()
        except Exception:
            pass  # nobody to tell: the opening leaves when it is collected, or with the process
        PyErr_Restore(kind, error, traceback)
        return 0

    # --- memory

    def allocate(self, object segment, uint64_t size, uint64_t alignment, bint must, bint owned=False):
        """A Block of `size` zero bytes; None when there is no room and `must` is not set."""
        cdef uint64_t payload = 0
        cdef aipc_status status
        self.require()
        cdef aipc_ctx *ctx = self.attachment.enter()
        if owned:
            status = aipc_owned_allocate(ctx, size, alignment, &payload)
        else:
            status = aipc_heap_allocate(ctx, size, alignment, 0, NULL, &payload)
        aipc_ctx_leave(ctx)
        if status == AIPC_FULL and not must:
            return None
        if status == AIPC_INVALID:
            raise ValueError(f"alignment must be a power of two within the segment's size, not {alignment}")
        self.attachment.check_space(status, size, "allocating")
        self.clear(payload, size)
        return _block(segment, self, payload, size)

    cdef void clear(self, uint64_t payload, uint64_t size) noexcept:
        cdef uint8_t *memory = self.attachment.seg.base + payload
        cdef uint64_t usable = usable_of(self.attachment.seg, payload)
        if usable < LARGE:
            memset(memory, 0, usable)
        else:
            self.attachment.fall_asleep()
            _bulk(memory, NULL, usable)
            self.attachment.wake_up()

    def block(self, object segment, uint64_t handle, size=None):
        """The Block at `handle`: all its usable bytes, or the first `size` of them."""
        cdef uint64_t usable = 0
        cdef uint32_t flags = 0
        self.require()
        cdef aipc_status status = AIPC_INVALID
        if aipc_heap_may_read(self.attachment.seg, handle):
            status = aipc_heap_size_of(self.attachment.seg, handle, &usable, &flags)
        if status == AIPC_INVALID or (status == AIPC_OK and flags & AIPC_INTERNAL):
            raise NotFoundError(f"there is no block with handle {handle} in this segment")
        check(self.attachment.seg, status, f"block {handle}")
        if flags & AIPC_OWNED:
            usable -= 8
        if size is not None:
            if not 0 <= size <= usable:
                raise ValueError(f"block {handle} has {usable} bytes, not {size}")
            usable = size
        return _block(segment, self, handle, usable)

    def deallocate(self, Block block not None):
        """Frees a block.  BufferError while its buffer is in use."""
        self.require()
        block.require()
        if block.opening.attachment is not self.attachment:
            raise ValueError("the block belongs to another segment")
        if block.pool is not None:
            raise ValueError(f"{block!r} is of {block.pool!r}: deallocate it there")
        if block.exports > 0:
            raise BufferError(f"cannot deallocate {block!r}: its buffer is in use; release the memoryviews first")
        block.freed = True
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_deallocate(ctx, block.handle)
        aipc_ctx_leave(ctx)
        block.freed = status == AIPC_OK or status == AIPC_INVALID
        if status == AIPC_INVALID:
            raise NotFoundError(f"{block!r} was deallocated before, through another handle")
        check(self.attachment.seg, status, f"deallocating {block!r}")
        if self.attachment.allocating > 0:
            _passed_on(self.attachment)


cdef uint64_t usable_of(aipc_seg *seg, uint64_t payload) noexcept:
    """Bytes of a block that are its user's; 0 when it is none."""
    cdef uint64_t usable = 0
    cdef uint32_t flags = 0
    if aipc_heap_size_of(seg, payload, &usable, &flags) != AIPC_OK:
        return 0
    return usable - 8 if flags & AIPC_OWNED else usable


cdef void _bulk(uint8_t *to, const uint8_t *source, uint64_t count) noexcept:
    """What the core leaves to us where it is much: others run meanwhile."""
    with nogil:
        if source == NULL:
            memset(to, 0, count)
        else:
            memcpy(to, source, count)


cdef inline void _clear(uint8_t *memory, uint64_t count) noexcept:
    if count < LARGE:
        memset(memory, 0, count)
    else:
        _bulk(memory, NULL, count)


cdef Block _block(object segment, Opening opening, uint64_t handle, uint64_t size):
    cdef Block block = Block.__new__(Block)
    block.segment, block.opening, block.handle, block.size = segment, opening, handle, size
    return block


@cython.no_gc_clear  # its last act needs what it refers to
cdef class Block:
    """Memory in a segment: a writable buffer that other processes reach by its `handle`.

    Made by `segment.allocate(n)` and `segment.block(handle)`.  It lives until somebody deallocates it, not
    until this Python object goes.  `memoryview(block)` reads and writes shared memory in place::

        block = segment.allocate(4096)
        memoryview(block)[:5] = b"hello"
        other = segment.block(block.handle)      # in any process that has the segment
    """

    cdef Opening opening
    cdef readonly object segment
    cdef readonly uint64_t handle
    cdef readonly uint64_t size
    cdef object pool      # the PoolHandle that it is of
    cdef bint freed
    cdef Py_ssize_t exports

    def __init__(self):
        raise TypeError("make blocks with segment.allocate(n) or segment.block(handle)")

    cdef int require(self) except -1:
        if self.freed or self.opening is None:
            raise ClosedError(f"block {self.handle} was deallocated")
        return self.opening.require()

    @property
    def usable(self) -> int:
        """Bytes that the block really has: at least `size`, as blocks come in steps of 16."""
        self.require()
        usable = usable_of(self.opening.attachment.seg, self.handle)
        if usable == 0:
            raise NotFoundError(f"{self!r} was deallocated before, through another handle")
        return usable

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        self.require()
        PyBuffer_FillInfo(buffer, self, self.opening.attachment.seg.base + self.handle, self.size, 0, flags)
        self.exports += 1
        self.opening.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.exports -= 1
        self.opening.released()

    def __repr__(self):
        state = " deallocated" if self.freed else " closed" if self.opening.closed else ""
        return f"<aioipc.Block handle={self.handle} size={self.size}{state}>"
