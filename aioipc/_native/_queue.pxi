# Queue: handles, and what they do without waiting.  Part of _core.pyx.

cdef class QueueHandle(Handle):
    """What Queue does without waiting, and the operations that may wait."""

    cdef QueuePin queue
    cdef uint32_t codec
    cdef public object _encoder  # encodes and decodes, when the codec is the user's
    cdef object undecodable      # what was wrong with an item that was taken behind others: raised by the next take

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.queue = <QueuePin?>pin
        self.codec = self.queue.queue.codec

    # --- items and bytes

    cdef Message encode(self, object item):
        cdef Message message = Message.__new__(Message)
        if self.codec == CODEC_MSGPACK:
            message.msgpack(item)
        elif self.codec == CODEC_RAW:
            message.raw(item)
        else:
            message.raw(self.encoder().encode(item))
        return message

    cdef object encoder(self):
        if self._encoder is None:
            raise OptionMismatchError(
                f"{self!r} has a codec of its own: open it with codec=, an object with encode() and decode()")
        return self._encoder

    cdef object decode(self, const uint8_t *data, uint64_t size):
        if self.codec == CODEC_MSGPACK:
            return unpack(data, size)
        return PyBytes_FromStringAndSize(<const char *>data, size)

    cdef object decoded(self, object item):
        """The rest of decoding: what a user's codec does, when nothing of the core is held."""
        return self.encoder().decode(item) if self.codec == CODEC_OBJECT else item

    # --- the core's operations: NOT_YET when they would have to wait

    cdef object put_bytes(self, const aipc_bytes *bytes):
        cdef uint32_t put = 0
        cdef aipc_ctx *ctx = self.queue.attachment.enter()
        cdef aipc_status status = aipc_queue_put(ctx, self.queue.queue, bytes, 1, &put)
        aipc_ctx_leave(ctx)
        if status == AIPC_OK:
            return self.passed_on(AIPC_GETTERS, None)
        return self.not_put(status, bytes.size)

    cdef object put_item(self, object item):
        """The same for an item whose bytes nobody needs a second time, without an object for them."""
        cdef aipc_bytes bytes
        cdef Packed packed
        if self.codec == CODEC_MSGPACK:
            keeper = pack_into(item, &packed, &bytes)
        elif self.codec == CODEC_RAW and PyBytes_CheckExact(item):
            bytes.head_size, bytes.data, bytes.size = 0, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item)
        else:
            return self.put_bytes(&self.encode(item).bytes)
        return self.put_bytes(&bytes)

    cdef object not_put(self, aipc_status status, uint64_t size):
        if status == AIPC_AGAIN:
            return NOT_YET
        if status == AIPC_SHUT_DOWN:
            raise QueueShutDown(f"{self!r}: no more items can be put")
        if status == AIPC_INVALID:
            raise MessageTooLargeError(
                f"{self!r}: a message of {size} bytes can never fit; make the queue with a larger max_bytes, or the "
                "segment larger, or put the handle of a Block")
        self.queue.attachment.check_space(status, size, "putting into a queue")

    cdef inline object passed_on(self, aipc_queue_role role, object result):
        """After a change that may have woken others of this process: they are spared the way through the kernel."""
        if self.queue.local[<int>role] > 0:
            self._passed_on()
        return result

    def _passed_on(self):
        """Called after a change while tasks or threads of this process wait for it."""

    cdef object take(self):
        """The next item."""
        self.confess()
        cdef uint8_t room[AIPC_QUEUE_INLINE]
        cdef aipc_message message
        cdef uint32_t taken = 0
        cdef aipc_ctx *ctx = self.queue.attachment.enter()
        cdef aipc_status status = aipc_queue_take(ctx, self.queue.queue, room, sizeof(room), &message, 1, &taken)
        if status != AIPC_OK:
            aipc_ctx_leave(ctx)
            return self.not_taken(status)
        if message.item == 0:
            aipc_ctx_leave(ctx)
            item = self.decode(message.data, message.size)
        else:
            try:
                item = self.decode(message.data, message.size)
            finally:
                aipc_queue_dispose(ctx, &message, 1)
                aipc_ctx_leave(ctx)
        return self.passed_on(AIPC_PUTTERS, self.decoded(item))

    cdef inline int confess(self) except -1:
        if self.undecodable is not None:
            error, self.undecodable = self.undecodable, None
            raise error
        return 0

    cdef object not_taken(self, aipc_status status):
        if status == AIPC_AGAIN:
            return NOT_YET
        if status == AIPC_SHUT_DOWN:
            raise QueueShutDown(f"{self!r}: no items are left")
        self.queue.attachment.check_space(status, 0, "getting from a queue")

    cdef object take_many(self, uint64_t most):
        """A list of up to `most` items, at least one."""
        cdef uint8_t room[8 * AIPC_QUEUE_INLINE]
        cdef aipc_message messages[AIPC_QUEUE_BATCH]
        cdef uint32_t taken = 0, i
        cdef aipc_ctx *ctx
        cdef aipc_status status = AIPC_OK
        cdef list items = []
        self.confess()
        if self.codec == CODEC_OBJECT:
            return self.take_one_by_one(most)
        while <uint64_t>len(items) < most and self.undecodable is None:
            ctx = self.queue.attachment.enter()
            taken = 0
            status = aipc_queue_take(ctx, self.queue.queue, room, sizeof(room), messages,
                                     <uint32_t>min(most - <uint64_t>len(items), <uint64_t>AIPC_QUEUE_BATCH), &taken)
            try:
                if status == AIPC_OK:
                    for i in range(taken):
                        self.append(items, &messages[i])
            finally:
                if status == AIPC_OK:
                    aipc_queue_dispose(ctx, messages, taken)
                aipc_ctx_leave(ctx)
            if status != AIPC_OK:
                break
        if not items:
            self.confess()
            return self.not_taken(status)
        return self.passed_on(AIPC_PUTTERS, items)

    cdef object take_one_by_one(self, uint64_t most):
        """The same when a user's code decodes: nothing of the core is held while that runs."""
        cdef list items = []
        while <uint64_t>len(items) < most:
            try:
                item = self.take()
            except Exception as error:
                if not items:
                    raise
                self.undecodable = error
                break
            if item is NOT_YET:
                break
            items.append(item)
        return items if items else NOT_YET

    cdef int append(self, list items, aipc_message *message) except -1:
        """Decodes one item of many: one that is damaged takes no others with it."""
        try:
            items.append(self.decode(message.data, message.size))
        except Exception as error:
            self.undecodable = error
        return 0

    cdef object put_many(self, list messages, uint64_t *done):
        """Puts messages[done:]; moves *done on."""
        cdef aipc_bytes batch[AIPC_QUEUE_BATCH]
        cdef uint32_t count, put
        cdef aipc_ctx *ctx
        cdef aipc_status status = AIPC_OK
        cdef uint64_t total = <uint64_t>len(messages)
        while done[0] < total and status == AIPC_OK:
            count = 0
            while count < AIPC_QUEUE_BATCH and done[0] + count < total:
                batch[count] = (<Message>messages[done[0] + count]).bytes
                count += 1
            ctx = self.queue.attachment.enter()
            put = 0
            status = aipc_queue_put(ctx, self.queue.queue, batch, count, &put)
            aipc_ctx_leave(ctx)
            done[0] += put
            if put > 0:
                self.passed_on(AIPC_GETTERS, None)
        if status == AIPC_OK:
            return None
        return self.not_put(status, batch[put].size)

    cdef object peek(self):
        cdef uint8_t small[AIPC_QUEUE_INLINE]
        cdef uint8_t *room = small
        cdef uint64_t room_size = sizeof(small)
        cdef bytearray large = None
        cdef aipc_message message
        cdef aipc_ctx *ctx
        cdef aipc_status status
        while True:
            ctx = self.queue.attachment.enter()
            status = aipc_queue_peek(ctx, self.queue.queue, room, room_size, &message)
            aipc_ctx_leave(ctx)
            if status != AIPC_OK:
                return self.not_taken(status)
            if message.data != NULL:
                return self.decoded(self.decode(message.data, message.size))
            if message.size > self.queue.seg.limit:
                raise CorruptSegmentError(f"{self!r}: a message of {message.size} bytes")
            large = bytearray(message.size)
            room, room_size = <uint8_t *><char *>large, message.size

    # --- operations

    cdef Operation operation(self, Operation operation):
        self.usable("queue")
        operation.opening, operation.attachment, operation.seg = self.opening, self.queue.attachment, self.queue.seg
        return operation

    @cython.binding(False)
    def put_nowait(self, item):
        """Puts an item.  Raises QueueFull when there is no room, QueueShutDown after `shutdown`, MessageTooLargeError
        for what could never fit, SegmentFullError when the segment has no memory left."""
        self.usable("queue")
        if self.put_item(item) is NOT_YET:
            raise QueueFull(f"{self!r}: await put() to wait for room")

    @cython.binding(False)
    def get_nowait(self):
        """Takes the next item.  Raises QueueEmpty when there is none, QueueShutDown when there will be none."""
        self.usable("queue")
        item = self.take()
        if item is NOT_YET and self.revive():
            item = self.take()
        if item is NOT_YET:
            raise QueueEmpty(f"{self!r}: await get() to wait for an item")
        return item

    @cython.binding(False)
    def put(self, item):
        """Puts an item, waiting for room as long as it takes.

        Cancelled while it waits, it has put nothing.  Raises QueueShutDown after `shutdown`,
        MessageTooLargeError for what could never fit, SegmentFullError when the segment has no memory left,
        TypeError for what the codec cannot encode, ClosedError when the segment is closed or the queue destroyed.
        """
        cdef PutOperation operation = PutOperation.__new__(PutOperation)
        operation.handle, operation.queue, operation.item = self, self.queue, item
        return self.operation(operation)

    @cython.binding(False)
    def get(self):
        """Takes the next item, waiting for it as long as it takes.

        Cancelled while it waits, it has taken nothing: the item stays in its place.  Raises QueueShutDown when
        the queue is shut down and empty, ClosedError when the segment is closed or the queue destroyed.
        """
        cdef GetOperation operation = GetOperation.__new__(GetOperation)
        operation.handle, operation.queue = self, self.queue
        return self.operation(operation)

    def _put_many(self, items):
        cdef PutManyOperation operation = PutManyOperation.__new__(PutManyOperation)
        operation.started = True  # until it is one that could be awaited
        operation.handle, operation.queue = self, self.queue
        operation.messages = [self.encode(item) for item in items]
        self.operation(operation)
        operation.started = False
        return operation

    def _get_many(self, max_items):
        cdef GetManyOperation operation
        if not isinstance(max_items, int) or max_items < 1:
            raise ValueError(f"max_items must be an int of at least 1, not {max_items!r}")
        operation = GetManyOperation.__new__(GetManyOperation)
        operation.handle, operation.queue, operation.most = self, self.queue, min(max_items, sys.maxsize)
        return self.operation(operation)

    def _peek(self):
        cdef PeekOperation operation = PeekOperation.__new__(PeekOperation)
        operation.handle, operation.queue = self, self.queue
        return self.operation(operation)

    def _lease(self):
        cdef LeaseOperation operation = LeaseOperation.__new__(LeaseOperation)
        operation.handle, operation.queue = self, self.queue
        return self.operation(operation)

    def _join(self):
        cdef JoinOperation operation = JoinOperation.__new__(JoinOperation)
        operation.handle, operation.queue = self, self.queue
        return self.operation(operation)

    # --- the rest, which never waits

    def task_done(self, uint64_t count=1):
        """Reports `count` taken items as dealt with.  ValueError when that is more than were taken."""
        self.usable("queue")
        cdef aipc_ctx *ctx = self.queue.attachment.enter()
        cdef aipc_status status = aipc_queue_task_done(ctx, self.queue.queue, count)
        aipc_ctx_leave(ctx)
        if status == AIPC_INVALID:
            raise ValueError("task_done() called too many times")
        check(self.queue.seg, status, "task_done()")
        self.passed_on(AIPC_JOINERS, None)

    def shutdown(self, bint immediate=False):
        """Ends the queue: nothing more can be put, and once it is empty nothing be got; both raise QueueShutDown.

        `immediate`: what it still holds is dropped, and counts as done; so is what a lease would return.
        """
        self.usable("queue")
        cdef aipc_ctx *ctx = self.queue.attachment.enter()
        cdef aipc_status status = aipc_queue_shutdown(ctx, self.queue.queue, immediate)
        aipc_ctx_leave(ctx)
        check(self.queue.seg, status, "shutting a queue down")

    def clear(self) -> int:
        """Drops the items that are in the queue now; they count as done.  Returns how many."""
        cdef uint64_t dropped = 0
        self.usable("queue")
        cdef aipc_ctx *ctx = self.queue.attachment.enter()
        cdef aipc_status status = aipc_queue_clear(ctx, self.queue.queue, &dropped)
        aipc_ctx_leave(ctx)
        check(self.queue.seg, status, "clearing a queue")
        return dropped

    def qsize(self) -> int:
        """Items in the queue now; those on lease are not."""
        cdef aipc_queue_stats stats
        self.usable("queue")
        aipc_queue_stats_get(self.queue.queue, &stats)
        return stats.queued

    cdef bint revive(self) except -1:
        """Recovers the dead that nobody has noticed, if items may hang on it; whether there were any.  Who waits
        notices by itself; this is for those who do not."""
        cdef aipc_queue_stats stats
        cdef uint32_t recovered = 0
        aipc_queue_stats_get(self.queue.queue, &stats)
        if stats.leased == 0 and stats.unfinished == stats.queued:
            return False
        cdef aipc_ctx *ctx = self.queue.attachment.enter()
        cdef aipc_status status = aipc_recover_all(ctx, &recovered)
        if status == AIPC_OK:
            status = aipc_queue_joined(ctx, self.queue.queue)  # looks at what the dead held
        aipc_ctx_leave(ctx)
        if status != AIPC_AGAIN:
            check(self.queue.seg, status, "looking after dead processes")
        return recovered > 0

    def _statistics(self, bint looking_after_the_dead=False):
        cdef aipc_queue_stats stats
        self.usable("queue")
        if looking_after_the_dead:
            self.revive()
        aipc_queue_stats_get(self.queue.queue, &stats)
        return _queue_record(&stats)

    @property
    def maxsize(self) -> int:
        """How many items it holds at most; 0: any number."""
        cdef aipc_queue_stats stats
        self.usable("queue")
        aipc_queue_stats_get(self.queue.queue, &stats)
        return stats.maxsize

    @property
    def _codec(self) -> int:
        return self.codec

    @property
    def blocking(self):
        """The same queue for threads: `q.blocking.get(timeout=1.5)`, `for item in q.blocking:`."""
        cdef BlockingQueue view = BlockingQueue.__new__(BlockingQueue)
        view.handle = self
        return view


cdef dict _queue_record(const aipc_queue_stats *stats):
    return {
        "qsize": stats.queued, "maxsize": stats.maxsize, "bytes": stats.bytes,
        "max_bytes": stats.max_bytes or None, "unfinished": stats.unfinished, "leased": stats.leased,
        "put": stats.put, "taken": stats.taken, "returned": stats.returned, "getters": stats.getters,
        "putters": stats.putters, "joiners": stats.joiners,
        "shut_down": bool(stats.state & AIPC_QUEUE_SHUTDOWN)}
