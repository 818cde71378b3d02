/* What the files of the read-write lock share: the words of its holders, and the gate. */
#ifndef AIPC_RWLOCK_STATE_H
#define AIPC_RWLOCK_STATE_H

#include "rwlock.h"

/* What one hold adds to its process's word. */
#define AIPC_RW_NOTHING UINT64_C(0)
#define AIPC_RW_READ UINT64_C(1)
#define AIPC_RW_UPGRADABLE (UINT64_C(1) << 30)
#define AIPC_RW_WRITE (UINT64_C(1) << 31)
#define AIPC_RW_MAX_READS (AIPC_RW_UPGRADABLE - 1)

static inline uint64_t aipc_rw_reads(uint64_t word) { return word & AIPC_RW_MAX_READS; }

/* All holds of the living. */
typedef struct aipc_rw_sum {
    uint64_t own; /* this process's word */
    uint64_t reads;
    uint32_t writers, upgradables; /* one at most of both (X1) */
} aipc_rw_sum;

static inline void aipc_rw_add(aipc_rw_sum *sum, uint64_t word) {
    sum->reads += aipc_rw_reads(word);
    sum->writers += (word & AIPC_RW_WRITE) != 0;
    sum->upgradables += (word & AIPC_RW_UPGRADABLE) != 0;
}

/* Whether a participant's word counts: its generation is not over. */
static inline bool aipc_rw_counts(const aipc_seg *seg, uint32_t slot, uint64_t word) {
    return (uint32_t)word != 0 && aipc_participant_current(seg, slot, (uint32_t)(word >> 32));
}

/* Whether what is held by others leaves room for `to`, when this process gives `from` for it. */
static inline bool aipc_rw_possible(const aipc_rw_sum *sum, uint64_t from, uint64_t to) {
    if (sum->writers != 0) return false;
    if (to == AIPC_RW_READ) return true;
    if (sum->upgradables != (from == AIPC_RW_UPGRADABLE)) return false;
    return to == AIPC_RW_UPGRADABLE || sum->reads == (from == AIPC_RW_READ);
}

/* Closes the gate, or leaves it as closed as it is.  Under waits. */
static inline void aipc_rw_close_gate(struct aipc_rwlock *rw, uint64_t gate) {
    if (aipc_load_seq_cst64(&rw->gate) < gate) (void)aipc_exchange_seq_cst64(&rw->gate, gate); /* SYNC rwlock-gate */
}

/* Sums them up, and notes writers that have died.  Under waits. */
aipc_rw_sum aipc_rw_sum_up(aipc_seg *seg, struct aipc_rwlock *rw);
/* Turns `from` into `to` if that is possible, and it is the caller's turn; *sum is what was found, and `to` with it.  The gate
 * is to be settled afterwards.  AIPC_AGAIN, AIPC_NOT_OWNER, AIPC_FULL.  Under waits. */
aipc_status aipc_rw_take(aipc_seg *seg, struct aipc_rwlock *rw, uint64_t from, uint64_t to, bool turn, aipc_rw_sum *sum);
/* Sets the gate to what it must be.  Under waits. */
void aipc_rw_settle_gate(struct aipc_rwlock *rw, const aipc_rw_sum *sum);

/* After something was given up: wakes those who may go on now.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_rw_tell(aipc_ctx *ctx, struct aipc_rwlock *rw);

/* Recovers one dead process that keeps others from `to`, holding or waiting.  AIPC_NOT_FOUND: there is none. */
aipc_status aipc_rw_recover_one(aipc_ctx *ctx, struct aipc_rwlock *rw, uint64_t to);

#endif
