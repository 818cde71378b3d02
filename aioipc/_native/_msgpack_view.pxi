# View: a value that is read where it lies.  Part of _msgpack.pyx.

cdef tuple _KIND_NAMES = ("nil", "bool", "int", "int", "float", "str", "bytes", "array", "map", "ext")
cdef tuple _UNITS = (None, None, None, None, None, "bytes", "bytes", "elements", "pairs", "bytes")


cdef View view_of(const uint8_t *data, size_t size, Owner owner):
    """A view of one whole value.  CorruptSegmentError when there is none, or, as far as its header tells, more."""
    cdef View view = View.__new__(View)
    cdef int wrong = read_item(data, data + size, &view.item)
    if wrong != FINE:
        raise fault(wrong)
    view.owner, view.data, view.end, view.whole = owner, data, data + size, True
    view.near_at = data + view.item.head
    if children(&view.item) == 0 and view.item.head + view.item.body != size:
        raise trailing(size - view.item.head - view.item.body)
    return view


cdef object plain(View view):
    """A value that has no elements, by the header as it was: what it is does not change under the reader."""
    return scalar(&view.item, view.data + view.item.head, False)


@cython.final
@cython.freelist(16)
cdef class View:
    """A msgpack value that is read where it lies: nothing is copied or decoded until asked for.

    Views come from containers and queues; `View.of(data)` makes one of any bytes.  Which protocol a view
    follows depends on its `kind`: a map reads like a dict, an array like a list, str, bytes and numbers like
    themselves.  Maps and arrays inside it are views again, bytes are read-only memoryviews of the memory itself,
    everything else is an ordinary object::

        with View.of(msgpack.packb({"scores": [1, 2, 3], "photo": b"..."})) as v:
            v["scores"][2], v["photo"]      # 3, <memory>

    After `release()` or the end of `with`, a view raises ClosedError; views and memoryviews taken from it stay
    valid.  Bytes that are not msgpack raise CorruptSegmentError when they are reached.
    """

    def __init__(self):
        raise TypeError("views come from containers and queues, and from View.of(data)")

    def __dealloc__(self):
        free(self.marks)

    @staticmethod
    def of(data) -> View:
        """A view of the msgpack bytes in an object with a buffer, which stays exported while it is in use.

        Raises CorruptSegmentError when the bytes do not begin a value.

            View.of(b"\\x93\\x01\\x02\\x03")[2] == 3
        """
        cdef Bytes owner = Bytes.__new__(Bytes, data)
        return view_of(owner.data, owner.size, owner)

    # --- life

    cdef Owner require(self):
        cdef Owner owner = self.owner  # asking it may run Python code, which may release the view
        if owner is None:
            raise ClosedError("the view was released")
        owner.require()
        return owner

    cdef Owner expect(self, int kind, str what):
        """For what only one kind of value has."""
        cdef Owner owner = self.require()
        if self.item.kind != kind:
            raise TypeError(f"a view of {self.kind} has no {what}; only a view of {_KIND_NAMES[kind]} has")
        return owner

    def release(self) -> None:
        """Lets go of the memory; the view raises ClosedError from now on.  Harmless when done before."""
        free(self.marks)
        self.marks = NULL
        self.owner = None

    def __enter__(self):
        self.require()
        return self

    def __exit__(self, kind, value, traceback):
        self.release()

    # --- the value as a whole

    @property
    def kind(self) -> str:
        """What the value is: "map", "array", "str", "bytes", "int", "float", "bool", "nil", "timestamp" or "ext"."""
        if self.owner is None:
            raise ClosedError("the view was released")
        return "timestamp" if self.item.kind == EXT and self.item.code == -1 else _KIND_NAMES[self.item.kind]

    @property
    def raw(self) -> memoryview:
        """A read-only memoryview of the value's msgpack bytes, where they lie."""
        cdef Owner owner = self.require()
        cdef const uint8_t *behind = self.data
        cdef int wrong = skip(&behind, self.end, 1)
        if wrong != FINE:
            raise fault(wrong)
        if self.whole and behind != self.end:
            raise trailing(self.end - behind)
        return PyMemoryView_FromObject(piece_of(owner, self.data, behind - self.data))

    def decode(self) -> object:
        """The whole value as an ordinary object, which is the caller's: what the container's `[]` gives.

            View.of(b"\\x91\\xc4\\x01a").decode() == [b"a"]
        """
        cdef Owner owner = self.require()
        cdef Cursor cursor
        cursor.at, cursor.end = self.data, self.end
        value = decode(&cursor, DEPTH_MAX, False)
        if self.whole and cursor.at != self.end:
            raise trailing(self.end - cursor.at)
        return value

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef Owner owner = self.expect(BYTES, "buffer")
        # The buffer belongs to a Piece, so that it outlives a release of the view.
        cdef Piece piece = piece_of(owner, self.data + self.item.head, self.item.body)
        PyBuffer_FillInfo(buffer, piece, <void *>piece.data, piece.size, 1, flags)

    def __bytes__(self):
        cdef Owner owner = self.expect(BYTES, "bytes")
        return plain(self)

    def __str__(self):
        cdef Owner owner
        if self.owner is None or self.item.kind != STR:
            return repr(self)
        owner = self.require()
        return plain(self)

    def __int__(self):
        self.require()
        if self.item.kind == FLOAT:
            return int(self.item.real)
        return self.__index__()

    def __index__(self):
        self.require()
        if self.item.kind > UINT or self.item.kind == NIL:
            raise TypeError(f"a view of {self.kind} is no integer")
        return int(plain(self))

    def __float__(self):
        self.require()
        if self.item.kind > FLOAT or self.item.kind == NIL:
            raise TypeError(f"a view of {self.kind} is no number")
        return float(plain(self))

    def __bool__(self):
        self.require()
        if self.item.kind == FLOAT:
            return self.item.real != 0
        if self.item.kind == STR or self.item.kind == BYTES:
            return self.item.body > 0
        return self.item.kind == EXT or (self.item.kind != NIL and self.item.number != 0)

    def __eq__(self, other):
        cdef Owner owner = self.require()
        cdef const uint8_t *body = self.data + self.item.head
        cdef Py_ssize_t size
        if self.item.kind == BYTES and PyBytes_CheckExact(other):
            size = PyBytes_GET_SIZE(other)
            return <size_t>size == self.item.body and memcmp(PyBytes_AS_STRING(other), body, size) == 0
        if self.item.kind == ARRAY and type(other) is list and <uint64_t>len(other) != self.item.number:
            return False
        return self.decode() == (other.decode() if isinstance(other, View) else other)

    def __repr__(self):
        if self.owner is None:
            return "<aioipc.View released>"
        unit = _UNITS[self.item.kind]
        if unit is not None:
            count = self.item.number if children(&self.item) else self.item.body
            return f"<aioipc.View {self.kind} of {count} {unit}>"
        # Numbers are in the view itself: the memory is not looked at.
        return f"<aioipc.View {self.kind} {plain(self)!r}>"

    # --- parts

    def __len__(self):
        self.require()
        if self.item.kind == ARRAY or self.item.kind == MAP:
            return self.item.number
        if self.item.kind == BYTES:
            return self.item.body
        if self.item.kind == STR:
            return len(plain(self))
        raise TypeError(f"a view of {self.kind} has no len()")

    def __iter__(self):
        cdef Owner owner = self.require()
        if self.item.kind == ARRAY or self.item.kind == MAP:
            return walk(self, ELEMENTS if self.item.kind == ARRAY else KEYS)
        if self.item.kind == BYTES or self.item.kind == STR:
            return iter(plain(self))
        raise TypeError(f"a view of {self.kind} is not iterable")

    def __reversed__(self):
        self.expect(ARRAY, "reversed()")
        return walk(self, BACKWARDS)

    def __contains__(self, value):
        cdef Owner owner = self.require()
        if self.item.kind == MAP:
            return find(self, value) != NULL
        if self.item.kind == ARRAY:
            return count_up_to(self, value, 1) > 0
        if self.item.kind == BYTES or self.item.kind == STR:
            return value in plain(self)
        raise TypeError(f"a view of {self.kind} has nothing in it")

    def __getitem__(self, key):
        cdef Owner owner = self.require()
        cdef const uint8_t *at
        cdef Py_ssize_t index = 0, count
        if self.item.kind == MAP:
            at = find(self, key)
            if at == NULL:
                raise KeyError(key)
            return element(owner, at, self.end)
        if self.item.kind == STR:
            return plain(self)[key]
        if self.item.kind != ARRAY and self.item.kind != BYTES:
            raise TypeError(f"a view of {self.kind} has no elements")
        count = self.item.number if self.item.kind == ARRAY else self.item.body
        if isinstance(key, slice):
            if self.item.kind == BYTES:
                return PyMemoryView_FromObject(self)[key]
            return [element_at(self, i) for i in range(*key.indices(count))]
        try:
            index = key
        except OverflowError:
            raise IndexError("index out of range") from None
        if index < 0:
            index += count
        if not 0 <= index < count:
            raise IndexError("index out of range")
        return element_at(self, index) if self.item.kind == ARRAY else self.data[self.item.head + index]

    def index(self, value, start=0, stop=None) -> int:
        """Where `value` first is in an array, from `start` on and before `stop`; ValueError when it is not."""
        self.expect(ARRAY, "index()")
        for i in range(*slice(start, stop).indices(self.item.number)):
            if element_at(self, i) == value:
                return i
        raise ValueError(f"{value!r} is not in the array")

    def count(self, value) -> int:
        """How often `value` is in an array."""
        self.expect(ARRAY, "count()")
        return count_up_to(self, value, self.item.number)

    def get(self, key, default=None):
        """A map's value for `key`, or `default` where it has none."""
        cdef Owner owner = self.expect(MAP, "get()")
        cdef const uint8_t *at = find(self, key)
        return default if at == NULL else element(owner, at, self.end)

    def keys(self) -> KeysView:
        """A map's keys, as a set-like view."""
        self.expect(MAP, "keys()")
        return KeysView(self)

    def values(self) -> ValuesView:
        """A map's values, in its order."""
        self.expect(MAP, "values()")
        return _Values(self)

    def items(self) -> ItemsView:
        """A map's (key, value) pairs, in its order."""
        self.expect(MAP, "items()")
        return _Items(self)
