# BufferIO, VectorIO: streams of bytes.  Part of _core.pyx.

TYPE_BUFFER_IO = AIPC_TYPE_BUFFER_IO
TYPE_VECTOR_IO = AIPC_TYPE_VECTOR_IO

cdef extern from "Python.h":
    Py_ssize_t _clipped "PyNumber_AsSsize_t" (object number, PyObject *error) except? -1  # NULL: to what there is

cdef enum:
    SEEK_SET = 0
    SEEK_CUR = 1
    SEEK_END = 2


def stream_image(uint64_t room) -> bytes:
    """What a new stream starts with: one of so much room, or (0) one that grows."""
    cdef aipc_vector image
    if room == 0:
        aipc_vector_init(&image)
        return (<char *>&image)[:sizeof(image)]
    aipc_buffer_init(&image.stream, room)
    return (<char *>&image.stream)[:sizeof(image.stream)]


@cython.no_gc_clear  # its last act needs what it refers to
cdef class StreamPin(Pin):
    """One stream, as this process knows it."""

    cdef aipc_stream *stream
    cdef readonly uint64_t room  # 0: it grows

    cdef int bound(self) except -1:
        if self.ref.type == AIPC_TYPE_BUFFER_IO:
            self.stream = aipc_buffer_at(self.seg, self.ref.payload, self.ref.size)
        else:
            self.stream = aipc_vector_at(self.seg, self.ref.payload, self.ref.size)
        if self.stream == NULL:
            raise CorruptSegmentError(f"the stream at offset {self.ref.object:#x} does not fit into {self.ref.size} bytes")
        self.room = self.stream.room
        return 0


cdef class StreamHandle(Handle):
    """What streams do: reading and writing at a position of this handle's own."""

    cdef StreamPin stream
    cdef uint64_t at
    cdef bint ended             # close() was called

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.stream = <StreamPin?>pin

    @property
    def closed(self) -> bool:
        """Whether this handle was closed."""
        return self.ended

    def close(self) -> None:
        """Closes this handle; the bytes stay, and so do other handles."""
        self.ended = True

    @cython.final
    cdef inline aipc_stream *open(self) except NULL:
        if self.ended:
            raise ValueError("I/O operation on closed file")
        self.usable("stream")
        return self.stream.stream

    @cython.final
    cdef uint64_t length(self) except? 0x5eed:
        """Bytes that are there."""
        cdef uint64_t length = aipc_stream_length(self.open())
        if length > self.stream.seg.mapped:
            raise CorruptSegmentError(f"the stream at offset {self.stream.ref.object:#x} says it has {length} bytes")
        return length

    def __len__(self):
        return self.length()

    @cython.final
    cdef uint64_t left(self) except? 0x5eed:
        """Bytes from the position to the end."""
        cdef uint64_t length = self.length()
        return length - self.at if length > self.at else 0

    @cython.final
    cdef int copy_out(self, uint8_t *to, uint64_t count) except -1:
        cdef uint8_t *bytes
        cdef uint64_t room
        while count > 0:
            check(self.stream.seg, aipc_stream_span(self.stream.seg, self.stream.stream, self.at, &bytes, &room),
                  "reading a stream")
            if room == 0:
                raise CorruptSegmentError(f"the stream at offset {self.stream.ref.object:#x} is longer than its room")
            room = min(room, count)
            memcpy(to, bytes, room)
            to += room
            count -= room
            self.at += room
        return 0

    def read(self, size=-1) -> bytes:
        """Up to `size` bytes from the position on, all there are when it is negative or None; b"" at the end."""
        cdef Py_ssize_t most = -1 if size is None else _clipped(size, NULL)
        cdef uint64_t count = self.left()
        if most >= 0:
            count = min(count, <uint64_t>most)
        cdef bytes result = PyBytes_FromStringAndSize(NULL, count)
        self.copy_out(<uint8_t *>PyBytes_AS_STRING(result), count)
        return result

    def readinto(self, buffer) -> int:
        """Fills the buffer from the position on; how many bytes there were for it, 0 at the end."""
        cdef Py_buffer target
        cdef uint64_t count
        PyObject_GetBuffer(buffer, &target, PyBUF_WRITABLE)
        try:
            count = min(self.left(), <uint64_t>target.len)
            self.copy_out(<uint8_t *>target.buf, count)
            return count
        finally:
            PyBuffer_Release(&target)

    def write(self, data) -> int:
        """Writes at the position, and moves it; how many bytes there was room for.

        A BufferIO takes what fits, and raises OSError (ENOSPC) when that is nothing.  A VectorIO takes all, or
        raises SegmentFullError.  Behind the end others see all of it at once, or, if the writer dies, none.
        """
        cdef Py_buffer source
        PyObject_GetBuffer(data, &source, PyBUF_SIMPLE)
        try:
            return self.write_bytes(<const uint8_t *>source.buf, source.len)
        finally:
            PyBuffer_Release(&source)

    @cython.final
    cdef object write_bytes(self, const uint8_t *bytes, uint64_t count):
        cdef aipc_stream *stream = self.open()
        cdef uint64_t at = self.at  # other threads that use this handle may move it meanwhile
        if count == 0:
            return 0
        if self.stream.room != 0:
            if at >= self.stream.room:
                raise OSError(ENOSPC, f"{self!r} is full: it has room for {self.stream.room} bytes")
            count = min(count, self.stream.room - at)
        self.reserve_to(at + count)
        check(self.stream.seg, aipc_stream_write(self.stream.seg, stream, at, bytes, count), "writing a stream")
        self.at = at + count
        return count

    @cython.final
    cdef int reserve_to(self, uint64_t end) except -1:
        if self.stream.room != 0:
            return 0
        cdef aipc_ctx *ctx = self.stream.attachment.enter()
        cdef aipc_status status = aipc_stream_reserve(ctx, self.stream.stream, end)
        aipc_ctx_leave(ctx)
        return self.stream.attachment.check_space(status, end, "growing a stream")

    def reserve(self, size) -> None:
        """Makes room for `size` bytes, so that writing them cannot fail for want of memory."""
        size = _index(size)
        if size < 0:
            raise ValueError(f"a stream has 0 bytes or more, not {size}")
        self.open()
        if self.stream.room != 0 and size > self.stream.room:
            raise ValueError(f"{self!r} has room for {self.stream.room} bytes, not {size}")
        self.reserve_to(size)

    def seek(self, offset, int whence=SEEK_SET) -> int:
        """Moves the position: from the beginning, from where it is (1), or from the end (2)."""
        offset = _index(offset)
        self.open()
        if not SEEK_SET <= whence <= SEEK_END:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        target = offset + (self.length() if whence == SEEK_END else self.at if whence == SEEK_CUR else 0)
        if not 0 <= target < 1 << 62:
            raise ValueError(f"position {target} is out of range")
        self.at = target
        return target

    def tell(self) -> int:
        """The position."""
        self.open()
        return self.at

    def truncate(self, size=None) -> int:
        """Makes it `size` bytes long (None: up to the position): cut off, or filled up with zeros."""
        size = self.tell() if size is None else _index(size)
        self.reserve(size)
        cdef aipc_stream *stream = self.open()
        cdef uint64_t wanted = size, length = self.length()
        if wanted > length:
            check(self.stream.seg, aipc_stream_write(self.stream.seg, stream, wanted, NULL, 0), "extending a stream")
        elif wanted < length:
            aipc_stream_cut(stream, wanted)
        return wanted

    @property
    def _room(self):
        return self.stream.room

    @property
    def _length(self):
        self.attached("stream")
        return aipc_stream_length(self.stream.stream)
