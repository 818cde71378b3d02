# CapacityLimiter: tokens and who has borrowed them.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class LimiterPin(OneLinePin):
    cdef aipc_limiter *limiter
    cdef dict borrowers  # of this process

    cdef int bound(self) except -1:
        self.limiter = <aipc_limiter *>self.payload(aipc_limiter_object_size(self.seg.participants))
        self.line = &self.limiter.line
        self.borrowers = {}
        return LinePin.bound(self)


cdef class LimiterHandle(OneLineHandle):
    """CapacityLimiter without waiting."""

    cdef inline LimiterPin known(self):
        return <LimiterPin>self.pin

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, <LimiterPin?>pin)

    cdef int fresh(self, object borrower) except -1:
        self.usable("limiter")
        if borrower in self.known().borrowers:
            raise RuntimeError(f"this borrower already holds one of the tokens of {self!r}: {borrower!r}")
        return 0

    cdef bint take(self, object borrower, uint32_t node, bint recover=False) except -1:
        self.fresh(borrower)
        cdef LimiterPin pin = self.known()
        cdef aipc_ctx *ctx = pin.attachment.enter()
        cdef aipc_status status
        if recover:
            status = aipc_limiter_try_recover(ctx, pin.limiter)
        else:
            status = aipc_limiter_try(ctx, pin.limiter, node)
        aipc_ctx_leave(ctx)
        if status == AIPC_AGAIN:
            return False
        check(pin.seg, status, "borrowing a token")
        self.note(borrower)
        return True

    cdef int note(self, object borrower) except -1:
        """Who has borrowed the token that is there now."""
        mark = object()
        try:  # comparing borrowers may run anything
            taken = self.known().borrowers.setdefault(borrower, mark) is not mark
        except BaseException:
            self.give_back()
            raise
        if taken:
            self.give_back()
            self.fresh(borrower)
        return 0

    def _take(self, borrower) -> bool:
        self.fresh(borrower)
        return not self.known().others_first(0, None) and self.take(borrower, 0, True)

    def _acquiring(self, borrower):
        cdef TokenOperation operation = TokenOperation.__new__(TokenOperation)
        operation.prepared(self)
        operation.borrower, operation.named = borrower, True
        return operation

    @cython.binding(False)
    def acquire(self):
        """Borrows a token for the task that calls this, waiting for it as long as it takes.

        RuntimeError when the task holds one already; ClosedError when the segment is closed or the limiter
        destroyed.
        """
        return self.acquiring_here(False)

    cdef TokenOperation acquiring_here(self, bint thread):
        borrower = PyThread_get_thread_ident() if thread else running_task()
        cdef TokenOperation operation = TokenOperation.__new__(TokenOperation)
        operation.prepared(self)
        operation.borrower, operation.named = borrower, borrower is not None
        return operation

    @cython.binding(False)
    def __aenter__(self):
        return self.acquiring_here(False)

    @cython.binding(False)
    def __aexit__(self, kind, value, traceback):
        self._give(who_runs(False))
        return DONE

    def _give(self, borrower):
        self.attached("limiter")
        try:
            self.known().borrowers.pop(borrower)
        except KeyError:
            raise NotOwnerError(f"this borrower holds none of the tokens of {self!r}: {borrower!r}") from None
        self.give_back()

    cdef int give_back(self) except -1:
        global shield
        cdef LimiterPin pin = self.known()
        cdef aipc_ctx *ctx = NULL
        check(pin.seg, enter_at_last(pin.seg, &ctx), "giving a token back")
        shield += 1
        cdef aipc_status status = aipc_limiter_give(ctx, pin.limiter)
        shield -= 1
        aipc_ctx_leave(ctx)
        check(pin.seg, status, "giving a token back")
        return self.passed_on()

    def _resize(self, uint64_t total):
        self.usable("limiter")
        cdef aipc_ctx *ctx = self.known().attachment.enter()
        cdef aipc_status status = aipc_limiter_resize(ctx, self.known().limiter, total)
        aipc_ctx_leave(ctx)
        check(self.pin.seg, status, "setting the number of tokens")
        self.passed_on()

    def _statistics(self):
        """(total or None, borrowed, waiters, contended, [(pid, borrowed) of each process])."""
        self.attached("limiter")
        cdef LimiterPin pin = self.known()
        return limiter_record(pin.seg, pin.limiter)

    def _borrowers(self):
        """Those of this process."""
        self.attached("limiter")
        return tuple(self.known().borrowers)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class TokenOperation(OneLineOperation):
    """`limiter.acquire()`"""

    cdef object borrower
    cdef bint named  # else it is the task that awaits

    cdef object attempt(self):
        if not self.named:
            self.borrower, self.named = who_runs(False), True
        return None if (<LimiterHandle>self.handle).take(self.borrower, self.node) else NOT_YET

    cdef bint last_chance(self) except -1:
        return self.handle._take(self.borrower)

    cdef aipc_status stand(self, aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node):
        return aipc_limiter_stand(ctx, (<LimiterPin>self.pin).limiter, bell, token, node)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_limiter_leave(ctx, (<LimiterPin>self.pin).limiter, node)


aioipc_set_am_send(TokenOperation, _send)


cdef class BlockingLimiter:
    """BlockingCapacityLimiter, to `with`: here so that nothing can be raised between getting a token and holding it."""

    cdef readonly LimiterHandle _limiter

    def __init__(self, LimiterHandle limiter not None):
        self._limiter = limiter

    @cython.binding(False)
    def __enter__(self):
        block(self._limiter.acquiring_here(True), None)

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self._limiter._give(PyThread_get_thread_ident())


def limiter_size(Attachment attachment not None) -> int:
    """Bytes of a limiter in this segment."""
    attachment.require()
    return aipc_limiter_object_size(attachment.seg.participants)


def limiter_image(Attachment attachment not None, total) -> bytes:
    """What a new limiter starts with; None: any number of tokens."""
    cdef aipc_limiter image
    memset(&image, 0, sizeof(image))
    aipc_limiter_init(&image, AIPC_LIMITER_NO_LIMIT if total is None else total)
    return (<char *>&image)[:sizeof(image)] + bytes(limiter_size(attachment) - sizeof(image))


def borrower_here(bint thread):
    """Who borrows when nobody is named: the running task; the thread, when there is none or `thread` asks for it."""
    return who_runs(thread)


cdef object limiter_record(aipc_seg *seg, aipc_limiter *limiter):
    cdef aipc_limiter_stats stats
    cdef uint32_t slot, count
    aipc_limiter_stats_get(seg, limiter, &stats)
    by_process = []
    for slot in range(seg.participants):
        count = aipc_limiter_borrowed_by(seg, limiter, slot)
        if count != 0:
            by_process.append((aipc_participant_pid(seg, slot), count))
    return (None if stats.total == AIPC_LIMITER_NO_LIMIT else stats.total, stats.borrowed, stats.waiters,
            stats.contended, by_process)
