# How a thread blocks: what every `.blocking` view waits with.  Part of _core.pyx.

cdef class Sleeper:
    """A blocked thread's bell.  open, then sleep and look until it is yours, then close."""

    cdef Attachment attachment
    cdef aipc_seg *seg
    cdef uint32_t bell
    cdef int fd, watch_fd
    cdef uint64_t identity

    cdef int open(self, Attachment attachment) except -1:
        attachment.require()
        check(attachment.seg, aipc_bell_take(attachment.seg, &self.bell, &self.fd), "waiting")
        self.attachment, self.seg, self.identity = attachment, attachment.seg, attachment.seg.self
        attachment.fall_asleep()
        self.watch_fd = attachment.watch_open()
        attachment.watch()
        return 0

    cdef void close(self) noexcept:
        if self.attachment is not None:
            self.attachment.bell_give_back(self.bell, self.identity)
            self.attachment.wake_up()
            self.attachment = None

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
                most = min(deadline - now, SIGNAL_SLICE_NS)
                with nogil:
                    aipc_os_poll2(self.fd, self.watch_fd, most)
                PyErr_CheckSignals()
        self.attachment.bell_collect(self.bell, self.fd)
        self.attachment.watch()
        return late
