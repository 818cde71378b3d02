# RLock, Once and Leader: what they add to a lock.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class RLockPin(LockPin):
    """A lock, and which task or thread of this process holds it, how many times over."""

    cdef object owner
    cdef Py_ssize_t depth

    cdef int bound(self) except -1:
        self.owner, self.depth = None, 0
        return LockPin.bound(self)


cdef class RLockHandle(LockHandle):
    """A lock that its owner may take again."""

    cdef bint reentered(self, object who) except -1:
        cdef RLockPin pin = <RLockPin>self.lock
        if pin.depth == 0 or pin.owner != who:
            return False
        self.usable("lock")
        pin.depth += 1
        return True

    cdef void taken(self, object who, str name) noexcept:
        cdef RLockPin pin = <RLockPin>self.lock
        pin.owner, pin.depth = who, 1
        Lockable.taken(self, who, name)

    @cython.binding(False)
    def acquire(self):
        """Takes the lock for the task that calls this, waiting for it as long as it takes; gives True.

        Otherwise as `Lock.acquire`.
        """
        who = running_task()  # not who awaits it: that may be a task of asyncio.wait_for's own
        cdef AcquireOperation operation = self.acquiring(True)
        if who is not None:
            operation.known(who)
        return operation

    cdef int give(self, bint thread) except -1:
        cdef RLockPin pin = <RLockPin>self.lock
        self.attached("lock")
        self.owned(who_runs(thread))
        if pin.depth > 1:
            pin.depth -= 1
            return 0
        return Lockable.give(self, thread)

    cdef int owned(self, object who) except -1:
        cdef RLockPin pin = <RLockPin>self.lock
        if pin.depth == 0 or pin.owner != who:
            raise NotOwnerError(f"{self!r} is not held by the {'thread' if type(who) is int else 'task'} that tries to "
                                "use it")
        return 0

    cdef int require_held(self, bint thread) except -1:
        return self.owned(who_runs(thread))

    cdef Py_ssize_t let_go(self, bint thread) except -1:
        cdef RLockPin pin = <RLockPin>self.lock
        cdef Py_ssize_t depth = pin.depth
        owner = pin.owner
        pin.owner, pin.depth = None, 0  # before others of this process may have it
        try:
            return max(depth, Lockable.let_go(self, thread))
        except BaseException:
            pin.owner, pin.depth = owner, depth
            raise

    cdef void deepen(self, Py_ssize_t depth) noexcept:
        (<RLockPin>self.lock).depth = depth

    def _depth(self) -> int:
        """How many times over its owner in this process holds it."""
        return (<RLockPin>self.lock).depth


cdef class EnteredHandle(Lockable):
    """What is entered for a block, and says more than that it is held."""

    @cython.binding(False)
    def __aenter__(self):
        return self.acquiring(None)

    @cython.binding(False)
    def __aexit__(self, kind, value, traceback):
        self.left(kind is not None, False)
        return DONE


cdef class BlockingEntrance:
    """The blocking view of such a handle: here so that nothing can be raised between getting it and holding it."""

    cdef readonly EnteredHandle _handle

    def __init__(self, EnteredHandle handle not None):
        self._handle = handle

    @cython.binding(False)
    def __enter__(self):
        return self._handle._block(None)

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self._handle.left(kind is not None, True)

    def __repr__(self):
        return f"<blocking view of {self._handle!r}>"


cdef class OnceHandle(EnteredHandle):
    """A lock around something that is to be done once: closed for ever when it is done."""

    cdef bint refused(self, aipc_status status) except -1:
        return status == AIPC_CLOSED and not self.lock.gone() or Lockable.refused(self, status)

    cdef object outcome(self, aipc_status status, object wanted):
        return status == AIPC_OK  # else it was done

    cdef int left(self, bint failed, bint thread) except -1:
        """After the block, of whoever was first or not."""
        cdef aipc_lock_stats stats
        if self._done():
            return 0
        aipc_lock_stats_get(self.lock.seg, self.lock.lock, &stats)
        if not stats.mine:
            return 0
        return self.give(thread) if failed else self.finish(thread)

    def _done(self) -> bool:
        self.attached("once")
        return aipc_lock_closed(self.lock.lock) and not self.lock.gone()

    cdef int finish(self, bint thread) except -1:
        """It is done: whoever waits goes on."""
        cdef aipc_ctx *ctx
        self.attached("once")
        ctx = self.lock.attachment.enter()
        cdef aipc_status status = aipc_lock_close(ctx, self.lock.lock)
        aipc_ctx_leave(ctx)
        self.give(thread)
        check(self.lock.seg, status, "finishing what is done once")
        if self.lock.local[0] > 0:
            self._passed_on()
        return 0


cdef class LeaderHandle(EnteredHandle):
    """A lock whose holder has a term."""

    cdef inline aipc_leader *leader(self) noexcept:
        return <aipc_leader *>self.lock.lock

    cdef void taken(self, object who, str name) noexcept:
        aipc_fetch_add_seq_cst64(&self.leader().term, 1)
        Lockable.taken(self, who, name)

    cdef object outcome(self, aipc_status status, object wanted):
        return aipc_load_seq_cst64(&self.leader().term)

    @cython.binding(False)
    def campaign(self):
        """Waits until this process leads; gives its term.  ClosedError when the object is destroyed."""
        return self.acquiring(None)

    def _campaign_nowait(self, bint thread) -> bool:
        return self.take(thread, True)

    def _resign(self, bint thread):
        self.give(thread)

    def _term(self) -> int:
        self.usable("leader")
        return aipc_load_seq_cst64(&self.leader().term)
