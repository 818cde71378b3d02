# Lock.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class LockPin(LinePin):
    """One lock, as this process knows it."""

    cdef aipc_lock *lock
    cdef int score          # > 0: spinning has paid lately
    cdef uint32_t probes

    cdef int bound(self) except -1:
        if self.ref.size < sizeof(aipc_lock):
            raise CorruptSegmentError(f"the lock at offset {self.ref.object:#x} has {self.ref.size} bytes")
        self.lock = <aipc_lock *>(self.seg.base + self.ref.payload)
        self.score = SPIN_SCORE
        return LinePin.bound(self)

    cdef int close(self) except -1:
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_lock_close(ctx, self.lock)
        aipc_ctx_leave(ctx)
        return check(self.seg, status, "destroying a lock")

    cdef inline bint try_acquire(self) except -1:
        if self.others_first(0, None):
            return False  # first come first served among the waiters of one process
        return self.acquired(aipc_lock_try(self.seg, self.lock))

    cdef inline bint acquired(self, aipc_status status) except -1:
        if status == AIPC_OK:
            return True
        if status != AIPC_AGAIN:
            check(self.seg, status, "acquiring a lock")
        return False

    cdef bint try_recover(self) except -1:
        """Also when its holder is dead and nobody has noticed."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.others_first(0, None):
            return False
        ctx = self.attachment.enter()
        status = aipc_lock_try_recover(ctx, self.lock)
        aipc_ctx_leave(ctx)
        return self.acquired(status)

    cdef bint spin(self, uint64_t ns) except -1:
        """Spins while recent spins have paid."""
        cdef aipc_status status
        if ns == 0 or self.others_first(0, None):
            return False
        if self.score <= 0:
            self.probes += 1
            if self.probes % SPIN_PROBE != 0:
                return False
        self.attachment.fall_asleep()
        with nogil:
            status = aipc_lock_spin(self.seg, self.lock, ns)
        self.attachment.wake_up()
        if self.acquired(status):
            self.score = min(self.score + 2, SPIN_SCORE)
            return True
        self.score = max(self.score - 1, -SPIN_SCORE)
        return False


cdef class Done:
    """An awaitable that never suspends and gives None."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


cdef Done DONE = Done()


cdef class LockHandle(Handle):
    """What Lock does without waiting, and what it needs for waiting."""

    cdef LockPin lock
    cdef uint64_t spin_ns

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.lock = <LockPin?>pin

    @property
    def spin_us(self) -> float:
        """How long an acquire may spin before it sleeps, in microseconds."""
        return self.spin_ns / 1000

    @spin_us.setter
    def spin_us(self, value):
        if value is None:
            value = 50 if aipc_os_cpus() > 1 else 0
        if not 0 <= value <= 1e6:
            raise ValueError(f"spin_us must be between 0 and 1,000,000 microseconds, not {value!r}")
        self.spin_ns = <uint64_t>(value * 1000)

    cdef inline bint take(self) except -1:
        self.usable("lock")
        return self.lock.try_acquire()

    def try_recover(self) -> bool:
        """Takes the lock if it is free, or if its holder is dead: one system call when it is held."""
        return self.take() or self.lock.try_recover()

    cdef AcquireOperation acquiring(self, object result):
        cdef AcquireOperation operation = AcquireOperation.__new__(AcquireOperation)
        self.attached("lock")
        operation.opening, operation.attachment, operation.seg = self.opening, self.lock.attachment, self.lock.seg
        operation.handle, operation.lock, operation.outcome, operation.spin_ns = self, self.lock, result, self.spin_ns
        return operation

    @cython.binding(False)
    def acquire(self):
        """Takes the lock, waiting for it as long as it takes; gives True.

        Cancelled while it waits, it leaves no trace: a lock that came in the same instant goes to the next.
        Under asyncio it does not suspend when the lock is free; under trio it is a checkpoint before
        the lock is taken.  Raises ClosedError when the segment is closed or the lock destroyed.
        """
        return self.acquiring(True)

    cdef inline int give(self) except -1:
        self.attached("lock")
        if not aipc_lock_release_fast(self.lock.seg, self.lock.lock):
            self.give_slow()
        return 0

    @cython.binding(False)
    def release(self):
        """Gives the lock back and wakes the next waiter.

        Raises NotOwnerError (a RuntimeError) when this process does not hold it.
        """
        self.give()

    cdef int give_slow(self) except -1:
        global shield
        cdef aipc_ctx *ctx = self.lock.attachment.enter()
        shield += 1
        cdef aipc_status status = aipc_lock_release_slow(ctx, self.lock.lock)
        shield -= 1
        aipc_ctx_leave(ctx)
        check(self.lock.seg, status, "releasing a lock")
        if self.lock.local[0] > 0:
            self._passed_on()
        return 0

    def _passed_on(self):
        """Called after a release while tasks or threads of this process wait."""

    @cython.binding(False)
    def __aenter__(self):
        if not _checkpoint_wanted() and self.take():
            return DONE
        return self.acquiring(None)

    @cython.binding(False)
    def __aexit__(self, kind, value, traceback):
        self.give()
        return DONE

    def locked(self) -> bool:
        """Whether any process holds the lock."""
        return self._statistics()[0]

    @property
    def abandoned(self) -> bool:
        """Whether the process that held the lock before died holding it: from its death until the next holder
        releases.  What the lock protects may be half-written, and only the program can say."""
        return self._statistics()[1]

    def _statistics(self):
        """(locked, abandoned, mine, owner's pid, waiters, contended, takeovers)."""
        cdef aipc_lock_stats stats
        self.attached("lock")
        aipc_lock_stats_get(self.lock.seg, self.lock.lock, &stats)
        return (bool(stats.locked), bool(stats.abandoned), bool(stats.mine), stats.owner_pid,
                stats.waiters, stats.contended, stats.takeovers)

    @property
    def blocking(self):
        """The same lock for threads: `lock.blocking.acquire(timeout=1.5)`, `with lock.blocking:`."""
        cdef BlockingLock view = BlockingLock.__new__(BlockingLock)
        view.handle = self
        return view


@cython.freelist(8)
cdef class BlockingLock:
    """A Lock for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    cdef LockHandle handle

    def __init__(self):
        raise TypeError("get it from a lock: lock.blocking")

    @cython.binding(False)
    def acquire(self, timeout=None) -> bool:
        """Takes the lock; waits up to `timeout` seconds, None for ever, 0 not at all.

        Returns True when it holds the lock, False when the time was over.  A KeyboardInterrupt leaves
        it not held.  Raises ClosedError when the segment is closed or the lock destroyed.
        """
        if timeout is not None:
            _seconds(timeout)
        return self.handle.take() or self.block(timeout)

    @cython.binding(False)
    def release(self):
        """Gives the lock back; NotOwnerError when this process does not hold it."""
        self.handle.give()

    def locked(self) -> bool:
        """Whether any process holds the lock."""
        return self.handle.locked()

    @cython.binding(False)
    def __enter__(self):
        return self.handle.take() or self.block(None)

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self.handle.give()

    cdef bint block(self, object timeout) except -1:
        """When the lock was not free at once."""
        cdef AcquireOperation operation = self.handle.acquiring(True)
        cdef double limit = _seconds(timeout)
        if limit == 0:
            operation.started = True
            return self.handle.lock.try_recover()
        operation.spin_ns = <uint64_t>min(<double>operation.spin_ns, limit * 1e9)
        return block(operation, timeout)

    def __repr__(self):
        return f"<blocking view of {self.handle!r}>"


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class AcquireOperation(Operation):
    """`lock.acquire()`"""

    cdef LockHandle handle
    cdef LockPin lock
    cdef object outcome
    cdef uint64_t spin_ns

    cdef object attempt(self):
        self.handle.attached("lock")
        return self.outcome if self.lock.try_acquire() or self.lock.spin(self.spin_ns) else NOT_YET

    cdef void counted(self, int change) noexcept:
        self.lock.counted(0, self.bell, change)

    def wait(self, uint32_t bell, uint64_t token):
        """Stands in the queue; None: the lock was free after all and is ours."""
        cdef uint32_t node = 0
        cdef bint barge = not self.lock.others_first(0, None)
        self.handle.attached("lock")
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_lock_wait(ctx, self.lock.lock, bell, token, barge, &node)
        aipc_ctx_leave(ctx)
        if self.lock.acquired(status):
            self.result = self.outcome
            return None
        self.node, self.bell, self.identity = node, bell, self.seg.self
        self.counted(1)
        return self

    def look(self) -> bool:
        """Whether the lock is ours now; the place is given up then."""
        if self.node == 0 or self.identity != self.seg.self:
            raise ClosedError("the segment was closed while waiting for a lock")
        if self.lock.gone():
            self.withdraw()
            raise ClosedError("the lock was destroyed")
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_lock_look(ctx, self.lock.lock, self.node)
        aipc_ctx_leave(ctx)
        if status == AIPC_OK or status == AIPC_CLOSED:
            self.node = 0
            self.counted(-1)
        if not self.lock.acquired(status):
            return False
        self.result = self.outcome
        return True

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_lock_cancel(ctx, self.lock.lock, node)


aioipc_set_am_send(AcquireOperation, _send)
