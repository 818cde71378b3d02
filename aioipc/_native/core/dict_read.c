/* Looking up and walking without a lock.  See dict.h for what makes it safe. */
#include "dict_table.h"
#include "siphash.h"

enum {
    CHANGES = 64, /* a place that is replaced so often while we look at it */
    ROUNDS = 64   /* or tables, before the lock is asked for */
};

aipc_dict_key aipc_dict_key_of(const aipc_seg *seg, const void *bytes, uint64_t size) {
    return (aipc_dict_key){.bytes = bytes, .size = size, .hash = aipc_siphash(seg->seed, bytes, size)};
}

uint64_t aipc_dict_count(const struct aipc_dict *d) { return aipc_load_acquire64(&d->count); }
bool aipc_dict_closed(const struct aipc_dict *d) { return aipc_load_relaxed64(&d->closed) != 0; }

void aipc_dict_done(aipc_ctx *ctx) {
    aipc_store_release64(&ctx->shared->hazard[1], 0);
    aipc_store_release64(&ctx->shared->hazard[0], 0);
}

/* ---- holding on to tables and entries ---------------------------------------------------------- */

typedef struct reader {
    aipc_ctx *ctx;
    struct aipc_dict *d;
    aipc_dict_view view;
} reader;

static inline bool still_current(const reader *r) { return aipc_load_seq_cst64(&r->d->table) == r->view.offset; }

/* AIPC_NOT_FOUND: there is no table.  AIPC_AGAIN: it was replaced meanwhile. */
static inline aipc_status open_table(reader *r) {
    aipc_seg *seg = r->ctx->seg;
    if (aipc_dict_closed(r->d)) return AIPC_CLOSED;
    uint64_t offset = aipc_load_acquire64(&r->d->table);
    if (offset == 0) return AIPC_NOT_FOUND;
    (void)aipc_exchange_seq_cst64(&r->ctx->shared->hazard[0], offset); /* SYNC hazard */
    if (aipc_load_seq_cst64(&r->d->table) != offset) return AIPC_AGAIN;
    return aipc_dict_view_at(seg, offset, &r->view);
}

/* The entry of a place, from here on protected by hazard[1].  AIPC_NOT_FOUND: a hole.  AIPC_AGAIN: the table is not the
 * dict's any more.  The table is looked at last: until it was replaced, its places told the truth. */
static inline aipc_status hold_place(reader *r, uint64_t place, uint64_t *entry) {
    const uint64_t *word = &r->view.places[place];
    for (int i = 0; i < CHANGES; i++) {
        uint64_t now = aipc_load_acquire64(word);
        if (now == 0) return AIPC_NOT_FOUND;
        aipc_dict_fetch(r->ctx->seg, now); /* while the exchange drains the stores */
        (void)aipc_exchange_seq_cst64(&r->ctx->shared->hazard[1], now); /* SYNC hazard */
        if (aipc_load_seq_cst64(word) != now) continue;
        if (!still_current(r)) return AIPC_AGAIN;
        *entry = now;
        return AIPC_OK;
    }
    return AIPC_AGAIN;
}

/* ---- looking up -------------------------------------------------------------------------------- */

/* One search of a table that was the dict's when it began.  A key that was there then is found, or was deleted
 * meanwhile: its slot stays, and its place changes only while the table is the dict's.  So AIPC_NOT_FOUND was true at some
 * moment of the search, also when the table has been replaced by now. */
static inline aipc_status probe(reader *r, const aipc_dict_key *key, aipc_dict_found *found) {
    aipc_seg *seg = r->ctx->seg;
    uint64_t mask = r->view.capacity - 1, index = key->hash & mask;
    for (uint64_t steps = 0; steps <= mask; steps++, index = (index + 1) & mask) {
        const uint64_t *slot = &r->view.table->slots[index];
        uint64_t word = aipc_load_acquire64(slot), entry;
        if (word == 0) break;
        if (!aipc_dict_slot_may_be(word, key->hash)) continue;
        uint64_t place = aipc_dict_slot_place(word);
        if (place >= r->view.room) return aipc_corrupt(seg, "E4 slot leads to no place", slot, word, r->view.room);
        aipc_status status = hold_place(r, place, &entry);
        if (status == AIPC_NOT_FOUND) continue;
        bool same = false;
        if (status == AIPC_OK) status = aipc_dict_compare(seg, entry, key, &same, found);
        if (status != AIPC_OK || same) return status;
    }
    return AIPC_NOT_FOUND;
}

static aipc_status get_locked(aipc_ctx *ctx, struct aipc_dict *d, const aipc_dict_key *key, aipc_dict_found *found) {
    aipc_seg *seg = ctx->seg;
    aipc_dict_view view;
    aipc_dict_place at = {0};
    aipc_status status = aipc_dict_lock(ctx, d);
    if (status != AIPC_OK) return status;
    uint64_t table = aipc_load_relaxed64(&d->table);
    if (table != 0) status = aipc_dict_view_at(seg, table, &view);
    if (table != 0 && status == AIPC_OK) status = aipc_dict_locate(seg, &view, key, &at, found);
    if (status == AIPC_OK && at.entry == 0) status = AIPC_NOT_FOUND;
    /* Nothing is retired, or freed, but with the lock: no need to look again. */
    if (status == AIPC_OK) (void)aipc_exchange_seq_cst64(&ctx->shared->hazard[1], at.entry);
    aipc_domain_unlock(ctx, &d->domain);
    return status;
}

aipc_status aipc_dict_get(aipc_ctx *ctx, struct aipc_dict *d, const aipc_dict_key *key, aipc_dict_found *found) {
    reader r = {.ctx = ctx, .d = d};
    aipc_status status = AIPC_AGAIN;
    for (int i = 0; i < ROUNDS && status == AIPC_AGAIN; i++) {
        status = open_table(&r);
        if (status == AIPC_OK) status = probe(&r, key, found);
    }
    if (status == AIPC_AGAIN) status = get_locked(ctx, d, key, found);
    if (status != AIPC_OK) aipc_dict_done(ctx);
    return status;
}

/* ---- walking ----------------------------------------------------------------------------------- */

static uint64_t serial_of(const reader *r, uint64_t entry) {
    const struct aipc_dict_entry *at = aipc_at(r->ctx->seg, entry, sizeof *at);
    return at == NULL ? 0 : at->serial; /* 0: entry_at will say what is wrong */
}

/* The first place whose entry, and those of all places behind it, have this serial or a higher one.  Serials ascend;
 * holes have none, so the next place that has one is asked: no place is looked at more than twice. */
static aipc_status rank(reader *r, uint64_t low, uint64_t high, uint64_t serial, uint64_t *place) {
    uint64_t entry;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, at = middle;
        aipc_status status = AIPC_NOT_FOUND;
        while (at < high && (status = hold_place(r, at, &entry)) == AIPC_NOT_FOUND) at++;
        if (at == high) {
            high = middle;
            continue;
        }
        if (status != AIPC_OK) return status;
        if (serial_of(r, entry) < serial) low = at + 1;
        else high = middle;
    }
    *place = low;
    return AIPC_OK;
}

typedef struct walk {
    reader r;
    aipc_dict_cursor *cursor;
    bool forward;
    uint64_t used;
} walk;

/* Opens the table, and finds the place to go on from when it is not the one that was walked last. */
static aipc_status resume(walk *w) {
    aipc_dict_cursor *c = w->cursor;
    if (c->end == 0) {
        c->end = aipc_load_acquire64(&w->r.d->next_version);
        c->last = w->forward ? 0 : c->end;
    }
    aipc_status status = open_table(&w->r);
    if (status == AIPC_OK) status = aipc_dict_used(w->r.ctx->seg, &w->r.view, &w->used);
    if (status != AIPC_OK) return status;
    const struct aipc_dict_table *table = w->r.view.table;
    uint64_t serial = aipc_load_relaxed64(&table->serial);
    if (c->table == serial && c->place <= w->used) return AIPC_OK;
    uint64_t first = aipc_load_acquire64(&table->first), top = aipc_load_acquire64(&table->top);
    if (top > w->used) top = w->used;
    if (c->table == 0) /* from the beginning */
        c->place = w->forward ? first : top;
    else
        status = rank(&w->r, first, top, w->forward ? c->last + 1 : c->last, &c->place);
    if (status == AIPC_OK) c->table = serial;
    return status;
}

/* The entry is there; is it one that is to come? */
static aipc_status consider(walk *w, uint64_t entry, aipc_dict_found *found) {
    aipc_dict_cursor *c = w->cursor;
    aipc_status status = aipc_dict_entry_at(w->r.ctx->seg, entry, found);
    if (status != AIPC_OK) return status;
    if (found->serial >= c->end || (w->forward ? found->serial <= c->last : found->serial >= c->last))
        return AIPC_NOT_FOUND;
    c->last = found->serial;
    return AIPC_OK;
}

static aipc_status walk_table(walk *w, aipc_dict_found *found) {
    aipc_dict_cursor *c = w->cursor;
    aipc_status status = resume(w);
    while (status == AIPC_OK && (w->forward ? c->place < w->used : c->place > 0)) {
        uint64_t entry, place = w->forward ? c->place : c->place - 1;
        status = hold_place(&w->r, place, &entry);
        if (status == AIPC_OK) status = consider(w, entry, found);
        if (status != AIPC_OK && status != AIPC_NOT_FOUND) return status;
        c->place = w->forward ? place + 1 : place;
        if (status == AIPC_OK) return AIPC_OK;
        status = AIPC_OK;
    }
    return status == AIPC_OK ? AIPC_NOT_FOUND : status;
}

/* Goes on from the same place when the table was replaced: then somebody else got on with a whole rebuild. */
static aipc_status step(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_cursor *cursor, bool forward,
                        aipc_dict_found *found) {
    walk w = {.r = {.ctx = ctx, .d = d}, .cursor = cursor, .forward = forward};
    aipc_status status;
    do status = walk_table(&w, found);
    while (status == AIPC_AGAIN);
    if (status != AIPC_OK) aipc_dict_done(ctx);
    return status;
}

aipc_status aipc_dict_next(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_cursor *cursor, aipc_dict_found *found) {
    return step(ctx, d, cursor, true, found);
}
aipc_status aipc_dict_prev(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_cursor *cursor, aipc_dict_found *found) {
    return step(ctx, d, cursor, false, found);
}

/* Only holes were found: none came in meanwhile, so the dict was empty at the end; else what came is to be found. */
aipc_status aipc_dict_last(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_found *found) {
    aipc_dict_cursor cursor;
    aipc_status status;
    do {
        cursor = (aipc_dict_cursor){0};
        status = step(ctx, d, &cursor, false, found);
    } while (status == AIPC_NOT_FOUND && aipc_load_acquire64(&d->next_version) != cursor.end);
    return status;
}
