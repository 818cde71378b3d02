/* Barrier: so many parties wait until all of them are there.
 *
 * Who has arrived is told by the queue alone: the nodes that want the present cycle.  A party that gives up or dies takes
 * its node with it, and so has not arrived.  The last one to arrive, under the waits lock:
 *
 *     numbers the waiting nodes (got = place + 1), and moves the word to the next cycle: that is the commit
 *     notifies them, some at a time
 *
 * A node of a past cycle with a number came through; without one its cycle was ended by a reset or an abort.  Numbers are
 * unlogged: those of a present cycle mean nothing, they are written anew by who ends it.
 *
 *   B1  every node wants a cycle <= the word's; fewer than `parties` want the present one
 *   B2  broken => no node wants the present cycle
 */
#ifndef AIPC_BARRIER_H
#define AIPC_BARRIER_H

#include "waiters.h"

void aipc_barrier_init(struct aipc_barrier *image, uint64_t parties);

/* Arrives.  AIPC_OK: as the last one; *place is parties - 1, all others are released.  AIPC_AGAIN: *node waits for them.
 * AIPC_BROKEN. */
aipc_status aipc_barrier_arrive(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t bell, uint64_t token, uint32_t *node,
                                uint32_t *place);
/* After a wake-up, or at any time.  AIPC_OK: all were there, *place (0 .. parties - 2, in the order of arrival) is this
 * one's; AIPC_BROKEN: reset or aborted meanwhile.  The node is gone in both cases.  AIPC_AGAIN: wait on. */
aipc_status aipc_barrier_look(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node, uint32_t *place);
/* Goes away again: has not arrived, unless all were there already.  Does not fail because somebody is stopped. */
aipc_status aipc_barrier_cancel(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node);
/* Whoever waits gets AIPC_BROKEN.  reset: and the barrier is as new; abort: and whoever comes, until a reset. */
aipc_status aipc_barrier_reset(aipc_ctx *ctx, struct aipc_barrier *b);
aipc_status aipc_barrier_abort(aipc_ctx *ctx, struct aipc_barrier *b);
/* After the object's destruction: every waiter wakes. */
aipc_status aipc_barrier_close(aipc_ctx *ctx, struct aipc_barrier *b);

/* How many wait for the present cycle, dead ones that were not recovered yet included; and whether it is broken. */
aipc_status aipc_barrier_waiting(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t *waiting, bool *broken);

aipc_status aipc_barrier_check(aipc_ctx *ctx, const struct aipc_barrier *b, aipc_report *report);

#endif
