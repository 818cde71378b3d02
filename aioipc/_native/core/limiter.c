#include "limiter.h"

void aipc_limiter_init(struct aipc_limiter *image, uint64_t total) { *image = (struct aipc_limiter){.total = total}; }

/* ---- what participants have borrowed ------------------------------------------------------------- */

static uint64_t borrowed_by(const aipc_seg *seg, const struct aipc_limiter *limiter, uint32_t slot) {
    uint64_t word = aipc_load_seq_cst64(&limiter->holders[slot]); /* SYNC line-asleep */
    uint64_t tokens = word & UINT32_MAX;
    return tokens != 0 && aipc_participant_current(seg, slot, (uint32_t)(word >> 32)) ? tokens : 0;
}

static uint64_t borrowed(const aipc_seg *seg, const struct aipc_limiter *limiter) {
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) sum += borrowed_by(seg, limiter, slot);
    return sum;
}

static bool any_left(const aipc_seg *seg, const struct aipc_limiter *limiter) {
    return borrowed(seg, limiter) < aipc_load_seq_cst64(&limiter->total);
}

/* One token more, under the waits lock; one less, at any time.  AIPC_NOT_OWNER: there is none. */
static aipc_status change(aipc_seg *seg, struct aipc_limiter *limiter, bool more) {
    uint64_t *own = &limiter->holders[seg->slot], none = (uint64_t)seg->generation << 32;
    for (;;) {
        uint64_t word = aipc_load_seq_cst64(own), now = word >> 32 == seg->generation ? word : none;
        if (more && (now & UINT32_MAX) == UINT32_MAX)
            return aipc_corrupt(seg, "T1 tokens of a participant", own, word, UINT32_MAX);
        if (!more && now == none) return AIPC_NOT_OWNER;
        if (aipc_cas_seq_cst64(own, word, more ? now + 1 : now - 1)) return AIPC_OK; /* SYNC line-asleep */
    }
}

/* ---- borrowing ------------------------------------------------------------------------------------ */

aipc_status aipc_limiter_try(aipc_ctx *ctx, struct aipc_limiter *limiter, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    uint64_t taken = borrowed(seg, limiter) + aipc_line_reserved(&limiter->line, node);
    status = taken < aipc_load_seq_cst64(&limiter->total) ? change(seg, limiter, true) : AIPC_AGAIN;
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

/* AIPC_AGAIN: it is alive, or has borrowed nothing. */
static aipc_status recover_borrower(aipc_ctx *ctx, const struct aipc_limiter *limiter, uint32_t slot) {
    aipc_seg *seg = ctx->seg;
    uint32_t generation;
    if (slot == seg->slot || borrowed_by(seg, limiter, slot) == 0) return AIPC_AGAIN;
    aipc_status status = aipc_participant_test(seg, slot, &generation);
    if (status == AIPC_OK) return AIPC_AGAIN;
    return status == AIPC_NOT_FOUND ? seg->recover(ctx, slot, generation) : status;
}

aipc_status aipc_limiter_try_recover(aipc_ctx *ctx, struct aipc_limiter *limiter) {
    aipc_status status = aipc_limiter_try(ctx, limiter, AIPC_NO_NODE);
    if (status != AIPC_AGAIN) return status;
    for (uint32_t slot = 0; slot < aipc_slots_used(ctx->seg); slot++) {
        status = recover_borrower(ctx, limiter, slot);
        if (status != AIPC_OK && status != AIPC_AGAIN) return status;
    }
    status = aipc_line_recover(ctx, &limiter->line);
    if (status == AIPC_OK) status = aipc_limiter_try(ctx, limiter, AIPC_NO_NODE);
    if (status == AIPC_AGAIN && any_left(ctx->seg, limiter)) (void)aipc_line_wake_head(ctx, &limiter->line);
    return status;
}

aipc_status aipc_limiter_stand(aipc_ctx *ctx, struct aipc_limiter *limiter, uint32_t bell, uint64_t token, uint32_t *node) {
    aipc_status status = aipc_line_stand(ctx, &limiter->line, bell, token, node);
    if (status == AIPC_OK && aipc_line_reserved(&limiter->line, *node) != 0 && any_left(ctx->seg, limiter))
        (void)aipc_line_wake_head(ctx, &limiter->line);
    return status;
}

/* ---- giving back ---------------------------------------------------------------------------------- */

static aipc_status wake(aipc_ctx *ctx, struct aipc_limiter *limiter, uint64_t count) {
    if (!aipc_line_asleep(&limiter->line)) return AIPC_OK;
    return aipc_line_wake(ctx, &limiter->line, count < AIPC_EVERYBODY ? (uint32_t)count : AIPC_EVERYBODY);
}

aipc_status aipc_limiter_give(aipc_ctx *ctx, struct aipc_limiter *limiter) {
    aipc_seg *seg = ctx->seg;
    if (seg->self == 0) return seg->forked ? AIPC_FORKED : AIPC_CLOSED;
    aipc_status status = change(seg, limiter, false);
    return status == AIPC_OK ? wake(ctx, limiter, 1) : status;
}

aipc_status aipc_limiter_leave(aipc_ctx *ctx, struct aipc_limiter *limiter, uint32_t node) {
    aipc_status status = aipc_line_leave(ctx, &limiter->line, node);
    if (any_left(ctx->seg, limiter)) (void)wake(ctx, limiter, 1);
    return status;
}

aipc_status aipc_limiter_resize(aipc_ctx *ctx, struct aipc_limiter *limiter, uint64_t total) {
    uint64_t before = aipc_exchange_seq_cst64(&limiter->total, total); /* SYNC line-asleep */
    return total > before ? wake(ctx, limiter, total - before) : AIPC_OK;
}

/* ---- looking -------------------------------------------------------------------------------------- */

void aipc_limiter_stats_get(aipc_seg *seg, const struct aipc_limiter *limiter, aipc_limiter_stats *stats) {
    *stats = (aipc_limiter_stats){
        .total = aipc_load_seq_cst64(&limiter->total),
        .borrowed = borrowed(seg, limiter),
        .mine = seg->self == 0 ? 0 : borrowed_by(seg, limiter, seg->slot),
        .waiters = aipc_load_relaxed32(&limiter->line.queue.length),
        .contended = aipc_load_relaxed32(&limiter->line.contended)};
}

uint32_t aipc_limiter_borrowed_by(aipc_seg *seg, const struct aipc_limiter *limiter, uint32_t slot) {
    return slot < seg->participants ? (uint32_t)borrowed_by(seg, limiter, slot) : 0;
}

aipc_status aipc_limiter_check(aipc_ctx *ctx, const struct aipc_limiter *limiter, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    for (uint32_t slot = 0; slot < seg->participants; slot++) {
        uint64_t word = aipc_load_seq_cst64(&limiter->holders[slot]); /* before the life, which only grows */
        uint32_t generation = aipc_life_generation(aipc_load_seq_cst64(&seg->slots[slot].life));
        if (word >> 32 > generation)
            aipc_report_add(report, "T2 generation of a borrower", aipc_offset(seg, &limiter->holders[slot]), word >> 32,
                            generation);
    }
    return aipc_line_check(ctx, &limiter->line, report);
}
