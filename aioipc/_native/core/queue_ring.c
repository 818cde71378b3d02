#include "queue_ring.h"

struct aipc_item *aipc_item_at(aipc_seg *seg, const struct aipc_queue *queue, uint64_t offset) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART) return NULL;
    struct aipc_item *item = (void *)(seg->base + offset);
    if (usable < sizeof *item || aipc_load_relaxed64(&item->size) > usable - sizeof *item) return NULL;
    return aipc_load_relaxed64(&item->queue) == aipc_offset(seg, queue) ? item : NULL;
}

/* Word by word, as all that a stale handle might lead to. */
aipc_status aipc_item_make(aipc_ctx *ctx, const struct aipc_queue *queue, uint64_t size, uint32_t flags,
                           uint64_t **word, uint64_t *offset) {
    *word = aipc_orphan_word(ctx);
    if (*word == NULL) return AIPC_STALLED;
    aipc_status status =
        aipc_heap_allocate(ctx, sizeof(struct aipc_item) + size, AIPC_ALIGNMENT, AIPC_PART | flags, *word, offset);
    if (status != AIPC_OK) {
        *word = NULL;
        return status;
    }
    struct aipc_item *item = (void *)(ctx->seg->base + *offset);
    aipc_store_relaxed64(&item->next, 0);
    aipc_store_relaxed64(&item->prev, 0);
    aipc_store_relaxed64(&item->owner, 0);
    aipc_store_relaxed64(&item->serial, 0);
    aipc_store_relaxed64(&item->size, size);
    aipc_store_relaxed32(&item->deliveries, 0);
    aipc_store_relaxed64(&item->queue, aipc_offset(ctx->seg, queue));
    return AIPC_OK;
}
