/* Growing and shrinking: how much memory a segment has.
 *
 * Everybody has max_size bytes of address space mapped from the start, so nobody remaps: header.size says how many of
 * them exist.  It moves in the heap's transaction that puts the sentinel at the new end, and it is what publishes it
 * (heap_grow.c).  The bytes are there before:
 *
 *   Z1  whoever changes the object's length, or backs what lies behind header.size, has the turn: the OFD lock on
 *       AIPC_GROW_BYTE.  The kernel takes it from the dead.
 *   Z2  header.size <= the object's length, and [0, header.size) has its pages, but for holes (holes.h)
 *   Z3  header.size only grows while anybody has the segment open; so a bound that somebody keeps is too small at worst
 *
 * What a death leaves: before the transaction a longer object, which the next one to grow uses, and any grow that fails
 * gives back; within it, what the journal rolls back or finishes.  The words of the new end are not logged: they
 * lie where nothing was, and become true with header.size.
 *
 * Nobody waits for the pages of another's growth but who grows too.  A grower that is stopped has the turn, and no lock.
 */
#ifndef AIPC_GROW_H
#define AIPC_GROW_H

#include "gate.h"
#include "heap.h"

typedef struct aipc_growth {
    uint64_t extra;     /* asked; a multiple of the page size */
    uint64_t size, to;  /* of the segment: now, and afterwards; 0: not known before it is our turn */
    uint64_t backed;    /* up to here there are pages */
    uint64_t since, seen; /* when the one before us last did something, and what */
    int turn;           /* -1: not ours */
} aipc_growth;

static inline aipc_growth aipc_growth_by(uint64_t extra) { return (aipc_growth){.extra = extra, .turn = -1}; }

/* Waits for the turn, and makes the bytes exist.  Needs no context and no interpreter, and takes no lock of the
 * core's.  AIPC_AGAIN: call it again, it is on its way.  Anything but these two has ended it, and changed nothing:
 * AIPC_INVALID: past max_size (growth->size is what there is); AIPC_FULL: the filesystem, or a limit of the
 * process's, has no room (seg->error); AIPC_STALLED: a stopped process has the turn. */
aipc_status aipc_grow_prepare(aipc_seg *seg, aipc_growth *growth);
/* The bytes become the heap's.  The turn is given back, whatever happens. */
aipc_status aipc_grow_finish(aipc_ctx *ctx, aipc_growth *growth);
/* Instead of the rest: gives back what was made. */
void aipc_grow_cancel(aipc_seg *seg, aipc_growth *growth);

/* Cuts off what is free at the end of the segment, in whole pages, but for the reserve, and the object behind it.  Needs to be
 * alone: AIPC_AGAIN: somebody else has the segment open, for reading or writing.  The caller leaves it at once: its own
 * bounds are too large now.  A death between the two leaves a longer object. */
aipc_status aipc_shrink_to_fit(aipc_ctx *ctx);

/* Lets the segment grow up to `max_size` once everybody, the caller included, has opened it again.  AIPC_AGAIN as above;
 * AIPC_INVALID: less than it may now. */
aipc_status aipc_raise_max(aipc_ctx *ctx, uint64_t max_size);

#endif
