/* Recovery of a dead participant, as a whole.
 *
 *   begin    each domain one of its contexts was in: roll its log back (or forward), release the lock;
 *            clear its hazards, remove its FIFOs.  Needs no lock and no identity.
 *   settle   remove its wait nodes, free its orphans, settle its atomic block, give back its holdings.  Each step is one transaction
 *            of the recoverer's own, so a recoverer that dies is itself recovered, and the next one
 *            goes on where it stopped.
 *   end      next generation, slot free; tell the waiters.
 *
 * Before `settle` looks at an orphan, every domain of the participant is rolled back: a reservation
 * whose container transaction is still half done must not be freed.  The right to do all this is the
 * OFD lock on the slot's byte, held on a description of its own from before `begin` until after `end`; a
 * recoverer that dies loses it by itself.
 *
 *   R1  a short lock whose word is of an ended generation does not exist
 *   R2  orphans, registrations, holdings and wait nodes of an ended generation do not exist, except while the slot's
 *       next owner, or its recoverer, settles them
 */
#ifndef AIPC_RECOVERY_H
#define AIPC_RECOVERY_H

#include "catalog.h"
#include "holdings.h"
#include "pending.h"
#include "waiters.h"

aipc_status aipc_recover_begin(aipc_seg *seg, uint32_t slot);
aipc_status aipc_recover_settle(aipc_ctx *ctx, uint32_t slot);

/* The whole of it.  AIPC_OK also when somebody else did it; AIPC_AGAIN while somebody else is at it, or when
 * it turns out to be alive. */
aipc_status aipc_recover(aipc_ctx *ctx, uint32_t slot, uint32_t generation);

/* Looks at every slot; *recovered counts the dead that were found. */
aipc_status aipc_recover_all(aipc_ctx *ctx, uint32_t *recovered);

#endif
