#include "dict_table.h"

/* To free one block, the hazards of all participants have to be looked at: cheaper for several at once.  An operation
 * frees up to AIPC_ORPHANS of them, more than are retired in the meantime. */
enum { COLLECT_EVERY = 4, AT_ONCE = 4096 /* bytes */ };

static aipc_status worse(aipc_status status, aipc_status then) { return status == AIPC_OK ? then : status; }

void aipc_dict_init(struct aipc_dict *image) {
    memset(image, 0, sizeof *image);
    image->next_version = 1;
}

/* ---- lock and garbage -------------------------------------------------------------------------- */

aipc_status aipc_dict_lock(aipc_ctx *ctx, struct aipc_dict *d) {
    aipc_status status = aipc_domain_lock(ctx, &d->domain);
    if (status != AIPC_OK || !aipc_dict_closed(d)) return status;
    aipc_domain_unlock(ctx, &d->domain);
    return AIPC_CLOSED;
}

/* Makes orphans of what nobody looks at any more.  pre: the lock is held; it is given back. */
static aipc_status take_some(aipc_ctx *ctx, struct aipc_dict *d, uint32_t *words) {
    const aipc_retired retired = {.domain = &d->domain, .list = &d->retired, .flags = AIPC_PART,
                                  .skip = &d->skip};
    *words = 0;
    aipc_status status = aipc_retired_take(ctx, &retired, words);
    aipc_domain_unlock(ctx, &d->domain);
    return status;
}

/* *more: something went.  pre: as above. */
static aipc_status collect_some(aipc_ctx *ctx, struct aipc_dict *d, bool *more) {
    uint32_t words;
    aipc_status status = take_some(ctx, d, &words);
    *more = words != 0;
    return worse(status, aipc_orphans_free(ctx, words));
}

void aipc_dict_collect_if_free(aipc_ctx *ctx, struct aipc_dict *d) {
    uint32_t words;
    if (aipc_load_relaxed64(&d->retired) == 0 || aipc_load_relaxed32(&ctx->seg->heap->domain.lock) != 0 ||
        !aipc_domain_try_lock(ctx, &d->domain))
        return;
    (void)take_some(ctx, d, &words);
    if (words == 0) return;
    ctx->untidy = true; /* freed now, or by a later operation of this context if the heap is locked */
    aipc_orphans_tidy(ctx);
}

aipc_status aipc_dict_leave(aipc_ctx *ctx, struct aipc_dict *d, uint64_t retired) {
    bool due = retired >= AT_ONCE || aipc_load_relaxed64(&d->shedding) != 0 ||
               aipc_load_relaxed32(&d->domain.acquisitions) % COLLECT_EVERY == 0;
    bool more;
    if (due && aipc_load_relaxed64(&d->retired) != 0) return collect_some(ctx, d, &more);
    aipc_domain_unlock(ctx, &d->domain);
    return AIPC_OK;
}

aipc_status aipc_dict_collect(aipc_ctx *ctx, struct aipc_dict *d) {
    aipc_status status = AIPC_OK;
    for (bool more = true; more && status == AIPC_OK;) {
        if (aipc_load_relaxed64(&d->retired) == 0) return AIPC_OK; /* a hint; the next write collects */
        aipc_shield(ctx->seg, true);
        status = aipc_dict_lock(ctx, d);
        aipc_shield(ctx->seg, false);
        if (status == AIPC_STALLED || status == AIPC_CLOSED) return AIPC_OK;
        if (status == AIPC_OK) status = collect_some(ctx, d, &more);
    }
    return status;
}

/* ---- drafts ------------------------------------------------------------------------------------ */

static aipc_status allocate(aipc_ctx *ctx, struct aipc_dict *d, uint64_t size, aipc_dict_draft *draft) {
    draft->word = aipc_orphan_word(ctx);
    if (draft->word == NULL) return AIPC_STALLED; /* all name blocks that a stopped process keeps us from freeing */
    aipc_status status = aipc_heap_allocate(ctx, size, AIPC_ALIGNMENT, AIPC_PART, draft->word, &draft->entry);
    if (status != AIPC_FULL || aipc_load_relaxed64(&d->retired) == 0) return status;
    status = aipc_dict_collect(ctx, d); /* what was retired may be room enough */
    if (status != AIPC_OK) return status;
    return aipc_heap_allocate(ctx, size, AIPC_ALIGNMENT, AIPC_PART, draft->word, &draft->entry);
}

aipc_status aipc_dict_draft_make(aipc_ctx *ctx, struct aipc_dict *d, const aipc_dict_key *key, const void *original,
                                 uint64_t original_size, uint64_t value_size, aipc_dict_draft *draft) {
    *draft = (aipc_dict_draft){.value_size = value_size, .original_size = original_size, .key = *key};
    if (key->size > AIPC_DICT_KEY_MAX || original_size > AIPC_DICT_KEY_MAX) return AIPC_INVALID;
    if (value_size > ctx->seg->mapped) return AIPC_FULL;
    if (aipc_dict_closed(d)) return AIPC_CLOSED;
    uint64_t value_at = aipc_dict_value_at(key->size, original_size);
    aipc_status status = allocate(ctx, d, value_at + value_size, draft);
    if (status != AIPC_OK) {
        draft->word = NULL;
        return status;
    }
    struct aipc_dict_entry *entry = (void *)(ctx->seg->base + draft->entry);
    aipc_store_relaxed64(&entry->retired_next, 0);
    entry->hash = key->hash;
    entry->key_size = (uint32_t)key->size;
    entry->original_size = (uint32_t)original_size;
    entry->value_size = aipc_seal(value_size, aipc_dict_sizes(entry));
    if (key->size != 0) memcpy(entry->bytes, key->bytes, key->size);
    if (original_size != 0) memcpy(entry->bytes + key->size, original, original_size);
    draft->value = (uint8_t *)entry + value_at;
    return AIPC_OK;
}

aipc_status aipc_dict_discard(aipc_ctx *ctx, aipc_dict_draft *draft) {
    aipc_status status = aipc_orphan_free(ctx, draft->word);
    draft->word = NULL;
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------- */

void aipc_dict_close(struct aipc_dict *d) { (void)aipc_exchange_seq_cst64(&d->closed, 1); }

/* Brings a rebuild under way a step further; *under_way: there is one. */
static aipc_status push_on(aipc_ctx *ctx, struct aipc_dict *d, bool *under_way) {
    aipc_status status = aipc_dict_lock(ctx, d);
    if (status != AIPC_OK) return status;
    status = aipc_dict_step(ctx, d);
    *under_way = aipc_load_relaxed64(&d->building) != 0;
    return worse(status, aipc_dict_leave(ctx, d, 0));
}

aipc_status aipc_dict_reserve(aipc_ctx *ctx, struct aipc_dict *d, uint64_t keys) {
    enum { TRIES = 8 };
    if (keys > ctx->seg->mapped / sizeof(uint64_t)) return AIPC_FULL;
    uint64_t capacity = aipc_dict_capacity_for(0, 0);
    while (capacity / 8 * 5 <= keys) capacity *= 2;
    aipc_status status = AIPC_OK;
    for (int i = 0; i < TRIES && status == AIPC_OK; i++) {
        aipc_dict_stats stats;
        status = aipc_dict_stats_get(ctx, d, &stats);
        if (status != AIPC_OK || (stats.capacity >= capacity && !stats.building)) break;
        if (!stats.building) status = aipc_dict_grow(ctx, d, capacity);
        for (bool under_way = true; under_way && status == AIPC_OK;) status = push_on(ctx, d, &under_way);
    }
    return status;
}

aipc_status aipc_dict_stats_get(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_stats *stats) {
    enum { COUNTED = 1000 };
    aipc_seg *seg = ctx->seg;
    aipc_dict_view view;
    aipc_status status = aipc_dict_lock(ctx, d);
    if (status != AIPC_OK) return status;
    uint64_t table = aipc_load_relaxed64(&d->table), used = 0;
    *stats = (aipc_dict_stats){.count = aipc_load_relaxed64(&d->count), .rebuilds = aipc_load_relaxed64(&d->rebuilds),
                               .building = aipc_load_relaxed64(&d->building) != 0,
                               .shedding = aipc_load_relaxed64(&d->shedding) != 0};
    if (table != 0) {
        status = aipc_dict_view_at(seg, table, &view);
        if (status == AIPC_OK) status = aipc_dict_used(seg, &view, &used);
        if (status == AIPC_OK) stats->capacity = view.capacity;
        stats->holes = used - (stats->count < used ? stats->count : used);
    }
    for (uint64_t block = aipc_load_relaxed64(&d->retired); block != 0 && stats->retired_blocks < COUNTED;) {
        const uint64_t *first_word = aipc_at(seg, block, sizeof *first_word);
        if (first_word == NULL) break;
        block = aipc_load_relaxed64(first_word);
        stats->retired_blocks++;
    }
    aipc_domain_unlock(ctx, &d->domain);
    return status;
}
