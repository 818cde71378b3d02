#include <string.h>

#include "heap_change.h"
#include "room.h"

/* In the lock so many bytes of a block, and of all of them before it is let go; out of it so many. */
enum { LITTLE = 4096, ENOUGH = 65536, PIECE = 1 << 20 };

/* What is between a free block's own words is nobody's: no log. */
static void zero_between(view v, uint64_t from, uint64_t end) {
    if (from < end - NEXT) memset(v.seg->base + from, 0, end - NEXT - from);
}

/* Frees the block in *mine; the words of the free ones beside it are inside of one then. */
static bool give_back(view v, uint64_t offset, uint64_t header, uint64_t *mine) {
    join j = {.offset = offset, .size = aipc_block_size(header), .orphan = mine};
    if (!give(v, &j, header)) return false;
    commit(v);
    if (j.before != 0) memset(v.seg->base + offset - NEXT, 0, NEXT + AIPC_BLOCK_OVERHEAD);
    if (j.after != 0) memset(v.seg->base + offset + j.size, 0, AIPC_BLOCK_OVERHEAD);
    return true;
}

/* The next free block from `at` on that is to be zeroed by the caller: its end, 0 when there is none. */
static bool next_large(view v, uint64_t at, uint64_t limit, uint64_t *end) {
    uint64_t header, size, spent = 0;
    for (*end = 0; at != v.end; at += size) {
        header = get(v, at);
        if (!check_header(v, at, header)) return false;
        size = aipc_block_size(header);
        if ((header & AIPC_USED) != 0) continue;
        bool takable = at < limit && limit - at >= AIPC_BLOCK_MIN;
        if (takable && (size > LITTLE || spent > ENOUGH)) {
            if (at + size > limit) zero_between(v, limit, at + size); /* the reserve stays where it is */
            *end = at + size;
            return true;
        }
        zero_between(v, at + AIPC_BLOCK_OVERHEAD, at + size);
        spent += size;
    }
    return true;
}

/* Takes the front of the free block that ends at `end`, as far as it lies before the limit. */
static bool take_piece(view v, uint64_t end, uint64_t limit, uint64_t *next, uint64_t *size) {
    uint64_t whole;
    if (!read_free(v, end, &whole)) return false;
    uint64_t room = end > limit ? whole - (end - limit) : whole;
    if (room > whole) return wrong(v, BAD_FOOTER, end - FOOTER, whole, limit);
    cut c = {.orphan = next};
    if (!take(v, end, (request){.size = (room < PIECE ? room : PIECE) & ~UINT64_C(15), .alignment = 1}, &c)) return false;
    commit(v);
    *size = c.size - AIPC_BLOCK_OVERHEAD;
    return true;
}

static bool go_on(view v, uint64_t *mine, uint64_t *next, uint64_t *size) {
    uint64_t payload = aipc_load_relaxed64(mine), offset = payload - AIPC_BLOCK_OVERHEAD, header = 0, end;
    uint64_t limit = v.end - aipc_heap_reserve(v.end - v.seg->heap_begin, v.seg->participants);
    if (payload != 0) {
        if ((offset & 15) != 8 || offset < v.seg->heap_begin || offset >= v.end)
            return wrong(v, BAD_RANGE, place(v, mine), payload, v.end);
        header = get(v, offset);
        if (!check_header(v, offset, header)) return false;
        if ((header & AIPC_USED) == 0) return wrong(v, BAD_TAG, offset, header, header | AIPC_USED);
    }
    if (!next_large(v, payload != 0 ? offset : v.seg->heap_begin, limit, &end)) return false;
    if (end != 0 && !take_piece(v, end, limit, next, size)) return false;
    return payload == 0 || give_back(v, offset, get(v, offset), mine);
}

aipc_status aipc_heap_zero_next(aipc_ctx *ctx, uint64_t *mine, uint64_t *next, uint64_t *size) {
    view v;
    aipc_status status = open_heap(ctx, &v);
    if (status != AIPC_OK) return status;
    status = close_heap(ctx, v, go_on(v, mine, next, size) ? AIPC_OK : AIPC_CORRUPT);
    aipc_room_made(ctx);
    return status;
}
