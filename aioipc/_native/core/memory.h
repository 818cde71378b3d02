/* Raw memory, as users have it: many blocks at once, another size for one, zeros.  Nothing here holds a domain while it
 * copies or clears.  See heap.h for the blocks, holdings.h for those that go with their process.
 *
 *   M1  until a call returns, blocks that only it knows stand in its context's orphan words: a death frees them
 *   M2  a block that moves is whole at its old place until one transaction frees that, and hands over the new one
 */
#ifndef AIPC_MEMORY_H
#define AIPC_MEMORY_H

#include "holdings.h"

/* All the blocks or none, also when this process dies. */
aipc_status aipc_allocate_many(aipc_ctx *ctx, const aipc_many *many);
/* Frees blocks, owned or not; *freed: how many, when the next one is none of the user's (AIPC_INVALID). */
aipc_status aipc_deallocate_many(aipc_ctx *ctx, const uint64_t *payloads, uint64_t count, uint64_t *freed);

/* Another size for a block of the user's: in place, as r->ways say (heap.h), else in a new block when it `may_move`.  What it
 * contained it contains, as far as there is room, and what is new is zero.  r->payload is where it is then, r->usable its size.
 * A block that is owned, and moves, is this process's then.  AIPC_FULL: nothing changed, and r->usable might be had. */
aipc_status aipc_resize(aipc_ctx *ctx, aipc_resizing *r, uint64_t alignment, bool may_move);

/* Writes zeros over all free memory, that of the free blocks' own words apart.  A MiB at a time counts as used meanwhile. */
aipc_status aipc_zero_free_memory(aipc_ctx *ctx);

/* Whether nothing of the user's is left: no block, no part of a container, no object. */
aipc_status aipc_all_deallocated(aipc_ctx *ctx, bool *all);

#endif
