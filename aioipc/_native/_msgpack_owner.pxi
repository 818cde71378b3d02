# What keeps bytes in place, and what is handed out of them.  Part of _msgpack.pyx.

cdef class Owner:
    cdef int require(self) except -1:
        return 0


@cython.final
cdef class Bytes(Owner):
    """The bytes of a Python object that has a buffer."""

    cdef Py_buffer buffer
    cdef const uint8_t *data
    cdef size_t size
    cdef bint held

    def __cinit__(self, source):
        PyObject_GetBuffer(source, &self.buffer, PyBUF_SIMPLE)
        self.held = True
        self.data, self.size = <const uint8_t *>self.buffer.buf, self.buffer.len

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.buffer)


@cython.final
@cython.freelist(16)
@cython.no_gc_clear  # a memoryview may still be read while its garbage is collected
cdef class Piece:
    """What a memoryview of an owner's bytes holds on to."""

    cdef Owner owner
    cdef const uint8_t *data
    cdef size_t size

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void *>self.data, self.size, 1, flags)


cdef Piece piece_of(Owner owner, const uint8_t *data, size_t size):
    cdef Piece piece = Piece.__new__(Piece)
    piece.owner, piece.data, piece.size = owner, data, size
    return piece


cdef object element(Owner owner, const uint8_t *at, const uint8_t *end):
    """The value at `at` as views hand it out: maps and arrays as views, bytes as they lie there, others decoded."""
    cdef Item item
    cdef View child
    cdef int wrong = read_item(at, end, &item)
    if wrong != FINE:
        raise fault(wrong)
    if item.kind == MAP or item.kind == ARRAY:
        child = View.__new__(View)
        child.owner, child.data, child.end, child.item = owner, at, end, item
        child.near_at = at + item.head
        return child
    if item.kind == BYTES:
        return PyMemoryView_FromObject(piece_of(owner, at + item.head, item.body))
    return scalar(&item, at + item.head, False)
