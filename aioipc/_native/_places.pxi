# Handles on memory in the middle of an object: what structs, arrays and atomic numbers share.  Part of _core.pyx.

TYPE_ARRAY = AIPC_TYPE_ARRAY
TYPE_STRUCT = AIPC_TYPE_STRUCT


cdef extern from *:
    """
    static inline PyObject *aioipc_new_handle(PyObject *cls, PyObject *no_arguments) {
        if (!PyType_Check(cls)) return PyErr_Format(PyExc_TypeError, "%R has no handles", cls);
        return ((PyTypeObject *)cls)->tp_new((PyTypeObject *)cls, no_arguments, NULL);
    }
    """
    object _new_handle "aioipc_new_handle" (object cls, tuple no_arguments)  # what cls.__new__(cls) does, in half the time


cdef aipc_description _description(bytes text, uint64_t element_size, bytes owners):
    """Borrows text and owners."""
    cdef aipc_description said
    said.text, said.text_size, said.element_size, said.elements = <const char *>text, len(text), element_size, NULL
    said.owners, said.owner_count = <const uint32_t *><const char *>owners, len(owners) // sizeof(uint32_t)
    return said


def struct_type(bytes text not None, bytes owners not None) -> int:
    """The type number of a struct that describes itself so, with owning words in these places."""
    cdef aipc_description said = _description(text, 0, owners)
    return aipc_struct_type(&said)


def described_head(bytes text not None, uint64_t element_size, bytes owners not None = b"") -> bytes:
    """What the payload of a struct or an array begins with: its elements come next."""
    cdef aipc_description said = _description(text, element_size, owners)
    cdef uint64_t size = aipc_described_head(said.text_size, said.owner_count)
    if size == 0:
        raise ValueError(f"a description of {len(text)} bytes, with {said.owner_count} pointers, is too long")
    head = bytes(size)
    aipc_described_init(<void *><char *>head, &said)
    return head


@cython.no_gc_clear  # its last act needs what it refers to
cdef class DescribedPin(Pin):
    """One struct or array, as this process knows it: what it said when it was found counts from then on."""

    cdef aipc_description said

    cdef int bound(self) except -1:
        return check(self.seg, aipc_described_at(self.seg, self.ref.payload, self.ref.size, self.ref.count, &self.said),
                     "finding a struct or an array")

    @property
    def description(self) -> bytes:
        """Its fields, or the type of its items, as text."""
        self.attachment.require()
        return self.said.text[:self.said.text_size]

    @property
    def element_size(self) -> int:
        return self.said.element_size


cdef class Place(Handle):
    """A handle on memory of an object: the whole of it, or a part of it that it keeps in place."""

    cdef uint8_t *memory         # NULL: none, or several elements, of which none was chosen
    cdef FieldType type          # what lies there
    cdef readonly Place _whole   # of which this is a part; None: the object itself
    cdef readonly object _part   # which part: the name of a field, or an index

    cdef int become(self, Place parent, uint8_t *memory, FieldType type, object key) except -1:
        """Makes this a handle on a part of another one."""
        self.segment, self.opening, self.pin = parent.segment, parent.opening, parent.pin
        self._whole, self._part, self.memory, self.type = parent, key, memory, type
        return 0

    @cython.final
    cdef inline uint8_t *reach(self) except NULL:
        """The memory, to read from."""
        if self.memory == NULL or self.opening.closed or self.pin.identity != self.pin.seg.self or self.pin.gone():
            self.look()
        return self.memory

    @cython.final
    cdef inline int put(self, FieldType type, uint8_t *memory, object value) except -1:
        """Stores a value in its place, which stays even if what the value is asked for closes the segment."""
        cdef Attachment home = self.pin.attachment
        if PyLong_CheckExact(value) or PyFloat_CheckExact(value):
            return type.store(home, memory, value)
        home.fall_asleep()
        try:
            return type.assign(self, memory, value)
        finally:
            home.wake_up()

    cdef int look(self) except -1:
        """Why the memory cannot be used as it stands, or what has to be done before."""
        if self.pin is None:
            raise ClosedError(f"{self!r}")
        self.usable("object")
        if self.memory == NULL:
            raise TypeError(f"{self!r} has {self.pin.count} elements: choose one by its index")
        return 0

    def __eq__(self, other):
        if type(self) is not type(other) or self.pin is None:
            return self is other
        return (self.pin is (<Place>other).pin and self.memory == (<Place>other).memory
                and (self.type is (<Place>other).type or self.type.text == (<Place>other).type.text))

    def __hash__(self):
        return hash((id(self.pin), <uint64_t>self.memory))


def part(Place whole not None, key):
    """The part of a handle that has this key: how handles on parts are pickled."""
    return getattr(whole, key) if isinstance(key, str) else whole[key]


cdef object _explained(object error, object where):
    """The same exception, which says where it happened."""
    for kind in (IPCError, TypeError, OverflowError):
        if isinstance(error, kind):
            return (type(error) if kind is IPCError else kind)(f"{where}: {error}")
    return ValueError(f"{where}: {error}")
