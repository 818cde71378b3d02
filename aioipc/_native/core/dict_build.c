/* Replacing a table while it is used: linked empty, filled in steps, published.  The same for what a clear left. */
#include "dict_table.h"

enum {
    CLEARED = 128, /* slots zeroed in one step */
    MOVED = 8,     /* entries moved, or retired, in one step: two log entries each */
    PASSED = 64,   /* places looked at for that */
    HOLES = 64     /* a table with fewer places in use is not replaced for the sake of its holes */
};

/* ---- when -------------------------------------------------------------------------------------- */

/* At most a third full: so many steps as it takes until it is published leave it with room to spare, even when each
 * of them comes with an insertion.  `used`: places of the old one, some of which may be passed one PASSED at a time. */
uint64_t aipc_dict_capacity_for(uint64_t count, uint64_t used) {
    uint64_t third = count * 3, least = count + count / 2 + used / 32 + 4, capacity = AIPC_DICT_CAPACITY_MIN;
    while (capacity < third || capacity < least) capacity *= 2;
    return capacity;
}

aipc_status aipc_dict_wanted(aipc_seg *seg, const struct aipc_dict *d, const aipc_dict_view *view,
                             uint64_t *capacity) {
    uint64_t used, count = aipc_load_relaxed64(&d->count);
    *capacity = 0;
    aipc_status status = aipc_dict_used(seg, view, &used);
    if (status == AIPC_OK && count > used) status = aipc_corrupt(seg, "E6 count", &d->count, count, used);
    if (status != AIPC_OK) return status;
    bool full = used >= view->capacity / 8 * 5, holey = used > HOLES && count < used / 4;
    if (full || holey) *capacity = aipc_dict_capacity_for(count, used);
    return AIPC_OK;
}

/* ---- making one -------------------------------------------------------------------------------- */

static aipc_status reserve(aipc_ctx *ctx, uint64_t capacity, uint64_t **word, uint64_t *offset) {
    *word = aipc_orphan_word(ctx);
    if (*word == NULL) return AIPC_STALLED; /* all name blocks that a stopped process keeps us from freeing */
    if (capacity > ctx->seg->mapped / sizeof(uint64_t)) return AIPC_FULL;
    aipc_status status =
        aipc_heap_allocate(ctx, aipc_dict_table_size(capacity), AIPC_ALIGNMENT, AIPC_PART, *word, offset);
    if (status != AIPC_OK) return status;
    struct aipc_dict_table *table = (void *)(ctx->seg->base + *offset);
    aipc_store_relaxed64(&table->retired_next, 0);
    aipc_store_relaxed64(&table->capacity, capacity);
    aipc_store_relaxed64(&table->used, 0);
    aipc_store_relaxed64(&table->shed, 0);
    aipc_store_relaxed64(&table->first, 0);
    aipc_store_relaxed64(&table->top, 0);
    return AIPC_OK;
}

/* Publishes the first table; it is small and was zeroed before. */
static void link_first(aipc_seg *seg, struct aipc_dict *d, uint64_t fresh, uint64_t *word) {
    struct aipc_dict_table *table = (void *)(seg->base + fresh);
    uint64_t serial = aipc_load_relaxed64(&d->next_table) + 1;
    aipc_store_relaxed64(&table->serial, serial); /* ours alone still */
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    aipc_tx_after(&tx, &d->next_table, serial);
    aipc_tx_after(&tx, word, 0);
    aipc_tx_publish(&tx, &d->table, fresh);
}

static void link_building(aipc_seg *seg, struct aipc_dict *d, uint64_t fresh, uint64_t *word) {
    struct aipc_dict_table *table = (void *)(seg->base + fresh);
    uint64_t serial = aipc_load_relaxed64(&d->next_table) + 1;
    aipc_store_relaxed64(&table->serial, serial);
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    aipc_tx_set(&tx, &d->next_table, serial);
    aipc_tx_set(&tx, &d->mark, 0);
    aipc_tx_set(&tx, &d->cleared, 0);
    aipc_tx_set(&tx, &d->building, fresh);
    aipc_tx_set(&tx, word, 0);
    aipc_tx_commit(&tx);
}

/* What grow would make: under the lock, or without as a guess.  0: nothing. */
static aipc_status what_to_make(aipc_seg *seg, struct aipc_dict *d, uint64_t least, uint64_t *capacity) {
    aipc_dict_view now;
    uint64_t current = aipc_load_relaxed64(&d->table);
    *capacity = current == 0 ? AIPC_DICT_CAPACITY_MIN : 0;
    if (current == 0 || aipc_load_relaxed64(&d->building) != 0) return AIPC_OK;
    aipc_status status = aipc_dict_view_at(seg, current, &now);
    if (status == AIPC_OK) status = aipc_dict_wanted(seg, d, &now, capacity);
    if (status == AIPC_OK && *capacity < least && (*capacity != 0 || now.capacity < least)) *capacity = least;
    return status;
}

static aipc_status ask(aipc_ctx *ctx, struct aipc_dict *d, uint64_t least, uint64_t *capacity) {
    aipc_status status = aipc_dict_lock(ctx, d);
    if (status != AIPC_OK) return status;
    status = what_to_make(ctx->seg, d, least, capacity);
    aipc_domain_unlock(ctx, &d->domain);
    return status;
}

aipc_status aipc_dict_grow(aipc_ctx *ctx, struct aipc_dict *d, uint64_t least) {
    aipc_seg *seg = ctx->seg;
    uint64_t capacity, now, fresh, *word;
    aipc_status status = ask(ctx, d, least, &capacity);
    if (status != AIPC_OK || capacity == 0) return status;
    status = reserve(ctx, capacity, &word, &fresh);
    if (status != AIPC_OK) return status;
    if (capacity == AIPC_DICT_CAPACITY_MIN) /* it may become a first one */
        memset(seg->base + fresh + sizeof(struct aipc_dict_table), 0, capacity * sizeof(uint64_t));

    status = aipc_dict_lock(ctx, d);
    if (status == AIPC_OK) {
        status = what_to_make(seg, d, least, &now);
        if (status == AIPC_OK && now == capacity) { /* else others have changed the dict a lot: the next one sees to it */
            if (aipc_load_relaxed64(&d->table) == 0)
                link_first(seg, d, fresh, word);
            else
                link_building(seg, d, fresh, word);
        }
        aipc_domain_unlock(ctx, &d->domain);
    }
    aipc_status freed = aipc_orphan_free(ctx, word);
    return status == AIPC_OK ? freed : status;
}

/* ---- filling it -------------------------------------------------------------------------------- */

static void clear_slots(aipc_tx *tx, struct aipc_dict *d, const aipc_dict_view *next, uint64_t cleared) {
    uint64_t end = next->capacity - cleared < CLEARED ? next->capacity : cleared + CLEARED;
    for (uint64_t i = cleared; i < end; i++) aipc_store_relaxed64(&next->table->slots[i], 0); /* garbage: unlogged */
    aipc_tx_set(tx, &d->cleared, end);
}

/* Appends an entry to the table being built. */
static aipc_status append(aipc_tx *tx, const aipc_dict_view *next, uint64_t place, uint64_t offset) {
    const struct aipc_dict_entry *entry = aipc_at(tx->seg, offset, sizeof *entry);
    if (entry == NULL)
        return aipc_corrupt(tx->seg, "E2 place leads outside the segment", next->table, offset, 0);
    uint64_t *slot = aipc_dict_empty_slot(next, entry->hash);
    if (slot == NULL)
        return aipc_corrupt(tx->seg, "E7 table being built has no empty slot", next->table, next->capacity, 0);
    aipc_tx_set(tx, slot, aipc_dict_slot_word(entry->hash, place));
    aipc_store_relaxed64(&next->places[place], offset); /* unlogged: not below `used` yet */
    return AIPC_OK;
}

typedef struct move {
    uint64_t from, used, to; /* next place of the old table; its places; next place of the new one */
} move;

/* AIPC_FULL: the new table is too small after all. */
static aipc_status move_places(aipc_tx *tx, const aipc_dict_view *old, const aipc_dict_view *next, move *m) {
    uint64_t moved = 0;
    for (uint64_t passed = 0; m->from < m->used && passed < PASSED && moved < MOVED; passed++, m->from++) {
        uint64_t entry = aipc_load_relaxed64(&old->places[m->from]);
        if (entry == 0) continue;
        if (m->to == next->room) return AIPC_FULL;
        aipc_status status = append(tx, next, m->to, entry);
        if (status != AIPC_OK) return status;
        m->to++;
        moved++;
    }
    for (uint64_t i = m->from; i < m->used && i < m->from + MOVED; i++) /* for the next step */
        aipc_dict_fetch(tx->seg, aipc_load_relaxed64(&old->places[i]));
    return AIPC_OK;
}

static void abandon(aipc_seg *seg, struct aipc_dict *d, const aipc_dict_view *next) {
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    aipc_tx_set(&tx, &next->table->retired_next, aipc_load_relaxed64(&d->retired));
    aipc_tx_set(&tx, &d->retired, next->offset);
    aipc_tx_set(&tx, &d->building, 0);
    aipc_tx_set(&tx, &d->cleared, 0);
    aipc_tx_set(&tx, &d->mark, 0);
    aipc_tx_commit(&tx);
}

static void swap_tables(aipc_seg *seg, struct aipc_dict *d, const aipc_dict_view *old, const aipc_dict_view *next) {
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    aipc_tx_after(&tx, &d->building, 0);
    aipc_tx_after(&tx, &d->cleared, 0);
    aipc_tx_after(&tx, &d->mark, 0);
    aipc_tx_after(&tx, &d->rebuilds, aipc_load_relaxed64(&d->rebuilds) + 1);
    aipc_tx_after(&tx, &old->table->retired_next, aipc_load_relaxed64(&d->retired));
    aipc_tx_after(&tx, &d->retired, old->offset);
    aipc_tx_publish(&tx, &d->table, next->offset); /* SYNC hazard */
}

static aipc_status fill(aipc_seg *seg, struct aipc_dict *d, const aipc_dict_view *old, const aipc_dict_view *next) {
    move m = {.from = aipc_load_relaxed64(&d->mark)};
    aipc_status status = aipc_dict_used(seg, old, &m.used);
    if (status == AIPC_OK) status = aipc_dict_used(seg, next, &m.to);
    if (status == AIPC_OK && m.from > m.used) status = aipc_corrupt(seg, "E7 mark", &d->mark, m.from, m.used);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    status = move_places(&tx, old, next, &m);
    if (status != AIPC_OK) {
        aipc_tx_abort(&tx);
        if (status == AIPC_FULL) abandon(seg, d, next);
        return status == AIPC_FULL ? AIPC_OK : status;
    }
    aipc_tx_set(&tx, &next->table->used, m.to);
    aipc_tx_set(&tx, &next->table->top, m.to);
    aipc_tx_set(&tx, &d->mark, m.from);
    aipc_tx_commit(&tx);
    if (m.from == m.used) swap_tables(seg, d, old, next);
    return AIPC_OK;
}

static aipc_status build_step(aipc_seg *seg, struct aipc_dict *d) {
    uint64_t building = aipc_load_relaxed64(&d->building), cleared = aipc_load_relaxed64(&d->cleared);
    aipc_dict_view old, next;
    if (building == 0) return AIPC_OK;
    aipc_status status = aipc_dict_view_at(seg, building, &next);
    if (status == AIPC_OK) status = aipc_dict_view_at(seg, aipc_load_relaxed64(&d->table), &old);
    if (status != AIPC_OK) return status;
    if (cleared >= next.capacity) return fill(seg, d, &old, &next);
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    clear_slots(&tx, d, &next, cleared);
    aipc_tx_commit(&tx);
    return AIPC_OK;
}

/* ---- what a clear left ------------------------------------------------------------------------- */

/* Puts an entry on the list of retired blocks. */
static aipc_status retire_entry(aipc_tx *tx, struct aipc_dict *d, uint64_t offset) {
    aipc_dict_found checked; /* before anything is written there */
    aipc_status status = aipc_dict_entry_at(tx->seg, offset, &checked);
    if (status != AIPC_OK) return status;
    struct aipc_dict_entry *entry = (void *)(tx->seg->base + offset);
    aipc_tx_set(tx, &entry->retired_next, aipc_load_relaxed64(&d->retired));
    aipc_tx_set(tx, &d->retired, offset);
    return AIPC_OK;
}

static aipc_status shed_places(aipc_tx *tx, struct aipc_dict *d, const aipc_dict_view *view, uint64_t *from,
                               uint64_t used) {
    uint64_t retired = 0;
    for (uint64_t passed = 0; *from < used && passed < PASSED && retired < MOVED; passed++, ++*from) {
        uint64_t entry = aipc_load_relaxed64(&view->places[*from]);
        if (entry == 0) continue;
        aipc_status status = retire_entry(tx, d, entry);
        if (status != AIPC_OK) return status;
        retired++;
    }
    aipc_tx_set(tx, &view->table->shed, *from);
    return AIPC_OK;
}

static aipc_status shed_step(aipc_seg *seg, struct aipc_dict *d) {
    uint64_t shedding = aipc_load_relaxed64(&d->shedding), used;
    aipc_dict_view view;
    if (shedding == 0) return AIPC_OK;
    aipc_status status = aipc_dict_view_at(seg, shedding, &view);
    if (status == AIPC_OK) status = aipc_dict_used(seg, &view, &used);
    if (status != AIPC_OK) return status;
    uint64_t from = aipc_load_relaxed64(&view.table->shed);
    aipc_tx tx = aipc_tx_begin(seg, &d->domain);
    status = shed_places(&tx, d, &view, &from, used);
    if (status != AIPC_OK) {
        aipc_tx_abort(&tx);
        return status;
    }
    if (from >= used) {
        aipc_tx_set(&tx, &d->shedding, aipc_load_relaxed64(&view.table->retired_next));
        aipc_tx_set(&tx, &view.table->retired_next, aipc_load_relaxed64(&d->retired));
        aipc_tx_set(&tx, &d->retired, shedding);
    }
    aipc_tx_commit(&tx);
    return AIPC_OK;
}

aipc_status aipc_dict_step(aipc_ctx *ctx, struct aipc_dict *d) {
    aipc_status status = shed_step(ctx->seg, d);
    return status == AIPC_OK ? build_step(ctx->seg, d) : status;
}
