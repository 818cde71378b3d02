/* Status codes: what every fallible function of the core returns.
 *
 * The binding turns them into exceptions through one table (aioipc/_native/_core.pyx).  No function
 * aborts, prints or sets errno as a side channel; AIPC_SYSTEM leaves errno in aipc_seg.error. */
#ifndef AIPC_STATUS_H
#define AIPC_STATUS_H

typedef enum {
    AIPC_OK = 0,
    AIPC_AGAIN,          /* would have to wait for another process's decision */
    AIPC_FULL,           /* no block large enough */
    AIPC_EXISTS,         /* the name is taken */
    AIPC_NOT_FOUND,      /* no such name or object */
    AIPC_PENDING,        /* another's atomic block is about to have done something to it */
    AIPC_TYPE_MISMATCH,  /* the object is of another type */
    AIPC_INVALID,        /* an argument is outside its range; nothing was changed */
    AIPC_NOT_OWNER,      /* the caller does not hold what it tries to give back */
    AIPC_CLOSED,         /* the object was destroyed, or the attachment closed */
    AIPC_BROKEN,         /* the barrier is broken, or was reset while one waited */
    AIPC_SHUT_DOWN,      /* the queue takes no more messages, and to a taker: has none left */
    AIPC_FORKED,         /* the attachment belongs to the parent process: attach again */
    AIPC_CORRUPT,        /* the segment's own data contradicts itself; aipc_seg.fault says where */
    AIPC_INCOMPATIBLE,   /* not a segment, or one of another version or layout */
    AIPC_STALLED,        /* a stopped process has held a core lock too long; aipc_seg.fault names it */
    AIPC_NO_SLOT,        /* every participant slot is taken by a living process */
    AIPC_NO_WAITER,      /* the wait-node slab, or this process's bells, are used up */
    AIPC_INTERRUPTED,    /* the idle callback asked to stop (a signal handler raised) */
    AIPC_GONE,           /* the segment was marked dead by its last user: open it again by name */
    AIPC_SYSTEM          /* a system call failed; aipc_seg.error has errno */
} aipc_status;

#endif
