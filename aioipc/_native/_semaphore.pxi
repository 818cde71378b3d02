# Semaphore and Event, and what all that waits in one line has in common.  Part of _core.pyx.

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

    cdef bint add(self, uint64_t count) except -1:
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
        self.give(1)
        return DONE

    @cython.binding(False)
    def release(self, n=1):
        """Gives `n` permits and wakes as many waiters; ValueError beyond what it can have."""
        try:
            permits = _index(n)
        except TypeError:
            raise TypeError(f"n must be an int, not {n!r}") from None
        if permits < 1:
            raise ValueError(f"n must be at least 1, not {n!r}")
        self.give(permits)

    cdef int give(self, object permits) except -1:
        if permits > AIPC_SEMAPHORE_MAX or not self.add(permits):
            raise ValueError(f"{self!r} released too many times: it has at most {self.known().semaphore.bound} permits")
        return 0

    def _statistics(self):
        """(value, bound, initial value, waiters, contended)."""
        self.attached("semaphore")
        return semaphore_record(self.known().semaphore)


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


cdef class BlockingPermits:
    """BlockingSemaphore, to `with`: here so that nothing can be raised between getting a permit and holding it."""

    cdef readonly SemaphoreHandle _semaphore

    def __init__(self, SemaphoreHandle semaphore not None):
        self._semaphore = semaphore

    @cython.binding(False)
    def __enter__(self):
        return self._semaphore.take() or block(self._semaphore._acquiring(True), None)

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self._semaphore.give(1)


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
        return event_record(self.known().event)


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


cdef object semaphore_record(aipc_semaphore *semaphore):
    return (aipc_load_seq_cst64(&semaphore.value), semaphore.bound, semaphore.initial,
            aipc_load_relaxed32(&semaphore.line.queue.length), aipc_load_relaxed32(&semaphore.line.contended))


cdef object event_record(aipc_event *event):
    return (bool(aipc_event_is_set(event)), aipc_load_relaxed32(&event.line.queue.length),
            aipc_load_relaxed32(&event.line.contended))
