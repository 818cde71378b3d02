# What a Queue's methods that may wait return, and its view for threads.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class QueueOperation(Operation):
    """Stands in one of a queue's lines."""

    cdef QueueHandle handle
    cdef QueuePin queue
    cdef aipc_queue_role role

    cdef bint must_queue(self) except -1:
        return self.queue.others_first(<int>self.role, self)

    cdef void counted(self, int change) noexcept:
        self.queue.counted(<int>self.role, self.bell, change)

    cdef aipc_status stand(self, aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node):
        return aipc_queue_stand(ctx, self.queue.queue, self.role, bell, token, node)

    cdef aipc_status again(self, aipc_ctx *ctx, uint32_t node):
        return aipc_queue_again(ctx, self.queue.queue, self.role, node)

    cdef bint last_chance(self) except -1:
        return self.handle.revive() and self.succeeds()

    cdef aipc_status leave(self, aipc_ctx *ctx, uint32_t node) noexcept:
        return aipc_queue_leave(ctx, self.queue.queue, self.role, node)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class GetOperation(QueueOperation):
    """`queue.get()`"""

    cdef object attempt(self):
        self.handle.usable("queue")
        return self.handle.take()


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class PutOperation(QueueOperation):
    """`queue.put(item)`"""

    cdef object item
    cdef Message message

    def __cinit__(self):
        self.role = AIPC_PUTTERS

    cdef object attempt(self):
        self.handle.usable("queue")
        if self.message is not None:
            return self.handle.put_bytes(&self.message.bytes)
        result = self.handle.put_item(self.item)
        if result is NOT_YET:
            self.message = self.handle.encode(self.item)
        return result


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class GetManyOperation(QueueOperation):
    """`queue.get_many(max_items)`"""

    cdef uint64_t most

    cdef object attempt(self):
        self.handle.usable("queue")
        return self.handle.take_many(self.most)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class PutManyOperation(QueueOperation):
    """`queue.put_many(items)`"""

    cdef list messages
    cdef uint64_t done

    def __cinit__(self):
        self.role = AIPC_PUTTERS

    cdef object attempt(self):
        self.handle.usable("queue")
        return self.handle.put_many(self.messages, &self.done)

    @property
    def count(self) -> int:
        """Items put so far."""
        return self.done


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class PeekOperation(QueueOperation):
    """`queue.peek()`"""

    cdef object attempt(self):
        self.handle.usable("queue")
        return self.handle.peek()


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class JoinOperation(QueueOperation):
    """`queue.join()`"""

    cdef uint64_t mark  # what was put before it was asked
    cdef bint marked

    def __cinit__(self):
        self.role = AIPC_JOINERS

    cdef bint must_queue(self) except -1:
        return False

    cdef object attempt(self):
        self.handle.usable("queue")
        cdef aipc_ctx *ctx = self.attachment.enter()
        if not self.marked:
            self.mark, self.marked = aipc_queue_mark(self.queue.queue), True
        cdef aipc_status status = aipc_queue_joined_since(ctx, self.queue.queue, self.mark)
        aipc_ctx_leave(ctx)
        if status == AIPC_AGAIN:
            return NOT_YET
        check(self.seg, status, "joining a queue")


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class LeaseOperation(QueueOperation):
    """What `async with queue.lease()` does on entering."""

    cdef object attempt(self):
        cdef aipc_message message
        cdef HeldLease held
        self.handle.usable("queue")
        held = HeldLease.__new__(HeldLease)
        cdef aipc_ctx *ctx = self.attachment.enter()
        cdef aipc_status status = aipc_queue_lease(ctx, self.queue.queue, &message)
        if status != AIPC_OK:
            aipc_ctx_leave(ctx)
            return self.handle.not_taken(status)
        held.handle, held.queue, held.item, held.serial = self.handle, self.queue, message.item, message.serial
        held.deliveries, held.identity = message.deliveries, self.seg.self
        try:
            held.value = self.handle.decode(message.data, message.size)
        finally:
            aipc_ctx_leave(ctx)
        return self.handle.passed_on(AIPC_PUTTERS, held)


@cython.final
@cython.no_gc_clear  # its last act needs what it refers to
cdef class HeldLease:
    """An item on lease.  Goes back to the front of its queue unless it is settled."""

    cdef QueueHandle handle
    cdef QueuePin queue
    cdef uint64_t item, serial, identity
    cdef readonly uint32_t deliveries
    cdef readonly object value

    def __reduce__(self):
        raise TypeError("a lease belongs to the process that took it: it cannot be copied or pickled")

    def decoded(self):
        """The item."""
        return self.handle.decoded(self.value)

    def settle(self, bint done):
        """Reports it as dealt with, or returns it.  Raises NotOwnerError when this process no longer has it."""
        if self.handle.opening.closed:
            self.end(False)
            raise ClosedError("the segment was closed while an item was on lease; the item went back to its queue")
        check(self.queue.seg, self.end(done), "settling a lease")

    cdef aipc_status end(self, bint done) noexcept:
        global shield
        cdef aipc_ctx *ctx = NULL
        cdef uint64_t item = self.item
        self.item = 0
        if item == 0 or self.identity != self.queue.seg.self:
            return AIPC_NOT_OWNER
        shield += 1
        cdef aipc_status status = enter_at_last(self.queue.seg, &ctx)
        if status == AIPC_OK:
            status = aipc_queue_settle(ctx, self.queue.queue, item, self.serial,
                                       AIPC_SETTLE_DONE if done else AIPC_SETTLE_RETURN)
            aipc_ctx_leave(ctx)
        shield -= 1
        if status == AIPC_STALLED:
            self.item = item  # still ours: to be settled again, or returned when this goes
        return status

    def __dealloc__(self):
        if self.item != 0:
            self.end(False)


@cython.final
cdef class BlockingQueue:
    """A Queue for threads: blocks the calling thread, with the GIL released, and obeys Ctrl-C."""

    cdef QueueHandle handle

    def __init__(self):
        raise TypeError("get it from a queue: queue.blocking")

    def get(self, timeout=None):
        """Takes the next item; waits up to `timeout` seconds, None for ever.  Raises QueueEmpty (also a queue.Empty)
        when the time is over, QueueShutDown when there will be none."""
        return self.wait(self.handle.get(), timeout)

    def put(self, item, timeout=None):
        """Puts an item; waits for room up to `timeout` seconds, None for ever.  Raises QueueFull (also a queue.Full)
        when the time is over, QueueShutDown after `shutdown`."""
        return self.wait(self.handle.put(item), timeout)

    def get_many(self, max_items, timeout=None):
        """A list of one to `max_items` items: all that are there, or the next one that comes."""
        return self.wait(self.handle._get_many(max_items), timeout)

    def put_many(self, items, timeout=None):
        """Puts items one after the other.  QueueFull says how many of them were put when the time was over."""
        return self.wait(self.handle._put_many(items), timeout)

    def peek(self, timeout=None):
        """The next item, which stays in the queue."""
        return self.wait(self.handle._peek(), timeout)

    def join(self, timeout=None) -> bool:
        """Waits until every item put was dealt with.  False when the time was over."""
        return block(self.handle._join(), timeout)

    def lease(self, timeout=None):
        """`with queue.blocking.lease() as item:` - see Queue.lease."""
        return self.handle._leased(timeout)

    def _wait_lease(self, timeout):
        return self.wait(self.handle._lease(), timeout)

    cdef object wait(self, QueueOperation operation, object timeout):
        if block(operation, timeout):
            return operation.result
        if operation.role == AIPC_GETTERS:
            raise QueueEmpty(f"{self.handle!r}: no item within {timeout} s")
        if isinstance(operation, PutManyOperation):
            raise QueueFull(f"{self.handle!r}: room for {operation.count} items only within {timeout} s")
        raise QueueFull(f"{self.handle!r}: no room within {timeout} s")

    def __iter__(self):
        """Items until the queue is shut down and empty."""
        return self

    def __next__(self):
        try:
            return self.get()
        except QueueShutDown:
            raise StopIteration from None

    def __repr__(self):
        return f"<blocking view of {self.handle!r}>"


for _kind in (GetOperation, PutOperation, GetManyOperation, PutManyOperation, PeekOperation, JoinOperation,
              LeaseOperation):
    aioipc_set_am_send(_kind, _send)
