# Locks of the kernel's on files: what FileLock stands on.  Part of _core.pyx.

cdef dict _FILE_HINTS = {21: "; it can be locked with protocol='flock'", 37: "; its filesystem keeps no locks"}


@cython.no_gc_clear  # its last act needs what it refers to
cdef class KernelLock:
    """An open file description of a file, opened for a lock of one kind, that lock, and the turns to have it.

    Dropped without `close`, it closes itself, in C as far as that goes: Python would lose a KeyboardInterrupt there.
    """

    cdef aipc_os_file file
    cdef uint64_t pid           # whose it is; 0: closed
    cdef bint shared
    cdef str path
    cdef public bint held       # somebody counts on it: to be dropped is a mistake then
    cdef readonly list turns    # are released after it

    def __cinit__(self, bytes path not None, bint shared, bint create, uint32_t mode, bint flock):
        cdef const char *name = path
        cdef aipc_status status
        cdef int error = 0
        self.file.fd = self.file.ready = -1
        self.file.flock, self.shared, self.path = flock, shared, path.decode(errors="backslashreplace")
        self.turns = []
        with nogil:
            status = aipc_os_file_open(&self.file, name, shared, create, mode, &error)
        self.check(status, error, "opening")
        self.pid = aipc_os_pid()

    def __dealloc__(self):
        if self.mine:
            if self.held:
                _dropped(self.path)
            self.give_back()
        aipc_os_file_close(&self.file)

    cdef bint check(self, aipc_status status, int error, str what) except -1:
        """True for AIPC_OK, False for AIPC_AGAIN."""
        if status == AIPC_SYSTEM:
            exception = _exception(status, f"{what} {self.path}", NULL, NULL, error)
            if isinstance(exception, IPCError):
                raise exception
            raise IPCError(f"{exception.strerror}{_FILE_HINTS.get(error, '')}")
        return status == AIPC_OK

    @property
    def mine(self) -> bool:
        """False once closed, and in a forked child."""
        return self.pid == aipc_os_pid()

    @property
    def inode(self):
        """(device, inode) of what was opened."""
        return self.file.device, self.file.inode

    def lock(self) -> bool:
        """Takes the lock, unless another's is in the way."""
        cdef aipc_status status
        cdef int error = 0
        with nogil:
            status = aipc_os_file_lock(&self.file, self.shared, &error)
        return self.check(status, error, "locking")

    def probe(self, bint shared):
        """(whether another's lock is in the way of one of that kind, the pid of its holder, 0: it has none)."""
        cdef aipc_status status
        cdef int64_t pid = 0
        cdef int error = 0
        with nogil:
            status = aipc_os_file_probe(&self.file, shared, &pid, &error)
        return not self.check(status, error, "looking at the locks of"), pid

    def begin_wait(self) -> int:
        """Lets a thread wait for the lock; the descriptor becomes readable when it has it, or has failed."""
        cdef int ready = -1, error = 0
        self.check(aipc_os_file_wait_begin(&self.file, self.shared, &ready, &error), error, "waiting for a lock of")
        return ready

    def end_wait(self) -> bool:
        """Ends the thread; whether it has got the lock.  If not, close: it may have got it in that instant."""
        cdef aipc_status status
        cdef int error = 0
        with nogil:
            status = aipc_os_file_wait_end(&self.file, &error)
        return self.check(status, error, "waiting for a lock of")

    def close(self) -> bool:
        """Gives back the lock, then the turns; False when that was done, or is the parent's to do.

        If a signal handler raises in the middle, the rest is done when this object goes.
        """
        if not self.mine:
            return False
        self.held = False
        with nogil:
            aipc_os_file_close(&self.file)
        for turn in self.turns:
            turn.release()
        self.pid = 0
        return True

    cdef void give_back(self) noexcept:
        self.close()


cdef void _dropped(str path) noexcept:
    import warnings
    if not sys.is_finalizing():
        warnings.warn(f"the lock of {path!r} was dropped without release()", ResourceWarning, stacklevel=1)
