#include "memory.h"

#include <string.h>

#include "holes.h"
#include "retire.h"

/* So many bytes are many. */
enum { BULK = 65536 };

static uint8_t *at(aipc_ctx *ctx, uint64_t payload) { return ctx->seg->base + payload; }

static void copy(aipc_ctx *ctx, uint64_t to, uint64_t from, uint64_t count) {
    if (count >= BULK && ctx->seg->bulk != NULL)
        ctx->seg->bulk(at(ctx, to), at(ctx, from), count);
    else
        memcpy(at(ctx, to), at(ctx, from), count);
}

static void clear(aipc_ctx *ctx, uint64_t to, uint64_t count) {
    if (count >= BULK && ctx->seg->bulk != NULL)
        ctx->seg->bulk(at(ctx, to), NULL, count);
    else
        memset(at(ctx, to), 0, count);
}

static aipc_status worse(aipc_status first, aipc_status second) { return first != AIPC_OK ? first : second; }

/* Two words for what only this operation knows. */
static bool two_words(aipc_ctx *ctx, uint64_t *words[2]) {
    int found = 0;
    for (int i = 0; i < AIPC_ORPHANS && found < 2; i++)
        if (aipc_load_relaxed64(&ctx->shared->orphan[i]) == 0) words[found++] = &ctx->shared->orphan[i];
    return found == 2;
}

/* ---- many -------------------------------------------------------------------------------------- */
aipc_status aipc_allocate_many(aipc_ctx *ctx, const aipc_many *many) {
    uint64_t *words[2];
    if (!two_words(ctx, words)) return AIPC_AGAIN;
    aipc_status status = aipc_heap_allocate_many(ctx, many, words);
    if (status == AIPC_OK) {
        aipc_store_release64(words[0], 0);
        return AIPC_OK;
    }
    (void)aipc_orphan_free(ctx, words[0]); /* or later: see there */
    (void)aipc_orphan_free(ctx, words[1]);
    return status;
}

aipc_status aipc_deallocate_many(aipc_ctx *ctx, const uint64_t *payloads, uint64_t count, uint64_t *freed) {
    aipc_status status = AIPC_OK;
    for (*freed = 0; status == AIPC_OK && *freed < count;) {
        uint64_t some;
        status = aipc_heap_free_many(ctx, payloads + *freed, count - *freed, AIPC_PART, &some);
        *freed += some;
        if (status != AIPC_INVALID) continue;
        status = aipc_deallocate(ctx, payloads[*freed]); /* it may be an owned one */
        *freed += status == AIPC_OK;
    }
    return status;
}

/* ---- another size ------------------------------------------------------------------------------ */
/* The last word of an owned block is not the user's. */
enum { TAIL = 8 };

typedef struct old {
    uint64_t usable; /* the user's bytes */
    bool owned;
} old;

static aipc_status read_old(aipc_ctx *ctx, uint64_t payload, old *o) {
    uint32_t flags;
    aipc_status status = aipc_heap_size_of(ctx->seg, payload, &o->usable, &flags);
    if (status != AIPC_OK) return status;
    if ((flags & AIPC_INTERNAL) != 0) return AIPC_INVALID;
    o->owned = (flags & AIPC_OWNED) != 0;
    if (o->owned) o->usable -= TAIL;
    return AIPC_OK;
}

/* Copies into a block that nobody else knows yet, and clears the rest of it. */
static aipc_status fill(aipc_ctx *ctx, uint64_t from, uint64_t to, uint64_t count) {
    old fresh;
    aipc_status status = read_old(ctx, to, &fresh);
    if (status != AIPC_OK) return status;
    if (count > fresh.usable) count = fresh.usable;
    copy(ctx, to, from, count);
    clear(ctx, to + count, fresh.usable - count);
    return AIPC_OK;
}

static aipc_status move_owned(aipc_ctx *ctx, aipc_resizing *r, const old *o, uint64_t size, uint64_t alignment) {
    uint64_t fresh;
    aipc_status status = aipc_owned_allocate(ctx, size, alignment, &fresh);
    if (status != AIPC_OK) return status;
    status = fill(ctx, r->payload, fresh, o->usable);
    if (status == AIPC_OK) status = aipc_deallocate(ctx, r->payload); /* a death takes both */
    if (status == AIPC_OK)
        r->payload = fresh;
    else
        (void)aipc_deallocate(ctx, fresh);
    return status;
}

static aipc_status move(aipc_ctx *ctx, aipc_resizing *r, const old *o, uint64_t size, uint64_t alignment) {
    uint64_t fresh, *word = aipc_orphan_word(ctx);
    if (o->owned) return move_owned(ctx, r, o, size, alignment);
    if (word == NULL) return AIPC_AGAIN;
    aipc_status status = aipc_heap_allocate(ctx, size, alignment, 0, word, &fresh);
    if (status != AIPC_OK) return status;
    status = fill(ctx, r->payload, fresh, o->usable);
    if (status == AIPC_OK) status = aipc_heap_free(ctx, r->payload, AIPC_PART, word); /* M2 */
    if (status == AIPC_OK)
        r->payload = fresh;
    else
        (void)aipc_orphan_free(ctx, word);
    return status;
}

/* Where it is, but for what would move it into a new block. */
static aipc_status in_place(aipc_ctx *ctx, aipc_resizing *r, const old *o) {
    uint64_t *word = aipc_orphan_word(ctx), end = o->usable;
    if (word == NULL) return AIPC_AGAIN;
    aipc_status status = aipc_heap_resize(ctx, r, word);
    if (status == AIPC_AGAIN) {
        status = fill(ctx, r->payload, r->front, o->usable);
        if (status == AIPC_OK) status = aipc_heap_resize_end(ctx, r, word);
        if (status == AIPC_OK) r->payload = r->front;
    }
    if (status != AIPC_OK) return worse(status, aipc_orphan_free(ctx, word)); /* a front, if it came to that */
    uint64_t usable = r->usable - (o->owned ? TAIL : 0);
    if (usable > end) clear(ctx, r->payload + end, usable - end);
    return AIPC_OK;
}

aipc_status aipc_resize(aipc_ctx *ctx, aipc_resizing *r, uint64_t alignment, bool may_move) {
    old o;
    aipc_heap_stats stats;
    uint64_t minimum = r->minimum, preferred = r->preferred, most = ctx->seg->mapped;
    if (minimum > preferred || alignment == 0 || (alignment & (alignment - 1)) != 0) return AIPC_INVALID;
    aipc_status status = read_old(ctx, r->payload, &o);
    if (status != AIPC_OK) return status;
    r->forbidden = AIPC_INTERNAL;
    r->contents = o.usable;
    if (o.owned) { /* and so it is no part of anything */
        r->preferred = preferred < most ? ((preferred + 7) & ~UINT64_C(7)) + TAIL : most;
        r->minimum = minimum < most ? ((minimum + 7) & ~UINT64_C(7)) + TAIL : most;
    }
    if (alignment > AIPC_ALIGNMENT) r->ways &= ~(uint32_t)AIPC_GROW_BACKWARD;
    status = in_place(ctx, r, &o);
    uint64_t in_its_place = r->usable - (o.owned ? TAIL : 0);
    r->usable = in_its_place;
    if (status != AIPC_FULL || !may_move) return status;
    status = move(ctx, r, &o, preferred, alignment);
    if (status == AIPC_FULL && minimum < preferred) status = move(ctx, r, &o, minimum, alignment);
    if (status == AIPC_FULL) {
        status = aipc_heap_stats_get(ctx, &stats);
        if (status != AIPC_OK) return status;
        uint64_t largest = stats.largest_free - (o.owned && stats.largest_free > TAIL ? TAIL : 0);
        if (largest > r->usable) r->usable = largest;
        return AIPC_FULL;
    }
    if (status != AIPC_OK) return status;
    status = read_old(ctx, r->payload, &o);
    r->usable = o.usable;
    return status;
}

/* ---- all of it --------------------------------------------------------------------------------- */
/* Holes without pages are zeros; a killed trimmer may have left some. */
static aipc_status empty_holes(aipc_ctx *ctx) {
    aipc_trim trim = {.again = true};
    aipc_status status = AIPC_OK;
    while (status == AIPC_OK && (status = aipc_trim_next(ctx, &trim)) == AIPC_OK) {
        status = aipc_trim_punch(ctx->seg, &trim);
        status = worse(status, aipc_trim_done(ctx, &trim));
    }
    return status == AIPC_NOT_FOUND || status == AIPC_INVALID ? AIPC_OK : status;
}

aipc_status aipc_zero_free_memory(aipc_ctx *ctx) {
    uint64_t *words[2], size = 0;
    aipc_status status = empty_holes(ctx);
    if (status != AIPC_OK) return status;
    if (!two_words(ctx, words)) return AIPC_AGAIN;
    for (int mine = 0;; mine ^= 1) {
        status = aipc_heap_zero_next(ctx, words[mine], words[mine ^ 1], &size);
        uint64_t block = aipc_load_relaxed64(words[mine ^ 1]);
        if (status != AIPC_OK || block == 0) break;
        clear(ctx, block, size);
    }
    for (int i = 0; i < 2; i++) status = worse(status, aipc_orphan_free(ctx, words[i]));
    return status;
}

static bool is_internal(void *any, const aipc_block_info *block) {
    bool users = (block->flags & (AIPC_USED | AIPC_HOLE)) == AIPC_USED && (block->flags & AIPC_PART) != AIPC_INTERNAL;
    *(bool *)any |= users;
    return !users;
}

aipc_status aipc_all_deallocated(aipc_ctx *ctx, bool *all) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    bool any = false;
    aipc_status status = aipc_domain_lock(ctx, &catalog->domain);
    if (status != AIPC_OK) return status;
    bool objects = (aipc_load_relaxed64(&catalog->count) | aipc_load_relaxed64(&catalog->anonymous)) != 0;
    aipc_domain_unlock(ctx, &catalog->domain);
    status = aipc_heap_walk(ctx, is_internal, &any);
    *all = !objects && !any;
    return status;
}
