#include "heap_change.h"
#include "room.h"

/* Frees a block within the locked heap; close_heap is still to come. */
INLINE aipc_status free_block(view v, uint64_t payload, uint32_t forbidden, uint64_t *orphan, uint64_t left) {
    /* Whatever does not look like a used block is the caller's mistake; what does must be sound. */
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD, header = 0, room = v.end - offset;
    if ((offset & 15) == 8 && offset >= v.seg->heap_begin && offset < v.end) header = get(v, offset);
    join j = {.offset = offset, .size = aipc_block_size(header), .orphan = orphan, .left = left};
    if ((header & AIPC_USED) == 0 || (aipc_block_flags(header) & (forbidden | AIPC_HOLE)) != 0 ||
        !tag_fits(v.seg, offset, header))
        return AIPC_INVALID;
    if (j.size < AIPC_BLOCK_MIN || j.size > room) return aipc_corrupt(v.seg, BAD_SIZE, word(v, offset), j.size, room);
    return give(v, &j, header) ? AIPC_OK : AIPC_CORRUPT;
}

aipc_status aipc_heap_free(aipc_ctx *ctx, uint64_t payload, uint32_t forbidden, uint64_t *orphan) {
    view v;
    /* While the lock is taken; the payload may be any number, so no pointer is made of it. */
    __builtin_prefetch((const void *)((uintptr_t)ctx->seg->base + payload - AIPC_BLOCK_OVERHEAD));
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    status = close_heap(ctx, v, free_block(v, payload, forbidden, orphan, 0));
    aipc_room_made(ctx);
    return status;
}

/* So many in one hold of the lock. */
enum { AT_ONCE = 32 };

aipc_status aipc_heap_free_many(aipc_ctx *ctx, const uint64_t *payloads, uint64_t count, uint32_t forbidden,
                                uint64_t *freed) {
    aipc_status status = AIPC_OK;
    for (*freed = 0; status == AIPC_OK && *freed < count;) {
        view v;
        status = open_heap(ctx, &v);
        if (status != AIPC_OK) return status;
        uint64_t end = count - *freed < AT_ONCE ? count : *freed + AT_ONCE;
        while (status == AIPC_OK && *freed < end) {
            status = free_block(v, payloads[*freed], forbidden, NULL, 0);
            if (status != AIPC_OK) break;
            commit(v);
            ++*freed;
        }
        status = close_heap(ctx, v, status);
        aipc_room_made(ctx);
    }
    return status;
}

/* The block's first word is read before it is freed; it leads to a block, or the next turn says that it does not. */
static aipc_status free_first(view v, uint64_t *orphan) {
    uint64_t payload = aipc_load_relaxed64(orphan) & ~AIPC_ORPHAN_CHAIN;
    if ((payload & 15) != 0 || payload < v.seg->heap_begin || payload >= v.end) return AIPC_INVALID;
    uint64_t next = get(v, payload);
    return free_block(v, payload, 0, orphan, next == 0 ? 0 : next | AIPC_ORPHAN_CHAIN);
}

aipc_status aipc_heap_free_chain(aipc_ctx *ctx, uint64_t *orphan) {
    aipc_status status = AIPC_OK;
    while (status == AIPC_OK && aipc_load_relaxed64(orphan) != 0) {
        view v;
        status = open_heap(ctx, &v);
        if (status != AIPC_OK) return status;
        for (int i = 0; i < AT_ONCE && status == AIPC_OK && aipc_load_relaxed64(orphan) != 0; i++) {
            status = free_first(v, orphan);
            if (status == AIPC_OK) commit(v);
        }
        status = close_heap(ctx, v, status);
        aipc_room_made(ctx);
    }
    return status;
}
