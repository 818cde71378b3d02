/* Condition: tasks and threads that wait until somebody notifies them, beside a lock that is the binding's business.
 *
 * All of it happens under the waits lock.  A notification is a token in the node of who is notified (aipc_node.got), which
 * goes from `waiters` to `served` with it: one transaction.  It is used up by who finds it and leaves (look).  Whoever
 * gives up or dies without having used it passes it on to the first of the waiters (aipc_wait_forsake), in the transaction
 * that removes its node: no wake-up is lost with its waiter, none is doubled.
 *
 *     wait    stand, while the lock is held; release the lock; sleep; woken: look; AIPC_OK: acquire the lock
 *     notify  while the lock is held: tokens to the first n that have none
 *
 * Who is killed between look and the lock takes its token with it.  Where that matters, acquire the lock as soon as
 * aipc_condition_notified says so, and look when it is held.  (That takes a second node, in the lock's queue.  If there is
 * none, look first.)
 *
 * Who cancels behind a stopped process leaves its node to the others: all look, and before anybody does anything here the
 * tokens of such nodes are passed on (aipc_wait_sweep).
 *
 *   N2  got is 0 in every node of `waiters`, TOKEN in every node of `served`; each wants `waiters`
 *   N3  which lock is the condition's is what was sealed when it was made
 */
#ifndef AIPC_CONDITION_H
#define AIPC_CONDITION_H

#include "seal.h"
#include "waiters.h"

/* What aipc_condition.seal must be; 0 of an image that is zero. */
static inline uint64_t aipc_condition_seal(const struct aipc_condition *c) {
    uint64_t which = c->lock ^ c->lock_serial << 17 ^ (uint64_t)c->lock_type << 56;
    return which == 0 ? 0 : aipc_seal(which, c->lock_serial) ^ which << 8;
}

/* AIPC_NO_WAITER, AIPC_CLOSED. */
aipc_status aipc_condition_stand(aipc_ctx *ctx, struct aipc_condition *c, uint32_t bell, uint64_t token, uint32_t *node);
/* AIPC_OK: notified, AIPC_CLOSED: destroyed; the node is gone.  AIPC_AGAIN: wait on. */
aipc_status aipc_condition_look(aipc_ctx *ctx, struct aipc_condition *c, uint32_t node);
/* Gives up; a notification that came all the same goes to the next.  Does not fail because somebody is stopped. */
aipc_status aipc_condition_cancel(aipc_ctx *ctx, struct aipc_condition *c, uint32_t node);
/* Notifies up to `count` of those who wait when it is called, AIPC_EVERYBODY: all of them.  When it fails (AIPC_STALLED,
 * AIPC_CORRUPT) some may have been notified. */
aipc_status aipc_condition_notify(aipc_ctx *ctx, struct aipc_condition *c, uint32_t count);
/* After the object's destruction: every waiter wakes and finds it closed.  Cannot fail. */
aipc_status aipc_condition_close(aipc_ctx *ctx, struct aipc_condition *c);

/* Whether this node of the caller's was notified: look would be AIPC_OK.  No lock. */
static inline bool aipc_condition_notified(aipc_seg *seg, uint32_t node) {
    const struct aipc_node *mine = aipc_wait_node(seg, node, NULL);
    return mine != NULL && aipc_load_seq_cst32(&mine->got) == AIPC_GOT_TOKEN;
}
/* How many wait and were not notified yet.  No lock. */
static inline uint32_t aipc_condition_waiting(const struct aipc_condition *c) {
    return aipc_load_relaxed32(&c->waiters.length);
}

/* The own lock has a check of its own. */
aipc_status aipc_condition_check(aipc_ctx *ctx, const struct aipc_condition *c, aipc_report *report);

#endif
