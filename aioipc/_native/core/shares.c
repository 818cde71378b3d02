#include "shares.h"

#include "catalog_parts.h"
#include "holdings.h"
#include "pending.h"
#include "pointer.h"

/* ---- counting ------------------------------------------------------------------------------------ */

/* pre: it is LIVE.  What a block has touched has no shares, and gets none before that is settled. */
static aipc_status add_share(aipc_tx *tx, const aipc_living *it, uint32_t how) {
    uint32_t shares = aipc_load_relaxed32(&it->object->shares);
    if (how == AIPC_SHARE_OF_SHARED && shares == 0) return AIPC_NOT_FOUND;
    if ((shares & AIPC_SOLE) != 0 || (how == AIPC_SOLE && shares != 0)) return AIPC_NOT_OWNER;
    if (shares == AIPC_SOLE - 1) return AIPC_FULL;
    aipc_tx_set32(tx, &it->object->shares, how == AIPC_SOLE ? AIPC_SOLE | 1 : shares + 1);
    return AIPC_OK;
}

/* *last: nobody has one any more. */
static aipc_status drop_share(aipc_tx *tx, const aipc_living *it, bool *last) {
    uint32_t shares = aipc_load_relaxed32(&it->object->shares) & ~AIPC_SOLE;
    if (shares == 0) return aipc_corrupt(tx->seg, "U1 object's shares", it->object, 0, 1);
    aipc_tx_set32(tx, &it->object->shares, shares - 1);
    *last = shares == 1;
    return AIPC_OK;
}

/* Ends the transaction, and with it the object that lost its last share. */
static aipc_status end(aipc_tx *tx, aipc_status status, bool last, const aipc_living *lost) {
    if (status == AIPC_OK && last) {
        status = aipc_end_living(tx, lost);
        if (status == AIPC_OK) return status;
    }
    return aipc_tx_finish(tx, status);
}

/* What a pointer's word leads to, if that is still there. */
static bool living_by_word(aipc_seg *seg, uint64_t word, aipc_living *found) {
    return aipc_pointer_mark(word) != 0 && aipc_living_at(seg, aipc_pointer_offset(word), found) &&
           aipc_pointer_means(word, &found->ref);
}

/* The same of an owning word. */
static aipc_status owned_by_word(aipc_seg *seg, const uint64_t *word, aipc_living *found) {
    uint64_t pointer = aipc_load_relaxed64(word);
    if (living_by_word(seg, pointer, found) && found->state == AIPC_OBJECT_LIVE) return AIPC_OK;
    return aipc_corrupt(seg, "U4 owning word leads to no living object", word, pointer, 0);
}

/* The word, as long as its object lives. */
static aipc_status owner_word(aipc_seg *seg, const aipc_owner *owner, uint64_t **word) {
    aipc_living now;
    const aipc_object_ref *ref = owner->object;
    if (!aipc_living_at(seg, ref->object, &now) || now.ref.serial != ref->serial) return AIPC_CLOSED;
    if (owner->word < now.ref.payload || now.ref.size < 8 || owner->word - now.ref.payload > now.ref.size - 8)
        return AIPC_INVALID;
    *word = aipc_at(seg, owner->word, sizeof **word);
    return *word == NULL ? AIPC_INVALID : AIPC_OK;
}

/* The object of a SHARE holding. */
static aipc_status held(aipc_seg *seg, uint64_t holding, aipc_living *found) {
    const struct aipc_holding *record = aipc_at(seg, holding, sizeof *record);
    if (record == NULL || aipc_load_relaxed64(&record->kind) != AIPC_HOLD_SHARE) return AIPC_NOT_OWNER;
    uint64_t target = aipc_load_relaxed64(&record->target);
    if (aipc_living_at(seg, target, found) && found->state == AIPC_OBJECT_LIVE) return AIPC_OK;
    return aipc_corrupt(seg, "U2 holding names no living object", record, target, 0);
}

/* ---- taking -------------------------------------------------------------------------------------- */

enum { TRIES = 4 }; /* blocks of the dead in the way, one after the other */

/* Was it refused for a block that is over now? */
static bool refused(aipc_ctx *ctx, aipc_status *status) {
    if (*status != AIPC_PENDING) return false;
    aipc_status block = aipc_block_refused(ctx);
    if (block != AIPC_OK) *status = block;
    return block == AIPC_OK;
}

/* A fresh record in an orphan word, and what it shall be about. */
typedef struct taking {
    const void *from;
    uint32_t how;
    uint64_t *word, record;
    aipc_object_ref *ref;
} taking;

static aipc_status link_share(aipc_ctx *ctx, const taking *t, aipc_living *it) {
    /* What has shares already is no block's. */
    aipc_status status = t->how == AIPC_SHARE_OF_SHARED ? AIPC_OK : aipc_settle_living(ctx->seg, it);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_catalog_begin(ctx->seg);
    status = add_share(&tx, it, t->how);
    if (status == AIPC_OK)
        status = aipc_holding_link(&tx, ctx->seg->slot, t->record, AIPC_HOLD_SHARE, it->ref.object);
    if (status == AIPC_OK) aipc_tx_set(&tx, t->word, 0);
    status = aipc_tx_finish(&tx, status);
    if (status != AIPC_OK) return status;
    *t->ref = it->ref;
    t->ref->holding = t->record;
    return AIPC_OK;
}

aipc_status aipc_share_link(aipc_ctx *ctx, uint64_t object, uint64_t record, uint64_t *word, aipc_object_ref *ref) {
    aipc_living now;
    const taking t = {.how = AIPC_SHARE_OF_SHARED, .word = word, .record = record, .ref = ref};
    aipc_status status = aipc_living_at(ctx->seg, object, &now) ? link_share(ctx, &t, &now) : AIPC_NOT_FOUND;
    return status == AIPC_NOT_FOUND ? AIPC_NOT_OWNER : status;
}

static aipc_status take(aipc_ctx *ctx, taking *t, aipc_status (*locked)(aipc_ctx *ctx, const taking *t)) {
    /* There can be any number of owners; but what a word owned can always be taken out, and be given up. */
    aipc_status status = aipc_catalog_block(ctx, sizeof(struct aipc_holding), t->how == 0 ? AIPC_RESERVE : 0, &t->word, &t->record);
    if (status != AIPC_OK) return status;
    bool again = true;
    for (int i = 0; i < TRIES && again; i++) {
        status = aipc_catalog_lock(ctx);
        if (status != AIPC_OK) break;
        status = locked(ctx, t);
        aipc_catalog_unlock(ctx);
        again = refused(ctx, &status);
    }
    aipc_status freed = aipc_orphan_free(ctx, t->word); /* unless it was linked */
    return status == AIPC_OK ? freed : status;
}

static aipc_status take_by_ref(aipc_ctx *ctx, const taking *t) {
    aipc_living now;
    aipc_status status = aipc_find_living(ctx->seg, t->from, &now);
    return status == AIPC_OK ? link_share(ctx, t, &now) : status;
}

aipc_status aipc_share_take(aipc_ctx *ctx, aipc_object_ref *ref, uint32_t how) {
    taking t = {.from = ref, .how = how, .ref = ref};
    return take(ctx, &t, take_by_ref);
}

static aipc_status take_by_pointer(aipc_ctx *ctx, const taking *t) {
    aipc_living now;
    const uint64_t *pointer = t->from;
    return living_by_word(ctx->seg, *pointer, &now) ? link_share(ctx, t, &now) : AIPC_NOT_FOUND;
}

aipc_status aipc_share_lock(aipc_ctx *ctx, uint64_t pointer, aipc_object_ref *ref) {
    taking t = {.from = &pointer, .how = AIPC_SHARE_OF_SHARED, .ref = ref};
    return take(ctx, &t, take_by_pointer);
}

/* What the word leads to; *it is unset where that is nothing. */
static aipc_status look(aipc_seg *seg, const aipc_owner *from, uint64_t **word, aipc_living *it, aipc_object_ref *ref) {
    aipc_status status = owner_word(seg, from, word);
    if (status != AIPC_OK) return status;
    *ref = (aipc_object_ref){0};
    return aipc_load_relaxed64(*word) == 0 ? AIPC_OK : owned_by_word(seg, *word, it);
}

static aipc_status copy_locked(aipc_ctx *ctx, const taking *t) {
    uint64_t *word;
    aipc_living now;
    aipc_status status = look(ctx->seg, t->from, &word, &now, t->ref);
    if (status != AIPC_OK || aipc_load_relaxed64(word) == 0) return status;
    return link_share(ctx, t, &now);
}

aipc_status aipc_share_copy(aipc_ctx *ctx, const aipc_owner *from, aipc_object_ref *ref) {
    taking t = {.from = from, .how = AIPC_SHARE_OF_SHARED, .ref = ref};
    return take(ctx, &t, copy_locked);
}

static aipc_status move_out_locked(aipc_ctx *ctx, const taking *t) {
    aipc_seg *seg = ctx->seg;
    uint64_t *word;
    aipc_living now;
    aipc_status status = look(seg, t->from, &word, &now, t->ref);
    if (status != AIPC_OK || aipc_load_relaxed64(word) == 0) return status;
    aipc_tx tx = aipc_catalog_begin(seg);
    status = aipc_holding_link(&tx, seg->slot, t->record, AIPC_HOLD_SHARE, now.ref.object);
    aipc_tx_set(&tx, word, 0);
    aipc_tx_set(&tx, t->word, 0);
    if (aipc_tx_finish(&tx, status) != AIPC_OK) return status;
    *t->ref = now.ref;
    t->ref->holding = t->record;
    return AIPC_OK;
}

aipc_status aipc_share_move_out(aipc_ctx *ctx, const aipc_owner *from, aipc_object_ref *ref) {
    taking t = {.from = from, .ref = ref};
    return take(ctx, &t, move_out_locked);
}

aipc_status aipc_words_settle(aipc_seg *seg, const uint64_t *words, uint32_t count) {
    aipc_status status = AIPC_OK;
    for (uint32_t i = 0; i < count && status == AIPC_OK; i++) {
        aipc_living now;
        status = living_by_word(seg, words[i], &now) ? aipc_settle_living(seg, &now) : AIPC_NOT_FOUND;
    }
    return status;
}

aipc_status aipc_words_count(aipc_tx *tx, const uint64_t *words, uint32_t count) {
    aipc_status status = AIPC_OK;
    for (uint32_t i = 0; i < count && status == AIPC_OK; i++) {
        aipc_living now;
        status = living_by_word(tx->seg, words[i], &now) ? add_share(tx, &now, AIPC_SHARE_ANY) : AIPC_NOT_FOUND;
    }
    return status;
}

/* ---- giving back --------------------------------------------------------------------------------- */

/* What a transaction gives up, beside what it does. */
typedef struct giving {
    aipc_living lost;
    bool last;
    uint32_t words; /* orphans of ours that are to be freed */
} giving;

/* Unlinks a record, which becomes an orphan of ours. */
static aipc_status unlink_record(aipc_ctx *ctx, aipc_tx *tx, uint32_t slot, uint64_t holding, giving *g) {
    uint64_t *orphan = aipc_orphan_word(ctx);
    if (orphan == NULL) return AIPC_AGAIN;
    aipc_status status = aipc_holding_unlink(tx, slot, holding);
    aipc_tx_set(tx, orphan, holding);
    if (status == AIPC_OK) g->words |= aipc_orphan_bit(ctx, orphan);
    return status;
}

static aipc_status release_locked(aipc_ctx *ctx, uint32_t slot, uint64_t holding, giving *g) {
    aipc_status status = held(ctx->seg, holding, &g->lost);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_catalog_begin(ctx->seg);
    status = unlink_record(ctx, &tx, slot, holding, g);
    if (status == AIPC_OK) status = drop_share(&tx, &g->lost, &g->last);
    return end(&tx, status, g->last, &g->lost);
}

/* Gives the lock back, and then what went. */
static aipc_status leave(aipc_ctx *ctx, aipc_status status, const giving *g) {
    if (status == AIPC_OK) return aipc_collect_and_unlock(ctx, g->words);
    aipc_catalog_unlock(ctx);
    return status;
}

aipc_status aipc_share_release(aipc_ctx *ctx, uint32_t slot, uint64_t holding) {
    if (slot >= ctx->seg->participants) return AIPC_INVALID;
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    giving g = {0};
    status = release_locked(ctx, slot, holding, &g);
    return leave(ctx, status, &g);
}

static aipc_status abandon_locked(aipc_ctx *ctx, uint64_t holding, giving *g) {
    aipc_status status = held(ctx->seg, holding, &g->lost);
    if (status != AIPC_OK) return status;
    if (aipc_load_relaxed32(&g->lost.object->shares) != (AIPC_SOLE | 1)) return AIPC_NOT_OWNER;
    aipc_tx tx = aipc_catalog_begin(ctx->seg);
    status = unlink_record(ctx, &tx, ctx->seg->slot, holding, g);
    aipc_tx_set32(&tx, &g->lost.object->shares, 0);
    return aipc_tx_finish(&tx, status);
}

aipc_status aipc_share_abandon(aipc_ctx *ctx, uint64_t holding) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    giving g = {0};
    status = abandon_locked(ctx, holding, &g);
    return leave(ctx, status, &g);
}

aipc_status aipc_share_open(aipc_ctx *ctx, uint64_t holding) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_living now;
    status = held(ctx->seg, holding, &now);
    if (status == AIPC_OK && aipc_load_relaxed32(&now.object->shares) != (AIPC_SOLE | 1)) status = AIPC_NOT_OWNER;
    if (status == AIPC_OK) {
        aipc_tx tx = aipc_catalog_begin(ctx->seg);
        aipc_tx_set32(&tx, &now.object->shares, 1);
        aipc_tx_commit(&tx);
    }
    aipc_catalog_unlock(ctx);
    return status;
}

/* Sets a word, and drops the share of what it led to.  pre: that of what it leads to from now on is counted. */
static aipc_status replace(aipc_tx *tx, uint64_t *word, uint64_t pointer, giving *g) {
    bool had = aipc_load_relaxed64(word) != 0;
    aipc_status status = had ? owned_by_word(tx->seg, word, &g->lost) : AIPC_OK;
    if (status == AIPC_OK && had) status = drop_share(tx, &g->lost, &g->last);
    aipc_tx_set(tx, word, pointer);
    return status;
}

static aipc_status store_locked(aipc_ctx *ctx, const aipc_owner *to, const aipc_object_ref *target, giving *g) {
    aipc_seg *seg = ctx->seg;
    uint64_t *word, pointer = target == NULL ? 0 : aipc_pointer_to_object(target);
    aipc_living now;
    aipc_status status = owner_word(seg, to, &word);
    if (status == AIPC_OK && target != NULL) status = pointer == 0 ? AIPC_INVALID : aipc_find_living(seg, target, &now);
    if (status == AIPC_OK && target != NULL) status = aipc_settle_living(seg, &now);
    if (status != AIPC_OK || aipc_load_relaxed64(word) == pointer) return status;
    aipc_tx tx = aipc_catalog_begin(seg);
    if (target != NULL) status = add_share(&tx, &now, AIPC_SHARE_ANY);
    if (status == AIPC_OK) status = replace(&tx, word, pointer, g);
    return end(&tx, status, g->last, &g->lost);
}

aipc_status aipc_share_store(aipc_ctx *ctx, const aipc_owner *to, const aipc_object_ref *target) {
    aipc_status status = AIPC_PENDING;
    bool again = true;
    for (int i = 0; i < TRIES && again; i++) {
        status = aipc_catalog_lock(ctx);
        if (status != AIPC_OK) return status;
        giving g = {0};
        status = store_locked(ctx, to, target, &g);
        status = leave(ctx, status, &g);
        again = refused(ctx, &status);
    }
    return status;
}

static aipc_status move_in_locked(aipc_ctx *ctx, const aipc_owner *to, uint64_t holding, giving *g) {
    aipc_seg *seg = ctx->seg;
    uint64_t *word;
    aipc_living now;
    aipc_status status = owner_word(seg, to, &word);
    if (status == AIPC_OK) status = held(seg, holding, &now);
    if (status != AIPC_OK) return status;
    uint64_t pointer = aipc_pointer_to_object(&now.ref);
    if (pointer == 0) return AIPC_INVALID;
    aipc_tx tx = aipc_catalog_begin(seg);
    status = unlink_record(ctx, &tx, seg->slot, holding, g);
    if (status == AIPC_OK) status = replace(&tx, word, pointer, g);
    return end(&tx, status, g->last, &g->lost);
}

aipc_status aipc_share_move_in(aipc_ctx *ctx, const aipc_owner *to, uint64_t holding) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    giving g = {0};
    status = move_in_locked(ctx, to, holding, &g);
    return leave(ctx, status, &g);
}

/* ---- looking ------------------------------------------------------------------------------------- */

aipc_status aipc_share_word(aipc_ctx *ctx, const aipc_owner *from, uint64_t *word) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    uint64_t *there;
    status = owner_word(ctx->seg, from, &there);
    if (status == AIPC_OK) *word = aipc_load_relaxed64(there);
    aipc_catalog_unlock(ctx);
    return status;
}

aipc_status aipc_share_count(aipc_ctx *ctx, uint64_t pointer, uint32_t *count) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    aipc_living now;
    *count = living_by_word(ctx->seg, pointer, &now) ? aipc_load_relaxed32(&now.object->shares) & ~AIPC_SOLE : 0;
    aipc_catalog_unlock(ctx);
    return AIPC_OK;
}
