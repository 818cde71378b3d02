# SharedDict: what keeps a dict and its values in place.  Part of _core.pyx.

@cython.no_gc_clear  # its last act needs what it refers to
cdef class DictPin(Pin):
    """One dict, as this process knows it."""

    cdef aipc_dict *dict

    cdef int bound(self) except -1:
        if self.ref.size < sizeof(aipc_dict):
            raise CorruptSegmentError(f"the dict at offset {self.ref.object:#x} has {self.ref.size} bytes")
        self.dict = <aipc_dict *>(self.seg.base + self.ref.payload)
        return 0

    cdef int close(self) except -1:
        aipc_dict_close(self.dict)
        return 0


@cython.no_gc_clear  # its last act needs what it refers to
cdef class PinnedValue(Owner):
    """Keeps one value in place while views show it."""

    cdef Opening opening
    cdef DictPin dict
    cdef uint64_t identity
    cdef uint32_t index

    cdef int require(self) except -1:
        if self.opening.closed or self.identity != self.dict.seg.self:
            raise ClosedError("the segment of this view is closed")
        return 0

    def __dealloc__(self):
        cdef aipc_ctx *ctx = NULL
        if self.identity == 0:
            return
        if self.identity == self.dict.seg.self:
            aipc_value_unpin(self.dict.seg, self.index)
            if aipc_ctx_enter(self.dict.seg, &ctx) == AIPC_OK:  # else a later write to the dict frees it
                aipc_dict_collect_if_free(ctx, self.dict.dict)
                aipc_ctx_leave(ctx)
        self.opening.exports -= 1
        try:
            self.opening.finish_close()
        except Exception:
            pass


cdef class CopiedValue(Owner):
    """A value's bytes, copied: when a process keeps more values in place than it has pins for."""

    cdef bytes value
