#include "heap_holes.h"
#include "holes.h"
#include "os.h"
#include "room.h"

enum { LEAST = 1 << 20, MOST = 32 << 20, FAR = 4096 };

/* What is done for one request. */
typedef struct work {
    uint64_t need;     /* bytes of one free block */
    hole hole;         /* offset 0: none would help */
    uint64_t before;   /* bytes free before it */
    uint64_t busy;     /* somebody who is at work on one that would */
    uint32_t moved;    /* heap.holes_moved, seen with it */
} work;

/* ---- which hole ---------------------------------------------------------------------------------- */

/* Whether the free block before a hole, it and what follows, free or a hole, are enough.  *busy: somebody is at work on
 * one of them. */
static bool enough(view v, const work *w, const hole *h, bool *is, uint64_t *busy) {
    uint64_t limit = v.end - aipc_heap_reserve(v.end - v.seg->heap_begin, v.seg->participants);
    uint64_t sum = w->before, at = h->offset, header = get(v, at);
    hole next = *h;
    for (int steps = 0; steps < FAR && (steps == 0 || sum < w->need); steps++) { /* the hole itself in any case */
        uint64_t size = aipc_block_size(header), room = at < limit ? limit - at : 0;
        if ((header & AIPC_USED) != 0 && (aipc_block_flags(header) & AIPC_HOLE) == 0) break;
        if ((header & AIPC_USED) != 0) {
            if (!read_hole(v, at, &next)) return false;
            if (is_busy(v.seg, next.busy)) *busy = next.busy;
        }
        sum += size < room ? size : room;
        at += size;
        header = get(v, at);
        if (at > v.end || !check_header(v, at, header)) return wrong(v, BAD_HOLE, at, header, v.end);
    }
    *is = sum >= w->need;
    return true;
}

/* The first that nobody is at work on; else who is. */
static bool choose(view v, work *w) {
    uint64_t left = aipc_load_relaxed64(&v.seg->heap->hole_count), at = aipc_load_relaxed64(&v.seg->heap->hole_first);
    hole h;
    w->hole.offset = w->busy = 0;
    w->moved = aipc_load_relaxed32(&v.seg->heap->holes_moved);
    for (; at != 0 && w->hole.offset == 0; at = h.next) {
        uint64_t busy = 0;
        bool would = false;
        if (left-- == 0) return wrong(v, BAD_HOLES, place(v, &v.seg->heap->hole_first), at, 0);
        if (!read_hole(v, at, &h) || !read_before(v, at, get(v, at), &w->before)) return false;
        if (!enough(v, w, &h, &would, &busy)) return false;
        if (would && busy == 0)
            w->hole = h;
        else if (would)
            w->busy = busy;
    }
    return true;
}

static bool claim(view v, const work *w) {
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    set(v, &tx, HOLE_WORD(w->hole.offset, busy), v.seg->self);
    return true;
}

/* ---- pages --------------------------------------------------------------------------------------- */

/* How far pages are fetched: to the hole's last, if there would be little left. */
static uint64_t reach(const work *w, uint64_t at_least) {
    uint64_t first = first_page(w->hole.offset), last = last_page(w->hole.offset + w->hole.size);
    uint64_t bytes = (w->need > w->before ? w->need - w->before : 0) + sizeof(struct aipc_hole);
    bytes = bytes < at_least ? at_least : bytes > MOST ? MOST : bytes;
    bytes = (bytes + AIPC_HOLE_PAGE - 1) & ~(uint64_t)(AIPC_HOLE_PAGE - 1);
    return last - first <= bytes + 2 * AIPC_HOLE_PAGE ? last : first + bytes;
}

static aipc_status fetch(aipc_seg *seg, uint64_t from, uint64_t to, int *error) {
    int fd;
    if (seg->lent && seg->pages == AIPC_PAGES_SHARED)
        return aipc_os_populate(seg->base + from, to - from, error);
    if (seg->lent) return AIPC_OK;
    aipc_status status = aipc_os_reopen(seg->fd, seg->path, seg->device, seg->inode, &fd, error);
    if (status != AIPC_OK) return aipc_os_populate(seg->base + from, to - from, error); /* a daemonizer closed it */
    status = aipc_os_reserve(fd, from, to, error);
    aipc_os_close(fd);
    return status;
}

/* ---- the hole's beginning becomes a free block --------------------------------------------------- */

/* Up to a page, where there are pages; behind it remains a hole, unless it was the last. */
static bool fill(view v, const hole *h, uint64_t to) {
    bool whole = to == last_page(h->offset + h->size);
    uint64_t end = whole ? h->offset + h->size : to - sizeof(struct aipc_hole);
    uint32_t prev_used = aipc_block_flags(get(v, h->offset)) & AIPC_PREV_USED;
    join j = {.offset = h->offset, .size = end - h->offset};
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    if (whole) {
        if (!unlink_hole(v, &tx, h)) return false;
    } else {
        const hole rest = {.offset = end, .size = h->size - j.size, .pass = h->pass};
        set_header(v, &tx, end, rest.size, AIPC_USED | AIPC_HOLE | AIPC_PREV_USED);
        if (!link_hole(v, &tx, &rest, h)) return false;
        aipc_tx_set(&tx, &v.seg->heap->used_blocks, aipc_load_relaxed64(&v.seg->heap->used_blocks) + 1);
    }
    set_header(v, &tx, h->offset, j.size, AIPC_USED | prev_used);
    if (!read_before(v, h->offset, get(v, h->offset), &j.before) || !read_after(v, end, &j.next, &j.after)) return false;
    return aipc_heap_join_and_rebin(v, &j);
}

/* to 0: nothing came of it. */
static aipc_status settle(aipc_ctx *ctx, const work *w, uint64_t to) {
    view v;
    hole h;
    aipc_shield(ctx->seg, true);
    aipc_status status = open_heap(ctx, &v);
    if (status == AIPC_OK) {
        bool ours = read_hole(v, w->hole.offset, &h) && h.busy == v.seg->self && h.size == w->hole.size;
        if (!ours || (to != 0 && !fill(v, &h, to)))
            status = AIPC_CORRUPT;
        else if (to == 0)
            release_hole(v, &h);
        status = close_heap(ctx, v, status);
    }
    aipc_shield(ctx->seg, false);
    wake_waiting(ctx->seg);
    if (to != 0) aipc_room_made(ctx); /* else who waits for room, and got none here, would wake itself for ever */
    return status;
}

/* ---- waiting for who is at work ------------------------------------------------------------------ */

static aipc_status wait_for(aipc_ctx *ctx, const work *w, uint64_t since) {
    aipc_seg *seg = ctx->seg;
    uint32_t slot = (uint32_t)(w->busy >> 20 & 0xfff), generation;
    aipc_status status = aipc_participant_test(seg, slot, &generation);
    if (status == AIPC_NOT_FOUND) status = seg->recover(ctx, slot, generation);
    if (status != AIPC_OK && status != AIPC_AGAIN) return status;
    if (aipc_os_now() - since > seg->stall_ns) {
        seg->fault = (aipc_fault){.what = "memory that a stopped process is getting or giving back",
                                  .pid = aipc_participant_pid(seg, slot)};
        return AIPC_STALLED;
    }
    return seg->idle(seg, &seg->heap->holes_moved, w->moved);
}

/* Finds a hole, and makes it ours.  AIPC_AGAIN: one that would do is somebody else's now. */
static aipc_status begin(aipc_ctx *ctx, work *w) {
    view v;
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    if (!choose(v, w) || (w->hole.offset != 0 && !claim(v, w)))
        status = AIPC_CORRUPT;
    else if (w->hole.offset == 0)
        status = w->busy != 0 ? AIPC_AGAIN : AIPC_FULL;
    return close_heap(ctx, v, status);
}

static aipc_status begin_at_last(aipc_ctx *ctx, work *w) {
    uint64_t since = aipc_os_now();
    for (;;) {
        aipc_status status = begin(ctx, w);
        if (status != AIPC_AGAIN) return status;
        status = wait_for(ctx, w, since);
        if (status != AIPC_OK) return status;
    }
}

static aipc_status make_room(aipc_ctx *ctx, uint64_t size, uint64_t alignment, bool wait) {
    work w = {.need = size + AIPC_BLOCK_MIN};
    if (alignment > AIPC_ALIGNMENT) w.need += alignment + AIPC_BLOCK_MIN;
    int error = 0;
    aipc_status status = wait ? begin_at_last(ctx, &w) : begin(ctx, &w);
    if (status != AIPC_OK) return status == AIPC_AGAIN ? AIPC_FULL : status;
    uint64_t from = first_page(w.hole.offset), to = reach(&w, LEAST);
    status = fetch(ctx->seg, from, to, &error);
    if (status == AIPC_FULL && reach(&w, 0) < to) status = fetch(ctx->seg, from, to = reach(&w, 0), &error);
    aipc_status settled = settle(ctx, &w, status == AIPC_OK ? to : 0);
    if (status != AIPC_OK) ctx->seg->error = error;
    return status == AIPC_OK ? settled : status;
}

aipc_status aipc_heap_make_room(aipc_ctx *ctx, uint64_t size, uint64_t alignment) {
    return make_room(ctx, size, alignment, true);
}
aipc_status aipc_heap_try_make_room(aipc_ctx *ctx, uint64_t size, uint64_t alignment) {
    return make_room(ctx, size, alignment, false);
}

/* ---- all that is no hole ------------------------------------------------------------------------- */

typedef struct backing {
    aipc_seg *seg;
    int fd;
    uint64_t done, limit; /* bytes from the base on that are there, and that there are */
    aipc_status status;
} backing;

/* A little more than asked: one call for many small blocks. */
static bool back_to(backing *b, uint64_t end) {
    enum { AHEAD = 256 << 10 };
    uint64_t to = b->limit - end < AHEAD ? b->limit : end + AHEAD;
    if (end <= b->done) return true;
    b->status = aipc_os_reserve(b->fd, b->done, to, &b->seg->error);
    b->done = to;
    return b->status == AIPC_OK;
}

/* The next header is read after this: its page, and the words of a hole, are there then. */
static bool back_block(void *arg, const aipc_block_info *block) {
    backing *b = arg;
    uint64_t end = block->payload - AIPC_BLOCK_OVERHEAD + block->size;
    if ((block->flags & AIPC_HOLE) != 0) {
        const aipc_span pages = aipc_hole_pages(block);
        if (b->done < pages.to) b->done = pages.to;
    }
    end = b->limit - end < sizeof(struct aipc_hole) ? b->limit : end + sizeof(struct aipc_hole);
    return back_to(b, end);
}

aipc_status aipc_heap_back_all(aipc_seg *seg, int fd) {
    backing b = {.seg = seg, .fd = fd, .limit = aipc_limit(seg)};
    if (!back_to(&b, seg->heap_begin + sizeof(struct aipc_hole))) return b.status;
    aipc_status walked = aipc_heap_walk_held(seg, back_block, &b);
    if (b.status == AIPC_OK && walked == AIPC_OK) (void)back_to(&b, b.limit);
    return b.status != AIPC_OK ? b.status : walked;
}
