/* Going through all objects. */
#include "catalog.h"

#include <string.h>

#include "names.h"

static aipc_status copy_info(aipc_seg *seg, uint64_t word, aipc_object_info *info) {
    struct aipc_object *object = aipc_object_read(seg, word & AIPC_SLOT_OFFSET, &info->ref);
    if (object == NULL) return aipc_corrupt(seg, "C1 slot leads to no object", seg->catalog, word, 0);
    info->name_size = aipc_label_of(object).name_size & AIPC_NAME_MAX; /* what was read before is within it */
    info->pins = aipc_load_relaxed64(&object->pins);
    memcpy(info->name, object->name, info->name_size);
    return AIPC_OK;
}

static aipc_status copy_all(aipc_seg *seg, aipc_object_info *infos, uint64_t capacity, uint64_t *copied) {
    aipc_names names;
    aipc_status status = aipc_names_view(seg, aipc_load_relaxed64(&seg->catalog->table), &names);
    *copied = aipc_load_relaxed64(&seg->catalog->count);
    if (status != AIPC_OK) return status;
    if (*copied > capacity) return AIPC_AGAIN;
    *copied = 0;
    for (uint64_t i = 0; i < names.capacity && status == AIPC_OK; i++) {
        uint64_t word = aipc_load_relaxed64(&names.table->slots[i]);
        if (word <= AIPC_TOMBSTONE) continue;
        if (*copied == capacity)
            return aipc_corrupt(seg, "C3 more names than were counted", &seg->catalog->count, *copied, capacity);
        status = copy_info(seg, word, &infos[(*copied)++]);
    }
    return status;
}

aipc_status aipc_catalog_list(aipc_ctx *ctx, aipc_object_info *infos, uint64_t capacity, uint64_t *copied) {
    aipc_status status = aipc_domain_lock(ctx, &ctx->seg->catalog->domain);
    if (status != AIPC_OK) return status;
    status = copy_all(ctx->seg, infos, capacity, copied);
    aipc_domain_unlock(ctx, &ctx->seg->catalog->domain);
    return status;
}

aipc_status aipc_catalog_next(aipc_ctx *ctx, uint64_t *cursor, aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_names names;
    uint64_t offset = 0;
    aipc_status status = aipc_domain_lock(ctx, &seg->catalog->domain);
    if (status != AIPC_OK) return status;
    status = aipc_names_view(seg, aipc_load_relaxed64(&seg->catalog->table), &names);
    while (status == AIPC_OK && offset == 0 && *cursor < names.capacity) {
        uint64_t word = aipc_load_relaxed64(&names.table->slots[(*cursor)++]);
        if (word > AIPC_TOMBSTONE && aipc_object_read(seg, word & AIPC_SLOT_OFFSET, ref) != NULL)
            offset = word & AIPC_SLOT_OFFSET;
    }
    (void)aipc_exchange_seq_cst64(&ctx->shared->hazard[1], offset); /* SYNC hazard */
    aipc_domain_unlock(ctx, &seg->catalog->domain);
    return status == AIPC_OK && offset == 0 ? AIPC_NOT_FOUND : status;
}

aipc_status aipc_catalog_hold(aipc_ctx *ctx, uint64_t offset, aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->catalog->domain);
    if (status != AIPC_OK) return status;
    const struct aipc_object *object = aipc_object_read(seg, offset, ref);
    bool there = object != NULL && aipc_object_hash_right(seg, object);
    (void)aipc_exchange_seq_cst64(&ctx->shared->hazard[1], there ? offset : 0); /* SYNC hazard */
    aipc_domain_unlock(ctx, &seg->catalog->domain);
    return there ? AIPC_OK : AIPC_NOT_FOUND;
}
