# Queue: the object, and the bytes of its items.  Part of _core.pyx.

cdef enum:
    CODEC_MSGPACK = 0
    CODEC_RAW = 1
    CODEC_OBJECT = 2

CODECS = {"msgpack": CODEC_MSGPACK, "raw": CODEC_RAW}
CODEC_OF_OBJECT = CODEC_OBJECT


def queue_size(Attachment attachment not None) -> int:
    """Bytes of a queue object in this segment."""
    attachment.require()
    return aipc_queue_object_size(attachment.seg.participants)


def queue_image(Attachment attachment not None, uint64_t maxsize, uint64_t max_bytes, uint32_t codec) -> bytes:
    """What a new queue object starts with."""
    cdef aipc_queue_options options
    options.maxsize, options.max_bytes, options.codec = maxsize, max_bytes, codec
    image = bytearray(queue_size(attachment))
    aipc_queue_init(<char *>image, &options)
    return bytes(image)


@cython.no_gc_clear  # its last act needs what it refers to
cdef class QueuePin(LinePin):
    """One queue, as this process knows it."""

    cdef aipc_queue *queue

    cdef int bound(self) except -1:
        self.queue = aipc_queue_at(self.seg, self.ref.payload, self.ref.size)
        if self.queue == NULL:
            raise CorruptSegmentError(f"the queue at offset {self.ref.object:#x} has {self.ref.size} bytes")
        return LinePin.bound(self)

    cdef int close(self) except -1:
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_queue_close(ctx, self.queue)
        aipc_ctx_leave(ctx)
        return check(self.seg, status, "destroying a queue")


cdef inline object pack_into(object item, Packed *packed, aipc_bytes *bytes):
    """Packs an item and lets `bytes` name what came of it; what is returned keeps it alive."""
    keeper = pack(item, packed)
    bytes.head, bytes.head_size = packed.head, packed.head_size
    bytes.data, bytes.size = packed.body, packed.head_size + packed.body_size
    return keeper


cdef class Message:
    """An item's bytes, ready to be put."""

    cdef aipc_bytes bytes
    cdef Packed packed
    cdef object keeper
    cdef Py_buffer buffer
    cdef bint exported

    def __dealloc__(self):
        if self.exported:
            PyBuffer_Release(&self.buffer)

    cdef int raw(self, object item) except -1:
        if type(item) is bytes:
            self.keeper = item
            self.bytes.data, self.bytes.size = PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item)
            return 0
        try:
            PyObject_GetBuffer(item, &self.buffer, PyBUF_SIMPLE)
        except TypeError:
            raise TypeError(f"this queue's codec is 'raw': its items are bytes-like, not {type(item).__name__!r}") \
                from None
        self.exported = True
        self.bytes.data, self.bytes.size = self.buffer.buf, self.buffer.len
        return 0

    cdef int msgpack(self, object item) except -1:
        self.keeper = pack_into(item, &self.packed, &self.bytes)
        return 0
