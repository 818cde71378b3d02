# OffsetPtr: fields that lead to objects and blocks of the same segment.  Part of _core.pyx.

@cython.final
cdef class PointerType(FieldType):
    """A pointer, and what it is declared to lead to."""

    cdef readonly object target

    def __init__(self, cls, target=None):
        self.cls, self.target, self.text, self.size, self.alignment, self.format = cls, target, "OffsetPtr", 8, 8, None

    def aimed(self, target) -> PointerType:
        """The same, declared to lead to this."""
        return PointerType(self.cls, target)

    cdef object load(self, Place owner, uint8_t *memory, object key):
        view = _new_handle(self.cls, ())
        (<PointerHandle?>view).become(owner, memory, self, key)
        return view

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        cdef uint64_t word = self.word(home, value)
        aipc_exchange_seq_cst64(<uint64_t *>memory, word)
        return 0

    cdef uint64_t word(self, Attachment home, object value) except? 0x5eed:
        """The word that leads to this object, block, or another pointer's target."""
        cdef uint64_t word = 0
        cdef Attachment there
        if value is None:
            return 0
        if isinstance(value, PointerHandle):
            there = (<PointerHandle>value).pin.attachment
            word = aipc_load_seq_cst64(<uint64_t *>(<PointerHandle>value).reach())
            if word == 0:
                return 0
        elif isinstance(value, OwningHandle):
            if (<OwningHandle>value)._share is None:
                return 0
            there = (<OwningHandle>value)._share.attachment
            word = aipc_pointer_to_object(&(<OwningHandle>value).held().pin.ref)
        elif isinstance(value, WeakHandle):
            there, word = (<WeakHandle>value).home, (<WeakHandle>value).word
            if there is None:
                return 0
        elif isinstance(value, Block):
            (<Block>value).require()
            there = (<Block>value).opening.attachment
            word = aipc_pointer_to_block((<Block>value).handle)
        elif isinstance(value, Handle):
            if isinstance(value, Place) and (<Place>value)._whole is not None:
                raise ValueError(f"a pointer leads to whole objects, and {value!r} is a part of one")
            (<Handle>value).usable("object")
            there = (<Handle>value).pin.attachment
            word = aipc_pointer_to_object(&(<Handle>value).pin.ref)
        else:
            raise TypeError(f"an object, a Block or None is wanted, not {type(value).__name__}")
        if there is not home:
            raise ValueError(f"{value!r} lives in another segment")
        if word == 0:
            raise ValueError(f"{value!r} lies beyond the 16 TiB that a pointer reaches")
        return word


cdef class PointerHandle(Place):
    """What an OffsetPtr does."""

    cdef PointerType pointer

    cdef int become(self, Place parent, uint8_t *memory, FieldType type, object key) except -1:
        self.pointer = type
        return Place.become(self, parent, memory, type, key)

    cdef inline uint64_t word(self) except? 0x5eed:
        return aipc_load_seq_cst64(<uint64_t *>self.reach())

    def __bool__(self):
        return self.word() != 0

    def __eq__(self, other):
        """Whether both lead to the same, or both to nothing."""
        if not isinstance(other, PointerHandle):
            return NotImplemented
        cdef uint64_t word = self.word()
        return word == (<PointerHandle>other).word() and (
            word == 0 or self.pin.attachment is (<PointerHandle>other).pin.attachment)

    __hash__ = None

    @property
    def target(self):
        """What it was declared to lead to."""
        return None if self.pointer is None else self.pointer.target

    def _followed(self):
        """A Pin on the object it leads to, the handle of a block, or None for null; NotFoundError when that is gone."""
        cdef aipc_object_ref ref
        cdef uint64_t word = self.word()
        if word == 0:
            return None
        if aipc_pointer_mark(word) == 0:
            return aipc_pointer_offset(word)
        cdef Attachment attachment = self.pin.attachment
        cdef aipc_ctx *ctx = attachment.enter_block()
        cdef aipc_status status = aipc_pointer_follow(ctx, word, &ref)
        aipc_ctx_leave(ctx)
        pin = attachment.pin(status, &ref)
        if pin is None:
            raise NotFoundError(f"{self!r}: what it led to was destroyed")
        return pin

    def set(self, value) -> None:
        """Makes it lead to an object or a Block of its segment, to what another pointer leads to, or (None) to nothing."""
        cdef uint8_t *memory = self.reach()
        self.pointer.store(self.pin.attachment, memory, value)

    def compare_exchange(self, expected, desired) -> bool:
        """Makes it lead to `desired` if it leads to `expected`; whether it did."""
        cdef uint8_t *memory = self.reach()
        cdef uint64_t before = self.pointer.word(self.pin.attachment, expected)
        cdef uint64_t after = self.pointer.word(self.pin.attachment, desired)
        return aipc_cas_seq_cst64(<uint64_t *>memory, before, after)
