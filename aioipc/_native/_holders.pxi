# Who holds what.  Part of _core.pyx.

cdef object holder_record(aipc_seg *seg, const aipc_holder *holder):
    """(what, core, pid, alive, slot, generation, amount, since, thread, task, place, object), as in holders.h; the object
    as (kind, name, type, offset, serial), or None."""
    cdef aipc_held_object info
    found = None
    if holder.object != 0:
        if aipc_holders_object(seg, holder, &info) != AIPC_OK:
            return None
        found = (info.ref.kind, info.name[:info.name_size], info.ref.type, info.ref.object, info.ref.serial)
    return (holder.what.decode(), holder.core.decode() if holder.core != NULL else None, holder.pid, bool(holder.alive),
            holder.slot, holder.generation, holder.amount, holder.since, holder.thread, read_name(holder.task),
            holder.place, found)


cdef list holders_of(aipc_seg *seg):
    """Everything that anybody holds."""
    cdef aipc_holder *holders = NULL
    cdef uint64_t capacity = 64, count = 0, i
    try:
        while True:
            PyMem_RawFree(holders)
            holders = <aipc_holder *>PyMem_RawCalloc(capacity, sizeof(aipc_holder))
            if holders == NULL:
                raise MemoryError
            aipc_holders_list(seg, holders, capacity, &count)
            if count <= capacity:
                break
            capacity = count * 2
        records = {}  # no list: what has no name is found once for each handle on it
        for i in range(count):
            records[holder_record(seg, &holders[i])] = None
        records.pop(None, None)
        return list(records)
    finally:
        PyMem_RawFree(holders)


def monotonic() -> int:
    """What the times of holders are counted by."""
    return aipc_os_now()


def participants_of(Attachment attachment not None):
    """(pid, alive, is_self, slot, generation, uid, pid_namespace, start_time, attached_at) of each."""
    cdef uint32_t count = 0, i
    attachment.require()
    cdef aipc_seg *seg = attachment.seg
    infos = <aipc_participant_info *>PyMem_RawCalloc(seg.participants, sizeof(aipc_participant_info))
    if infos == NULL:
        raise MemoryError
    try:
        check(seg, aipc_participants_list(seg, infos, seg.participants, &count), "listing participants")
        return [(infos[i].pid, bool(infos[i].alive), bool(infos[i].is_self), infos[i].slot,
                 infos[i].generation, infos[i].uid, infos[i].pid_namespace, infos[i].start_time,
                 infos[i].attached_at) for i in range(count)]
    finally:
        PyMem_RawFree(infos)
