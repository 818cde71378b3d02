#include "heap_change.h"
#include "room.h"

/* A used block and what lies beside it. */
typedef struct used {
    uint64_t offset, size, before, after; /* before, after: sizes of its free neighbours, 0: none */
    uint64_t next;                        /* the header behind it */
    uint32_t flags;
} used;

/* As in aipc_heap_free: what does not look like a used block is the caller's mistake. */
static aipc_status read_used(view v, uint64_t payload, uint32_t forbidden, used *b) {
    uint64_t header = 0;
    *b = (used){.offset = payload - AIPC_BLOCK_OVERHEAD};
    if ((b->offset & 15) == 8 && b->offset >= v.seg->heap_begin && b->offset < v.end) header = get(v, b->offset);
    if ((header & AIPC_USED) == 0 || (aipc_block_flags(header) & (forbidden | AIPC_HOLE)) != 0 ||
        !tag_fits(v.seg, b->offset, header))
        return AIPC_INVALID;
    b->size = aipc_block_size(header);
    b->flags = aipc_block_flags(header);
    if (b->size < AIPC_BLOCK_MIN || b->size > v.end - b->offset)
        return aipc_corrupt(v.seg, BAD_SIZE, word(v, b->offset), b->size, v.end - b->offset);
    bool sound = read_before(v, b->offset, header, &b->before) &&
                 read_after(v, b->offset + b->size, &b->next, &b->after);
    return sound ? AIPC_OK : AIPC_CORRUPT;
}

/* Gives the block another size, out of the free one behind it and into it; at most 17 log entries.  The last word of an
 * owned block goes with its end (holdings.h).  pre: H2 and H3 hold with that size. */
static bool move_end(view v, used *b, uint64_t size) {
    uint64_t end = b->offset + b->size + b->after, rest = end - b->offset - size, behind = b->next;
    uint64_t tail = get(v, b->offset + b->size - 8);
    change moved = {.from = end, .from_size = b->after, .to = end, .to_size = rest};
    if (b->after != 0 && !read_end(v, end, &behind)) return false;
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    if (!rebin(v, &tx, &moved)) return false;
    if (rest != 0) set_free(v, &tx, b->offset + size, rest);
    if ((rest != 0) != (b->after != 0))
        set_header(v, &tx, end, aipc_block_size(behind), aipc_block_flags(behind) ^ (uint32_t)AIPC_PREV_USED);
    set_header(v, &tx, b->offset, size, b->flags);
    if ((b->flags & AIPC_PART) == AIPC_OWNED) set(v, &tx, b->offset + size - 8, tail);
    if (!count_more(v, &tx, size - b->size, 0) || !had_room(v, &tx)) return false;
    *b = (used){.offset = b->offset, .size = size, .before = b->before, .after = rest, .flags = b->flags};
    b->next = get(v, b->offset + size);
    return true;
}

/* The size it gets when it wants `size`: no crumb is left behind it. */
static uint64_t without_crumb(const used *b, uint64_t size) {
    uint64_t all = b->size + b->after;
    return all - size < AIPC_BLOCK_MIN ? all : size;
}

/* How much before the block has to become its new front, so that it has `wanted` bytes when it has `reach` by itself, and
 * the front has room for all of its contents: they are then copied, and whole at every moment.  0: that is not there. */
static uint64_t front_for(const used *b, uint64_t contents, uint64_t reach, uint64_t wanted) {
    uint64_t front = block_size_for(contents);
    if (wanted > reach + front) front = wanted - reach;
    if (front > b->before) return 0;
    return b->before - front < AIPC_BLOCK_MIN ? b->before : front;
}

/* The front becomes a block of its own, known to the context alone.  Then the end is moved as far as is needed still. */
static aipc_status begin_front(view v, used *b, aipc_resizing *r, uint64_t front, uint64_t size, uint64_t *orphan) {
    cut c = {.offset = b->offset - front, .gap = b->before - front, .size = front, .flags = b->flags & AIPC_PART,
             .next = get(v, b->offset), .orphan = orphan};
    if (!aipc_heap_cut_and_rebin(v, &c)) return AIPC_CORRUPT;
    commit(v);
    b->before = 0;
    b->flags |= AIPC_PREV_USED;
    r->front = c.offset + AIPC_BLOCK_OVERHEAD;
    r->usable = front + size - AIPC_BLOCK_OVERHEAD;
    return size == b->size || move_end(v, b, without_crumb(b, size)) ? AIPC_AGAIN : AIPC_CORRUPT;
}

static aipc_status grow(view v, used *b, aipc_resizing *r, uint64_t want, uint64_t least, uint64_t *orphan) {
    uint64_t limit = v.end - aipc_heap_reserve(v.end - v.seg->heap_begin, v.seg->participants);
    uint64_t behind = b->offset + b->size, room = behind < limit ? limit - behind : 0;
    uint64_t reach = b->size + ((r->ways & AIPC_GROW_FORWARD) == 0 ? 0 : b->after < room ? b->after : room & ~UINT64_C(15));
    bool backward = (r->ways & AIPC_GROW_BACKWARD) != 0 && (b->flags & AIPC_OWNED) == 0 && b->offset <= limit;
    uint64_t front = backward && reach < want ? front_for(b, r->contents, reach, want) : 0;
    if (backward && front == 0 && reach < least && front_for(b, r->contents, reach, least) != 0) front = b->before;
    if (front != 0) {
        uint64_t size = front + b->size >= want ? b->size : want - front < reach ? want - front : reach;
        return begin_front(v, b, r, front, size, orphan);
    }
    uint64_t most = backward && front_for(b, r->contents, reach, 0) != 0 ? reach + b->before : reach;
    r->usable = most - AIPC_BLOCK_OVERHEAD;
    if (reach < least) return AIPC_FULL;
    uint64_t size = without_crumb(b, reach < want ? reach : want);
    r->usable = size - AIPC_BLOCK_OVERHEAD;
    return size == b->size || move_end(v, b, size) ? AIPC_OK : AIPC_CORRUPT;
}

static aipc_status shrink(view v, used *b, aipc_resizing *r, uint64_t want) {
    bool crumb = b->size <= want || (b->after == 0 && b->size - want < AIPC_BLOCK_MIN);
    if (!crumb && !move_end(v, b, want)) return AIPC_CORRUPT;
    r->usable = b->size - AIPC_BLOCK_OVERHEAD;
    return AIPC_OK;
}

/* So that nothing overflows: what cannot be had is answered like what is not there. */
static uint64_t wanted(view v, uint64_t size) { return block_size_for(size < v.seg->mapped ? size : v.seg->mapped); }

static aipc_status resize(view v, used *b, aipc_resizing *r, uint64_t *orphan) {
    uint64_t want = wanted(v, r->preferred);
    if (want > b->size) return grow(v, b, r, want, wanted(v, r->minimum), orphan);
    return shrink(v, b, r, (r->ways & AIPC_SHRINK) != 0 ? want : b->size);
}

aipc_status aipc_heap_resize(aipc_ctx *ctx, aipc_resizing *r, uint64_t *orphan) {
    view v;
    used b;
    r->front = r->usable = 0;
    if (r->minimum > r->preferred || r->contents > ctx->seg->mapped) return AIPC_INVALID;
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    status = read_used(v, r->payload, r->forbidden, &b);
    if (status == AIPC_OK) status = resize(v, &b, r, orphan);
    aipc_status closed = close_heap(ctx, v, status == AIPC_AGAIN ? AIPC_OK : status);
    aipc_room_made(ctx); /* it may have shrunk */
    return status == AIPC_AGAIN && closed == AIPC_OK ? AIPC_AGAIN : closed;
}

/* The front and the block behind it become one, under the front's header. */
static bool unite(view v, const used *front, const used *b, uint64_t *orphan) {
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    set(v, &tx, b->offset, 0); /* or a free of it would find a good header */
    set_header(v, &tx, front->offset, front->size + b->size, front->flags);
    aipc_tx_set(&tx, orphan, 0);
    return count_more(v, &tx, 0, UINT64_MAX);
}

aipc_status aipc_heap_resize_end(aipc_ctx *ctx, aipc_resizing *r, uint64_t *orphan) {
    view v;
    used front, b;
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    status = read_used(v, r->front, 0, &front);
    if (status == AIPC_OK) status = read_used(v, r->payload, r->forbidden, &b);
    if (status == AIPC_OK && front.offset + front.size != b.offset) status = AIPC_INVALID; /* freed, and used again */
    if (status == AIPC_OK && !unite(v, &front, &b, orphan)) status = AIPC_CORRUPT;
    if (status == AIPC_OK) { /* the contents may have needed more room than was asked for */
        commit(v);
        status = read_used(v, r->front, 0, &front);
        if (status == AIPC_OK) status = shrink(v, &front, r, wanted(v, r->preferred));
    }
    status = close_heap(ctx, v, status);
    aipc_room_made(ctx);
    return status;
}
