#include "rwlock_state.h"

static void check_locked(aipc_seg *seg, const struct aipc_rwlock *rw, aipc_report *report) {
    aipc_rw_sum sum = {0};
    bool waiters = false;
    uint64_t gate = aipc_load_seq_cst64(&rw->gate), at = aipc_offset(seg, rw);
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        uint64_t word = aipc_load_seq_cst64(&rw->holders[slot]);
        if (aipc_rw_counts(seg, slot, word)) aipc_rw_add(&sum, word);
    }
    for (int want = AIPC_READ; want <= AIPC_UPGRADE; want++)
        if (aipc_wait_queue_check(seg, report, &rw->waiters[want]) != 0) waiters = true;
    if (sum.writers + sum.upgradables > 1)
        aipc_report_add(report, "X1 more than one writes or is upgradable", at, sum.writers, sum.upgradables);
    uint64_t least = waiters ? AIPC_GATE_WAITERS : sum.writers != 0 ? AIPC_GATE_WRITER : AIPC_GATE_OPEN;
    if (gate < least || gate > AIPC_GATE_WAITERS) aipc_report_add(report, "X2 gate of a read-write lock", at, gate, least);
    if (rw->fair > 1 || aipc_load_seq_cst64(&rw->abandoned) > 1)
        aipc_report_add(report, "X3 flags of a read-write lock", at, rw->fair, rw->abandoned);
}

aipc_status aipc_rwlock_check(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    check_locked(seg, rw, report);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}
