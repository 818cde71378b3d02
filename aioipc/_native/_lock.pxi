# Lock.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class LockPin(Pin):
    """One lock, as this process knows it."""

    cdef aipc_lock *lock
    cdef uint32_t local     # waiters of this process
    cdef int score          # > 0: spinning has paid lately
    cdef uint32_t probes

    cdef int bound(self) except -1:
        if self.ref.size < sizeof(aipc_lock):
            raise CorruptSegmentError(f"the lock at offset {self.ref.object:#x} has {self.ref.size} bytes")
        self.lock = <aipc_lock *>(self.seg.base + self.ref.payload)
        self.local = 0
        self.score = SPIN_SCORE
        return 0

    cdef int close(self) except -1:
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_lock_close(ctx, self.lock)
        aipc_ctx_leave(ctx)
        return check(self.seg, status, "destroying a lock")

    cdef inline bint try_acquire(self) except -1:
        if self.local > 0:
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
        if self.local > 0:
            return False
        ctx = self.attachment.enter()
        status = aipc_lock_try_recover(ctx, self.lock)
        aipc_ctx_leave(ctx)
        return self.acquired(status)

    cdef bint spin(self, uint64_t ns) except -1:
        """Spins while recent spins have paid."""
        cdef aipc_status status
        if ns == 0 or self.local > 0:
            return False
        if self.score <= 0:
            self.probes += 1
            if self.probes % SPIN_PROBE != 0:
                return False
        self.attachment.sleepers += 1
        with nogil:
            status = aipc_lock_spin(self.seg, self.lock, ns)
        self.attachment.sleepers -= 1
        if self.acquired(status):
            self.score = min(self.score + 2, SPIN_SCORE)
            return True
        self.score = max(self.score - 1, -SPIN_SCORE)
        return False

    cdef LockWait wait(self, uint32_t bell, uint64_t token):
        """Stands in the queue; None: got the lock at once."""
        cdef LockWait wait = LockWait.__new__(LockWait)
        cdef uint32_t node = 0
        cdef bint barge = self.local == 0
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_lock_wait(ctx, self.lock, bell, token, barge, &node)
        aipc_ctx_leave(ctx)
        if self.acquired(status):
            return None
        wait.pin, wait.node, wait.identity = self, node, self.identity
        self.local += 1
        return wait


@cython.no_gc_clear  # its last act needs what it refers to
cdef class LockWait:
    """A place in a lock's queue, until look() says True or raises ClosedError, or cancel()."""

    cdef LockPin pin
    cdef uint32_t node  # 0: none (any more)
    cdef uint64_t identity

    def __dealloc__(self):
        if self.node != 0:
            self.withdraw()

    cdef uint32_t take(self):
        """Ends it: the node number, 0 when it is gone or another process's."""
        cdef uint32_t node = self.node
        self.node = 0
        if node == 0 or self.identity != self.pin.identity or self.identity != self.pin.seg.self:
            return 0
        self.pin.local -= 1
        return node

    def look(self) -> bool:
        """Whether the lock is now ours; the place is given up then."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.node == 0 or self.identity != self.pin.seg.self:
            raise ClosedError("the segment was closed while waiting for a lock")
        ctx = self.pin.attachment.enter()
        status = aipc_lock_look(ctx, self.pin.lock, self.node)
        aipc_ctx_leave(ctx)
        if status == AIPC_OK or status == AIPC_CLOSED:
            self.take()
        return self.pin.acquired(status)

    def cancel(self):
        """Gives up; what was granted in the same instant goes to the next.  Harmless when there is no place."""
        if self.node != 0:
            check(self.pin.seg, self.withdraw(), "giving up waiting for a lock")

    cdef aipc_status withdraw(self) noexcept:
        global shield
        cdef aipc_ctx *ctx = NULL
        cdef aipc_status status
        cdef uint32_t node = self.take()
        if node == 0:
            return AIPC_OK
        shield += 1
        status = aipc_ctx_enter(self.pin.seg, &ctx)
        while status == AIPC_AGAIN:
            with nogil:
                aipc_os_yield()
            status = aipc_ctx_enter(self.pin.seg, &ctx)
        if status == AIPC_OK:
            status = aipc_lock_cancel(ctx, self.pin.lock, node)
            aipc_ctx_leave(ctx)
        shield -= 1
        return status


# Set by aioipc._waiting: "is the running library one in which every await is a checkpoint?"  Asked only
# when that library has been imported at all.
cdef dict _modules = sys.modules
cdef str _checkpoint_library = ""
cdef object _checkpoint_test = None


def checkpoints(str library not None, object test not None):
    """Awaits that need not wait are answered here, without the event loop, unless `library` is imported and
    test() says that its rules hold."""
    global _checkpoint_library, _checkpoint_test
    _checkpoint_library, _checkpoint_test = library, test


cdef inline bint _checkpoint_wanted() except -1:
    return _checkpoint_library in _modules and _checkpoint_test()


def checkpoint_wanted() -> bool:
    """Whether the running library wants a checkpoint at every await."""
    return _checkpoint_wanted()


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

    cdef inline int ready(self) except -1:
        if self.opening is None or self.opening.closed:
            raise ClosedError("the segment of this lock is closed")
        if self.lock.identity != self.lock.seg.self:
            self.lock.renew()
        return 0

    cdef inline bint take(self) except -1:
        self.ready()
        return self.lock.try_acquire()

    @cython.binding(False)
    def try_acquire(self) -> bool:
        """Takes the lock if it is free, or if its holder is known to be dead."""
        return self.take()

    def try_recover(self) -> bool:
        """The same, after making sure that the holder is alive: one system call when it is held."""
        return self.take() or self.lock.try_recover()

    def spin(self) -> bool:
        """Tries for up to spin_us while that has paid lately and another process holds it."""
        self.ready()
        return self.lock.spin(self.spin_ns)

    def wait(self, uint32_t bell, uint64_t token):
        """Stands in the queue: a LockWait; None when the lock was free after all and is ours now."""
        self.ready()
        return self.lock.wait(bell, token)

    cdef bint block(self, object timeout) except -1:
        """Blocks the thread until the lock is ours (True) or the timeout is over."""
        cdef Sleeper sleeper
        cdef LockWait wait
        cdef bint late = False
        cdef uint64_t limit = FOREVER, deadline = FOREVER
        if timeout is not None:
            limit = <uint64_t>(min(<double>timeout, 1e9) * 1e9)
            if limit == 0:
                return self.lock.try_recover()
            deadline = aipc_os_now() + limit
        if self.lock.spin(min(self.spin_ns, limit)):
            return True
        sleeper = Sleeper.__new__(Sleeper)
        wait = None
        try:
            sleeper.open(self.lock.attachment)
            wait = self.lock.wait(sleeper.bell, 0)
            if wait is None:
                return True
            while True:
                if self.opening.closed:  # whoever closes it sets this first, and then rings
                    raise ClosedError("the segment was closed while waiting for a lock")
                if late:
                    return False
                late = sleeper.sleep(deadline)
                if not self.opening.closed and wait.look():
                    return True
        finally:
            if wait is not None:
                wait.cancel()
            sleeper.close()

    cdef inline int give(self) except -1:
        self.ready()
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
        if self.lock.local > 0:
            self._passed_on()
        return 0

    def _passed_on(self):
        """Called after a release while tasks or threads of this process wait."""

    async def _enter(self):
        """`__aenter__` when it has to wait."""
        raise NotImplementedError

    @cython.binding(False)
    def __aenter__(self):
        if not _checkpoint_wanted() and self.take():
            return DONE
        return self._enter()

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
        self.ready()
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
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must be a number of seconds >= 0 or None, not {timeout!r}")
        return self.handle.take() or self.handle.block(timeout)

    @cython.binding(False)
    def release(self):
        """Gives the lock back; NotOwnerError when this process does not hold it."""
        self.handle.give()

    def locked(self) -> bool:
        """Whether any process holds the lock."""
        return self.handle.locked()

    @cython.binding(False)
    def __enter__(self):
        return self.handle.take() or self.handle.block(None)

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self.handle.give()

    def __repr__(self):
        return f"<blocking view of {self.handle!r}>"
