/* Line: a place where waiters stand until a condition may hold.
 *
 * The condition itself is somebody else's, in words that are read without a lock.  Two words decide whether a
 * wake-up is owed, in the single order of seq_cst operations:
 *
 *     changer                                  waiter
 *     change the condition   (seq_cst RMW)     stand: node WAITING, asleep = 1   (seq_cst RMW)   // SYNC line-asleep
 *     asleep?                                  the condition holds after all?
 *         wake n                                   leave; else sleep on the bell
 *
 * One of the two sees the other.  `asleep` goes back to 0 only under the waits lock, by who looked at the whole
 * queue and left no node WAITING; a changer that finds 0 owes nobody anything, since every node there is
 * was notified, and whoever is notified looks again.
 *
 * Whoever is woken and finds the condition false goes back to its old place with aipc_line_again, and looks once
 * more before it sleeps.  Whoever leaves, with success or without, while the condition still holds for
 * others, wakes one more: a wake-up may have gone to a waiter that no longer needs it.
 *
 * A death between any two steps is healed by the recovery, after which every waiter looks.  A stopped process that
 * holds the waits lock makes nobody fail: wake and leave then make all waiters look, as after a death.
 *
 * Where a condition is used up by who finds it (permits), whoever has not stood for long may be served before those
 * who sleep; so that nobody starves, it is the head's alone once the head has waited 1 ms:
 *
 *     try:  aipc_line_turn(line, node)?  no: have to wait (again).  Yes: take it, if it is there
 *
 * `ordered` says so.  It is decided anew by each wake and each leave, so what made it true is still owed to the head:
 * either the head was notified and will look, or who leaves before it wakes it.
 *
 *   N1  asleep is 0 => no node of the queue is WAITING, but those that aipc_wait_collect has just handed out
 */
#ifndef AIPC_LINE_H
#define AIPC_LINE_H

#include "waiters.h"

#define AIPC_EVERYBODY UINT32_MAX
#define AIPC_LINE_ORDER_AFTER_NS UINT64_C(1000000)

/* Stands in line.  The caller then looks at its condition before it sleeps.  AIPC_NO_WAITER. */
aipc_status aipc_line_stand(aipc_ctx *ctx, struct aipc_line *line, uint32_t bell, uint64_t token, uint32_t *node);
/* Looked, in vain: goes on waiting.  The caller then looks once more before it sleeps. */
aipc_status aipc_line_again(aipc_ctx *ctx, struct aipc_line *line, uint32_t node);
/* Leaves the line.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_line_leave(aipc_ctx *ctx, struct aipc_line *line, uint32_t node);
/* Wakes the first `count` that sleep.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_line_wake(aipc_ctx *ctx, struct aipc_line *line, uint32_t count);

/* Reports broken invariants of the line's own.  pre: as for waiters in general, see aipc_waits_check. */
aipc_status aipc_line_check(aipc_ctx *ctx, const struct aipc_line *line, aipc_report *report);

/* Whether who stands here as `node`, or who does not stand (AIPC_NO_NODE), may be served now. */
static inline bool aipc_line_turn(const struct aipc_line *line, uint32_t node) {
    if (aipc_load_seq_cst32(&line->ordered) == 0) return true;
    uint32_t head = aipc_load_relaxed32(&line->queue.head);
    return head == AIPC_NO_NODE || head == node;
}

/* After a seq_cst change of the condition: is a wake-up owed? */
static inline bool aipc_line_asleep(const struct aipc_line *line) {
    return aipc_load_seq_cst32(&line->asleep) != 0; /* SYNC line-asleep */
}
/* The same after a change that was no seq_cst operation itself (a redo entry). */
static inline bool aipc_line_asleep_after_redo(struct aipc_line *line) {
    return aipc_fetch_or_seq_cst32(&line->asleep, 0) != 0; /* SYNC line-asleep */
}

#endif
