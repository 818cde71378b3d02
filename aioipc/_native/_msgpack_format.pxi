# Headers: reading one, writing one, stepping over values.  Part of _msgpack.pyx.

cdef extern from *:
    """
    #include <endian.h>
    #include <stdint.h>
    #include <string.h>
    /* Volatile: the compiler must not read memory twice that another process may change in between. */
    struct aioipc_wide16 { uint16_t of; } __attribute__((packed, may_alias));
    struct aioipc_wide32 { uint32_t of; } __attribute__((packed, may_alias));
    struct aioipc_wide64 { uint64_t of; } __attribute__((packed, may_alias));
    static inline uint8_t load8(const uint8_t *p) { return *(const volatile uint8_t *)p; }
    static inline uint16_t load16(const uint8_t *p) { return be16toh(((const volatile struct aioipc_wide16 *)p)->of); }
    static inline uint32_t load32(const uint8_t *p) { return be32toh(((const volatile struct aioipc_wide32 *)p)->of); }
    static inline uint64_t load64(const uint8_t *p) { return be64toh(((const volatile struct aioipc_wide64 *)p)->of); }
    /* Bytes after a first byte c0..df that say a size or a number. */
    static const uint8_t WIDTH[32] = {
        0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
    };
    static inline void store16(uint8_t *p, uint16_t v) { v = htobe16(v); memcpy(p, &v, 2); }
    static inline void store32(uint8_t *p, uint32_t v) { v = htobe32(v); memcpy(p, &v, 4); }
    static inline void store64(uint8_t *p, uint64_t v) { v = htobe64(v); memcpy(p, &v, 8); }
    """
    const uint8_t *WIDTH
    uint8_t load8(const uint8_t *p) noexcept nogil
    uint16_t load16(const uint8_t *p) noexcept nogil
    uint32_t load32(const uint8_t *p) noexcept nogil
    uint64_t load64(const uint8_t *p) noexcept nogil
    void store16(uint8_t *p, uint16_t value) noexcept nogil
    void store32(uint8_t *p, uint32_t value) noexcept nogil
    void store64(uint8_t *p, uint64_t value) noexcept nogil

cdef enum:  # Item.kind
    NIL
    BOOL
    INT         # number holds an int64_t
    UINT        # number holds a uint64_t above INT64_MAX
    FLOAT
    STR
    BYTES
    ARRAY
    MAP
    EXT

cdef enum:  # what is wrong
    FINE
    CUT_SHORT
    UNKNOWN_BYTE


cdef object corrupt(str what):
    """The exception for bytes that are not what they should be."""
    exception = CorruptSegmentError(f"these bytes are not a msgpack value: {what}")
    exception.what = what
    return exception


cdef object fault(int wrong):
    if wrong == UNKNOWN_BYTE:
        return corrupt("the byte 0xc1 begins no value")
    return corrupt("they end before the value does")


# ------------------------------------------------------------------------------------------------- reading

cdef inline int _sized(Item *out, int kind, size_t head, uint64_t body, size_t left) noexcept nogil:
    out.kind, out.head, out.body = kind, head, body
    return FINE if body <= left - head else CUT_SHORT


cdef inline int _counted(Item *out, int kind, size_t head, uint64_t count, size_t left) noexcept nogil:
    # Each element has one byte at least: a count beyond that is refused before memory is asked for.
    out.kind, out.head, out.body, out.number = kind, head, 0, count
    return FINE if count <= (left - head) >> (1 if kind == MAP else 0) else CUT_SHORT


cdef inline int _scalar(Item *out, int kind, size_t head, uint64_t number) noexcept nogil:
    out.kind, out.head, out.body, out.number = kind, head, 0, number
    return FINE


cdef int read_item(const uint8_t *p, const uint8_t *end, Item *out) noexcept nogil:
    """Reads the header at p; FINE means that its body, or a byte for each element, lies before `end` too."""
    cdef size_t left = end - p
    cdef uint64_t number = 0
    cdef uint32_t bits
    cdef float single
    cdef int first, width
    if left == 0:
        return CUT_SHORT
    first = load8(p)
    if first < 0x80:
        return _scalar(out, INT, 1, first)
    if first >= 0xe0:
        return _scalar(out, INT, 1, <uint64_t><int64_t>(first - 256))
    if first < 0x90:
        return _counted(out, MAP, 1, first & 0x0f, left)
    if first < 0xa0:
        return _counted(out, ARRAY, 1, first & 0x0f, left)
    if first < 0xc0:
        return _sized(out, STR, 1, first & 0x1f, left)
    width = WIDTH[first - 0xc0]
    if left < <size_t>(1 + width):
        return CUT_SHORT
    if width == 1:
        number = load8(p + 1)
    elif width == 2:
        number = load16(p + 1)
    elif width == 4:
        number = load32(p + 1)
    elif width == 8:
        number = load64(p + 1)
    if first == 0xc0:
        return _scalar(out, NIL, 1, 0)
    if first == 0xc1:
        return UNKNOWN_BYTE
    if first <= 0xc3:
        return _scalar(out, BOOL, 1, first & 1)
    if first <= 0xc6:
        return _sized(out, BYTES, 1 + width, number, left)
    if first <= 0xc9:
        return _ext(p, out, 1 + width, number, left)
    if first == 0xca:
        bits = <uint32_t>number
        memcpy(&single, &bits, 4)
        out.real = single
        return _scalar(out, FLOAT, 5, 0)
    if first == 0xcb:
        memcpy(&out.real, &number, 8)
        return _scalar(out, FLOAT, 9, 0)
    if first <= 0xcf:
        return _scalar(out, INT if number <= <uint64_t>INT64_MAX else UINT, 1 + width, number)
    if first <= 0xd3:
        # Extends the sign of the width's highest bit.
        if width < 8 and number >> (8 * width - 1):
            number -= <uint64_t>1 << (8 * width)
        return _scalar(out, INT, 1 + width, number)
    if first <= 0xd8:
        return _ext(p, out, 1, <uint64_t>1 << (first - 0xd4), left)
    if first <= 0xdb:
        return _sized(out, STR, 1 + width, number, left)
    if first <= 0xdd:
        return _counted(out, ARRAY, 1 + width, number, left)
    return _counted(out, MAP, 1 + width, number, left)


cdef int _ext(const uint8_t *p, Item *out, size_t head, uint64_t body, size_t left) noexcept nogil:
    if left <= head:
        return CUT_SHORT
    out.code = <int8_t>load8(p + head)
    return _sized(out, EXT, head + 1, body, left)


cdef inline uint64_t children(const Item *item) noexcept nogil:
    """Values that follow the header and belong to it."""
    if item.kind == ARRAY:
        return item.number
    return 2 * item.number if item.kind == MAP else 0


cdef int skip(const uint8_t **at, const uint8_t *end, uint64_t values) noexcept nogil:
    """Moves *at over so many values, however deep they are nested."""
    cdef Item item
    cdef const uint8_t *p = at[0]
    cdef int wrong
    while values > 0:
        wrong = read_item(p, end, &item)
        if wrong != FINE:
            return wrong
        p += item.head + item.body
        values += children(&item) - 1
        if values > <uint64_t>(end - p):  # also keeps the sum from wrapping round
            return CUT_SHORT
    at[0] = p
    return FINE


# ------------------------------------------------------------------------------------------------- writing

cdef inline size_t put_sized(uint8_t *out, uint8_t first, uint8_t width, uint64_t number) noexcept nogil:
    """A byte and a big-endian number of 1, 2, 4 or 8 bytes."""
    out[0] = first
    if width == 1:
        out[1] = <uint8_t>number
    elif width == 2:
        store16(out + 1, <uint16_t>number)
    elif width == 4:
        store32(out + 1, <uint32_t>number)
    else:
        store64(out + 1, number)
    return 1 + width


cdef inline size_t put_uint(uint8_t *out, uint64_t number) noexcept nogil:
    if number < 0x80:
        out[0] = <uint8_t>number
        return 1
    if number <= 0xff:
        return put_sized(out, 0xcc, 1, number)
    if number <= 0xffff:
        return put_sized(out, 0xcd, 2, number)
    if number <= UINT32_MAX:
        return put_sized(out, 0xce, 4, number)
    return put_sized(out, 0xcf, 8, number)


cdef inline size_t put_int(uint8_t *out, int64_t number) noexcept nogil:
    if number >= 0:
        return put_uint(out, <uint64_t>number)
    if number >= -0x20:
        out[0] = <uint8_t>number
        return 1
    if number >= -0x80:
        return put_sized(out, 0xd0, 1, <uint64_t>number)
    if number >= -0x8000:
        return put_sized(out, 0xd1, 2, <uint64_t>number)
    if number >= INT32_MIN:
        return put_sized(out, 0xd2, 4, <uint64_t>number)
    return put_sized(out, 0xd3, 8, <uint64_t>number)


cdef inline size_t put_float(uint8_t *out, double number) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &number, 8)
    return put_sized(out, 0xcb, 8, bits)


cdef inline size_t put_str(uint8_t *out, uint64_t size) noexcept nogil:
    if size < 32:
        out[0] = <uint8_t>(0xa0 | size)
        return 1
    if size <= 0xff:
        return put_sized(out, 0xd9, 1, size)
    return put_sized(out, 0xda, 2, size) if size <= 0xffff else put_sized(out, 0xdb, 4, size)


cdef inline size_t put_bytes(uint8_t *out, uint64_t size) noexcept nogil:
    if size <= 0xff:
        return put_sized(out, 0xc4, 1, size)
    return put_sized(out, 0xc5, 2, size) if size <= 0xffff else put_sized(out, 0xc6, 4, size)


cdef inline size_t put_array(uint8_t *out, uint64_t count) noexcept nogil:
    if count < 16:
        out[0] = <uint8_t>(0x90 | count)
        return 1
    return put_sized(out, 0xdc, 2, count) if count <= 0xffff else put_sized(out, 0xdd, 4, count)
