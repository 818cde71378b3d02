#include "rwlock_state.h"

void aipc_rwlock_init(struct aipc_rwlock *image, bool fair) { image->fair = fair; }

/* ---- the words -------------------------------------------------------------------------------------- */

static bool holds(const aipc_seg *seg, uint64_t word, uint64_t held) {
    if (seg->self == 0 || (uint32_t)(word >> 32) != seg->generation) return false;
    return held == AIPC_RW_READ ? aipc_rw_reads(word) != 0 : (word & held) == held;
}

/* A dead writer is noted before its word is cleared: whoever dies in between leaves it to be found again. */
static void note_dead_writer(struct aipc_rwlock *rw, uint32_t slot, uint64_t word) {
    if ((word & AIPC_RW_WRITE) == 0) return;
    (void)aipc_exchange_seq_cst64(&rw->abandoned, 1);
    aipc_store_relaxed32(&rw->takeovers, aipc_load_relaxed32(&rw->takeovers) + 1);
    (void)aipc_cas_seq_cst64(&rw->holders[slot], word, 0);
}

/* This process's word: what an earlier owner of its slot left there counts no more. */
static uint64_t claim(aipc_seg *seg, struct aipc_rwlock *rw) {
    uint64_t *own = &rw->holders[seg->slot], word = aipc_load_seq_cst64(own);
    if ((uint32_t)(word >> 32) == seg->generation) return word;
    note_dead_writer(rw, seg->slot, word);
    word = (uint64_t)seg->generation << 32;
    (void)aipc_exchange_seq_cst64(own, word);
    return word;
}

aipc_rw_sum aipc_rw_sum_up(aipc_seg *seg, struct aipc_rwlock *rw) {
    aipc_rw_sum sum = {.own = claim(seg, rw)};
    aipc_rw_add(&sum, sum.own);
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        uint64_t word = aipc_load_seq_cst64(&rw->holders[slot]); /* SYNC rwlock-gate */
        if (slot == seg->slot) continue;
        if (aipc_rw_counts(seg, slot, word)) aipc_rw_add(&sum, word);
        else note_dead_writer(rw, slot, word);
    }
    return sum;
}

aipc_status aipc_rw_take(aipc_seg *seg, struct aipc_rwlock *rw, uint64_t from, uint64_t to, bool turn, aipc_rw_sum *sum) {
    if (to == AIPC_RW_WRITE) aipc_rw_close_gate(rw, AIPC_GATE_WRITER);
    for (;;) { /* again when another thread of this process has changed the word */
        *sum = aipc_rw_sum_up(seg, rw);
        if (!holds(seg, sum->own, from)) return AIPC_NOT_OWNER;
        if (!turn || !aipc_rw_possible(sum, from, to)) return AIPC_AGAIN;
        if (to == AIPC_RW_READ && aipc_rw_reads(sum->own) == AIPC_RW_MAX_READS) return AIPC_FULL;
        if (!aipc_cas_seq_cst64(&rw->holders[seg->slot], sum->own, sum->own - from + to)) continue;
        sum->writers += to == AIPC_RW_WRITE;
        return AIPC_OK;
    }
}

void aipc_rw_settle_gate(struct aipc_rwlock *rw, const aipc_rw_sum *sum) {
    uint64_t gate = sum->writers != 0 ? AIPC_GATE_WRITER : AIPC_GATE_OPEN;
    for (int want = AIPC_READ; want <= AIPC_UPGRADE; want++)
        if (aipc_load_relaxed32(&rw->waiters[want].head) != AIPC_NO_NODE) gate = AIPC_GATE_WAITERS;
    if (aipc_load_seq_cst64(&rw->gate) != gate) (void)aipc_exchange_seq_cst64(&rw->gate, gate);
}

/* ---- letting go: needs no lock ------------------------------------------------------------------------ */

/* Turns `from` into `to`, which everybody who looks may find at any time.  AIPC_NOT_OWNER, AIPC_FULL. */
static aipc_status lower(aipc_seg *seg, struct aipc_rwlock *rw, uint64_t from, uint64_t to) {
    uint64_t *own = &rw->holders[seg->slot], word = aipc_load_seq_cst64(own);
    if (!holds(seg, word, from)) return AIPC_NOT_OWNER;
    /* Before: a writer that dies in between is found again, and nobody else may set it while we write. */
    if (from == AIPC_RW_WRITE && aipc_load_seq_cst64(&rw->abandoned) != 0)
        (void)aipc_exchange_seq_cst64(&rw->abandoned, 0);
    for (;;) {
        if (!holds(seg, word, from)) return AIPC_NOT_OWNER;
        if (to == AIPC_RW_READ && aipc_rw_reads(word) == AIPC_RW_MAX_READS) return AIPC_FULL;
        if (aipc_cas_seq_cst64(own, word, word - from + to)) return AIPC_OK; /* SYNC rwlock-gate */
        word = aipc_load_seq_cst64(own);
    }
}

/* Whether somebody may have summed up the words before they were lowered, and sleeps now. */
static bool somebody_waits(const struct aipc_rwlock *rw) {
    return aipc_load_seq_cst64(&rw->gate) == AIPC_GATE_WAITERS; /* SYNC rwlock-gate */
}

bool aipc_rwlock_release_read_fast(aipc_seg *seg, struct aipc_rwlock *rw) {
    if (somebody_waits(rw) || lower(seg, rw, AIPC_RW_READ, AIPC_RW_NOTHING) != AIPC_OK) return false;
    if (somebody_waits(rw)) aipc_wait_rouse(seg); /* since just now */
    return true;
}

bool aipc_rwlock_read_fast(aipc_seg *seg, struct aipc_rwlock *rw) {
    if (seg->self == 0 || aipc_load_seq_cst64(&rw->gate) != AIPC_GATE_OPEN) return false;
    uint64_t *own = &rw->holders[seg->slot], word;
    do {
        word = aipc_load_seq_cst64(own);
        if ((uint32_t)(word >> 32) != seg->generation || aipc_rw_reads(word) == AIPC_RW_MAX_READS) return false;
    } while (!aipc_cas_seq_cst64(own, word, word + AIPC_RW_READ)); /* SYNC rwlock-gate */
    if (aipc_load_seq_cst64(&rw->gate) == AIPC_GATE_OPEN) return true; /* SYNC rwlock-gate */
    /* Somebody came in the same instant, and may have taken this for a read. */
    (void)lower(seg, rw, AIPC_RW_READ, AIPC_RW_NOTHING);
    if (somebody_waits(rw)) aipc_wait_rouse(seg);
    return false;
}

/* A writer reopens the gate; others have something to tell only if somebody waits. */
static aipc_status lower_and_tell(aipc_ctx *ctx, struct aipc_rwlock *rw, uint64_t from, uint64_t to) {
    aipc_status status = lower(ctx->seg, rw, from, to);
    if (status != AIPC_OK || (from != AIPC_RW_WRITE && !somebody_waits(rw))) return status;
    return aipc_rw_tell(ctx, rw);
}

static const uint64_t units[] = {AIPC_RW_READ, AIPC_RW_WRITE, AIPC_RW_UPGRADABLE}; /* by aipc_rwlock_want */

aipc_status aipc_rwlock_release(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want held) {
    if (held > AIPC_UPGRADABLE) return AIPC_INVALID;
    return lower_and_tell(ctx, rw, units[held], AIPC_RW_NOTHING);
}

/* ---- turning one hold into another -------------------------------------------------------------------- */

static aipc_status raise_once(aipc_ctx *ctx, struct aipc_rwlock *rw, uint64_t from, uint64_t to) {
    aipc_seg *seg = ctx->seg;
    aipc_rw_sum sum;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = aipc_rw_take(seg, rw, from, to, true, &sum); /* who is inside already comes before all who wait */
    aipc_rw_settle_gate(rw, &sum);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

aipc_status aipc_rwlock_convert(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want from, aipc_rwlock_want to) {
    if (from > AIPC_UPGRADABLE || to > AIPC_UPGRADABLE || from == to) return AIPC_INVALID;
    if (units[from] > units[to]) return lower_and_tell(ctx, rw, units[from], units[to]);
    for (;;) { /* each turn finds one dead */
        aipc_status status = raise_once(ctx, rw, units[from], units[to]);
        if (status != AIPC_AGAIN) return status;
        status = aipc_rw_recover_one(ctx, rw, units[to]);
        if (status != AIPC_OK) return status == AIPC_NOT_FOUND ? AIPC_AGAIN : status;
    }
}

void aipc_rwlock_stats_get(aipc_seg *seg, const struct aipc_rwlock *rw, aipc_rwlock_stats *stats) {
    aipc_rw_sum sum = {0};
    *stats = (aipc_rwlock_stats){.contended = aipc_load_relaxed32(&rw->contended),
                                 .takeovers = aipc_load_relaxed32(&rw->takeovers)};
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        uint64_t word = aipc_load_seq_cst64(&rw->holders[slot]);
        bool exclusive = (word & (AIPC_RW_WRITE | AIPC_RW_UPGRADABLE)) != 0;
        bool ours = seg->self != 0 && slot == seg->slot;
        if (!aipc_rw_counts(seg, slot, word)) {
            stats->abandoned |= (word & AIPC_RW_WRITE) != 0;
            continue;
        }
        aipc_rw_add(&sum, word);
        if (ours) stats->my_reads = (uint32_t)aipc_rw_reads(word);
        if (exclusive) stats->owner_pid = aipc_participant_pid(seg, slot);
        stats->mine |= exclusive && ours;
    }
    stats->abandoned |= aipc_load_seq_cst64(&rw->abandoned) != 0; /* last: it is set before a dead writer's word is cleared */
    stats->readers = sum.reads < UINT32_MAX ? (uint32_t)sum.reads : UINT32_MAX;
    stats->writing = sum.writers != 0;
    stats->upgradable = sum.upgradables != 0;
    for (int want = AIPC_READ; want <= AIPC_UPGRADE; want++)
        stats->waiters[want] = aipc_load_relaxed32(&rw->waiters[want].length);
}
