# Reading without leave to write: what aioipc.ReadOnlySegment is made of.  Part of _core.pyx.
#
# Nothing here has a context of the segment or an Attachment: what is not written here cannot be done.

cdef enum:
    LOOKS = 64  # that did not hold, before another thread may run

cdef class Reader:
    """A segment mapped for reading."""

    cdef aipc_seg *seg
    cdef readonly bint closed
    cdef Py_ssize_t exports

    def __cinit__(self, int fd, str path):
        cdef aipc_status status
        self.seg = <aipc_seg *>PyMem_RawCalloc(1, sizeof(aipc_seg))
        if self.seg == NULL:
            raise MemoryError
        aipc_segment_init(self.seg, fd, path.encode("utf-8", "surrogateescape"))
        with nogil:
            status = aipc_reader_open(self.seg)
        self.closed = status != AIPC_OK
        check(self.seg, status, f"opening {path or 'the segment'} for reading")

    def __dealloc__(self):
        if self.seg != NULL:
            if not self.closed:
                aipc_reader_close(self.seg)
            PyMem_RawFree(self.seg)

    cdef int require(self) except -1:
        if self.closed:
            raise ClosedError("the segment is closed")
        return 0

    def close(self):
        if self.exports > 0:
            raise BufferError(
                f"cannot close the segment: {self.exports} exported buffer(s) of its blocks are in use; release the "
                "memoryviews first")
        if not self.closed:
            self.closed = True
            aipc_reader_close(self.seg)

    @property
    def uuid(self) -> bytes:
        self.require()
        return (<uint8_t *>self.seg.header.uuid)[:16]

    @property
    def size(self) -> int:
        self.require()
        return self.seg.header.size

    @property
    def max_size(self) -> int:
        self.require()
        return self.seg.header.max_size

    @property
    def ordered(self) -> bool:
        self.require()
        return bool(self.seg.ordered)

    @property
    def free_bytes(self) -> int:
        self.require()
        return self.seg.heap.free_bytes + self.seg.heap.hole_bytes

    def holders(self):
        """Who holds what (_holders.pxi)."""
        self.require()
        return holders_of(self.seg)

    cdef int look_again(self, uint64_t *looks) except -1:
        """After a look that did not hold: now and then others may run, and at last nobody goes on."""
        looks[0] += 1
        if looks[0] % LOOKS == 0:
            PyErr_CheckSignals()
            with nogil:
                aipc_os_yield()
        if looks[0] > 1 << 22:
            raise IPCError("reading a segment: others have changed it at every one of four million looks")
        return 0

    def find(self, int kind, bytes name):
        """The Seen object of this name; None."""
        cdef Seen seen = Seen.__new__(Seen)
        cdef aipc_look look
        cdef aipc_status status
        cdef uint64_t looks = 0
        while True:
            self.require()  # each time: others may have closed it since the last look
            look = aipc_look_begin(&self.seg.catalog.domain)
            status = aipc_find(aipc_reader_ctx(self.seg), kind, name, len(name), &seen.ref)
            if aipc_look_holds(&look) and status != AIPC_FORKED:
                break
            self.look_again(&looks)
        if status == AIPC_NOT_FOUND:
            return None
        check(self.seg, status, "finding an object")
        seen.reader, seen.seg = self, self.seg
        return seen

    def block(self, uint64_t handle, size=None):
        """The block of this handle, as a read-only buffer."""
        cdef uint64_t usable = 0
        cdef uint32_t flags = 0
        self.require()
        cdef aipc_status status = aipc_heap_size_of(self.seg, handle, &usable, &flags)
        if status != AIPC_OK or flags & AIPC_INTERNAL:
            raise NotFoundError(f"there is no block with handle {handle} in this segment")
        if flags & AIPC_OWNED:
            usable -= 8  # the last word is not the user's
        if size is not None and not 0 <= size <= usable:
            raise ValueError(f"block {handle} has {usable} bytes, not {size}")
        cdef ReadOnlyBlock block = ReadOnlyBlock.__new__(ReadOnlyBlock)
        block.reader, block.handle, block.size = self, handle, usable if size is None else size
        return block


cdef class ReadOnlyBlock:
    """Memory of a segment that was opened read-only: a buffer that cannot be written."""

    cdef Reader reader
    cdef readonly uint64_t handle
    cdef readonly uint64_t size

    def __init__(self):
        raise TypeError("get blocks with segment.block(handle)")

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        self.reader.require()
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise ReadOnlyError("the segment was opened read-only")
        PyBuffer_FillInfo(buffer, self, self.reader.seg.base + self.handle, self.size, 1, flags)
        self.reader.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.reader.exports -= 1

    def __repr__(self):
        return f"<aioipc.ReadOnlyBlock handle={self.handle} size={self.size}>"


cdef class Seen:
    """An object that a reader found.  Nothing keeps its memory: each look asks whether it is there."""

    cdef Reader reader
    cdef aipc_seg *seg
    cdef aipc_object_ref ref

    @property
    def type(self) -> int:
        return self.ref.type

    @property
    def serial(self) -> int:
        return self.ref.serial

    cdef inline bint gone(self) noexcept:
        return aipc_object_destroyed(self.seg, &self.ref)

    cdef void *payload(self, uint64_t size) except NULL:
        """Where it is, if it is there."""
        self.reader.require()
        if self.gone():
            raise ClosedError("the object was destroyed")
        if self.ref.size < size:
            raise CorruptSegmentError(f"the object at offset {self.ref.object:#x} has {self.ref.size} bytes")
        return self.seg.base + self.ref.payload

    cdef int describe(self, aipc_description *said) except -1:
        """What a struct or an array says of itself."""
        self.payload(0)
        cdef aipc_status status = aipc_described_at(self.seg, self.ref.payload, self.ref.size, self.ref.count, said)
        self.payload(0)
        return check(self.seg, status, "finding a struct or an array")

    @property
    def description(self) -> bytes:
        """Its fields, or the type of its items, as text."""
        cdef aipc_description said
        self.describe(&said)
        text = said.text[:said.text_size]
        self.payload(0)
        return text

    # --- dicts

    def dict_get(self, key):
        """The bytes of a key's value; MISSING."""
        cdef Key packed
        cdef aipc_dict_found found
        cdef aipc_dict_key bytes
        cdef aipc_look look
        cdef aipc_status status
        cdef uint64_t looks = 0
        cdef aipc_dict *d
        keeper = _pack_known(key, &packed)
        if keeper is MISSING:
            return MISSING
        bytes = aipc_dict_key_of(self.seg, packed.canonical, packed.canonical_size)
        while True:
            d = <aipc_dict *>self.payload(sizeof(aipc_dict))
            look = aipc_look_begin(&d.domain)
            status = aipc_dict_get(aipc_reader_ctx(self.seg), d, &bytes, &found)
            value = (<char *>found.value)[:found.value_size] if status == AIPC_OK else None
            if status != AIPC_FORKED and aipc_look_holds(&look) and not self.gone():
                break
            self.reader.look_again(&looks)
        if status == AIPC_OK:
            return value
        if status != AIPC_NOT_FOUND:
            check(self.seg, status, "reading a dict")
        return MISSING

    def dict_walk(self, bint backwards):
        """An iterator over (key, value) of what is in the dict; values are bytes."""
        cdef SeenItems items = SeenItems.__new__(SeenItems)
        self.payload(sizeof(aipc_dict))
        items.seen, items.backwards = self, backwards
        return items

    def dict_len(self) -> int:
        cdef uint64_t count = aipc_dict_count(<aipc_dict *>self.payload(sizeof(aipc_dict)))
        self.payload(0)
        return count

    # --- queues

    def queue_statistics(self):
        """What QueueHandle._statistics gives."""
        cdef aipc_queue_stats stats
        self.payload(0)
        cdef aipc_queue *queue = aipc_queue_at(self.seg, self.ref.payload, self.ref.size)
        if queue == NULL:
            raise CorruptSegmentError(f"the queue at offset {self.ref.object:#x} has {self.ref.size} bytes")
        aipc_queue_stats_get(queue, &stats)
        self.payload(0)
        return _queue_record(&stats)


@cython.final
cdef class SeenItems:
    """Goes through a dict that others change meanwhile."""

    cdef Seen seen
    cdef aipc_dict_cursor cursor
    cdef bint backwards, ended

    def __iter__(self):
        return self

    cdef aipc_status step(self, aipc_dict *d, aipc_dict_found *found) noexcept:
        if self.backwards:
            return aipc_dict_prev(aipc_reader_ctx(self.seen.seg), d, &self.cursor, found)
        return aipc_dict_next(aipc_reader_ctx(self.seen.seg), d, &self.cursor, found)

    def __next__(self):
        cdef aipc_dict_cursor before = self.cursor
        cdef aipc_dict_found found
        cdef aipc_look look
        cdef aipc_status status
        cdef uint64_t looks = 0
        cdef aipc_dict *d
        cdef bytes key = None, value = None
        if self.ended:
            raise StopIteration
        while True:
            d = <aipc_dict *>self.seen.payload(sizeof(aipc_dict))
            look = aipc_look_begin(&d.domain)
            status = self.step(d, &found)
            if status == AIPC_OK:
                if found.original_size != 0:
                    key = (<char *>found.original)[:found.original_size]
                else:
                    key = (<char *>found.key)[:found.key_size]
                value = (<char *>found.value)[:found.value_size]
            if status != AIPC_FORKED and aipc_look_holds(&look) and not self.seen.gone():
                break
            self.cursor = before
            self.seen.reader.look_again(&looks)
        if status == AIPC_OK:
            return unpack_key(<const uint8_t *><char *>key, len(key)), value
        self.ended = True
        if status != AIPC_NOT_FOUND:
            check(self.seen.seg, status, "going through a dict")
        raise StopIteration


def decoded(bytes value):
    """What msgpack bytes stand for."""
    return unpack(<const uint8_t *><char *>value, len(value))


def view_of_bytes(bytes value):
    """A View of a copied value."""
    cdef CopiedValue copied = CopiedValue.__new__(CopiedValue)
    copied.value = value
    return view_of(<const uint8_t *><char *>value, len(value), copied)
