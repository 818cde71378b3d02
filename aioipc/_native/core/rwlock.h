/* Read-write lock: many readers, or one writer; and one who may become the writer, beside readers.
 *
 * What a participant holds is one word of its own: how many reads, whether it writes, whether it is the upgradable
 * one.  It counts while its generation is the slot's, so nothing is to be given back for the dead.  Every
 * transition is one change of the own word:
 *
 *     read          nobody writes                       reads + 1
 *     upgradable    nobody writes or is upgradable      upgradable
 *     write         nobody holds anything               writes
 *     upgrade       upgradable, and nobody reads        upgradable -> writes
 *     downgrade     always                              writes -> upgradable, writes -> reads + 1, upgradable -> reads + 1
 *     from a read   nobody writes or is upgradable      reads - 1, upgradable        (others may read)
 *     from a read   nobody else holds anything          reads - 1, writes
 *
 * What takes more than it had happens under the waits lock, but for readers while nobody writes or waits:
 *
 *     reader                                            writer, and who waits; under waits
 *     own word: reads + 1       (RMW)                   gate = WRITER or WAITERS   (exchange)       // SYNC rwlock-gate
 *     gate OPEN?  no:                                   sum up the words
 *         take it back; try under waits
 *
 * One of the two sees the other.  A reader that is stopped before it takes it back reads, as far as others can see.
 *
 * What only lets go needs no lock, so it cannot fail:
 *
 *     who lets go                                       who waits, under waits
 *     own word: less than it was    (RMW)               gate = WAITERS             (exchange)       // SYNC rwlock-gate
 *     gate WAITERS?                                     sum up the words
 *         tell                                              sleep
 *
 * To tell: under waits, notify those whose turn it is now.  All that decides is the words and the queues, and whoever
 * changes them tells; so no wake-up is owed to anybody who does not use it.  Where telling is impossible (the waits lock
 * is a stopped process's; a fast path, which has no context) everybody is made to look, as after a death.
 * A death between letting go and telling is healed by the recovery in the same way; a stop there delays the others.
 *
 * Whose turn: nobody comes before anybody with whom it may share.
 * Writers first (fair = 0): whoever wants to read waits while a writer or an upgrade waits.  Among those who want to
 * write or be upgradable: the oldest; a running process may be faster than one that has waited for less than 1 ms.
 * fair = 1: whoever has waited longest comes first, readers that stand together come together.
 * An upgrade goes before all others.  Who turns a hold into another one without waiting comes before all who wait.
 *
 * A dead writer's word says that what it protected may be half-written: `abandoned` is set when it is found, and
 * stays set until a writer lets go (by a downgrade too).
 *
 *   X1  at most one living word writes or is upgradable
 *   X2  somebody waits => gate is WAITERS; a living word writes => gate is not OPEN (except inside the waits lock)
 *   X3  fair and abandoned are 0 or 1
 */
#ifndef AIPC_RWLOCK_H
#define AIPC_RWLOCK_H

#include "waiters.h"

typedef enum { AIPC_READ, AIPC_WRITE, AIPC_UPGRADABLE, AIPC_UPGRADE } aipc_rwlock_want; /* an index of `waiters` */

/* Payload bytes of one in a segment with so many participants. */
static inline uint64_t aipc_rwlock_object_size(uint32_t participants) {
    return sizeof(struct aipc_rwlock) + participants * (uint64_t)sizeof(uint64_t);
}
/* Fills the first sizeof *image bytes of an image that is zero. */
void aipc_rwlock_init(struct aipc_rwlock *image, bool fair);

/* Takes it if that needs no waiting and nobody comes first.  AIPC_AGAIN.  UPGRADE: AIPC_NOT_OWNER unless this process is
 * the upgradable one.  READ: AIPC_FULL when this process reads 2^30 - 1 times. */
aipc_status aipc_rwlock_try(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want);
/* A read while nobody writes or waits: needs no context.  False: ask aipc_rwlock_try. */
bool aipc_rwlock_read_fast(aipc_seg *seg, struct aipc_rwlock *rw);
/* aipc_rwlock_try, after making sure that those in the way (holding, or first in line) are alive.  A system call for each
 * of them. */
aipc_status aipc_rwlock_try_recover(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want);

/* Stands in line.  AIPC_OK: got it at once (no node).  AIPC_AGAIN: *node waits.  `barge`: may be served before others
 * that have not waited for long (the caller has no waiter of its own before this one).  Otherwise as aipc_rwlock_try. */
aipc_status aipc_rwlock_wait(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t bell, uint64_t token,
                             bool barge, uint32_t *node);
/* After a wake-up, or at any time.  AIPC_OK: got it, the node is gone.  AIPC_AGAIN: wait on.  Whatever else (UPGRADE:
 * AIPC_NOT_OWNER, another task let go of the upgradable hold) leaves the node, to be cancelled. */
aipc_status aipc_rwlock_look(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node);
/* Gives up waiting.  Does not fail because somebody is stopped, or for a signal. */
aipc_status aipc_rwlock_cancel(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node);

/* Lets go of a READ, WRITE or UPGRADABLE hold.  AIPC_NOT_OWNER: this process has none of that kind.  It is given back in
 * every other case, whatever is returned: AIPC_OK, or AIPC_CORRUPT from telling the others.  Not cut short by signals. */
aipc_status aipc_rwlock_release(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want held);
/* The same for a READ nobody waits behind: needs no context.  False: ask aipc_rwlock_release. */
bool aipc_rwlock_release_read_fast(aipc_seg *seg, struct aipc_rwlock *rw);

/* Turns one hold of this process into another without waiting; AIPC_NOT_OWNER, AIPC_AGAIN (the hold is unchanged).
 * Always possible, as a release: WRITE to UPGRADABLE, WRITE to READ, UPGRADABLE to READ; at no instant is less held than
 * afterwards.  Perhaps, after making sure that those in the way are alive: UPGRADABLE to WRITE, READ to UPGRADABLE, READ to
 * WRITE.  Others are AIPC_INVALID. */
aipc_status aipc_rwlock_convert(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want from, aipc_rwlock_want to);

/* After the object's destruction: every waiter wakes, to find that out. */
aipc_status aipc_rwlock_close(aipc_ctx *ctx, struct aipc_rwlock *rw);

typedef struct aipc_rwlock_stats {
    uint32_t readers;              /* reads held by the living */
    uint32_t my_reads;             /* of them, by this process */
    bool writing, upgradable;      /* by a living process */
    bool mine;                     /* that one is this process */
    bool abandoned;
    uint64_t owner_pid;            /* of who writes or is upgradable; 0: nobody */
    uint32_t waiters[4], contended, takeovers;
} aipc_rwlock_stats;
/* Without a lock: each number is right by itself. */
void aipc_rwlock_stats_get(aipc_seg *seg, const struct aipc_rwlock *rw, aipc_rwlock_stats *stats);

aipc_status aipc_rwlock_check(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_report *report);

#endif
