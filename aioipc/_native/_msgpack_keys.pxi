# Keys: one canonical form for all that Python holds equal.  Part of _msgpack.pyx.
#
#   True, 1, 1.0     the int           -0.0         the int 0
#   other floats     float64           a timestamp  as Packer writes it
#   tuples           an array of canonical forms
#
# A key that this changes also has its original form, so that iterating gives back what was put.

cdef extern from "Python.h":
    Py_ssize_t PyTuple_GET_SIZE(object key)
    void *PyTuple_GET_ITEM(object key, Py_ssize_t index)


cdef class Ink:
    """Growing memory that a long or composite key is written to."""

    cdef uint8_t *data
    cdef size_t size
    cdef size_t room
    cdef bint changed  # the canonical form decodes to something else than the key

    def __dealloc__(self):
        free(self.data)

    cdef uint8_t *reserve(self, size_t size) except NULL:
        """Room for `size` more bytes, which count as written when `self.size` says so."""
        cdef uint8_t *grown
        if size > self.room - self.size:
            self.room = max(2 * self.room, self.size + size + 64)
            grown = <uint8_t *>realloc(self.data, self.room)
            if grown == NULL:
                raise MemoryError
            self.data = grown
        return self.data + self.size

    cdef int write(self, const uint8_t *data, size_t size) except -1:
        memcpy(self.reserve(size), data, size)
        self.size += size
        return 0


cdef object pack_key(object key, Key *out):
    cdef Packed packed
    cdef size_t head
    cdef bint changed = False
    out.canonical, out.original_size = out.room, 0
    if PyUnicode_CheckExact(key) or PyBytes_CheckExact(key):
        pack(key, &packed)
        if packed.head_size + packed.body_size <= sizeof(out.room):
            head = packed.head_size
            memcpy(out.room, packed.head, 8)  # 5 at most count; a constant is faster
            memcpy(out.room + head, packed.body, packed.body_size)
            out.canonical_size = head + packed.body_size
            return None
        return _ink(key, out)
    if PyLong_CheckExact(key) or key is None:
        out.canonical_size = put_scalar(out.room, key)
        return None
    if isinstance(key, (bool, float)):
        out.canonical_size = _canonical_number(out.room, key, &changed)
        if changed:
            out.original = out.room + 16
            out.original_size = put_scalar(out.room + 16, key)
        return None
    return _ink(key, out)


cdef object _ink(object key, Key *out):
    """The long way: the canonical form, then the original one when that differs, in memory of their own."""
    cdef Ink ink = Ink.__new__(Ink)
    _write_key(ink, key, True, DEPTH_MAX)
    out.canonical_size = ink.size
    if ink.changed:
        _write_key(ink, key, False, DEPTH_MAX)
        out.original = ink.data + out.canonical_size
        out.original_size = ink.size - out.canonical_size
    out.canonical = ink.data
    return ink


cdef size_t _canonical_number(uint8_t *out, object key, bint *changed) except 0:
    """A bool or float as its canonical form; 9 bytes at most."""
    cdef double real
    if not isinstance(key, float):
        changed[0] = True
        out[0] = 1 if key is True else 0
        return 1
    real = PyFloat_AS_DOUBLE(key)
    if isnan(real):
        raise ValueError("NaN cannot be a key: it equals no key, not even itself")
    if floor(real) != real or not -9223372036854775808.0 <= real < 18446744073709551616.0:
        return put_float(out, real)
    changed[0] = True
    if real < 0:
        return put_int(out, <int64_t>real)
    return put_uint(out, <uint64_t>real)


cdef int _write_key(Ink ink, object key, bint canonical, int depth) except -1:
    cdef Packed packed
    cdef bytes encoded
    if isinstance(key, str):
        key = key if PyUnicode_CheckExact(key) else str.__str__(key)
        pack(key, &packed)
    elif isinstance(key, bytes):
        packed.body, packed.body_size = <const uint8_t *>PyBytes_AS_STRING(key), _checked_size(PyBytes_GET_SIZE(key))
        packed.head_size = put_bytes(packed.head, packed.body_size)
    elif canonical and isinstance(key, (bool, float)):
        ink.size += _canonical_number(ink.reserve(9), key, &ink.changed)
        return 0
    elif key is None or isinstance(key, (int, float)):
        ink.size += put_scalar(ink.reserve(9), key)
        return 0
    elif isinstance(key, tuple):
        return _write_tuple(ink, key, canonical, depth)
    elif isinstance(key, (datetime, _Timestamp)):
        encoded = _pack_any(key)
        return ink.write(<const uint8_t *>PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded))
    else:
        raise _no_key(key)
    ink.write(packed.head, packed.head_size)
    return ink.write(packed.body, packed.body_size)


cdef int _write_tuple(Ink ink, object key, bint canonical, int depth) except -1:
    # The tuple's own elements: a subclass may iterate over others.
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(key)
    if depth == 0:
        raise ValueError(f"a key cannot be nested deeper than {DEPTH_MAX} levels")
    if count > <Py_ssize_t>UINT32_MAX:
        raise ValueError("a tuple of more than 2**32 - 1 elements cannot be a key")
    ink.size += put_array(ink.reserve(5), count)
    for i in range(count):
        _write_key(ink, <object>PyTuple_GET_ITEM(key, i), canonical, depth - 1)
    return 0


cdef object _no_key(object key):
    name = type(key).__name__
    if type(key).__hash__ is None:
        return TypeError(f"unhashable type: {name!r}")
    return TypeError(
        f"a {name} cannot be a key; keys are None, bool, int, float, str, bytes, aware datetime, msgpack.Timestamp "
        "and tuples of them")


cdef object unpack_key(const uint8_t *data, size_t size):
    return _only(data, size, True)


# ---------------------------------------------------------------------------------------------- comparing

cdef inline void _normalize(Item *item) noexcept nogil:
    """Makes numbers comparable: integral ones INT or UINT, as in the canonical form."""
    cdef double real = item.real
    if item.kind == BOOL:
        item.kind = INT
    elif item.kind == FLOAT and floor(real) == real and -9223372036854775808.0 <= real < 18446744073709551616.0:
        if real < 9223372036854775808.0:
            item.kind, item.number = INT, <uint64_t><int64_t>real
        else:
            item.kind, item.number = UINT, <uint64_t>real


cdef bint _same_ext(const Item *a, const uint8_t *a_body, const Item *b, const uint8_t *b_body) noexcept nogil:
    cdef int64_t a_seconds = 0, b_seconds = 0
    cdef uint32_t a_ns = 0, b_ns = 0
    if a.code != b.code:
        return False
    if a.code == -1 and read_moment(a_body, a.body, &a_seconds, &a_ns) and (
            read_moment(b_body, b.body, &b_seconds, &b_ns)):
        return a_seconds == b_seconds and a_ns == b_ns  # there are several ways to write one moment
    return a.body == b.body and memcmp(a_body, b_body, a.body) == 0


cdef bint _same_item(Item *a, const uint8_t *a_body, Item *b, const uint8_t *b_body) noexcept nogil:
    """Whether two headers and their bodies say the same; elements are not looked at."""
    _normalize(b)
    if a.kind != b.kind:
        return False
    if a.kind == INT or a.kind == UINT or a.kind == ARRAY:
        return a.number == b.number
    if a.kind == FLOAT:
        return a.real == b.real
    if a.kind == STR or a.kind == BYTES:
        return a.body == b.body and memcmp(a_body, b_body, a.body) == 0
    if a.kind == EXT:
        return _same_ext(a, a_body, b, b_body)
    return a.kind == NIL  # a map is no key


cdef int same_key(const Key *key, const uint8_t *at, const uint8_t *end, bint *same) noexcept nogil:
    """Whether the value at `at`, in whatever form, is the key."""
    cdef Item a, b
    cdef const uint8_t *ours = key.canonical
    cdef const uint8_t *ours_end = ours + key.canonical_size
    cdef int wrong
    same[0] = False
    # Arrays of equal counts are equal when all that follows is, one after the other: no recursion.
    while ours < ours_end:
        read_item(ours, ours_end, &a)
        wrong = read_item(at, end, &b)
        if wrong != FINE:
            return wrong
        if not _same_item(&a, ours + a.head, &b, at + b.head):
            return FINE
        ours += a.head + a.body
        at += b.head + b.body
    same[0] = True
    return FINE


def packb_key(key) -> tuple:
    """(canonical, original): two forms of a key.  Keys that Python holds equal have equal canonical bytes.

    `original` decodes to the key as it was given; it is the same object as `canonical` where that does so too.
    Raises TypeError for what cannot be a key, ValueError for NaN, OverflowError for an int beyond 64 bits.

        packb_key(1.0)[0] == packb_key(True)[0] == packb_key(1)[0] == b"\\x01"
    """
    cdef Key out
    keeper = pack_key(key, &out)
    canonical = PyBytes_FromStringAndSize(<const char *>out.canonical, out.canonical_size)
    if out.original_size == 0:
        return canonical, canonical
    return canonical, PyBytes_FromStringAndSize(<const char *>out.original, out.original_size)


def unpackb_key(buffer) -> object:
    """The key of msgpack bytes: as unpackb, but arrays are tuples, and a map is CorruptSegmentError.

        unpackb_key(packb_key((1, "a"))[1]) == (1, "a")
    """
    cdef Bytes owner = Bytes.__new__(Bytes, buffer)
    return unpack_key(owner.data, owner.size)
