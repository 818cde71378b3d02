# Shares of objects, and the pointers of this process that hold one.  Part of _core.pyx.

SHARE_ANY = AIPC_SHARE_ANY
SHARE_OF_SHARED = AIPC_SHARE_OF_SHARED
SOLE = AIPC_SOLE


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class Share:
    """One share of an object that this process has: given back with the last reference, or when the process dies."""

    cdef Attachment attachment
    cdef uint64_t holding       # 0: given back, or given away
    cdef uint64_t identity      # whose share it is: the attachment's when it was taken
    cdef readonly Pin pin
    cdef readonly bint sole

    def __dealloc__(self):
        global shield
        cdef aipc_ctx *ctx = NULL
        if not self.own() or aipc_ctx_enter(self.attachment.seg, &ctx) != AIPC_OK:
            return  # it goes when this process detaches
        shield += 1
        aipc_share_release(ctx, self.attachment.seg.slot, self.holding)
        aipc_ctx_leave(ctx)
        if self.pin is not None and self.pin.gone():
            self.tell_waiters()
        shield -= 1

    cdef inline bint own(self) noexcept:
        """Whether there is anything to give back, and it is this process's."""
        return (self.attachment is not None and self.holding != 0 and self.identity != 0
                and self.identity == self.attachment.seg.self)

    cdef void tell_waiters(self) noexcept:
        """That the object is gone; whoever is not told finds out by itself."""
        try:
            self.pin.close()
        except BaseException:
            pass

    cdef int require(self) except -1:
        """The object is there, and the share this process's own."""
        if self.identity == self.attachment.seg.self and not self.attachment.closing and self.identity != 0:
            return 0
        self.pin.renew()
        if self.identity == self.attachment.seg.self:
            return 0
        if self.sole:
            raise NotOwnerError("the object belongs to the parent process, which had it before the fork")
        cdef Share mine = share_of(self.pin, AIPC_SHARE_OF_SHARED)
        self.holding, self.identity, mine.holding = mine.holding, mine.identity, 0
        return 0

    cdef uint64_t give_away(self) noexcept:
        """The holding, for an operation that may end it; `holding` is set again where that did not happen."""
        holding, self.holding = self.holding, 0
        return holding

    cdef int ended(self, aipc_status status, uint64_t holding, str what) except -1:
        """What came of an operation that should end the holding."""
        if status != AIPC_OK and status != AIPC_CORRUPT:  # what is damaged may have been done
            self.holding = holding
        return check(self.attachment.seg, status, what)

    def give_back(self) -> None:
        """Ends the share; with the last one, the object."""
        global shield
        if not self.own():
            return
        cdef uint64_t holding = self.give_away()
        cdef aipc_ctx *ctx
        try:
            ctx = self.attachment.enter()
        except BaseException:
            self.holding = holding
            raise
        cdef aipc_status status = aipc_share_release(ctx, self.attachment.seg.slot, holding)
        aipc_ctx_leave(ctx)
        self.ended(status, holding, "giving back a share")
        if not self.pin.gone():
            return
        shield += 1
        try:
            self.pin.close()
        finally:
            shield -= 1

    def abandon(self) -> None:
        """Ends a sole share, and leaves the object to nobody."""
        self.require()
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef uint64_t holding = self.give_away()
        cdef aipc_status status = aipc_share_abandon(ctx, holding)
        aipc_ctx_leave(ctx)
        self.ended(status, holding, "releasing an object")

    def admit(self) -> None:
        """Makes a sole share one that others can be beside."""
        self.require()
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_share_open(ctx, self.holding)
        aipc_ctx_leave(ctx)
        check(self.attachment.seg, status, "sharing an object")
        self.sole = False

    def another(self) -> Share:
        """One more share of the same object."""
        self.require()
        return share_of(self.pin, AIPC_SHARE_OF_SHARED)

    @property
    def word(self) -> int:
        """What pointers to the object are in the segment."""
        return aipc_pointer_to_object(&self.pin.ref)


cdef Share _share_of(Attachment attachment, aipc_object_ref *ref):
    """The Share of a holding that was just linked."""
    cdef Share share = Share.__new__(Share)
    cdef aipc_object *object = <aipc_object *>(attachment.seg.base + ref.object)
    share.attachment, share.holding, share.identity = attachment, ref.holding, attachment.seg.self
    share.sole = object.shares & AIPC_SOLE != 0
    share.pin = attachment.pin(AIPC_OK, ref)  # where that fails, the share is given back
    if share.pin is None:
        raise CorruptSegmentError(f"the object at offset {ref.object:#x} is gone, though it is shared")
    return share


def word_of(Pin pin not None) -> int:
    """What pointers to the object are in the segment."""
    return aipc_pointer_to_object(&pin.ref)


def share_of(Pin pin not None, uint32_t how) -> Share:
    """A share of an object: SHARE_ANY, SHARE_OF_SHARED, or SOLE."""
    cdef Attachment attachment = pin.attachment
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_object_ref ref = pin.ref
    cdef aipc_status status = aipc_share_take(ctx, &ref, how)
    aipc_ctx_leave(ctx)
    if status == AIPC_NOT_FOUND:
        raise NotFoundError("the object was destroyed, or nobody shares it")
    if status == AIPC_NOT_OWNER:
        raise NotOwnerError("the object belongs to one pointer alone" if how != AIPC_SOLE else
                            "the object has an owner already")
    attachment.check_space(status, sizeof(aipc_holding), "sharing an object")
    return _share_of(attachment, &ref)


def share_locked(Attachment attachment not None, uint64_t word):
    """A share of what a weak pointer leads to; None when nobody shares it (any more)."""
    cdef aipc_object_ref ref
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_status status = aipc_share_lock(ctx, word, &ref)
    aipc_ctx_leave(ctx)
    if status == AIPC_NOT_FOUND:
        return None
    if status == AIPC_NOT_OWNER:
        raise NotOwnerError("the object belongs to one pointer alone")
    attachment.check_space(status, sizeof(aipc_holding), "locking a weak pointer")
    return _share_of(attachment, &ref)


def use_count(Attachment attachment not None, uint64_t word) -> int:
    """How many shares the living have of what a pointer's word leads to."""
    cdef uint32_t count = 0, recovered = 0
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_status status = aipc_recover_all(ctx, &recovered)
    if status == AIPC_OK:
        status = aipc_share_count(ctx, word, &count)
    aipc_ctx_leave(ctx)
    check(attachment.seg, status, "counting shares")
    return count


cdef class OwningHandle:
    """A pointer of this process that owns what it leads to, or leads to nothing."""

    cdef readonly object segment
    cdef readonly Opening opening
    cdef public Share _share    # None: empty
    cdef public object _aimed_at  # the handle that it leads to, once somebody asked

    def _own(self, object segment, Opening opening not None, Share share, aim=None) -> None:
        """Makes it the owner of this share."""
        self.segment, self.opening, self._share, self._aimed_at = segment, opening, share, aim

    def __bool__(self) -> bool:
        return self._share is not None

    cdef Share held(self):
        """Its share, through an open segment."""
        if self.opening is None or self.opening.closed:
            raise ClosedError("the segment of this pointer is closed")
        if self._share is None:
            raise ValueError(f"this {type(self).__name__} is empty")
        self._share.require()
        return self._share

    def _held(self) -> Share:
        return self.held()

    def _key(self) -> tuple:
        """What it leads to, as equality and order see it, also when the segment is closed."""
        if self._share is None:
            return 0, 0
        return id(self._share.attachment), aipc_pointer_to_object(&self._share.pin.ref)


cdef class WeakHandle:
    """A pointer that owns nothing: a word, and the segment where it means something."""

    cdef readonly object segment
    cdef readonly Opening opening
    cdef Attachment home
    cdef readonly uint64_t word

    def _aim(self, object segment, Opening opening not None, uint64_t word) -> None:
        self.segment, self.opening, self.home, self.word = segment, opening, opening.attachment, word

    def _key(self) -> tuple:
        """What it leads to, as equality and order see it, also when the segment is closed."""
        return id(self.home), self.word

    def _home(self) -> Attachment:
        """Where it means something, for as long as that is open."""
        if self.opening is None or self.opening.closed:
            raise ClosedError("the segment of this pointer is closed")
        return self.home
