#include "holdings.h"

#include "retire.h"

/* A record's place when `offset` is a block that can be one. */
static struct aipc_holding *record_at(aipc_seg *seg, uint64_t offset) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL ||
        usable < sizeof(struct aipc_holding))
        return NULL;
    return (void *)(seg->base + offset);
}

static uint64_t *chain_of(aipc_seg *seg, uint32_t slot, uint64_t kind) {
    return aipc_holding_registers(kind) ? &seg->slots[slot].registrations : &seg->slots[slot].holdings;
}

aipc_status aipc_holding_link(aipc_tx *tx, uint32_t slot, uint64_t record, uint64_t kind, uint64_t target) {
    aipc_seg *seg = tx->seg;
    uint64_t *head = chain_of(seg, slot, kind);
    uint64_t first = aipc_load_relaxed64(head);
    struct aipc_holding *fresh = (void *)(seg->base + record);
    /* The record's own fields are nobody's yet: they need no log. */
    aipc_store_relaxed64(&fresh->next, first);
    aipc_store_relaxed64(&fresh->prev, 0);
    aipc_store_relaxed64(&fresh->kind, kind);
    aipc_store_relaxed64(&fresh->target, target);
    if (first != 0) {
        struct aipc_holding *second = record_at(seg, first);
        if (second == NULL || aipc_load_relaxed64(&second->prev) != 0)
            return aipc_corrupt(seg, "D1 first holding of a slot", head, first, 0);
        aipc_tx_set(tx, &second->prev, record);
    }
    aipc_tx_set(tx, head, record);
    return AIPC_OK;
}

aipc_status aipc_holding_unlink(aipc_tx *tx, uint32_t slot, uint64_t record) {
    aipc_seg *seg = tx->seg;
    struct aipc_holding *gone = record_at(seg, record);
    if (gone == NULL) return aipc_corrupt(seg, "D1 holding is not a block of the catalog", seg->catalog, record, 0);
    uint64_t next_offset = aipc_load_relaxed64(&gone->next), prev_offset = aipc_load_relaxed64(&gone->prev);
    struct aipc_holding *next = next_offset == 0 ? NULL : record_at(seg, next_offset);
    struct aipc_holding *prev = prev_offset == 0 ? NULL : record_at(seg, prev_offset);

    if ((next_offset != 0 && next == NULL) || (prev_offset != 0 && prev == NULL))
        return aipc_corrupt(seg, "D1 holding's links", gone, next_offset, prev_offset);
    uint64_t *to_it = prev == NULL ? chain_of(seg, slot, aipc_load_relaxed64(&gone->kind)) : &prev->next;
    if (aipc_load_relaxed64(to_it) != record)
        return aipc_corrupt(seg, "D1 holding's predecessor", to_it, aipc_load_relaxed64(to_it), record);
    if (next != NULL && aipc_load_relaxed64(&next->prev) != record)
        return aipc_corrupt(seg, "D1 holding's successor", next, aipc_load_relaxed64(&next->prev), record);

    aipc_tx_set(tx, to_it, next_offset);
    if (next != NULL) aipc_tx_set(tx, &next->prev, prev_offset);
    aipc_tx_set(tx, &gone->kind, 0); /* a stale handle must not take it for a holding */
    return AIPC_OK;
}

/* ---- owned blocks ------------------------------------------------------------------------------ */

/* The last word of an owned block: where its record is.  NULL when `payload` is no owned block. */
static uint64_t *back_link(aipc_seg *seg, uint64_t payload) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, payload, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_OWNED) return NULL;
    return aipc_at(seg, payload + (usable & ~UINT64_C(7)) - 8, 8);
}

static aipc_status link_owned(aipc_ctx *ctx, uint64_t *block, uint64_t *record) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->catalog->domain);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_tx_begin(seg, &seg->catalog->domain);
    status = aipc_holding_link(&tx, seg->slot, aipc_load_relaxed64(record), AIPC_HOLD_BLOCK,
                               aipc_load_relaxed64(block));
    if (status == AIPC_OK) {
        aipc_tx_set(&tx, block, 0);
        aipc_tx_set(&tx, record, 0);
        aipc_tx_commit(&tx);
    } else {
        aipc_tx_abort(&tx);
    }
    aipc_domain_unlock(ctx, &seg->catalog->domain);
    return status;
}

aipc_status aipc_owned_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint64_t *payload) {
    aipc_seg *seg = ctx->seg;
    if (size > seg->mapped) return AIPC_FULL;
    uint64_t record_offset;
    uint64_t *block = aipc_orphan_word(ctx);
    if (block == NULL) return AIPC_AGAIN;
    uint64_t padded = ((size + 7) & ~UINT64_C(7)) + 8;
    aipc_status status = aipc_heap_allocate(ctx, padded, alignment, AIPC_OWNED, block, payload);
    if (status != AIPC_OK) return status;

    uint64_t *record = aipc_orphan_word(ctx);
    status = record == NULL ? AIPC_AGAIN
                            : aipc_heap_allocate(ctx, sizeof(struct aipc_holding), AIPC_ALIGNMENT, AIPC_INTERNAL,
                                                 record, &record_offset);
    if (status == AIPC_OK) {
        uint64_t *link = back_link(seg, *payload);
        if (link == NULL) {
            status = aipc_corrupt(seg, "D2 fresh owned block", seg->base + *payload, 0, AIPC_OWNED);
        } else {
            aipc_store_relaxed64(link, record_offset);
            status = link_owned(ctx, block, record);
        }
    }
    if (status != AIPC_OK) {
        (void)aipc_orphan_free(ctx, record);
        (void)aipc_orphan_free(ctx, block);
    }
    return status;
}

/* The slot whose chain begins with `record`: the own one most of the time. */
static aipc_status slot_of(aipc_seg *seg, uint64_t record, uint32_t *slot) {
    struct aipc_holding *holding = record_at(seg, record);
    *slot = seg->slot;
    if (holding == NULL || aipc_load_relaxed64(&holding->prev) != 0) return AIPC_OK; /* unlink needs no slot */
    if (aipc_load_relaxed64(&seg->slots[*slot].holdings) == record) return AIPC_OK;
    uint32_t used = aipc_load_seq_cst32(&seg->header->slots_used);
    for (*slot = 0; *slot < used && *slot < seg->participants; ++*slot)
        if (aipc_load_relaxed64(&seg->slots[*slot].holdings) == record) return AIPC_OK;
    return aipc_corrupt(seg, "D1 holding is in no slot's chain", holding, record, 0);
}

/* Unlinks record and block in one transaction; they become orphans of this context.  pre: the catalog's lock. */
static aipc_status unlink_owned(aipc_ctx *ctx, uint32_t slot, uint64_t record, uint64_t block, uint32_t *words) {
    aipc_seg *seg = ctx->seg;
    aipc_tx tx = aipc_tx_begin(seg, &seg->catalog->domain);
    aipc_status status = aipc_holding_unlink(&tx, slot, record);
    const uint64_t gone[] = {record, block};
    uint32_t taken = 0;
    for (int i = 0; i < 2 && status == AIPC_OK; i++) {
        uint64_t *word = aipc_orphan_word(ctx);
        if (word == NULL) {
            status = AIPC_AGAIN;
        } else {
            aipc_tx_set(&tx, word, gone[i]);
            taken |= aipc_orphan_bit(ctx, word);
        }
    }
    if (status == AIPC_OK) {
        aipc_tx_commit(&tx);
        *words |= taken;
    } else {
        aipc_tx_abort(&tx);
    }
    return status;
}

static bool holds_block(aipc_seg *seg, uint64_t record, uint64_t *block) {
    struct aipc_holding *holding = record_at(seg, record);
    if (holding == NULL || aipc_load_relaxed64(&holding->kind) != AIPC_HOLD_BLOCK) return false;
    *block = aipc_load_relaxed64(&holding->target);
    return true;
}

aipc_status aipc_owned_release(aipc_ctx *ctx, uint32_t slot, uint64_t record) {
    aipc_seg *seg = ctx->seg;
    if (slot >= seg->participants) return AIPC_INVALID;
    aipc_status status = aipc_domain_lock(ctx, &seg->catalog->domain);
    if (status != AIPC_OK) return status;
    uint64_t block;
    uint32_t words = 0;
    /* The block's last word is not looked at: a dead owner that overran it must not stop its recovery. */
    if (!holds_block(seg, record, &block))
        status = AIPC_NOT_OWNER;
    else if (back_link(seg, block) == NULL)
        status = aipc_corrupt(seg, "D2 holding names no owned block", seg->base + record, block, 0);
    else
        status = unlink_owned(ctx, slot, record, block, &words);
    aipc_domain_unlock(ctx, &seg->catalog->domain);
    aipc_status freed = aipc_orphans_free(ctx, words);
    return status == AIPC_OK ? freed : status;
}

static aipc_status deallocate_owned(aipc_ctx *ctx, uint64_t payload) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->catalog->domain);
    if (status != AIPC_OK) return status;
    uint64_t *link = back_link(seg, payload); /* again: it may have been freed meanwhile */
    uint64_t record = link == NULL ? 0 : aipc_load_relaxed64(link), block;
    uint32_t words = 0, slot;
    if (link == NULL) {
        status = AIPC_INVALID;
    } else if (!holds_block(seg, record, &block) || block != payload) {
        status = aipc_corrupt(seg, "D2 last word of an owned block was overwritten", link, record, 0);
    } else {
        status = slot_of(seg, record, &slot);
        if (status == AIPC_OK) status = unlink_owned(ctx, slot, record, payload, &words);
    }
    aipc_domain_unlock(ctx, &seg->catalog->domain);
    aipc_status freed = aipc_orphans_free(ctx, words);
    return status == AIPC_OK ? freed : status;
}

aipc_status aipc_deallocate(aipc_ctx *ctx, uint64_t payload) {
    uint64_t usable;
    uint32_t flags;
    if (!aipc_heap_may_read(ctx->seg, payload)) return AIPC_INVALID;
    aipc_status status = aipc_heap_size_of(ctx->seg, payload, &usable, &flags);
    if (status != AIPC_OK) return status;
    if ((flags & AIPC_INTERNAL) != 0) return AIPC_INVALID;
    if ((flags & AIPC_OWNED) != 0) return deallocate_owned(ctx, payload);
    return aipc_heap_free(ctx, payload, AIPC_INTERNAL | AIPC_OWNED, NULL);
}
