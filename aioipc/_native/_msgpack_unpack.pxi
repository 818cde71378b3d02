# msgpack bytes to Python values.  Part of _msgpack.pyx.

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 widest)
    void *PyUnicode_DATA(object text)
    object PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)

cdef struct Cursor:
    const uint8_t *at
    const uint8_t *end

cdef object _EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
cdef object _ExtType = msgpack.ExtType
cdef object _Timestamp = msgpack.Timestamp

cdef enum:
    NS_PER_S = 1_000_000_000

# The seconds of years 1 to 9999, which a datetime can say.
cdef int64_t FIRST_SECOND = -62135596800
cdef int64_t LAST_SECOND = 253402300799


cdef object unpack(const uint8_t *data, size_t size):
    return _only(data, size, False)


cdef object _only(const uint8_t *data, size_t size, bint key):
    cdef Cursor cursor
    cursor.at, cursor.end = data, data + size
    value = decode(&cursor, DEPTH_MAX, key)
    if cursor.at != cursor.end:
        raise trailing(cursor.end - cursor.at)
    return value


cdef object trailing(size_t extra):
    return corrupt(f"{extra} byte(s) follow it")


cdef object decode(Cursor *cursor, int depth, bint key):
    """The value at the cursor, which moves behind it.  As a key: arrays are tuples, and there are no maps."""
    cdef Item item
    cdef const uint8_t *body
    cdef int wrong = read_item(cursor.at, cursor.end, &item)
    if wrong != FINE:
        raise fault(wrong)
    body = cursor.at + item.head
    cursor.at = body + item.body
    if item.kind == STR:
        return text(body, item.body)
    if item.kind == ARRAY or item.kind == MAP:
        if depth == 0:
            raise corrupt(f"it is nested deeper than {DEPTH_MAX} levels")
        if item.kind == MAP:
            return _decode_map(cursor, depth, item.number, key)
        return _decode_array(cursor, depth, item.number, key)
    return scalar(&item, body, key)


cdef object _decode_array(Cursor *cursor, int depth, uint64_t count, bint key):
    cdef list result = []
    while count > 0:
        result.append(decode(cursor, depth - 1, key))
        count -= 1
    return tuple(result) if key else result


cdef object _decode_map(Cursor *cursor, int depth, uint64_t count, bint key):
    cdef dict result = {}
    if key:
        raise corrupt("a map is used as a key")
    while count > 0:
        name = decode(cursor, depth - 1, True)
        result[name] = decode(cursor, depth - 1, False)
        count -= 1
    return result


cdef object scalar(const Item *item, const uint8_t *body, bint key):
    """The value of an item that has no elements; `body` as read_item left it."""
    if item.kind == INT:
        return <int64_t>item.number
    if item.kind == UINT:
        return item.number
    if item.kind == FLOAT:
        return item.real
    if item.kind == NIL:
        return None
    if item.kind == BOOL:
        return item.number != 0
    if item.kind == BYTES:
        return PyBytes_FromStringAndSize(<const char *>body, item.body)
    if item.kind == STR:
        return text(body, item.body)
    if item.code == -1:
        return moment(body, item.body, key)
    if item.code < 0:
        raise corrupt(f"{item.code} is no type of ext that a program may use")
    return _ExtType(item.code, PyBytes_FromStringAndSize(<const char *>body, item.body))


cdef bint _all_ascii(const uint8_t *p, size_t size) noexcept nogil:
    cdef uint64_t word, seen = 0
    while size >= 8:
        memcpy(&word, p, 8)
        seen |= word
        p += 8
        size -= 8
    while size > 0:
        seen |= p[0]
        p += 1
        size -= 1
    return seen & <uint64_t>0x8080808080808080 == 0


cdef object text(const uint8_t *data, size_t size):
    """The str of UTF-8 bytes.  They are copied first, then checked: they may change in between."""
    if size == 0:
        return ""
    copy = PyUnicode_New(size, 127)
    memcpy(PyUnicode_DATA(copy), data, size)
    if _all_ascii(<const uint8_t *>PyUnicode_DATA(copy), size):
        return copy
    # Here `copy` is only a buffer: nobody has seen it as a str, and nobody will.
    try:
        return PyUnicode_DecodeUTF8(<const char *>PyUnicode_DATA(copy), size, NULL)
    except UnicodeDecodeError as error:
        raise corrupt(f"a str is not UTF-8: {error.reason}") from None


cdef bint read_moment(const uint8_t *body, size_t size, int64_t *seconds, uint32_t *ns) noexcept nogil:
    """The two numbers of a timestamp; false when its bytes are none."""
    cdef uint64_t both
    if size == 4:
        seconds[0], ns[0] = load32(body), 0
        return True
    if size == 8:
        both = load64(body)
        seconds[0], ns[0] = both & ((<uint64_t>1 << 34) - 1), both >> 34
    elif size == 12:
        ns[0] = load32(body)
        seconds[0] = <int64_t>load64(body + 4)
    else:
        return False
    return ns[0] < NS_PER_S


cdef object moment(const uint8_t *body, size_t size, bint exact):
    """An aware datetime; a msgpack.Timestamp where datetime has no such year (`exact`: or no such nanosecond)."""
    cdef int64_t seconds = 0
    cdef uint32_t ns = 0
    if not read_moment(body, size, &seconds, &ns):
        raise corrupt("a timestamp has a wrong size or number of nanoseconds")
    if not FIRST_SECOND <= seconds <= LAST_SECOND or (exact and ns % 1000 != 0):
        return _Timestamp(seconds, ns)
    return _EPOCH + timedelta(seconds // 86400, seconds % 86400, ns // 1000)


def unpackb(buffer) -> object:
    """The value of msgpack bytes: what `msgpack.unpackb(buffer, strict_map_key=False, timestamp=3)` gives.

    Beyond it, an array as the key of a map becomes a tuple, and a timestamp of a year that datetime does not have a
    msgpack.Timestamp.  Raises CorruptSegmentError when the bytes are not one whole value.

        unpackb(b"\\x81\\xa1a\\x01") == {"a": 1}
    """
    cdef Bytes owner = Bytes.__new__(Bytes, buffer)
    return unpack(owner.data, owner.size)
