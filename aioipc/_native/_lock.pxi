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
        aipc_wait_rouse(self.seg)  # who waits for a condition beside it
        aipc_ctx_leave(ctx)
        return check(self.seg, status, "destroying a lock")

    cdef inline aipc_status try_acquire(self) except? AIPC_SYSTEM:
        if self.others_first(0, None):
            return AIPC_AGAIN  # first come first served among the waiters of one process
        return aipc_lock_try(self.seg, self.lock)

    cdef aipc_status try_recover(self) except? AIPC_SYSTEM:
        """Also when its holder is dead and nobody has noticed."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.others_first(0, None):
            return AIPC_AGAIN
        ctx = self.attachment.enter()
        status = aipc_lock_try_recover(ctx, self.lock)
        aipc_ctx_leave(ctx)
        return status

    cdef aipc_status spin(self, uint64_t ns) except? AIPC_SYSTEM:
        """Spins while recent spins have paid."""
        cdef aipc_status status
        if ns == 0 or self.others_first(0, None):
            return AIPC_AGAIN
        if self.score <= 0:
            self.probes += 1
            if self.probes % SPIN_PROBE != 0:
                return AIPC_AGAIN
        self.attachment.fall_asleep()
        with nogil:
            status = aipc_lock_spin(self.seg, self.lock, ns)
        self.attachment.wake_up()
        if status == AIPC_OK:
            self.score = min(self.score + 2, SPIN_SCORE)
        else:
            self.score = max(self.score - 1, -SPIN_SCORE)
        return status


cdef class Done:
    """An awaitable that never suspends and gives None."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


cdef Done DONE = Done()


cdef object lock_record(aipc_seg *seg, aipc_lock *lock):
    cdef aipc_lock_stats stats
    aipc_lock_stats_get(seg, lock, &stats)
    return (bool(stats.locked), bool(stats.mine), bool(stats.abandoned), stats.owner_pid or None,
            read_name(lock.holder) if stats.owner_pid else None, stats.waiters, stats.contended, stats.takeovers)


cdef class Lockable(Handle):
    """What all kinds of locks do: Lock, RLock, Once, Leader."""

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

    # --- what the kinds of locks do differently

    cdef bint reentered(self, object who) except -1:
        """Whether `who` holds it already and may take it once more: then it has."""
        return False

    cdef void taken(self, object who, str name) noexcept:
        """This process has just got it, for `who`."""
        write_name(self.lock.lock.holder, name)

    cdef bint refused(self, aipc_status status) except -1:
        """What it means that it cannot be had, neither now nor later."""
        return check(self.lock.seg, status, "acquiring a lock")

    cdef object outcome(self, aipc_status status, object wanted):
        """What whoever waited for it is given."""
        return wanted

    # --- taking and giving

    cdef inline bint got(self, aipc_status status, object who, str name) except -1:
        if status == AIPC_OK:
            self.taken(who, name)
            return True
        return False if status == AIPC_AGAIN else self.refused(status)

    cdef bint take(self, bint thread, bint recover=False) except -1:
        """Without waiting; `recover`: also from a holder whose death was not noticed yet."""
        self.usable("lock")
        who = who_runs(thread)
        name = name_of(who)  # before: it may run signal handlers
        if self.reentered(who):
            return True
        return (self.got(self.lock.try_acquire(), who, name)
                or (recover and self.got(self.lock.try_recover(), who, name)))

    cdef AcquireOperation acquiring(self, object outcome, bint thread=False):
        cdef AcquireOperation operation = AcquireOperation.__new__(AcquireOperation)
        self.attached("lock")
        operation.opening, operation.attachment, operation.seg = self.opening, self.lock.attachment, self.lock.seg
        operation.handle, operation.lock, operation.outcome, operation.spin_ns = self, self.lock, outcome, self.spin_ns
        operation.thread = thread
        return operation

    cdef int give(self, bint thread) except -1:
        self.let_go(thread)
        return self.tell()

    cdef Py_ssize_t let_go(self, bint thread) except -1:
        """Releases it wholly: when it raises anything, it has not.  How deep it was held."""
        self.attached("lock")
        if not aipc_lock_release_fast(self.lock.seg, self.lock.lock):
            self.hand_over()
        return 1

    cdef inline int tell(self) except -1:
        """After a release.  Signal handlers may run here."""
        if self.lock.local[0] > 0:
            self._passed_on()
        return 0

    cdef int left(self, bint failed, bint thread) except -1:
        """The block that it was held for has ended."""
        return self.give(thread)

    cdef int hand_over(self) except -1:
        global shield
        cdef aipc_ctx *ctx = self.lock.attachment.enter()
        shield += 1
        cdef aipc_status status = aipc_lock_release_slow(ctx, self.lock.lock)
        shield -= 1
        aipc_ctx_leave(ctx)
        return check(self.lock.seg, status, "releasing a lock")

    # --- for a condition beside it

    cdef int require_held(self, bint thread) except -1:
        """NotOwnerError when it is not held by this process (an RLock: by who runs here)."""
        cdef aipc_lock_stats stats
        self.attached("lock")
        aipc_lock_stats_get(self.lock.seg, self.lock.lock, &stats)
        if not stats.mine:
            raise NotOwnerError(f"this process does not hold {self!r}")
        return 0

    cdef void deepen(self, Py_ssize_t depth) noexcept:
        """It was acquired again, and is to be as deep as it was."""

    def _passed_on(self):
        """Called after a release while tasks or threads of this process wait."""

    @property
    def abandoned(self) -> bool:
        """Whether the process that held the lock before died holding it: from its death until the next holder
        releases.  What the lock protects may be half-written, and only the program can say."""
        return self._statistics()[2]

    def _block(self, timeout):
        """`acquiring` for a thread: its outcome, None when the time was over."""
        cdef AcquireOperation operation = self.acquiring(True, True)
        return operation.result if block(operation, timeout) else None

    def _statistics(self):
        """(locked, mine, abandoned, owner's pid, task, waiters, contended, takeovers)."""
        self.attached("lock")
        return lock_record(self.lock.seg, self.lock.lock)


cdef class LockHandle(Lockable):
    """Lock, to those who use it."""

    def try_recover(self) -> bool:
        """Takes the lock if it is free, or if its holder is dead: one system call when it is held."""
        return self.take(False, True)

    @cython.binding(False)
    def acquire(self):
        """Takes the lock, waiting for it as long as it takes; gives True.

        Cancelled while it waits, it leaves no trace: a lock that came in the same instant goes to the next.
        Under asyncio it does not suspend when the lock is free; under trio it is a checkpoint before
        the lock is taken.  Raises ClosedError when the segment is closed or the lock destroyed.
        """
        return self.acquiring(True)

    @cython.binding(False)
    def release(self):
        """Gives the lock back and wakes the next waiter.

        Raises NotOwnerError (a RuntimeError) when this process does not hold it.
        """
        self.give(False)

    @cython.binding(False)
    def __aenter__(self):
        if not _checkpoint_wanted() and self.take(False):
            return DONE
        return self.acquiring(None)

    @cython.binding(False)
    def __aexit__(self, kind, value, traceback):
        self.give(False)
        return DONE

    def locked(self) -> bool:
        """Whether any process holds the lock."""
        return self._statistics()[0]

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
        return self.handle.take(True) or self.block(timeout)

    @cython.binding(False)
    def release(self):
        """Gives the lock back; NotOwnerError when this process does not hold it."""
        self.handle.give(True)

    def locked(self) -> bool:
        """Whether any process holds the lock."""
        return self.handle.locked()

    @cython.binding(False)
    def __enter__(self):
        return self.handle.take(True) or self.block(None)

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self.handle.give(True)

    cdef bint block(self, object timeout) except -1:
        """When the lock was not free at once."""
        cdef AcquireOperation operation
        cdef double limit = _seconds(timeout)
        if limit == 0:
            return self.handle.take(True, True)
        operation = self.handle.acquiring(True, True)
        operation.spin_ns = <uint64_t>min(<double>operation.spin_ns, limit * 1e9)
        return block(operation, timeout)

    def __repr__(self):
        return f"<blocking view of {self.handle!r}>"


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class AcquireOperation(Operation):
    """`lock.acquire()`"""

    cdef Lockable handle
    cdef LockPin lock
    cdef object outcome
    cdef object who          # acquires it: known from the first attempt on
    cdef str name
    cdef uint64_t spin_ns
    cdef bint thread

    cdef int known(self, object who) except -1:
        self.name = name_of(who)
        self.who = who
        return 0

    cdef bint settles(self, aipc_status status) except -1:
        """Whether it has come to its end."""
        if not self.handle.got(status, self.who, self.name):
            return False
        self.result = self.outcome = self.handle.outcome(status, self.outcome)
        return True

    cdef object attempt(self):
        self.handle.attached("lock")
        if self.who is None:
            self.known(who_runs(self.thread))
        if (self.handle.reentered(self.who) or self.settles(self.lock.try_acquire())
                or self.settles(self.lock.spin(self.spin_ns))):
            return self.outcome
        return NOT_YET

    cdef bint last_chance(self) except -1:
        return self.settles(self.lock.try_recover())

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
        if self.settles(status):
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
        return self.settles(status)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_lock_cancel(ctx, self.lock.lock, node)


aioipc_set_am_send(AcquireOperation, _send)
