# How an Attachment begins: segments made, opened or copied, in a file or in memory that is lent.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class Lent:
    """A writable buffer in which a segment lies; its owner cannot resize it meanwhile."""

    cdef Py_buffer view
    cdef bint held
    cdef object released  # called when it is not used any more

    def __cinit__(self, memory, released=None):
        PyObject_GetBuffer(memory, &self.view, PyBUF_WRITABLE)
        self.held = True
        self.released = released

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)
        if self.released is not None:
            try:
                self.released()
            except Exception:
                pass  # nobody to tell: the memory goes with the process

    cdef uint64_t size(self) noexcept:
        return <uint64_t>self.view.len & ~<uint64_t>15


def lent_memory(memory):
    """(address, size) of a buffer as a segment would use it; ValueError when it is not aligned to 16."""
    cdef Lent lent = Lent(memory)
    address = <uint64_t>lent.view.buf
    if address % 16:
        raise ValueError(f"the buffer begins at {address:#x}; it must begin at a multiple of 16")
    return address, lent.size()


def uuid_in(memory):
    """The uuid of the segment that lies in a buffer; None when there is none, or a half-made one."""
    cdef Lent lent = Lent(memory)
    cdef aipc_header *header = <aipc_header *>lent.view.buf
    if lent.view.len < <Py_ssize_t>sizeof(aipc_header) or header.magic != AIPC_MAGIC:
        return None
    return (<uint8_t *>header.uuid)[:16]


def clear(memory) -> None:
    """Writes zeros over a buffer."""
    cdef Lent lent = Lent(memory)
    with nogil:
        memset(lent.view.buf, 0, <size_t>lent.view.len)


cdef Attachment _prepare(int fd, str path, memory, bint solitary, uint32_t pages, released):
    """Takes fd over: it is closed with the attachment."""
    cdef Attachment self = Attachment.__new__(Attachment)
    aipc_segment_init(self.seg, fd, path.encode("utf-8", "surrogateescape"))
    self.seg.solitary = solitary
    cdef Lent lent
    if memory is not None:
        self.memory = lent = Lent(memory, released)
        aipc_segment_lend(self.seg, lent.view.buf, lent.size(), solitary)
        self.seg.pages = pages
    return self


def create_attachment(int fd, str path, uint64_t size, uint64_t max_size, uint32_t participants, uint32_t flags,
                      uint32_t mode, uint32_t algorithm, memory=None, bint solitary=False, uint32_t pages=0, released=None):
    """Formats the empty object behind fd, which will be `path`, and attaches.

    With `memory` (zeroed, max_size bytes) the segment lies there, and the object is only locked; `pages`: how its
    pages go back to the system.
    """
    cdef aipc_create_options options
    options.size, options.max_size = size, max_size
    options.participants, options.flags, options.mode = participants, flags, mode
    options.algorithm = algorithm
    cdef Attachment self = _prepare(fd, path, memory, solitary, pages, released)
    cdef aipc_status status
    with nogil:
        status = aipc_segment_create(self.seg, &options)
    self.seg.idle, self.seg.bulk = _idle, _bulk
    if status == AIPC_FULL:
        raise SegmentFullError(
            f"creating {path or 'a segment'}: the filesystem has no room for {size} bytes; "
            "create a smaller segment, or enlarge /dev/shm (docker run --shm-size=...)")
    check(self.seg, status, f"creating {path or 'a segment'}")
    return self


def open_attachment(int fd, str path, memory=None, bint solitary=False, uint32_t pages=0, released=None):
    """Attaches to the segment behind fd, or in `memory`; None when its last user is removing it.

    `solitary`: no other process has a part in it, and so it makes no bells that they could find.
    """
    cdef Attachment self = _prepare(fd, path, memory, solitary, pages, released)
    cdef aipc_status status
    with nogil:
        status = aipc_segment_open(self.seg)
    self.seg.idle, self.seg.bulk = _idle, _bulk
    if status == AIPC_GONE:
        return None
    if status == AIPC_FULL and self.seg.base == NULL:
        raise SegmentFullError(
            f"opening {path or 'the segment'}: it is a sparse copy, and the filesystem has no room for the pages that were "
            "left out; make room, or copy it elsewhere")
    check(self.seg, status, f"opening {path or 'the segment'}")
    return self


def copy_segment(Attachment attachment not None, int fd):
    """Writes the segment as of one moment to the empty file behind fd.

    Others wait for the time of the copy; this thread lets the GIL go.
    """
    cdef aipc_status status = AIPC_AGAIN, recovery
    cdef uint32_t recovered = 0
    cdef aipc_ctx *ctx
    while status == AIPC_AGAIN:
        ctx = attachment.enter()
        with nogil:
            status = aipc_snapshot(ctx, fd)
        if status == AIPC_AGAIN:  # a dead process holds something
            recovery = aipc_recover_all(ctx, &recovered)
            if recovery != AIPC_OK:
                status = recovery
        aipc_ctx_leave(ctx)
        PyErr_CheckSignals()
    if status == AIPC_FULL:
        raise SegmentFullError("copying a segment: the filesystem has no room for it")
    check(attachment.seg, status, "copying a segment")
