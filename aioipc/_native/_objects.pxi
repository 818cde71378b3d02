# Objects: pins, and the handles users hold.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class Pin:
    """Keeps an object's memory for this process.  One for each process and object: what a process knows about
    an object beside what the segment says stands here."""

    cdef readonly Attachment attachment
    cdef aipc_seg *seg
    cdef aipc_object_ref ref
    cdef uint64_t identity  # whose pin it is: the attachment's when it was taken
    cdef object __weakref__

    def __dealloc__(self):
        if self.attachment is not None and self.identity != 0 and self.identity == self.seg.self:
            self.attachment.unpin(self.ref.holding)

    cdef int bound(self) except -1:
        """Called when `ref` is set."""
        return 0

    cdef int renew(self) except -1:
        """After a fork: a pin of the child's own."""
        self.attachment.require()
        if self.identity == self.seg.self:
            return 0
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_pin(ctx, &self.ref)
        aipc_ctx_leave(ctx)
        if status == AIPC_NOT_FOUND:
            raise ClosedError("the object was destroyed")
        check(self.seg, status, "finding the object again after a fork")
        self.identity = self.seg.self
        return self.bound()

    @property
    def type(self) -> int:
        return self.ref.type

    @property
    def serial(self) -> int:
        """Never repeats in a segment."""
        return self.ref.serial

    @property
    def offset(self) -> int:
        return self.ref.object

    @property
    def kind(self) -> int:
        return self.ref.kind

    @property
    def count(self) -> int:
        return self.ref.count

    @property
    def name(self) -> bytes:
        self.attachment.require()
        cdef aipc_object *object = <aipc_object *>(self.seg.base + self.ref.object)
        return object.name[:min(object.name_size, AIPC_NAME_MAX)]

    @property
    def destroyed(self) -> bool:
        self.attachment.require()
        return self.gone() or self.gone_here()

    def destroy(self) -> bool:
        """Takes the name away, and wakes whoever waits on the object; False when that was done before."""
        global shield
        if self.identity != self.seg.self:
            self.renew()
        cdef aipc_ctx *ctx = self.attachment.enter_block()
        cdef bint inside = ctx.block != 0
        cdef aipc_status status = aipc_destroy(ctx, &self.ref)
        aipc_ctx_leave(ctx)
        if inside and status == AIPC_OK:
            self.attachment.touched(self, True)
            return True
        if status == AIPC_NOT_FOUND and not self.gone():
            return False
        if status == AIPC_NOT_OWNER:
            raise NotOwnerError("the object belongs to the pointers that own it, and goes with the last of them")
        if status != AIPC_NOT_FOUND:  # else whoever destroyed it may have died before it could tell
            check(self.seg, status, "destroying an object")
        shield += 1
        try:
            self.close()
        finally:
            shield -= 1
        return status == AIPC_OK

    cdef inline bint gone(self) noexcept:
        """Whether the object was destroyed: what says so in the end, whoever died before telling it."""
        return self.ref.object != 0 and aipc_object_destroyed(self.seg, &self.ref)

    cdef bint gone_here(self) except -1:
        """The same, for who is in the atomic block that destroyed it."""
        return self.attachment.block != 0 and aipc_object_gone(self.seg, &self.ref, self.attachment.block_here())

    cdef int close(self) except -1:
        """Tells the object's waiters that it is gone."""
        return 0


cdef Pin _pin_of(uint64_t type):
    if type == AIPC_TYPE_RLOCK:
        return RLockPin.__new__(RLockPin)
    if type == AIPC_TYPE_LOCK or type == AIPC_TYPE_ONCE or type == AIPC_TYPE_LEADER:
        return LockPin.__new__(LockPin)
    if type == AIPC_TYPE_RWLOCK:
        return RWLockPin.__new__(RWLockPin)
    if type == AIPC_TYPE_CONDITION:
        return ConditionPin.__new__(ConditionPin)
    if type == AIPC_TYPE_SEMAPHORE or type == AIPC_TYPE_BOUNDED_SEMAPHORE:
        return SemaphorePin.__new__(SemaphorePin)
    if type == AIPC_TYPE_EVENT:
        return EventPin.__new__(EventPin)
    if type == AIPC_TYPE_BARRIER:
        return BarrierPin.__new__(BarrierPin)
    if type == AIPC_TYPE_LIMITER:
        return LimiterPin.__new__(LimiterPin)
    if type == AIPC_TYPE_QUEUE:
        return QueuePin.__new__(QueuePin)
    if type == AIPC_TYPE_DICT:
        return DictPin.__new__(DictPin)
    if type & AIPC_TYPE_STRUCT or type == AIPC_TYPE_ARRAY:
        return DescribedPin.__new__(DescribedPin)
    if type == AIPC_TYPE_BUFFER_IO or type == AIPC_TYPE_VECTOR_IO:
        return StreamPin.__new__(StreamPin)
    if type == AIPC_TYPE_POOL or type == AIPC_TYPE_PRIVATE_POOL or type == AIPC_TYPE_ADAPTIVE_POOL:
        return PoolPin.__new__(PoolPin)
    return Pin.__new__(Pin)


cdef class Handle:
    """Base of all handles on objects: which segment, through which opening, which object."""

    cdef readonly object segment
    cdef readonly Opening opening
    cdef readonly Pin pin
    cdef object __weakref__

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        """Makes this handle one on the pinned object."""
        self.segment, self.opening, self.pin = segment, opening, pin

    @cython.final
    cdef inline int attached(self, str noun) except -1:
        """Through an open segment, and with this process's own pin."""
        if self.opening is None or self.opening.closed:
            raise ClosedError(f"the segment of this {noun} is closed")
        if self.pin.identity != self.pin.seg.self:
            self.pin.renew()
        return 0

    @cython.final
    cdef inline int usable(self, str noun) except -1:
        """The same, and the object is there."""
        self.attached(noun)
        if self.pin.gone() or (self.pin.attachment.block != 0 and self.pin.gone_here()):
            raise ClosedError(f"the {noun} was destroyed")
        return 0

    def __eq__(self, other):
        return type(other) is type(self) and self.pin is not None and self.pin is (<Handle>other).pin

    def __hash__(self):
        if self.pin is None:
            return object.__hash__(self)
        return hash((id(self.pin.attachment), self.pin.serial))


cdef aipc_object_spec _spec(int kind, bytes name, uint64_t type, uint64_t size, uint32_t count, bytes initial):
    """Borrows name and initial."""
    cdef aipc_object_spec spec
    if initial is not None and <uint64_t>len(initial) > size:
        raise ValueError("initial is longer than size")
    spec.kind, spec.name, spec.name_size = kind, <const char *>name, len(name)
    spec.type, spec.size, spec.count = type, size, count
    spec.initial = NULL if initial is None else <const void *><const char *>initial
    spec.zeros = size if initial is None else size - len(initial)
    _own(&spec, b"", 0)
    return spec


cdef void _own(aipc_object_spec *spec, bytes words, uint32_t shares) noexcept:
    """What the object owns, and who owns it.  Borrows words."""
    spec.words, spec.word_count, spec.shares = <const uint64_t *><const char *>words, len(words) // 8, shares
