# Raw mapped memory.  Part of _core.pyx.

cdef class Region:
    """Mapped memory as a buffer; what aioipc.MappedRegion is made of.

    It is unmapped with the last reference.  `close` and `shrink` refuse while buffers of it are in use.
    """

    cdef uint8_t *base       # of the first page; NULL: closed
    cdef uint64_t skip       # bytes of it that are not the region's
    cdef uint64_t mapped     # whole pages
    cdef uint64_t length
    cdef bint writable
    cdef Py_ssize_t exports

    def __cinit__(self, int fd, uint64_t offset, uint64_t size, uint64_t address, bint write, bint copy,
                  bint populate):
        cdef aipc_mapping how
        cdef void *base = NULL
        cdef int error = 0
        cdef uint64_t page = PAGE
        self.skip, self.length, self.writable = offset % page, size, write
        self.mapped = (self.skip + size + page - 1) // page * page
        how.offset, how.size, how.write, how.copy, how.populate = offset - self.skip, self.mapped, write, copy, populate
        how.address = 0 if address == 0 else address - self.skip
        cdef aipc_status status
        with nogil:
            status = aipc_os_map_as(fd, &how, &base, &error)
        if status == AIPC_EXISTS:
            raise OSError(EBUSY, f"something is mapped at {address:#x} already")
        if status != AIPC_OK:
            raise _exception(status, "mapping memory", NULL, NULL, error)
        self.base = <uint8_t *>base

    def __dealloc__(self):
        if self.base != NULL:
            aipc_os_unmap(self.base, self.mapped)

    cdef int require(self) except -1:
        if self.base == NULL:
            raise ClosedError("the region is closed")
        return 0

    cdef int unexported(self, str what) except -1:
        if self.exports > 0:
            raise BufferError(f"cannot {what} a region with {self.exports} buffer(s) in use; release the memoryviews")
        return 0

    @property
    def address(self) -> int:
        self.require()
        return <uint64_t>self.base + self.skip

    @property
    def size(self) -> int:
        return self.length

    @property
    def closed(self) -> bool:
        return self.base == NULL

    @property
    def readonly(self) -> bool:
        return not self.writable

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        self.require()
        if flags & PyBUF_WRITABLE and not self.writable:
            raise ReadOnlyError("the region is mapped read-only")
        PyBuffer_FillInfo(buffer, self, self.base + self.skip, self.length, not self.writable, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.exports -= 1

    def close(self):
        if self.base != NULL:
            self.unexported("close")
            aipc_os_unmap(self.base, self.mapped)
            self.base, self.length = NULL, 0

    def shrink(self, uint64_t count, bint from_back):
        """Gives `count` bytes up; their whole pages are unmapped."""
        cdef uint64_t page = PAGE, kept, gone
        self.require()
        self.unexported("shrink")
        if count >= self.length:
            return self.close()
        self.length -= count
        if from_back:
            kept = (self.skip + self.length + page - 1) // page * page
            if kept < self.mapped:
                aipc_os_unmap(self.base + kept, self.mapped - kept)
                self.mapped = kept
        else:
            gone = (self.skip + count) // page * page
            if gone > 0:
                aipc_os_unmap(self.base, gone)
                self.base += gone
                self.mapped -= gone
            self.skip = self.skip + count - gone

    def sync(self, uint64_t offset, uint64_t count, bint wait):
        """msync of the pages of a part."""
        self.apply(offset, count, 1 if wait else 0, -1)

    def advise(self, uint64_t offset, uint64_t count, int advice):
        """madvise of the pages of a part."""
        self.apply(offset, count, 0, advice)

    cdef int apply(self, uint64_t offset, uint64_t count, bint wait, int advice) except -1:
        cdef uint64_t page = PAGE, first, size
        cdef aipc_status status
        cdef int error = 0
        self.require()
        first = (self.skip + offset) // page * page
        size = self.skip + offset + count - first
        self.exports += 1  # the memory stays while the GIL is let go
        try:
            with nogil:
                if advice < 0:
                    status = aipc_os_sync(self.base + first, size, wait, &error)
                else:
                    status = aipc_os_advise(self.base + first, size, advice, &error)
        finally:
            self.exports -= 1
        if status != AIPC_OK:
            raise _exception(status, "flushing memory" if advice < 0 else "advising about memory", NULL, NULL, error)
        return 0
