#include "heap_change.h"

aipc_status aipc_heap_free(aipc_ctx *ctx, uint64_t payload, uint32_t forbidden, uint64_t *orphan) {
    view v;
    /* While the lock is taken; the payload may be any number, so no pointer is made of it. */
    __builtin_prefetch((const void *)((uintptr_t)ctx->seg->base + payload - AIPC_BLOCK_OVERHEAD));
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    /* Whatever does not look like a used block is the caller's mistake; what does must be sound. */
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD, header = 0, room = v.end - offset;
    if ((offset & 15) == 8 && offset >= v.seg->heap_begin && offset < v.end) header = get(v, offset);
    join j = {.offset = offset, .size = aipc_block_size(header), .orphan = orphan};
    if ((header & AIPC_USED) == 0 || (aipc_block_flags(header) & (forbidden | AIPC_HOLE)) != 0 ||
        !tag_fits(v.seg, offset, header))
        status = AIPC_INVALID;
    else if (j.size < AIPC_BLOCK_MIN || j.size > room)
        status = aipc_corrupt(v.seg, BAD_SIZE, word(v, offset), j.size, room);
    else if (!give(v, &j, header))
        status = AIPC_CORRUPT;
    return close_heap(ctx, v, status);
}
