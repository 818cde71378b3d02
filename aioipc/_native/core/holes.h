/* Holes: free memory given back to the system, and fetched again when it is needed.
 *
 * trim turns whole pages of free blocks into holes; an allocation that finds no room gets pages for a hole first.  A
 * page that was given back comes again when it is touched, but not when the filesystem is full: SIGBUS, under the
 * heap's lock.  So nobody touches a hole's pages (layout.h, aipc_hole):
 *
 *     trim          free block -> busy hole (transaction) | pages go | not busy (one store under the heap)
 *     make_room     hole -> busy | pages come, AIPC_FULL when they do not | the beginning of it -> free block (transaction)
 *
 *   H8  each hole is in the list once; hole_bytes and hole_count are their sums
 *   Z4  pages come and go only while the hole is busy with who does it; a busy hole's extent changes by its hand only
 *   Z5  a block that is no hole has its pages, and a hole's header too
 *
 * What a death leaves: a hole that is busy with somebody dead, and so with nobody (its generation has ended, or
 * recovery ends it), some of whose pages are there: the next trim gives them back.  The reserve is never made a hole.
 */
#ifndef AIPC_HOLES_H
#define AIPC_HOLES_H

#include "heap.h"

/* The pages of a hole, in bytes from the segment's base; of the machine's own size, so there may be none. */
typedef struct aipc_span {
    uint64_t from, to;
} aipc_span;
aipc_span aipc_hole_pages(const aipc_block_info *hole);

/* Makes every byte of the segment exist, but those of holes, as far as the object behind `fd` has them not: it was copied.
 * pre: nobody else has the segment, and no transaction is half done.  AIPC_FULL, AIPC_CORRUPT. */
aipc_status aipc_heap_back_all(aipc_seg *seg, int fd);

typedef struct aipc_trim {
    bool again;        /* set by the caller: no new holes; those that there are shall have no pages, so be all zeros */
    uint64_t pass;     /* 0: begins */
    uint64_t offset;   /* of the hole that is busy with us */
    uint64_t from, to; /* its pages */
    uint64_t given;    /* bytes that became holes so far */
} aipc_trim;

/* The next hole whose pages are to go; AIPC_NOT_FOUND: that was all.  AIPC_INVALID: memory of the caller's that is not
 * known to be given back this way (segment.h, lend). */
aipc_status aipc_trim_next(aipc_ctx *ctx, aipc_trim *trim);
/* Between the two: lets the pages go.  Needs no context and no interpreter. */
aipc_status aipc_trim_punch(aipc_seg *seg, const aipc_trim *trim);
/* pre: aipc_trim_next has answered AIPC_OK. */
aipc_status aipc_trim_done(aipc_ctx *ctx, const aipc_trim *trim);

/* Gets pages for a hole, so that a request for a block of `size` bytes may find room; not all at once, when it is large.  AIPC_FULL: no hole
 * would help, or the filesystem has no room.  AIPC_STALLED: a stopped process is at work on
 * the only one that would. */
aipc_status aipc_heap_make_room(aipc_ctx *ctx, uint64_t size, uint64_t alignment);
/* The same without waiting for anybody: AIPC_FULL too when somebody is at work on the only hole that would. */
aipc_status aipc_heap_try_make_room(aipc_ctx *ctx, uint64_t size, uint64_t alignment);

#endif
