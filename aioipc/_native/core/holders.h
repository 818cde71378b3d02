/* Who holds what: what every participant has of every object, and of the segment itself.
 *
 * Takes no lock and writes nothing, so it is never in anybody's way, works beside a process that was stopped in the middle
 * of a change, in a segment that is damaged, and in one that is only read.  Each record is true by itself at the moment it
 * is made, as far as bytes that others change can be; together they are no snapshot.  Whatever the bytes say, it comes
 * to an end and stays inside of the segment.
 */
#ifndef AIPC_HOLDERS_H
#define AIPC_HOLDERS_H

#include "types.h"

typedef struct aipc_holder {
    const char *what;     /* static: "lock", "read", "waiting", ... */
    const char *core;     /* static: whose core lock, NULL for all else */
    uint64_t object;      /* offset of the aipc_object; 0: it is no object's */
    uint64_t serial;      /* of the object */
    uint64_t place;       /* offset of the block, wait queue or domain it is about */
    uint64_t amount;      /* so many times, or so many of them */
    uint64_t since;       /* CLOCK_MONOTONIC ns; 0: not known */
    uint64_t pid;         /* 0: its participation is over, and nothing tells any more who it was */
    uint64_t thread;      /* kernel thread id; 0: not known */
    uint32_t slot, generation;
    bool alive;           /* false: dead, whether it was recovered or not */
    uint64_t task[4];     /* as aipc_lock.holder */
} aipc_holder;

/* Fills up to `capacity` records; *count says how many there are. */
void aipc_holders_list(aipc_seg *seg, aipc_holder *holders, uint64_t capacity, uint64_t *count);

/* What is to be said of the object of a record; AIPC_NOT_FOUND when it has gone since. */
typedef struct aipc_held_object {
    aipc_object_ref ref;
    char name[AIPC_NAME_MAX];
    uint32_t name_size;
    uint64_t pins;
} aipc_held_object;
aipc_status aipc_holders_object(aipc_seg *seg, const aipc_holder *holder, aipc_held_object *info);

#endif
