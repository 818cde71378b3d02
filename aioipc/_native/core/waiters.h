/* Wait nodes and wait queues: who waits for what, in what order.
 *
 * Every object that can be waited on holds an aipc_wait_queue.  A waiter is one node of the slab; it
 * names its participant and bell.  To wake it is to put it on its bell's ready list and ring.  A woken
 * waiter keeps its place in the queue until it has what it waited for or gives up; so a spurious
 * wake-up costs nothing, and a waiter that dies has nothing left to do that the living need.
 *
 * One domain for all wait state of the segment: it is only entered by who is about to sleep, to wake
 * somebody or to give up, each of which costs a system call anyway.
 *
 *   W1  every node below nodes_used is FREE and in the free list, or stands in exactly one queue
 *   W2  queues are doubly linked, their length is what a walk finds
 *   W3  exactly the NOTIFIED nodes stand in a ready list, that of their bell
 *   W4  a node's participant is one that is attached or not yet recovered
 *   W5  `waiting` is the number of nodes that are not FREE
 */
#ifndef AIPC_WAITERS_H
#define AIPC_WAITERS_H

#include "bells.h"
#include "domain.h"
#include "report.h"

#define AIPC_NO_NODE 0u /* node numbers are index + 1 */
#define AIPC_EVERYBODY UINT32_MAX /* for whoever wakes so many */

/* --- inside a waits transaction (the waits lock is held) --- */

/* Appends a node of this process, which wants `want`.  AIPC_NO_WAITER when the slab is used up. */
aipc_status aipc_wait_enlist(aipc_tx *tx, struct aipc_wait_queue *queue, uint32_t bell, uint64_t token,
                             uint64_t want, uint32_t *node);
/* Takes a node out of its queue and its ready list and frees it. */
aipc_status aipc_wait_remove(aipc_tx *tx, struct aipc_wait_queue *queue, uint32_t node);
/* Puts a node on its bell's ready list (if it is not there) and says whom to ring after unlocking. */
aipc_status aipc_wait_notify(aipc_tx *tx, uint32_t node, aipc_bell_target *target);
/* Takes it off the ready list again: it has looked, and goes on waiting. */
aipc_status aipc_wait_again(aipc_tx *tx, uint32_t node);
/* Says what a node got, moves it to the end of another queue and notifies it. */
aipc_status aipc_wait_give(aipc_tx *tx, struct aipc_wait_queue *from, uint32_t node, struct aipc_wait_queue *to,
                           uint32_t got, aipc_bell_target *target);
/* aipc_wait_remove for an owner that does not use what it got: a TOKEN goes to the first of the queue it wanted, whom to
 * ring is *target then. */
aipc_status aipc_wait_forsake(aipc_tx *tx, struct aipc_wait_queue *queue, uint32_t node, aipc_bell_target *target);
/* The first node whose owner has not withdrawn it, AIPC_NO_NODE when there is none. */
aipc_status aipc_wait_first(aipc_seg *seg, const struct aipc_wait_queue *queue, uint32_t *node);
/* The checked node, or NULL: out of range, or not waiting in `queue` (NULL: in any). */
struct aipc_node *aipc_wait_node(aipc_seg *seg, uint32_t node, const struct aipc_wait_queue *queue);
aipc_bell_target aipc_wait_target(const struct aipc_node *node);

/* --- whole operations: they take the waits lock themselves --- */

/* Tokens of up to `capacity` notified nodes of this process's bell; each goes on waiting and must now look.
 * AIPC_AGAIN: there may be more. */
aipc_status aipc_wait_collect(aipc_ctx *ctx, uint32_t bell, uint64_t *tokens, uint32_t capacity,
                              uint32_t *count);
/* Makes whoever waits look, as after a death.  Needs no lock. */
void aipc_wait_rouse(aipc_seg *seg);
/* Forsakes all nodes of a participant: at detach and in recovery. */
aipc_status aipc_waits_release(aipc_ctx *ctx, uint32_t slot);
aipc_status aipc_waits_check(aipc_ctx *ctx, aipc_report *report);
/* Reports what is wrong with one queue.  pre: the waits lock.  Returns its length. */
uint32_t aipc_wait_queue_check(aipc_seg *seg, aipc_report *report, const struct aipc_wait_queue *queue);

/* --- who gives up while a stopped process holds the waits lock --- */

/* Leaves a node of this process to the others.  `withdrawn` counts, in the object, what may still be found by a sweep; it
 * is 0 only when there is nothing to be found, whatever died in between. */
void aipc_wait_withdraw(aipc_seg *seg, uint32_t node, uint32_t *withdrawn);
/* Forsakes what was withdrawn from two queues of one object.  A load when there is nothing. */
aipc_status aipc_wait_sweep(aipc_ctx *ctx, struct aipc_wait_queue *waiters, struct aipc_wait_queue *served,
                            uint32_t *withdrawn);

#endif
