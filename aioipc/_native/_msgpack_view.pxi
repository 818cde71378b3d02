# View: a value that is read where it lies.  Part of _msgpack.pyx.

cdef tuple _KIND_NAMES = ("nil", "bool", "int", "int", "float", "str", "bytes", "array", "map", "ext")
cdef tuple _UNITS = (None, None, None, None, None, "bytes", "bytes", "elements", "pairs", "bytes")


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
        if self.owner is None:
            raise ClosedError("the view was released")
        self.owner.require()
        return self.owner

    cdef Owner expect(self, int kind, str what):
        """For what only one kind of value has."""
        cdef Owner owner = self.require()
        if self.item.kind != kind:
            raise TypeError(f"a view of {self.kind} has no {what}, only one of {_KIND_NAMES[kind]}")
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
        return PyBytes_FromStringAndSize(<const char *>self.data + self.item.head, self.item.body)

    def __str__(self):
        if self.owner is None or self.item.kind != STR:
            return repr(self)
        return self.decode()

    def __int__(self):
        self.require()
        if self.item.kind == FLOAT:
            return int(self.item.real)
        return self.__index__()

    def __index__(self):
        self.require()
        if self.item.kind > UINT or self.item.kind == NIL:
            raise TypeError(f"a view of {self.kind} is no integer")
        return int(scalar(&self.item, NULL, False))

    def __float__(self):
        self.require()
        if self.item.kind > FLOAT or self.item.kind == NIL:
            raise TypeError(f"a view of {self.kind} is no number")
        return float(scalar(&self.item, NULL, False))

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
        return f"<aioipc.View {self.kind} {scalar(&self.item, NULL, False)!r}>"

    # --- parts

    def __len__(self):
        self.require()
        if self.item.kind == ARRAY or self.item.kind == MAP:
            return self.item.number
        if self.item.kind == BYTES:
            return self.item.body
        if self.item.kind == STR:
            return len(self.decode())
        raise TypeError(f"a view of {self.kind} has no len()")

    def __iter__(self):
        cdef Owner owner = self.require()
        if self.item.kind == ARRAY or self.item.kind == MAP:
            return walk(self, ELEMENTS if self.item.kind == ARRAY else KEYS)
        if self.item.kind == BYTES or self.item.kind == STR:
            return iter(element(owner, self.data, self.end))
        raise TypeError(f"a view of {self.kind} is not iterable")

    def __reversed__(self):
        self.expect(ARRAY, "reversed()")
        return walk(self, BACKWARDS)

    def __contains__(self, value):
        cdef Owner owner = self.require()
        if self.item.kind == MAP:
            return self.find(value) != NULL
        if self.item.kind == ARRAY:
            return self.count_up_to(value, 1) > 0
        if self.item.kind == BYTES or self.item.kind == STR:
            return value in self.decode()
        raise TypeError(f"a view of {self.kind} has nothing in it")

    def __getitem__(self, key):
        cdef Owner owner = self.require()
        cdef const uint8_t *at
        cdef Py_ssize_t index
        if self.item.kind == MAP:
            at = self.find(key)
            if at == NULL:
                raise KeyError(key)
            return element(owner, at, self.end)
        if self.item.kind == BYTES or self.item.kind == STR:
            return element(owner, self.data, self.end)[key]
        if self.item.kind != ARRAY:
            raise TypeError(f"a view of {self.kind} has no elements")
        if isinstance(key, slice):
            return [self.element_at(i) for i in range(*key.indices(self.item.number))]
        try:
            index = key.__index__()
        except AttributeError:
            raise TypeError(f"array indices must be integers or slices, not {type(key).__name__}") from None
        except OverflowError:
            raise IndexError("array index out of range") from None
        if index < 0:
            index += self.item.number
        if not 0 <= index < <Py_ssize_t>self.item.number:
            raise IndexError("array index out of range")
        return self.element_at(index)

    def index(self, value, start=0, stop=None) -> int:
        """Where `value` first is in an array, from `start` on and before `stop`; ValueError when it is not."""
        self.expect(ARRAY, "index()")
        for i in range(*slice(start, stop).indices(self.item.number)):
            if self.element_at(i) == value:
                return i
        raise ValueError(f"{value!r} is not in the array")

    def count(self, value) -> int:
        """How often `value` is in an array."""
        self.expect(ARRAY, "count()")
        return self.count_up_to(value, self.item.number)

    def get(self, key, default=None):
        """A map's value for `key`, or `default` where it has none."""
        cdef Owner owner = self.expect(MAP, "get()")
        cdef const uint8_t *at = self.find(key)
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

    # --- ways to them

    cdef uint64_t count_up_to(self, object value, uint64_t enough) except? <uint64_t>-1:
        cdef uint64_t found = 0
        for part in walk(self, ELEMENTS):
            if part == value:
                found += 1
            if found == enough:
                break
        return found

    cdef object element_at(self, uint64_t index):
        cdef Owner owner = self.require()
        return element(owner, self.position(index), self.end)

    cdef const uint8_t *position(self, uint64_t index) except NULL:
        """Where an array's element is.  Going forwards starts from the last one, going backwards from a mark."""
        cdef const uint8_t *at = self.near_at
        cdef uint64_t from_ = self.near
        cdef int wrong
        if index < self.near and self.marks == NULL:
            self.mark()
        if self.marks != NULL and (index < from_ or index - from_ > STRIDE):
            from_ = index // STRIDE * STRIDE
            at = self.marks[index // STRIDE]
        wrong = skip(&at, self.end, index - from_)
        if wrong != FINE:
            raise fault(wrong)
        self.near, self.near_at = index, at
        return at

    cdef int mark(self) except -1:
        cdef uint64_t count = self.item.number, i
        cdef const uint8_t *at = self.data + self.item.head
        cdef const uint8_t **marks = <const uint8_t **>malloc((count // STRIDE + 1) * sizeof(uint8_t *))
        cdef int wrong = FINE
        if marks == NULL:
            raise MemoryError
        for i in range(count // STRIDE + 1):
            marks[i] = at
            wrong = skip(&at, self.end, min(<uint64_t>STRIDE, count - i * STRIDE))
            if wrong != FINE:
                free(marks)
                raise fault(wrong)
        self.marks = marks
        return 0

    cdef const uint8_t *find(self, object key) except? NULL:
        """A map's value for the key, NULL when there is none.  Starts where the last search ended, so that
        `for k in view: view[k]` goes through the map once."""
        cdef Key packed
        cdef const uint8_t *at
        cdef const uint8_t *pair
        cdef uint64_t i, left
        cdef int wrong
        cdef bint same = False
        try:
            keeper = pack_key(key, &packed)
        except (TypeError, ValueError, OverflowError):
            hash(key)  # raises as a dict does
            return NULL  # what cannot be packed is not here
        at, i, left = self.near_at, self.near, self.item.number
        while left > 0:
            if i == self.item.number:
                at, i = self.data + self.item.head, 0
            pair = at
            wrong = same_key(&packed, at, self.end, &same)
            if wrong == FINE:
                wrong = skip(&at, self.end, 1)
            if wrong != FINE:
                raise fault(wrong)
            if same:
                self.near, self.near_at = i, pair
                return at
            wrong = skip(&at, self.end, 1)
            if wrong != FINE:
                raise fault(wrong)
            i += 1
            left -= 1
        return NULL
