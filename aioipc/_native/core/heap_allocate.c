#include "heap_change.h"
#include "holes.h"

INLINE aipc_status allocate(aipc_ctx *ctx, request want, uint32_t flags, uint64_t *orphan, uint64_t *payload) {
    view v;
    uint64_t end;
    cut c = {.flags = flags & AIPC_PART, .orphan = orphan};
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    if (!find_for(v, want, flags, &end))
        status = AIPC_CORRUPT;
    else if (end == 0)
        status = AIPC_FULL;
    else if (!take(v, end, want, &c))
        status = AIPC_CORRUPT;
    else
        *payload = c.offset + AIPC_BLOCK_OVERHEAD;
    return close_heap(ctx, v, status);
}

/* The same once more, apart from the fast path. */
__attribute__((cold, noinline)) static aipc_status allocate_again(aipc_ctx *ctx, request want, uint32_t flags,
                                                                  uint64_t *orphan, uint64_t *payload) {
    return allocate(ctx, want, flags, orphan, payload);
}

/* For what may use the reserve nobody is waited for. */
__attribute__((cold, noinline)) static aipc_status allocate_from_holes(aipc_ctx *ctx, request want, uint32_t flags,
                                                                       uint64_t *orphan, uint64_t *payload) {
    bool kept = (flags & AIPC_RESERVE) != 0;
    aipc_status status = AIPC_FULL;
    while (status == AIPC_FULL) {
        status = (kept ? aipc_heap_try_make_room : aipc_heap_make_room)(ctx, want.size, want.alignment);
        if (status != AIPC_OK) break;
        status = allocate_again(ctx, want, flags & ~(uint32_t)AIPC_RESERVE, orphan, payload);
    }
    return kept && status == AIPC_FULL ? allocate_again(ctx, want, flags, orphan, payload) : status;
}

aipc_status aipc_heap_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint32_t flags,
                               uint64_t *orphan, uint64_t *payload) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) return AIPC_INVALID;
    if ((flags & ~(uint32_t)(AIPC_INTERNAL | AIPC_OWNED | AIPC_RESERVE)) != 0) return AIPC_INVALID;
    /* So that nothing below overflows. */
    if (size > ctx->seg->mapped || alignment > ctx->seg->mapped) return AIPC_FULL;
    request want = {.size = block_size_for(size), .alignment = alignment};

    /* The reserve is for when there is nothing else: holes come before it. */
    const uint64_t *holes = &ctx->seg->heap->hole_first;
    uint32_t first = aipc_load_relaxed64(holes) != 0 ? flags & ~(uint32_t)AIPC_RESERVE : flags;
    aipc_status status = allocate(ctx, want, first, orphan, payload);
    return status == AIPC_FULL && aipc_load_relaxed64(holes) != 0
               ? allocate_from_holes(ctx, want, flags, orphan, payload) : status;
}
