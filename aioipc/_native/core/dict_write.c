/* Writing: each change is one published word.  See dict.h. */
#include "dict_table.h"

#include <string.h>

enum { SHED_ROUNDS = 16 }; /* steps of a clear beyond those that the memory there is has room for */

static aipc_status worse(aipc_status status, aipc_status then) { return status == AIPC_OK ? then : status; }

/* ---- one change of the current table, under the lock ------------------------------------------- */

typedef struct change {
    aipc_ctx *ctx;
    struct aipc_dict *d;
    aipc_dict_view view;
    aipc_dict_place at;
    aipc_dict_found old; /* filled when at.entry != 0 */
    uint64_t *moved;     /* the old entry's place in the table being built; NULL: it is not there yet */
    uint64_t retired;    /* bytes of the old entry, once it is unlinked */
    bool rebuild;        /* one is due */
} change;

/* Redo entries that put an unlinked block on the retired list. */
static void retire_after(aipc_tx *tx, struct aipc_dict *d, uint64_t block) {
    uint64_t *first_word = (uint64_t *)(void *)(tx->seg->base + block);
    aipc_tx_after(tx, first_word, aipc_load_relaxed64(&d->retired));
    aipc_tx_after(tx, &d->retired, block);
}

static aipc_status find_moved(change *c) {
    aipc_seg *seg = c->ctx->seg;
    aipc_dict_view next;
    uint64_t building = aipc_load_relaxed64(&c->d->building);
    c->moved = NULL;
    if (c->at.entry == 0 || building == 0 || c->at.place >= aipc_load_relaxed64(&c->d->mark)) return AIPC_OK;
    aipc_status status = aipc_dict_view_at(seg, building, &next);
    if (status != AIPC_OK) return status;
    const struct aipc_dict_entry *entry = (const void *)(seg->base + c->at.entry);
    c->moved = aipc_dict_place_of(&next, entry->hash, c->at.entry);
    if (c->moved != NULL) return AIPC_OK;
    return aipc_corrupt(seg, "E7 moved entry is not in the table being built", &c->d->building, c->at.entry, building);
}

/* The key's place in the current table.  A step of what is left to do comes first, as it may replace that table.
 * AIPC_OK, at.entry 0 and view.table NULL: there is no table. */
static aipc_status find(change *c, const aipc_dict_key *key) {
    aipc_seg *seg = c->ctx->seg;
    aipc_status status = aipc_dict_step(c->ctx, c->d);
    uint64_t table = aipc_load_relaxed64(&c->d->table);
    if (status != AIPC_OK || table == 0) return status;
    status = aipc_dict_view_at(seg, table, &c->view);
    if (status == AIPC_OK) status = aipc_dict_locate(seg, &c->view, key, &c->at, &c->old);
    return status == AIPC_OK ? find_moved(c) : status;
}

/* Notes whether a rebuild is due now. */
static void look_ahead(change *c) {
    uint64_t capacity = 0;
    if (c->view.table == NULL || aipc_load_relaxed64(&c->d->building) != 0) return;
    c->rebuild = aipc_dict_wanted(c->ctx->seg, c->d, &c->view, &capacity) == AIPC_OK && capacity != 0;
}

/* Number and rank of the new entry, which is ours alone still.  A serial of 0: it is the last in the order. */
static uint64_t number(const change *c, aipc_dict_draft *draft, uint64_t serial) {
    struct aipc_dict_entry *entry = (void *)(c->ctx->seg->base + draft->entry);
    draft->version = aipc_load_relaxed64(&c->d->next_version);
    draft->serial = serial != 0 ? serial : draft->version;
    entry->version = draft->version;
    entry->serial = draft->serial;
    return draft->version;
}

/* AIPC_AGAIN: there is no room in this table. */
static aipc_status insert(change *c, aipc_dict_draft *draft) {
    aipc_seg *seg = c->ctx->seg;
    struct aipc_dict *d = c->d;
    uint64_t used;
    if (c->view.table == NULL) return AIPC_AGAIN;
    aipc_status status = aipc_dict_used(seg, &c->view, &used);
    if (status != AIPC_OK) return status;
    if (used == c->view.room) return AIPC_AGAIN;
    if (c->at.slot == NULL)
        return aipc_corrupt(seg, "E4 table has no empty slot", c->view.table, c->view.capacity, used);
    uint64_t version = number(c, draft, 0);
    aipc_store_release64(&c->view.places[used], draft->entry); /* unlogged: in nobody's sight */
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    aipc_tx_after(&tx, draft->word, 0);
    aipc_tx_after(&tx, &d->count, aipc_load_relaxed64(&d->count) + 1);
    aipc_tx_after(&tx, &c->view.table->used, used + 1); /* SYNC dict-used */
    aipc_tx_after(&tx, &c->view.table->top, used + 1);
    aipc_tx_after(&tx, &d->next_version, version + 1); /* who sees it sees the place as well */
    aipc_tx_publish(&tx, c->at.slot, aipc_dict_slot_word(draft->key.hash, used));
    return AIPC_OK;
}

static aipc_status replace(change *c, aipc_dict_draft *draft) {
    aipc_seg *seg = c->ctx->seg;
    uint64_t version = number(c, draft, c->old.serial);
    aipc_tx tx = aipc_tx_begin(seg, &c->d->domain);
    aipc_tx_after(&tx, draft->word, 0);
    aipc_tx_after(&tx, &c->d->next_version, version + 1);
    if (c->moved != NULL) aipc_tx_after(&tx, c->moved, draft->entry);
    retire_after(&tx, c->d, c->at.entry);
    c->retired = c->old.value_size;
    aipc_tx_publish(&tx, &c->view.places[c->at.place], draft->entry); /* SYNC hazard */
    return AIPC_OK;
}

/* Redo entries for a place that becomes a hole: the run of holes at either end of the table is not to be walked time and
 * again by who takes the oldest or the youngest key away. */
static void narrow(aipc_tx *tx, const aipc_dict_view *view, uint64_t place) {
    enum { HOLES = 256 }; /* passed in one hold of the lock */
    uint64_t used = aipc_load_relaxed64(&view->table->used), first = aipc_load_relaxed64(&view->table->first);
    uint64_t top = aipc_load_relaxed64(&view->table->top), from = first, to = top;
    if (top > used || first > used) return; /* damaged; the check says so */
    for (int i = 0; i < HOLES && from < used && (from == place || aipc_load_relaxed64(&view->places[from]) == 0); i++)
        from++;
    for (int i = 0; i < HOLES && to > 0 && (to - 1 == place || aipc_load_relaxed64(&view->places[to - 1]) == 0); i++)
        to--;
    if (from != first) aipc_tx_after(tx, &view->table->first, from);
    if (to != top) aipc_tx_after(tx, &view->table->top, to);
}

static void drop(change *c) {
    aipc_tx tx = aipc_tx_begin(c->ctx->seg, &c->d->domain);
    if (c->moved != NULL) aipc_tx_after(&tx, c->moved, 0);
    aipc_tx_after(&tx, &c->d->count, aipc_load_relaxed64(&c->d->count) - 1);
    retire_after(&tx, c->d, c->at.entry);
    c->retired = c->old.value_size;
    narrow(&tx, &c->view, c->at.place);
    aipc_tx_publish(&tx, &c->view.places[c->at.place], 0); /* SYNC hazard */
}

/* Lets the caller read the entry after the lock is given back. */
static void show(change *c, aipc_dict_found *found) {
    if (found == NULL) return;
    (void)aipc_exchange_seq_cst64(&c->ctx->shared->hazard[1], c->at.entry); /* SYNC hazard */
    *found = c->old;
}

/* Between one write and the next: begins a rebuild that is due.  The write is done, so only damage is reported; with
 * no memory for a larger table, this one goes on until it is full. */
static aipc_status begin_rebuild(aipc_ctx *ctx, struct aipc_dict *d) {
    aipc_shield(ctx->seg, true);
    aipc_status status = aipc_dict_grow(ctx, d, 0);
    aipc_shield(ctx->seg, false);
    return status == AIPC_CORRUPT ? status : AIPC_OK;
}

/* ---- put --------------------------------------------------------------------------------------- */

/* A replacement keeps the key that was there first. */
static bool same_original(const change *c, const aipc_dict_draft *draft) {
    const struct aipc_dict_entry *entry = (const void *)(c->ctx->seg->base + draft->entry);
    return c->old.original_size == draft->original_size &&
           (draft->original_size == 0 ||
            memcmp(c->old.original, entry->bytes + draft->key.size, draft->original_size) == 0);
}

static aipc_status may_put(change *c, const aipc_dict_draft *draft, aipc_dict_mode mode, uint64_t version,
                           aipc_dict_found *found) {
    bool there = c->at.entry != 0;
    if (!there) return mode == AIPC_DICT_PRESENT || mode == AIPC_DICT_VERSION ? AIPC_NOT_FOUND : AIPC_OK;
    if (mode == AIPC_DICT_VERSION && c->old.version != version) return AIPC_AGAIN;
    if (mode != AIPC_DICT_ABSENT && same_original(c, draft)) return AIPC_OK;
    show(c, found);
    return AIPC_EXISTS;
}

/* *full: there is no room in this table, and nothing was done but a step towards the next one. */
static aipc_status put_once(change *c, aipc_dict_draft *draft, aipc_dict_mode mode, uint64_t version,
                            aipc_dict_found *found, bool *full) {
    aipc_status status = aipc_dict_lock(c->ctx, c->d);
    if (status != AIPC_OK) return status;
    status = find(c, &draft->key);
    if (status == AIPC_OK) status = may_put(c, draft, mode, version, found);
    if (status == AIPC_OK) {
        status = c->at.entry != 0 ? replace(c, draft) : insert(c, draft);
        *full = status == AIPC_AGAIN;
        if (status == AIPC_OK) draft->word = NULL;
        look_ahead(c);
    }
    return worse(status, aipc_dict_leave(c->ctx, c->d, c->retired));
}

aipc_status aipc_dict_put(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_draft *draft, aipc_dict_mode mode,
                          uint64_t version, aipc_dict_found *found, bool *replaced) {
    change c;
    aipc_status status;
    uint64_t least = 0; /* a table that turns out too small is followed by a larger one */
    for (bool full = true; full;) {
        full = false;
        c = (change){.ctx = ctx, .d = d};
        status = put_once(&c, draft, mode, version, found, &full);
        if (!full) break;
        if (aipc_load_relaxed64(&d->building) != 0) continue; /* it was brought a step further */
        if (c.view.table != NULL) least = least == 0 ? AIPC_DICT_CAPACITY_MIN : least * 2;
        status = aipc_dict_grow(ctx, d, least);
        if (status != AIPC_OK) return status;
    }
    if (draft->word != NULL) return status;
    if (replaced != NULL) *replaced = c.at.entry != 0;
    if (status == AIPC_OK && c.rebuild) status = begin_rebuild(ctx, d);
    return status;
}

/* ---- delete, clear ----------------------------------------------------------------------------- */

aipc_status aipc_dict_delete(aipc_ctx *ctx, struct aipc_dict *d, const aipc_dict_key *key, uint64_t version,
                             aipc_dict_found *found) {
    change c = {.ctx = ctx, .d = d};
    aipc_status status = aipc_dict_lock(ctx, d);
    if (status != AIPC_OK) return status;
    status = find(&c, key);
    if (status == AIPC_OK && c.at.entry == 0) status = AIPC_NOT_FOUND;
    if (status == AIPC_OK && version != 0 && c.old.version != version) status = AIPC_AGAIN;
    if (status == AIPC_OK) {
        show(&c, found); /* before it is unlinked */
        drop(&c);
        look_ahead(&c);
    }
    status = worse(status, aipc_dict_leave(ctx, d, c.retired));
    return status == AIPC_OK && c.rebuild ? begin_rebuild(ctx, d) : status;
}

/* Detaches the table and what was being built from it. */
static aipc_status detach(aipc_seg *seg, struct aipc_dict *d) {
    aipc_dict_view old, next;
    uint64_t table = aipc_load_relaxed64(&d->table), building = aipc_load_relaxed64(&d->building);
    if (table == 0) return AIPC_OK;
    aipc_status status = aipc_dict_view_at(seg, table, &old);
    if (status == AIPC_OK && building != 0) status = aipc_dict_view_at(seg, building, &next);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    aipc_tx_after(&tx, &d->count, 0);
    aipc_tx_after(&tx, &old.table->retired_next, aipc_load_relaxed64(&d->shedding));
    aipc_tx_after(&tx, &d->shedding, table);
    if (building != 0) {
        retire_after(&tx, d, building);
        aipc_tx_after(&tx, &d->building, 0);
        aipc_tx_after(&tx, &d->cleared, 0);
        aipc_tx_after(&tx, &d->mark, 0);
    }
    aipc_tx_publish(&tx, &d->table, 0); /* SYNC hazard */
    return AIPC_OK;
}

aipc_status aipc_dict_clear(aipc_ctx *ctx, struct aipc_dict *d) {
    aipc_status status = aipc_dict_lock(ctx, d);
    if (status != AIPC_OK) return status;
    status = detach(ctx->seg, d);
    status = worse(status, aipc_dict_leave(ctx, d, 0));
    /* A step takes at least eight entries, or a table: more steps than there is memory for are going in a circle. */
    uint64_t left = aipc_limit(ctx->seg) / (sizeof(struct aipc_dict_entry) + AIPC_BLOCK_OVERHEAD) + SHED_ROUNDS;
    while (status == AIPC_OK && aipc_load_relaxed64(&d->shedding) != 0) {
        if (left-- == 0) return aipc_corrupt(ctx->seg, "E8 shed tables do not end", &d->shedding, 0, 0);
        aipc_shield(ctx->seg, true);
        status = aipc_dict_lock(ctx, d);
        aipc_shield(ctx->seg, false);
        if (status == AIPC_STALLED || status == AIPC_CLOSED) return AIPC_OK; /* later writers go on */
        if (status != AIPC_OK) break;
        status = aipc_dict_step(ctx, d);
        status = worse(status, aipc_dict_leave(ctx, d, 0));
    }
    return worse(status, aipc_dict_collect(ctx, d));
}
