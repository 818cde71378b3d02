/* Giving back: pins, names, memory. */
#include "catalog_parts.h"
#include "holdings.h"
#include "order.h"
#include "pending.h"
#include "shares.h"

/* Parts of a retired block: of an object that is a container, while it has any. */
static uint64_t take_part(aipc_tx *tx, uint64_t block) {
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(tx->seg, block, &ref);
    if (object == NULL || aipc_load_relaxed64(&object->state) != AIPC_OBJECT_DESTROYED || /* an old table */
        !aipc_object_hash_right(tx->seg, object))
        return 0;
    return tx->seg->part == NULL ? 0 : tx->seg->part(tx, ref.type, ref.payload, ref.size);
}

/* Frees what is retired as far as nobody looks at it, and sheds; *more: something went.  pre: the lock is held; it is
 * given back. */
static aipc_status collect_some(aipc_ctx *ctx, uint32_t words, bool *more) {
    struct aipc_catalog *catalog = ctx->seg->catalog;
    const aipc_retired retired = {.domain = &catalog->domain, .list = &catalog->retired, .flags = AIPC_INTERNAL,
                                  .part = take_part};
    uint32_t before = words;
    aipc_status status = aipc_shed_some(ctx, more);
    if (status == AIPC_OK) status = aipc_retired_take(ctx, &retired, &words);
    aipc_catalog_unlock(ctx);
    *more = *more || words != before;
    return aipc_worse(status, aipc_orphans_free(ctx, words));
}

static bool nothing_left(const aipc_seg *seg) { /* a hint; whoever adds, collects */
    return aipc_load_relaxed64(&seg->catalog->retired) == 0 && aipc_load_relaxed64(&seg->catalog->shedding) == 0;
}

/* The rest of it too: a container may have any number of parts. */
aipc_status aipc_collect_and_unlock(aipc_ctx *ctx, uint32_t words) {
    bool more;
    aipc_status status = collect_some(ctx, words, &more);
    while (more && status == AIPC_OK && !nothing_left(ctx->seg)) {
        aipc_shield(ctx->seg, true);
        aipc_status locked = aipc_catalog_lock(ctx);
        aipc_shield(ctx->seg, false);
        if (locked == AIPC_STALLED) return AIPC_OK; /* what it follows is done; the next one collects */
        status = locked == AIPC_OK ? collect_some(ctx, 0, &more) : locked;
    }
    return status;
}

aipc_status aipc_catalog_collect(aipc_ctx *ctx) {
    if (nothing_left(ctx->seg)) return AIPC_OK;
    aipc_shield(ctx->seg, true);
    aipc_status status = aipc_catalog_lock(ctx);
    aipc_shield(ctx->seg, false);
    if (status == AIPC_STALLED) return AIPC_OK; /* what it follows is done; the next one collects */
    return status == AIPC_OK ? aipc_collect_and_unlock(ctx, 0) : status;
}

aipc_status aipc_drop_holding(aipc_ctx *ctx, uint32_t slot, uint64_t holding, uint32_t *words) {
    aipc_seg *seg = ctx->seg;
    struct aipc_holding *record = aipc_at(seg, holding, sizeof *record);
    if (record == NULL) return AIPC_NOT_OWNER;
    bool registration = aipc_holding_registers(aipc_load_relaxed64(&record->kind));
    uint64_t target = aipc_load_relaxed64(&record->target);
    aipc_object_fetch(seg, target); /* three places far apart: load them at the same time */
    aipc_object_fetch(seg, aipc_load_relaxed64(&record->next));
    aipc_object_fetch(seg, aipc_load_relaxed64(&record->prev));
    aipc_object_ref ref;
    struct aipc_object *object = aipc_object_read(seg, target, &ref);
    if (object == NULL || aipc_load_relaxed32(&object->pins) == 0)
        return aipc_corrupt(seg, "C4 holding names no pinned object", record, target, 0);
    uint64_t *word = aipc_orphan_word(ctx);
    if (word == NULL) return AIPC_AGAIN;

    uint32_t left = aipc_load_relaxed32(&object->pins) - 1;
    aipc_tx tx = aipc_catalog_begin(seg);
    aipc_status status = aipc_holding_unlink(&tx, slot, holding);
    aipc_tx_set32(&tx, &object->pins, left);
    aipc_tx_set(&tx, word, holding);
    if (registration) aipc_count_before(&tx, &seg->catalog->pending, UINT64_MAX);
    if (left == 0 && aipc_load_relaxed64(&object->state) == AIPC_OBJECT_DESTROYED) {
        /* Unlinked long ago, by the publish of its destruction. */
        aipc_tx_set(&tx, &object->retired_next, aipc_load_relaxed64(&seg->catalog->retired));
        aipc_tx_set(&tx, &seg->catalog->retired, target);
    }
    if (aipc_tx_finish(&tx, status) == AIPC_OK) *words |= aipc_orphan_bit(ctx, word);
    return status;
}

aipc_status aipc_unpin(aipc_ctx *ctx, uint32_t slot, uint64_t holding) {
    if (slot >= ctx->seg->participants) return AIPC_INVALID;
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    uint32_t words = 0;
    const struct aipc_holding *record = aipc_at(ctx->seg, holding, sizeof *record);
    status = record == NULL || aipc_load_relaxed64(&record->kind) != AIPC_HOLD_PIN
                 ? AIPC_NOT_OWNER : aipc_drop_holding(ctx, slot, holding, &words);
    if (status == AIPC_OK) return aipc_collect_and_unlock(ctx, words);
    aipc_catalog_unlock(ctx);
    return status;
}

/* Redo entries that leave an object without a place to those who collect; its state from then on. */
static uint64_t retire_after(aipc_tx *tx, const aipc_living *it) {
    struct aipc_catalog *catalog = tx->seg->catalog;
    bool sheds = aipc_object_owns(tx->seg, &it->ref);
    uint64_t *list = sheds ? &catalog->shedding : &catalog->retired;
    if (sheds || aipc_load_relaxed32(&it->object->pins) == 0) { /* else a zombie until the last unpin */
        aipc_tx_after(tx, &it->object->retired_next, aipc_load_relaxed64(list));
        aipc_tx_after(tx, list, it->ref.object);
    }
    return sheds ? AIPC_OBJECT_SHEDDING : AIPC_OBJECT_DESTROYED;
}

static aipc_status end_anonymous(aipc_tx *tx, const aipc_living *it) {
    aipc_count_after(tx, &tx->seg->catalog->anonymous, UINT64_MAX);
    uint64_t state = retire_after(tx, it);
    aipc_tx_publish(tx, &it->object->state, state);
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

static aipc_status end_named(aipc_tx *tx, const aipc_living *it) {
    struct aipc_catalog *catalog = tx->seg->catalog;
    aipc_status status = aipc_names_counted(tx->seg, &it->names);
    if (status == AIPC_OK) status = aipc_order_unlink(tx, it->ref.object);
    if (status != AIPC_OK) return status;
    uint64_t *slots = it->names.table->slots;
    uint64_t index = (uint64_t)(it->slot - slots);
    uint64_t tombstones = aipc_load_relaxed64(&catalog->tombstones);
    bool last = aipc_load_relaxed64(&slots[(index + 1) & (it->names.capacity - 1)]) == 0;
    tombstones = last ? tombstones - clean_after(tx, &it->names, index) : tombstones + 1;
    uint64_t state = retire_after(tx, it);
    aipc_tx_after(tx, &it->object->state, state);
    aipc_count_after(tx, &catalog->count, UINT64_MAX);
    if (it->ref.kind == AIPC_UNIQUE) aipc_count_after(tx, &catalog->unique, UINT64_MAX);
    aipc_tx_after(tx, &catalog->tombstones, tombstones);
    aipc_tx_publish(tx, it->slot, last ? 0 : AIPC_TOMBSTONE); /* SYNC name-publish */
    return AIPC_OK;
}

aipc_status aipc_end_living(aipc_tx *tx, const aipc_living *it) {
    if (it->ref.kind == AIPC_ANONYMOUS) return end_anonymous(tx, it);
    if (it->slot != NULL) return end_named(tx, it);
    aipc_living now;
    aipc_status status = aipc_find_living(tx->seg, &it->ref, &now);
    if (status == AIPC_NOT_FOUND)
        return aipc_corrupt(tx->seg, "C1 living object is not in the table", it->object, it->ref.object, 0);
    return status == AIPC_OK ? end_named(tx, &now) : status;
}

aipc_status aipc_take_away(aipc_seg *seg, const aipc_living *it) {
    aipc_tx tx = aipc_catalog_begin(seg);
    aipc_status status = aipc_end_living(&tx, it);
    if (status != AIPC_OK) aipc_tx_abort(&tx);
    return status;
}

/* Inside of a block: only noted, until it ends. */
static aipc_status mark_gone(aipc_ctx *ctx, const aipc_living *it, uint64_t *word) {
    aipc_seg *seg = ctx->seg;
    uint64_t block = ctx->block << 8, record = aipc_load_relaxed64(word);
    aipc_tx tx = aipc_catalog_begin(seg);
    aipc_status status = aipc_holding_link(&tx, seg->slot, record, AIPC_HOLD_UNMADE | block, it->ref.object);
    if (status != AIPC_OK) return aipc_tx_finish(&tx, status);
    aipc_tx_set32(&tx, &it->object->pins, aipc_load_relaxed32(&it->object->pins) + 1);
    aipc_count_before(&tx, &seg->catalog->pending, 1);
    aipc_tx_after(&tx, word, 0);
    aipc_tx_publish(&tx, &it->object->state, block | (it->state == AIPC_OBJECT_LIVE ? AIPC_OBJECT_GONE : AIPC_OBJECT_BOTH));
    return AIPC_OK;
}

static aipc_status destroy_living(aipc_ctx *ctx, const aipc_living *it, uint64_t *word) {
    uint64_t epoch = aipc_load_relaxed64(&ctx->seg->catalog->epoch);
    bool others = aipc_state_pending(it->state) && it->state >> 8 == epoch && ctx->block != epoch;
    aipc_status status = aipc_block_mine(ctx);
    if (status != AIPC_OK || others) return others ? AIPC_PENDING : status;
    if (!aipc_state_visible(it->state, epoch, ctx->block)) return AIPC_NOT_FOUND;
    if (aipc_load_relaxed32(&it->object->shares) != 0) return AIPC_NOT_OWNER;
    return word != NULL ? mark_gone(ctx, it, word) : aipc_take_away(ctx->seg, it);
}

static aipc_status destroy_once(aipc_ctx *ctx, const aipc_object_ref *ref, uint64_t *word) {
    aipc_object_fetch(ctx->seg, ref->object); /* while nobody waits for it */
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_living now;
    status = aipc_find_living(ctx->seg, ref, &now);
    if (status == AIPC_OK) status = destroy_living(ctx, &now, word);
    if (status == AIPC_OK) return aipc_collect_and_unlock(ctx, 0);
    aipc_catalog_unlock(ctx);
    return status;
}

static aipc_status destroy_with(aipc_ctx *ctx, const aipc_object_ref *ref, uint64_t *word) {
    enum { TRIES = 4 }; /* blocks of the dead in the way, one after the other */
    aipc_status status = destroy_once(ctx, ref, word);
    for (int i = 0; i < TRIES && status == AIPC_PENDING; i++) {
        status = aipc_block_refused(ctx);
        if (status == AIPC_OK) status = destroy_once(ctx, ref, word);
    }
    return status;
}

aipc_status aipc_destroy(aipc_ctx *ctx, const aipc_object_ref *ref) {
    uint64_t *word = NULL, record;
    if (ctx->block == 0) return destroy_with(ctx, ref, NULL);
    aipc_status status = aipc_catalog_block(ctx, sizeof(struct aipc_holding), AIPC_RESERVE, &word, &record);
    if (status != AIPC_OK) return status;
    status = destroy_with(ctx, ref, word);
    return aipc_worse(status, aipc_orphan_free(ctx, word));
}
