#include "recovery.h"

#include "names.h"
#include "os.h"
#include "quiesce.h"
#include "retire.h"
#include "shares.h"
#include "types.h"

static aipc_status release_domain(aipc_seg *seg, struct aipc_context *context, uint32_t word) {
    uint64_t offset = aipc_load_relaxed64(&context->domain);
    if (offset == 0) return AIPC_OK;
    if (offset == AIPC_EVERY_DOMAIN) {
        aipc_status status = aipc_quiesce_end(seg, word);
        if (status == AIPC_OK) aipc_store_release64(&context->domain, 0);
        return status;
    }
    struct aipc_domain *domain = aipc_at(seg, offset, sizeof *domain);
    if (domain == NULL)
        return aipc_corrupt(seg, "R1 recorded domain is outside the segment", context, offset, aipc_limit(seg));
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
    aipc_value_unpin_all(seg, slot_index);
    aipc_bells_remove(seg, slot_index);
    return AIPC_OK;
}

static aipc_status free_orphans(aipc_ctx *ctx, struct aipc_context *context) {
    for (int i = 0; i < AIPC_ORPHANS; i++) {
        uint64_t payload = aipc_load_relaxed64(&context->orphan[i]);
        if (payload == 0) continue;
        aipc_status status = AIPC_INVALID;
        if ((payload & AIPC_ORPHAN_CHAIN) != 0)
            status = aipc_heap_free_chain(ctx, &context->orphan[i]);
        else if (aipc_at(ctx->seg, payload, AIPC_ALIGNMENT) != NULL)
            status = aipc_heap_free(ctx, payload, 0, &context->orphan[i]);
        if (status == AIPC_INVALID)
            return aipc_corrupt(ctx->seg, "R2 orphan is no block", &context->orphan[i], payload, 0);
        if (status != AIPC_OK) return status;
    }
    return AIPC_OK;
}

/* Unlinks a block's record; both become orphans of ours.  pre: the catalog's lock. */
static aipc_status unlink_block(aipc_ctx *ctx, uint32_t slot, uint64_t record, uint64_t block, uint32_t *words) {
    const uint64_t gone[] = {record, block};
    aipc_tx tx = aipc_tx_begin(ctx->seg, &ctx->seg->catalog->domain);
    aipc_status status = aipc_holding_unlink(&tx, slot, record);
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
    if (status != AIPC_OK) {
        aipc_tx_abort(&tx);
        return status;
    }
    aipc_tx_commit(&tx);
    *words = taken;
    return AIPC_OK;
}

/* What it has in the object goes first.  A damaged object does not stop the recovery. */
static aipc_status give_back_pin(aipc_ctx *ctx, uint32_t slot, uint64_t pin) {
    const struct aipc_holding *holding = aipc_at(ctx->seg, pin, sizeof *holding);
    aipc_object_ref ref;
    bool ends = false;
    if (holding != NULL && aipc_object_read(ctx->seg, aipc_load_relaxed64(&holding->target), &ref) != NULL) {
        aipc_status status = aipc_type_forsake(ctx, &ref, slot, &ends);
        if (status == AIPC_OK && ends) status = aipc_destroy(ctx, &ref);
        if (status != AIPC_OK && status != AIPC_NOT_FOUND && status != AIPC_CORRUPT) return status;
    }
    return aipc_unpin(ctx, slot, pin);
}

/* What gives the other kinds of holdings back. */
typedef aipc_status (*give_back)(aipc_ctx *ctx, uint32_t slot, uint64_t record);

/* The first record of the chain: a block's is unlinked; a pin's or share's is named in *pin, with *give.  Looked at and
 * unlinked in one hold of the lock: another process may free the block, and use the record's memory for a record of its
 * own, at any time.  A dead one's pins and shares are touched by its recoverer only.  *left: there was one.  pre: the
 * catalog's lock. */
static aipc_status take_first(aipc_ctx *ctx, uint32_t slot, uint64_t *pin, give_back *give, uint32_t *words, bool *left) {
    aipc_seg *seg = ctx->seg;
    uint64_t *head = &seg->slots[slot].holdings, record = aipc_load_relaxed64(head), size;
    uint32_t flags;
    *left = record != 0;
    if (record == 0) return AIPC_OK;
    const struct aipc_holding *holding = aipc_at(seg, record, sizeof *holding);
    if (holding == NULL) return aipc_corrupt(seg, "D1 holding", head, record, 0);
    uint64_t target = aipc_load_relaxed64(&holding->target), kind = aipc_load_relaxed64(&holding->kind);
    if (kind == AIPC_HOLD_PIN || kind == AIPC_HOLD_SHARE) {
        *pin = record;
        *give = kind == AIPC_HOLD_PIN ? give_back_pin : aipc_share_release;
        return AIPC_OK;
    }
    if (kind != AIPC_HOLD_BLOCK) return aipc_corrupt(seg, "D1 kind of a holding", holding, kind, AIPC_HOLD_BLOCK);
    if (aipc_heap_size_of(seg, target, &size, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_OWNED)
        return aipc_corrupt(seg, "D2 holding names no owned block", holding, target, 0);
    return unlink_block(ctx, slot, record, target, words);
}

static aipc_status give_back_holdings(aipc_ctx *ctx, uint32_t slot) {
    struct aipc_domain *domain = &ctx->seg->catalog->domain;
    for (bool left = true; left;) { /* each turn takes one record off the chain */
        uint64_t pin = 0;
        give_back give = NULL;
        uint32_t words = 0;
        aipc_status status = aipc_domain_lock(ctx, domain);
        if (status != AIPC_OK) return status;
        status = take_first(ctx, slot, &pin, &give, &words, &left);
        aipc_domain_unlock(ctx, domain);
        if (status == AIPC_OK) status = pin != 0 ? give(ctx, slot, pin) : aipc_orphans_free(ctx, words);
        if (status != AIPC_OK) return status;
    }
    return AIPC_OK;
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
    /* Waiting first: its pins keep the objects alive whose queues its nodes stand in. */
    if (status == AIPC_OK) status = aipc_waits_release(ctx, slot_index);
    if (status != AIPC_OK) return status;
    for (uint32_t i = 0; i < aipc_contexts_used(&seg->slots[slot_index]); i++) {
        status = free_orphans(ctx, aipc_context_of(seg, slot_index, i));
        if (status != AIPC_OK) return status;
    }
    status = aipc_block_settle(ctx, slot_index);
    if (status == AIPC_OK) status = give_back_holdings(ctx, slot_index);
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
    status = aipc_os_lock_byte(fd, AIPC_RECOVERY_BASE + slot, &seg->error);
    if (status == AIPC_OK) status = aipc_slot_lock(seg, fd, slot);
    if (status == AIPC_OK) status = recover_locked(ctx, slot, generation);
    /* Closing alone would leave them locked by a child that another thread has forked meanwhile. */
    int ignored;
    (void)aipc_os_unlock_byte(fd, AIPC_LIVENESS_BASE + slot, &ignored);
    (void)aipc_os_unlock_byte(fd, AIPC_RECOVERY_BASE + slot, &ignored);
    aipc_os_close(fd);
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
