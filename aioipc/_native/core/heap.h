/* The heap: boundary tags, three ways to find a free block, every word logged.
 *
 * A block is a header word followed by its payload (layout.h).  Invariants, named in the code, the
 * checks and docs/design/concurrency.md:
 *
 *   H1  every header's tag is that of its offset, size and flags
 *   H2  the blocks from heap_begin to the sentinel lie end to end, each a multiple of 16, >= 32
 *   H3  free blocks never touch
 *   H4  PREV_USED says the truth; a free block's footer is its size
 *   H5  every free block stands in exactly one bin, that of its size; bin lists are doubly linked.  seq_fit has
 *       one list, in the first bin, and it is sorted by address
 *   H6  map and summary have a bit set exactly for the bins that are not empty
 *   H7  free_bytes and used_blocks are what a walk finds (a hole is a used block here)
 *   H8  holes are in one list: holes.h
 *
 * Bins: exact sizes up to 1,024 bytes, then eight bins per power of two.  The smallest non-empty larger bin is found
 * through map and summary: O(1) in the number of blocks.  The algorithm is the segment's for life:
 *
 *   best_fit   within a large bin the best of the first few is taken, the whole bin searched only before giving up
 *   tlsf       the first block of a bin where everything fits; before giving up, the first of each other bin: O(1)
 *              always, and so it may give up though one of those behind the first would have fitted
 *   seq_fit    the first block that fits, from the beginning of the heap on: O(number of free blocks), and so is freeing
 *
 * The reserve: what frees memory may need some first (a record of a handle, the item of a lease), so the last bytes of
 * the heap are kept from all else, in one piece and not by their number, which crumbs would use up.  An ordinary
 * request takes nothing of it, the 16 bytes of a crumb apart.
 *
 * All functions take the heap's lock themselves; none may be called while any domain is held.
 * After: Knuth's boundary tags, D. Lea's dlmalloc (checked unlink), TLSF (two-level bitmap).
 */
#ifndef AIPC_HEAP_H
#define AIPC_HEAP_H

#include "domain.h"
#include "report.h"

enum { AIPC_BLOCK_MIN = 32, AIPC_BLOCK_OVERHEAD = 8, AIPC_ALIGNMENT = 16 };
enum { AIPC_BLOCK_SLACK = 48 }; /* a block has fewer bytes than this more than were asked for */
/* Among the flags of a request, not of a block: it may use the reserve when there is nothing else. */
enum { AIPC_RESERVE = 16 };

/* Makes [begin, end) of a new segment one free block.  pre: nobody else has the segment. */
void aipc_heap_format(aipc_seg *seg, uint64_t begin, uint64_t end);

/* Allocates at least `size` bytes (0 counts as 1); *payload is a multiple of `alignment`, which is a power of
 * two (<= 16 costs nothing).  `flags`: whose it is (layout.h), 0 for a user's own; and AIPC_RESERVE: all
 * of it for an INTERNAL block, but for a share that is left to those for any other.
 * `orphan`: when not NULL, a word of the caller's own context that receives the payload's offset in
 * the same transaction, so that the block is freed if the caller dies before it is linked anywhere.
 * AIPC_FULL, AIPC_INVALID (alignment), AIPC_CORRUPT, and what aipc_domain_lock returns. */
aipc_status aipc_heap_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint32_t flags,
                               uint64_t *orphan, uint64_t *payload);

/* Frees a block of any kind and, in the same transaction, sets *orphan to 0 (when not NULL).
 * `forbidden`: flags the block must not have (AIPC_INTERNAL from deallocate): AIPC_INVALID then.
 * A payload offset that is no used block's is AIPC_INVALID when nothing contradicts the heap's own
 * data, AIPC_CORRUPT otherwise. */
aipc_status aipc_heap_free(aipc_ctx *ctx, uint64_t payload, uint32_t forbidden, uint64_t *orphan);

/* The heap of [.., from) goes on to `to`, and with it header.size.  pre: the bytes are there, and it is the caller's turn
 * (grow.h). */
aipc_status aipc_heap_extend(aipc_ctx *ctx, uint64_t from, uint64_t to);
/* Cuts off what is free at its end, but for the reserve.  pre: nobody else has the segment. */
aipc_status aipc_heap_shrink(aipc_ctx *ctx);
/* Bytes that are missing from the end of the heap for it to have its reserve there, when that end is all there is. */
uint64_t aipc_heap_wanting(aipc_ctx *ctx);

/* Whether all of these bytes can be read without a signal: a number of anybody's may lead into a hole (holes.h), whose
 * pages may not come again.  Costs nothing while there are no holes.  pre: aipc_at(seg, offset, size). */
bool aipc_heap_backed(const aipc_seg *seg, uint64_t offset, uint64_t size);
/* The same of the header of a block whose payload may be any number: a handle that somebody has kept. */
bool aipc_heap_may_read(aipc_seg *seg, uint64_t payload);
/* The same for many, some at a time; *freed says how many, when the next one could not be. */
aipc_status aipc_heap_free_many(aipc_ctx *ctx, const uint64_t *payloads, uint64_t count, uint32_t forbidden,
                                uint64_t *freed);
/* Frees the blocks of the chain in an orphan word (AIPC_ORPHAN_CHAIN), one transaction each. */
aipc_status aipc_heap_free_chain(aipc_ctx *ctx, uint64_t *orphan);

/* Many blocks as a chain in *orphan[0], which has to be 0 as *orphan[1] does, so that a death frees all of them;
 * payloads[i] gets at least sizes[i] bytes, or sizes[0] when `equal`.  Whatever it returns, the chain is then the
 * caller's: to free, or to hand over by setting *orphan[0] to 0.  Else as aipc_heap_allocate. */
typedef struct aipc_many {
    const uint64_t *sizes;
    bool equal;
    uint64_t count, alignment;
    uint64_t *payloads;
} aipc_many;
aipc_status aipc_heap_allocate_many(aipc_ctx *ctx, const aipc_many *many, uint64_t *const orphan[2]);

/* Another size for a block, where it is: out of the free block behind it, or the one before it.  At least `minimum` bytes,
 * and `preferred` ones if they are there; already larger ones are given back with AIPC_SHRINK only.  An owned block does not
 * grow backward.
 *   AIPC_OK     it has `usable` bytes now
 *   AIPC_AGAIN  grown backward: the first `contents` bytes are to be copied from `payload` to `front`, a block that stands in
 *               *orphan, then aipc_heap_resize_end makes both one.  Not at all when the front has no room for all of them.
 *   AIPC_FULL   nothing changed; `usable` is what there could be
 * and else as aipc_heap_free. */
enum { AIPC_GROW_FORWARD = 1u, AIPC_GROW_BACKWARD = 2u, AIPC_SHRINK = 4u };
typedef struct aipc_resizing {
    uint64_t payload, minimum, preferred, contents;
    uint32_t ways, forbidden; /* forbidden: as for aipc_heap_free */
    uint64_t front, usable;   /* results */
} aipc_resizing;
aipc_status aipc_heap_resize(aipc_ctx *ctx, aipc_resizing *r, uint64_t *orphan);
aipc_status aipc_heap_resize_end(aipc_ctx *ctx, aipc_resizing *r, uint64_t *orphan);

/* Writes zeros over free memory: the free block that comes first behind the one in *mine (0: the first of all) and is too
 * large to be zeroed in the lock is put, or a piece of it, into *next and *size says how much of it the caller is to zero; smaller
 * ones on the way are zeroed here.  The block in *mine is freed.  0 in *next: that was the last. */
aipc_status aipc_heap_zero_next(aipc_ctx *ctx, uint64_t *mine, uint64_t *next, uint64_t *size);

/* Usable bytes of a used block and its flags.  Takes no lock: for handles whose owner keeps them alive. */
aipc_status aipc_heap_size_of(aipc_seg *seg, uint64_t payload, uint64_t *size, uint32_t *flags);

/* Payload bytes of the largest ordinary block that a heap which has grown to max_size, and is empty but for its first
 * `kept` bytes of payload, could have; 0 for an alignment that is none. */
uint64_t aipc_heap_most(const aipc_seg *seg, uint64_t kept, uint64_t alignment);

typedef struct aipc_heap_stats {
    uint64_t total_bytes;  /* from heap_begin to the sentinel */
    uint64_t free_bytes;   /* sum of the sizes of all free blocks and holes, headers included, without the reserve */
    uint64_t hole_bytes;   /* of them in holes */
    uint64_t largest_free; /* the largest ordinary request that would succeed now, in bytes */
    uint64_t used_blocks;
} aipc_heap_stats;
aipc_status aipc_heap_stats_get(aipc_ctx *ctx, aipc_heap_stats *stats);

/* Visits every block in address order under the lock: for checks and maps.  `visit` returns false to
 * stop.  pre: the heap is sound (aipc_heap_check). */
typedef struct aipc_block_info {
    uint64_t payload, size; /* size: whole block, header included */
    uint32_t flags;
} aipc_block_info;
aipc_status aipc_heap_walk(aipc_ctx *ctx, bool (*visit)(void *arg, const aipc_block_info *block), void *arg);
/* The same.  pre: the heap's lock is held, by whomever. */
aipc_status aipc_heap_walk_held(aipc_seg *seg, bool (*visit)(void *arg, const aipc_block_info *block), void *arg);

/* Walks everything and reports each broken invariant H1-H8.  Terminates on any bytes whatever.
 * Takes the heap's lock for the length of the walk. */
aipc_status aipc_heap_check(aipc_ctx *ctx, aipc_report *report);

/* Internals shared with heap_check.c. */
uint64_t aipc_heap_header(const aipc_seg *seg, uint64_t offset, uint64_t size, uint32_t flags);
uint32_t aipc_heap_bin_of(const aipc_seg *seg, uint64_t size);
/* Bytes of the reserve, and of the share of it that is left to INTERNAL blocks, of a heap of so many bytes in a segment
 * with so many participants. */
static inline uint64_t aipc_heap_reserve(uint64_t heap, uint32_t participants) {
    uint64_t most = 4096 + 64 * (uint64_t)participants, share = heap / 32;
    return (share < most ? share : most) & ~UINT64_C(15);
}
static inline uint64_t aipc_heap_record_share(uint64_t reserve, uint32_t participants) {
    uint64_t most = 64 * (uint64_t)participants, half = reserve / 2;
    return (half < most ? half : most) & ~UINT64_C(15);
}
static inline uint64_t aipc_block_size(uint64_t header) { return header & UINT64_C(0x00007ffffffffff0); }
static inline uint32_t aipc_block_flags(uint64_t header) {
    return (uint32_t)(header & 15) | (uint32_t)(header >> 47 & 1) * AIPC_HOLE;
}

#endif
