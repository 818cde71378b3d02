# What a reader sees of structs, arrays, atomic numbers and primitives.  Part of _core.pyx.
#
# Nothing keeps what is looked at: each value is read first, and counts if the object was still there afterwards.

cdef dict _seen_classes = {}  # by the class of a FieldType: what shows what is of this type


def show_seen_as(type of, cls):
    """Tells the class of what is read-only there."""
    _seen_classes[of] = cls


cdef class SeenPlace:
    """Memory of an object in a segment that was opened for reading: the whole of it, or a part."""

    cdef readonly object _segment
    cdef readonly Seen _seen
    cdef readonly FieldType _type
    cdef uint8_t *memory        # the first of
    cdef uint64_t count         # so many elements; 0: this is one of them, or a part
    cdef bytes format

    def _whole(self, segment, Seen seen not None, FieldType type not None):
        """The object itself, whose elements are of this type."""
        cdef aipc_description said
        self._segment, self._seen, self._type = segment, seen, type
        if isinstance(type, AtomicType):
            self.memory = <uint8_t *>seen.payload(type.size)
            return self
        seen.describe(&said)
        if said.element_size != type.size:
            raise CorruptSegmentError(f"the object at offset {seen.ref.object:#x} has elements of {said.element_size} bytes, "
                                      f"not {type.size}")
        self.memory, self.count = said.elements, seen.ref.count if isinstance(type, StructType) else 0
        return self

    cdef uint8_t *reach(self) except NULL:
        """The memory, if the object is there."""
        if self._seen is None:
            raise TypeError("find it through a segment that was opened for reading")
        self._seen.payload(0)
        return self.memory

    cdef uint8_t *single(self) except NULL:
        if self.count > 1:
            raise TypeError(f"{self!r} has {self.count} elements: choose one by its index")
        return self.reach()

    cdef object part(self, FieldType type, uint8_t *memory):
        """The value there, or a handle on it."""
        cdef SeenPlace place
        cls = _seen_classes.get(type.__class__)
        if cls is not None:
            place = _new_handle(cls, ())
            place._segment, place._seen, place._type, place.memory = self._segment, self._seen, type, memory
            return place
        try:
            return type.load(None, memory, None)
        finally:
            self.reach()  # before what was read is believed, or complained about

    def _field(self, str name not None):
        """Of a struct."""
        cdef Field field = (<StructType?>self._type).by_name[name]
        return self.part(field.type, self.single() + field.offset)

    def _length(self) -> int:
        """Of an array, or of structs."""
        return (<ArrayType>self._type).extents[0] if isinstance(self._type, ArrayType) else max(self.count, 1)

    def _item(self, Py_ssize_t index):
        """Of an array, or one of several structs."""
        cdef Py_ssize_t count = self._length()
        cdef uint8_t *memory = self.reach()
        if index < 0:
            index += count
        if not 0 <= index < count:
            raise IndexError(f"the index is not among the {count} of {self!r}")
        if isinstance(self._type, ArrayType):
            return self.part((<ArrayType>self._type).row, memory + index * (<ArrayType>self._type).strides[0])
        return self if self.count <= 1 else self.part(self._type, memory + index * self._type.size)

    def _load(self):
        """Of an atomic number, or a pointer: its word."""
        cdef uint8_t *memory = self.reach()
        cdef AtomicType atomic
        if isinstance(self._type, AtomicType):
            atomic = self._type
            value = atomic.value(atomic.read(memory))
        else:
            value = aipc_load_seq_cst64(<uint64_t *>memory)
        self.reach()
        return value

    def _followed(self):
        """What a pointer leads to: None, the handle of a block, a Seen; NotFoundError."""
        cdef uint64_t word = self._load()
        cdef Seen seen = Seen.__new__(Seen)
        if word == 0:
            return None
        if aipc_pointer_mark(word) == 0:
            return aipc_pointer_offset(word)
        if aipc_pointer_peek(self._seen.seg, word, &seen.ref) != AIPC_OK:
            raise NotFoundError(f"{self!r}: what it led to was destroyed")
        seen.reader, seen.seg = self._seen.reader, self._seen.seg
        return seen

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef uint8_t *memory = self.reach()
        if not isinstance(self._type, ArrayType) or (<ArrayType>self._type).item.format is None:
            raise BufferError(f"{self._type.text} is read through its own methods")
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise ReadOnlyError("the segment was opened read-only")
        cdef ArrayType array = self._type
        if len(array.shape) > 1 and flags & PyBUF_F_CONTIGUOUS == PyBUF_F_CONTIGUOUS:
            raise BufferError("the last dimension of an array varies fastest")
        self.format = array.exported
        buffer.buf, buffer.len, buffer.itemsize = memory, array.size, array.item.size
        buffer.readonly = True
        buffer.ndim = <int>len(array.shape) if flags & PyBUF_ND else 1
        buffer.shape = array.extents if flags & PyBUF_ND else NULL
        buffer.strides = array.strides if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.format = <char *>self.format if flags & PyBUF_FORMAT else NULL
        buffer.suboffsets = buffer.internal = NULL
        buffer.obj = self
        self._seen.reader.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self._seen.reader.exports -= 1


# --- primitives

cdef object lock_of_condition(Seen seen, aipc_condition *condition):
    """What its lock's own statistics are; None when that is gone."""
    cdef aipc_object_ref ref
    if condition.lock == 0:
        return lock_record(seen.seg, &condition.own)
    ref.object, ref.serial = condition.lock, condition.lock_serial
    if aipc_pointer_peek(seen.seg, aipc_pointer_to_object(&ref), &ref) != AIPC_OK or ref.size < sizeof(aipc_lock):
        return None
    return lock_record(seen.seg, <aipc_lock *>(seen.seg.base + ref.payload))


cdef object barrier_record(aipc_barrier *barrier):
    return barrier.parties, barrier.waiters.length, bool(aipc_load_seq_cst64(&barrier.word) & 1), barrier.contended


cdef object primitive_record(Seen seen):
    cdef uint64_t type = seen.ref.type
    if type in (AIPC_TYPE_LOCK, AIPC_TYPE_RLOCK, AIPC_TYPE_ONCE, AIPC_TYPE_LEADER):
        return lock_record(seen.seg, <aipc_lock *>seen.payload(sizeof(aipc_lock)))
    if type in (AIPC_TYPE_SEMAPHORE, AIPC_TYPE_BOUNDED_SEMAPHORE):
        return semaphore_record(<aipc_semaphore *>seen.payload(sizeof(aipc_semaphore)))
    if type == AIPC_TYPE_EVENT:
        return event_record(<aipc_event *>seen.payload(sizeof(aipc_event)))
    if type == AIPC_TYPE_BARRIER:
        return barrier_record(<aipc_barrier *>seen.payload(sizeof(aipc_barrier)))
    if type == AIPC_TYPE_RWLOCK:
        return rwlock_record(seen.seg, <aipc_rwlock *>seen.payload(aipc_rwlock_object_size(seen.seg.participants)))
    if type == AIPC_TYPE_LIMITER:
        return limiter_record(seen.seg, <aipc_limiter *>seen.payload(aipc_limiter_object_size(seen.seg.participants)))
    raise TypeError("no primitive")


def seen_statistics(Seen seen not None):
    """What `_statistics` of its handle gives."""
    record = primitive_record(seen)
    seen.payload(0)
    return record


def seen_condition(Seen seen not None):
    """What `_statistics` gives of its lock, and of itself."""
    cdef aipc_condition *condition = <aipc_condition *>seen.payload(sizeof(aipc_condition))
    lock = lock_of_condition(seen, condition)
    record = aipc_condition_waiting(condition), condition.contended, condition.notified
    seen.payload(0)
    return lock, record


def seen_term(Seen seen not None):
    """Of a Leader."""
    cdef uint64_t term = aipc_load_seq_cst64(&(<aipc_leader *>seen.payload(sizeof(aipc_leader))).term)
    seen.payload(0)
    return term


def seen_done(Seen seen not None):
    """Of a Once."""
    cdef bint done = aipc_lock_closed(<aipc_lock *>seen.payload(sizeof(aipc_lock)))
    seen.payload(0)
    return done
