#include "heap.h"

/* How many blocks of a large bin are looked at before taking the best of them.  Measured: 4 waste 0.6 %
 * more than 16 with 10,000 live blocks of 16 to 4,096 bytes. */
enum { BEST_OF = 4 };

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
static const char BAD_LINK[] = "H5 links of a bin contradict each other";
static const char BAD_LENGTH[] = "H5 a bin's list does not end";
static const char BAD_MAP[] = "H6 map and bins disagree";
static const char BAD_COUNT[] = "H7 counters";

/* The locked heap: the segment, and the sentinel's offset, which was checked.  Passed by value. */
typedef struct view {
    aipc_seg *seg;
    uint64_t end;
} view;

#define INLINE static inline __attribute__((always_inline))

/* ---- headers -----------------------------------------------------------------------------------
 * The tag is the top of a product.  A change of one byte below it moves the product by e * 2^8j *
 * MULTIPLIER, |e| < 256, and for this multiplier that is never within 2^48 of 0 (tests/native/test_heap.c
 * tries them all): so every damaged byte of a header shows. */
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)
#define OFFSET_MULTIPLIER UINT64_C(0xd1b54a32d192ed03)
#define LOW_MASK UINT64_C(0x0000ffffffffffff)

INLINE uint64_t product(const aipc_seg *seg, uint64_t offset, uint64_t low) {
    return (low ^ offset * OFFSET_MULTIPLIER ^ seg->seed) * MULTIPLIER;
}
INLINE uint64_t tagged(const aipc_seg *seg, uint64_t offset, uint64_t low) {
    return (product(seg, offset, low) & ~LOW_MASK) | low;
}
INLINE bool tag_fits(const aipc_seg *seg, uint64_t offset, uint64_t header) {
    return (product(seg, offset, header & LOW_MASK) ^ header) >> 48 == 0;
}

uint64_t aipc_heap_header(const aipc_seg *seg, uint64_t offset, uint64_t size, uint32_t flags) {
    return tagged(seg, offset, size | flags);
}

INLINE uint32_t bin_of(uint64_t size) {
    if (size <= 1024) return (uint32_t)(size / 16) - 1;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(size);
    return AIPC_SMALL_BINS + (power - 10) * 8 + (uint32_t)(size >> (power - 3) & 7);
}
uint32_t aipc_heap_bin_of(uint64_t size) { return bin_of(size); }

/* bin_of(a) == bin_of(b), for different sizes: both large, the four top bits the same. */
INLINE bool same_bin(uint64_t a, uint64_t b) {
    return a > 1024 && b > 1024 && (a ^ b) >> (60 - __builtin_clzll(a)) == 0;
}

/* Records what contradicts itself; false, for who gives up because of it. */
__attribute__((cold, noinline)) static void record(view v, const char *what, uint64_t where, uint64_t found,
                                                   uint64_t expected) {
    (void)aipc_corrupt(v.seg, what, v.seg->base + where, found, expected);
}
INLINE bool wrong(view v, const char *what, uint64_t where, uint64_t found, uint64_t expected) {
    record(v, what, where, found, expected);
    return false;
}

/* pre: `offset` was checked to lie in the heap, or is that of one of the heap's fields. */
INLINE uint64_t *word(view v, uint64_t offset) { return (uint64_t *)(void *)(v.seg->base + offset); }
INLINE uint64_t get(view v, uint64_t offset) { return aipc_load_relaxed64(word(v, offset)); }
INLINE void set(view v, aipc_tx *tx, uint64_t offset, uint64_t value) { aipc_tx_set(tx, word(v, offset), value); }
INLINE void set_header(view v, aipc_tx *tx, uint64_t offset, uint64_t size, uint32_t flags) {
    set(v, tx, offset, tagged(v.seg, offset, size | flags));
}
INLINE uint64_t place(view v, const uint64_t *field) { return aipc_offset(v.seg, field); }

/* The offset of a header behind at least one block: any end of a block, that is. */
INLINE bool is_end(view v, uint64_t offset) {
    uint64_t first = v.seg->heap_begin + AIPC_BLOCK_MIN;
    return (offset & 15) == 8 && offset - first <= v.end - first;
}

/* H1 and H2 of a header that was read at `offset` in the heap.  Only the sentinel has size 0. */
INLINE bool check_header(view v, uint64_t offset, uint64_t header) {
    if (!tag_fits(v.seg, offset, header))
        return wrong(v, BAD_TAG, offset, header, tagged(v.seg, offset, header & LOW_MASK));
    uint64_t size = aipc_block_size(header), room = v.end - offset;
    if (size > room || (size < AIPC_BLOCK_MIN && room != 0)) return wrong(v, BAD_SIZE, offset, size, room);
    return true;
}

/* The header at the end of a free block: that of a used block (H3), or the sentinel, and it knows (H4). */
INLINE bool read_end(view v, uint64_t end, uint64_t *header) {
    *header = get(v, end);
    if (!check_header(v, end, *header)) return false;
    if ((*header & AIPC_PREV_USED) != 0) return wrong(v, BAD_PREV_USED, end, *header, 0);
    return (*header & AIPC_USED) != 0 || wrong(v, BAD_TOUCH, end, *header, AIPC_USED);
}

/* The size of the free block that ends at `end`, an end of a block: footer and header agree. */
INLINE bool read_free(view v, uint64_t end, uint64_t *size) {
    *size = get(v, end - FOOTER);
    if ((*size & 15) != 0 || *size < AIPC_BLOCK_MIN || *size > end - v.seg->heap_begin)
        return wrong(v, BAD_FOOTER, end - FOOTER, *size, end - v.seg->heap_begin);
    uint64_t offset = end - *size, header = get(v, offset);
    if ((header & LOW_MASK) != (*size | AIPC_PREV_USED) || !tag_fits(v.seg, offset, header))
        return wrong(v, BAD_TAG, offset, header, tagged(v.seg, offset, *size | AIPC_PREV_USED));
    return true;
}

/* What is wrong at `end`, where a free block should end. */
__attribute__((cold, noinline)) static bool wrong_link(view v, uint64_t where, uint64_t end) {
    uint64_t header;
    if (!is_end(v, end)) return wrong(v, BAD_RANGE, where, end, v.end);
    return read_end(v, end, &header);
}

/* Whether a link or a bin leads to the end of a free block.  Nothing is written there before. */
INLINE bool check_link(view v, uint64_t where, uint64_t end) {
    if (!is_end(v, end)) return wrong_link(v, where, end);
    uint64_t header = get(v, end);
    bool behind_free = (header & (AIPC_USED | AIPC_PREV_USED)) == AIPC_USED;
    return (behind_free && tag_fits(v.seg, end, header)) || wrong_link(v, where, end);
}

/* ---- bins -------------------------------------------------------------------------------------- */
INLINE bool mark_bin(view v, aipc_tx *tx, uint32_t bin) {
    uint64_t *map = &v.seg->heap->map[bin / 64], *summary = &v.seg->heap->summary;
    uint64_t bits = aipc_load_relaxed64(map), bit = UINT64_C(1) << bin % 64;
    if ((bits & bit) != 0) return wrong(v, BAD_MAP, place(v, map), bits, bits & ~bit);
    aipc_tx_set(tx, map, bits | bit);
    if (bits == 0) aipc_tx_set(tx, summary, aipc_load_relaxed64(summary) | UINT64_C(1) << bin / 64);
    return true;
}

INLINE bool unmark_bin(view v, aipc_tx *tx, uint32_t bin) {
    uint64_t *map = &v.seg->heap->map[bin / 64], *summary = &v.seg->heap->summary;
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
INLINE bool read_links(view v, uint64_t end, uint32_t bin, neighbours *links) {
    links->next = get(v, end - NEXT);
    links->prev = get(v, end - PREV);
    if (links->prev != 0 && !check_link(v, end - PREV, links->prev)) return false;
    links->from = links->prev != 0 ? links->prev - NEXT : place(v, &v.seg->heap->bins[bin]);
    if (get(v, links->from) != end) return wrong(v, BAD_LINK, links->from, get(v, links->from), end);
    if (links->next == 0) return true;
    if (!check_link(v, end - NEXT, links->next)) return false;
    uint64_t back = get(v, links->next - PREV);
    return back == end || wrong(v, BAD_LINK, links->next - PREV, back, end);
}

INLINE bool unlink_block(view v, aipc_tx *tx, uint64_t end, uint64_t size) {
    uint32_t bin = bin_of(size);
    neighbours links;
    if (!read_links(v, end, bin, &links)) return false;
    set(v, tx, links.from, links.next);
    if (links.next != 0) set(v, tx, links.next - PREV, links.prev);
    return links.prev != 0 || links.next != 0 || unmark_bin(v, tx, bin);
}

INLINE bool link_block(view v, aipc_tx *tx, uint64_t end, uint64_t size) {
    uint32_t bin = bin_of(size);
    uint64_t *from = &v.seg->heap->bins[bin], head = aipc_load_relaxed64(from);
    if (head == 0) {
        if (!mark_bin(v, tx, bin)) return false;
    } else {
        if (!check_link(v, place(v, from), head)) return false;
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
INLINE bool move_links(view v, aipc_tx *tx, uint32_t bin, uint64_t from, uint64_t to) {
    neighbours links;
    if (!read_links(v, from, bin, &links)) return false;
    set(v, tx, to - NEXT, links.next);
    set(v, tx, to - PREV, links.prev);
    set(v, tx, links.from, to);
    if (links.next != 0) set(v, tx, links.next - PREV, to);
    return true;
}

/* A change of the bins: the free block that ends at `from` becomes the one that ends at `to`; size 0: none. */
typedef struct change {
    uint64_t from, from_size, to, to_size;
} change;

INLINE bool rebin(view v, aipc_tx *tx, const change *c) {
    if (c->from_size != 0 && c->to_size != 0 && bin_of(c->from_size) == bin_of(c->to_size))
        return c->from == c->to || move_links(v, tx, bin_of(c->to_size), c->from, c->to);
    if (c->from_size != 0 && !unlink_block(v, tx, c->from, c->from_size)) return false;
    return c->to_size == 0 || link_block(v, tx, c->to, c->to_size);
}

/* H3 lets every free block say PREV_USED; H4 wants its size in its last word. */
INLINE void set_free(view v, aipc_tx *tx, uint64_t offset, uint64_t size) {
    set_header(v, tx, offset, size, AIPC_PREV_USED);
    set(v, tx, offset + size - FOOTER, size);
}

/* H7. `sign` is 1 when `size` bytes come to be used, -1 when they become free. */
INLINE bool count(view v, aipc_tx *tx, uint64_t size, uint64_t sign) {
    uint64_t *free_bytes = &v.seg->heap->free_bytes, *used_blocks = &v.seg->heap->used_blocks;
    uint64_t bytes = aipc_load_relaxed64(free_bytes) - sign * size;
    uint64_t blocks = aipc_load_relaxed64(used_blocks) + sign;
    if (bytes > v.end) return wrong(v, BAD_COUNT, place(v, free_bytes), bytes, v.end);
    if (blocks > v.end) return wrong(v, BAD_COUNT, place(v, used_blocks), blocks, 0);
    aipc_tx_set(tx, free_bytes, bytes);
    aipc_tx_set(tx, used_blocks, blocks);
    return true;
}

/* No operation needs half of the log; but one that did would have to be taken back. */
INLINE bool had_room(view v, const aipc_tx *tx) {
    return !tx->overflowed || wrong(v, "L2 log too small for one operation", place(v, &v.seg->heap->domain.head),
                                    tx->undo, AIPC_LOG_ENTRIES);
}

/* ---- begin and end of an operation ------------------------------------------------------------- */
INLINE aipc_status open_heap(aipc_ctx *ctx, view *v) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->heap->domain);
    if (status != AIPC_OK) return status;
    uint64_t end = aipc_load_relaxed64(&seg->heap->end);
    *v = (view){seg, end};
    bool exists = end < seg->limit - 8 || aipc_at(seg, end, 8) != NULL; /* aipc_at looks again after growth */
    if ((end & 15) == 8 && end >= seg->heap_begin && exists) return AIPC_OK;
    aipc_domain_unlock(ctx, &seg->heap->domain);
    return aipc_corrupt(seg, "H2 end of the heap", &seg->heap->end, end, seg->limit);
}

/* Takes everything back; the log itself knows how much that is. */
__attribute__((cold, noinline)) static aipc_status give_up(view v, aipc_status status) {
    struct aipc_domain *domain = &v.seg->heap->domain;
    aipc_tx tx = aipc_tx_begin(v.seg, domain);
    tx.undo = (uint32_t)aipc_load_relaxed64(&domain->head);
    if (tx.undo != 0) aipc_tx_abort(&tx);
    return status;
}

INLINE aipc_status close_heap(aipc_ctx *ctx, view v, aipc_status status) {
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    if (status == AIPC_OK)
        aipc_tx_commit(&tx);
    else
        status = give_up(v, status);
    aipc_domain_unlock(ctx, &v.seg->heap->domain);
    return status;
}

void aipc_heap_format(aipc_seg *seg, uint64_t begin, uint64_t end) {
    struct aipc_heap *heap = seg->heap;
    begin = ((begin + 7) & ~UINT64_C(15)) + 8;
    end = ((end - 16) & ~UINT64_C(15)) + 8; /* of the sentinel */
    view v = {seg, end};
    uint64_t size = end - begin;
    uint32_t bin = bin_of(size);

    for (uint32_t i = 0; i < AIPC_BINS; i++) aipc_store_relaxed64(&heap->bins[i], 0);
    for (uint32_t i = 0; i < AIPC_BINS / 64; i++) aipc_store_relaxed64(&heap->map[i], 0);
    aipc_store_relaxed64(&heap->end, end);
    aipc_store_relaxed64(&heap->used_blocks, 0);
    aipc_store_relaxed64(&heap->free_bytes, size);
    aipc_store_relaxed64(word(v, begin), tagged(seg, begin, size | AIPC_PREV_USED));
    aipc_store_relaxed64(word(v, end - NEXT), 0);
    aipc_store_relaxed64(word(v, end - PREV), 0);
    aipc_store_relaxed64(word(v, end - FOOTER), size);
    aipc_store_relaxed64(word(v, end), tagged(seg, end, AIPC_USED));
    aipc_store_relaxed64(&heap->bins[bin], end);
    aipc_store_relaxed64(&heap->map[bin / 64], UINT64_C(1) << bin % 64);
    aipc_store_relaxed64(&heap->summary, UINT64_C(1) << bin / 64);
}

/* ---- finding a block --------------------------------------------------------------------------- */
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
static bool best_of_bin(view v, uint32_t bin, request want, uint64_t limit, uint64_t *best) {
    const uint64_t *from = &v.seg->heap->bins[bin];
    uint64_t end = aipc_load_relaxed64(from), looked = 0, least = UINT64_MAX;
    *best = 0;
    if (end == 0) return wrong(v, BAD_MAP, place(v, from), 0, 1);
    for (; end != 0 && looked < limit; looked++) {
        if (!is_end(v, end)) return wrong(v, BAD_RANGE, place(v, from), end, v.end);
        uint64_t size = get(v, end - FOOTER);
        uint64_t need = want.size + front_gap(want.alignment, end - size) + beyond(end, want.limit);
        bool better = size >= need && size < least; /* no branches: they would be mispredicted */
        least = better ? size : least;
        *best = better ? end : *best;
        if (size == want.size && *best == end) break;
        end = get(v, end - NEXT);
    }
    return looked <= BEST_OF || end == 0 || wrong(v, BAD_LENGTH, place(v, from), end, 0);
}

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

/* Looks at every block from bin `first` on: before giving up only. */
static bool search_all(view v, uint32_t first, request want, uint64_t *best) {
    uint64_t limit = (v.end - v.seg->heap_begin) / AIPC_BLOCK_MIN + BEST_OF + 1;
    *best = 0;
    for (uint32_t bin = first; *best == 0; bin++) {
        if (!next_bin(v, bin, &bin)) return false;
        if (bin == AIPC_BINS) break;
        if (!best_of_bin(v, bin, want, limit, best)) return false;
    }
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
    uint32_t own = bin_of(want.size), last = own; /* any block of a bin above `last` fits */
    if (want.alignment > AIPC_ALIGNMENT) last = bin_of(want.size + want.alignment + AIPC_ALIGNMENT);

    *best = 0;
    if (bin_is_marked(v, own) && !best_of_bin(v, own, want, BEST_OF, best)) return false;
    if (*best != 0) return true;
    if (!first_above(v, last + 1, want, best)) return false;
    return *best != 0 || search_all(v, own, want, best);
}

/* In the reserve, as much of it as is for such a block. */
__attribute__((noinline)) static bool find_kept(view v, request want, uint32_t flags, uint64_t *best) {
    bool record = (flags & AIPC_PART) == AIPC_INTERNAL;
    want.limit = record ? v.end : v.end - aipc_heap_record_share(v.end - want.limit, v.seg->participants);
    return find(v, want, best);
}

INLINE bool find_for(view v, request want, uint32_t flags, uint64_t *best) {
    want.limit = v.end - aipc_heap_reserve(v.end - v.seg->heap_begin, v.seg->participants);
    if (!find(v, want, best)) return false;
    return *best != 0 || (flags & AIPC_RESERVE) == 0 || find_kept(v, want, flags, best);
}

/* ---- allocate ---------------------------------------------------------------------------------- */
/* What is cut out of a free block: [gap free] [used] [rest free]; gap and rest are 0 or >= 32. */
typedef struct cut {
    uint64_t offset, gap, size, rest; /* offset: of the used block */
    uint64_t next;                    /* the header behind it, when rest is 0 */
    uint32_t flags;
    uint64_t *orphan;
} cut;

INLINE bool set_cut(view v, aipc_tx *tx, const cut *c) {
    uint64_t end = c->offset + c->size;
    if (c->gap != 0) set_free(v, tx, c->offset - c->gap, c->gap);
    if (c->rest != 0)
        set_free(v, tx, end, c->rest);
    else
        set_header(v, tx, end, aipc_block_size(c->next), aipc_block_flags(c->next) | AIPC_PREV_USED);
    set_header(v, tx, c->offset, c->size, c->flags | AIPC_USED | (c->gap == 0 ? (uint32_t)AIPC_PREV_USED : 0));
    if (c->orphan != NULL) aipc_tx_set(tx, c->orphan, c->offset + AIPC_BLOCK_OVERHEAD);
    return count(v, tx, c->size, 1);
}

/* The bins change too.  Their words first: they are checked against headers and footers as they were. */
__attribute__((noinline)) static bool cut_and_rebin(view v, const cut *c) {
    uint64_t whole = c->gap + c->size + c->rest, end = c->offset + c->size + c->rest;
    change changes[2] = {{.from = end, .from_size = whole, .to = end, .to_size = c->rest},
                         {.to = c->offset, .to_size = c->gap}};
    if (c->rest == 0) { /* the gap takes the whole block's place */
        changes[0].to = c->offset;
        changes[0].to_size = c->gap;
    }
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    for (int i = 0; i < (c->rest != 0 && c->gap != 0 ? 2 : 1); i++)
        if (!rebin(v, &tx, &changes[i])) return false;
    return set_cut(v, &tx, c) && had_room(v, &tx);
}

/* Cuts a block out of the free one that ends at `end`; at most 24 log entries. */
INLINE bool take(view v, uint64_t end, request want, cut *c) {
    uint64_t whole;
    if (!read_free(v, end, &whole)) return false;
    c->gap = front_gap(want.alignment, end - whole);
    c->size = want.size;
    if (c->gap > whole || c->size > whole - c->gap) return wrong(v, BAD_FOOTER, end - FOOTER, whole, c->size);
    c->offset = end - whole + c->gap;
    c->rest = whole - c->gap - c->size;
    if (c->rest < AIPC_BLOCK_MIN) {
        c->size += c->rest;
        c->rest = 0;
        if (!read_end(v, end, &c->next)) return false;
    }
    if (c->gap != 0 || !same_bin(whole, c->rest)) return cut_and_rebin(v, c);
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    return set_cut(v, &tx, c);
}

aipc_status aipc_heap_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint32_t flags,
                               uint64_t *orphan, uint64_t *payload) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) return AIPC_INVALID;
    if ((flags & ~(uint32_t)(AIPC_INTERNAL | AIPC_OWNED | AIPC_RESERVE)) != 0) return AIPC_INVALID;
    /* So that nothing below overflows. */
    if (size > ctx->seg->mapped || alignment > ctx->seg->mapped) return AIPC_FULL;
    request want = {.size = (size + AIPC_BLOCK_OVERHEAD + 15) & ~UINT64_C(15), .alignment = alignment};
    if (want.size < AIPC_BLOCK_MIN) want.size = AIPC_BLOCK_MIN;

    view v;
    uint64_t end;
    cut c = {.flags = flags & AIPC_PART, .orphan = orphan};
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    if (!find_for(v, want, flags, &end))
        status = AIPC_CORRUPT;
    else if (end == 0)
        status = AIPC_FULL;
    else if (!take(v, end, want, &c))
        status = AIPC_CORRUPT;
    else
        *payload = c.offset + AIPC_BLOCK_OVERHEAD;
    return close_heap(ctx, v, status);
}

/* ---- free -------------------------------------------------------------------------------------- */
/* The size of the free block before `offset`; 0 when PREV_USED says there is none. */
INLINE bool read_before(view v, uint64_t offset, uint64_t header, uint64_t *size) {
    *size = 0;
    if ((header & AIPC_PREV_USED) != 0) return true;
    if (!is_end(v, offset)) return wrong(v, BAD_PREV_USED, offset, header, AIPC_PREV_USED);
    return read_free(v, offset, size);
}

/* The header behind a used block, and the block's size if it is free, else 0. */
INLINE bool read_after(view v, uint64_t offset, uint64_t *header, uint64_t *size) {
    *size = 0;
    *header = get(v, offset);
    if (!check_header(v, offset, *header)) return false;
    if ((*header & AIPC_PREV_USED) == 0) return wrong(v, BAD_PREV_USED, offset, *header, AIPC_PREV_USED);
    if ((*header & AIPC_USED) != 0) return true;
    *size = aipc_block_size(*header);
    if (*size == 0) return wrong(v, BAD_SIZE, offset, *header, AIPC_USED); /* a free sentinel */
    uint64_t footer = get(v, offset + *size - FOOTER);
    return footer == *size || wrong(v, BAD_FOOTER, offset + *size - FOOTER, footer, *size);
}

/* A used block and its free neighbours, if any; their sizes. */
typedef struct join {
    uint64_t offset, before, size, after;
    uint64_t next; /* the header behind the used block */
    uint64_t *orphan;
} join;

INLINE bool set_join(view v, aipc_tx *tx, const join *j) {
    uint64_t end = j->offset + j->size;
    if (j->before != 0) set(v, tx, j->offset, 0); /* or a second free of it would find a good header */
    set_free(v, tx, j->offset - j->before, j->before + j->size + j->after);
    if (j->after == 0)
        set_header(v, tx, end, aipc_block_size(j->next), aipc_block_flags(j->next) & ~(uint32_t)AIPC_PREV_USED);
    if (j->orphan != NULL) aipc_tx_set(tx, j->orphan, 0);
    return count(v, tx, j->size, UINT64_MAX);
}

/* The bins change too; see cut_and_rebin. */
__attribute__((noinline)) static bool join_and_rebin(view v, const join *j) {
    uint64_t end = j->offset + j->size + j->after;
    change changes[2] = {{.from = end, .from_size = j->after, .to = end, .to_size = j->before + j->size + j->after},
                         {.from = j->offset, .from_size = j->before}};
    if (j->after == 0) { /* the whole takes the place of the block before */
        changes[0].from = j->offset;
        changes[0].from_size = j->before;
    }
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    for (int i = j->before != 0 && j->after != 0 ? 1 : 0; i >= 0; i--)
        if (!rebin(v, &tx, &changes[i])) return false;
    return set_join(v, &tx, j) && had_room(v, &tx);
}

/* Joins the used block with its free neighbours (H3); at most 21 log entries. */
INLINE bool give(view v, join *j, uint64_t header) {
    if (!read_before(v, j->offset, header, &j->before)) return false;
    if (!read_after(v, j->offset + j->size, &j->next, &j->after)) return false;
    if (j->before != 0 || !same_bin(j->after, j->size + j->after)) return join_and_rebin(v, j);
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    return set_join(v, &tx, j);
}

aipc_status aipc_heap_free(aipc_ctx *ctx, uint64_t payload, uint32_t forbidden, uint64_t *orphan) {
    view v;
    /* While the lock is taken; the payload may be any number, so no pointer is made of it. */
    __builtin_prefetch((const void *)((uintptr_t)ctx->seg->base + payload - AIPC_BLOCK_OVERHEAD));
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    /* Whatever does not look like a used block is the caller's mistake; what does must be sound. */
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD, header = 0, room = v.end - offset;
    if ((offset & 15) == 8 && offset >= v.seg->heap_begin && offset < v.end) header = get(v, offset);
    join j = {.offset = offset, .size = aipc_block_size(header), .orphan = orphan};
    if ((header & AIPC_USED) == 0 || (header & forbidden) != 0 || !tag_fits(v.seg, offset, header))
        status = AIPC_INVALID;
    else if (j.size < AIPC_BLOCK_MIN || j.size > room)
        status = aipc_corrupt(v.seg, BAD_SIZE, word(v, offset), j.size, room);
    else if (!give(v, &j, header))
        status = AIPC_CORRUPT;
    return close_heap(ctx, v, status);
}

/* ---- looking ----------------------------------------------------------------------------------- */
aipc_status aipc_heap_size_of(aipc_seg *seg, uint64_t payload, uint64_t *size, uint32_t *flags) {
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD;
    if ((payload & 15) != 0 || payload < seg->heap_begin + AIPC_BLOCK_OVERHEAD) return AIPC_INVALID;
    const uint64_t *where = aipc_at(seg, offset, AIPC_BLOCK_MIN);
    if (where == NULL) return AIPC_INVALID;
    /* A neighbour's free or allocate may change PREV_USED meanwhile: whole words, so the tag fits. */
    uint64_t header = aipc_load_relaxed64(where), found = aipc_block_size(header);
    if ((header & AIPC_USED) == 0 || !tag_fits(seg, offset, header)) return AIPC_INVALID;
    if (found < AIPC_BLOCK_MIN || aipc_at(seg, offset, found) == NULL)
        return aipc_corrupt(seg, BAD_SIZE, where, found, seg->limit - offset);
    *size = found - AIPC_BLOCK_OVERHEAD;
    *flags = aipc_block_flags(header) & (AIPC_INTERNAL | AIPC_OWNED);
    return AIPC_OK;
}
