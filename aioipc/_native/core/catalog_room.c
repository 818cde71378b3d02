/* Room for names: the table, how it grows and shrinks. */
#include "catalog_parts.h"

enum {
    GROWTHS = 32 /* tables that others outgrew while we allocated ours: then something is odd */
};

/* ---- blocks nobody knows yet ------------------------------------------------------------------- */

aipc_status aipc_catalog_block(aipc_ctx *ctx, uint64_t size, uint32_t flags, uint64_t **word, uint64_t *offset) {
    *word = aipc_orphan_word(ctx);
    if (*word == NULL) return AIPC_AGAIN;
    aipc_status status = aipc_heap_allocate(ctx, size, AIPC_ALIGNMENT, AIPC_INTERNAL | flags, *word, offset);
    if (status != AIPC_OK) *word = NULL;
    return status;
}

static aipc_status reserve_table(aipc_ctx *ctx, uint64_t capacity, uint64_t **word, uint64_t *offset) {
    aipc_status status = aipc_catalog_block(ctx, aipc_names_table_size(capacity), 0, word, offset);
    if (status != AIPC_OK) return status;
    struct aipc_table *table = (void *)(ctx->seg->base + *offset);
    aipc_store_relaxed64(&table->capacity, capacity);
    for (uint64_t i = 0; i < capacity; i++) aipc_store_relaxed64(&table->slots[i], 0);
    return AIPC_OK;
}

/* ---- growing ----------------------------------------------------------------------------------- */

aipc_status aipc_spare_get(aipc_ctx *ctx, aipc_spare *spare, uint64_t capacity) {
    aipc_status status = aipc_orphan_free(ctx, spare->word); /* too small by now */
    if (status != AIPC_OK) return status;
    spare->capacity = capacity;
    return reserve_table(ctx, capacity, &spare->word, &spare->offset);
}

aipc_status aipc_names_counted(aipc_seg *seg, const aipc_names *names) {
    uint64_t count = aipc_load_relaxed64(&seg->catalog->count);
    uint64_t tombstones = aipc_load_relaxed64(&seg->catalog->tombstones);
    if (count > names->capacity || tombstones > names->capacity - count)
        return aipc_corrupt(seg, "C3 count and tombstones", &seg->catalog->count, count + tombstones, names->capacity);
    return AIPC_OK;
}

aipc_status aipc_names_make_room(aipc_ctx *ctx, aipc_names *names, uint64_t more, aipc_spare *spare) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_names_counted(seg, names);
    if (status != AIPC_OK) return status;
    uint64_t count = aipc_load_relaxed64(&seg->catalog->count);
    uint64_t tombstones = aipc_load_relaxed64(&seg->catalog->tombstones);
    if ((count + tombstones + more) * 4 <= names->capacity * 3) return AIPC_OK;

    uint64_t wanted = aipc_names_capacity(count + more - 1);
    if (spare->word == NULL || spare->capacity < wanted) {
        spare->capacity = wanted;
        return AIPC_AGAIN;
    }
    status = aipc_names_rebuild(ctx, names, spare->offset, spare->word);
    if (status != AIPC_OK) return status;
    spare->word = NULL;
    return aipc_names_view(seg, spare->offset, names);
}

aipc_status aipc_names_current(aipc_seg *seg, aipc_names *names) {
    return aipc_names_view(seg, aipc_load_relaxed64(&seg->catalog->table), names);
}

aipc_status aipc_catalog_format(aipc_ctx *ctx) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    uint64_t *word, table;
    aipc_status status = reserve_table(ctx, AIPC_TABLE_FIRST, &word, &table);
    if (status != AIPC_OK) return status;
    aipc_store_relaxed64(&catalog->count, 0);
    aipc_store_relaxed64(&catalog->tombstones, 0);
    aipc_store_relaxed64(&catalog->retired, 0);
    aipc_store_relaxed64(&catalog->anonymous, 0);
    aipc_store_relaxed64(&catalog->next_serial, 1);
    aipc_store_relaxed64(&catalog->epoch, 2); /* no state that nobody wrote names a block */
    aipc_store_release64(&catalog->table, table);
    aipc_store_relaxed64(word, 0);
    return AIPC_OK;
}

static aipc_status room_locked(aipc_ctx *ctx, uint64_t names_more, aipc_spare *spare) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_names names;
    status = aipc_names_current(ctx->seg, &names);
    if (status == AIPC_OK) status = aipc_names_make_room(ctx, &names, names_more, spare);
    aipc_catalog_unlock(ctx);
    return status;
}

aipc_status aipc_catalog_reserve(aipc_ctx *ctx, uint64_t names) {
    if (names > ctx->seg->mapped / sizeof(uint64_t)) return AIPC_FULL;
    uint64_t count = aipc_load_relaxed64(&ctx->seg->catalog->count); /* a hint: checked under the lock */
    aipc_spare spare = {0};
    aipc_status status = AIPC_OK;
    for (int i = 0; names > count; i++) {
        status = room_locked(ctx, names - count, &spare);
        if (status != AIPC_AGAIN || i == GROWTHS) break;
        status = aipc_spare_get(ctx, &spare, spare.capacity);
        if (status != AIPC_OK) break;
    }
    status = aipc_worse(status, aipc_orphan_free(ctx, spare.word));
    return aipc_worse(status, aipc_catalog_collect(ctx));
}

/* ---- shrinking --------------------------------------------------------------------------------- */

static uint64_t least_capacity(uint64_t count) {
    uint64_t capacity = aipc_names_capacity(count);
    return capacity < AIPC_TABLE_FIRST ? AIPC_TABLE_FIRST : capacity;
}

/* Under the lock: swaps the spare table in if it is smaller than the current one, and large enough. */
static aipc_status swap_smaller(aipc_ctx *ctx, aipc_spare *spare) {
    aipc_names names;
    aipc_status status = aipc_names_current(ctx->seg, &names);
    if (status == AIPC_OK) status = aipc_names_counted(ctx->seg, &names);
    if (status != AIPC_OK) return status;
    uint64_t least = least_capacity(aipc_load_relaxed64(&ctx->seg->catalog->count));
    if (names.capacity <= spare->capacity || least > spare->capacity) return AIPC_OK;
    status = aipc_names_rebuild(ctx, &names, spare->offset, spare->word);
    if (status == AIPC_OK) spare->word = NULL;
    return status;
}

aipc_status aipc_catalog_shrink(aipc_ctx *ctx) {
    aipc_spare spare = {0};
    uint64_t count = aipc_load_relaxed64(&ctx->seg->catalog->count); /* a hint: checked under the lock */
    if (count > ctx->seg->mapped / sizeof(uint64_t)) count = 0;
    aipc_status status = aipc_spare_get(ctx, &spare, least_capacity(count));
    if (status == AIPC_OK) status = aipc_catalog_lock(ctx);
    if (status == AIPC_OK) {
        status = swap_smaller(ctx, &spare);
        aipc_catalog_unlock(ctx);
    }
    status = aipc_worse(status, aipc_orphan_free(ctx, spare.word));
    return aipc_worse(status, aipc_catalog_collect(ctx));
}
