# Condition: waiting for a notification beside a lock.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class ConditionPin(LockPin):
    """One condition, as this process knows it.  It begins with a lock of its own, so it is that lock's pin too."""

    cdef aipc_condition *condition

    cdef int bound(self) except -1:
        if self.ref.size < sizeof(aipc_condition):
            raise CorruptSegmentError(f"the condition at offset {self.ref.object:#x} has {self.ref.size} bytes")
        self.condition = <aipc_condition *>(self.seg.base + self.ref.payload)
        return LockPin.bound(self)

    cdef int close(self) except -1:
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_condition_close(ctx, self.condition)
        aipc_ctx_leave(ctx)
        check(self.seg, status, "destroying a condition")
        return LockPin.close(self)


cdef class ConditionHandle(Handle):
    """What Condition does without waiting."""

    cdef ConditionPin condition
    cdef LockHandle held  # the lock beside it
    cdef public bint _collected  # whether a coroutine was just now, in `wait`, where it could not await the lock

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.condition = <ConditionPin?>pin

    def _beside(self, LockHandle lock not None):
        """This is its lock."""
        self.held = lock

    def _lock_identity(self):
        """(offset, serial, type) of the lock; the offset is 0 when it is the condition's own."""
        self.attached("condition")
        cdef aipc_condition *condition = self.condition.condition
        return condition.lock, condition.lock_serial, condition.lock_type

    @cython.binding(False)
    def __aenter__(self):
        self._collected = False
        if not _checkpoint_wanted() and self.held.take(False):
            return DONE
        return self.held.acquiring(None)

    @cython.binding(False)
    def __aexit__(self, kind, value, traceback):
        cdef bint collected = self._collected
        self._collected = False
        if kind is not GeneratorExit or not collected:
            self.let_go(kind, False)
        return DONE

    cdef int let_go(self, object kind, bint thread) except -1:
        """Gives the lock back; an error of `wait`, which may not have it again, says more than that."""
        try:
            self.held.give(thread)
        except (ClosedError, NotOwnerError):
            if kind is None or not issubclass(kind, IPCError):
                raise
        return 0

    def _waiting(self, bint thread):
        """Waits for a notification; the lock is released when it stands in line.  NotOwnerError without the lock."""
        cdef ConditionOperation operation = ConditionOperation.__new__(ConditionOperation)
        self.usable("condition")
        self.held.require_held(thread)
        operation.opening, operation.attachment, operation.seg = self.opening, self.pin.attachment, self.pin.seg
        operation.handle, operation.condition, operation.thread = self, self.condition, thread
        return operation

    @cython.binding(False)
    def notify(self, n=1):
        """Notifies up to `n` waiters; NotOwnerError (a RuntimeError) when the lock is not held."""
        self.tell_waiters(_number_of_waiters(n), False)

    @cython.binding(False)
    def notify_all(self):
        """Notifies everybody who waits; NotOwnerError (a RuntimeError) when the lock is not held."""
        self.tell_waiters(AIPC_EVERYBODY, False)

    cdef int tell_waiters(self, uint32_t count, bint thread) except -1:
        global shield
        cdef aipc_ctx *ctx = NULL
        self.usable("condition")
        self.held.require_held(thread)
        check(self.pin.seg, enter_at_last(self.pin.seg, &ctx), "notifying")
        shield += 1
        cdef aipc_status status = aipc_condition_notify(ctx, self.condition.condition, count)
        shield -= 1
        aipc_ctx_leave(ctx)
        check(self.pin.seg, status, "notifying")
        if self.condition.local[1] > 0:
            self._passed_on()
        return 0

    def _passed_on(self):
        """Called after a change while tasks or threads of this process wait for it."""

    def _statistics(self):
        """(waiters, ever waited, ever notified)."""
        self.attached("condition")
        cdef aipc_condition *condition = self.condition.condition
        return aipc_condition_waiting(condition), condition.contended, condition.notified


cdef uint32_t _number_of_waiters(object n) except? 0x5eed:
    try:
        count = _index(n)
    except TypeError:
        raise TypeError(f"n must be an int, not {n!r}") from None
    if count < 0:
        raise ValueError(f"n must be at least 0, not {n!r}")
    return min(count, <uint32_t>AIPC_EVERYBODY - 1)


cdef class BlockingLockBeside:
    """BlockingCondition, to `with`: here so that nothing can be raised between getting the lock and holding it."""

    cdef readonly ConditionHandle _condition

    def __init__(self, ConditionHandle condition not None):
        self._condition = condition

    @cython.binding(False)
    def __enter__(self):
        return self._condition.held.take(True) or block(self._condition.held.acquiring(True, True), None)

    @cython.binding(False)
    def __exit__(self, kind, value, traceback):
        self._condition.let_go(kind, True)

    @cython.binding(False)
    def notify(self, n=1):
        """Notifies up to `n` waiters; NotOwnerError when the lock is not held."""
        self._condition.tell_waiters(_number_of_waiters(n), True)

    @cython.binding(False)
    def notify_all(self):
        """Notifies everybody who waits; NotOwnerError when the lock is not held."""
        self._condition.tell_waiters(AIPC_EVERYBODY, True)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class ConditionOperation(Operation):
    """`condition.wait()`, until it is notified.  It keeps its place and what it got until `settle`, so that a process
    killed before it has the lock again takes no notification with it."""

    cdef ConditionHandle handle
    cdef ConditionPin condition
    cdef bint thread
    cdef Py_ssize_t depth           # of the lock, while it is released
    cdef readonly bint notified

    cdef object attempt(self):
        return NOT_YET

    cdef bint stands_first(self):
        return True

    cdef void counted(self, int change) noexcept:
        self.condition.counted(1, self.bell, change)

    @property
    def released(self) -> bool:
        """Whether the lock is to be acquired again."""
        return self.depth > 0

    def reacquiring(self):
        """The operation that acquires the lock again."""
        return self.handle.held.acquiring(True, self.thread)

    def reacquired(self):
        """The lock is held again: as deep as before."""
        self.handle.held.deepen(self.depth)
        self.depth = 0

    def wait(self, uint32_t bell, uint64_t token):
        """Stands in line, then releases the lock."""
        cdef uint32_t node = 0
        self.handle.usable("condition")
        self.handle.held.require_held(self.thread)
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_condition_stand(ctx, self.condition.condition, bell, token, &node)
        aipc_ctx_leave(ctx)
        check(self.seg, status, "waiting for a condition")
        self.node, self.bell, self.identity = node, bell, self.seg.self
        self.counted(1)
        try:
            self.depth = self.handle.held.let_go(self.thread)
            self.handle.held.tell()
        except BaseException:
            self.withdraw()
            raise
        return self

    def look(self) -> bool:
        """Whether it was notified; it keeps its place."""
        if self.node == 0 or self.identity != self.seg.self:
            raise ClosedError("the segment was closed while waiting for a condition")
        if self.condition.gone() or self.handle.held.lock.gone():
            self.withdraw()
            raise ClosedError("the condition or its lock was destroyed")
        self.notified = aipc_condition_notified(self.seg, self.node)
        return self.notified

    def cancel(self):
        """Gives up, unless it was notified and `look` has found that."""
        if not self.notified:
            Operation.cancel(self)

    def reacquire(self):
        """For a thread: acquires the lock again, whatever interrupts that; the latest interruption is raised
        afterwards.  No signal handler runs in between."""
        interruption = None
        while self.depth > 0:
            try:
                block(self.reacquiring(), None)
                self.reacquired()
            except TooManyWaitersError:
                if not self.notified:
                    raise
                self.settle()  # its own place is one that the lock's queue can have
            except IPCError:
                raise
            except BaseException as error:
                interruption = error
        if interruption is not None:
            raise interruption

    def settle(self):
        """Uses the notification up."""
        cdef uint32_t node = self.node
        if node == 0 or self.identity != self.seg.self:
            return
        cdef aipc_ctx *ctx = NULL
        check(self.seg, enter_at_last(self.seg, &ctx), "waiting for a condition")
        cdef aipc_status status = aipc_condition_look(ctx, self.condition.condition, node)
        aipc_ctx_leave(ctx)
        if status == AIPC_OK or status == AIPC_CLOSED:
            self.node, self.notified = 0, False
            self.counted(-1)
        if status != AIPC_CLOSED:  # else it was destroyed after the notification
            check(self.seg, status, "waiting for a condition")

    def forsake(self):
        """Gives up for good: a notification goes to the next."""
        Operation.cancel(self)

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_condition_cancel(ctx, self.condition.condition, node)


aioipc_set_am_send(ConditionOperation, _send)


def condition_image(Lockable lock) -> bytes:
    """What a new condition starts with; None: with a lock of its own."""
    cdef aipc_condition image
    memset(&image, 0, sizeof(image))
    image.lock_type = AIPC_TYPE_LOCK
    if lock is not None:
        lock.usable("lock")
        image.lock, image.lock_serial = lock.lock.ref.object, lock.lock.ref.serial
        image.lock_type = <uint32_t>lock.lock.ref.type
    image.seal = aipc_condition_seal(&image)
    return (<char *>&image)[:sizeof(image)]
