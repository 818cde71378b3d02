/* Where free blocks stand.  rebin() is all that others need: it says how a free block changed. */
#ifndef AIPC_HEAP_BINS_H
#define AIPC_HEAP_BINS_H

#include "heap_block.h"

INLINE uint32_t bin_of(const aipc_seg *seg, uint64_t size) {
    if (seg->algorithm == AIPC_SEQ_FIT) return 0;
    if (size <= 1024) return (uint32_t)(size / 16) - 1;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(size);
    return AIPC_SMALL_BINS + (power - 10) * 8 + (uint32_t)(size >> (power - 3) & 7);
}

/* bin_of(a) == bin_of(b), for different sizes, 0 being none: both large, the four top bits the same. */
INLINE bool same_bin(const aipc_seg *seg, uint64_t a, uint64_t b) {
    if (a > 1024 && b > 1024 && (a ^ b) >> (60 - __builtin_clzll(a)) == 0) return true;
    return seg->algorithm == AIPC_SEQ_FIT && a != 0 && b != 0;
}

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
    uint32_t bin = bin_of(v.seg, size);
    neighbours links;
    if (!read_links(v, end, bin, &links)) return false;
    set(v, tx, links.from, links.next);
    if (links.next != 0) set(v, tx, links.next - PREV, links.prev);
    return links.prev != 0 || links.next != 0 || unmark_bin(v, tx, bin);
}

/* seq_fit: where its address wants it. */
bool aipc_heap_link_in_order(view v, aipc_tx *tx, uint64_t end);

INLINE bool link_block(view v, aipc_tx *tx, uint64_t end, uint64_t size) {
    if (v.seg->algorithm == AIPC_SEQ_FIT) return aipc_heap_link_in_order(v, tx, end);
    uint32_t bin = bin_of(v.seg, size);
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
    if (c->from_size != 0 && c->to_size != 0 && bin_of(v.seg, c->from_size) == bin_of(v.seg, c->to_size))
        return c->from == c->to || move_links(v, tx, bin_of(v.seg, c->to_size), c->from, c->to);
    if (c->from_size != 0 && !unlink_block(v, tx, c->from, c->from_size)) return false;
    return c->to_size == 0 || link_block(v, tx, c->to, c->to_size);
}

#endif
