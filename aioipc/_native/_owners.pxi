# Fields that own objects, or lead to them weakly.  Part of _core.pyx.

cdef aipc_owner _owner(Place place, uint8_t *memory) noexcept:
    """An owning word of a pinned object."""
    cdef aipc_owner owner
    owner.object, owner.word = &place.pin.ref, memory - place.pin.seg.base
    return owner


cdef int _checked(Attachment home, aipc_status status, str what) except -1:
    if status == AIPC_CLOSED:
        raise ClosedError("the object was destroyed")
    if status == AIPC_NOT_FOUND:
        raise NotFoundError(f"{what}: the object was destroyed")
    if status == AIPC_NOT_OWNER:
        raise NotOwnerError(f"{what}: the object belongs to one pointer alone")
    return home.check_space(status, sizeof(aipc_holding), what)


@cython.final
cdef class OwnerType(FieldType):
    """A pointer that owns what it leads to, with others or (`sole`) alone, and what it is declared to lead to."""

    cdef readonly object target
    cdef readonly bint sole

    def __init__(self, cls, str text not None, bint sole=False, target=None):
        self.cls, self.text, self.sole, self.target = cls, text, sole, target
        self.size = self.alignment = 8
        self.format = None

    def aimed(self, target) -> OwnerType:
        """The same, declared to lead to this."""
        return OwnerType(self.cls, self.text, self.sole, target)

    cdef tuple owned(self):
        return (0,)

    cdef object load(self, Place owner, uint8_t *memory, object key):
        cdef aipc_object_ref ref
        if self.sole:
            view = _new_handle(self.cls, ())
            (<OwnedHandle?>view).become(owner, memory, self, key)
            return view
        cdef Attachment home = owner.pin.attachment
        cdef aipc_owner place = _owner(owner, memory)
        cdef aipc_ctx *ctx = home.enter()
        cdef aipc_status status = aipc_share_copy(ctx, &place, &ref)
        aipc_ctx_leave(ctx)
        _checked(home, status, "copying a pointer")
        return self.cls._taken(owner, None if ref.object == 0 else _share_of(home, &ref), self.target)

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        """On its way into a new object, which then owns it."""
        cdef uint64_t word = 0
        if value is not None and not (isinstance(value, OwningHandle) and (<OwningHandle>value)._share is None):
            word = aipc_pointer_to_object(&self.meant(home, value).ref)
        if self.sole and word != 0:
            raise TypeError(f"a new object owns nothing alone: assign the {self.text} once it is there")
        if home.seg.base <= memory < home.seg.base + home.seg.mapped:
            raise TypeError("pointers that own are assigned one by one")
        memcpy(memory, &word, sizeof(word))
        return 0

    cdef Pin meant(self, Attachment home, object value):
        """On the object to be owned, in this segment."""
        cdef Pin pin
        if isinstance(value, OwningHandle):
            pin = (<OwningHandle>value).held().pin
        elif isinstance(value, Handle):
            if isinstance(value, Place) and ((<Place>value)._whole is not None or isinstance(value, OwnedHandle)):
                raise ValueError(f"a pointer leads to whole objects, and {value!r} is a part of one")
            (<Handle>value).usable("object")
            pin = (<Handle>value).pin
        else:
            raise TypeError(f"a pointer that owns, an object or None is wanted, not {type(value).__name__}")
        if pin.attachment is not home:
            raise ValueError(f"{value!r} lives in another segment")
        return pin

    cdef int assign(self, Place owner, uint8_t *memory, object value) except -1:
        cdef Attachment home = owner.pin.attachment
        cdef Share share = None
        cdef Pin pin = None
        if isinstance(value, OwnedHandle):
            if not self.sole:
                raise TypeError("a UniquePtr is not shared: take() it, and share() that")
            value = (<OwnedHandle>value).take()
        if isinstance(value, OwningHandle) and (<OwningHandle>value)._share is None:
            value = None
        if value is not None:
            pin = self.meant(home, value)
        if isinstance(value, OwningHandle):
            share = (<OwningHandle>value)._share
            if share.sole != self.sole:
                raise TypeError(f"a {type(value).__name__} cannot be assigned to a {self.text}")
        if not self.sole or pin is None:
            return self.put(owner, memory, pin)
        if share is None:
            share = share_of(pin, AIPC_SOLE)
        self.move(owner, memory, share)
        if isinstance(value, OwningHandle):
            (<OwningHandle>value)._share = (<OwningHandle>value)._aimed_at = None
        return 0

    cdef int put(self, Place owner, uint8_t *memory, Pin pin) except -1:
        """Makes the word own a share of its own."""
        cdef aipc_owner place = _owner(owner, memory)
        cdef aipc_ctx *ctx = owner.pin.attachment.enter()
        cdef aipc_status status = aipc_share_store(ctx, &place, NULL if pin is None else &pin.ref)
        aipc_ctx_leave(ctx)
        return _checked(owner.pin.attachment, status, "assigning a pointer")

    cdef int move(self, Place owner, uint8_t *memory, Share share) except -1:
        """Makes the word own this share."""
        share.require()
        cdef aipc_owner place = _owner(owner, memory)
        cdef aipc_ctx *ctx = owner.pin.attachment.enter()
        cdef uint64_t holding = share.give_away()
        cdef aipc_status status = aipc_share_move_in(ctx, &place, holding)
        aipc_ctx_leave(ctx)
        if status == AIPC_CLOSED:
            share.holding = holding
            raise ClosedError("the object was destroyed")
        return share.ended(status, holding, "assigning a pointer")


cdef class OwnedHandle(Place):
    """What a field that owns an object alone does."""

    cdef OwnerType owner

    cdef int become(self, Place parent, uint8_t *memory, FieldType type, object key) except -1:
        self.owner = type
        return Place.become(self, parent, memory, type, key)

    @property
    def target(self):
        """What it was declared to lead to."""
        return None if self.owner is None else self.owner.target

    def __bool__(self):
        return self.word() != 0

    cdef uint64_t word(self) except? 0x5eed:
        cdef uint64_t word = 0
        cdef aipc_owner place = _owner(self, self.reach())
        cdef aipc_ctx *ctx = self.pin.attachment.enter()
        cdef aipc_status status = aipc_share_word(ctx, &place, &word)
        aipc_ctx_leave(ctx)
        _checked(self.pin.attachment, status, "looking at a pointer")
        return word

    def _followed(self):
        """A Pin on what it owns; None for nothing."""
        cdef aipc_object_ref ref
        cdef Attachment home = self.pin.attachment
        cdef aipc_ctx *ctx
        cdef aipc_status status
        cdef uint64_t word = self.word()
        while word != 0:
            ctx = home.enter()
            status = aipc_pointer_follow(ctx, word, &ref)
            aipc_ctx_leave(ctx)
            pin = home.pin(status, &ref)
            if pin is not None:
                return pin
            word = self.word()  # somebody else set it meanwhile
        return None

    def _moved_out(self):
        """The Share that it had; None for nothing."""
        cdef aipc_object_ref ref
        cdef Attachment home = self.pin.attachment
        cdef aipc_owner place = _owner(self, self.reach())
        cdef aipc_ctx *ctx = home.enter()
        cdef aipc_status status = aipc_share_move_out(ctx, &place, &ref)
        aipc_ctx_leave(ctx)
        _checked(home, status, "taking a pointer")
        return None if ref.object == 0 else _share_of(home, &ref)

    def take(self):
        """The pointer that owns it from now on."""
        raise NotImplementedError

    def set(self, value) -> None:
        """Makes it own another object, which a UniquePtr had, or nothing; what it owned before is destroyed."""
        cdef uint8_t *memory = self.reach()
        self.owner.assign(self, memory, value)


@cython.final
cdef class WeakType(FieldType):
    """A pointer that owns nothing, and what it is declared to lead to."""

    cdef readonly object target
    cdef PointerType plain

    def __init__(self, cls, target=None):
        self.cls, self.target, self.text, self.size, self.alignment, self.format = cls, target, "WeakPtr", 8, 8, None
        self.plain = PointerType(None)

    def aimed(self, target) -> WeakType:
        """The same, declared to lead to this."""
        return WeakType(self.cls, target)

    cdef object load(self, Place owner, uint8_t *memory, object key):
        return self.cls._aimed(owner, aipc_load_seq_cst64(<uint64_t *>memory), self.target)

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        if isinstance(value, Block):
            raise TypeError("a WeakPtr leads to objects, not to a Block")
        return self.plain.store(home, memory, value)
