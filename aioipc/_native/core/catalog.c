#include "catalog_parts.h"
#include "holdings.h"
#include "order.h"
#include "pending.h"
#include "shares.h"

enum { GROWTHS = 32 /* tables that others outgrew while we allocated ours: then something is odd */ };

/* ---- constructing ------------------------------------------------------------------------------ */

/* An object under construction: blocks in orphan words until one transaction links them. */
typedef struct draft {
    const aipc_object_spec *spec;
    aipc_key key;
    uint64_t *object_word, *record_word, *registration_word; /* the last one inside of a block only */
    uint64_t object, record, registration;
    aipc_spare spare;
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
    aipc_store_relaxed32(&object->pins, (spec->shares == 0 ? 1u : 0u) + (d->registration == 0 ? 0u : 1u));
    aipc_store_relaxed32(&object->shares, spec->shares == 0 ? 0 : (spec->shares & AIPC_SOLE) + 1);
    aipc_store_relaxed32(&object->count, spec->count);
    aipc_label label = {.name_size = (uint16_t)spec->name_size, .kind = spec->kind};
    label.seal = aipc_object_seal(spec->type, spec->size, spec->count, label);
    aipc_label_set(object, label);
    if (spec->name_size != 0) memcpy(name, spec->name, spec->name_size);
    uint64_t *words = (uint64_t *)(void *)object->name;
    uint64_t count = (aipc_object_tower(spec->name_size) - sizeof *object) / 8;
    for (uint64_t i = 0; i < count; i++) aipc_store_relaxed64(&words[i], name[i]);
}

static void fill_object(aipc_seg *seg, const draft *d) {
    const aipc_object_spec *spec = d->spec;
    fill_header((void *)(seg->base + d->object), d);
    uint8_t *payload = seg->base + d->object + aipc_object_head(seg, spec->kind, spec->name_size, d->key.hash);
    uint64_t given = spec->initial == NULL ? 0 : spec->size - spec->zeros;
    if (given != 0) memcpy(payload, spec->initial, given);
    memset(payload + given, 0, spec->size - given);
}

static aipc_status draft_make(aipc_ctx *ctx, draft *d) {
    const aipc_object_spec *spec = d->spec;
    uint64_t size = aipc_object_head(ctx->seg, spec->kind, spec->name_size, d->key.hash) + spec->size;
    aipc_status status = aipc_catalog_block(ctx, size, 0, &d->object_word, &d->object);
    if (status == AIPC_OK) status = aipc_catalog_block(ctx, sizeof(struct aipc_holding), 0, &d->record_word, &d->record);
    if (status == AIPC_OK && ctx->block != 0)
        status = aipc_catalog_block(ctx, sizeof(struct aipc_holding), 0, &d->registration_word, &d->registration);
    if (status == AIPC_OK) fill_object(ctx->seg, d);
    return status;
}

/* What no transaction has taken over goes back to the heap. */
static aipc_status draft_drop(aipc_ctx *ctx, const draft *d) {
    aipc_status status = aipc_orphan_free(ctx, d->object_word);
    status = aipc_worse(status, aipc_orphan_free(ctx, d->record_word));
    status = aipc_worse(status, aipc_orphan_free(ctx, d->registration_word));
    return aipc_worse(status, aipc_orphan_free(ctx, d->spare.word));
}

/* The undoable part of every link: serial, state, holdings, what it owns.  The object is still private. */
static aipc_status set_alive(aipc_tx *tx, const draft *d, uint64_t block) {
    aipc_seg *seg = tx->seg;
    struct aipc_object *object = (void *)(seg->base + d->object);
    uint64_t serial = aipc_load_relaxed64(&seg->catalog->next_serial);
    aipc_store_relaxed64(&object->serial, serial);
    if (d->spec->kind == AIPC_ANONYMOUS) aipc_store_relaxed64(&object->hash, aipc_anonymous_hash(seg, serial));
    aipc_tx_set(tx, &seg->catalog->next_serial, serial + 1);
    aipc_tx_set(tx, &object->state, block == 0 ? AIPC_OBJECT_LIVE : AIPC_OBJECT_NEW | block << 8);
    uint64_t kind = d->spec->shares == 0 ? AIPC_HOLD_PIN : AIPC_HOLD_SHARE;
    aipc_status status = aipc_words_count(tx, d->spec->words, d->spec->word_count);
    if (status == AIPC_OK) status = aipc_holding_link(tx, seg->slot, d->record, kind, d->object);
    if (status != AIPC_OK || block == 0) return status;
    aipc_count_before(tx, &seg->catalog->pending, 1);
    return aipc_holding_link(tx, seg->slot, d->registration, AIPC_HOLD_MADE | block << 8, d->object);
}

static aipc_status link_anonymous(aipc_ctx *ctx, const draft *d) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    aipc_tx tx = aipc_catalog_begin(ctx->seg);
    aipc_status status = set_alive(&tx, d, ctx->block);
    aipc_count_before(&tx, &catalog->anonymous, 1);
    aipc_tx_set(&tx, d->object_word, 0);
    aipc_tx_set(&tx, d->record_word, 0);
    if (d->registration_word != NULL) aipc_tx_set(&tx, d->registration_word, 0);
    return aipc_tx_finish(&tx, status);
}

static aipc_status link_named(aipc_ctx *ctx, const draft *d, const aipc_place *place) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    aipc_tx tx = aipc_catalog_begin(ctx->seg);
    aipc_status status = set_alive(&tx, d, ctx->block);
    if (status == AIPC_OK) status = aipc_order_link(&tx, d->object);
    if (status != AIPC_OK) return aipc_tx_finish(&tx, status);
    aipc_tx_after(&tx, d->object_word, 0);
    aipc_tx_after(&tx, d->record_word, 0);
    if (d->registration_word != NULL) aipc_tx_after(&tx, d->registration_word, 0);
    aipc_count_after(&tx, &catalog->count, 1);
    if (d->spec->kind == AIPC_UNIQUE) aipc_count_after(&tx, &catalog->unique, 1);
    if (place->word == AIPC_TOMBSTONE) aipc_count_after(&tx, &catalog->tombstones, UINT64_MAX);
    aipc_tx_publish(&tx, place->slot, aipc_slot_word(d->key.hash, d->object)); /* SYNC name-publish */
    return AIPC_OK;
}

/* Counts the record, a fresh block in `*word`, as a pin of a live object. */
static aipc_status link_pin(aipc_ctx *ctx, struct aipc_object *object, uint64_t record, uint64_t *word,
                            aipc_object_ref *ref) {
    aipc_tx tx = aipc_catalog_begin(ctx->seg);
    aipc_status status = aipc_holding_link(&tx, ctx->seg->slot, record, AIPC_HOLD_PIN, ref->object);
    aipc_tx_set32(&tx, &object->pins, aipc_load_relaxed32(&object->pins) + 1);
    aipc_tx_set(&tx, word, 0);
    status = aipc_tx_finish(&tx, status);
    if (status == AIPC_OK) ref->holding = record;
    return status;
}

static aipc_status name_taken(aipc_ctx *ctx, const draft *d, uint64_t offset, aipc_object_ref *ref) {
    struct aipc_object *object = aipc_object_read(ctx->seg, offset, ref);
    if (object == NULL) return aipc_corrupt(ctx->seg, "C1 slot leads to no object", ctx->seg->catalog, offset, 0);
    if (!d->adopt) return AIPC_EXISTS;
    if (d->spec->shares == 0) return link_pin(ctx, object, d->record, d->record_word, ref);
    return aipc_share_link(ctx, offset, d->record, d->record_word, ref);
}

static aipc_status place_named(aipc_ctx *ctx, draft *d, aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_names names;
    aipc_place place;
    aipc_status status = aipc_names_current(seg, &names);
    if (status == AIPC_OK) status = aipc_names_locate(seg, &names, &d->key, ctx->block, &place);
    if (status != AIPC_OK) return status;
    if (place.object != 0) return name_taken(ctx, d, place.object, ref);
    if (place.pending) return AIPC_PENDING;
    if (place.word != AIPC_TOMBSTONE) {
        uint64_t before = names.offset;
        status = aipc_names_make_room(ctx, &names, 1, &d->spare);
        if (status == AIPC_OK && names.offset != before)
            status = aipc_names_locate(seg, &names, &d->key, ctx->block, &place);
    }
    if (status == AIPC_OK && place.slot == NULL)
        status = aipc_corrupt(seg, "C3 table of names is full", names.table, names.capacity, 0);
    if (status == AIPC_OK) status = link_named(ctx, d, &place);
    if (status == AIPC_OK) d->created = true;
    return status;
}

/* Under the lock. */
static aipc_status place_draft(aipc_ctx *ctx, draft *d, aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_block_mine(ctx);
    if (status == AIPC_OK) status = aipc_words_settle(seg, d->spec->words, d->spec->word_count);
    if (status == AIPC_OK)
        status = d->spec->kind == AIPC_ANONYMOUS ? link_anonymous(ctx, d) : place_named(ctx, d, ref);
    if (status != AIPC_OK || (d->spec->kind != AIPC_ANONYMOUS && !d->created)) return status;
    d->created = true;
    (void)aipc_object_read(seg, d->object, ref);
    ref->holding = d->record;
    return AIPC_OK;
}

static aipc_status place_locked(aipc_ctx *ctx, draft *d, aipc_object_ref *ref) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    status = place_draft(ctx, d, ref);
    aipc_catalog_unlock(ctx);
    return status;
}

static aipc_status check_spec(const aipc_seg *seg, const aipc_object_spec *spec) {
    if (spec->kind < AIPC_NAMED || spec->kind > AIPC_ANONYMOUS) return AIPC_INVALID;
    if (spec->name_size > AIPC_NAME_MAX || spec->zeros > spec->size) return AIPC_INVALID;
    if (spec->kind == AIPC_ANONYMOUS && spec->name_size != 0) return AIPC_INVALID;
    if (spec->word_count > AIPC_WORDS_AT_ONCE) return AIPC_INVALID;
    return spec->size > seg->mapped ? AIPC_FULL : AIPC_OK;
}

static aipc_status build(aipc_ctx *ctx, draft *d, aipc_object_ref *ref) {
    aipc_status status = draft_make(ctx, d);
    bool grown = false;
    for (int i = 0; status == AIPC_OK; i++) {
        status = place_locked(ctx, d, ref);
        if (status == AIPC_PENDING && i < GROWTHS) {
            status = aipc_block_refused(ctx);
            continue;
        }
        if (status != AIPC_AGAIN || i == GROWTHS) break;
        status = aipc_spare_get(ctx, &d->spare, d->spare.capacity);
        grown = true;
    }
    status = aipc_worse(status, draft_drop(ctx, d));
    return grown && status == AIPC_OK ? aipc_catalog_collect(ctx) : status; /* the old table */
}

static aipc_status find_key(aipc_ctx *ctx, const aipc_key *key, aipc_object_ref *ref);

/* What counts shares acts at once: a block could not take it back. */
static draft draft_of(aipc_ctx *ctx, const aipc_object_spec *spec, bool adopt) {
    const aipc_seg *seg = ctx->seg;
    if (spec->shares != 0 || spec->word_count != 0) ctx->block = 0;
    return (draft){.spec = spec, .adopt = adopt,
                   .key = aipc_key_of(seg, spec->kind, spec->name, spec->name_size)};
}

aipc_status aipc_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref) {
    aipc_status status = check_spec(ctx->seg, spec);
    if (status != AIPC_OK && status != AIPC_FULL) return status;
    draft d = draft_of(ctx, spec, false);
    if (status == AIPC_OK) status = build(ctx, &d, ref);
    /* No room for a second one is not what is wrong with a name that is taken. */
    if (status == AIPC_FULL && spec->kind != AIPC_ANONYMOUS && find_key(ctx, &d.key, ref) == AIPC_OK)
        return AIPC_EXISTS;
    return status;
}

/* ---- finding ----------------------------------------------------------------------------------- */

static aipc_status find_locked(aipc_ctx *ctx, const aipc_key *key, aipc_object_ref *ref) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_names names;
    aipc_place place;
    status = aipc_names_current(seg, &names);
    if (status == AIPC_OK) status = aipc_names_locate(seg, &names, key, ctx->block, &place);
    if (status == AIPC_OK && place.object == 0) status = AIPC_NOT_FOUND;
    if (status == AIPC_OK && aipc_object_read(seg, place.object, ref) == NULL)
        status = aipc_corrupt(seg, "C1 slot leads to no object", place.slot, place.word, 0);
    aipc_catalog_unlock(ctx);
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
    draft d = draft_of(ctx, spec, true);
    aipc_status status = find_key(ctx, &d.key, ref);
    if (status == AIPC_OK) status = spec->shares == 0 ? aipc_pin(ctx, ref) : aipc_share_take(ctx, ref, AIPC_SHARE_OF_SHARED);
    if (status != AIPC_NOT_FOUND) return status;
    if (fits != AIPC_OK) return fits;
    status = build(ctx, &d, ref); /* whoever came first meanwhile is pinned instead, in one hold of the lock */
    *created = d.created;
    return status;
}

bool aipc_living_at(aipc_seg *seg, uint64_t offset, aipc_living *found) {
    if (!aipc_heap_may_read(seg, offset)) return false;
    found->slot = NULL;
    found->object = aipc_object_read(seg, offset, &found->ref);
    if (found->object == NULL) return false;
    found->state = aipc_state_of(found->object);
    return (found->state == AIPC_OBJECT_LIVE || aipc_state_pending(found->state)) &&
           aipc_object_hash_right(seg, found->object);
}

aipc_status aipc_find_living(aipc_seg *seg, const aipc_object_ref *ref, aipc_living *found) {
    if (ref->kind == AIPC_ANONYMOUS)
        return aipc_living_at(seg, ref->object, found) && found->ref.serial == ref->serial && found->ref.kind == AIPC_ANONYMOUS
                   ? AIPC_OK : AIPC_NOT_FOUND;
    aipc_status status = aipc_names_current(seg, &found->names);
    if (status != AIPC_OK) return status;
    found->slot = aipc_names_slot_of(&found->names, ref->hash, ref->object);
    if (found->slot == NULL) return AIPC_NOT_FOUND;
    found->object = aipc_object_read(seg, ref->object, &found->ref);
    if (found->object == NULL)
        return aipc_corrupt(seg, "C1 slot leads to no object", found->slot, aipc_load_relaxed64(found->slot), 0);
    found->state = aipc_state_of(found->object);
    return found->ref.serial == ref->serial ? AIPC_OK : AIPC_NOT_FOUND;
}

/* Under the lock. */
static bool there(aipc_ctx *ctx, const aipc_living *now) {
    return aipc_state_visible(now->state, aipc_load_relaxed64(&ctx->seg->catalog->epoch), ctx->block);
}

aipc_status aipc_pin(aipc_ctx *ctx, aipc_object_ref *ref) {
    uint64_t *word, record;
    aipc_status status = aipc_catalog_block(ctx, sizeof(struct aipc_holding), AIPC_RESERVE, &word, &record); /* or who could free? */
    if (status != AIPC_OK) return status;
    status = aipc_catalog_lock(ctx);
    if (status == AIPC_OK) {
        aipc_living now;
        status = aipc_find_living(ctx->seg, ref, &now);
        if (status == AIPC_OK && !there(ctx, &now)) status = AIPC_NOT_FOUND;
        if (status == AIPC_OK) status = link_pin(ctx, now.object, record, word, &now.ref);
        if (status == AIPC_OK) *ref = now.ref;
        aipc_catalog_unlock(ctx);
    }
    aipc_status freed = status == AIPC_OK ? AIPC_OK : aipc_orphan_free(ctx, word);
    return aipc_worse(status, freed);
}

aipc_status aipc_object_at(aipc_ctx *ctx, uint64_t object, uint64_t serial, aipc_object_ref *ref) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_living now;
    if (aipc_living_at(ctx->seg, object, &now) && now.ref.serial == serial && there(ctx, &now))
        *ref = now.ref;
    else
        status = AIPC_NOT_FOUND;
    aipc_catalog_unlock(ctx);
    return status;
}

/* A state, and an epoch that belongs to it (names.c); 0: another object's by now. */
static uint64_t state_and_epoch(aipc_seg *seg, const aipc_object_ref *ref, uint64_t *epoch) {
    const struct aipc_object *object = aipc_at(seg, ref->object, sizeof *object);
    if (object == NULL || aipc_load_relaxed64(&object->serial) != ref->serial) return 0;
    for (uint64_t state = aipc_load_seq_cst64(&object->state), again;; state = again) {
        if (!aipc_state_pending(state)) return state;
        *epoch = aipc_load_seq_cst64(&seg->catalog->epoch); /* SYNC block-epoch */
        again = aipc_load_seq_cst64(&object->state);
        if (again == state) return state;
    }
}

bool aipc_object_gone(aipc_seg *seg, const aipc_object_ref *ref, uint64_t mine) {
    uint64_t epoch = 0, state = state_and_epoch(seg, ref, &epoch), block = state >> 8;
    if (state == AIPC_OBJECT_LIVE || !aipc_state_pending(state)) return state != AIPC_OBJECT_LIVE;
    return (state & 255) != AIPC_OBJECT_NEW && (block != epoch || block == mine);
}

bool aipc_object_visible(aipc_seg *seg, const aipc_object_ref *ref, uint64_t mine) {
    uint64_t epoch = 0, state = state_and_epoch(seg, ref, &epoch);
    return aipc_state_visible(state, epoch, mine);
}
