#include "heap_find.h"

bool aipc_heap_best_of_bin(view v, uint32_t bin, request want, uint64_t limit, uint64_t *best) {
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
    bool ends = looked < limit || looked <= BEST_OF || end == 0; /* or what fits exactly was found before the end */
    return ends || wrong(v, BAD_LENGTH, place(v, from), end, 0);
}

bool aipc_heap_search_all(view v, uint32_t first, request want, uint64_t *best) {
    uint64_t limit = (v.end - v.seg->heap_begin) / AIPC_BLOCK_MIN + BEST_OF + 1;
    *best = 0;
    for (uint32_t bin = first; *best == 0; bin++) {
        if (!next_bin(v, bin, &bin)) return false;
        if (bin == AIPC_BINS) break;
        if (!aipc_heap_best_of_bin(v, bin, want, limit, best)) return false;
    }
    return true;
}

bool aipc_heap_find_first(view v, request want, uint64_t *best) {
    uint64_t enough = want.size + (want.alignment > AIPC_ALIGNMENT ? want.alignment + AIPC_ALIGNMENT : 0);
    if (enough > 1024) enough += (UINT64_C(1) << (60 - __builtin_clzll(enough))) - 1; /* to the next bin's least */
    if (!first_above(v, bin_of(v.seg, enough), want, best)) return false;
    return *best != 0 || first_above(v, bin_of(v.seg, want.size), want, best);
}

/* The list ascends, so it ends. */
bool aipc_heap_find_in_order(view v, request want, uint64_t *best) {
    uint64_t at = place(v, &v.seg->heap->bins[0]), last = 0, end;
    for (*best = 0; *best == 0 && (end = get(v, at)) != 0; at = end - NEXT, last = end) {
        if (!is_end(v, end)) return wrong(v, BAD_RANGE, at, end, v.end);
        if (end <= last) return wrong(v, BAD_ORDER, at, end, last);
        uint64_t size = get(v, end - FOOTER);
        if (size >= want.size + front_gap(want.alignment, end - size) + beyond(end, want.limit)) *best = end;
    }
    return true;
}

bool aipc_heap_link_in_order(view v, aipc_tx *tx, uint64_t end) {
    uint64_t from = place(v, &v.seg->heap->bins[0]), prev = 0, next;
    for (; (next = get(v, from)) != 0 && next < end; from = next - NEXT, prev = next) {
        if (!is_end(v, next)) return wrong(v, BAD_RANGE, from, next, v.end);
        if (next <= prev) return wrong(v, BAD_ORDER, from, next, prev);
    }
    if (next == end) return wrong(v, BAD_LINK, from, next, 0);
    if (prev == 0 && next == 0 && !mark_bin(v, tx, 0)) return false;
    if (prev != 0 && !check_link(v, from, prev)) return false;
    if (next != 0) {
        if (!check_link(v, from, next)) return false;
        if (get(v, next - PREV) != prev) return wrong(v, BAD_LINK, next - PREV, get(v, next - PREV), prev);
        set(v, tx, next - PREV, end);
    }
    set(v, tx, end - NEXT, next);
    set(v, tx, end - PREV, prev);
    set(v, tx, from, end);
    return true;
}

bool aipc_heap_find_kept(view v, request want, uint32_t flags, uint64_t *best) {
    bool record = (flags & AIPC_PART) == AIPC_INTERNAL;
    want.limit = record ? v.end : v.end - aipc_heap_record_share(v.end - want.limit, v.seg->participants);
    return find(v, want, best);
}
