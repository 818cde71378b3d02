/* Condition: tasks and threads that wait until somebody notifies them, beside a lock that is the binding's business.
 *
 * All of it happens under the waits lock.  A notification is a token in the node of who is notified (aipc_node.got), from
 * the first on who has none.  It is used up by who finds it and leaves (look).  Whoever gives up or dies without
 * having used it passes it on to the next without one (aipc_wait_forsake): no wake-up is lost with its waiter.
 *
 *     wait    stand, while the lock is held; release the lock; sleep; woken: look; AIPC_OK: acquire the lock
 *     notify  while the lock is held: tokens to the first n that have none
 *
 *   N2  got is 0 or TOKEN in every node of the queue
 */
#ifndef AIPC_CONDITION_H
#define AIPC_CONDITION_H

#include "waiters.h"

aipc_status aipc_condition_stand(aipc_ctx *ctx, struct aipc_condition *c, uint32_t bell, uint64_t token, uint32_t *node);
/* AIPC_OK: notified, the node is gone.  AIPC_AGAIN: wait on. */
aipc_status aipc_condition_look(aipc_ctx *ctx, struct aipc_condition *c, uint32_t node);
/* Gives up; a notification that came all the same goes to the next.  Does not fail because somebody is stopped. */
aipc_status aipc_condition_cancel(aipc_ctx *ctx, struct aipc_condition *c, uint32_t node);
/* Notifies up to `count` waiters, AIPC_EVERYBODY: all that wait when it is called. */
aipc_status aipc_condition_notify(aipc_ctx *ctx, struct aipc_condition *c, uint32_t count);
/* After the object's destruction: every waiter wakes. */
aipc_status aipc_condition_close(aipc_ctx *ctx, struct aipc_condition *c);

aipc_status aipc_condition_check(aipc_ctx *ctx, const struct aipc_condition *c, aipc_report *report);

#endif
