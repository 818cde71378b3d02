#include "heap_change.h"
#include "os.h"

uint64_t aipc_heap_header(const aipc_seg *seg, uint64_t offset, uint64_t size, uint32_t flags) {
    return tagged(seg, offset, header_low(size, flags));
}

uint32_t aipc_heap_bin_of(const aipc_seg *seg, uint64_t size) { return bin_of(seg, size); }

void aipc_heap_format(aipc_seg *seg, uint64_t begin, uint64_t end) {
    struct aipc_heap *heap = seg->heap;
    begin = ((begin + 7) & ~UINT64_C(15)) + 8;
    end = ((end - 16) & ~UINT64_C(15)) + 8; /* of the sentinel */
    view v = {seg, end};
    uint64_t size = end - begin;
    uint32_t bin = bin_of(seg, size);
    uint64_t *const none[] = {&heap->hole_first, &heap->hole_last, &heap->hole_bytes, &heap->hole_count};

    for (uint32_t i = 0; i < AIPC_BINS; i++) aipc_store_relaxed64(&heap->bins[i], 0);
    for (uint32_t i = 0; i < AIPC_BINS / 64; i++) aipc_store_relaxed64(&heap->map[i], 0);
    for (uint32_t i = 0; i < 4; i++) aipc_store_relaxed64(none[i], 0);
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

/* ---- what is rare ------------------------------------------------------------------------------ */
__attribute__((cold)) void aipc_heap_wrong(view v, const char *what, uint64_t where, uint64_t found,
                                           uint64_t expected) {
    (void)aipc_corrupt(v.seg, what, v.seg->base + where, found, expected);
}

__attribute__((cold)) bool aipc_heap_wrong_link(view v, uint64_t where, uint64_t end) {
    uint64_t header;
    if (!is_end(v, end)) return wrong(v, BAD_RANGE, where, end, v.end);
    return read_end(v, end, &header);
}

__attribute__((cold)) aipc_status aipc_heap_give_up(view v, aipc_status status) {
    struct aipc_domain *domain = &v.seg->heap->domain;
    aipc_tx tx = aipc_tx_begin(v.seg, domain);
    tx.undo = (uint32_t)aipc_load_relaxed64(&domain->head);
    if (tx.undo != 0) aipc_tx_abort(&tx);
    return status;
}

/* The bins' words first: they are checked against headers and footers as they were. */
bool aipc_heap_cut_and_rebin(view v, const cut *c) {
    uint64_t whole = c->gap + c->size + c->rest, end = c->offset + c->size + c->rest;
    change changes[2] = {{.from = end, .from_size = whole, .to = end, .to_size = c->rest},
                         {.to = c->offset, .to_size = c->gap}};
    if (c->rest == 0) { /* the gap takes the whole block's place */
        changes[0].to = c->offset;
        changes[0].to_size = c->gap;
    }
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    for (int i = 0; i < (c->rest != 0 && c->gap != 0 ? 2 : 1); i++)
        if (!rebin(v, &tx, &changes[i])) return false;
    return set_cut(v, &tx, c) && had_room(v, &tx);
}

bool aipc_heap_join_and_rebin(view v, const join *j) {
    uint64_t end = j->offset + j->size + j->after;
    change changes[2] = {{.from = end, .from_size = j->after, .to = end, .to_size = j->before + j->size + j->after},
                         {.from = j->offset, .from_size = j->before}};
    if (j->after == 0) { /* the whole takes the place of the block before */
        changes[0].from = j->offset;
        changes[0].from_size = j->before;
    }
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    for (int i = j->before != 0 && j->after != 0 ? 1 : 0; i >= 0; i--)
        if (!rebin(v, &tx, &changes[i])) return false;
    return set_join(v, &tx, j) && had_room(v, &tx);
}

bool aipc_heap_backed(const aipc_seg *seg, uint64_t offset, uint64_t size) {
    if (aipc_load_relaxed64(&seg->heap->hole_first) == 0) return true;
    uint64_t page = aipc_os_page_size(), last = size == 0 ? offset : offset + size - 1;
    for (uint64_t at = offset; at <= last; at = (at / page + 1) * page)
        if (!aipc_os_readable(seg->base + at)) return false;
    return true;
}

bool aipc_heap_may_read(aipc_seg *seg, uint64_t payload) {
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD;
    return payload >= AIPC_BLOCK_OVERHEAD && aipc_at(seg, offset, 8) != NULL && aipc_heap_backed(seg, offset, 8);
}

/* ---- looking ----------------------------------------------------------------------------------- */
uint64_t aipc_heap_most(const aipc_seg *seg, uint64_t kept, uint64_t alignment) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > seg->mapped) return 0;
    uint64_t end = ((seg->mapped - 16) & ~UINT64_C(15)) + 8;
    uint64_t limit = end - aipc_heap_reserve(end - seg->heap_begin, seg->participants);
    uint64_t offset = seg->heap_begin + ((kept + AIPC_BLOCK_OVERHEAD + 15) & ~UINT64_C(15));
    offset += front_gap(alignment, offset) + AIPC_BLOCK_OVERHEAD;
    return offset < limit ? limit - offset : 0;
}

aipc_status aipc_heap_size_of(aipc_seg *seg, uint64_t payload, uint64_t *size, uint32_t *flags) {
    uint64_t offset = payload - AIPC_BLOCK_OVERHEAD;
    if ((payload & 15) != 0 || payload < seg->heap_begin + AIPC_BLOCK_OVERHEAD) return AIPC_INVALID;
    const uint64_t *where = aipc_at(seg, offset, AIPC_BLOCK_MIN);
    if (where == NULL) return AIPC_INVALID;
    /* A neighbour's free or allocate may change PREV_USED meanwhile: whole words, so the tag fits. */
    uint64_t header = aipc_load_relaxed64(where), found = aipc_block_size(header);
    if ((header & AIPC_USED) == 0 || (aipc_block_flags(header) & AIPC_HOLE) != 0 || !tag_fits(seg, offset, header))
        return AIPC_INVALID;
    if (found < AIPC_BLOCK_MIN || aipc_at(seg, offset, found) == NULL)
        return aipc_corrupt(seg, BAD_SIZE, where, found, aipc_limit(seg) - offset);
    *size = found - AIPC_BLOCK_OVERHEAD;
    *flags = aipc_block_flags(header) & (AIPC_INTERNAL | AIPC_OWNED);
    return AIPC_OK;
}
