# Lists of names.  Part of _core.pyx.

cdef enum:
    LISTS = 10_000  # looks of a reader at all names, before it gives up

@cython.final
cdef class _Wanted:
    """Which objects a list is to have."""

    cdef aipc_wanted c
    cdef bytes prefix, start, stop  # borrowed by `c`

    def __cinit__(self, int kind, bytes prefix, bytes start, bytes stop):
        self.c.kind = kind
        self.prefix, self.start, self.stop = prefix, start, stop
        self.c.prefix, self.c.prefix_size = _bytes_at(prefix), 0 if prefix is None else len(prefix)
        self.c.start, self.c.start_size = _bytes_at(start), 0 if start is None else len(start)
        self.c.stop, self.c.stop_size = _bytes_at(stop), 0 if stop is None else len(stop)


cdef inline const char *_bytes_at(bytes text) noexcept:
    return NULL if text is None else PyBytes_AS_STRING(text)


cdef class _Room:
    """Memory that a list is written to."""

    cdef aipc_list list

    def __cinit__(self):
        self.list.room, self.list.size, self.list.used = NULL, 0, 4096

    def __dealloc__(self):
        PyMem_RawFree(self.list.room)

    cdef int grow(self) except -1:
        """For as much as was needed the last time, and some that came meanwhile."""
        PyMem_RawFree(self.list.room)
        self.list.size = self.list.used + self.list.used // 4
        self.list.room = PyMem_RawCalloc(self.list.size, 1)
        if self.list.room == NULL:
            self.list.size = 0
            raise MemoryError
        return 0

    cdef list listed(self):
        """(kind, name, type, count, size, pins, offset, serial) of each."""
        cdef list found = []
        cdef const aipc_listed *at = <const aipc_listed *>self.list.room
        cdef uint64_t i
        for i in range(self.list.objects):
            found.append((at.kind, (<const char *>(at + 1))[:at.name_size], at.type, at.count, at.size, at.pins,
                          at.object, at.serial))
            at = <const aipc_listed *>(<const char *>at + aipc_listed_size(at.name_size))
        return found


def listed(Attachment attachment not None, int kind, bytes prefix, bytes start, bytes stop):
    """The objects of one moment: (kind, name, type, count, size, pins, offset, serial) of each.  `kind` 0: all that have
    names.  Those of an ordered index come in order."""
    cdef _Wanted wanted = _Wanted(kind, prefix, start, stop)
    cdef _Room room = _Room()
    cdef aipc_status status = AIPC_AGAIN
    cdef aipc_ctx *ctx
    while status == AIPC_AGAIN:
        room.grow()
        ctx = attachment.enter_block()
        status = aipc_catalog_list(ctx, &wanted.c, &room.list)
        aipc_ctx_leave(ctx)
    check(attachment.seg, status, "listing objects")
    return room.listed()


def listed_seen(Reader reader not None, int kind, bytes prefix, bytes start, bytes stop):
    """The same for a reader, in no order."""
    cdef _Wanted wanted = _Wanted(kind, prefix, start, stop)
    cdef _Room room = _Room()
    cdef aipc_status status = AIPC_AGAIN
    cdef aipc_look look
    cdef uint64_t looks = 0
    cdef bint holds = False
    room.grow()
    while not holds:
        reader.require()
        look = aipc_look_begin(&reader.seg.catalog.domain)
        status = aipc_catalog_list_seen(reader.seg, &wanted.c, &room.list)
        holds = aipc_look_holds(&look)
        if holds and status == AIPC_AGAIN:
            room.grow()
            holds = False
        elif not holds:
            looks += 1
            if looks > LISTS:
                raise IPCError(f"listing objects: others have changed names during each of {LISTS} looks at all of them")
            PyErr_CheckSignals()  # each look may take long
            with nogil:
                aipc_os_yield()
    check(reader.seg, status, "listing objects")
    return room.listed()


def counted_names(Attachment attachment not None):
    """(named, unique): how many objects there are."""
    cdef uint64_t named = 0, unique = 0
    cdef aipc_ctx *ctx = attachment.enter_block()
    cdef aipc_status status = aipc_catalog_count(ctx, &named, &unique)
    aipc_ctx_leave(ctx)
    check(attachment.seg, status, "counting objects")
    return named, unique


def reserve_names(Attachment attachment not None, uint64_t names) -> None:
    """Makes room for so many names, of both kinds together."""
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_status status = aipc_catalog_reserve(ctx, names)
    aipc_ctx_leave(ctx)
    attachment.check_space(status, 16 * names, "making room for names")


def shrink_names(Attachment attachment not None) -> None:
    """Gives back what the table of names does not need."""
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_status status = aipc_catalog_shrink(ctx)
    aipc_ctx_leave(ctx)
    attachment.check_space(status, 512, "shrinking the table of names")
