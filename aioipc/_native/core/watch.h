/* Watching the others: how a process that waits learns of a death at once, without polling.
 *
 * One nested epoll descriptor per process holds a write end of every other participant's bell 0; it
 * becomes readable when one hangs up.  A hang-up is a hint: the participant is a suspect until its OFD
 * lock says dead (then it is recovered here) or its generation is over (somebody else did).  A
 * suspect that still looks alive is tested again a little later: the kernel closes a dying process's
 * FIFOs and drops its locks in no fixed order.
 */
#ifndef AIPC_WATCH_H
#define AIPC_WATCH_H

#include "bells.h"

/* The descriptor to put into an event loop or a poll.  Made on first use. */
aipc_status aipc_watch_open(aipc_seg *seg, int *fd);
/* Starts watching participants that attached since the last call.  Cheap when there are none. */
aipc_status aipc_watch_refresh(aipc_seg *seg);
/* Handles hang-ups and suspects.  While suspects are left the descriptor becomes readable again after 1 ms, growing to
 * 50, also when this fails: nobody else needs to keep a time. */
aipc_status aipc_watch_collect(aipc_ctx *ctx);
/* Moves whenever a participant has been found dead: whoever waits looks again at what it waits for. */
static inline uint32_t aipc_watch_epoch(const aipc_seg *seg) {
    return aipc_load_seq_cst32(&seg->header->recoveries) + aipc_load_seq_cst32(&seg->deaths_seen);
}

#endif
