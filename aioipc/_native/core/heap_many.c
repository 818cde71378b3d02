#include "heap_change.h"
#include "holes.h"

/* So many are cut out of one free block in one transaction: its log has room for a header of each. */
enum { AT_ONCE = 32 };

static uint64_t size_of(const aipc_many *many, uint64_t i) { return block_size_for(many->sizes[many->equal ? 0 : i]); }

/* The blocks of one transaction, side by side at the front of a free one. */
typedef struct run {
    uint64_t sizes[AT_ONCE];
    uint32_t count;
    cut all; /* of all of them together */
} run;

/* As many of the next blocks as there is room for before the limit. */
static bool plan(view v, const aipc_many *many, uint64_t done, uint64_t end, uint64_t limit, run *r) {
    uint64_t whole, size;
    if (!read_free(v, end, &whole)) return false;
    uint64_t room = whole - (end > limit ? end - limit : 0), total = 0;
    for (r->count = 0; r->count < AT_ONCE && done + r->count < many->count; r->count++, total += size) {
        size = size_of(many, done + r->count);
        if (room > whole || size > room - total) break;
        r->sizes[r->count] = size;
    }
    if (r->count == 0) return wrong(v, BAD_FOOTER, end - FOOTER, whole, limit);
    r->all = (cut){.offset = end - whole, .size = total, .rest = whole - total};
    if (r->all.rest >= AIPC_BLOCK_MIN) return true;
    r->sizes[r->count - 1] += r->all.rest;
    r->all.size = whole;
    r->all.rest = 0;
    return read_end(v, end, &r->all.next);
}

/* Headers, and links to what came before.  A link is written into what is free still; only the last may lie on the
 * words that the free block is known by. */
static uint64_t set_run(view v, aipc_tx *tx, const run *r, uint64_t chain, uint64_t *payloads) {
    uint64_t offset = r->all.offset, payload = chain;
    for (uint32_t i = 0; i < r->count; offset += r->sizes[i++]) {
        set_header(v, tx, offset, r->sizes[i], AIPC_USED | AIPC_PREV_USED);
        if (i + 1 == r->count)
            set(v, tx, offset + AIPC_BLOCK_OVERHEAD, payload);
        else
            set_plain(v, offset + AIPC_BLOCK_OVERHEAD, payload);
        payload = payloads[i] = offset + AIPC_BLOCK_OVERHEAD;
    }
    return payload;
}

static bool cut_run(view v, const run *r, uint64_t *chain, uint64_t *payloads) {
    const cut *c = &r->all;
    uint64_t end = c->offset + c->size, whole = c->size + c->rest;
    change moved = {.from = end + c->rest, .from_size = whole, .to = end + c->rest, .to_size = c->rest};
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    if (!rebin(v, &tx, &moved)) return false;
    if (c->rest != 0)
        set_free(v, &tx, end, c->rest);
    else
        set_header(v, &tx, end, aipc_block_size(c->next), aipc_block_flags(c->next) | AIPC_PREV_USED);
    uint64_t last = set_run(v, &tx, r, aipc_load_relaxed64(chain) & ~AIPC_ORPHAN_CHAIN, payloads);
    aipc_tx_set(&tx, chain, last | AIPC_ORPHAN_CHAIN);
    return count_more(v, &tx, c->size, r->count) && had_room(v, &tx);
}

/* One block by itself, at a place that suits it; then into the chain. */
static aipc_status take_one(view v, request want, uint64_t end, uint64_t *const orphan[2], uint64_t *payload) {
    cut c = {.orphan = orphan[1]};
    if (!take(v, end, want, &c)) return AIPC_CORRUPT;
    commit(v);
    *payload = c.offset + AIPC_BLOCK_OVERHEAD;
    set_plain(v, *payload, aipc_load_relaxed64(orphan[0]) & ~AIPC_ORPHAN_CHAIN);
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    aipc_tx_set(&tx, orphan[0], *payload | AIPC_ORPHAN_CHAIN);
    aipc_tx_set(&tx, orphan[1], 0);
    return AIPC_OK;
}

/* The next blocks, in one hold of the lock: a run of them if some block has room for one, else the first alone. */
static aipc_status take_some(view v, const aipc_many *many, uint64_t *done, uint64_t *const orphan[2]) {
    request want = {.size = size_of(many, *done), .alignment = many->alignment};
    uint64_t first = want.size, end = 0;
    bool aligned = many->alignment > AIPC_ALIGNMENT;
    for (uint64_t i = 1; i < AT_ONCE && !aligned && *done + i < many->count && want.size <= v.seg->mapped; i++)
        want.size += size_of(many, *done + i);
    if (!find_for(v, want, 0, &end)) return AIPC_CORRUPT;
    if (end == 0 && want.size != first) {
        want.size = first;
        if (!find_for(v, want, 0, &end)) return AIPC_CORRUPT;
    }
    if (end == 0) return AIPC_FULL;
    if (aligned) return take_one(v, want, end, orphan, &many->payloads[(*done)++]);
    run r;
    uint64_t limit = v.end - aipc_heap_reserve(v.end - v.seg->heap_begin, v.seg->participants);
    if (!plan(v, many, *done, end, limit, &r) || !cut_run(v, &r, orphan[0], many->payloads + *done)) return AIPC_CORRUPT;
    *done += r.count;
    return AIPC_OK;
}

aipc_status aipc_heap_allocate_many(aipc_ctx *ctx, const aipc_many *many, uint64_t *const orphan[2]) {
    if (many->alignment == 0 || (many->alignment & (many->alignment - 1)) != 0) return AIPC_INVALID;
    if (many->alignment > ctx->seg->mapped) return AIPC_FULL;
    for (uint64_t i = 0; i < (many->equal ? 1 : many->count); i++)
        if (many->sizes[i] > ctx->seg->mapped) return AIPC_FULL;
    aipc_status status = AIPC_OK;
    for (uint64_t done = 0; status == AIPC_OK && done < many->count;) {
        view v;
        status = open_heap(ctx, &v);
        if (status == AIPC_OK) status = close_heap(ctx, v, take_some(v, many, &done, orphan));
        if (status == AIPC_FULL && aipc_load_relaxed64(&ctx->seg->heap->hole_first) != 0)
            status = aipc_heap_make_room(ctx, size_of(many, done), many->alignment);
    }
    return status;
}
