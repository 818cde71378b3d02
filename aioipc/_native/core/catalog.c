#include "catalog.h"

#include <string.h>

#include "holdings.h"
#include "names.h"
#include "retire.h"
#include "siphash.h"

enum {
    FIRST_CAPACITY = 32,
    GROWTHS = 32 /* tables that others outgrew while we allocated ours: then something is odd */
};

static aipc_status lock(aipc_ctx *ctx) { return aipc_domain_lock(ctx, &ctx->seg->catalog->domain); }
static void unlock(aipc_ctx *ctx) { aipc_domain_unlock(ctx, &ctx->seg->catalog->domain); }
static aipc_tx begin(aipc_seg *seg) { return aipc_tx_begin(seg, &seg->catalog->domain); }

static aipc_status finish(aipc_tx *tx, aipc_status status) {
    if (status == AIPC_OK)
        aipc_tx_commit(tx);
    else
        aipc_tx_abort(tx);
    return status;
}

static aipc_status worse(aipc_status status, aipc_status then) { return status == AIPC_OK ? then : status; }

/* ---- blocks nobody knows yet ------------------------------------------------------------------- */

static aipc_status reserve(aipc_ctx *ctx, uint64_t size, uint32_t flags, uint64_t **word, uint64_t *offset) {
    *word = aipc_orphan_word(ctx);
    if (*word == NULL) return AIPC_AGAIN;
    aipc_status status = aipc_heap_allocate(ctx, size, AIPC_ALIGNMENT, AIPC_INTERNAL | flags, *word, offset);
    if (status != AIPC_OK) *word = NULL;
    return status;
}

static aipc_status reserve_table(aipc_ctx *ctx, uint64_t capacity, uint64_t **word, uint64_t *offset) {
    aipc_status status = reserve(ctx, aipc_names_table_size(capacity), 0, word, offset);
    if (status != AIPC_OK) return status;
    struct aipc_table *table = (void *)(ctx->seg->base + *offset);
    aipc_store_relaxed64(&table->capacity, capacity);
    for (uint64_t i = 0; i < capacity; i++) aipc_store_relaxed64(&table->slots[i], 0);
    return AIPC_OK;
}

/* ---- growing ----------------------------------------------------------------------------------- */

typedef struct spare_table { /* a fresh one, in case it is needed under the lock */
    uint64_t *word;
    uint64_t offset, capacity;
} spare_table;

static aipc_status spare_get(aipc_ctx *ctx, spare_table *spare, uint64_t capacity) {
    aipc_status status = aipc_orphan_free(ctx, spare->word); /* too small by now */
    if (status != AIPC_OK) return status;
    spare->capacity = capacity;
    return reserve_table(ctx, capacity, &spare->word, &spare->offset);
}

/* Under the lock: counts that can be calculated with. */
static aipc_status sane_counts(aipc_seg *seg, const aipc_names *names) {
    uint64_t count = aipc_load_relaxed64(&seg->catalog->count);
    uint64_t tombstones = aipc_load_relaxed64(&seg->catalog->tombstones);
    if (count > names->capacity || tombstones > names->capacity - count)
        return aipc_corrupt(seg, "C3 count and tombstones", &seg->catalog->count, count + tombstones, names->capacity);
    return AIPC_OK;
}

/* Swaps the spare table in when `more` names would not fit into the current one.  AIPC_AGAIN: the spare is too
 * small, spare->capacity says what is wanted. */
static aipc_status make_room(aipc_ctx *ctx, aipc_names *names, uint64_t more, spare_table *spare) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = sane_counts(seg, names);
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

static aipc_status current(aipc_seg *seg, aipc_names *names) {
    return aipc_names_view(seg, aipc_load_relaxed64(&seg->catalog->table), names);
}

aipc_status aipc_catalog_format(aipc_ctx *ctx) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    uint64_t *word, table;
    aipc_status status = reserve_table(ctx, FIRST_CAPACITY, &word, &table);
    if (status != AIPC_OK) return status;
    aipc_store_relaxed64(&catalog->count, 0);
    aipc_store_relaxed64(&catalog->tombstones, 0);
    aipc_store_relaxed64(&catalog->retired, 0);
    aipc_store_relaxed64(&catalog->anonymous, 0);
    aipc_store_relaxed64(&catalog->next_serial, 1);
    aipc_store_release64(&catalog->table, table);
    aipc_store_relaxed64(word, 0);
    return AIPC_OK;
}

static aipc_status room_locked(aipc_ctx *ctx, uint64_t names_more, spare_table *spare) {
    aipc_status status = lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_names names;
    status = current(ctx->seg, &names);
    if (status == AIPC_OK) status = make_room(ctx, &names, names_more, spare);
    unlock(ctx);
    return status;
}

aipc_status aipc_catalog_reserve(aipc_ctx *ctx, uint64_t names) {
    if (names > ctx->seg->mapped / sizeof(uint64_t)) return AIPC_FULL;
    uint64_t count = aipc_load_relaxed64(&ctx->seg->catalog->count); /* a hint: checked under the lock */
    spare_table spare = {0};
    aipc_status status = AIPC_OK;
    for (int i = 0; names > count; i++) {
        status = room_locked(ctx, names - count, &spare);
        if (status != AIPC_AGAIN || i == GROWTHS) break;
        status = spare_get(ctx, &spare, spare.capacity);
        if (status != AIPC_OK) break;
    }
    status = worse(status, aipc_orphan_free(ctx, spare.word));
    return worse(status, aipc_catalog_collect(ctx));
}

/* ---- constructing ------------------------------------------------------------------------------ */

/* An object under construction: blocks in orphan words until one transaction links them. */
typedef struct draft {
    const aipc_object_spec *spec;
    aipc_key key;
    uint64_t *object_word, *record_word;
    uint64_t object, record;
    spare_table spare;
    bool adopt, created; /* adopt: when the name is taken, pin what bears it */
} draft;

/* Word by word, as all of an object that a stale handle might lead to.  State 0: LIVE comes with the transaction,
 * so that no freed block ever says LIVE. */
static void fill_header(struct aipc_object *object, const draft *d) {
    const aipc_object_spec *spec = d->spec;
    uint64_t name[(AIPC_NAME_MAX + 1) / 8] = {0};
    aipc_store_relaxed64(&object->state, 0);
    aipc_store_relaxed64(&object->hash, d->key.hash);
    aipc_store_relaxed64(&object->type, spec->type);
    aipc_store_relaxed64(&object->size, spec->size);
    aipc_store_relaxed64(&object->pins, 1);
    aipc_store_relaxed32(&object->count, spec->count);
    aipc_label_set(object, (aipc_label){.name_size = (uint16_t)spec->name_size, .kind = spec->kind});
    if (spec->name_size != 0) memcpy(name, spec->name, spec->name_size);
    uint64_t *words = (uint64_t *)(void *)object->name;
    uint64_t count = (aipc_object_header_size(spec->name_size) - sizeof *object) / 8;
    for (uint64_t i = 0; i < count; i++) aipc_store_relaxed64(&words[i], name[i]);
}

static void fill_object(aipc_seg *seg, const draft *d) {
    const aipc_object_spec *spec = d->spec;
    fill_header((void *)(seg->base + d->object), d);
    uint8_t *payload = seg->base + d->object + aipc_object_header_size(spec->name_size);
    uint64_t given = spec->initial == NULL ? 0 : spec->size - spec->zeros;
    if (given != 0) memcpy(payload, spec->initial, given);
    memset(payload + given, 0, spec->size - given);
}

static aipc_status draft_make(aipc_ctx *ctx, draft *d) {
    uint64_t size = aipc_object_header_size(d->spec->name_size) + d->spec->size;
    aipc_status status = reserve(ctx, size, 0, &d->object_word, &d->object);
    if (status == AIPC_OK) status = reserve(ctx, sizeof(struct aipc_holding), 0, &d->record_word, &d->record);
    if (status == AIPC_OK) fill_object(ctx->seg, d);
    return status;
}

/* What no transaction has taken over goes back to the heap. */
static aipc_status draft_drop(aipc_ctx *ctx, const draft *d) {
    aipc_status status = aipc_orphan_free(ctx, d->object_word);
    status = worse(status, aipc_orphan_free(ctx, d->record_word));
    return worse(status, aipc_orphan_free(ctx, d->spare.word));
}

/* The undoable part of every link: serial, state, holding.  The object is still private. */
static aipc_status set_alive(aipc_tx *tx, const draft *d) {
    aipc_seg *seg = tx->seg;
    struct aipc_object *object = (void *)(seg->base + d->object);
    uint64_t serial = aipc_load_relaxed64(&seg->catalog->next_serial);
    aipc_store_relaxed64(&object->serial, serial);
    if (d->spec->kind == AIPC_ANONYMOUS) aipc_store_relaxed64(&object->hash, aipc_anonymous_hash(seg, serial));
    aipc_tx_set(tx, &seg->catalog->next_serial, serial + 1);
    aipc_tx_set(tx, &object->state, AIPC_OBJECT_LIVE);
    return aipc_holding_link(tx, seg->slot, d->record, AIPC_HOLD_PIN, d->object);
}

static aipc_status link_anonymous(aipc_ctx *ctx, const draft *d) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    aipc_tx tx = begin(ctx->seg);
    aipc_status status = set_alive(&tx, d);
    aipc_tx_set(&tx, &catalog->anonymous, aipc_load_relaxed64(&catalog->anonymous) + 1);
    aipc_tx_set(&tx, d->object_word, 0);
    aipc_tx_set(&tx, d->record_word, 0);
    return finish(&tx, status);
}

static aipc_status link_named(aipc_ctx *ctx, const draft *d, const aipc_place *place) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    aipc_tx tx = begin(ctx->seg);
    aipc_status status = set_alive(&tx, d);
    if (status != AIPC_OK) return finish(&tx, status);
    aipc_tx_after(&tx, d->object_word, 0);
    aipc_tx_after(&tx, d->record_word, 0);
    aipc_tx_after(&tx, &catalog->count, aipc_load_relaxed64(&catalog->count) + 1);
    if (place->word == AIPC_TOMBSTONE)
        aipc_tx_after(&tx, &catalog->tombstones, aipc_load_relaxed64(&catalog->tombstones) - 1);
    aipc_tx_publish(&tx, place->slot, aipc_slot_word(d->key.hash, d->object)); /* SYNC name-publish */
    return AIPC_OK;
}

/* Counts the record, a fresh block in `*word`, as a pin of a live object. */
static aipc_status link_pin(aipc_ctx *ctx, struct aipc_object *object, uint64_t record, uint64_t *word,
                            aipc_object_ref *ref) {
    aipc_tx tx = begin(ctx->seg);
    aipc_status status = aipc_holding_link(&tx, ctx->seg->slot, record, AIPC_HOLD_PIN, ref->object);
    aipc_tx_set(&tx, &object->pins, aipc_load_relaxed64(&object->pins) + 1);
    aipc_tx_set(&tx, word, 0);
    status = finish(&tx, status);
    if (status == AIPC_OK) ref->holding = record;
    return status;
}

static aipc_status name_taken(aipc_ctx *ctx, const draft *d, uint64_t offset, aipc_object_ref *ref) {
    struct aipc_object *object = aipc_object_read(ctx->seg, offset, ref);
    if (object == NULL) return aipc_corrupt(ctx->seg, "C1 slot leads to no object", ctx->seg->catalog, offset, 0);
    return d->adopt ? link_pin(ctx, object, d->record, d->record_word, ref) : AIPC_EXISTS;
}

/* Under the lock. */
static aipc_status place_draft(aipc_ctx *ctx, draft *d, aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_status status;
    if (d->spec->kind == AIPC_ANONYMOUS) {
        status = link_anonymous(ctx, d);
    } else {
        aipc_names names;
        aipc_place place;
        status = current(seg, &names);
        if (status == AIPC_OK) status = aipc_names_locate(seg, &names, &d->key, &place);
        if (status != AIPC_OK) return status;
        if (place.object != 0) return name_taken(ctx, d, place.object, ref);
        if (place.word != AIPC_TOMBSTONE) {
            uint64_t before = names.offset;
            status = make_room(ctx, &names, 1, &d->spare);
            if (status == AIPC_OK && names.offset != before)
                status = aipc_names_locate(seg, &names, &d->key, &place);
        }
        if (status == AIPC_OK && place.slot == NULL)
            status = aipc_corrupt(seg, "C3 table of names is full", names.table, names.capacity, 0);
        if (status == AIPC_OK) status = link_named(ctx, d, &place);
    }
    if (status != AIPC_OK) return status;
    d->created = true;
    (void)aipc_object_read(seg, d->object, ref);
    ref->holding = d->record;
    return AIPC_OK;
}

static aipc_status place_locked(aipc_ctx *ctx, draft *d, aipc_object_ref *ref) {
    aipc_status status = lock(ctx);
    if (status != AIPC_OK) return status;
    status = place_draft(ctx, d, ref);
    unlock(ctx);
    return status;
}

static aipc_status check_spec(const aipc_seg *seg, const aipc_object_spec *spec) {
    if (spec->kind < AIPC_NAMED || spec->kind > AIPC_ANONYMOUS) return AIPC_INVALID;
    if (spec->name_size > AIPC_NAME_MAX || spec->zeros > spec->size) return AIPC_INVALID;
    if (spec->kind == AIPC_ANONYMOUS && spec->name_size != 0) return AIPC_INVALID;
    return spec->size > seg->mapped ? AIPC_FULL : AIPC_OK;
}

static aipc_status build(aipc_ctx *ctx, draft *d, aipc_object_ref *ref) {
    aipc_status status = draft_make(ctx, d);
    bool grown = false;
    for (int i = 0; status == AIPC_OK; i++) {
        status = place_locked(ctx, d, ref);
        if (status != AIPC_AGAIN || i == GROWTHS) break;
        status = spare_get(ctx, &d->spare, d->spare.capacity);
        grown = true;
    }
    status = worse(status, draft_drop(ctx, d));
    return grown && status == AIPC_OK ? aipc_catalog_collect(ctx) : status; /* the old table */
}

static aipc_status find_key(aipc_ctx *ctx, const aipc_key *key, aipc_object_ref *ref);

static draft draft_of(const aipc_seg *seg, const aipc_object_spec *spec, bool adopt) {
    return (draft){.spec = spec, .adopt = adopt,
                   .key = aipc_key_of(seg, spec->kind, spec->name, spec->name_size)};
}

aipc_status aipc_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref) {
    aipc_status status = check_spec(ctx->seg, spec);
    if (status != AIPC_OK && status != AIPC_FULL) return status;
    draft d = draft_of(ctx->seg, spec, false);
    if (status == AIPC_OK) status = build(ctx, &d, ref);
    /* No room for a second one is not what is wrong with a name that is taken. */
    if (status == AIPC_FULL && spec->kind != AIPC_ANONYMOUS && find_key(ctx, &d.key, ref) == AIPC_OK)
        return AIPC_EXISTS;
    return status;
}

/* ---- finding ----------------------------------------------------------------------------------- */

static aipc_status find_locked(aipc_ctx *ctx, const aipc_key *key, aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_names names;
    aipc_place place;
    status = current(seg, &names);
    if (status == AIPC_OK) status = aipc_names_locate(seg, &names, key, &place);
    if (status == AIPC_OK && place.object == 0) status = AIPC_NOT_FOUND;
    if (status == AIPC_OK && aipc_object_read(seg, place.object, ref) == NULL)
        status = aipc_corrupt(seg, "C1 slot leads to no object", place.slot, place.word, 0);
    unlock(ctx);
    return status;
}

static aipc_status find_key(aipc_ctx *ctx, const aipc_key *key, aipc_object_ref *ref) {
    aipc_status status = aipc_names_lookup(ctx, key, ref);
    return status == AIPC_AGAIN ? find_locked(ctx, key, ref) : status;
}

aipc_status aipc_find(aipc_ctx *ctx, uint8_t kind, const char *name, uint32_t name_size, aipc_object_ref *ref) {
    if ((kind != AIPC_NAMED && kind != AIPC_UNIQUE) || name_size > AIPC_NAME_MAX) return AIPC_INVALID;
    aipc_key key = aipc_key_of(ctx->seg, kind, name, name_size);
    return find_key(ctx, &key, ref);
}

aipc_status aipc_find_or_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref, bool *created) {
    aipc_status fits = check_spec(ctx->seg, spec);
    if ((fits != AIPC_OK && fits != AIPC_FULL) || spec->kind == AIPC_ANONYMOUS) return AIPC_INVALID;
    *created = false;
    draft d = draft_of(ctx->seg, spec, true);
    aipc_status status = find_key(ctx, &d.key, ref);
    if (status == AIPC_OK) status = aipc_pin(ctx, ref);
    if (status != AIPC_NOT_FOUND) return status;
    if (fits != AIPC_OK) return fits;
    status = build(ctx, &d, ref); /* whoever came first meanwhile is pinned instead, in one hold of the lock */
    *created = d.created;
    return status;
}

/* An object still in its place, and where that is. */
typedef struct living {
    struct aipc_object *object;
    aipc_object_ref ref;
    aipc_names names; /* anonymous objects have none */
    uint64_t *slot;
} living;

/* The place of an anonymous object, or of one known by offset alone, may have become anything: what is
 * read there counts only when state, serial and hash agree. */
static bool alive_by_content(aipc_seg *seg, uint64_t offset, uint64_t serial, living *found) {
    found->object = aipc_object_read(seg, offset, &found->ref);
    return found->object != NULL && found->ref.serial == serial &&
           aipc_load_relaxed64(&found->object->state) == AIPC_OBJECT_LIVE &&
           aipc_object_hash_right(seg, found->object);
}

/* The object that ref means, if it is still that one: AIPC_NOT_FOUND.  pre: the catalog's lock. */
static aipc_status find_living(aipc_seg *seg, const aipc_object_ref *ref, living *found) {
    if (ref->kind == AIPC_ANONYMOUS)
        return alive_by_content(seg, ref->object, ref->serial, found) && found->ref.kind == AIPC_ANONYMOUS
                   ? AIPC_OK : AIPC_NOT_FOUND;
    aipc_status status = current(seg, &found->names);
    if (status != AIPC_OK) return status;
    found->slot = aipc_names_slot_of(&found->names, ref->hash, ref->object);
    if (found->slot == NULL) return AIPC_NOT_FOUND;
    found->object = aipc_object_read(seg, ref->object, &found->ref);
    if (found->object == NULL)
        return aipc_corrupt(seg, "C1 slot leads to no object", found->slot, aipc_load_relaxed64(found->slot), 0);
    return found->ref.serial == ref->serial ? AIPC_OK : AIPC_NOT_FOUND;
}

aipc_status aipc_pin(aipc_ctx *ctx, aipc_object_ref *ref) {
    uint64_t *word, record;
    aipc_status status = reserve(ctx, sizeof(struct aipc_holding), AIPC_RESERVE, &word, &record); /* or who could free? */
    if (status != AIPC_OK) return status;
    status = lock(ctx);
    if (status == AIPC_OK) {
        living now;
        status = find_living(ctx->seg, ref, &now);
        if (status == AIPC_OK) status = link_pin(ctx, now.object, record, word, &now.ref);
        if (status == AIPC_OK) *ref = now.ref;
        unlock(ctx);
    }
    aipc_status freed = status == AIPC_OK ? AIPC_OK : aipc_orphan_free(ctx, word);
    return worse(status, freed);
}

aipc_status aipc_object_at(aipc_ctx *ctx, uint64_t object, uint64_t serial, aipc_object_ref *ref) {
    aipc_status status = lock(ctx);
    if (status != AIPC_OK) return status;
    living now;
    if (alive_by_content(ctx->seg, object, serial, &now))
        *ref = now.ref;
    else
        status = AIPC_NOT_FOUND;
    unlock(ctx);
    return status;
}

bool aipc_object_destroyed(aipc_seg *seg, const aipc_object_ref *ref) {
    const struct aipc_object *object = aipc_at(seg, ref->object, sizeof *object);
    return object == NULL || aipc_load_acquire64(&object->state) != AIPC_OBJECT_LIVE ||
           aipc_load_relaxed64(&object->serial) != ref->serial;
}

/* ---- giving back ------------------------------------------------------------------------------- */

/* Parts of a retired block: of an object that is a container, while it has any. */
static uint64_t take_part(aipc_tx *tx, uint64_t block) {
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(tx->seg, block, &ref);
    if (object == NULL || aipc_load_relaxed64(&object->state) != AIPC_OBJECT_DESTROYED || /* an old table */
        !aipc_object_hash_right(tx->seg, object))
        return 0;
    return tx->seg->part == NULL ? 0 : tx->seg->part(tx, ref.type, ref.payload, ref.size);
}

/* Frees what is retired as far as nobody looks at it; *more: something went.  pre: the lock is held; it is given back. */
static aipc_status collect_some(aipc_ctx *ctx, uint32_t words, bool *more) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    const aipc_retired retired = {.domain = &catalog->domain, .list = &catalog->retired, .flags = AIPC_INTERNAL,
                                  .part = take_part};
    uint32_t before = words;
    aipc_status status = aipc_retired_take(ctx, &retired, &words);
    unlock(ctx);
    *more = words != before;
    return worse(status, aipc_orphans_free(ctx, words));
}

/* The same, and then the rest of it: a container may have any number of parts. */
static aipc_status collect_and_unlock(aipc_ctx *ctx, uint32_t words) {
    bool more;
    aipc_status status = collect_some(ctx, words, &more);
    while (more && status == AIPC_OK && aipc_load_relaxed64(&ctx->seg->catalog->retired) != 0) {
        aipc_shield(ctx->seg, true);
        aipc_status locked = lock(ctx);
        aipc_shield(ctx->seg, false);
        if (locked == AIPC_STALLED) return AIPC_OK; /* what it follows is done; the next one collects */
        status = locked == AIPC_OK ? collect_some(ctx, 0, &more) : locked;
    }
    return status;
}

aipc_status aipc_catalog_collect(aipc_ctx *ctx) {
    if (aipc_load_relaxed64(&ctx->seg->catalog->retired) == 0) return AIPC_OK; /* a hint; whoever adds, collects */
    aipc_shield(ctx->seg, true);
    aipc_status status = lock(ctx);
    aipc_shield(ctx->seg, false);
    if (status == AIPC_STALLED) return AIPC_OK; /* what it follows is done; the next one collects */
    return status == AIPC_OK ? collect_and_unlock(ctx, 0) : status;
}

/* The undoable part of unpinning; the record becomes an orphan of ours. */
static aipc_status unlink_pin(aipc_ctx *ctx, uint32_t slot, uint64_t holding, uint32_t *words) {
    aipc_seg *seg = ctx->seg;
    struct aipc_holding *record = aipc_at(seg, holding, sizeof *record);
    if (record == NULL || aipc_load_relaxed64(&record->kind) != AIPC_HOLD_PIN) return AIPC_NOT_OWNER;
    uint64_t target = aipc_load_relaxed64(&record->target);
    aipc_object_fetch(seg, target); /* three places far apart: load them at the same time */
    aipc_object_fetch(seg, aipc_load_relaxed64(&record->next));
    aipc_object_fetch(seg, aipc_load_relaxed64(&record->prev));
    aipc_object_ref ref;
    struct aipc_object *object = aipc_object_read(seg, target, &ref);
    if (object == NULL || aipc_load_relaxed64(&object->pins) == 0)
        return aipc_corrupt(seg, "C4 holding names no pinned object", record, target, 0);
    uint64_t *word = aipc_orphan_word(ctx);
    if (word == NULL) return AIPC_AGAIN;

    uint64_t left = aipc_load_relaxed64(&object->pins) - 1;
    aipc_tx tx = begin(seg);
    aipc_status status = aipc_holding_unlink(&tx, slot, holding);
    aipc_tx_set(&tx, &object->pins, left);
    aipc_tx_set(&tx, word, holding);
    if (left == 0 && aipc_load_relaxed64(&object->state) == AIPC_OBJECT_DESTROYED) {
        /* Unlinked long ago, by the publish of its destruction. */
        aipc_tx_set(&tx, &object->retired_next, aipc_load_relaxed64(&seg->catalog->retired));
        aipc_tx_set(&tx, &seg->catalog->retired, target);
    }
    if (finish(&tx, status) == AIPC_OK) *words |= aipc_orphan_bit(ctx, word);
    return status;
}

aipc_status aipc_unpin(aipc_ctx *ctx, uint32_t slot, uint64_t holding) {
    if (slot >= ctx->seg->participants) return AIPC_INVALID;
    aipc_status status = lock(ctx);
    if (status != AIPC_OK) return status;
    uint32_t words = 0;
    status = unlink_pin(ctx, slot, holding, &words);
    if (status == AIPC_OK) return collect_and_unlock(ctx, words);
    unlock(ctx);
    return status;
}

/* Redo entries that retire an object without pins. */
static void retire_after(aipc_tx *tx, struct aipc_object *object) {
    struct aipc_catalog *catalog = tx->seg->catalog;
    if (aipc_load_relaxed64(&object->pins) != 0) return; /* a zombie until the last unpin */
    aipc_tx_after(tx, &object->retired_next, aipc_load_relaxed64(&catalog->retired));
    aipc_tx_after(tx, &catalog->retired, aipc_offset(tx->seg, object));
}

static aipc_status destroy_anonymous(aipc_seg *seg, struct aipc_object *object) {
    aipc_tx tx = begin(seg);
    aipc_tx_after(&tx, &seg->catalog->anonymous, aipc_load_relaxed64(&seg->catalog->anonymous) - 1);
    retire_after(&tx, object);
    aipc_tx_publish(&tx, &object->state, AIPC_OBJECT_DESTROYED);
    return AIPC_OK;
}

/* When the next slot is empty no probe goes on past this one: it can be empty too, and with it the tombstones
 * that come before it.  Returns how many tombstones go. */
static uint64_t clean_after(aipc_tx *tx, const aipc_names *names, uint64_t index) {
    enum { CLEANED = 16 };
    uint64_t mask = names->capacity - 1, gone = 0;
    while (gone < CLEANED) {
        uint64_t *before = &names->table->slots[(index - gone - 1) & mask];
        if (aipc_load_relaxed64(before) != AIPC_TOMBSTONE) break;
        aipc_tx_after(tx, before, 0); /* from the end of the probe towards its start: harmless after each */
        gone++;
    }
    return gone;
}

static aipc_status destroy_named(aipc_seg *seg, const living *it) {
    struct aipc_catalog *catalog = seg->catalog;
    aipc_status status = sane_counts(seg, &it->names);
    if (status != AIPC_OK) return status;
    uint64_t *slots = it->names.table->slots;
    uint64_t index = (uint64_t)(it->slot - slots);
    uint64_t tombstones = aipc_load_relaxed64(&catalog->tombstones);
    bool last = aipc_load_relaxed64(&slots[(index + 1) & (it->names.capacity - 1)]) == 0;
    aipc_tx tx = begin(seg);
    tombstones = last ? tombstones - clean_after(&tx, &it->names, index) : tombstones + 1;
    aipc_tx_after(&tx, &it->object->state, AIPC_OBJECT_DESTROYED);
    aipc_tx_after(&tx, &catalog->count, aipc_load_relaxed64(&catalog->count) - 1);
    aipc_tx_after(&tx, &catalog->tombstones, tombstones);
    retire_after(&tx, it->object);
    aipc_tx_publish(&tx, it->slot, last ? 0 : AIPC_TOMBSTONE); /* SYNC name-publish */
    return AIPC_OK;
}

aipc_status aipc_destroy(aipc_ctx *ctx, const aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_object_fetch(seg, ref->object); /* while nobody waits for it */
    aipc_status status = lock(ctx);
    if (status != AIPC_OK) return status;
    living now;
    status = find_living(seg, ref, &now);
    if (status == AIPC_OK)
        status = now.ref.kind == AIPC_ANONYMOUS ? destroy_anonymous(seg, now.object) : destroy_named(seg, &now);
    if (status == AIPC_OK) return collect_and_unlock(ctx, 0);
    unlock(ctx);
    return status;
}
