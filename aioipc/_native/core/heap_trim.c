#include "heap_holes.h"
#include "holes.h"
#include "os.h"

enum { WORTH_IT = 16384 }; /* bytes of a free block: two whole pages at least */

static void set_pages(aipc_trim *trim, const hole *h) {
    trim->offset = h->offset;
    trim->from = first_page(h->offset);
    trim->to = last_page(h->offset + h->size);
}

/* ---- free blocks become holes -------------------------------------------------------------------- */

/* The hole that a free block can be made, but for what lies in the reserve; false: it has no whole page. */
static bool plan(view v, uint64_t end, uint64_t size, cut *c) {
    uint64_t begin = end - size, limit = v.end - aipc_heap_reserve(v.end - v.seg->heap_begin, v.seg->participants);
    uint64_t top = end - AIPC_BLOCK_MIN < limit ? end - AIPC_BLOCK_MIN : limit;
    uint64_t first = (first_page(begin) + AIPC_HOLE_PAGE - 1) & ~(uint64_t)(AIPC_HOLE_PAGE - 1);
    uint64_t gap = first - first_page(begin);
    if (gap != 0 && gap < AIPC_BLOCK_MIN) gap += AIPC_HOLE_PAGE;
    c->gap = gap;
    c->offset = begin + gap;
    c->size = last_page(top - 8) + 8 - c->offset;
    c->rest = end - c->offset - c->size;
    c->flags = AIPC_HOLE;
    return last_page(top - 8) > first_page(c->offset) && top > c->offset;
}

static bool make_hole(view v, aipc_trim *trim, bool *made) {
    uint64_t end, size;
    cut c = {0};
    *made = false;
    if (!find_for(v, (request){.size = WORTH_IT, .alignment = AIPC_ALIGNMENT}, 0, &end)) return false;
    if (end == 0) return true;
    if (!read_free(v, end, &size)) return false;
    if (!plan(v, end, size, &c)) return true;
    if (!aipc_heap_cut_and_rebin(v, &c)) return false;
    const hole h = {.offset = c.offset, .size = c.size, .busy = v.seg->self, .pass = trim->pass};
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    if (!link_hole(v, &tx, &h, NULL)) return false;
    trim->offset = h.offset;
    trim->given += last_page(h.offset + h.size) - first_page(h.offset);
    *made = true;
    return had_room(v, &tx);
}

/* ---- holes become larger ------------------------------------------------------------------------- */

/* The block behind a hole: the next one, maybe with a free block between. */
static bool hole_behind(view v, const hole *h, uint64_t *between, hole *next) {
    uint64_t at = h->offset + h->size, header = get(v, at);
    *between = 0;
    *next = (hole){0};
    if (!check_header(v, at, header)) return false;
    if ((header & AIPC_USED) == 0) {
        *between = aipc_block_size(header);
        at += *between;
        if (!read_end(v, at, &header)) return false;
    }
    return (aipc_block_flags(header) & AIPC_HOLE) == 0 || read_hole(v, at, next);
}

/* Joins a hole with the one behind it, and with what is free between them. */
static bool merge(view v, const hole *h, uint64_t between, const hole *next) {
    uint64_t size = h->size + between + next->size, at = h->offset + h->size;
    cut c = {.offset = at, .size = between};
    if (between != 0 && (!read_end(v, at + between, &c.next) || !aipc_heap_cut_and_rebin(v, &c))) return false;
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    if (!unlink_hole(v, &tx, next)) return false;
    set(v, &tx, at, 0);
    set(v, &tx, next->offset, 0);
    set_header(v, &tx, h->offset, size, aipc_block_flags(get(v, h->offset)));
    aipc_tx_set(&tx, &v.seg->heap->used_blocks,
                aipc_load_relaxed64(&v.seg->heap->used_blocks) - (between != 0 ? 2 : 1));
    return count_holes(v, &tx, size - h->size, 0) && had_room(v, &tx);
}

/* Makes our hole larger by one; *more: there may be another. */
static bool enlarge(view v, aipc_trim *trim, bool *more) {
    hole h, next;
    uint64_t between;
    *more = false;
    if (!read_hole(v, trim->offset, &h) || !hole_behind(v, &h, &between, &next)) return false;
    set_pages(trim, &h);
    if (next.offset == 0 || is_busy(v.seg, next.busy)) return true;
    trim->given += first_page(next.offset) - last_page(h.offset + h.size);
    *more = true;
    return merge(v, &h, between, &next);
}

/* Moves the first hole to the end of the list, as one that is seen to. */
static bool rotate(view v, const hole *h, bool ours, uint64_t pass) {
    hole moved = *h;
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    moved.pass = pass;
    if (ours) moved.busy = v.seg->self;
    return unlink_hole(v, &tx, h) && link_hole(v, &tx, &moved, NULL) && had_room(v, &tx);
}

/* The oldest hole: *took: it is ours now; *left: there is another to look at. */
static bool next_hole(view v, aipc_trim *trim, bool *took, bool *left) {
    uint64_t first = aipc_load_relaxed64(&v.seg->heap->hole_first);
    hole h;
    *took = *left = false;
    if (first == 0) return true;
    if (!read_hole(v, first, &h)) return false;
    if (h.pass >= trim->pass) return true;
    *left = true;
    *took = !is_busy(v.seg, h.busy);
    trim->offset = h.offset;
    return rotate(v, &h, *took, trim->pass);
}

/* ---- a pass -------------------------------------------------------------------------------------- */

static void begin_pass(view v, aipc_trim *trim) {
    if (trim->pass != 0) return;
    uint64_t *passes = &v.seg->heap->trims;
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    trim->pass = aipc_load_relaxed64(passes) + 1;
    aipc_tx_set(&tx, passes, trim->pass);
    aipc_tx_commit(&tx);
}

/* One transaction under the heap; *more: there is another to make. */
static aipc_status step(aipc_ctx *ctx, aipc_trim *trim, bool *took, bool *more) {
    view v;
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    bool sound = true;
    if (*took) {
        sound = enlarge(v, trim, more);
    } else {
        begin_pass(v, trim);
        sound = trim->again || make_hole(v, trim, took);
        if (sound && !*took) sound = next_hole(v, trim, took, more);
    }
    return close_heap(ctx, v, sound ? AIPC_OK : AIPC_CORRUPT);
}

aipc_status aipc_trim_next(aipc_ctx *ctx, aipc_trim *trim) {
    if (ctx->seg->lent && ctx->seg->pages == AIPC_PAGES_KEPT) return AIPC_INVALID;
    bool took = false, more = true;
    aipc_status status = AIPC_OK;
    aipc_shield(ctx->seg, true); /* a signal handler might wait for the hole that is ours */
    while (more && status == AIPC_OK) status = step(ctx, trim, &took, &more);
    aipc_shield(ctx->seg, false);
    if (status == AIPC_OK) return took ? AIPC_OK : AIPC_NOT_FOUND;
    if (took) (void)aipc_trim_done(ctx, trim);
    return status;
}

aipc_span aipc_hole_pages(const aipc_block_info *info) {
    uint64_t page = aipc_os_page_size(), offset = info->payload - AIPC_BLOCK_OVERHEAD;
    uint64_t from = (first_page(offset) + page - 1) / page * page, to = (offset + info->size) / page * page;
    return (aipc_span){from, to > from ? to : from};
}

aipc_status aipc_trim_punch(aipc_seg *seg, const aipc_trim *trim) {
    const aipc_block_info info = {.payload = trim->offset + AIPC_BLOCK_OVERHEAD, .size = trim->to - trim->offset};
    const aipc_span span = aipc_hole_pages(&info);
    if (span.from == span.to) return AIPC_OK;
    bool shared = !seg->lent || seg->pages == AIPC_PAGES_SHARED;
    return aipc_os_punch(seg->base + span.from, span.to - span.from, shared, &seg->error);
}

aipc_status aipc_trim_done(aipc_ctx *ctx, const aipc_trim *trim) {
    view v;
    hole h;
    aipc_shield(ctx->seg, true);
    aipc_status status = open_heap(ctx, &v);
    if (status == AIPC_OK) {
        if (read_hole(v, trim->offset, &h) && h.busy == v.seg->self)
            release_hole(v, &h);
        else
            status = AIPC_CORRUPT;
        status = close_heap(ctx, v, status);
    }
    aipc_shield(ctx->seg, false);
    wake_waiting(ctx->seg);
    return status;
}
