/* CapacityLimiter: a number of tokens that participants borrow and own.
 *
 * What a participant has borrowed is one word of its own, valid while its generation is the slot's.  So nothing is to be
 * given back for the dead: their words count for nothing from the end of their recovery on, which makes every
 * waiter look.  Borrowing sums up the words of the living under the waits lock, and changes one word; giving back changes
 * one word, without the lock, so the sum can only be too high, and who lowered it sees that somebody sleeps.
 *
 *     borrow   try; AIPC_AGAIN: stand, try; AIPC_AGAIN: sleep; woken: try, again (line.h), try; leave
 *     give     own word - 1; asleep? wake 1
 *
 *   T1  the sum over the living never grows beyond `total` (it may lie above it after `total` was lowered)
 *   T2  a word counts while its generation is its slot's and the slot's participant has not ended; no word is of a
 *       generation still to come
 */
#ifndef AIPC_LIMITER_H
#define AIPC_LIMITER_H

#include "line.h"

#define AIPC_LIMITER_NO_LIMIT UINT64_MAX

/* Payload bytes of a limiter in a segment with so many participants. */
static inline uint64_t aipc_limiter_object_size(uint32_t participants) {
    return sizeof(struct aipc_limiter) + participants * (uint64_t)sizeof(uint64_t);
}
/* Fills the first sizeof *image bytes of an image that is zero. */
void aipc_limiter_init(struct aipc_limiter *image, uint64_t total);

/* Borrows a token.  `node`: the caller's place in the line, or AIPC_NO_NODE.  AIPC_AGAIN: none is left, or the last one is set
 * aside for who has waited longest. */
aipc_status aipc_limiter_try(aipc_ctx *ctx, struct aipc_limiter *limiter, uint32_t node);
/* The same for who does not stand, after making sure that borrowers, and whom a token is set aside for, live, and that
 * the latter is awake.  A system call for each of them then. */
aipc_status aipc_limiter_try_recover(aipc_ctx *ctx, struct aipc_limiter *limiter);
/* Stands in line, as aipc_line_stand; and wakes whom a token is set aside for. */
aipc_status aipc_limiter_stand(aipc_ctx *ctx, struct aipc_limiter *limiter, uint32_t bell, uint64_t token, uint32_t *node);
/* Gives one back and wakes the next.  AIPC_NOT_OWNER: this process has borrowed none; it is given back in every other case,
 * also when AIPC_CORRUPT tells what happened on the way.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_limiter_give(aipc_ctx *ctx, struct aipc_limiter *limiter);
/* Leaves the line; what is there wakes the next.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_limiter_leave(aipc_ctx *ctx, struct aipc_limiter *limiter, uint32_t node);
/* Sets the number of tokens; those borrowed beyond it stay so.  Wakes whom that helps.  As give, it is done whatever is
 * returned. */
aipc_status aipc_limiter_resize(aipc_ctx *ctx, struct aipc_limiter *limiter, uint64_t total);

typedef struct aipc_limiter_stats {
    uint64_t total, borrowed; /* by the living */
    uint64_t mine;            /* of them, by this process */
    uint32_t waiters, contended;
} aipc_limiter_stats;
/* Without a lock: each number is right by itself. */
void aipc_limiter_stats_get(aipc_seg *seg, const struct aipc_limiter *limiter, aipc_limiter_stats *stats);
/* What the participant in `slot` has borrowed, 0 when it has ended. */
uint32_t aipc_limiter_borrowed_by(aipc_seg *seg, const struct aipc_limiter *limiter, uint32_t slot);

aipc_status aipc_limiter_check(aipc_ctx *ctx, const struct aipc_limiter *limiter, aipc_report *report);

#endif
