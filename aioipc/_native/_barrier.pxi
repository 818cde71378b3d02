# Barrier.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class BarrierPin(LinePin):
    """One barrier, as this process knows it."""

    cdef aipc_barrier *barrier

    cdef int bound(self) except -1:
        if self.ref.size < sizeof(aipc_barrier):
            raise CorruptSegmentError(f"the barrier at offset {self.ref.object:#x} has {self.ref.size} bytes")
        self.barrier = <aipc_barrier *>(self.seg.base + self.ref.payload)
        return LinePin.bound(self)

    cdef int close(self) except -1:
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_barrier_close(ctx, self.barrier)
        aipc_ctx_leave(ctx)
        return check(self.seg, status, "destroying a barrier")


cdef class BarrierHandle(Handle):
    """What Barrier does without waiting."""

    cdef BarrierPin barrier

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.barrier = <BarrierPin?>pin

    cdef inline aipc_barrier *usable_barrier(self) except NULL:
        self.usable("barrier")
        return self.barrier.barrier

    def _waiting(self):
        cdef BarrierOperation operation = BarrierOperation.__new__(BarrierOperation)
        self.usable("barrier")
        operation.opening, operation.attachment, operation.seg = self.opening, self.pin.attachment, self.pin.seg
        operation.handle, operation.barrier = self, self.barrier
        return operation

    def _end(self, bint broken):
        """Ends the present cycle for those who wait; `broken`: and for whoever comes."""
        global shield
        cdef aipc_ctx *ctx = NULL
        cdef aipc_status status
        cdef aipc_barrier *barrier = self.usable_barrier()
        check(self.pin.seg, enter_at_last(self.pin.seg, &ctx), "resetting a barrier")
        shield += 1
        status = aipc_barrier_abort(ctx, barrier) if broken else aipc_barrier_reset(ctx, barrier)
        shield -= 1
        aipc_ctx_leave(ctx)
        check(self.pin.seg, status, "resetting a barrier")
        self.passed_on()

    cdef int passed_on(self) except -1:
        if self.barrier.local[0] > 0:
            self._passed_on()
        return 0

    def _passed_on(self):
        """Called after a change while tasks or threads of this process wait for it."""

    def _statistics(self):
        """(parties, waiting, broken, contended)."""
        cdef uint32_t waiting = 0
        cdef cbool broken = False
        self.attached("barrier")
        cdef aipc_ctx *ctx = self.pin.attachment.enter()
        cdef aipc_status status = aipc_barrier_waiting(ctx, self.barrier.barrier, &waiting, &broken)
        aipc_ctx_leave(ctx)
        check(self.pin.seg, status, "looking at a barrier")
        return self.barrier.barrier.parties, waiting, bool(broken), self.barrier.barrier.contended


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class BarrierOperation(Operation):
    """`barrier.wait()`"""

    cdef BarrierHandle handle
    cdef BarrierPin barrier

    cdef object attempt(self):
        return NOT_YET

    cdef bint stands_first(self):
        return True

    cdef void counted(self, int change) noexcept:
        self.barrier.counted(0, self.bell, change)

    cdef bint through(self, aipc_status status, uint32_t place) except -1:
        if status == AIPC_AGAIN:
            return False
        if status == AIPC_BROKEN:
            raise BrokenBarrierError(f"{self.handle!r} was reset or aborted")
        check(self.seg, status, "waiting at a barrier")
        self.result = place
        return True

    def wait(self, uint32_t bell, uint64_t token):
        """Arrives; None: as the last one."""
        cdef uint32_t node = 0, place = 0
        self.handle.usable("barrier")
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_barrier_arrive(ctx, self.barrier.barrier, bell, token, &node, &place)
        aipc_ctx_leave(ctx)
        if self.through(status, place):
            self.handle.passed_on()
            return None
        self.node, self.bell, self.identity = node, bell, self.seg.self
        self.counted(1)
        return self

    def look(self) -> bool:
        """Whether all are there."""
        if self.looked(False):
            return True
        if self.barrier.gone():  # and who destroyed it may have died before it could tell
            self.withdraw()
            raise ClosedError("the barrier was destroyed")
        return False

    cdef bint expire(self) except -1:
        """Breaks it, unless all are there after all."""
        try:
            return self.looked(True)
        except BrokenBarrierError:
            self.handle.passed_on()
            return False

    cdef bint looked(self, bint for_the_last_time) except -1:
        cdef uint32_t place = 0
        cdef aipc_status status
        if self.node == 0 or self.identity != self.seg.self:
            raise ClosedError("the segment was closed while waiting at a barrier")
        cdef aipc_ctx *ctx = self.attachment.enter()
        if for_the_last_time:
            status = aipc_barrier_give_up(ctx, self.barrier.barrier, self.node, &place)
        else:
            status = aipc_barrier_look(ctx, self.barrier.barrier, self.node, &place)
        aipc_ctx_leave(ctx)
        if status == AIPC_OK or status == AIPC_BROKEN or status == AIPC_CLOSED:
            self.node = 0
            self.counted(-1)
        return self.through(status, place)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_barrier_cancel(ctx, self.barrier.barrier, node)


aioipc_set_am_send(BarrierOperation, _send)


def barrier_image(uint64_t parties) -> bytes:
    """What a new barrier starts with."""
    cdef aipc_barrier image
    memset(&image, 0, sizeof(image))
    aipc_barrier_init(&image, parties)
    return (<char *>&image)[:sizeof(image)]
