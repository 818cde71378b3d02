# Structs, and the items of arrays.  Part of _core.pyx.

cdef object _items_class = None


def show_items_as(cls):
    """Tells the class of the handles on arrays."""
    global _items_class
    _items_class = cls


@cython.no_gc_clear  # its last act needs what it refers to
cdef class ItemsHandle(Place):
    """What Items are and do."""

    cdef bytes format           # of the items, as exported buffers say it

    @property
    def shape(self) -> tuple:
        """The number of items in each dimension."""
        return (<ArrayType?>self.type).shape

    @property
    def _array_type(self):
        return <ArrayType?>self.type

    def __len__(self):
        return (<ArrayType?>self.type).extents[0]

    @cython.final
    cdef inline Py_ssize_t checked(self, Py_ssize_t i) except -1:
        cdef Py_ssize_t count = (<ArrayType>self.type).extents[0]
        if i < 0:
            i += count
        if not 0 <= i < count:
            raise IndexError(f"the index is not among the {count} of {self.type.text}")
        return i

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        """For an Array: `_take` comes next."""
        Handle._bind(self, segment, opening, <DescribedPin?>pin)

    def _take(self, ArrayType type not None):
        """What kind of array the object is."""
        cdef DescribedPin pin = self.pin
        if pin.said.element_size != type.size or pin.ref.count != 1:
            raise CorruptSegmentError(
                f"the array at offset {pin.ref.object:#x} has {pin.said.element_size} bytes, not {type.size}")
        self.type, self.memory = type, pin.said.elements

    def __getitem__(self, key):
        self.reach()
        cdef ArrayType array = self.type
        cdef Py_ssize_t i
        if isinstance(key, slice):
            return [self[n] for n in range(*key.indices(array.extents[0]))]
        if isinstance(key, tuple):
            return _reduce(lambda items, k: items[k], self.keys(key), self)
        i = self.checked(key)
        return array.row.load(self, self.reach() + i * array.strides[0], i)  # the key may have closed the segment

    def __setitem__(self, key, value):
        self.reach()
        cdef ArrayType array = self.type
        cdef Py_ssize_t i
        if isinstance(key, slice):
            self.store_slice(key, list(value))
            return
        if isinstance(key, tuple):
            *before, last = self.keys(key)
            _reduce(lambda items, k: items[k], before, self)[last] = value
            return
        i = self.checked(key)
        try:
            self.put(array.row, self.reach() + i * array.strides[0], value)
        except (TypeError, ValueError, OverflowError) as error:
            raise _explained(error, f"item {i}") from None

    cdef tuple keys(self, tuple keys):
        """One for each dimension, from the first on; slices give lists, so there is nothing behind one."""
        cdef ArrayType array = self.type
        if not 0 < len(keys) <= len(array.shape):
            raise TypeError(f"{len(keys)} indexes, and {array.text} has dimensions for 1 to {len(array.shape)}")
        if any([isinstance(key, slice) for key in keys[:len(keys) - 1]]):
            raise TypeError("only the last index can be a slice; numpy.asarray(array) has all of them")
        return keys

    cdef int store_slice(self, slice key, list values) except -1:
        """All of them are checked before the first is stored."""
        cdef ArrayType array = self.type
        places = range(*key.indices(array.extents[0]))
        if len(places) != len(values):
            raise ValueError(f"{len(places)} items are wanted, not {len(values)}: an array has a fixed size")
        for value in values:
            array.row.pack(self.pin.attachment, value)
        for i, value in zip(places, values):
            self[i] = value
        return 0

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))

    def tolist(self) -> list:
        """A list of the values; of lists, where there are more dimensions."""
        return [item.tolist() if isinstance(item, ItemsHandle) else item for item in self]

    def fill(self, value) -> None:
        """Stores the value in each item."""
        self.put_all(self.reach(), value)

    cdef int put_all(self, uint8_t *memory, object value) except -1:
        cdef ArrayType array = self.type
        cdef Attachment home = self.pin.attachment
        cdef uint64_t i
        array.item.pack(home, value)  # or nothing is stored
        self.reach()
        home.fall_asleep()
        try:
            for i in range(array.count):
                array.item.store(home, memory + i * array.item.size, value)
        finally:
            home.wake_up()
        return 0

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef uint8_t *memory = self.reach()
        cdef ArrayType array = self.type
        if array.item.format is None:
            raise BufferError(f"the bytes of {array.item.text} are read and written through their own methods")
        if len(array.shape) > 1 and flags & PyBUF_F_CONTIGUOUS == PyBUF_F_CONTIGUOUS:
            raise BufferError("the last dimension of an array varies fastest")
        self.format = array.exported  # the same for all buffers: each refers to it
        buffer.buf, buffer.len, buffer.itemsize = memory, array.size, array.item.size
        buffer.readonly = False
        buffer.ndim = <int>len(array.shape) if flags & PyBUF_ND else 1
        buffer.shape = array.extents if flags & PyBUF_ND else NULL
        buffer.strides = array.strides if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.format = <char *>self.format if flags & PyBUF_FORMAT else NULL
        buffer.suboffsets = buffer.internal = NULL
        buffer.obj = self
        self.opening.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.opening.released()


cdef inline uint64_t _aligned(uint64_t at, uint64_t alignment) noexcept:
    return (at + alignment - 1) // alignment * alignment


@cython.final
cdef class StructType(FieldType):
    """The layout of a Struct: C's, each field at a multiple of what its type wants."""

    cdef readonly tuple fields  # of Field, in order
    cdef readonly bytes owners  # where its owning words lie, 32 bits each
    cdef dict by_name
    cdef tuple places           # of them, as numbers

    def __init__(self, str name not None, fields):
        cdef Field field
        self.alignment, self.fields = 1, tuple([Field(name, *declared) for declared in fields])
        self.by_name = {}
        for field in self.fields:
            self.by_name[field.name] = field
            self.alignment = max(self.alignment, field.type.alignment)
            field.offset = _aligned(self.size, field.type.alignment)
            field.end = self.size = field.offset + field.type.size
            if self.size >= 1 << 32 or field.type.size >= 1 << 32:
                raise ValueError(f"a struct of {self.size} bytes is too large")
        self.size = _aligned(self.size, self.alignment)
        self.places = tuple([f.offset + place for f in self.fields for place in (<Field>f).type.owned()])
        if len(self.places) > AIPC_OWNERS_MAX:
            raise ValueError(f"{name}: a struct has at most {AIPC_OWNERS_MAX} pointers that own")
        self.owners = _array("I", self.places).tobytes()
        listed = ",".join([f"{f.name}:{f.type.text}@{f.offset}" for f in self.fields])
        self.text, self.format = f"{name}({listed}){self.size}", self.exported() if self.size > 0 else None

    @property
    def names(self):
        """Of the fields."""
        return self.by_name.keys()

    cdef object exported(self):
        """As PEP 3118 describes it; None when a field is nobody else's business."""
        cdef Field field
        cdef uint64_t at = 0
        said = "T{="
        for field in self.fields:
            array = field.type if isinstance(field.type, ArrayType) else None
            item = field.type if array is None else (<ArrayType>array).item
            if (<FieldType>item).format is None:
                return None
            shape = "" if array is None else f"({','.join(map(str, (<ArrayType>array).shape))})"
            said += f"{field.offset - at}x" if field.offset > at else ""
            said += f"{shape}{(<FieldType>item).format}:{field.name}:"
            at = field.end
        return said + (f"{self.size - at}x" if self.size > at else "") + "}"

    cdef tuple owned(self):
        return self.places

    def words(self, bytes elements not None) -> bytes:
        """The owning words of these elements that lead to something."""
        cdef uint64_t at, place
        words = bytearray()
        if self.places:
            for at in range(0, len(elements), self.size):
                for place in self.places:
                    word = elements[at + place:at + place + 8]
                    words += word if any(word) else b""
        if len(words) > 8 * AIPC_WORDS_AT_ONCE:
            raise ValueError(f"a new {self.cls.__name__} owns at most {AIPC_WORDS_AT_ONCE} objects; assign the others")
        return bytes(words)

    cdef object load(self, Place owner, uint8_t *memory, object key):
        view = _new_handle(self.cls, ())
        (<StructHandle?>view).become(owner, memory, self, key)
        return view

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        """The fields of another one, or those that a mapping names: all are checked before the first is stored."""
        if self.places and home.seg.base <= memory < home.seg.base + home.seg.mapped:
            raise TypeError(f"a {self.cls.__name__} has pointers that own: assign its fields one by one")
        if isinstance(value, StructHandle) and (<StructHandle>value).type is self:
            value = {name: getattr(value, name) for name in self.by_name}
        elif not isinstance(value, Mapping):
            raise TypeError(f"a {self.cls.__name__} or a mapping of its fields is wanted, not {type(value).__name__}")
        cdef bytes room = bytes(self.size)
        self.store_all(home, <uint8_t *><char *>room, value)
        return self.store_all(home, memory, value)

    cdef int store_all(self, Attachment home, uint8_t *memory, object values) except -1:
        cdef Field field
        for name, value in values.items():
            field = self.by_name.get(name)
            if field is None:
                raise TypeError(f"{self.cls.__name__} has no field {name!r}, but {', '.join(self.by_name) or 'none'}")
            try:
                field.type.store(home, memory + field.offset, value)
            except (TypeError, ValueError, OverflowError) as error:
                raise _explained(error, name) from None
        return 0


@cython.final
cdef class Field:
    """A field of a Struct: an attribute that is read from and written to shared memory."""

    cdef readonly str name
    cdef readonly FieldType type
    cdef readonly uint64_t offset
    cdef uint64_t end
    cdef str where

    def __init__(self, str struct not None, str name not None, FieldType type not None):
        self.name, self.type, self.where = name, type, f"{struct}.{name}"

    def __get__(self, instance, owner):
        if instance is None:
            return self
        cdef StructHandle handle = <StructHandle?>instance
        cdef uint8_t *memory = handle.reach()
        if self.end > handle.extent:
            raise TypeError(f"{handle!r} has no {self!r}")
        return self.type.load(handle, memory + self.offset, self.name)

    def __set__(self, instance, value):
        cdef StructHandle handle = <StructHandle?>instance
        cdef uint8_t *memory = handle.reach()
        if self.end > handle.extent:
            raise TypeError(f"{handle!r} has no {self!r}")
        try:
            handle.put(self.type, memory + self.offset, value)
        except (TypeError, ValueError, OverflowError) as error:
            raise _explained(error, self.where) from None

    def __delete__(self, instance):
        raise AttributeError(f"{self.where} is a place in memory and cannot be deleted")

    def __repr__(self):
        return f"<field {self.where}: {self.type!r} at {self.offset}>"


cdef class StructHandle(Place):
    """What a Struct is but for its fields."""

    cdef uint64_t extent        # bytes from `memory` on that are its own

    cdef int become(self, Place parent, uint8_t *memory, FieldType type, object key) except -1:
        self.extent = type.size
        return Place.become(self, parent, memory, type, key)

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        cdef DescribedPin described = <DescribedPin?>pin
        self.type = <StructType?>type(self)._field_type
        if described.said.element_size != self.type.size:
            raise CorruptSegmentError(f"the struct at offset {pin.ref.object:#x} has elements of "
                                      f"{described.said.element_size} bytes, not {self.type.size}")
        self.extent = self.type.size
        self.memory = described.said.elements if pin.ref.count == 1 else NULL

    def __len__(self):
        if self.pin is None:
            self.look()
        return 1 if self._whole is not None else self.pin.ref.count

    def __getitem__(self, Py_ssize_t index):
        cdef Py_ssize_t count = len(self)
        self.usable("object")
        if index < 0:
            index += count
        if not 0 <= index < count:
            raise IndexError(f"the index is not among the {count} of {self!r}")
        if self._whole is not None or count == 1:
            return self
        cdef StructHandle element = <StructHandle?>_new_handle(type(self), ())
        element.become(self, (<DescribedPin>self.pin).said.elements + index * self.type.size, self.type, index)
        return element

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))
