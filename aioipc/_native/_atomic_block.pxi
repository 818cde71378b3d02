# Atomic blocks.  Part of _core.pyx.

@cython.final
cdef class _OpenBlock:
    """The atomic block that a task or thread of this process is in."""

    cdef uint64_t serial
    cdef object who
    cdef unsigned long thread  # where it was entered
    cdef list marks            # where the blocks inside of it began
    cdef list pins             # of what it constructed and destroyed: their waiters may have to be told


@cython.no_gc_clear  # its last act needs what it refers to
cdef class TurnPin(LockPin):
    """Whose turn it is to be in a block, as this process knows it.  It has no object, and so nothing to be given back."""

    cdef int bound(self) except -1:
        self.lock = &self.seg.catalog.turn
        self.score = SPIN_SCORE
        return LinePin.bound(self)

    cdef int renew(self) except -1:
        self.attachment.require()
        self.identity = self.seg.self
        return self.bound()


cdef TurnPin _turn(Attachment attachment):
    """The process's one TurnPin; no object has the serial 0."""
    cdef Pin pin = attachment.pins.get(0)
    attachment.require()
    if pin is None:
        pin = TurnPin.__new__(TurnPin)
        pin.attachment, pin.seg, pin.identity = attachment, attachment.seg, attachment.seg.self
        pin.bound()
        attachment.pins[0] = pin
    return <TurnPin>pin


cdef int _tell(Attachment attachment, _OpenBlock block) except -1:
    """Wakes who waits for what is gone.  Goes on after a failure; the first is raised."""
    cdef Pin pin
    failure = None
    for pin in block.pins:
        try:
            if pin.identity == attachment.seg.self and pin.gone():
                pin.close()
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return 0


cdef int _take_back(Attachment attachment, _OpenBlock block, uint64_t mark) except -1:
    """What was done in the block since the mark."""
    global shield
    cdef aipc_ctx *ctx = NULL
    cdef aipc_status status
    shield += 1
    try:
        status = enter_at_last(attachment.seg, &ctx)
        if status == AIPC_OK:
            status = aipc_block_back_to(ctx, mark)
            aipc_ctx_leave(ctx)
        _tell(attachment, block)
    finally:
        shield -= 1
    return check(attachment.seg, status, "taking back a part of an atomic block")


cdef int _end(Attachment attachment, bint failed) except -1:
    """Commits the block that is open, or takes it back; the next one may begin."""
    global shield
    cdef _OpenBlock block = attachment.open_block
    cdef aipc_ctx *ctx = NULL
    cdef aipc_status status, settled
    shield += 1
    try:
        status = enter_at_last(attachment.seg, &ctx)
        if status == AIPC_OK:
            if not failed:
                status = aipc_block_commit(ctx, block.serial)  # other threads may run here, and want the next one
            aipc_ctx_leave(ctx)
        attachment.open_block, attachment.block = None, 0
        settled = _settle(attachment)
        if settled == AIPC_CORRUPT:
            status = settled
        _tell(attachment, block)
    finally:
        shield -= 1
    return check(attachment.seg, status, "ending an atomic block")


cdef aipc_status _settle(Attachment attachment) noexcept:
    """Settles a block that is over.  What a stopped process is in the way of stays, unseen by anybody, until this process
    asks for the next block, or leaves."""
    cdef aipc_ctx *ctx = NULL
    attachment.unsettled = False  # other threads may run: it is settled once, and what comes after it is not touched
    cdef aipc_status status = enter_at_last(attachment.seg, &ctx)
    if status != AIPC_OK:
        attachment.unsettled = True
        return status
    status = aipc_block_settle(ctx, attachment.seg.slot)
    if status != AIPC_OK:
        attachment.unsettled = True
    elif not aipc_lock_release_fast(attachment.seg, &attachment.seg.catalog.turn):
        status = aipc_lock_release_slow(ctx, &attachment.seg.catalog.turn)
    aipc_ctx_leave(ctx)
    return status


cdef class AtomicBlockHandle(Lockable):
    """`segment.atomic()`: its blocks."""

    cdef bint at_once  # it does not wait

    def _prepare(self, segment, Opening opening not None, bint at_once):
        Lockable._bind(self, segment, opening, _turn(opening.attachment))
        self.at_once, self.spin_ns = at_once, 0

    cdef _OpenBlock block(self):
        """The one that who runs here is in."""
        cdef _OpenBlock block = self.pin.attachment.open_block
        return block if block is not None and block.who == who_runs(False) else None

    # --- entering

    cdef bint reentered(self, object who) except -1:
        cdef _OpenBlock block = self.pin.attachment.open_block
        if block is None or block.who != who:
            if self.pin.attachment.unsettled:
                check(self.pin.seg, _settle(self.pin.attachment), "settling the atomic block that this process was in before")
            return False
        block.marks.append(aipc_block_mark(self.pin.seg))
        return True

    cdef object outcome(self, aipc_status status, object wanted):
        """It is our turn."""
        self.begin()
        return wanted

    cdef int begin(self) except -1:
        global shield
        cdef Attachment attachment = self.pin.attachment
        cdef _OpenBlock block = _OpenBlock.__new__(_OpenBlock)
        block.who, block.thread, block.marks, block.pins = who_runs(False), PyThread_get_thread_ident(), [], []
        cdef aipc_status status
        cdef aipc_ctx *ctx = NULL
        shield += 1
        try:
            status = enter_at_last(self.pin.seg, &ctx)
            if status == AIPC_OK:
                status = aipc_block_open(ctx, &block.serial)
                aipc_ctx_leave(ctx)
            if status == AIPC_OK:
                attachment.open_block, attachment.block = block, block.serial
            else:
                self.let_go(False)
        finally:
            shield -= 1
        return check(self.pin.seg, status, "beginning an atomic block")

    cdef bint at_last(self, bint recover) except -1:
        """Without waiting."""
        if self.take_turn(recover):
            return True
        if self.at_once:
            raise WouldBlock(f"another atomic block is open in {self.segment!r}: wait for it with atomic()")
        return False

    cdef bint take_turn(self, bint recover) except -1:
        self.attached("atomic block")
        who = who_runs(False)
        name = name_of(who)
        if self.reentered(who):
            return True
        if not self.got(self.lock.try_acquire(), who, name):
            if not recover or not self.got(self.lock.try_recover(), who, name):
                return False
        self.begin()
        return True

    cdef int not_for_ever(self, bint thread) except -1:
        """A thread that waits for one of its own tasks waits for ever; so does a task of a loop that runs inside of a
        block of its thread."""
        cdef _OpenBlock block = self.pin.attachment.open_block
        if block is not None and block.thread == PyThread_get_thread_ident() and (thread or type(block.who) is int):
            raise WouldBlock("this thread, or another task of it, is in an atomic block that could not end while this one "
                             "waits: use 'async with segment.atomic()' in both places")
        return 0

    @cython.binding(False)
    def __enter__(self):
        cdef AcquireOperation operation
        if not self.at_last(self.at_once):
            self.not_for_ever(True)
            operation = self.acquiring(None)
            operation.known(who_runs(False))
            block(operation, None)

    @cython.binding(False)
    def __aenter__(self):
        cdef AcquireOperation operation
        if self.at_once or not _checkpoint_wanted():
            if self.at_last(self.at_once):
                return DONE
        self.not_for_ever(False)
        operation = self.acquiring(None)
        operation.known(who_runs(False))
        return operation

    # --- leaving

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self.end(kind is not None)

    @cython.binding(False)
    def __aexit__(self, kind, value, traceback):
        self.end(kind is not None)
        return DONE

    cdef int end(self, bint failed) except -1:
        cdef Attachment attachment = self.pin.attachment
        cdef _OpenBlock block = None if attachment.closed else self.block()
        if block is None or self.pin.identity != attachment.seg.self:
            if failed:
                return 0  # its own exception says more
            if attachment.closed:
                raise ClosedError("the segment was closed inside of its atomic block; all that the block did is taken back")
            raise NotOwnerError("the atomic block is another task's, or was left in the process that forked this one")
        if block.marks:
            mark = block.marks.pop()
            return _take_back(attachment, block, mark) if failed else 0
        _end(attachment, failed or self.opening.closed)
        self.tell()
        PyErr_CheckSignals()  # before pins go, and with them weak references: what is raised in their callbacks is lost
        if self.opening.closed and not failed:
            raise ClosedError("the segment was closed inside of its atomic block; all that the block did is taken back")
        return 0

    def _is_inside(self) -> bool:
        """Whether who runs here is in it."""
        return self.block() is not None
