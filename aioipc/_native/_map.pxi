# What lies where.  Part of _core.pyx.

def heap_map(Attachment attachment not None, uint64_t count):
    """(bytes of the segment, bytes of each cell, [(free, holes, user, objects, parts) bytes of each cell], {n: free blocks of 2**n
    bytes and more})."""
    cdef aipc_map map
    cdef uint64_t i
    memset(&map, 0, sizeof(map))
    if not 0 < count <= 1 << 20:
        raise ValueError(f"a map has 1 to {1 << 20} cells, not {count}")
    map.count = count
    map.cells = <aipc_map_cell *>PyMem_RawCalloc(count, sizeof(aipc_map_cell))
    if map.cells == NULL:
        raise MemoryError
    try:
        ctx = attachment.enter()
        status = aipc_heap_map(ctx, &map)
        aipc_ctx_leave(ctx)
        check(attachment.seg, status, "drawing a map")
        return (map.size, map.width,
                [(map.cells[i].free, map.cells[i].holes, map.cells[i].user, map.cells[i].objects,
                  map.cells[i].parts) for i in range(count)],
                {i: map.free_blocks[i] for i in range(48) if map.free_blocks[i]})
    finally:
        PyMem_RawFree(map.cells)


cdef object lies(aipc_seg *seg, const aipc_where *found):
    cdef aipc_holder holder
    cdef aipc_held_object info
    memset(&holder, 0, sizeof(holder))
    holder.object, holder.serial = found.object, found.serial
    there = None
    if found.object != 0 and aipc_holders_object(seg, &holder, &info) == AIPC_OK:
        there = (info.ref.kind, info.name[:info.name_size], info.ref.type)
    return found.area.decode(), found.index, found.block, found.size, found.flags, there


def where(Attachment attachment not None, list offsets):
    """(area, index, block, size, flags, (kind, name, type) of the object) at each of up to 64 offsets."""
    cdef uint64_t asked[64]
    cdef aipc_where found[64]
    attachment.require()
    for i in range(min(len(offsets), 64)):
        asked[i] = offsets[i]
    aipc_where_list(attachment.seg, asked, found, min(len(offsets), 64))
    return [lies(attachment.seg, &found[i]) for i in range(min(len(offsets), 64))]
