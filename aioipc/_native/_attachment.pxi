# One process's attachment to a segment: operations on it as a whole.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class Attachment:
    """This process's one attachment to a segment, shared by all its openings."""

    cdef aipc_seg *seg
    cdef bint closing
    cdef uint32_t openings
    cdef readonly list sleepers # threads that sleep or spin without a context
    cdef int allocating         # tasks and threads that wait for memory
    cdef object memory          # a Lent, that the segment lies in, when it is not mapped
    cdef list leaving           # openings that were closed inside of such a sleep, by its own thread
    cdef object pins            # serial -> Pin: one pin a process and object
    cdef _OpenBlock open_block   # an atomic block of this process
    cdef uint64_t block         # its serial, 0: none is open
    cdef bint unsettled         # it is over, and what it did was not settled: a stopped process held a lock
    cdef dict keeping           # serial -> PoolPin: pools that owe this process's blocks to the others
    cdef public object doorbells    # aioipc._waiting keeps its doorbells here
    cdef public object on_detach    # called with the attachment just before it detaches
    cdef object __weakref__

    def __cinit__(self):
        self.seg = <aipc_seg *>PyMem_RawCalloc(1, sizeof(aipc_seg))
        if self.seg == NULL:
            raise MemoryError
        self.pins = WeakValueDictionary()
        self.sleepers, self.leaving, self.keeping = [], [], {}

    def __dealloc__(self):
        global shield
        if self.seg != NULL:
            if self.seg.base != NULL:
                shield += 1
                aipc_segment_detach(self.seg)
                shield -= 1
            PyMem_RawFree(self.seg)

    @property
    def closed(self) -> bool:
        """Whether it has been detached."""
        return self.closing or self.seg.base == NULL

    @property
    def shared(self) -> bool:
        """Whether this process has it open more than once."""
        return self.openings > 1

    @property
    def identity(self) -> int:
        """Slot and generation of this process; another number after a fork, 0 when detached."""
        return self.seg.self

    @property
    def inode(self):
        """(device, inode) of the object."""
        return self.seg.device, self.seg.inode

    def fileno(self) -> int:
        """The descriptor of the object, for as long as it is attached."""
        self.require()
        check(self.seg, aipc_seg_verify_descriptors(self.seg), "looking for the segment's descriptor")
        return self.seg.fd

    @property
    def uuid(self) -> bytes:
        """The segment's 16 bytes of identity."""
        self.require()
        return (<uint8_t *>self.seg.header.uuid)[:16]

    @property
    def size(self) -> int:
        """Bytes that exist."""
        self.require()
        return self.seg.header.size

    @property
    def max_size(self) -> int:
        """Bytes it may grow to."""
        self.require()
        return self.seg.header.max_size

    @property
    def algorithm(self) -> int:
        """BEST_FIT, TLSF or SEQ_FIT."""
        self.require()
        return self.seg.algorithm

    @property
    def ordered(self) -> bool:
        """Whether it has an ordered index."""
        self.require()
        return bool(self.seg.ordered)

    # --- operations

    cdef int require(self) except -1:
        """Attached, and as this process."""
        global shield
        if self.closing or self.seg.base == NULL:
            raise ClosedError("the segment is closed")
        if self.seg.self == 0:
            check(self.seg, aipc_segment_reattach(self.seg), "attaching again after a fork")
            shield = 0  # the threads that were at work are the parent's
            self.open_block, self.block, self.unsettled = None, 0, False  # and so is its atomic block
            self.sleepers.clear()
        return 0

    cdef aipc_ctx *enter(self) except NULL:
        """A context for one operation."""
        cdef aipc_ctx *ctx = NULL
        cdef aipc_status status
        while True:
            self.require()
            if _raised:
                raise_what_was_raised()  # while an earlier operation waited, which was done all the same
            status = aipc_ctx_enter(self.seg, &ctx)
            if status == AIPC_OK:
                return ctx
            if status == AIPC_AGAIN:  # other threads have all of them
                with nogil:
                    aipc_os_yield()
                if shield == 0:
                    PyErr_CheckSignals()
            elif status != AIPC_FORKED:
                check(self.seg, status, "entering the segment")

    cdef uint64_t block_here(self) except? 0:
        """The serial of the atomic block that who runs here is in; 0: it is in none."""
        return self.block if self.block != 0 and self.open_block.who == who_runs(False) else 0

    cdef aipc_ctx *enter_block(self) except NULL:
        """A context for an operation that is a part of the block, if who runs here is in one."""
        cdef uint64_t block = 0 if self.block == 0 else self.block_here()
        cdef aipc_ctx *ctx = self.enter()
        ctx.block = block if self.block == block else 0  # after a fork there is none
        return ctx

    def holders(self):
        """Who holds what (_holders.pxi)."""
        self.require()
        return holders_of(self.seg)

    def heap_stats(self):
        """(total, free, largest free) bytes and the number of used blocks."""
        cdef aipc_heap_stats stats
        cdef aipc_ctx *ctx = self.enter()
        cdef aipc_status status = aipc_heap_stats_get(ctx, &stats)
        aipc_ctx_leave(ctx)
        check(self.seg, status, "reading heap statistics")
        return stats.total_bytes, stats.free_bytes, stats.largest_free, stats.used_blocks

    def check_sanity(self):
        """Walks everything: (findings as (what, offset, found, expected), their number, counts as a dict)."""
        report = <aipc_report *>PyMem_RawCalloc(1, sizeof(aipc_report))
        if report == NULL:
            raise MemoryError
        cdef aipc_ctx *ctx
        cdef aipc_status status
        try:
            ctx = self.enter()
            status = aipc_check(ctx, report)
            aipc_ctx_leave(ctx)
            check(self.seg, status, "checking the segment")
            shown = min(report.findings, <uint64_t>AIPC_REPORT_ROOM)
            findings = [(report.finding[i].what.decode(), report.finding[i].offset, report.finding[i].found,
                         report.finding[i].expected) for i in range(shown)]
            return findings, report.findings, {
                "blocks": report.blocks, "free_blocks": report.free_blocks, "user_blocks": report.user_blocks,
                "owned_blocks": report.owned_blocks, "internal_blocks": report.internal_blocks,
                "objects": report.objects, "holdings": report.holdings,
                "nodes_waiting": report.nodes_waiting, "free_bytes": report.free_bytes,
                "largest_free": report.largest_free, "holes": report.holes, "hole_bytes": report.hole_bytes}
        finally:
            PyMem_RawFree(report)

    # --- objects

    def construct(self, int kind, bytes name, uint64_t type, uint64_t size, uint32_t count, bytes initial,
                  bytes words=b"", uint32_t shares=0):
        """A Pin on a new object, or a Share of it (`shares`: how); None when the name is taken.

        `initial`: its first bytes; the rest is zero.  `words`: what it owns.  With those, or a share, no block's part.
        """
        cdef aipc_object_spec spec = _spec(kind, name, type, size, count, initial)
        _own(&spec, words, shares)
        cdef aipc_object_ref ref
        cdef aipc_ctx *ctx = self.enter_block() if shares == 0 and not words else self.enter()
        cdef bint inside = ctx.block != 0
        cdef aipc_status status = aipc_construct(ctx, &spec, &ref)
        aipc_ctx_leave(ctx)
        if status == AIPC_EXISTS:
            return None
        self.check_space(status, size, "constructing")
        return self.touched(self.pinned(&ref), inside) if shares == 0 else _share_of(self, &ref)

    def find(self, int kind, bytes name):
        """A Pin on the object of this name; None when there is none."""
        cdef aipc_object_ref ref
        if kind == AIPC_ANONYMOUS:
            return None  # they have no names to be found by
        cdef aipc_ctx *ctx = self.enter_block()
        cdef aipc_status status = aipc_find(ctx, kind, name, len(name), &ref)
        aipc_ctx_leave(ctx)
        return self.pin(status, &ref)

    def find_or_construct(self, int kind, bytes name, uint64_t type, uint64_t size, uint32_t count,
                          bytes initial, bytes words=b"", uint32_t shares=0):
        """(Pin or Share, whether this call constructed it)."""
        cdef aipc_object_spec spec = _spec(kind, name, type, size, count, initial)
        _own(&spec, words, shares)
        cdef aipc_object_ref ref
        cdef cbool created = False
        cdef aipc_ctx *ctx = self.enter_block() if shares == 0 and not words else self.enter()
        cdef bint inside = ctx.block != 0
        cdef aipc_status status = aipc_find_or_construct(ctx, &spec, &ref, &created)
        aipc_ctx_leave(ctx)
        self.check_space(status, size, "finding or constructing")
        if shares != 0:
            return _share_of(self, &ref), bool(created)
        return self.touched(self.pinned(&ref), inside and created), bool(created)

    def object_at(self, uint64_t offset, uint64_t serial):
        """A Pin on the object that had this place and serial; None when it is gone."""
        cdef aipc_object_ref ref
        cdef aipc_ctx *ctx = self.enter_block()
        cdef aipc_status status = aipc_object_at(ctx, offset, serial, &ref)
        aipc_ctx_leave(ctx)
        return self.pin(status, &ref)

    cdef int check_space(self, aipc_status status, uint64_t asked, str what) except -1:
        """`check`, with the numbers a full segment's exception carries."""
        if status != AIPC_FULL:
            return check(self.seg, status, what)
        total, free, largest, _ = self.heap_stats()
        text = f"{what}: {asked} bytes asked, {free} free, largest free block {largest}, of {total}; "
        if largest >= asked and self.seg.heap.hole_bytes > 0:
            text += "the system has no room for memory that trim() gave back to it"
        elif self.seg.header.size < self.seg.header.max_size:
            text += f"free something, or grow() the segment: max_size is {self.seg.header.max_size}"
        else:
            text += "free something or create a larger segment"
        error = SegmentFullError(text)
        error.asked, error.free, error.largest = asked, free, largest
        raise error

    cdef object pin(self, aipc_status status, aipc_object_ref *ref):
        """Pins what was found; None when it was not, or is gone by now."""
        cdef aipc_ctx *ctx
        cdef Pin existing
        if status == AIPC_OK:
            existing = self.pins.get(ref.serial)
            if existing is not None and existing.identity == self.seg.self:
                return existing
            ctx = self.enter_block()
            status = aipc_pin(ctx, ref)
            aipc_ctx_leave(ctx)
        if status == AIPC_NOT_FOUND:
            return None
        self.check_space(status, sizeof(aipc_holding), "finding an object")
        return self.pinned(ref)

    cdef Pin pinned(self, aipc_object_ref *ref):
        """The process's one Pin for a pinned object; a second pin is given back."""
        cdef Pin pin = self.pins.get(ref.serial)
        if pin is not None and pin.identity == self.seg.self:
            self.unpin(ref.holding)
            return pin
        if pin is None:
            pin = _pin_of(ref.type)
            self.pins[ref.serial] = pin
        pin.attachment, pin.seg, pin.ref, pin.identity = self, self.seg, ref[0], self.seg.self
        pin.bound()
        return pin

    cdef void unpin(self, uint64_t holding) noexcept:
        """Gives a pin back; what cannot be given back now goes when this process detaches."""
        global shield
        cdef aipc_ctx *ctx = NULL
        if holding != 0 and aipc_ctx_enter(self.seg, &ctx) == AIPC_OK:
            shield += 1
            aipc_unpin(ctx, self.seg.slot, holding)
            shield -= 1
            aipc_ctx_leave(ctx)

    cdef Pin touched(self, Pin pin, bint inside):
        """Remembers what the block that is open has constructed or destroyed."""
        if inside and self.open_block is not None:
            self.open_block.pins.append(pin)
        return pin

    # --- waiting

    def bell_take(self):
        """(index, descriptor) of a bell for one event loop."""
        cdef uint32_t bell = 0
        cdef int fd = -1
        self.require()
        check(self.seg, aipc_bell_take(self.seg, &bell, &fd), "waiting")
        return bell, fd

    def bell_give_back(self, uint32_t bell, uint64_t identity):
        """Returns a bell, if it is still this process's."""
        if identity != 0 and self.seg.self == identity:
            aipc_bell_give_back(self.seg, bell)

    def bell_arm(self, uint32_t bell) -> bool:
        """Announces sleep; True: something came meanwhile, collect it instead of sleeping."""
        self.require()
        return aipc_bell_arm(self.seg, bell)

    def bell_collect(self, uint32_t bell, int fd):
        """Empties the bell; the tokens of the waiters that were notified."""
        cdef uint64_t tokens[BATCH]
        cdef uint32_t count = 0, i
        cdef aipc_status status = AIPC_AGAIN
        cdef aipc_ctx *ctx = self.enter()
        cdef list result = []
        aipc_os_drain(fd)
        aipc_bell_woken(self.seg, bell)
        while status == AIPC_AGAIN:
            status = aipc_wait_collect(ctx, bell, tokens, BATCH, &count)
            for i in range(count):
                result.append(tokens[i])
        aipc_ctx_leave(ctx)
        check(self.seg, status, "collecting wake-ups")
        return result

    def watch_open(self) -> int:
        """A descriptor that becomes readable when another participant may have died."""
        cdef int fd = -1
        self.require()
        check(self.seg, aipc_watch_open(self.seg, &fd), "watching the other processes")
        return fd

    def watch(self, bint only_newcomers=False) -> None:
        """Watches newcomers, recovers the dead.

        `only_newcomers`: when there are none, the watch descriptor will tell of the dead in time.
        """
        self.require()
        cdef uint32_t roster = self.seg.roster_seen
        check(self.seg, aipc_watch_refresh(self.seg), "watching the other processes")
        if only_newcomers and roster == self.seg.roster_seen:
            return
        cdef aipc_ctx *ctx = self.enter()
        cdef aipc_status status = aipc_watch_collect(ctx)
        aipc_ctx_leave(ctx)
        check(self.seg, status, "watching the other processes")

    @property
    def epoch(self) -> int:
        """Moves when a participant was found dead: whoever waits must look again."""
        self.require()
        return aipc_watch_epoch(self.seg)

    def ring_own(self):
        """Wakes every sleeping thread and loop of this process."""
        cdef aipc_bell_target target
        target.slot, target.generation, target.set = self.seg.slot, self.seg.generation, True
        for i in range(AIPC_BELLS):
            if self.seg.self != 0 and self.seg.bells_taken >> i & 1:
                target.bell = i
                aipc_bell_ring(self.seg, &target)

    # --- leaving

    cdef void fall_asleep(self) noexcept:
        """This thread sleeps, spins or writes without a context: the memory must stay."""
        self.sleepers.append(PyThread_get_thread_ident())

    cdef void wake_up(self) noexcept:
        thread = PyThread_get_thread_ident()
        if thread in self.sleepers:  # not when the process was forked meanwhile
            self.sleepers.remove(thread)
        while self.leaving and thread not in self.sleepers:
            try:
                self.leaving.pop().finish_close()
            except Exception:
                pass  # nobody to tell: the opening leaves when it is collected, or with the process

    cdef bint operating_here(self):
        """Whether this thread is in the middle of an operation: its finalizers and signal handlers are."""
        cdef uint32_t i
        for i in range(AIPC_CONTEXTS):
            if not self.seg.free_contexts >> i & 1 and self.seg.ctx[i].shared.thread == aipc_os_thread():
                return True
        return False

    cdef int leave(self) except -1:
        """One opening less; the last one detaches, when no thread is in an operation any more."""
        global shield
        cdef uint64_t give_up = aipc_os_now() + self.seg.stall_ns
        cdef uint32_t all_free = (1 << AIPC_CONTEXTS) - 1, never = 0
        if self.openings == 1 and self.seg.self != 0 and self.operating_here():
            raise IPCError("the segment cannot be closed by what runs in the middle of one of its operations: a "
                           "finalizer or a signal handler; close it again afterwards")
        self.openings -= 1
        if self.openings > 0 or self.closed:
            return 0
        self.closing = True
        try:
            if self.on_detach is not None:
                self.on_detach(self)
        except AttributeError:
            pass  # the garbage collector has emptied what it would work on; the loops' own end tidies up
        while self.seg.self != 0 and (self.sleepers or (self.seg.free_contexts | self.seg.lost_contexts) != all_free):
            if aipc_os_now() > give_up:
                self.openings, self.closing = 1, False
                raise IPCError("closing the segment: another thread has been in an operation on it for 5 s")
            self.ring_own()
            with nogil:
                aipc_os_futex_wait(&never, 0, CLOSE_SLICE_NS)
        shield += 1
        cdef aipc_status status = aipc_segment_detach(self.seg)
        shield -= 1
        self.memory = None
        self.keeping.clear()
        return check(self.seg, status, "closing the segment")


cdef aipc_status enter_at_last(aipc_seg *seg, aipc_ctx **ctx) noexcept:
    """A context for giving something back: waits while other threads have all of them."""
    cdef aipc_status status = aipc_ctx_enter(seg, ctx)
    while status == AIPC_AGAIN:
        with nogil:
            aipc_os_yield()
        status = aipc_ctx_enter(seg, ctx)
    return status
