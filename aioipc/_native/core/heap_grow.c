/* The end of the heap moves.  The header of the sentinel goes with it, and header.size in the same transaction, which it
 * publishes: see grow.h. */
#include "heap_holes.h"
#include "room.h"

static bool at_end(view v, uint64_t *sentinel) {
    uint64_t size = aipc_load_relaxed64(&v.seg->header->size);
    *sentinel = get(v, v.end);
    if (size != v.end + 8) return wrong(v, "G2 size and end of the heap", place(v, &v.seg->heap->end), v.end, size - 8);
    return check_header(v, v.end, *sentinel);
}

static void move_end(view v, aipc_tx *tx, uint64_t end, uint32_t prev_used) {
    set_header(v, tx, end, 0, AIPC_USED | prev_used);
    aipc_tx_set(tx, &v.seg->heap->end, end);
}

static bool publish(view v, uint64_t end) {
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    if (!had_room(v, &tx)) return false;
    return aipc_tx_publish(&tx, &v.seg->header->size, end + 8); /* SYNC segment-size */
}

/* The new bytes are a used block, which is freed. */
static bool extend(view v, uint64_t end) {
    uint64_t sentinel;
    join j = {.offset = v.end, .size = end - v.end};
    if (!at_end(v, &sentinel) || !read_before(v, v.end, sentinel, &j.before)) return false;
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    set_header(v, &tx, j.offset, j.size, AIPC_USED | (aipc_block_flags(sentinel) & AIPC_PREV_USED));
    v.end = end;
    move_end(v, &tx, end, AIPC_PREV_USED);
    aipc_tx_set(&tx, &v.seg->heap->used_blocks, aipc_load_relaxed64(&v.seg->heap->used_blocks) + 1);
    return read_after(v, end, &j.next, &j.after) && aipc_heap_join_and_rebin(v, &j) && publish(v, end);
}

aipc_status aipc_heap_extend(aipc_ctx *ctx, uint64_t from, uint64_t to) {
    view v;
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    if (from != v.end + 8 || to < from + AIPC_BLOCK_MIN || to > ctx->seg->mapped)
        status = aipc_corrupt(ctx->seg, "G2 size and end of the heap", &ctx->seg->heap->end, v.end, from - 8);
    else if (!extend(v, to - 8))
        status = AIPC_CORRUPT;
    status = close_heap(ctx, v, status);
    aipc_room_made(ctx);
    return status;
}

/* ---- shrinking ----------------------------------------------------------------------------------- */

/* Of the free block of `size` bytes before the sentinel, what lies behind the new end becomes a used block, and its
 * header the sentinel. */
static bool cut_off(view v, uint64_t size, uint64_t end) {
    cut c = {.offset = end, .gap = end - (v.end - size), .size = v.end - end};
    if (!read_end(v, v.end, &c.next) || !aipc_heap_cut_and_rebin(v, &c)) return false;
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    move_end(v, &tx, end, 0);
    aipc_tx_set(&tx, &v.seg->heap->used_blocks, aipc_load_relaxed64(&v.seg->heap->used_blocks) - 1);
    return publish(v, end);
}

/* The same of a hole before the free block: of the hole remains its head, which has its page, as a free block. */
static bool cut_off_hole(view v, uint64_t free_size, const hole *h) {
    uint64_t end = first_page(h->offset) - 8;
    cut c = {.offset = v.end - free_size, .size = free_size};
    if (!read_end(v, v.end, &c.next) || !aipc_heap_cut_and_rebin(v, &c)) return false;
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    if (!unlink_hole(v, &tx, h)) return false;
    join j = {.offset = h->offset, .size = end - h->offset};
    if (!read_before(v, h->offset, get(v, h->offset), &j.before)) return false;
    set_header(v, &tx, j.offset, j.size, AIPC_USED | (aipc_block_flags(get(v, h->offset)) & AIPC_PREV_USED));
    v.end = end;
    move_end(v, &tx, end, AIPC_PREV_USED);
    aipc_tx_set(&tx, &v.seg->heap->used_blocks, aipc_load_relaxed64(&v.seg->heap->used_blocks) - 1);
    return read_after(v, end, &j.next, &j.after) && aipc_heap_join_and_rebin(v, &j) && publish(v, end);
}

/* Where the heap could end, if it is to keep its reserve behind the last used block, which ends at `used`. */
static uint64_t least_end(view v, uint64_t used) {
    uint64_t heap = used - v.seg->heap_begin, page = AIPC_HOLE_PAGE;
    uint64_t reserve = aipc_heap_reserve(heap + heap / 16 + 16 * page, v.seg->participants);
    return (used + reserve + AIPC_BLOCK_MIN + 8 + page - 1) / page * page - 8;
}

/* One step; *more: there may be another.  Without a hole before the free end it is the last. */
static bool shrink(view v, bool *more) {
    uint64_t sentinel, size;
    hole h;
    *more = false;
    if (!at_end(v, &sentinel) || !read_before(v, v.end, sentinel, &size)) return false;
    if (size == 0) return true;
    if (!find_hole_before(v, v.end - size, &h)) return false;
    *more = h.offset != 0;
    if (*more) return cut_off_hole(v, size, &h);
    uint64_t end = least_end(v, v.end - size);
    return end >= v.end || cut_off(v, size, end);
}

aipc_status aipc_heap_shrink(aipc_ctx *ctx) {
    view v;
    for (bool more = true; more;) {
        aipc_status status = open_heap(ctx, &v);
        if (status != AIPC_OK) return status;
        if (!shrink(v, &more)) status = AIPC_CORRUPT;
        status = close_heap(ctx, v, status);
        if (status != AIPC_OK) return status;
    }
    return AIPC_OK;
}

uint64_t aipc_heap_wanting(aipc_ctx *ctx) {
    view v;
    uint64_t size = 0, sentinel, wanting = 0;
    if (open_heap(ctx, &v) != AIPC_OK) return 0;
    if (at_end(v, &sentinel) && read_before(v, v.end, sentinel, &size) && least_end(v, v.end - size) > v.end)
        wanting = least_end(v, v.end - size) - v.end;
    (void)close_heap(ctx, v, AIPC_OK);
    return wanting;
}
