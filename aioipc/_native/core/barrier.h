/* Barrier: so many parties wait until all of them are there.
 *
 * Who has arrived is told by the queue alone: the nodes of `waiters` that want the present cycle.  A party that gives up or
 * dies takes its node with it, and so has not arrived.  Whoever ends a cycle, under the waits lock, by one exchange:
 *
 *     word: the next cycle; through: all were there, or not: a reset, an abort
 *
 * From then on those who stood there want a cycle that is over.  They are served, in the order in which they came, some in
 * each hold of the lock: moved to `served` with a number (got = place + 1), or with none, and notified.  Everybody who
 * comes first serves those who are left, so it matters to nobody whether who ended the cycle lives to do it.
 *
 * The last party makes sure that the others live before it ends the cycle: a system call for each process.
 *
 *   B1  in `waiters`, those who want the word's cycle stand behind all others, and are fewer than `parties`
 *   B2  broken => nobody wants the word's cycle
 *   B3  1 <= parties <= AIPC_MAX_NODES; got is 0 in `waiters`, less than `parties` in `served`
 */
#ifndef AIPC_BARRIER_H
#define AIPC_BARRIER_H

#include "waiters.h"

/* pre: 1 <= parties <= AIPC_MAX_NODES.  *image is zero. */
void aipc_barrier_init(struct aipc_barrier *image, uint64_t parties);

/* Arrives.  AIPC_OK: as the last one; *place is parties - 1, all others are released.  AIPC_AGAIN: *node waits for them.
 * AIPC_BROKEN, AIPC_CLOSED, AIPC_NO_WAITER; on these and any other failure it has not arrived. */
aipc_status aipc_barrier_arrive(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t bell, uint64_t token, uint32_t *node,
                                uint32_t *place);
/* After a wake-up, or at any time.  AIPC_OK: all were there, *place (0 .. parties - 2, in the order of arrival) is this
 * one's; AIPC_BROKEN: reset or aborted meanwhile; AIPC_CLOSED: destroyed.  The node is gone in these cases.
 * AIPC_AGAIN: wait on. */
aipc_status aipc_barrier_look(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node, uint32_t *place);
/* The same for who waits no longer: aborts it, unless all were there already.  AIPC_OK, AIPC_BROKEN, AIPC_CLOSED; the node
 * stays on any other failure. */
aipc_status aipc_barrier_give_up(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node, uint32_t *place);
/* Goes away again: has not arrived, unless all were there already.  Does not fail because somebody is stopped. */
aipc_status aipc_barrier_cancel(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node);
/* Whoever waits gets AIPC_BROKEN.  reset: and the barrier is as new; abort: and whoever comes, until a reset. */
aipc_status aipc_barrier_reset(aipc_ctx *ctx, struct aipc_barrier *b);
aipc_status aipc_barrier_abort(aipc_ctx *ctx, struct aipc_barrier *b);
/* After the object's destruction: every waiter wakes and finds it closed.  Cannot fail. */
aipc_status aipc_barrier_close(aipc_ctx *ctx, struct aipc_barrier *b);

/* How many wait for the present cycle, dead ones that were not recovered yet included; and whether it is broken. */
aipc_status aipc_barrier_waiting(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t *waiting, bool *broken);

aipc_status aipc_barrier_check(aipc_ctx *ctx, const struct aipc_barrier *b, aipc_report *report);

#endif
