# How much memory a segment has: growing, trimming, shrinking.  Part of _core.pyx.

def grow(Attachment attachment not None, uint64_t extra) -> int:
    """Makes the segment larger by `extra` bytes, a multiple of the page size; its new size.

    The GIL is let go while the filesystem finds the room.
    """
    cdef aipc_growth growth = aipc_growth_by(extra)
    cdef aipc_status status = AIPC_AGAIN
    attachment.require()
    while status == AIPC_AGAIN:
        attachment.fall_asleep()
        with nogil:
            status = aipc_grow_prepare(attachment.seg, &growth)
        attachment.wake_up()
        try:
            attachment.require()
            PyErr_CheckSignals()
        except BaseException:
            aipc_grow_cancel(attachment.seg, &growth)
            raise
    if status == AIPC_OK:
        status = _finish(attachment, &growth)
    if status == AIPC_INVALID or status == AIPC_FULL:
        raise _no_room_to_grow(attachment.seg, status, extra)
    check(attachment.seg, status, "growing the segment")
    return growth.to


def trimmed(Attachment attachment not None) -> bool:
    """Whether some of its pages were given back."""
    attachment.require()
    return attachment.seg.heap.hole_bytes != 0


cdef aipc_status _finish(Attachment attachment, aipc_growth *growth) except *:
    global shield
    cdef aipc_ctx *ctx
    cdef aipc_status status
    try:
        ctx = attachment.enter()
    except BaseException:
        aipc_grow_cancel(attachment.seg, growth)
        raise
    shield += 1
    status = aipc_grow_finish(ctx, growth)
    shield -= 1
    aipc_ctx_leave(ctx)
    return status


cdef object _no_room_to_grow(aipc_seg *seg, aipc_status status, uint64_t extra):
    """What stands in the way, and the way out."""
    size, most = seg.header.size, seg.header.max_size
    text = f"growing a segment of {size} bytes by {extra}: "
    if status == AIPC_INVALID:
        text += (f"it has room for {most - size} more, its max_size is {most}; create it with a larger max_size=, or "
                 "grow it by its name, which raises max_size when nobody has it open")
    elif seg.error == EFBIG:
        text += ("this process may not make a file so large (RLIMIT_FSIZE, ulimit -f), or the filesystem cannot have "
                 "one; nothing has changed")
    else:
        text += ("the filesystem has no room for them; trim() segments that have much free memory, remove some, or "
                 "enlarge it (docker run --shm-size=...); nothing has changed")
    error = SegmentFullError(text)
    error.asked = extra
    if status == AIPC_INVALID:
        error.free = most - size
    return error


def trim(Attachment attachment not None) -> int:
    """Gives the whole free pages back to the system; how many bytes that were."""
    cdef aipc_trim trim
    cdef aipc_status status = AIPC_OK
    cdef aipc_ctx *ctx
    memset(&trim, 0, sizeof(trim))
    while True:
        ctx = attachment.enter()
        status = aipc_trim_next(ctx, &trim)
        if status == AIPC_OK:
            status = _punch(attachment.seg, ctx, &trim)
        aipc_ctx_leave(ctx)
        if status == AIPC_NOT_FOUND:
            return trim.given
        check(attachment.seg, status, "giving free pages back")
        PyErr_CheckSignals()


cdef aipc_status _punch(aipc_seg *seg, aipc_ctx *ctx, const aipc_trim *trim) noexcept:
    global shield
    cdef aipc_status status, done
    with nogil:
        status = aipc_trim_punch(seg, trim)
    shield += 1
    done = aipc_trim_done(ctx, trim)
    shield -= 1
    return status if status != AIPC_OK else done


def shrink_to_fit(Attachment attachment not None) -> bool:
    """Cuts off what is free at the end; False when others have the segment open.  It is to be closed at once."""
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_status status = aipc_shrink_to_fit(ctx)
    aipc_ctx_leave(ctx)
    return _alone(attachment, status, "shrinking the segment")


def raise_max(Attachment attachment not None, uint64_t max_size) -> bool:
    """Raises max_size for everybody who opens it from now on; False when others have it open now."""
    cdef aipc_ctx *ctx = attachment.enter()
    cdef aipc_status status = aipc_raise_max(ctx, max_size)
    aipc_ctx_leave(ctx)
    return _alone(attachment, status, "raising max_size of the segment")


cdef bint _alone(Attachment attachment, aipc_status status, str what) except -1:
    if status == AIPC_AGAIN:
        return False
    check(attachment.seg, status, what)
    return True
