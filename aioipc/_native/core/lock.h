/* Lock: mutual exclusion between processes that await it, or block for it.
 *
 * The word is the only truth about the owner:
 *
 *     generation 32 | slot 12 | granted 16 | flags 4          generation 0: free
 *
 *     WAITERS     somebody stands in the queue: release must look there
 *     ABANDONED   the owner took it over from a process that died holding it
 *     CLOSED      the lock was destroyed
 *     granted     number of the wait node it was handed to, until that waiter has noticed
 *
 * Nobody contends: acquire is one CAS 0 -> self, release one CAS self -> 0.
 *
 *     wait    under waits: stand in the queue; set WAITERS; is it free after all?
 *     release under waits, when WAITERS is set:
 *                 the first waiter has waited 1 ms or more: word = its identity | granted  (hand-over)
 *                 otherwise: word = WAITERS (free), notify the first; running processes may be faster
 *
 * A release that saw no WAITERS came before the bit was set, so the waiter that sets it sees the lock free: no
 * wake-up is lost.  The word is never logged: it changes by CAS or exchange at one instant, and the order is
 * always word first, queue second, so a death between the two leaves at worst a free lock with waiters, or
 * a dead owner; both are what waiters look for when a death is noticed (watch.h).
 *
 * A dead owner is recognised by its generation being over.  Its lock is never cleaned up: whoever
 * acquires next takes the word over and has ABANDONED until it releases.
 *
 *   K1  owner's slot < participants; granted is 0 or, while its owner lives, a node that stands in this queue
 *   K2  the queue is not empty => WAITERS is set (except inside the waits lock)
 */
#ifndef AIPC_LOCK_H
#define AIPC_LOCK_H

#include "waiters.h"

#define AIPC_LOCK_WAITERS UINT64_C(1)
#define AIPC_LOCK_ABANDONED UINT64_C(2)
#define AIPC_LOCK_CLOSED UINT64_C(4)
#define AIPC_LOCK_GRANT_AFTER_NS UINT64_C(1000000)

static inline uint64_t aipc_lock_owner(uint64_t word) { return word & ~UINT64_C(0xfffff); }
static inline uint32_t aipc_lock_owner_slot(uint64_t word) { return (uint32_t)(word >> 20 & 0xfff); }
static inline uint32_t aipc_lock_granted(uint64_t word) { return (uint32_t)(word >> 4 & 0xffff); }

/* Takes the lock if it is free or its owner's participation is over: one CAS.  AIPC_AGAIN when it is
 * held, AIPC_CLOSED.  Needs no context. */
aipc_status aipc_lock_try_slow(aipc_seg *seg, struct aipc_lock *lock);
static inline aipc_status aipc_lock_try(aipc_seg *seg, struct aipc_lock *lock) {
    if (seg->self != 0 && aipc_cas_seq_cst64(&lock->word, 0, seg->self)) return AIPC_OK; /* SYNC lock-word */
    return aipc_lock_try_slow(seg, lock);
}
/* The same, after making sure that a holder who looks alive is.  One system call when it is held. */
aipc_status aipc_lock_try_recover(aipc_ctx *ctx, struct aipc_lock *lock);
/* Tries again and again for at most `ns`, while another process holds it; pointless on one processor. */
aipc_status aipc_lock_spin(aipc_seg *seg, struct aipc_lock *lock, uint64_t ns);

/* Stands in the queue.  AIPC_OK: got it at once (no node).  AIPC_AGAIN: *node waits.  `barge`: may take a
 * free lock ahead of others that wait (the caller has no waiter of its own before this one). */
aipc_status aipc_lock_wait(aipc_ctx *ctx, struct aipc_lock *lock, uint32_t bell, uint64_t token, bool barge,
                           uint32_t *node);
/* Looks again after a wake-up (or at any time).  AIPC_OK: acquired, AIPC_CLOSED: destroyed; the node is gone
 * either way.  AIPC_AGAIN: keep waiting. */
aipc_status aipc_lock_look(aipc_ctx *ctx, struct aipc_lock *lock, uint32_t node);
/* Gives up waiting; a wake-up or the lock itself, if it came in the same instant, goes to the next. */
aipc_status aipc_lock_cancel(aipc_ctx *ctx, struct aipc_lock *lock, uint32_t node);

/* AIPC_NOT_OWNER when this process does not hold it; it is released in every other case, also when AIPC_INTERRUPTED
 * or AIPC_CORRUPT tells what happened on the way. */
aipc_status aipc_lock_release_slow(aipc_ctx *ctx, struct aipc_lock *lock);
static inline bool aipc_lock_release_fast(aipc_seg *seg, struct aipc_lock *lock) {
    return seg->self != 0 && aipc_cas_seq_cst64(&lock->word, seg->self, 0); /* SYNC lock-word */
}
static inline bool aipc_lock_closed(const struct aipc_lock *lock) {
    return (aipc_load_seq_cst64(&lock->word) & AIPC_LOCK_CLOSED) != 0;
}
/* Marks it destroyed and wakes every waiter. */
aipc_status aipc_lock_close(aipc_ctx *ctx, struct aipc_lock *lock);

typedef struct aipc_lock_stats {
    bool locked, abandoned, mine;
    uint64_t owner_pid;
    uint32_t waiters, contended, takeovers;
} aipc_lock_stats;
void aipc_lock_stats_get(aipc_seg *seg, const struct aipc_lock *lock, aipc_lock_stats *stats);

aipc_status aipc_lock_check(aipc_ctx *ctx, struct aipc_lock *lock, aipc_report *report);

#endif
