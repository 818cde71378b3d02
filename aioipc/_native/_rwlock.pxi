# RWLock: what its guards stand on.  Part of _core.pyx.

READ = AIPC_READ
WRITE = AIPC_WRITE
UPGRADABLE = AIPC_UPGRADABLE
UPGRADE = AIPC_UPGRADE


@cython.no_gc_clear  # its last act needs what it refers to
cdef class RWLockPin(LinePin):
    """One read-write lock, as this process knows it."""

    cdef aipc_rwlock *rw

    cdef int bound(self) except -1:
        if self.ref.size < aipc_rwlock_object_size(self.seg.participants):
            raise CorruptSegmentError(f"the lock at offset {self.ref.object:#x} has {self.ref.size} bytes")
        self.rw = <aipc_rwlock *>(self.seg.base + self.ref.payload)
        return LinePin.bound(self)

    cdef int close(self) except -1:
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_rwlock_close(ctx, self.rw)
        aipc_ctx_leave(ctx)
        return check(self.seg, status, "destroying a lock")

    cdef aipc_status attempt(self, aipc_rwlock_want want) except? AIPC_SYSTEM:
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.others_first(<int>want, None):
            return AIPC_AGAIN
        if want == AIPC_READ and aipc_rwlock_read_fast(self.seg, self.rw):
            return AIPC_OK
        ctx = self.attachment.enter()
        status = aipc_rwlock_try(ctx, self.rw, want)
        aipc_ctx_leave(ctx)
        return status


cdef class RWLockHandle(Handle):
    """What guards do to a read-write lock."""

    cdef RWLockPin rwlock

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.rwlock = <RWLockPin?>pin

    cdef bint got(self, aipc_status status, aipc_rwlock_want want, str name) except -1:
        if status == AIPC_AGAIN:
            return False
        check(self.rwlock.seg, status, "acquiring a read-write lock")
        if want != AIPC_READ:
            write_name(self.rwlock.rw.holder, name)
        return True

    def _take(self, aipc_rwlock_want want, bint thread) -> bool:
        """Without waiting; also from holders whose death was not noticed yet."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        cdef str name
        self.usable("lock")
        name = name_of(who_runs(thread))  # before: it may run signal handlers
        if self.got(self.rwlock.attempt(want), want, name):
            return True
        if self.rwlock.others_first(<int>want, None):
            return False
        ctx = self.rwlock.attachment.enter()
        status = aipc_rwlock_try_recover(ctx, self.rwlock.rw, want)
        aipc_ctx_leave(ctx)
        return self.got(status, want, name)

    def _acquiring(self, aipc_rwlock_want want, bint thread):
        cdef RWOperation operation = RWOperation.__new__(RWOperation)
        self.attached("lock")
        operation.opening, operation.attachment, operation.seg = self.opening, self.rwlock.attachment, self.rwlock.seg
        operation.handle, operation.rwlock, operation.want, operation.thread = self, self.rwlock, want, thread
        return operation

    def _release(self, aipc_rwlock_want held):
        global shield
        cdef aipc_ctx *ctx = NULL
        self.attached("lock")
        if held == AIPC_READ and aipc_rwlock_release_read_fast(self.rwlock.seg, self.rwlock.rw):
            return
        check(self.rwlock.seg, enter_at_last(self.rwlock.seg, &ctx), "releasing a read-write lock")
        shield += 1
        cdef aipc_status status = aipc_rwlock_release(ctx, self.rwlock.rw, held)
        shield -= 1
        aipc_ctx_leave(ctx)
        check(self.rwlock.seg, status, "releasing a read-write lock")
        self.passed_on()

    def _convert(self, aipc_rwlock_want held, aipc_rwlock_want wanted, bint thread) -> bool:
        """False: not possible now, the hold is unchanged."""
        global shield
        cdef aipc_ctx *ctx = NULL
        cdef str name
        self.attached("lock")
        name = name_of(who_runs(thread))
        check(self.rwlock.seg, enter_at_last(self.rwlock.seg, &ctx), "converting a hold")
        shield += 1
        cdef aipc_status status = aipc_rwlock_convert(ctx, self.rwlock.rw, held, wanted)
        shield -= 1
        aipc_ctx_leave(ctx)
        if status == AIPC_AGAIN:
            return False
        check(self.rwlock.seg, status, "converting a hold")
        if wanted != AIPC_READ:
            write_name(self.rwlock.rw.holder, name)
        self.passed_on()
        return True

    cdef int passed_on(self) except -1:
        """After letting go: waiters of this process are spared the way through the kernel."""
        cdef uint32_t *local = self.rwlock.local
        if local[0] + local[1] + local[2] + local[3] > 0:
            self._passed_on()
        return 0

    def _passed_on(self):
        """Called after a change while tasks or threads of this process wait for it."""

    def _fair(self) -> bool:
        self.attached("lock")
        return self.rwlock.rw.fair != 0

    def _statistics(self):
        """(readers, writing, upgradable, mine, my reads, abandoned, owner's pid, task, waiting readers, writers, for
        upgradable, for an upgrade, contended, abandoned count)."""
        cdef aipc_rwlock_stats stats
        self.attached("lock")
        aipc_rwlock_stats_get(self.rwlock.seg, self.rwlock.rw, &stats)
        return (stats.readers, bool(stats.writing), bool(stats.upgradable), bool(stats.mine), stats.my_reads,
                bool(stats.abandoned), stats.owner_pid or None,
                read_name(self.rwlock.rw.holder) if stats.owner_pid else None,
                stats.waiters[0], stats.waiters[1], stats.waiters[2], stats.waiters[3],
                stats.contended, stats.takeovers)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class RWOperation(Operation):
    """`guard.acquire()`, `guard.upgrade()`"""

    cdef RWLockHandle handle
    cdef RWLockPin rwlock
    cdef aipc_rwlock_want want
    cdef bint thread, known
    cdef str name

    cdef object attempt(self):
        self.handle.usable("lock")
        if not self.known:
            self.name, self.known = name_of(who_runs(self.thread)), True
        return True if self.handle.got(self.rwlock.attempt(self.want), self.want, self.name) else NOT_YET

    cdef bint last_chance(self) except -1:
        return self.handle._take(self.want, self.thread)

    cdef void counted(self, int change) noexcept:
        self.rwlock.counted(<int>self.want, self.bell, change)

    def wait(self, uint32_t bell, uint64_t token):
        """Stands in line; None: it was possible after all."""
        cdef uint32_t node = 0
        cdef bint barge = not self.rwlock.others_first(<int>self.want, None)
        self.handle.usable("lock")
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_rwlock_wait(ctx, self.rwlock.rw, self.want, bell, token, barge, &node)
        aipc_ctx_leave(ctx)
        if self.handle.got(status, self.want, self.name):
            self.result = True
            return None
        self.node, self.bell, self.identity = node, bell, self.seg.self
        self.counted(1)
        return self

    def look(self) -> bool:
        """Whether it is ours now; the place is given up then."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.node == 0 or self.identity != self.seg.self:
            raise ClosedError("the segment was closed while waiting for a lock")
        try:
            if self.rwlock.gone():
                raise ClosedError("the lock was destroyed")
            ctx = self.attachment.enter()
            status = aipc_rwlock_look(ctx, self.rwlock.rw, self.want, self.node)
            aipc_ctx_leave(ctx)
            if status == AIPC_OK:
                self.node = 0
                self.counted(-1)
            if not self.handle.got(status, self.want, self.name):
                return False
        except BaseException:
            self.withdraw()
            raise
        self.result = True
        return True

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_rwlock_cancel(ctx, self.rwlock.rw, self.want, node)


aioipc_set_am_send(RWOperation, _send)


def rwlock_size(Attachment attachment not None) -> int:
    """Bytes of a read-write lock in this segment."""
    attachment.require()
    return aipc_rwlock_object_size(attachment.seg.participants)


def rwlock_image(Attachment attachment not None, bint fair) -> bytes:
    """What a new read-write lock starts with."""
    cdef aipc_rwlock image
    memset(&image, 0, sizeof(image))
    aipc_rwlock_init(&image, fair)
    return (<char *>&image)[:sizeof(image)] + bytes(rwlock_size(attachment) - sizeof(image))
