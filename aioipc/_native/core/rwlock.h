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
 * All of it happens under the waits lock, but for readers while nobody else is there:
 *
 *     reader                                            everybody else, under waits
 *     own word: reads + 1       (RMW)                   gate = 1            (exchange)          // SYNC rwlock-gate
 *     gate?                                             sum up the words
 *         take it back; do it under waits
 *
 * One of the two sees the other.  The gate is 0 only while nobody waits, writes or is upgradable.
 *
 * Writers first (fair = 0): whoever wants to read waits while a writer or an upgrade waits.  Among those who want to
 * write or be upgradable: the oldest; a running process may be faster than one that has waited for less than 1 ms.
 * fair = 1: whoever has waited longest comes first, readers that stand together come together.
 * An upgrade goes before all others.
 *
 * A dead writer's word says that what it protected may be half-written: `abandoned` is set when it is found, and
 * stays set until a writer lets go.
 *
 *   X1  at most one living word writes or is upgradable
 *   X2  somebody waits, or lives and writes or is upgradable => gate is 1 (except inside the waits lock)
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

/* Takes it if that needs no waiting and nobody came first.  AIPC_AGAIN.  UPGRADE: AIPC_NOT_OWNER unless this process is
 * the upgradable one. */
aipc_status aipc_rwlock_try(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want);
/* A read while nobody but readers is there: needs no context.  False: ask aipc_rwlock_try. */
bool aipc_rwlock_read_fast(aipc_seg *seg, struct aipc_rwlock *rw);
/* aipc_rwlock_try, after making sure that holders in the way are alive.  A system call for each process that is in the way. */
aipc_status aipc_rwlock_try_recover(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want);

/* Stands in line.  AIPC_OK: got it at once (no node).  AIPC_AGAIN: *node waits.  `barge`: may be served before others
 * that have not waited for long (the caller has no waiter of its own before this one). */
aipc_status aipc_rwlock_wait(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t bell, uint64_t token,
                             bool barge, uint32_t *node);
/* After a wake-up, or at any time.  AIPC_OK: got it, the node is gone.  AIPC_AGAIN: wait on. */
aipc_status aipc_rwlock_look(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node);
/* Gives up waiting.  Does not fail because somebody is stopped. */
aipc_status aipc_rwlock_cancel(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node);

/* Lets go of a READ, WRITE or UPGRADABLE hold.  AIPC_NOT_OWNER: this process has none of that kind.  It is given back in
 * every other case, whatever is returned. */
aipc_status aipc_rwlock_release(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want held);
/* The same for a READ nobody waits behind: needs no context.  False: ask aipc_rwlock_release. */
bool aipc_rwlock_release_read_fast(aipc_seg *seg, struct aipc_rwlock *rw);

/* Turns one hold of this process into another without waiting; AIPC_NOT_OWNER, AIPC_AGAIN (the hold is unchanged).
 * Always possible: WRITE to UPGRADABLE, WRITE to READ, UPGRADABLE to READ.  Perhaps: UPGRADABLE to WRITE, READ to
 * UPGRADABLE, READ to WRITE.  Others are AIPC_INVALID. */
aipc_status aipc_rwlock_convert(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want from, aipc_rwlock_want to);

/* After the object's destruction: every waiter wakes. */
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
