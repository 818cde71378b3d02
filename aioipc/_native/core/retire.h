/* Memory between two owners: blocks a context alone knows, and blocks a reader may still look at.
 *
 * Orphans.  A block that is about to be linked, or was just unlinked, stands in an orphan word of the
 * operation's context; every change of such a word is part of the heap's or the catalog's transaction
 * that hands the block over.  An operation takes words that are 0 and leaves them 0.
 *
 * Retired memory.  What lock-free readers may still read is not freed but put on a list of its domain (the
 * catalog's, a dict's), chained through its first word; it goes when nobody names it in a hazard:
 *
 *   reader                                     collector (holds the domain's lock)
 *   hazard = block          (seq_cst RMW)      block is unlinked  (seq_cst RMW: tx_publish)
 *   still linked?           (seq_cst load)     any hazard names it?  (seq_cst loads)   // SYNC hazard
 *
 * One of the two sees the other, in the single order of seq_cst operations: either the reader finds the
 * block unlinked and does not touch it, or the collector finds the hazard and lets the block be.
 *
 * A context's hazards last for one operation.  What a process looks at for longer (a view of a value) stands in a
 * word of its slot's `pinned`: a hazard like the others, taken while a context's hazard names the block.
 *
 * A retired object may have parts, blocks that only it knows.  They go before it, one at a time (`part`): a
 * collector that dies leaves the rest to the next one.
 */
#ifndef AIPC_RETIRE_H
#define AIPC_RETIRE_H

#include "heap.h"

/* A free orphan word of the context, NULL when all are taken. */
uint64_t *aipc_orphan_word(aipc_ctx *ctx);

/* Frees the block, or the chain of blocks, in `word`, if any.  pre: no domain is held.  What the block was part of is done by then, so this
 * does not fail because the heap is held by a stopped process: the block then waits in its word. */
aipc_status aipc_orphan_free(aipc_ctx *ctx, uint64_t *word);

/* Frees what an earlier operation of this context could not (seg->tidy). */
void aipc_orphans_tidy(aipc_ctx *ctx);

/* Frees those of the context's orphans whose bits are set.  Goes on after a failure; the first is returned. */
aipc_status aipc_orphans_free(aipc_ctx *ctx, uint32_t words);
static inline uint32_t aipc_orphan_bit(const aipc_ctx *ctx, const uint64_t *word) {
    return 1u << (uint32_t)(word - ctx->shared->orphan);
}

/* Where blocks of one domain wait until nobody looks at them any more. */
typedef struct aipc_retired {
    struct aipc_domain *domain;
    uint64_t *list;  /* payload offset of the first block */
    uint32_t flags;  /* of these blocks: AIPC_INTERNAL or AIPC_PART */
    uint64_t *skip;  /* NULL, or a word under the domain, unlogged: how many blocks to pass over, since all of them were
                        held when they were looked at.  Any value is right: it only says where to look first. */
    /* NULL, or: unlinks one part of a retired block within the transaction (at most six log entries) and returns
     * its payload offset, 0 when there is none left. */
    uint64_t (*part)(aipc_tx *tx, uint64_t block);
} aipc_retired;

/* Moves retired blocks that nobody looks at into orphan words, and sets their bits in *words.  A bounded
 * number of them is looked at, the next ones the next time when all were held.  pre: the domain's lock is held, no transaction is open. */
aipc_status aipc_retired_take(aipc_ctx *ctx, const aipc_retired *retired, uint32_t *words);

/* Keeps a block in place until aipc_value_unpin, or until this process dies.  AIPC_AGAIN: all AIPC_PINS words are
 * taken.  pre: a hazard of this thread's context names the block, and it was linked after that. */
aipc_status aipc_value_pin(aipc_seg *seg, uint64_t block, uint32_t *pin);
void aipc_value_unpin(aipc_seg *seg, uint32_t pin);
/* All of a participant that leaves or is dead. */
void aipc_value_unpin_all(aipc_seg *seg, uint32_t slot);

#endif
