/* Going through all objects. */
#include "order.h"

typedef struct listing {
    aipc_seg *seg;
    const aipc_wanted *wanted;
    aipc_list *list;
    uint64_t epoch, mine; /* who looks, and when */
} listing;

static bool starts_with(const char *name, uint32_t size, const char *prefix, uint32_t prefix_size) {
    return prefix == NULL || prefix_size == 0 || (size >= prefix_size && memcmp(name, prefix, prefix_size) == 0);
}

/* Does the range of names end before this one? */
static bool beyond(const aipc_wanted *w, const char *name, uint32_t size) {
    return w->stop != NULL && aipc_name_compare(name, size, w->stop, w->stop_size) >= 0;
}

static bool is_wanted(const aipc_wanted *w, uint8_t kind, const char *name, uint32_t size) {
    return (w->kind == 0 || w->kind == kind) && starts_with(name, size, w->prefix, w->prefix_size) &&
           (w->start == NULL || aipc_name_compare(name, size, w->start, w->start_size) >= 0) && !beyond(w, name, size);
}

/* What a block that is not over has pinned is nobody's handle. */
static uint64_t handles(const struct aipc_object *object, uint64_t state) {
    uint64_t pins = aipc_load_relaxed32(&object->pins), others = aipc_state_pending(state) ? 1 : 0;
    return pins > others ? pins - others : 0;
}

static void put(const listing *l, const struct aipc_object *object, const aipc_object_ref *ref, uint32_t name_size,
                uint64_t state) {
    uint64_t size = aipc_listed_size(name_size);
    if (l->list->used <= l->list->size && size <= l->list->size - l->list->used) {
        aipc_listed *out = (void *)((uint8_t *)l->list->room + l->list->used);
        *out = (aipc_listed){.object = ref->object, .payload = ref->payload, .serial = ref->serial, .type = ref->type,
                             .hash = ref->hash, .size = ref->size, .pins = handles(object, state), .count = ref->count,
                             .name_size = (uint16_t)name_size, .kind = ref->kind};
        memcpy(out + 1, object->name, name_size);
    }
    l->list->used += size;
    l->list->objects++;
}

static aipc_status list_object(const listing *l, uint64_t offset) {
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(l->seg, offset, &ref);
    uint32_t name_size = object == NULL ? 0 : aipc_label_of(object).name_size & AIPC_NAME_MAX;
    /* To a reader without the lock it may be other memory by now, between one look and the next. */
    if (object == NULL || aipc_at(l->seg, offset, aipc_object_tower(name_size)) == NULL)
        return aipc_corrupt(l->seg, "C1 slot leads to no object", l->seg->catalog, offset, 0);
    uint64_t state = aipc_state_of(object);
    if (aipc_state_visible(state, l->epoch, l->mine) && is_wanted(l->wanted, ref.kind, object->name, name_size))
        put(l, object, &ref, name_size, state);
    return AIPC_OK;
}

static aipc_status list_table(const listing *l) {
    aipc_names names;
    aipc_status status = aipc_names_view(l->seg, aipc_load_relaxed64(&l->seg->catalog->table), &names);
    for (uint64_t i = 0; status == AIPC_OK && i < names.capacity; i++) {
        uint64_t word = aipc_load_relaxed64(&names.table->slots[i]);
        if (word > AIPC_TOMBSTONE) status = list_object(l, word & AIPC_SLOT_OFFSET);
    }
    return status;
}

/* Does the object at this offset come behind all that are wanted? */
static bool past(const listing *l, uint64_t offset) {
    aipc_object_ref ref;
    const aipc_wanted *w = l->wanted;
    const struct aipc_object *object = aipc_object_read(l->seg, offset, &ref);
    if (object == NULL) return false; /* it will be looked at */
    uint32_t size = aipc_label_of(object).name_size & AIPC_NAME_MAX;
    return beyond(w, object->name, size) ||
           (!starts_with(object->name, size, w->prefix, w->prefix_size) &&
            aipc_name_compare(object->name, size, w->prefix, w->prefix_size) > 0);
}

static aipc_status list_in_order(const listing *l) {
    const aipc_wanted *w = l->wanted;
    bool later = w->prefix != NULL && (w->start == NULL || aipc_name_compare(w->prefix, w->prefix_size, w->start, w->start_size) > 0);
    const char *first = later ? w->prefix : w->start;
    uint64_t offset;
    aipc_status status = aipc_order_seek(l->seg, first, first == NULL ? 0 : later ? w->prefix_size : w->start_size, &offset);
    while (status == AIPC_OK && offset != 0 && !past(l, offset)) {
        status = list_object(l, offset);
        if (status == AIPC_OK) status = aipc_order_next(l->seg, offset, &offset);
    }
    return status;
}

static listing look(aipc_seg *seg, uint64_t mine, const aipc_wanted *wanted, aipc_list *list) {
    list->used = list->objects = 0;
    return (listing){.seg = seg, .wanted = wanted, .list = list, .mine = mine,
                     .epoch = aipc_load_seq_cst64(&seg->catalog->epoch)}; /* SYNC block-epoch */
}

aipc_status aipc_catalog_list(aipc_ctx *ctx, const aipc_wanted *wanted, aipc_list *list) {
    aipc_status status = aipc_domain_lock(ctx, &ctx->seg->catalog->domain);
    if (status != AIPC_OK) return status;
    const listing l = look(ctx->seg, ctx->block, wanted, list);
    status = ctx->seg->ordered && wanted->kind == AIPC_NAMED ? list_in_order(&l) : list_table(&l);
    aipc_domain_unlock(ctx, &ctx->seg->catalog->domain);
    return status == AIPC_OK && list->used > list->size ? AIPC_AGAIN : status;
}

aipc_status aipc_catalog_list_seen(aipc_seg *seg, const aipc_wanted *wanted, aipc_list *list) {
    const listing l = look(seg, 0, wanted, list);
    aipc_status status = list_table(&l);
    return status == AIPC_OK && list->used > list->size ? AIPC_AGAIN : status;
}

static aipc_status count_visible(aipc_ctx *ctx, uint64_t *named, uint64_t *unique) {
    const aipc_wanted both[] = {{.kind = AIPC_NAMED}, {.kind = AIPC_UNIQUE}};
    uint64_t *counts[] = {named, unique};
    aipc_status status = AIPC_OK;
    for (int i = 0; i < 2 && status == AIPC_OK; i++) {
        aipc_list list = {0};
        const listing l = look(ctx->seg, ctx->block, &both[i], &list);
        status = list_table(&l);
        *counts[i] = list.objects;
    }
    return status;
}

aipc_status aipc_catalog_count(aipc_ctx *ctx, uint64_t *named, uint64_t *unique) {
    const struct aipc_catalog *catalog = ctx->seg->catalog;
    aipc_status status = aipc_domain_lock(ctx, &ctx->seg->catalog->domain);
    if (status != AIPC_OK) return status;
    uint64_t count = aipc_load_relaxed64(&catalog->count);
    *unique = aipc_load_relaxed64(&catalog->unique);
    *named = count > *unique ? count - *unique : 0;
    if (aipc_load_relaxed64(&catalog->pending) != 0) status = count_visible(ctx, named, unique);
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
    const struct aipc_object *object = aipc_heap_may_read(seg, offset) ? aipc_object_read(seg, offset, ref) : NULL;
    bool there = object != NULL && aipc_object_hash_right(seg, object);
    (void)aipc_exchange_seq_cst64(&ctx->shared->hazard[1], there ? offset : 0); /* SYNC hazard */
    aipc_domain_unlock(ctx, &seg->catalog->domain);
    return there ? AIPC_OK : AIPC_NOT_FOUND;
}
