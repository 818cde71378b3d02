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
 * who sleep.  So that nobody starves, one permit is set aside for the head once it has waited 1 ms (`ordered`):
 *
 *     try:  more there than aipc_line_reserved(line, node)?  no: have to wait (again).  Yes: take one
 *
 * One, not all: a head that is stopped, or busy, costs one permit, as a lock that was handed over does.  Nobody who
 * could be served sleeps on, unless a wake-up went to one that does not run (docs/design/failure-model.md).  Say that
 * something is owed while somebody has yet to look, to wake, or to leave:
 *
 *   - what there is grows: its changer wakes as many, the head before all others.
 *   - the head fails only when nothing is left.  Others fail when what is left is the head's, and that is owed: the head
 *     has not looked since it came, or it would have taken it.
 *   - what is set aside shrinks only when the head changes (`since` does not): the head left, and who leaves wakes the
 *     next while anything is left; or it died, or withdrew, and all look.
 *   - a waiter's second look follows asleep = 1, made under the lock under which heads change.  So it sees the new head,
 *     or who made it one sees it asleep.
 *
 * What is set aside for a dead head is so until it is recovered: waiters notice (watch.h), who does not wait calls
 * aipc_line_recover.  Whoever is refused it wakes the head, since who put it there may be stopped: aipc_line_wake_head.
 *
 * `ordered` is written under the waits lock by whoever wakes, leaves or goes on waiting; and to 0 by
 * who withdraws.  Wrong, it makes somebody early or one look vain, never late.
 *
 *   N1  asleep is 0 => no node of the queue is WAITING, but those that aipc_wait_collect has just handed out
 */
#ifndef AIPC_LINE_H
#define AIPC_LINE_H

#include "waiters.h"

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

/* How much is set aside for others, to who stands here as `node`, or does not stand (AIPC_NO_NODE): 0 or 1. */
static inline uint64_t aipc_line_reserved(const struct aipc_line *line, uint32_t node) {
    if (aipc_load_seq_cst32(&line->ordered) == 0) return 0;
    uint32_t head = aipc_load_relaxed32(&line->queue.head);
    return head != AIPC_NO_NODE && head != node;
}
/* Wakes who stands first, and nobody else.  Whoever is refused what is set aside owes it that: who put it there may have been
 * stopped before it could wake anybody. */
aipc_status aipc_line_wake_head(aipc_ctx *ctx, struct aipc_line *line);
/* Makes sure that whom something is set aside for lives.  One system call while somebody stands. */
aipc_status aipc_line_recover(aipc_ctx *ctx, const struct aipc_line *line);

/* After a seq_cst change of the condition: is a wake-up owed? */
static inline bool aipc_line_asleep(const struct aipc_line *line) {
    return aipc_load_seq_cst32(&line->asleep) != 0; /* SYNC line-asleep */
}
/* The same after a change that was no seq_cst operation itself (a redo entry). */
static inline bool aipc_line_asleep_after_redo(struct aipc_line *line) {
    return aipc_fetch_or_seq_cst32(&line->asleep, 0) != 0; /* SYNC line-asleep */
}

#endif
