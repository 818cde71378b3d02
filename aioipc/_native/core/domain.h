/* A domain's short lock: held for tens of nanoseconds, taken over from the dead, never from the
 * stopped.
 *
 * Rules: one domain at a time (there is no lock order because locks never nest; recovery.h says what
 * ties two domains' changes together).  Nothing is called while one is held that could wait, run Python
 * code or copy payload.
 *
 * Before the lock is tried the context records which domain it is about to hold, so the recoverer of a
 * dead process finds every domain it may have been in.  Only the exact word of a dead generation
 * is ever taken over.
 */
#ifndef AIPC_DOMAIN_H
#define AIPC_DOMAIN_H

#include "journal.h"

#define AIPC_LOCK_CONTENDED 1u
#define AIPC_LOCK_GENERATION_BITS (8191u << 1)

static inline uint32_t aipc_lock_word_slot(uint32_t word) { return word >> 20; }

/* Locks; AIPC_STALLED after seg->stall_ns behind a stopped process, AIPC_INTERRUPTED when the idle
 * callback says so, AIPC_CORRUPT when the log is not empty though nobody held the lock.  On anything
 * but AIPC_OK the lock is not held. */
aipc_status aipc_domain_lock(aipc_ctx *ctx, struct aipc_domain *domain);
/* Locks if nobody holds it: never waits.  False also when the log is not empty. */
bool aipc_domain_try_lock(aipc_ctx *ctx, struct aipc_domain *domain);
void aipc_domain_unlock(aipc_ctx *ctx, struct aipc_domain *domain);

#endif
