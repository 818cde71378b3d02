/* Atomic blocks: what one participant does to objects between two moments becomes true at the second, all of it or nothing.
 *
 * A block is open while catalog->epoch is odd; that number is its serial.  One is open at a time: whoever wants to open one
 * takes catalog->turn first, a lock like any other (lock.h), and nobody else is held up by it.  Who is in a block says so
 * with each operation (aipc_ctx.block).  What the block does is noted in the objects' states, and in registrations: records
 * chained from the slot, the latest first.
 *
 *     state of the object          others see it      the block sees it     after the commit
 *     LIVE                         yes                yes                   yes
 *     NEW  | serial                no                 yes                   yes
 *     GONE | serial                yes                no                    no
 *     BOTH | serial  (both)        no                 no                    no
 *
 * The commit is one store, epoch + 1: from then on the states say something else to everybody.  Afterwards, or after a
 * death, the registrations are settled one by one, and each object gets the state that it has anyhow:
 *
 *                                  epoch is beyond it         epoch is still its serial (taken back)
 *     MADE    an object is NEW     LIVE                       DESTROYED
 *     UNMADE  GONE, or BOTH        DESTROYED                  LIVE, or NEW
 *
 * The latest first, so BOTH is NEW again before it is DESTROYED.  A part of a block is taken back in the same way, down
 * to a mark.  What is taken back is settled before the epoch moves, so what lock-free readers see is all or nothing
 * (names.c): a state that stays the same while the epoch is read is judged by that epoch, and a name was not found only if
 * the epoch stood still meanwhile.
 *
 * A registration keeps its object's memory, and acts only on a state with its own serial.  Others cannot touch an object
 * that an open block has touched, nor construct one of a name that it may bring back: AIPC_PENDING.  The core holds no
 * lock while a block is open; what a block has read may change under it.
 *
 *   Y1  the epoch is odd exactly while `owner` names a participant
 *   Y2  a registration's serial is odd and at most the epoch; only the owner's slot, and those that are not settled yet,
 *       have any; `pending` counts them
 *   Y3  an object's state names a block of which there is a registration of that object
 *   Y4  nobody opens a block while others' registrations are there: `turn` is given back after settling, and a dead
 *       participant's is taken over after its recovery
 */
#ifndef AIPC_PENDING_H
#define AIPC_PENDING_H

#include "catalog.h"

/* Opens a block of this participant: *serial is for aipc_ctx.block of what is a part of it.  pre: it holds catalog->turn.
 * AIPC_AGAIN: registrations of an earlier one are not settled. */
aipc_status aipc_block_open(aipc_ctx *ctx, uint64_t *serial);
/* Makes what it did true.  AIPC_NOT_OWNER: it is not open.  To be settled then. */
aipc_status aipc_block_commit(aipc_ctx *ctx, uint64_t serial);
/* Where the open block of this participant is now; takes back what it did since then. */
uint64_t aipc_block_mark(const aipc_seg *seg);
aipc_status aipc_block_back_to(aipc_ctx *ctx, uint64_t mark);
/* Settles the registrations of a slot, and closes its block: what was not committed is taken back.  One's own, or, in
 * recovery, a dead participant's.  May be repeated from anywhere. */
aipc_status aipc_block_settle(aipc_ctx *ctx, uint32_t slot);

/* After AIPC_PENDING: AIPC_OK when the block is over, since its owner was dead and is recovered now: try again. */
aipc_status aipc_block_refused(aipc_ctx *ctx);

/* Under the lock: AIPC_NOT_OWNER when an operation claims to be part of a block that is not open. */
static inline aipc_status aipc_block_mine(const aipc_ctx *ctx) {
    const struct aipc_catalog *catalog = ctx->seg->catalog;
    return ctx->block == 0 || (ctx->block == aipc_load_relaxed64(&catalog->epoch) &&
                               aipc_load_relaxed64(&catalog->owner) == ctx->seg->self) ? AIPC_OK : AIPC_NOT_OWNER;
}

#endif
