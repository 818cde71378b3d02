# Semaphore, Event and CapacityLimiter: conditions that waiters stand in one line for.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class OneLinePin(LinePin):
    """An object with one line, as this process knows it."""

    cdef aipc_line *line

    cdef inline void *payload(self, uint64_t needed) except NULL:
        if self.ref.size < needed:
            raise CorruptSegmentError(f"the object at offset {self.ref.object:#x} has {self.ref.size} bytes")
        return self.seg.base + self.ref.payload

    cdef int close(self) except -1:
        return self.wake(<uint32_t>AIPC_EVERYBODY)

    cdef int wake(self, uint32_t count) except -1:
        """Wakes who sleeps, after something has come true for `count` of them."""
        global shield
        cdef aipc_ctx *ctx = NULL
        cdef aipc_status status
        if not aipc_line_asleep(self.line):
            return 0
        check(self.seg, enter_at_last(self.seg, &ctx), "waking waiters")
        shield += 1
        status = aipc_line_wake(ctx, self.line, count)
        shield -= 1
        aipc_ctx_leave(ctx)
        return check(self.seg, status, "waking waiters")


cdef class OneLineHandle(Handle):
    """A handle on such an object."""

    cdef inline int passed_on(self) except -1:
        """After waking others: those of this process are spared the way through the kernel."""
        if (<LinePin>self.pin).local[0] > 0:
            self._passed_on()
        return 0

    def _passed_on(self):
        """Called after a change while tasks or threads of this process wait for it."""


@cython.no_gc_clear  # its last act needs what it refers to
cdef class OneLineOperation(Operation):
    """Waits in that line."""

    cdef OneLineHandle handle
    cdef OneLinePin pin

    cdef OneLineOperation prepared(self, OneLineHandle handle):
        handle.attached("object")
        self.handle, self.pin = handle, <OneLinePin>handle.pin
        self.opening, self.attachment, self.seg = handle.opening, self.pin.attachment, self.pin.seg
        return self

    cdef bint must_queue(self) except -1:
        return self.pin.others_first(0, self)

    cdef aipc_status stand(self, aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node):
        return aipc_line_stand(ctx, self.pin.line, bell, token, node)

    cdef aipc_status again(self, aipc_ctx *ctx, uint32_t node):
        return aipc_line_again(ctx, self.pin.line, node)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_line_leave(ctx, self.pin.line, node)

    cdef void counted(self, int change) noexcept:
        self.pin.counted(0, self.bell, change)


def blocked(Operation operation not None, timeout=None):
    """Blocks the thread until the operation was possible (True) or `timeout` seconds are over; `result` has it."""
    return block(operation, timeout)


# ---------------------------------------------------------------------------------------------- semaphores

@cython.no_gc_clear  # its last act needs what it refers to
cdef class SemaphorePin(OneLinePin):
    cdef aipc_semaphore *semaphore

    cdef int bound(self) except -1:
        self.semaphore = <aipc_semaphore *>self.payload(sizeof(aipc_semaphore))
        self.line = &self.semaphore.line
        return LinePin.bound(self)


cdef class SemaphoreHandle(OneLineHandle):
    """Semaphore and BoundedSemaphore without waiting."""

    cdef inline SemaphorePin known(self):
        return <SemaphorePin>self.pin

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, <SemaphorePin?>pin)

    cdef bint take(self) except -1:
        self.usable("semaphore")
        return not self.known().others_first(0, None) and aipc_semaphore_try(self.known().semaphore, 0) == AIPC_OK

    def _take(self) -> bool:
        """Takes a permit if one is there, also when it is set aside for somebody whose death was not noticed yet."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.take():
            return True
        if self.known().others_first(0, None):
            return False
        ctx = self.known().attachment.enter()
        status = aipc_semaphore_try_recover(ctx, self.known().semaphore)
        aipc_ctx_leave(ctx)
        if status != AIPC_AGAIN:
            check(self.pin.seg, status, "acquiring a semaphore")
        return status == AIPC_OK

    def locked(self) -> bool:
        """Whether `acquire` would have to wait: no permit is there, or only for those who came first."""
        self.attached("semaphore")
        cdef aipc_semaphore *semaphore = self.known().semaphore
        return (self.known().others_first(0, None)
                or aipc_load_seq_cst64(&semaphore.value) <= aipc_line_reserved(&semaphore.line, 0))

    def _acquiring(self, outcome):
        cdef PermitOperation operation = PermitOperation.__new__(PermitOperation)
        operation.prepared(self)
        operation.outcome = outcome
        return operation

    def _add(self, uint64_t count) -> bool:
        """Adds permits; False: that would be more than the bound."""
        self.attached("semaphore")
        if aipc_semaphore_add(self.known().semaphore, count) != AIPC_OK:
            return False
        self.known().wake(<uint32_t>min(count, <uint64_t><uint32_t>AIPC_EVERYBODY))
        self.passed_on()
        return True

    def __aenter__(self):
        if not _checkpoint_wanted() and self.take():
            return DONE
        return self._acquiring(None)

    def __aexit__(self, kind, value, traceback):
        self._release()
        return DONE

    def _release(self):
        """One permit back."""

    def _statistics(self):
        """(value, bound, initial value, waiters, contended)."""
        self.attached("semaphore")
        cdef aipc_semaphore *semaphore = self.known().semaphore
        return (aipc_load_seq_cst64(&semaphore.value), semaphore.bound, semaphore.initial,
                aipc_load_relaxed32(&semaphore.line.queue.length), aipc_load_relaxed32(&semaphore.line.contended))


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class PermitOperation(OneLineOperation):
    """`semaphore.acquire()`"""

    cdef object outcome

    cdef object attempt(self):
        self.handle.usable("semaphore")
        if aipc_semaphore_try((<SemaphorePin>self.pin).semaphore, self.node) != AIPC_OK:
            return NOT_YET
        return self.outcome

    cdef bint last_chance(self) except -1:
        return self.handle._take()

    cdef aipc_status stand(self, aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node):
        return aipc_semaphore_stand(ctx, (<SemaphorePin>self.pin).semaphore, bell, token, node)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_semaphore_leave(ctx, (<SemaphorePin>self.pin).semaphore, node)


aioipc_set_am_send(PermitOperation, _send)


def semaphore_image(uint64_t value, uint64_t bound) -> bytes:
    """What a new semaphore starts with."""
    cdef aipc_semaphore image
    memset(&image, 0, sizeof(image))
    aipc_semaphore_init(&image, value, bound)
    return (<char *>&image)[:sizeof(image)]


# -------------------------------------------------------------------------------------------------- events

@cython.no_gc_clear  # its last act needs what it refers to
cdef class EventPin(OneLinePin):
    cdef aipc_event *event

    cdef int bound(self) except -1:
        self.event = <aipc_event *>self.payload(sizeof(aipc_event))
        self.line = &self.event.line
        return LinePin.bound(self)


cdef class EventHandle(OneLineHandle):
    """Event without waiting."""

    cdef inline EventPin known(self):
        return <EventPin>self.pin

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, <EventPin?>pin)

    def is_set(self) -> bool:
        """Whether the event is set."""
        self.usable("event")
        return aipc_event_is_set(self.known().event)

    def set(self):
        """Sets the event: whoever waits in any process goes on, also when it is cleared before they run."""
        self.usable("event")
        aipc_event_set(self.known().event)
        self.known().wake(<uint32_t>AIPC_EVERYBODY)
        self.passed_on()

    def clear(self):
        """Resets the event: who calls `wait` from now on waits for the next `set`."""
        self.usable("event")
        aipc_event_clear(self.known().event)

    def _waiting(self):
        cdef EventOperation operation = EventOperation.__new__(EventOperation)
        return operation.prepared(self)

    def _statistics(self):
        """(is set, waiters, contended)."""
        self.attached("event")
        cdef aipc_event *event = self.known().event
        return (bool(aipc_event_is_set(event)), aipc_load_relaxed32(&event.line.queue.length),
                aipc_load_relaxed32(&event.line.contended))


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class EventOperation(OneLineOperation):
    """`event.wait()`"""

    cdef uint64_t mark
    cdef bint marked

    cdef bint must_queue(self) except -1:
        return False  # what has happened has happened for all

    cdef aipc_event *marking(self):
        """It waits from now on, also while it has yet to stand in line."""
        cdef aipc_event *event = (<EventPin>self.pin).event
        if not self.marked:
            self.mark, self.marked = aipc_event_mark(event), True
        return event

    cdef object step(self):
        if not self.opening.closed:
            self.marking()
        return Operation.step(self)

    cdef object attempt(self):
        self.handle.usable("event")
        return True if aipc_event_happened(self.marking(), self.mark) else NOT_YET


aioipc_set_am_send(EventOperation, _send)


# ------------------------------------------------------------------------------------------------ limiters

@cython.no_gc_clear  # its last act needs what it refers to
cdef class LimiterPin(OneLinePin):
    cdef aipc_limiter *limiter
    cdef dict borrowers  # of this process: borrower -> itself

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
        if status == AIPC_OK:
            pin.borrowers[borrower] = borrower
        aipc_ctx_leave(ctx)
        if status != AIPC_AGAIN:
            check(pin.seg, status, "borrowing a token")
        return status == AIPC_OK

    def _take(self, borrower) -> bool:
        self.fresh(borrower)
        return not self.known().others_first(0, None) and self.take(borrower, 0, True)

    def _acquiring(self, borrower):
        cdef TokenOperation operation = TokenOperation.__new__(TokenOperation)
        operation.prepared(self)
        operation.borrower = borrower
        return operation

    def _give(self, borrower):
        global shield
        cdef LimiterPin pin = self.known()
        cdef aipc_ctx *ctx = NULL
        self.attached("limiter")
        if pin.borrowers.pop(borrower, None) is None:
            raise NotOwnerError(f"this borrower holds none of the tokens of {self!r}: {borrower!r}")
        check(pin.seg, enter_at_last(pin.seg, &ctx), "giving a token back")
        shield += 1
        cdef aipc_status status = aipc_limiter_give(ctx, pin.limiter)
        shield -= 1
        aipc_ctx_leave(ctx)
        check(pin.seg, status, "giving a token back")
        self.passed_on()

    def _resize(self, uint64_t total):
        self.usable("limiter")
        cdef aipc_ctx *ctx = self.known().attachment.enter()
        cdef aipc_status status = aipc_limiter_resize(ctx, self.known().limiter, total)
        aipc_ctx_leave(ctx)
        check(self.pin.seg, status, "setting the number of tokens")
        self.passed_on()

    def _statistics(self):
        """(total or None, borrowed, waiters, contended, [(pid, borrowed) of each process])."""
        cdef aipc_limiter_stats stats
        cdef uint32_t slot, count
        self.attached("limiter")
        cdef LimiterPin pin = self.known()
        aipc_limiter_stats_get(pin.seg, pin.limiter, &stats)
        by_process = []
        for slot in range(pin.seg.participants):
            count = aipc_limiter_borrowed_by(pin.seg, pin.limiter, slot)
            if count != 0:
                by_process.append((aipc_participant_pid(pin.seg, slot), count))
        return (None if stats.total == AIPC_LIMITER_NO_LIMIT else stats.total, stats.borrowed, stats.waiters,
                stats.contended, by_process)

    def _borrowers(self):
        """Those of this process."""
        self.attached("limiter")
        return tuple(self.known().borrowers)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class TokenOperation(OneLineOperation):
    """`limiter.acquire()`"""

    cdef object borrower  # None: the task that awaits

    cdef object attempt(self):
        if self.borrower is None:
            self.borrower = who_runs(False)
        return None if (<LimiterHandle>self.handle).take(self.borrower, self.node) else NOT_YET

    cdef bint last_chance(self) except -1:
        return self.handle._take(self.borrower)

    cdef aipc_status stand(self, aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node):
        return aipc_limiter_stand(ctx, (<LimiterPin>self.pin).limiter, bell, token, node)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_limiter_leave(ctx, (<LimiterPin>self.pin).limiter, node)


aioipc_set_am_send(TokenOperation, _send)


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
