/* Semaphore: permits that are counted, not owned.
 *
 * A permit is taken by one CAS of `value` and given back by another; so a death changes nothing: what a dead process had
 * taken stays taken, and what it had given back is there.
 *
 *     acquire   try; AIPC_AGAIN: stand, try; AIPC_AGAIN: sleep; woken: try, again (line.h), try; leave
 *     release   value += n; asleep? wake n
 *
 * Why nobody sleeps beside a permit that it may take: line.h.  What is owed for a permit is the wake-up of who added it,
 * then the look of whom that woke, then the wake-up of who leaves while permits are left.
 *
 *   S1  value <= bound <= AIPC_SEMAPHORE_MAX
 */
#ifndef AIPC_SEMAPHORE_H
#define AIPC_SEMAPHORE_H

#include "line.h"

#define AIPC_SEMAPHORE_MAX UINT64_C(0xffffffff)

/* What a new one starts with.  pre: value <= bound <= AIPC_SEMAPHORE_MAX. */
void aipc_semaphore_init(struct aipc_semaphore *image, uint64_t value, uint64_t bound);

/* Takes a permit.  `node`: the caller's place in the line, or AIPC_NO_NODE.  AIPC_AGAIN: none, or the last one is set aside
 * for who has waited longest.  Needs no context. */
aipc_status aipc_semaphore_try(struct aipc_semaphore *s, uint32_t node);
/* The same for who does not stand, after making sure that whom a permit is set aside for lives, and is awake.  A system call
 * then. */
aipc_status aipc_semaphore_try_recover(aipc_ctx *ctx, struct aipc_semaphore *s);
/* Stands in line, as aipc_line_stand; and wakes whom a permit is set aside for. */
aipc_status aipc_semaphore_stand(aipc_ctx *ctx, struct aipc_semaphore *s, uint32_t bell, uint64_t token, uint32_t *node);
/* Adds permits.  AIPC_INVALID, and nothing changed, beyond the bound.  If then aipc_line_asleep(&s->line), the
 * caller owes the line aipc_line_wake(..., count).  Needs no context. */
aipc_status aipc_semaphore_add(struct aipc_semaphore *s, uint64_t count);
/* Leaves the line; what is there wakes the next.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_semaphore_leave(aipc_ctx *ctx, struct aipc_semaphore *s, uint32_t node);

aipc_status aipc_semaphore_check(aipc_ctx *ctx, const struct aipc_semaphore *s, aipc_report *report);

#endif
