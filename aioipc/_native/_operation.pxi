# Operations that may have to wait: one object for the coroutine, the waiter and the blocked thread.  Part of
# _core.pyx.

cdef extern from *:
    """
    /* `await` asks for this slot first; Cython has no name for it. */
    static void aioipc_set_am_send(PyObject *type, sendfunc send) {
        ((PyTypeObject *)type)->tp_as_async->am_send = send;
    }
    """
    ctypedef enum PySendResult:
        PYGEN_RETURN, PYGEN_ERROR, PYGEN_NEXT
    ctypedef PySendResult (*sendfunc)(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR
    PySendResult PyIter_Send(object iterator, PyObject *value, PyObject **result) except PYGEN_ERROR
    void aioipc_set_am_send(object type, sendfunc send)

# Set by aioipc._waiting: is the library that runs in this thread one in which every await is a checkpoint?  Asked only
# when that library has been imported at all; and without Python code, in which a signal's handler could raise while
# something is given back.
cdef dict _modules = sys.modules
cdef str _checkpoint_library = ""
cdef object _find_running_library = None, _running_library = None


def checkpoints(str library not None, object find not None):
    """Awaits that need not wait are answered here, without the event loop, unless `library` is imported and
    runs in this thread: it is the `name` of what find() gives, None before it is known."""
    global _checkpoint_library, _find_running_library
    _checkpoint_library, _find_running_library = library, find


cdef bint _library_runs() except -1:
    global _running_library
    if _running_library is None:
        _running_library = _find_running_library()
    return getattr(_running_library, "name", None) == _checkpoint_library


cdef inline bint _checkpoint_wanted() except -1:
    return _checkpoint_library in _modules and _library_runs()


def checkpoint_wanted() -> bool:
    """Whether the running library wants a checkpoint at every await."""
    return _checkpoint_wanted()


cdef class _NotYet:
    """What `attempt` gives while it has to wait."""

cdef _NotYet NOT_YET = _NotYet()
cdef object _run_operation = None, _bell_here = None, _passed_on = None  # set by aioipc._waiting


def operations(object run not None, object bell_here not None, object passed_on not None):
    """`run(operation)` is the coroutine that awaits an operation which has to wait; `bell_here(attachment)` the bell
    of the running event loop, -1 when there is none; `passed_on(attachment)` is told that somebody was woken."""
    global _run_operation, _bell_here, _passed_on
    _run_operation, _bell_here, _passed_on = run, bell_here, passed_on


@cython.no_gc_clear  # its last act needs what it refers to
cdef class LinePin(Pin):
    """An object with lines that tasks and threads of this process stand in."""

    cdef uint32_t local[4]                # how many, by line
    cdef uint32_t at_bell[4][AIPC_BELLS]  # and by event loop or thread

    cdef int bound(self) except -1:
        memset(self.local, 0, sizeof(self.local))
        memset(self.at_bell, 0, sizeof(self.at_bell))
        return 0

    cdef void counted(self, int line, int bell, int change) noexcept:
        self.local[line] += change
        self.at_bell[line][bell] += change

    cdef bint others_first(self, int line, Operation operation) except -1:
        """Whether tasks of the same event loop came first.  Order among loops and threads is not kept: one that
        does not run would hold up the others."""
        cdef int bell
        if self.local[line] == 0:
            return False
        if operation is not None and operation.node != 0:
            return self.at_bell[line][operation.bell] > 1
        bell = _bell_here(self.attachment)
        return bell >= 0 and self.at_bell[line][bell] > 0


@cython.no_gc_clear  # its last act needs what it refers to
cdef class Operation:
    """What a method that may have to wait returns.  Nothing is done before it is awaited.

    As a coroutine it runs once: `await` it, or give it to `create_task`, `wait_for`, `gather`.  When it need not
    wait, the event loop never hears of it.
    """

    cdef readonly Opening opening
    cdef Attachment attachment
    cdef aipc_seg *seg
    cdef uint32_t node          # 0: does not stand in a line (any more)
    cdef uint32_t bell          # where it is woken while it stands
    cdef uint64_t identity      # of the process when it stood there
    cdef bint started
    cdef object inner           # the coroutine that waits
    cdef readonly object result

    def __init__(self):
        raise TypeError("operations are made by the methods that may have to wait")

    # --- what a kind of operation adds

    cdef object attempt(self):
        """Does it, if that is possible now: its result, or NOT_YET."""
        raise NotImplementedError

    cdef bint must_queue(self) except -1:
        """Whether others came first."""
        return False

    cdef bint last_chance(self) except -1:
        """Before giving up without having waited: tries again, if a death was not noticed yet."""
        return False

    cdef bint stands_first(self):
        """Whether nothing of it is done before it stands in line."""
        return False

    cdef bint expire(self) except -1:
        """A thread's time is over while it stands in line; True: it was possible after all."""
        return False

    cdef aipc_status stand(self, aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node):
        raise NotImplementedError

    cdef aipc_status again(self, aipc_ctx *ctx, uint32_t node):
        raise NotImplementedError

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return AIPC_OK

    cdef void counted(self, int change) noexcept:
        """One waiter of this process more or less."""

    # --- standing in line: what aioipc._waiting and block() do with it

    def ready(self) -> bool:
        """Tries without waiting; True: `result` has it."""
        return not self.must_queue() and self.succeeds()

    cdef bint succeeds(self) except -1:
        self.result = self.attempt()
        return self.result is not NOT_YET

    def wait(self, uint32_t bell, uint64_t token):
        """Stands in line; None: it was possible after all, `result` has it."""
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef uint32_t node = 0
        cdef aipc_status status = self.stand(ctx, bell, token, &node)
        aipc_ctx_leave(ctx)
        check(self.seg, status, "waiting")
        self.node, self.bell, self.identity = node, bell, self.seg.self
        self.counted(1)
        try:
            if self.must_queue() or not self.succeeds():
                return self
        except BaseException:
            self.withdraw()
            raise
        self.withdraw()
        return None

    def look(self) -> bool:
        """Whether it was possible now, after being woken; the place in line is given up then."""
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.node == 0 or self.identity != self.seg.self:
            raise ClosedError("the segment was closed while waiting")
        try:
            if not self.succeeds():
                if self.node == 0:  # another thread closed the segment meanwhile
                    raise ClosedError("the segment was closed while waiting")
                ctx = self.attachment.enter()
                status = self.again(ctx, self.node)
                aipc_ctx_leave(ctx)
                check(self.seg, status, "waiting")
                if not self.succeeds():
                    return False
        except BaseException:
            self.withdraw()
            raise
        self.withdraw()
        return True

    def cancel(self):
        """Gives up the place in line; a wake-up that came for nothing goes to the next.  Harmless without one."""
        if self.node != 0:
            check(self.seg, self.withdraw(), "giving up waiting")

    cdef aipc_status withdraw(self) noexcept:
        global shield
        cdef aipc_ctx *ctx = NULL
        cdef uint32_t node = self.node
        self.node = 0
        if node == 0 or self.identity != self.seg.self:
            return AIPC_OK
        self.counted(-1)
        shield += 1
        cdef aipc_status status = enter_at_last(self.seg, &ctx)
        if status == AIPC_OK:
            status = self.leave(ctx, node)
            aipc_ctx_leave(ctx)
        shield -= 1
        return status

    # --- as a coroutine

    cdef object step(self):
        """The first step: its result at once, or else NOT_YET, and `inner` waits."""
        if self.started:
            raise RuntimeError("cannot reuse already awaited operation")
        self.started = True
        if not _checkpoint_wanted() and not self.must_queue():
            result = self.attempt()
            if result is not NOT_YET:
                return result
        self.inner = _run_operation(self)
        return NOT_YET

    def __await__(self):
        if self.started:
            raise RuntimeError("cannot reuse already awaited operation")
        return self

    @property
    def __name__(self):
        return type(self).__name__

    @property
    def __qualname__(self):
        return type(self).__name__

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        """As a coroutine's."""
        if self.inner is None:
            result = self.step()
            if result is not NOT_YET:
                raise StopIteration(result)
        return self.inner.send(value)

    def throw(self, *exception):
        """As a coroutine's."""
        if self.inner is not None:
            return self.inner.throw(*exception)
        self.started = True
        raise exception[1] if len(exception) > 1 and exception[1] is not None else exception[0]

    def close(self):
        """As a coroutine's."""
        self.started = True
        if self.inner is not None:
            self.inner.close()

    def __dealloc__(self):
        if self.node != 0:
            self.withdraw()
        if not self.started and self.attachment is not None:
            _never_awaited(type(self).__name__)

    def __repr__(self):
        return f"<aioipc.{type(self).__name__}>"


cdef void _never_awaited(str name) noexcept:
    import warnings
    warnings.warn(f"{name} was never awaited", RuntimeWarning, stacklevel=1)


cdef PySendResult _send(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    """`await`: what `send` does, without making a StopIteration for the result."""
    cdef Operation operation = <Operation>self
    result[0] = NULL
    if operation.inner is None:
        outcome = operation.step()
        if outcome is not NOT_YET:
            Py_INCREF(outcome)
            result[0] = <PyObject *>outcome
            return PYGEN_RETURN
    return PyIter_Send(operation.inner, value, result)


cdef double _seconds(object timeout) except -1:
    """A checked timeout; None is 30 years."""
    if timeout is None:
        return 1e9
    if not timeout >= 0:
        raise ValueError(f"timeout must be a number of seconds >= 0 or None, not {timeout!r}")
    return min(<double>timeout, 1e9)


cdef bint block(Operation operation, object timeout) except -1:
    """Blocks the thread until the operation was possible (True) or the timeout is over."""
    cdef Sleeper sleeper
    cdef bint late = False
    cdef uint64_t deadline = FOREVER
    operation.started = True
    cdef double limit = _seconds(timeout)
    if operation.ready():
        return True
    if limit == 0 and not operation.stands_first():
        return operation.last_chance()
    if timeout is not None:
        deadline = aipc_os_now() + <uint64_t>(limit * 1e9)
    sleeper = Sleeper.__new__(Sleeper)
    try:
        sleeper.open(operation.attachment)
        if operation.wait(sleeper.bell, 0) is None:
            return True
        while True:
            if operation.opening.closed:  # whoever closes it sets this first, and then rings
                raise ClosedError("the segment was closed while waiting")
            if late:
                return operation.expire()
            late = sleeper.sleep(deadline)
            if not operation.opening.closed and operation.look():
                return True
    finally:
        operation.cancel()
        sleeper.close()
