#include "queue_ring.h"

aipc_status aipc_spot_open(aipc_seg *seg, const void *whose, uint64_t offset, uint64_t at, aipc_spot *place) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART)
        return aipc_corrupt(seg, "Q6 chunk of a queue", whose, offset, 0);
    if (at < sizeof(struct aipc_chunk) || at > usable || (at & 7) != 0)
        return aipc_corrupt(seg, "Q2 place in a chunk", whose, at, usable);
    *place = (aipc_spot){.base = seg->base + offset, .offset = offset, .at = at, .end = usable};
    return AIPC_OK;
}

aipc_status aipc_spot_head(aipc_seg *seg, const struct aipc_queue *queue, aipc_spot *place) {
    uint64_t chunk = aipc_load_relaxed64(&queue->out.chunk), at = aipc_load_relaxed64(&queue->out.at);
    if (chunk == 0) {
        chunk = aipc_load_relaxed64(&queue->in.first);
        at = sizeof(struct aipc_chunk);
    }
    return aipc_spot_open(seg, &queue->out.chunk, chunk, at, place);
}

static inline uint64_t header_at(const aipc_spot *place) {
    return place->end - place->at < 8 ? 0 : aipc_load_relaxed64((uint64_t *)(void *)(place->base + place->at));
}

aipc_status aipc_record_read(aipc_seg *seg, aipc_spot *place, aipc_record *record) {
    uint64_t header = header_at(place);
    if (header == AIPC_RECORD_END) {
        uint64_t next = aipc_load_relaxed64((uint64_t *)(void *)place->base); /* aipc_chunk.next */
        if (next == place->offset) return aipc_corrupt(seg, "Q2 link of a chunk", place->base, next, 0);
        aipc_status status = aipc_spot_open(seg, place->base, next, sizeof(struct aipc_chunk), place);
        if (status != AIPC_OK) return status;
        header = header_at(place);
    }
    *record = (aipc_record){.kind = (uint32_t)header & 255, .size = header >> 8};
    uint64_t length = aipc_record_length(record->size);
    bool large = record->size > AIPC_QUEUE_INLINE;
    if (record->kind != (large ? AIPC_RECORD_BLOCK : AIPC_RECORD_INLINE) || length > place->end - place->at)
        return aipc_corrupt(seg, "Q2 record of a queue", place->base + place->at, header, place->end);
    record->data = place->base + place->at + 8;
    if (large) record->item = aipc_load_relaxed64((const uint64_t *)(const void *)record->data);
    place->at += length;
    return AIPC_OK;
}

struct aipc_item *aipc_item_at(aipc_seg *seg, const struct aipc_queue *queue, uint64_t offset) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART) return NULL;
    struct aipc_item *item = (void *)(seg->base + offset);
    if (usable < sizeof *item || aipc_load_relaxed64(&item->size) > usable - sizeof *item) return NULL;
    return aipc_load_relaxed64(&item->queue) == aipc_offset(seg, queue) ? item : NULL;
}

/* Word by word, as all that a stale handle might lead to. */
aipc_status aipc_item_make(aipc_ctx *ctx, const struct aipc_queue *queue, uint64_t size, uint64_t **word,
                           uint64_t *offset) {
    *word = aipc_orphan_word(ctx);
    if (*word == NULL) return AIPC_STALLED;
    aipc_status status = aipc_heap_allocate(ctx, sizeof(struct aipc_item) + size, AIPC_ALIGNMENT, AIPC_PART, *word, offset);
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

aipc_status aipc_queue_advance(aipc_ctx *ctx, aipc_tx *tx, struct aipc_queue *queue, const aipc_spot *to,
                               uint64_t records, uint32_t *words) {
    struct aipc_queue_out *out = &queue->out;
    uint64_t chunk = aipc_load_relaxed64(&out->chunk);
    uint64_t left = chunk != 0 ? chunk : aipc_load_relaxed64(&queue->in.first);
    if (chunk != to->offset) aipc_tx_set(tx, &out->chunk, to->offset);
    if (left != to->offset) {
        uint64_t *word = aipc_orphan_word(ctx);
        if (word == NULL) return AIPC_STALLED;
        aipc_tx_set(tx, word, left);
        *words |= aipc_orphan_bit(ctx, word);
    }
    aipc_tx_set(tx, &out->at, to->at);
    aipc_tx_set(tx, &out->ring_taken, aipc_load_relaxed64(&out->ring_taken) + records);
    return AIPC_OK;
}
