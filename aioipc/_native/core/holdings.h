/* Holdings: what a participant must give back if it dies, chained from its slot.
 *
 * A pin keeps a destroyed object's memory; an owned block is freed with its owner.  Both are records
 * in the catalog's domain, linked and unlinked by one transaction each.
 *
 * What an atomic block has done to objects are records too, in a chain of their own (pending.h).
 *
 *   D1  the chains of each slot are doubly linked, its records are AIPC_INTERNAL blocks of 32 bytes or more
 *   D2  each PIN names an object that counts it (C4); each BLOCK names a used AIPC_OWNED block whose last
 *       payload word is the record's offset; each MADE and UNMADE an object that counts it too
 */
#ifndef AIPC_HOLDINGS_H
#define AIPC_HOLDINGS_H

#include "heap.h"

/* Does a record of this kind stand among the slot's registrations?  Then the bits above say for which block. */
static inline bool aipc_holding_registers(uint64_t kind) {
    return (kind & 255) == AIPC_HOLD_MADE || (kind & 255) == AIPC_HOLD_UNMADE;
}

/* Within a catalog transaction: link `record` (a fresh block, payload offset) into the own slot's chain /
 * unlink it from `slot`'s.  AIPC_CORRUPT when the links contradict each other. */
aipc_status aipc_holding_link(aipc_tx *tx, uint32_t slot, uint64_t record, uint64_t kind, uint64_t target);
aipc_status aipc_holding_unlink(aipc_tx *tx, uint32_t slot, uint64_t record);

/* A block that is freed when this process dies.  Its usable size is 8 less than the block's. */
aipc_status aipc_owned_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint64_t *payload);
/* Frees any block of the user's, owned or not: what deallocate() is.  AIPC_INVALID for what is none. */
aipc_status aipc_deallocate(aipc_ctx *ctx, uint64_t payload);

/* Frees the block of a BLOCK holding in `slot`'s chain, and the record with it. */
aipc_status aipc_owned_release(aipc_ctx *ctx, uint32_t slot, uint64_t record);

#endif
