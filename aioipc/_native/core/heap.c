#include "heap.h"

/* How many blocks of a large bin are looked at before taking the best of them. */
enum { BEST_OF = 16 };

/* A free block is known by its end, the offset of the header behind it: bins and links name ends.  What
 * is cut from a block's front, or joined to it there, then leaves its place in the list alone.
 *     header | ... | next | prev | footer (size) | header of the next block */
enum { NEXT = 24, PREV = 16, FOOTER = 8 };

static const char BAD_RANGE[] = "H2 block outside the heap";
static const char BAD_TAG[] = "H1 block tag";
static const char BAD_SIZE[] = "H2 block size";
static const char BAD_TOUCH[] = "H3 free blocks touch";
static const char BAD_PREV_USED[] = "H4 PREV_USED is wrong";
static const char BAD_FOOTER[] = "H4 free block's footer";
static const char BAD_BIN[] = "H5 block in a bin not its own";
static const char BAD_LINK[] = "H5 links of a bin contradict each other";
static const char BAD_LENGTH[] = "H5 a bin's list does not end";
static const char BAD_MAP[] = "H6 map and bins disagree";
static const char BAD_COUNT[] = "H7 counters";

/* What an operation knows of the locked heap.  Its transaction is a variable of its own whose address goes
 * nowhere but to inlined functions, so that it lives in registers: half the time of a small pair. */
typedef struct view {
    aipc_ctx *ctx;
    aipc_seg *seg;
    uint8_t *base;
    struct aipc_heap *heap;
    uint64_t begin, end; /* of the first block's and of the sentinel's header; checked */
    uint64_t seed;
} view;

#define INLINE static inline __attribute__((always_inline))

/* ---- headers -----------------------------------------------------------------------------------
 * The tag is the top of a product.  A change of one byte below it moves the product by e * 2^8j *
 * MULTIPLIER, |e| < 256, and for this multiplier that is never within 2^48 of 0 (tests/native/test_heap.c
 * tries them all): so every damaged byte of a header shows. */
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)
#define OFFSET_MULTIPLIER UINT64_C(0xd1b54a32d192ed03)
#define TAG_MASK UINT64_C(0xffff000000000000)

INLINE uint64_t tagged(uint64_t seed, uint64_t offset, uint64_t low) {
    return (((low ^ offset * OFFSET_MULTIPLIER ^ seed) * MULTIPLIER) & TAG_MASK) | low;
}

uint64_t aipc_heap_header(const aipc_seg *seg, uint64_t offset, uint64_t size, uint32_t flags) {
    return tagged(seg->seed, offset, size | flags);
}

INLINE uint32_t bin_of(uint64_t size) {
    if (size <= 1024) return (uint32_t)(size / 16) - 1;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(size);
    return AIPC_SMALL_BINS + (power - 10) * 8 + (uint32_t)(size >> (power - 3) & 7);
}
uint32_t aipc_heap_bin_of(uint64_t size) { return bin_of(size); }

/* Records what contradicts itself; false, for who gives up because of it. */
__attribute__((cold, noinline)) static void record(const view *v, const char *what, uint64_t where,
                                                   uint64_t found, uint64_t expected) {
    (void)aipc_corrupt(v->seg, what, v->base + where, found, expected);
}
INLINE bool wrong(const view *v, const char *what, uint64_t where, uint64_t found, uint64_t expected) {
    record(v, what, where, found, expected);
    return false;
}

/* pre: `offset` was checked to lie in the heap, or is that of one of the heap's fields. */
INLINE uint64_t *word(const view *v, uint64_t offset) { return (uint64_t *)(void *)(v->base + offset); }
INLINE uint64_t get(const view *v, uint64_t offset) { return aipc_load_relaxed64(word(v, offset)); }
INLINE void set(const view *v, aipc_tx *tx, uint64_t offset, uint64_t value) {
    aipc_tx_set(tx, word(v, offset), value);
}
INLINE void set_header(const view *v, aipc_tx *tx, uint64_t offset, uint64_t size, uint32_t flags) {
    set(v, tx, offset, tagged(v->seed, offset, size | flags));
}
INLINE uint64_t place(const view *v, const uint64_t *field) { return aipc_offset(v->seg, field); }

INLINE bool in_heap(const view *v, uint64_t offset) {
    return (offset & 15) == 8 && offset - v->begin <= v->end - v->begin;
}
INLINE bool tag_fits(const view *v, uint64_t offset, uint64_t header) {
    return header == tagged(v->seed, offset, header & ~TAG_MASK);
}

/* H1 and H2 of a header that was read at `offset` in the heap.  Only the sentinel has size 0. */
INLINE bool check_header(const view *v, uint64_t offset, uint64_t header) {
    if (!tag_fits(v, offset, header))
        return wrong(v, BAD_TAG, offset, header, tagged(v->seed, offset, header & ~TAG_MASK));
    uint64_t size = aipc_block_size(header), room = v->end - offset;
    if (size > room || (size < AIPC_BLOCK_MIN && room != 0)) return wrong(v, BAD_SIZE, offset, size, room);
    return true;
}

/* The header at the end of a free block: that of a used block (H3), or the sentinel, and it knows (H4).
 * Whatever offset a link or a bin holds, nothing is written near it before this was seen. */
INLINE bool check_end(const view *v, uint64_t end, uint64_t *header) {
    if (!in_heap(v, end) || end - v->begin < AIPC_BLOCK_MIN) return wrong(v, BAD_RANGE, v->begin, end, v->end);
    *header = get(v, end);
    if (!check_header(v, end, *header)) return false;
    if ((*header & AIPC_PREV_USED) != 0) return wrong(v, BAD_PREV_USED, end, *header, 0);
    return (*header & AIPC_USED) != 0 || wrong(v, BAD_TOUCH, end, *header, AIPC_USED);
}

/* The size of the free block that ends at `end`, which is in the heap: footer and header agree. */
INLINE bool read_free(const view *v, uint64_t end, uint64_t *size) {
    *size = get(v, end - FOOTER);
    if ((*size & 15) != 0 || *size < AIPC_BLOCK_MIN || *size > end - v->begin)
        return wrong(v, BAD_FOOTER, end - FOOTER, *size, end - v->begin);
    uint64_t expected = tagged(v->seed, end - *size, *size | AIPC_PREV_USED), header = get(v, end - *size);
    return header == expected || wrong(v, BAD_TAG, end - *size, header, expected);
}

/* ---- bins -------------------------------------------------------------------------------------- */
static bool mark_bin(const view *v, aipc_tx *tx, uint32_t bin) {
    uint64_t *map = &v->heap->map[bin / 64], *summary = &v->heap->summary;
    uint64_t bits = aipc_load_relaxed64(map), bit = UINT64_C(1) << bin % 64;
    if ((bits & bit) != 0) return wrong(v, BAD_MAP, place(v, map), bits, bits & ~bit);
    aipc_tx_set(tx, map, bits | bit);
    if (bits == 0) aipc_tx_set(tx, summary, aipc_load_relaxed64(summary) | UINT64_C(1) << bin / 64);
    return true;
}

static bool unmark_bin(const view *v, aipc_tx *tx, uint32_t bin) {
    uint64_t *map = &v->heap->map[bin / 64], *summary = &v->heap->summary;
    uint64_t bits = aipc_load_relaxed64(map), bit = UINT64_C(1) << bin % 64;
    if ((bits & bit) == 0) return wrong(v, BAD_MAP, place(v, map), bits, bits | bit);
    aipc_tx_set(tx, map, bits & ~bit);
    if (bits == bit) aipc_tx_set(tx, summary, aipc_load_relaxed64(summary) & ~(UINT64_C(1) << bin / 64));
    return true;
}

typedef struct neighbours {
    uint64_t prev, next;
    uint64_t from; /* offset of the word that leads to the block: its predecessor's link, or its bin */
} neighbours;

/* Checked unlink: nothing is believed of a block's links that its neighbours do not confirm. */
static inline bool read_links(const view *v, uint64_t end, uint32_t bin, neighbours *links) {
    uint64_t header;
    links->next = get(v, end - NEXT);
    links->prev = get(v, end - PREV);
    if (links->prev != 0 && !check_end(v, links->prev, &header)) return false;
    links->from = links->prev != 0 ? links->prev - NEXT : place(v, &v->heap->bins[bin]);
    if (get(v, links->from) != end) return wrong(v, BAD_LINK, links->from, get(v, links->from), end);
    if (links->next == 0) return true;
    if (!check_end(v, links->next, &header)) return false;
    uint64_t back = get(v, links->next - PREV);
    return back == end || wrong(v, BAD_LINK, links->next - PREV, back, end);
}

static bool unlink_block(const view *v, aipc_tx *tx, uint64_t end, uint64_t size) {
    uint32_t bin = bin_of(size);
    neighbours links;
    if (!read_links(v, end, bin, &links)) return false;
    set(v, tx, links.from, links.next);
    if (links.next != 0) set(v, tx, links.next - PREV, links.prev);
    return links.prev != 0 || links.next != 0 || unmark_bin(v, tx, bin);
}

static bool link_block(const view *v, aipc_tx *tx, uint64_t end, uint64_t size) {
    uint32_t bin = bin_of(size);
    uint64_t *from = &v->heap->bins[bin], head = aipc_load_relaxed64(from), header;
    if (head == 0) {
        if (!mark_bin(v, tx, bin)) return false;
    } else {
        if (!check_end(v, head, &header)) return false;
        uint64_t back = get(v, head - PREV);
        if (back != 0) return wrong(v, BAD_LINK, head - PREV, back, 0);
        set(v, tx, head - PREV, end);
    }
    set(v, tx, end - NEXT, head);
    set(v, tx, end - PREV, 0);
    aipc_tx_set(tx, from, end);
    return true;
}

/* A free block whose end moves within one bin keeps its place in the list. */
static bool move_links(const view *v, aipc_tx *tx, uint32_t bin, uint64_t from, uint64_t to) {
    neighbours links;
    if (!read_links(v, from, bin, &links)) return false;
    set(v, tx, to - NEXT, links.next);
    set(v, tx, to - PREV, links.prev);
    set(v, tx, links.from, to);
    if (links.next != 0) set(v, tx, links.next - PREV, to);
    return true;
}

/* A change of the bins: the free block that ends at `from` becomes the one that ends at `to`; 0: none. */
typedef struct change {
    uint64_t from, from_size, to, to_size;
} change;

__attribute__((noinline)) static bool rebin_slow(const view *v, aipc_tx *tx, const change *c) {
    uint32_t bin = c->from != 0 ? bin_of(c->from_size) : AIPC_BINS;
    if (c->from != 0 && c->to != 0 && bin == bin_of(c->to_size)) return move_links(v, tx, bin, c->from, c->to);
    if (c->from != 0 && !unlink_block(v, tx, c->from, c->from_size)) return false;
    return c->to == 0 || link_block(v, tx, c->to, c->to_size);
}

INLINE bool rebin(const view *v, aipc_tx *tx, change c) {
    if (c.from == c.to && bin_of(c.from_size) == bin_of(c.to_size)) return true;
    aipc_tx lent = *tx; /* see view */
    bool good = rebin_slow(v, &lent, &c);
    *tx = lent;
    return good;
}

/* H3 lets every free block say PREV_USED; H4 wants its size in its last word. */
INLINE void set_free(const view *v, aipc_tx *tx, uint64_t offset, uint64_t size) {
    set_header(v, tx, offset, size, AIPC_PREV_USED);
    set(v, tx, offset + size - FOOTER, size);
}

/* Usable bytes, as counted in free_bytes; nothing for no block. */
INLINE uint64_t usable(uint64_t size) { return size != 0 ? size - AIPC_BLOCK_OVERHEAD : 0; }

/* H7. `used` is 1 or -1. */
INLINE bool count(const view *v, aipc_tx *tx, uint64_t added, uint64_t removed, uint64_t used) {
    uint64_t *free_bytes = &v->heap->free_bytes, *used_blocks = &v->heap->used_blocks;
    uint64_t bytes = aipc_load_relaxed64(free_bytes), blocks = aipc_load_relaxed64(used_blocks);
    if (bytes < removed) return wrong(v, BAD_COUNT, place(v, free_bytes), bytes, removed);
    if (blocks + used > v->end) return wrong(v, BAD_COUNT, place(v, used_blocks), blocks, 0);
    aipc_tx_set(tx, free_bytes, bytes - removed + added);
    aipc_tx_set(tx, used_blocks, blocks + used);
    return true;
}

/* ---- begin and end of an operation ------------------------------------------------------------- */
INLINE aipc_status open_heap(view *v, aipc_ctx *ctx) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->heap->domain);
    if (status != AIPC_OK) return status;
    uint64_t end = aipc_load_relaxed64(&seg->heap->end);
    *v = (view){.ctx = ctx, .seg = seg, .base = seg->base, .heap = seg->heap, .begin = seg->heap_begin,
                .end = end, .seed = seg->seed};
    if ((end & 15) == 8 && end >= v->begin && aipc_at(seg, end, 8) != NULL) return AIPC_OK;
    aipc_domain_unlock(ctx, &seg->heap->domain);
    return aipc_corrupt(seg, "H2 end of the heap", &seg->heap->end, end, seg->limit);
}

/* Commits, or takes everything back when the operation failed. */
INLINE aipc_status close_heap(const view *v, const aipc_tx *tx, aipc_status status) {
    aipc_tx last = *tx; /* see view */
    if (last.overflowed)
        status = aipc_corrupt(v->seg, "L2 log too small for one operation", v->heap, last.undo, AIPC_LOG_ENTRIES);
    if (status == AIPC_OK)
        aipc_tx_commit(&last);
    else if (last.undo != 0)
        aipc_tx_abort(&last);
    aipc_domain_unlock(v->ctx, &v->heap->domain);
    return status;
}

void aipc_heap_format(aipc_seg *seg, uint64_t begin, uint64_t end) {
    struct aipc_heap *heap = seg->heap;
    begin = ((begin + 7) & ~UINT64_C(15)) + 8;
    end = ((end - 16) & ~UINT64_C(15)) + 8; /* of the sentinel */
    view v = {.base = seg->base};
    uint64_t size = end - begin;
    uint32_t bin = bin_of(size);

    for (uint32_t i = 0; i < AIPC_BINS; i++) aipc_store_relaxed64(&heap->bins[i], 0);
    for (uint32_t i = 0; i < AIPC_BINS / 64; i++) aipc_store_relaxed64(&heap->map[i], 0);
    aipc_store_relaxed64(&heap->end, end);
    aipc_store_relaxed64(&heap->used_blocks, 0);
    aipc_store_relaxed64(&heap->free_bytes, usable(size));
    aipc_store_relaxed64(word(&v, begin), aipc_heap_header(seg, begin, size, AIPC_PREV_USED));
    aipc_store_relaxed64(word(&v, end - NEXT), 0);
    aipc_store_relaxed64(word(&v, end - PREV), 0);
    aipc_store_relaxed64(word(&v, end - FOOTER), size);
    aipc_store_relaxed64(word(&v, end), aipc_heap_header(seg, end, 0, AIPC_USED));
    aipc_store_relaxed64(&heap->bins[bin], end);
    aipc_store_relaxed64(&heap->map[bin / 64], UINT64_C(1) << bin % 64);
    aipc_store_relaxed64(&heap->summary, UINT64_C(1) << bin / 64);
}

/* ---- finding a block --------------------------------------------------------------------------- */
typedef struct request {
    uint64_t size;      /* of the block, header included */
    uint64_t alignment; /* of the payload, a power of two */
} request;

typedef struct candidate {
    uint64_t end, size; /* of a free block as its footer says; end 0: none */
    uint64_t gap;       /* bytes to leave free in front */
} candidate;

/* Bytes to leave free before the payload is aligned: none, or room for a block. */
INLINE uint64_t front_gap(const request *want, uint64_t offset) {
    if (want->alignment <= AIPC_ALIGNMENT) return 0;
    uint64_t gap = -(offset + AIPC_BLOCK_OVERHEAD) & (want->alignment - 1);
    return gap == 0 || gap >= AIPC_BLOCK_MIN ? gap : gap + want->alignment;
}

/* The best of the first `limit` blocks of a bin, by their footers: who takes one checks it. */
static bool best_of_bin(const view *v, uint32_t bin, const request *want, uint64_t limit, candidate *best) {
    uint64_t end = aipc_load_relaxed64(&v->heap->bins[bin]), looked = 0;
    if (end == 0) return wrong(v, BAD_MAP, place(v, &v->heap->bins[bin]), 0, 1);
    for (; end != 0 && looked < limit; looked++) {
        if (!in_heap(v, end) || end - v->begin < AIPC_BLOCK_MIN)
            return wrong(v, BAD_RANGE, place(v, &v->heap->bins[bin]), end, v->end);
        uint64_t size = get(v, end - FOOTER), gap = front_gap(want, end - size);
        if (gap <= size && want->size <= size - gap && (best->end == 0 || size < best->size)) {
            *best = (candidate){end, size, gap};
            if (size == want->size) return true;
        }
        end = get(v, end - NEXT);
    }
    return looked <= BEST_OF || end == 0 || wrong(v, BAD_LENGTH, place(v, &v->heap->bins[bin]), end, 0);
}

INLINE bool bin_is_marked(const view *v, uint32_t bin) {
    return (aipc_load_relaxed64(&v->heap->map[bin / 64]) >> bin % 64 & 1) != 0;
}

/* The first non-empty bin from `bin` on, AIPC_BINS when there is none: H6 makes it two looks. */
INLINE bool next_bin(const view *v, uint32_t bin, uint32_t *found) {
    *found = AIPC_BINS;
    if (bin >= AIPC_BINS) return true;
    uint64_t bits = aipc_load_relaxed64(&v->heap->map[bin / 64]) >> bin % 64;
    if (bits != 0) {
        *found = bin + (uint32_t)__builtin_ctzll(bits);
        return true;
    }
    uint64_t above = aipc_load_relaxed64(&v->heap->summary) & (~UINT64_C(1) << bin / 64);
    if (above == 0) return true;
    uint32_t index = (uint32_t)__builtin_ctzll(above);
    bits = index < AIPC_BINS / 64 ? aipc_load_relaxed64(&v->heap->map[index]) : 0;
    if (bits == 0) return wrong(v, BAD_MAP, place(v, &v->heap->summary), above, 0);
    *found = index * 64 + (uint32_t)__builtin_ctzll(bits);
    return true;
}

/* Looks at every block of the bins [first, last]: before giving up only. */
static bool search_all(const view *v, uint32_t first, uint32_t last, const request *want, candidate *best) {
    uint64_t limit = (v->end - v->begin) / AIPC_BLOCK_MIN + BEST_OF + 1;
    for (uint32_t bin = first; bin <= last && best->end == 0; bin++) {
        if (!next_bin(v, bin, &bin)) return false;
        if (bin > last) break;
        if (!best_of_bin(v, bin, want, limit, best)) return false;
    }
    return true;
}

/* The best block at hand: of the request's own bin, else of the next bin where everything fits. */
static bool find(const view *v, const request *want, candidate *best) {
    uint32_t own = bin_of(want->size), last = own, bin; /* any block of a bin above `last` fits */
    if (want->alignment > AIPC_ALIGNMENT) last = bin_of(want->size + want->alignment + AIPC_ALIGNMENT);

    *best = (candidate){0};
    if (bin_is_marked(v, own) && !best_of_bin(v, own, want, BEST_OF, best)) return false;
    if (best->end != 0) return true;
    if (!next_bin(v, last + 1, &bin)) return false;
    if (bin < AIPC_BINS) return best_of_bin(v, bin, want, BEST_OF, best);
    return search_all(v, own, last, want, best);
}

/* ---- allocate ---------------------------------------------------------------------------------- */
/* Cuts [gap free] [used] [rest free] out of the block; at most 27 log entries. */
INLINE bool take(const view *v, aipc_tx *tx, const candidate *from, uint64_t size, uint32_t flags,
                 uint64_t *taken) {
    uint64_t end = from->end, whole, next;
    if (!check_end(v, end, &next) || !read_free(v, end, &whole)) return false;
    uint64_t offset = end - whole + from->gap, gap_end = from->gap != 0 ? offset : 0, rest = end - offset - size;
    if (rest < AIPC_BLOCK_MIN) {
        size += rest;
        rest = 0;
    }

    /* The list's words first: they are checked against headers and footers as they were. */
    change kept = {.from = end, .from_size = whole, .to = end, .to_size = rest}, cut = {.to = gap_end, .to_size = from->gap};
    if (rest == 0) {
        kept.to = gap_end;
        kept.to_size = from->gap;
    } else if (gap_end != 0) {
        aipc_tx lent = *tx; /* see view */
        if (!rebin_slow(v, &lent, &cut)) return false;
        *tx = lent;
    }
    if (!rebin(v, tx, kept)) return false;

    if (gap_end != 0) set_free(v, tx, offset - from->gap, from->gap);
    if (rest != 0)
        set_free(v, tx, offset + size, rest);
    else
        set_header(v, tx, end, aipc_block_size(next), aipc_block_flags(next) | AIPC_PREV_USED);
    set_header(v, tx, offset, size, flags | AIPC_USED | (gap_end == 0 ? (uint32_t)AIPC_PREV_USED : 0));
    *taken = offset + AIPC_BLOCK_OVERHEAD;
    return count(v, tx, usable(from->gap) + usable(rest), usable(whole), 1);
}

aipc_status aipc_heap_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint32_t flags,
                               uint64_t *orphan, uint64_t *payload) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) return AIPC_INVALID;
    if ((flags & ~(uint32_t)(AIPC_INTERNAL | AIPC_OWNED)) != 0) return AIPC_INVALID;
    /* So that nothing below overflows. */
    if (size > ctx->seg->mapped || alignment > ctx->seg->mapped) return AIPC_FULL;
    request want = {.size = (size + AIPC_BLOCK_OVERHEAD + 15) & ~UINT64_C(15), .alignment = alignment};
    if (want.size < AIPC_BLOCK_MIN) want.size = AIPC_BLOCK_MIN;

    view v;
    aipc_status status = open_heap(&v, ctx);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_tx_begin(v.seg, &v.heap->domain);
    candidate best;
    if (!find(&v, &want, &best))
        status = AIPC_CORRUPT;
    else if (best.end == 0)
        status = AIPC_FULL;
    else if (!take(&v, &tx, &best, want.size, flags, payload))
        status = AIPC_CORRUPT;
    else if (orphan != NULL)
        aipc_tx_set(&tx, orphan, *payload);
    return close_heap(&v, &tx, status);
}

/* ---- free -------------------------------------------------------------------------------------- */
/* The size of the free block before `offset`; 0 when PREV_USED says there is none. */
INLINE bool read_before(const view *v, uint64_t offset, uint64_t header, uint64_t *size) {
    *size = 0;
    if ((header & AIPC_PREV_USED) != 0) return true;
    if (offset - v->begin < AIPC_BLOCK_MIN) return wrong(v, BAD_PREV_USED, offset, header, AIPC_PREV_USED);
    return read_free(v, offset, size);
}

/* The block behind a used one, and its size if it is free, else 0. */
INLINE bool read_after(const view *v, uint64_t offset, uint64_t *header, uint64_t *size) {
    *size = 0;
    *header = get(v, offset);
    if (!check_header(v, offset, *header)) return false;
    if ((*header & AIPC_PREV_USED) == 0) return wrong(v, BAD_PREV_USED, offset, *header, AIPC_PREV_USED);
    if ((*header & AIPC_USED) != 0) return true;
    *size = aipc_block_size(*header);
    if (*size == 0) return wrong(v, BAD_SIZE, offset, *header, AIPC_USED); /* a free sentinel */
    uint64_t footer = get(v, offset + *size - FOOTER), behind;
    if (footer != *size) return wrong(v, BAD_FOOTER, offset + *size - FOOTER, footer, *size);
    return check_end(v, offset + *size, &behind);
}

/* Joins the used block with its free neighbours (H3); at most 21 log entries. */
INLINE bool give(const view *v, aipc_tx *tx, uint64_t offset, uint64_t header) {
    uint64_t size = aipc_block_size(header), end = offset + size, before, after, next;
    if (!read_before(v, offset, header, &before) || !read_after(v, end, &next, &after)) return false;
    uint64_t whole = before + size + after;
    change into = {.to = end + after, .to_size = whole};
    if (after != 0) {
        into.from = end + after;
        into.from_size = after;
        if (before != 0) {
            aipc_tx lent = *tx; /* see view */
            if (!rebin_slow(v, &lent, &(change){.from = offset, .from_size = before})) return false;
            *tx = lent;
        }
    } else if (before != 0) {
        into.from = offset;
        into.from_size = before;
    }
    if (!rebin(v, tx, into)) return false;

    if (before != 0) set(v, tx, offset, 0); /* or a second free of it would find a good header */
    set_free(v, tx, offset - before, whole);
    if (after == 0)
        set_header(v, tx, end, aipc_block_size(next), aipc_block_flags(next) & ~(uint32_t)AIPC_PREV_USED);
    return count(v, tx, usable(whole), usable(before) + usable(after), UINT64_MAX);
}

aipc_status aipc_heap_free(aipc_ctx *ctx, uint64_t payload, uint32_t forbidden, uint64_t *orphan) {
    view v;
    aipc_status status = open_heap(&v, ctx);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_tx_begin(v.seg, &v.heap->domain);
    /* Whatever does not look like a used block is the caller's mistake; what does must be sound. */
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD;
    uint64_t header = in_heap(&v, offset) && offset != v.end ? get(&v, offset) : 0;
    if ((header & AIPC_USED) == 0 || (aipc_block_flags(header) & forbidden) != 0 || !tag_fits(&v, offset, header))
        status = AIPC_INVALID;
    else if (!check_header(&v, offset, header) || !give(&v, &tx, offset, header))
        status = AIPC_CORRUPT;
    else if (orphan != NULL)
        aipc_tx_set(&tx, orphan, 0);
    return close_heap(&v, &tx, status);
}

/* ---- looking ----------------------------------------------------------------------------------- */
aipc_status aipc_heap_size_of(aipc_seg *seg, uint64_t payload, uint64_t *size, uint32_t *flags) {
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD;
    if ((payload & 15) != 0 || payload < seg->heap_begin + AIPC_BLOCK_OVERHEAD) return AIPC_INVALID;
    const uint64_t *where = aipc_at(seg, offset, AIPC_BLOCK_MIN);
    if (where == NULL) return AIPC_INVALID;
    /* A neighbour's free or allocate may change PREV_USED meanwhile: whole words, so the tag fits. */
    uint64_t header = aipc_load_relaxed64(where);
    uint64_t found = aipc_block_size(header);
    if (header != tagged(seg->seed, offset, header & ~TAG_MASK) || (header & AIPC_USED) == 0) return AIPC_INVALID;
    if (found < AIPC_BLOCK_MIN || aipc_at(seg, offset, found) == NULL)
        return aipc_corrupt(seg, BAD_SIZE, where, found, seg->limit - offset);
    *size = usable(found);
    *flags = aipc_block_flags(header) & (AIPC_INTERNAL | AIPC_OWNED);
    return AIPC_OK;
}

/* The size of the largest free block: all of the last bin has to be looked at. */
static bool largest(const view *v, uint64_t *found) {
    *found = 0;
    uint32_t bin = AIPC_BINS;
    while (bin > 0 && !bin_is_marked(v, bin - 1)) bin--;
    if (bin == 0) return true;
    uint64_t *from = &v->heap->bins[bin - 1], left = (v->end - v->begin) / AIPC_BLOCK_MIN + 1, size, next;
    for (uint64_t end = aipc_load_relaxed64(from); end != 0; left--) {
        if (left == 0) return wrong(v, BAD_LENGTH, place(v, from), end, 0);
        if (!check_end(v, end, &next) || !read_free(v, end, &size)) return false;
        if (size > *found) *found = size;
        end = get(v, end - NEXT);
    }
    return true;
}

aipc_status aipc_heap_stats_get(aipc_ctx *ctx, aipc_heap_stats *stats) {
    view v;
    aipc_status status = open_heap(&v, ctx);
    if (status != AIPC_OK) return status;
    uint64_t size = 0;
    if (!largest(&v, &size)) status = AIPC_CORRUPT;
    stats->total_bytes = v.end - v.begin;
    stats->free_bytes = aipc_load_relaxed64(&v.heap->free_bytes);
    stats->used_blocks = aipc_load_relaxed64(&v.heap->used_blocks);
    stats->largest_free = usable(size);
    aipc_domain_unlock(ctx, &v.heap->domain);
    return status;
}

aipc_status aipc_heap_walk(aipc_ctx *ctx, bool (*visit)(void *arg, const aipc_block_info *block), void *arg) {
    view v;
    aipc_status status = open_heap(&v, ctx);
    if (status != AIPC_OK) return status;
    for (uint64_t offset = v.begin; offset != v.end;) {
        uint64_t header = get(&v, offset);
        if (!check_header(&v, offset, header)) { /* it keeps the next step >= 32 and within the heap */
            status = AIPC_CORRUPT;
            break;
        }
        aipc_block_info block = {.payload = offset + AIPC_BLOCK_OVERHEAD,
                                 .size = aipc_block_size(header),
                                 .flags = aipc_block_flags(header)};
        if (!visit(arg, &block)) break;
        offset += block.size;
    }
    aipc_domain_unlock(ctx, &v.heap->domain);
    return status;
}
