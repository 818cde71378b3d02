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
    return looked <= BEST_OF || end == 0 || wrong(v, BAD_LENGTH, place(v, from), end, 0);
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

bool aipc_heap_find_kept(view v, request want, uint32_t flags, uint64_t *best) {
    bool record = (flags & AIPC_PART) == AIPC_INTERNAL;
    want.limit = record ? v.end : v.end - aipc_heap_record_share(v.end - want.limit, v.seg->participants);
    return find(v, want, best);
}
