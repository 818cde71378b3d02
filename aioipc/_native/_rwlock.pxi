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

    cdef bint got(self, aipc_status status, aipc_rwlock_want want, str name, GuardHandle guard) except -1:
        if status == AIPC_AGAIN:
            return False
        check(self.rwlock.seg, status, "acquiring a read-write lock")
        if want != AIPC_READ:
            write_name(self.rwlock.rw.holder, name)
        guard.holds(AIPC_WRITE if want == AIPC_UPGRADE else want)
        return True

    cdef bint take(self, aipc_rwlock_want want, str name, GuardHandle guard) except -1:
        """Without waiting; also from holders whose death was not noticed yet."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        self.usable("lock")
        if self.got(self.rwlock.attempt(want), want, name, guard):
            return True
        if self.rwlock.others_first(<int>want, None):
            return False
        ctx = self.rwlock.attachment.enter()
        status = aipc_rwlock_try_recover(ctx, self.rwlock.rw, want)
        aipc_ctx_leave(ctx)
        return self.got(status, want, name, guard)

    cdef int give(self, aipc_rwlock_want held) except -1:
        global shield
        cdef aipc_ctx *ctx = NULL
        if held == AIPC_READ and aipc_rwlock_release_read_fast(self.rwlock.seg, self.rwlock.rw):
            return 0
        check(self.rwlock.seg, enter_at_last(self.rwlock.seg, &ctx), "releasing a read-write lock")
        shield += 1
        cdef aipc_status status = aipc_rwlock_release(ctx, self.rwlock.rw, held)
        shield -= 1
        aipc_ctx_leave(ctx)
        check(self.rwlock.seg, status, "releasing a read-write lock")
        return self.passed_on()

    cdef bint convert(self, aipc_rwlock_want held, aipc_rwlock_want wanted, str name, GuardHandle guard) except -1:
        """False: not possible now, the hold is unchanged."""
        global shield
        cdef aipc_ctx *ctx = NULL
        check(self.rwlock.seg, enter_at_last(self.rwlock.seg, &ctx), "converting a hold")
        shield += 1
        cdef aipc_status status = aipc_rwlock_convert(ctx, self.rwlock.rw, held, wanted)
        shield -= 1
        aipc_ctx_leave(ctx)
        if not self.got(status, wanted, name, guard):
            return False
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
        self.attached("lock")
        return rwlock_record(self.rwlock.seg, self.rwlock.rw)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class RWOperation(Operation):
    """`guard.acquire()`, `guard.upgrade()`"""

    cdef GuardHandle guard
    cdef RWLockHandle handle
    cdef RWLockPin rwlock
    cdef aipc_rwlock_want want
    cdef object outcome
    cdef bint known
    cdef uint64_t changes  # the guard's, when this began
    cdef str name

    cdef int begin(self) except -1:
        """Whether the guard may have what is wanted: before each attempt."""
        self.handle.usable("lock")
        self.guard.must_not_wait(self)
        if not self.known:
            self.guard.must_hold(AIPC_UPGRADABLE if self.want == AIPC_UPGRADE else NOTHING)
            self.name, self.known, self.changes = self.guard.holder(), True, self.guard.changes
        elif self.changes != self.guard.changes:
            if self.want != AIPC_UPGRADE:
                self.guard.must_hold(NOTHING)
            else:
                raise NotOwnerError(f"the upgradable hold was given up meanwhile: {self.guard!r}")
        return 0

    cdef object attempt(self):
        self.begin()
        if self.handle.got(self.rwlock.attempt(self.want), self.want, self.name, self.guard):
            return self.outcome
        return NOT_YET

    cdef bint last_chance(self) except -1:
        self.begin()
        return self.handle.take(self.want, self.name, self.guard)

    cdef void counted(self, int change) noexcept:
        self.rwlock.counted(<int>self.want, self.bell, change)
        self.guard.waiting = self if change > 0 else None

    def wait(self, uint32_t bell, uint64_t token):
        """Stands in line; None: it was possible after all."""
        cdef uint32_t node = 0
        cdef bint barge = not self.rwlock.others_first(<int>self.want, None)
        self.begin()
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_rwlock_wait(ctx, self.rwlock.rw, self.want, bell, token, barge, &node)
        aipc_ctx_leave(ctx)
        if self.handle.got(status, self.want, self.name, self.guard):
            self.result = self.outcome
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
            self.begin()
            ctx = self.attachment.enter()
            status = aipc_rwlock_look(ctx, self.rwlock.rw, self.want, self.node)
            aipc_ctx_leave(ctx)
            if status == AIPC_OK:
                self.node = 0
                self.counted(-1)
            if not self.handle.got(status, self.want, self.name, self.guard):
                return False
        except BaseException:
            self.withdraw()
            raise
        self.result = self.outcome
        return True

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_rwlock_cancel(ctx, self.rwlock.rw, self.want, node)


aioipc_set_am_send(RWOperation, _send)


# -------------------------------------------------------------------------------------------------- guards

cdef enum:
    NOTHING = -1

cdef tuple _LEVELS = ("read", "write", "upgradable")  # by aipc_rwlock_want


cdef class GuardHandle:
    """One hold of a read-write lock, here so that nothing can be raised between getting it and noting it."""

    cdef readonly RWLockHandle _lock
    cdef aipc_rwlock_want wanted
    cdef int held           # an aipc_rwlock_want, or NOTHING
    cdef uint64_t identity  # of the process that holds
    cdef uint64_t changes   # of `held`
    cdef bint thread
    cdef RWOperation waiting  # the one that stands in line for this guard

    def __cinit__(self):
        self.held = NOTHING

    def __init__(self, RWLockHandle lock not None, aipc_rwlock_want wanted):
        self._lock, self.wanted = lock, wanted

    cdef void holds(self, int level) noexcept:
        self.held, self.identity = level, self._lock.rwlock.seg.self
        self.changes += 1

    cdef str holder(self):
        return name_of(who_runs(self.thread))

    cdef object level_now(self):
        """None: nothing, or a parent process's."""
        if self.held == NOTHING or self.identity != self._lock.rwlock.seg.self:
            return None
        return _LEVELS[self.held]

    @property
    def level(self):
        """What this guard holds now: "read", "upgradable", "write" or None."""
        return self.level_now()

    cdef int must_hold(self, int level) except -1:
        now = self.level_now()
        if level == NOTHING:
            if now is not None:
                raise RuntimeError(f"this guard holds {self._lock!r} already, to {now!r}")
        elif now is None:
            raise RuntimeError(f"this guard holds nothing of {self._lock!r}")
        elif level != self.held:
            raise ValueError(f"only an upgradable hold can wait to write, not one to {now!r}: see try_upgrade")
        return 0

    cdef int must_not_wait(self, RWOperation operation) except -1:
        """For anybody but `operation`."""
        if self.waiting is not None and self.waiting is not operation and self.waiting.node != 0:
            raise RuntimeError(f"another task or thread waits with this guard: {self!r}")
        return 0

    cdef RWOperation acquiring(self, aipc_rwlock_want want, object outcome):
        cdef RWOperation operation = RWOperation.__new__(RWOperation)
        cdef RWLockHandle handle = self._lock
        handle.attached("lock")
        operation.opening, operation.attachment, operation.seg = handle.opening, handle.rwlock.attachment, handle.rwlock.seg
        operation.handle, operation.rwlock, operation.guard = handle, handle.rwlock, self
        operation.want, operation.outcome = want, outcome
        return operation

    def _take(self) -> bool:
        self._lock.usable("lock")
        self.must_not_wait(None)
        self.must_hold(NOTHING)
        name = self.holder()  # before: it may run signal handlers
        return self._lock.take(self.wanted, name, self)

    def _convert(self, aipc_rwlock_want wanted) -> bool:
        """Once it is known that the guard holds something that can be turned into that."""
        name = self.holder()
        self._lock.usable("lock")
        return self._lock.convert(<aipc_rwlock_want>self.held, wanted, name, self)

    def release(self):
        """Lets go; RuntimeError when the guard holds nothing."""
        self.let_go()

    cdef int let_go(self) except -1:
        cdef int level = self.held
        if level == NOTHING:
            raise RuntimeError(f"this guard holds nothing of {self._lock!r}")
        self.held = NOTHING
        self.changes += 1
        self._lock.attached("lock")
        if self.identity != self._lock.rwlock.seg.self:
            raise NotOwnerError(f"this process does not hold {self._lock!r}: its parent did")
        return self._lock.give(<aipc_rwlock_want>level)


cdef class AwaitingGuard(GuardHandle):
    """RWGuard, to those who use it."""

    @cython.binding(False)
    def acquire(self):
        """Waits as long as it takes for what the guard was made for; gives True.  Cancelled, it leaves no trace."""
        return self.acquiring(self.wanted, True)

    @cython.binding(False)
    def upgrade(self):
        """Turns an upgradable hold into a write, waiting until the readers have left; nobody writes in
        between.

        Cancelled, the hold is upgradable as before.  NotOwnerError when it is given up meanwhile.
        """
        return self.acquiring(AIPC_UPGRADE, None)

    @cython.binding(False)
    def __aenter__(self):
        return self.acquiring(self.wanted, self)

    @cython.binding(False)
    def __aexit__(self, kind, value, traceback):
        if self.held != NOTHING:
            self.let_go()
        return DONE


cdef class BlockingGuard(GuardHandle):
    """BlockingRWGuard, to those who use it."""

    def __cinit__(self):
        self.thread = True

    @cython.binding(False)
    def acquire(self, timeout=None) -> bool:
        """Waits up to `timeout` seconds, None for ever, for what the guard was made for.  False: the time was
        over."""
        return self.blocked(self.wanted, timeout)

    @cython.binding(False)
    def upgrade(self, timeout=None) -> bool:
        """Turns an upgradable hold into a write, waiting for the readers to leave.  False: the time was over,
        the hold is upgradable as before."""
        return self.blocked(AIPC_UPGRADE, timeout)

    cdef bint blocked(self, aipc_rwlock_want want, object timeout) except -1:
        if timeout is not None:
            _seconds(timeout)
        return block(self.acquiring(want, None), timeout)

    @cython.binding(False)
    def __enter__(self):
        self.blocked(self.wanted, None)
        return self

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        if self.held != NOTHING:
            self.let_go()


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


cdef object rwlock_record(aipc_seg *seg, aipc_rwlock *rw):
    cdef aipc_rwlock_stats stats
    aipc_rwlock_stats_get(seg, rw, &stats)
    return (stats.readers, bool(stats.writing), bool(stats.upgradable), bool(stats.mine), stats.my_reads,
            bool(stats.abandoned), stats.owner_pid or None, read_name(rw.holder) if stats.owner_pid else None,
            stats.waiters[0], stats.waiters[1], stats.waiters[2], stats.waiters[3], stats.contended, stats.takeovers)
