#include "recovery.h"

#include "os.h"

static aipc_status release_domain(aipc_seg *seg, struct aipc_context *context, uint32_t word) {
    uint64_t offset = aipc_load_relaxed64(&context->domain);
    if (offset == 0) return AIPC_OK;
    struct aipc_domain *domain = aipc_at(seg, offset, sizeof *domain);
    if (domain == NULL)
        return aipc_corrupt(seg, "R1 recorded domain is outside the segment", context, offset, seg->limit);
    if ((aipc_load_seq_cst32(&domain->lock) & ~AIPC_LOCK_CONTENDED) == word) {
        aipc_status status = aipc_journal_recover(seg, domain);
        if (status != AIPC_OK) return status;
        (void)aipc_exchange_seq_cst32(&domain->lock, 0);
        aipc_os_futex_wake(&domain->lock, INT32_MAX);
    }
    aipc_store_release64(&context->domain, 0);
    return AIPC_OK;
}

aipc_status aipc_recover_begin(aipc_seg *seg, uint32_t slot_index) {
    struct aipc_slot *slot = &seg->slots[slot_index];
    uint32_t generation = aipc_life_generation(aipc_load_relaxed64(&slot->life));
    for (uint32_t i = 0; i < aipc_contexts_used(slot); i++) {
        struct aipc_context *context = aipc_context_of(seg, slot_index, i);
        aipc_status status = release_domain(seg, context, aipc_lock_word(slot_index, i, generation));
        if (status != AIPC_OK) return status;
        for (int h = 0; h < AIPC_HAZARDS; h++) (void)aipc_exchange_seq_cst64(&context->hazard[h], 0);
    }
    aipc_bells_remove(seg, slot_index);
    return AIPC_OK;
}

static aipc_status free_orphans(aipc_ctx *ctx, struct aipc_context *context) {
    for (int i = 0; i < AIPC_ORPHANS; i++) {
        uint64_t payload = aipc_load_relaxed64(&context->orphan[i]);
        if (payload == 0) continue;
        aipc_status status = aipc_heap_free(ctx, payload, 0, &context->orphan[i]);
        if (status == AIPC_INVALID)
            return aipc_corrupt(ctx->seg, "R2 orphan is no block", &context->orphan[i], payload, 0);
        if (status != AIPC_OK) return status;
    }
    return AIPC_OK;
}

static aipc_status give_back_holdings(aipc_ctx *ctx, uint32_t slot_index) {
    aipc_seg *seg = ctx->seg;
    struct aipc_slot *slot = &seg->slots[slot_index];
    for (;;) { /* each turn takes one record off the chain */
        uint64_t record = aipc_load_relaxed64(&slot->holdings);
        if (record == 0) return AIPC_OK;
        const struct aipc_holding *holding = aipc_at(seg, record, sizeof *holding);
        if (holding == NULL) return aipc_corrupt(seg, "D1 holding", &slot->holdings, record, 0);
        aipc_status status = aipc_load_relaxed64(&holding->kind) == AIPC_HOLD_BLOCK
                                 ? aipc_owned_release(ctx, slot_index, record)
                                 : aipc_unpin(ctx, slot_index, record);
        if (status != AIPC_OK) return status;
    }
}

/* An earlier recoverer may have died inside a transaction on this participant's words: they are only to be
 * believed once its logs are rolled back.  Whoever gets the locks has seen to that, and as long as we hold the
 * right to recover nobody else begins such a transaction. */
static aipc_status flush_transactions(aipc_ctx *ctx) {
    struct aipc_domain *domains[] = {&ctx->seg->heap->domain, &ctx->seg->catalog->domain};
    for (int i = 0; i < 2; i++) {
        aipc_status status = aipc_domain_lock(ctx, domains[i]);
        if (status != AIPC_OK) return status;
        aipc_domain_unlock(ctx, domains[i]);
    }
    return AIPC_OK;
}

aipc_status aipc_recover_settle(aipc_ctx *ctx, uint32_t slot_index) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = flush_transactions(ctx);
    if (status != AIPC_OK) return status;
    for (uint32_t i = 0; i < aipc_contexts_used(&seg->slots[slot_index]); i++) {
        status = free_orphans(ctx, aipc_context_of(seg, slot_index, i));
        if (status != AIPC_OK) return status;
    }
    status = give_back_holdings(ctx, slot_index);
    if (status == AIPC_OK) status = aipc_waits_release(ctx, slot_index);
    if (status == AIPC_OK) status = aipc_catalog_collect(ctx); /* what only its hazards kept */
    return status;
}

static aipc_status recover_locked(aipc_ctx *ctx, uint32_t slot, uint32_t generation) {
    aipc_seg *seg = ctx->seg;
    if (!aipc_participant_current(seg, slot, generation)) return AIPC_OK; /* somebody was faster */
    aipc_status status = aipc_recover_begin(seg, slot);
    if (status == AIPC_OK) status = aipc_recover_settle(ctx, slot);
    if (status != AIPC_OK) return status;
    aipc_participant_end(seg, slot);
    (void)aipc_fetch_add_seq_cst32(&seg->header->recoveries, 1);
    aipc_bell_ring_all(seg);
    return AIPC_OK;
}

aipc_status aipc_recover(aipc_ctx *ctx, uint32_t slot, uint32_t generation) {
    aipc_seg *seg = ctx->seg;
    int fd;
    aipc_status status = aipc_os_reopen(seg->fd, seg->path, seg->device, seg->inode, &fd, &seg->error);
    if (status != AIPC_OK) return status;
    status = aipc_slot_lock(seg, fd, slot);
    if (status == AIPC_OK) status = recover_locked(ctx, slot, generation);
    aipc_os_close(fd); /* drops the lock */
    return status;
}

aipc_status aipc_recover_all(aipc_ctx *ctx, uint32_t *recovered) {
    aipc_seg *seg = ctx->seg;
    *recovered = 0;
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        uint32_t generation;
        aipc_status status = aipc_participant_test(seg, slot, &generation);
        if (status == AIPC_OK) continue;
        if (status == AIPC_NOT_FOUND) status = aipc_recover(ctx, slot, generation);
        if (status == AIPC_OK) ++*recovered;
        else if (status != AIPC_AGAIN) return status;
    }
    return AIPC_OK;
}
