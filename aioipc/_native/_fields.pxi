# Types of fields and items: how values become bytes, and back.  Part of _core.pyx.

cdef enum:
    DIMENSIONS = 32


cdef class FieldType:
    """What a field of a Struct, or an item of an Array, can be: how large it is, and how values become bytes.

    `aioipc.float64`, `aioipc.uint8`, ... are such types; `aioipc.float64[16]` is an array of them, and
    `aioipc.fixed_bytes[32]`, `aioipc.fixed_str[32]` have room for that many bytes.
    """

    cdef readonly uint64_t size
    cdef readonly uint64_t alignment
    cdef readonly str text      # as descriptions of layouts say it
    cdef readonly object format # of its bytes, as the struct module says it; None: they are nobody else's business
    cdef public object cls      # of the handles on it, where it has handles

    def __init__(self):
        raise TypeError("take one of aioipc's: aioipc.float64, aioipc.int32, ...")

    cdef object load(self, Place owner, uint8_t *memory, object key):
        """The value at `memory`, which is the part `key` of `owner`."""
        raise NotImplementedError

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        """Changes what is at `memory`, in the segment `home` or on its way there."""
        raise NotImplementedError

    cdef int assign(self, Place owner, uint8_t *memory, object value) except -1:
        """The same in a part of an object."""
        return self.store(owner.pin.attachment, memory, value)

    cdef tuple owned(self):
        """Where owning words lie in it (shares.h)."""
        return ()

    @property
    def owns(self) -> bool:
        """Whether objects are owned by it."""
        return len(self.owned()) > 0

    def pack(self, Attachment home not None, value) -> bytes:
        """The bytes of a value, which is or will be in this segment."""
        cdef bytes room = bytes(self.size)
        self.store(home, <uint8_t *><char *>room, value)
        return room

    def __getitem__(self, shape):
        return ArrayType(self, shape)

    def __repr__(self):
        return f"aioipc.{self.text}"


cdef enum Kind:
    BOOL, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64

cdef dict _SCALARS = {
    "bool_": (BOOL, 1, "?"), "int8": (I8, 1, "b"), "int16": (I16, 2, "h"), "int32": (I32, 4, "i"),
    "int64": (I64, 8, "q"), "uint8": (U8, 1, "B"), "uint16": (U16, 2, "H"), "uint32": (U32, 4, "I"),
    "uint64": (U64, 8, "Q"), "float32": (F32, 4, "f"), "float64": (F64, 8, "d"),
}


@cython.final
cdef class Scalar(FieldType):
    """A number or a bool: one word, read and written in one access."""

    cdef Kind kind
    cdef int64_t low, high      # of whole numbers but uint64

    def __init__(self, str name not None):
        self.kind, self.size, self.format = _SCALARS[name]
        self.text, self.alignment = name, self.size
        cdef int bits = <int>self.size * 8
        if self.kind == BOOL:
            self.high = 1
        elif U8 <= self.kind < U64:
            self.high = (<int64_t>1 << bits) - 1
        elif I8 <= self.kind <= I64:
            self.high = <int64_t>((<uint64_t>1 << (bits - 1)) - 1)
            self.low = -self.high - 1

    cdef object load(self, Place owner, uint8_t *memory, object key):
        cdef uint64_t word
        cdef uint32_t half
        cdef double large
        cdef float small
        if self.kind == F64:
            word = aipc_load_relaxed64(<uint64_t *>memory)
            memcpy(&large, &word, 8)
            return large
        elif self.kind == F32:
            half = aipc_load_relaxed32(<uint32_t *>memory)
            memcpy(&small, &half, 4)
            return <double>small
        elif self.kind == I64:
            return <int64_t>aipc_load_relaxed64(<uint64_t *>memory)
        elif self.kind == U64:
            return aipc_load_relaxed64(<uint64_t *>memory)
        elif self.kind == I32:
            return <int32_t>aipc_load_relaxed32(<uint32_t *>memory)
        elif self.kind == U32:
            return aipc_load_relaxed32(<uint32_t *>memory)
        elif self.kind == I16:
            return <int16_t>aipc_load_relaxed16(<uint16_t *>memory)
        elif self.kind == U16:
            return aipc_load_relaxed16(<uint16_t *>memory)
        elif self.kind == I8:
            return <int8_t>aipc_load_relaxed8(memory)
        elif self.kind == U8:
            return aipc_load_relaxed8(memory)
        return aipc_load_relaxed8(memory) != 0

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        cdef uint64_t word
        cdef uint32_t half
        cdef double large
        cdef float small
        if self.kind == F64:
            large = value
            memcpy(&word, &large, 8)
            aipc_store_relaxed64(<uint64_t *>memory, word)
        elif self.kind == F32:
            large = value
            small = <float>large
            if isinf(small) and not isinf(large):
                raise OverflowError(f"{value!r} does not fit into float32")
            memcpy(&half, &small, 4)
            aipc_store_relaxed32(<uint32_t *>memory, half)
        else:
            word = self.whole(value)
            if self.size == 8:
                aipc_store_relaxed64(<uint64_t *>memory, word)
            elif self.size == 4:
                aipc_store_relaxed32(<uint32_t *>memory, <uint32_t>word)
            elif self.size == 2:
                aipc_store_relaxed16(<uint16_t *>memory, <uint16_t>word)
            else:
                aipc_store_relaxed8(memory, <uint8_t>word)
        return 0

    cdef inline uint64_t whole(self, object value) except? 0x5eed:
        """The word of a whole number that is in range."""
        cdef int beyond = 0
        cdef long long number
        if not PyLong_Check(value):
            value = _truth(value) if self.kind == BOOL else _index(value)
        number = PyLong_AsLongLongAndOverflow(value, &beyond)
        if self.kind == U64 and (beyond > 0 or (beyond == 0 and number >= 0)):
            if beyond == 0:
                return <uint64_t>number
            try:
                return value
            except OverflowError:
                pass
        elif self.kind != U64 and beyond == 0 and self.low <= number <= self.high:
            return <uint64_t>number
        high = self.high if self.kind != U64 else (1 << 64) - 1
        raise OverflowError(f"{value!r} does not fit into {self.text} ({self.low} to {high})")


cdef object _truth(object value):
    """A bool of another library's: numpy's is no index."""
    return bool(value) if type(value).__name__ in ("bool", "bool_") else _index(value)


@cython.final
cdef class FixedType(FieldType):
    """Room for that many bytes: bytes, filled up with zeros, or text in UTF-8."""

    cdef bint is_text

    def __init__(self, bint is_text, size):
        size = _index(size)
        if not 0 < size < 1 << 32:
            raise ValueError(f"a field has room for 1 to 2**32 - 1 bytes, not {size}")
        self.is_text, self.size, self.alignment = is_text, size, 1
        self.text, self.format = f"{'fixed_str' if is_text else 'fixed_bytes'}[{size}]", f"{size}s"

    cdef object load(self, Place owner, uint8_t *memory, object key):
        cdef bytes value = (<char *>memory)[:self.size]
        # Text that somebody is writing may end in the middle of a character.
        return value.rstrip(b"\0").decode(errors="replace") if self.is_text else value

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        cdef bytes encoded
        if self.is_text:
            if not isinstance(value, str):
                raise TypeError(f"a str is wanted, not {type(value).__name__}")
            encoded = value.encode()
            if b"\0" in encoded:
                raise ValueError("text in a field of fixed size has no NUL in it")
        else:
            if isinstance(value, (str, int)):
                raise TypeError(f"a bytes-like object is wanted, not {type(value).__name__}")
            encoded = bytes(memoryview(value))
        if <uint64_t>len(encoded) > self.size:
            raise ValueError(f"{len(encoded)} bytes do not fit into {self.text}")
        encoded = encoded.ljust(self.size, b"\0")
        memcpy(memory, <char *>encoded, self.size)
        return 0


@cython.final
cdef class ArrayType(FieldType):
    """A fixed number of items, of any number of dimensions, the last one varying fastest."""

    cdef readonly FieldType item
    cdef readonly tuple shape
    cdef Py_ssize_t extents[DIMENSIONS]
    cdef Py_ssize_t strides[DIMENSIONS]
    cdef FieldType row          # what an index gives
    cdef uint64_t count         # of items, in all dimensions together
    cdef bytes exported         # the format of an item, as buffers say it for as long as they are in use

    def __init__(self, FieldType item not None, shape):
        self.shape = tuple([_index(n) for n in shape]) if isinstance(shape, tuple) else (_index(shape),)
        if not 0 < len(self.shape) <= DIMENSIONS or min(self.shape) < 1:
            raise ValueError(f"an array has 1 to {DIMENSIONS} dimensions of at least 1 item, not {shape!r}")
        if isinstance(item, ArrayType):
            raise TypeError(f"give all dimensions at once: {(<ArrayType>item).item.text}[3, 4]")
        self.item, self.alignment, self.format = item, item.alignment, None
        self.text = f"{item.text}[{','.join(map(str, self.shape))}]"
        self.exported, self.count = None if item.format is None else item.format.encode(), 1
        size = int(item.size)
        for i in reversed(range(len(self.shape))):
            self.extents[i], self.strides[i] = self.shape[i], size
            size *= self.shape[i]
            if max(size, self.shape[i], int(self.count) * self.shape[i]) >= 1 << 62:
                raise ValueError(f"{self.text} is too large")
            self.count *= <uint64_t>self.shape[i]
        self.size = size
        self.row = item if len(self.shape) == 1 else ArrayType(item, self.shape[1:])

    def __getitem__(self, shape):
        raise TypeError(f"give all dimensions at once: {self.item.text}[3, 4]")

    cdef tuple owned(self):
        places = self.item.owned()
        if len(places) * self.count > AIPC_OWNERS_MAX:
            raise ValueError(f"{self.text}: a struct has at most {AIPC_OWNERS_MAX} pointers that own")
        return tuple([place + i * self.item.size for i in range(self.count) for place in places]) if places else ()

    cdef object load(self, Place owner, uint8_t *memory, object key):
        view = _new_handle(_items_class, ())
        (<ItemsHandle?>view).become(owner, memory, self, key)
        return view

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        """All items at once: all of them are checked before the first is stored."""
        cdef list values
        if isinstance(value, str):
            raise TypeError("a sequence is wanted, not str")
        values = list(value)
        if len(values) != self.extents[0]:
            raise ValueError(f"{self.extents[0]} items are wanted, not {len(values)}")
        cdef bytes room = bytes(self.size)
        self.store_all(home, <uint8_t *><char *>room, values)
        return self.store_all(home, memory, values)

    cdef int store_all(self, Attachment home, uint8_t *memory, list values) except -1:
        cdef uint64_t i
        for i in range(<uint64_t>self.extents[0]):
            try:
                self.row.store(home, memory + i * <uint64_t>self.strides[0], values[i])
            except (TypeError, ValueError, OverflowError) as error:
                raise _explained(error, f"item {i}") from None
        return 0
