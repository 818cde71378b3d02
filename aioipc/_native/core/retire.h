/* Memory between two owners: blocks a context alone knows, and blocks a reader may still look at.
 *
 * Orphans.  A block that is about to be linked, or was just unlinked, stands in an orphan word of the
 * operation's context; every change of such a word is part of the heap's or the catalog's transaction
 * that hands the block over.  An operation takes words that are 0 and leaves them 0.
 *
 * Retired memory.  What lock-free readers may still read is not freed but put on the catalog's list; it
 * goes when no context names it in a hazard:
 *
 *   reader                                     collector (holds the catalog's lock)
 *   hazard = block          (seq_cst RMW)      block is unlinked  (seq_cst RMW: tx_publish)
 *   still linked?           (seq_cst load)     any hazard names it?  (seq_cst loads)   // SYNC hazard
 *
 * One of the two sees the other, in the single order of seq_cst operations: either the reader finds the
 * block unlinked and does not touch it, or the collector finds the hazard and lets the block be.
 */
#ifndef AIPC_RETIRE_H
#define AIPC_RETIRE_H

#include "heap.h"

/* A free orphan word of the context, NULL when all are taken. */
uint64_t *aipc_orphan_word(aipc_ctx *ctx);

/* Frees the block in `word`, if any.  pre: no domain is held.  What the block was part of is done by then, so this
 * does not fail because the heap is held by a stopped process: the block then waits in its word. */
aipc_status aipc_orphan_free(aipc_ctx *ctx, uint64_t *word);

/* Frees what an earlier operation of this context could not (seg->tidy). */
void aipc_orphans_tidy(aipc_ctx *ctx);

/* Frees those of the context's orphans whose bits are set.  Goes on after a failure; the first is returned. */
aipc_status aipc_orphans_free(aipc_ctx *ctx, uint32_t words);
static inline uint32_t aipc_orphan_bit(const aipc_ctx *ctx, const uint64_t *word) {
    return 1u << (uint32_t)(word - ctx->shared->orphan);
}

/* Moves retired blocks that nobody looks at into orphan words, and sets their bits in *words.  A bounded
 * number of them is looked at.  pre: the catalog's lock is held, no transaction is open. */
aipc_status aipc_retired_take(aipc_ctx *ctx, uint32_t *words);

#endif
