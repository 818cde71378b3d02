/* What participants hold, plain takes above all, and what becomes of it when they die. */
#include "queue_ring.h"

static uint32_t outstanding_of(uint64_t plain) { return (uint32_t)plain; }

/* ---- reclaiming --------------------------------------------------------------------------------------- */

/* All leases of a holder go in front of what was returned, oldest first: one splice. */
static aipc_status reclaim_leases(aipc_seg *seg, struct aipc_queue *queue, struct aipc_queue_holder *holder) {
    struct aipc_queue_out *out = &queue->out;
    uint64_t leases = aipc_load_relaxed64(&holder->leases), oldest = aipc_load_relaxed64(&holder->oldest);
    struct aipc_item *newest = aipc_item_at(seg, queue, aipc_load_relaxed64(&holder->newest));
    if (leases == 0) return AIPC_OK;
    if (newest == NULL || aipc_item_at(seg, queue, oldest) == NULL || leases > aipc_load_relaxed64(&out->leases) ||
        leases > aipc_load_relaxed64(&out->taken))
        return aipc_corrupt(seg, "Q4 leases of a holder", holder, leases, aipc_load_relaxed64(&out->leases));
    aipc_tx tx = aipc_queue_out_begin(seg, queue);
    aipc_tx_set(&tx, &newest->next, aipc_load_relaxed64(&out->returned));
    aipc_tx_set(&tx, &out->returned, oldest);
    aipc_tx_set(&tx, &holder->leases, 0);
    aipc_tx_set(&tx, &holder->oldest, 0);
    aipc_tx_set(&tx, &holder->newest, 0);
    aipc_tx_after(&tx, &out->bytes, aipc_load_relaxed64(&out->bytes) - aipc_load_relaxed64(&holder->bytes));
    aipc_tx_after(&tx, &holder->bytes, 0);
    aipc_tx_after(&tx, &out->leases, aipc_load_relaxed64(&out->leases) - leases);
    (void)aipc_tx_publish(&tx, &out->taken, aipc_load_relaxed64(&out->taken) - leases);
    aipc_store_relaxed64(&out->returns, aipc_load_relaxed64(&out->returns) + leases);
    return AIPC_OK;
}

/* What was taken and is neither leased nor done. */
static uint64_t owed(const struct aipc_queue_out *out) {
    uint64_t settled = aipc_load_relaxed64(&out->done) + aipc_load_relaxed64(&out->leases);
    uint64_t taken = aipc_load_relaxed64(&out->taken);
    return taken > settled ? taken - settled : 0;
}

static uint64_t outstanding_of_others(aipc_seg *seg, struct aipc_queue *queue, const struct aipc_queue_holder *holder) {
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++)
        if (&queue->holders[slot] != holder) sum += outstanding_of(aipc_load_relaxed64(&queue->holders[slot].plain));
    return sum;
}

/* `count` more are done: ends the transaction. */
static void publish_done(aipc_tx *tx, struct aipc_queue *queue, uint64_t count) {
    uint64_t done = aipc_load_relaxed64(&queue->out.done) + count;
    aipc_queue_note_done(tx, queue, done);
    (void)aipc_tx_publish(tx, &queue->out.done, done);
}

static void reclaim_plain(aipc_seg *seg, struct aipc_queue *queue, struct aipc_queue_holder *holder) {
    struct aipc_queue_out *out = &queue->out;
    uint64_t plain = aipc_load_relaxed64(&holder->plain), count = outstanding_of(plain);
    uint64_t owed_now = owed(out), others = outstanding_of_others(seg, queue, holder);
    uint64_t left = owed_now > others ? owed_now - others : 0;
    if (count > left) count = left; /* others have reported some of them */
    aipc_tx tx = aipc_queue_out_begin(seg, queue);
    aipc_tx_set(&tx, &holder->plain, plain & ~UINT64_C(0xffffffff));
    if (count != 0)
        publish_done(&tx, queue, count);
    else
        aipc_tx_commit(&tx);
}

static aipc_status reclaim(aipc_seg *seg, struct aipc_queue *queue, struct aipc_queue_holder *holder) {
    aipc_status status = reclaim_leases(seg, queue, holder);
    if (status == AIPC_OK && outstanding_of(aipc_load_relaxed64(&holder->plain)) != 0)
        reclaim_plain(seg, queue, holder);
    return status;
}

static bool empty(const struct aipc_queue_holder *holder) {
    return aipc_load_relaxed64(&holder->leases) == 0 && outstanding_of(aipc_load_relaxed64(&holder->plain)) == 0;
}

aipc_status aipc_queue_claim_holder(aipc_seg *seg, struct aipc_queue *queue, struct aipc_queue_holder *holder) {
    aipc_status status = reclaim(seg, queue, holder);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_queue_out_begin(seg, queue);
    aipc_tx_set(&tx, &holder->plain, (uint64_t)seg->generation << 32);
    aipc_tx_commit(&tx);
    return AIPC_OK;
}

/* Bounded by the number of participants; most holders are empty. */
static aipc_status reclaim_all(aipc_seg *seg, struct aipc_queue *queue) {
    /* Before the look: who ends during it moves the word again. */
    uint32_t recoveries = aipc_load_seq_cst32(&seg->header->recoveries);
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        struct aipc_queue_holder *holder = &queue->holders[slot];
        if (empty(holder) ||
            aipc_participant_current(seg, slot, aipc_holder_generation(aipc_load_relaxed64(&holder->plain))))
            continue;
        aipc_status status = reclaim(seg, queue, holder);
        if (status != AIPC_OK) return status;
    }
    aipc_store_relaxed32(&queue->out.reclaimed, recoveries);
    return AIPC_OK;
}

aipc_status aipc_queue_tend(aipc_ctx *ctx, struct aipc_queue *queue) {
    aipc_seg *seg = ctx->seg;
    uint64_t all_done = aipc_queue_all_done(queue);
    aipc_status status = aipc_domain_lock(ctx, &queue->out.domain);
    if (status != AIPC_OK) return status;
    uint64_t taken = aipc_load_relaxed64(&queue->out.taken);
    status = reclaim_all(seg, queue);
    uint64_t returned = taken - aipc_load_relaxed64(&queue->out.taken);
    aipc_domain_unlock(ctx, &queue->out.domain);
    if (returned != 0) aipc_queue_wake_getters(ctx, queue, returned < AIPC_EVERYBODY ? (uint32_t)returned : AIPC_EVERYBODY);
    aipc_queue_wake_joiners(ctx, queue, all_done);
    if (status != AIPC_OK || (aipc_load_seq_cst32(&queue->state) & AIPC_QUEUE_DISCARD) == 0) return status;
    uint64_t dropped;
    return aipc_queue_drop(ctx, queue, UINT64_MAX, &dropped);
}

/* ---- plain takes ------------------------------------------------------------------------------------------ */

static aipc_status done_locked(aipc_seg *seg, struct aipc_queue *queue, uint64_t count) {
    struct aipc_queue_out *out = &queue->out;
    struct aipc_queue_holder *holder;
    aipc_status status = aipc_queue_own_holder(seg, queue, &holder);
    if (status != AIPC_OK) return status;
    if (count == 0 || count > owed(out)) return AIPC_INVALID;
    uint64_t plain = aipc_load_relaxed64(&holder->plain), mine = outstanding_of(plain);
    aipc_tx tx = aipc_queue_out_begin(seg, queue);
    aipc_tx_set(&tx, &holder->plain, plain - (mine < count ? mine : count)); /* it may report what others took */
    publish_done(&tx, queue, count);
    return AIPC_OK;
}

aipc_status aipc_queue_task_done(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t count) {
    if ((aipc_load_seq_cst32(&queue->state) & AIPC_QUEUE_CLOSED) != 0) return AIPC_CLOSED;
    uint64_t all_done = aipc_queue_all_done(queue);
    aipc_status status = aipc_domain_lock(ctx, &queue->out.domain);
    if (status != AIPC_OK) return status;
    status = done_locked(ctx->seg, queue, count);
    aipc_domain_unlock(ctx, &queue->out.domain);
    if (status == AIPC_OK) aipc_queue_wake_joiners(ctx, queue, all_done);
    return status;
}

/* ---- waiting for the end ---------------------------------------------------------------------------------- */

uint64_t aipc_queue_mark(const struct aipc_queue *queue) { return aipc_load_seq_cst64(&queue->in.count); }

/* all_done may lag behind done while a redo is on its way. */
static bool all_done_since(const struct aipc_queue *queue, uint64_t mark) {
    return aipc_queue_unfinished(queue) == 0 || aipc_queue_all_done(queue) >= mark;
}

/* Whoever waits for the end looks at the holders each time: see aipc_queue_may_be_owed. */
aipc_status aipc_queue_joined_since(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t mark) {
    if ((aipc_load_seq_cst32(&queue->state) & AIPC_QUEUE_CLOSED) != 0) return AIPC_CLOSED;
    if (all_done_since(queue, mark)) return AIPC_OK;
    aipc_status status = aipc_queue_tend(ctx, queue);
    if (status != AIPC_OK) return status;
    return all_done_since(queue, mark) ? AIPC_OK : AIPC_AGAIN;
}

aipc_status aipc_queue_joined(aipc_ctx *ctx, struct aipc_queue *queue) {
    return aipc_queue_joined_since(ctx, queue, aipc_queue_mark(queue));
}
