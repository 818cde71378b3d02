/* Room: where they wait for whose block the heap has no room.
 *
 * Whether there is enough can only be found out by trying, under the heap's lock.  Whoever makes room, by freeing or by
 * growing, does so under that lock too, and afterwards looks whether somebody sleeps:
 *
 *     makes room                               waits
 *     lock the heap; free; unlock              stand: node WAITING, asleep = 1
 *     asleep?                                  its turn? lock the heap; allocate; unlock
 *         wake the first                           leave; else sleep on the bell
 *
 * No wake-up is lost, since the heap's lock puts the two in an order.  Either the block was freed before the waiter looked,
 * which then finds it; or the waiter looked first: asleep = 1 < its lock < the freer's lock < the freer's look at `asleep`,
 * in the single order of seq_cst operations, and the freer sees it.  `asleep` goes back to 0 as in every line (line.h, N1):
 * when no node is left that has not been notified, and whoever was notified looks again, after another asleep = 1.
 *
 * First come first served: it is somebody's turn when nobody before it will look.  So a small request does not overtake a
 * large one that came first, however long that waits; aipc_heap_allocate does not ask, and may.  That it is somebody's turn
 * changes when a node before it goes, under the waits lock: whoever leaves wakes the first, also with success and also when
 * nothing was freed, since what it left over may be enough; a dead one's nodes go with its recovery, after which
 * all look.  Only those look in vain for whom there is not enough.
 *
 * A process that does not run is waited for by nobody: who was woken and has not looked for a fifth of seg->stall_ns (1 s),
 * is passed over, and keeps its place.  Nobody rings when that time is over: the next free wakes the next in line, and
 * blocked threads look by themselves.
 *
 * A free wakes at most one, and one that was woken is not woken again before it has looked: a thousand frees in a row are one wake-up.
 */
#ifndef AIPC_ROOM_H
#define AIPC_ROOM_H

#include "line.h"

/* Whether who stands as `node` may try to allocate; AIPC_NO_NODE: whoever does not stand, and waits for nobody.  AIPC_AGAIN:
 * it is somebody else's turn. */
aipc_status aipc_room_turn(aipc_ctx *ctx, uint32_t node);
/* The same for who does not want to stand, after making sure that those who do live.  A system call for each of them. */
aipc_status aipc_room_turn_recover(aipc_ctx *ctx);
/* Stands in line, as aipc_line_stand.  The caller then looks once more: turn, allocate. */
aipc_status aipc_room_stand(aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node);
/* Looked, in vain: goes on waiting.  The caller then looks once more before it sleeps. */
aipc_status aipc_room_again(aipc_ctx *ctx, uint32_t node);
/* Leaves the line and wakes the next.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_room_leave(aipc_ctx *ctx, uint32_t node);

/* Wakes whoever is first to look.  Does not fail because somebody is stopped, or for a signal. */
void aipc_room_wake(aipc_ctx *ctx);
/* To be called by whoever has made room, with free blocks or with a larger heap: once that can be allocated, and with no
 * domain held.  One load when nobody sleeps. */
static inline void aipc_room_made(aipc_ctx *ctx) {
    if (aipc_line_asleep(&ctx->seg->heap->line)) aipc_room_wake(ctx);
}

/* How many wait. */
uint32_t aipc_room_waiters(const aipc_seg *seg);
aipc_status aipc_room_check(aipc_ctx *ctx, aipc_report *report);

#endif
