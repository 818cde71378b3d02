# How a thread blocks: what every `.blocking` view waits with.  Part of _core.pyx.

cdef class Sleeper:
    """A blocked thread's bell.  open, then sleep and look until it is yours, then close."""

    cdef Attachment attachment
    cdef aipc_seg *seg
    cdef uint32_t bell
    cdef int fd, watch_fd
    cdef uint64_t identity, delay

    cdef int open(self, Attachment attachment) except -1:
        attachment.require()
        check(attachment.seg, aipc_bell_take(attachment.seg, &self.bell, &self.fd), "waiting")
        self.attachment, self.seg, self.identity = attachment, attachment.seg, attachment.seg.self
        attachment.sleepers += 1
        self.watch_fd = attachment.watch_open()
        self.watch()
        return 0

    cdef void close(self) noexcept:
        if self.attachment is not None:
            self.attachment.sleepers -= 1
            self.attachment.bell_give_back(self.bell, self.identity)
            self.attachment = None

    cdef int watch(self) except -1:
        """Finds the dead; while some are suspect the next sleep is short."""
        if self.attachment.watch():
            self.delay = min(max(self.delay * 2, <uint64_t>SUSPECT_FIRST_NS), <uint64_t>SUSPECT_LAST_NS)
        else:
            self.delay = SIGNAL_SLICE_NS
        return 0

    cdef bint sleep(self, uint64_t deadline) except -1:
        """Sleeps until something may have changed.  True: the deadline has passed.  Signal handlers run here,
        before the caller looks for what it waits for."""
        cdef uint64_t now, most
        cdef bint late = False
        PyErr_CheckSignals()
        if not aipc_bell_arm(self.seg, self.bell):
            check(self.seg, aipc_watch_refresh(self.seg), "watching the other processes")
            now = aipc_os_now()
            late = now >= deadline
            if not late:
                most = min(deadline - now, self.delay)
                with nogil:
                    aipc_os_poll2(self.fd, self.watch_fd, most)
                PyErr_CheckSignals()
        self.attachment.bell_collect(self.bell, self.fd)
        self.watch()
        return late
