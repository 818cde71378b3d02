/* Which free block a request is given: find_for. */
#ifndef AIPC_HEAP_FIND_H
#define AIPC_HEAP_FIND_H

#include "heap_bins.h"

/* How many blocks of a large bin are looked at before taking the best of them.  Measured: 4 waste 0.6 %
 * more than 16 with 10,000 live blocks of 16 to 4,096 bytes. */
enum { BEST_OF = 4 };

typedef struct request {
    uint64_t size;      /* of the block, header included */
    uint64_t alignment; /* of the payload, a power of two */
    uint64_t limit;     /* it may use nothing beyond this offset */
} request;

INLINE uint64_t beyond(uint64_t end, uint64_t limit) { return end > limit ? end - limit : 0; }

/* Bytes to leave free before the payload is aligned: none, or room for a block. */
INLINE uint64_t front_gap(uint64_t alignment, uint64_t offset) {
    if (alignment <= AIPC_ALIGNMENT) return 0;
    uint64_t gap = -(offset + AIPC_BLOCK_OVERHEAD) & (alignment - 1);
    return gap == 0 || gap >= AIPC_BLOCK_MIN ? gap : gap + alignment;
}

/* The end of the best of the first `limit` blocks of a bin, by their footers (who takes one checks it);
 * 0 when none fits. */
bool aipc_heap_best_of_bin(view v, uint32_t bin, request want, uint64_t limit, uint64_t *best);
/* tlsf and seq_fit (heap.h). */
bool aipc_heap_find_first(view v, request want, uint64_t *best);
bool aipc_heap_find_in_order(view v, request want, uint64_t *best);
/* Looks at every block from bin `first` on: before giving up only. */
bool aipc_heap_search_all(view v, uint32_t first, request want, uint64_t *best);
/* In the reserve, as much of it as is for such a block. */
bool aipc_heap_find_kept(view v, request want, uint32_t flags, uint64_t *best);

INLINE bool bin_is_marked(view v, uint32_t bin) {
    return (aipc_load_relaxed64(&v.seg->heap->map[bin / 64]) >> bin % 64 & 1) != 0;
}

/* The first non-empty bin from `bin` on, AIPC_BINS when there is none: H6 makes it two looks. */
INLINE bool next_bin(view v, uint32_t bin, uint32_t *found) {
    const struct aipc_heap *heap = v.seg->heap;
    *found = AIPC_BINS;
    if (bin >= AIPC_BINS) return true;
    uint64_t bits = aipc_load_relaxed64(&heap->map[bin / 64]) >> bin % 64;
    if (bits != 0) {
        *found = bin + (uint32_t)__builtin_ctzll(bits);
        return true;
    }
    uint64_t above = aipc_load_relaxed64(&heap->summary) & (~UINT64_C(1) << bin / 64);
    if (above == 0) return true;
    uint32_t index = (uint32_t)__builtin_ctzll(above);
    bits = index < AIPC_BINS / 64 ? aipc_load_relaxed64(&heap->map[index]) : 0;
    if (bits == 0) return wrong(v, BAD_MAP, place(v, &heap->summary), above, 0);
    *found = index * 64 + (uint32_t)__builtin_ctzll(bits);
    return true;
}

/* The end of the first block of the next bin from `bin` on, where everything fits but what the limit cuts short: the
 * reserve is one block, or few.  0 when there is none. */
INLINE bool first_above(view v, uint32_t bin, request want, uint64_t *first) {
    for (*first = 0; *first == 0; bin++) {
        if (!next_bin(v, bin, &bin)) return false;
        if (bin == AIPC_BINS) break;
        uint64_t end = aipc_load_relaxed64(&v.seg->heap->bins[bin]);
        if (!is_end(v, end)) return wrong(v, BAD_RANGE, place(v, &v.seg->heap->bins[bin]), end, v.end);
        uint64_t size = get(v, end - FOOTER);
        if (size >= want.size + front_gap(want.alignment, end - size) + beyond(end, want.limit)) *first = end;
    }
    return true;
}

/* The end of the best block at hand, 0 when there is none: of the request's own bin, else the first of the
 * next bin where everything fits. */
INLINE bool find(view v, request want, uint64_t *best) {
    if (v.seg->algorithm == AIPC_TLSF) return aipc_heap_find_first(v, want, best);
    if (v.seg->algorithm == AIPC_SEQ_FIT) return aipc_heap_find_in_order(v, want, best);
    uint32_t own = bin_of(v.seg, want.size), last = own; /* any block of a bin above `last` fits */
    if (want.alignment > AIPC_ALIGNMENT) last = bin_of(v.seg, want.size + want.alignment + AIPC_ALIGNMENT);

    *best = 0;
    if (bin_is_marked(v, own) && !aipc_heap_best_of_bin(v, own, want, BEST_OF, best)) return false;
    if (*best != 0) return true;
    if (!first_above(v, last + 1, want, best)) return false;
    return *best != 0 || aipc_heap_search_all(v, own, want, best);
}

/* The end of a free block that `want` (its limit is set here) can be cut out of, 0 when there is none.  `flags`: of the
 * request (heap.h), for what it may use of the reserve. */
INLINE bool find_for(view v, request want, uint32_t flags, uint64_t *best) {
    want.limit = v.end - aipc_heap_reserve(v.end - v.seg->heap_begin, v.seg->participants);
    if (!find(v, want, best)) return false;
    return *best != 0 || (flags & AIPC_RESERVE) == 0 || aipc_heap_find_kept(v, want, flags, best);
}

#endif
