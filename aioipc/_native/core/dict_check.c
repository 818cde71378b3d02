/* Checks E1-E8 in one hold of the lock: nothing changes meanwhile, so what is found is exact.  Ends on any bytes: each
 * walk is bounded by a capacity that fits its block, by the memory there is, or by a budget of probes. */
#include "dict_table.h"
#include "siphash.h"

typedef struct check {
    aipc_seg *seg;
    struct aipc_dict *d;
    aipc_report *report;
    uint64_t budget; /* slots that may be looked at still; a sound table needs a few for each key */
    uint64_t next_version;
} check;

static void found(check *c, const char *what, const void *where, uint64_t is, uint64_t should) {
    aipc_report_add(c->report, what, aipc_offset(c->seg, where), is, should);
}

/* What a function of the dict itself tripped over. */
static void tripped(check *c) {
    const aipc_fault *fault = &c->seg->fault;
    aipc_report_add(c->report, fault->what, fault->offset, fault->found, fault->expected);
}

static void check_sizes(check *c, const aipc_dict_found *found_there) {
    const struct aipc_dict_entry *entry = (const void *)(c->seg->base + found_there->entry);
    uint64_t sealed = aipc_seal(entry->value_size, aipc_dict_sizes(entry));
    if (entry->value_size != sealed) found(c, "E2 seal of an entry's sizes", entry, entry->value_size, sealed);
}

/* ---- entries and slots ------------------------------------------------------------------------- */

static uint64_t hash_of(const check *c, const aipc_dict_found *entry) {
    return ((const struct aipc_dict_entry *)(const void *)(c->seg->base + entry->entry))->hash;
}

/* Does the way from the hash to slot `index` lead past nothing empty, and past no other entry of the key? */
static void check_probe(check *c, const aipc_dict_view *view, const aipc_dict_key *key, uint64_t index) {
    uint64_t mask = view->capacity - 1;
    const uint64_t *slots = view->table->slots;
    for (uint64_t at = key->hash & mask; at != index; at = (at + 1) & mask) {
        uint64_t word = aipc_load_relaxed64(&slots[at]), place = aipc_dict_slot_place(word);
        if (c->budget == 0) return;
        c->budget--;
        if (word == 0) {
            found(c, "E3 probing does not come to an entry's slot", &slots[at], index, at);
            return;
        }
        if (!aipc_dict_slot_may_be(word, key->hash) || place >= view->room) continue;
        uint64_t other = aipc_load_relaxed64(&view->places[place]);
        aipc_dict_found entry;
        bool same = false;
        if (other != 0 && aipc_dict_compare(c->seg, other, key, &same, &entry) == AIPC_OK && same)
            found(c, "E3 a key occurs twice", &slots[at], other, aipc_load_relaxed64(&slots[index]));
    }
}

static void check_slot(check *c, const aipc_dict_view *view, uint64_t index, uint64_t place) {
    const uint64_t *slot = &view->table->slots[index];
    uint64_t offset = aipc_load_relaxed64(&view->places[place]);
    aipc_dict_found entry;
    if (offset == 0 || aipc_dict_entry_at(c->seg, offset, &entry) != AIPC_OK) return; /* check_places says it */
    check_sizes(c, &entry);
    aipc_dict_key key = aipc_dict_key_of(c->seg, entry.key, entry.key_size);
    if (hash_of(c, &entry) != key.hash) found(c, "E3 hash of a key", c->seg->base + offset, hash_of(c, &entry), key.hash);
    if (!aipc_dict_slot_may_be(aipc_load_relaxed64(slot), key.hash))
        found(c, "E3 tag of a slot", slot, aipc_load_relaxed64(slot), key.hash);
    else
        check_probe(c, view, &key, index);
}

/* E4; returns the slots whose places are no holes.  That no two of them lead to one place is a part of E3. */
static uint64_t check_slots(check *c, const aipc_dict_view *view, uint64_t used) {
    uint64_t live = 0;
    for (uint64_t i = 0; i < view->capacity; i++) {
        uint64_t word = aipc_load_relaxed64(&view->table->slots[i]), place = aipc_dict_slot_place(word);
        if (word == 0) continue;
        if (place >= used) {
            found(c, "E4 slot leads to no used place", &view->table->slots[i], word, used);
        } else if (aipc_load_relaxed64(&view->places[place]) != 0) {
            check_slot(c, view, i, place);
            live++;
        }
    }
    return live;
}

static void check_place(check *c, const uint64_t *place, uint64_t *serial) {
    aipc_dict_found entry;
    if (aipc_dict_entry_at(c->seg, aipc_load_relaxed64(place), &entry) != AIPC_OK) {
        tripped(c);
        return;
    }
    if (entry.serial <= *serial) found(c, "E5 serials do not ascend", place, entry.serial, *serial);
    if (entry.serial >= c->next_version || entry.version >= c->next_version)
        found(c, "E5 next_version", &c->d->next_version, c->next_version, entry.version);
    *serial = entry.serial;
}

/* E2, E5; returns the places that are no holes. */
static uint64_t check_places(check *c, const aipc_dict_view *view, uint64_t from, uint64_t used) {
    uint64_t live = 0, serial = 0;
    for (uint64_t i = from; i < used; i++) {
        if (aipc_load_relaxed64(&view->places[i]) == 0) continue;
        check_place(c, &view->places[i], &serial);
        live++;
    }
    return live;
}

static void check_ends(check *c, const aipc_dict_view *view, uint64_t used) {
    uint64_t first = aipc_load_relaxed64(&view->table->first), top = aipc_load_relaxed64(&view->table->top);
    bool right = first <= used && top <= used;
    for (uint64_t i = 0; right && i < first; i++) right = aipc_load_relaxed64(&view->places[i]) == 0;
    for (uint64_t i = top; right && i < used; i++) right = aipc_load_relaxed64(&view->places[i]) == 0;
    if (!right) found(c, "E4 first and top", &view->table->first, first, top);
}

/* ---- tables ------------------------------------------------------------------------------------ */

static bool view_table(check *c, uint64_t offset, aipc_dict_view *view, uint64_t *used) {
    c->report->parts++;
    if (aipc_dict_view_at(c->seg, offset, view) == AIPC_OK && aipc_dict_used(c->seg, view, used) == AIPC_OK) {
        c->budget = view->capacity * 64 + 100000;
        return true;
    }
    tripped(c);
    return false;
}

static void check_current(check *c, uint64_t table, aipc_dict_view *view, uint64_t *used) {
    uint64_t live = 0, count = aipc_load_relaxed64(&c->d->count);
    *used = 0;
    if (table != 0 && view_table(c, table, view, used)) {
        uint64_t slots = check_slots(c, view, *used);
        live = check_places(c, view, 0, *used);
        check_ends(c, view, *used);
        if (slots != live) found(c, "E4 slots that lead to entries", view->table, slots, live);
        if (c->budget == 0) found(c, "E3 probing takes too long", view->table, view->capacity, 0);
        if (aipc_load_relaxed64(&view->table->shed) != 0)
            found(c, "E8 the current table is shed", view->table, aipc_load_relaxed64(&view->table->shed), 0);
    }
    if (live != count) found(c, "E6 count", &c->d->count, count, live);
    c->report->parts += live;
}

static uint64_t next_entry(const aipc_dict_view *view, uint64_t *place, uint64_t end) {
    uint64_t entry = 0;
    while (*place < end && (entry = aipc_load_relaxed64(&view->places[*place])) == 0) ++*place;
    return entry;
}

/* E7: the same entries, in the same order, each with its slot. */
static void compare_tables(check *c, const aipc_dict_view *old, uint64_t mark, const aipc_dict_view *next,
                           uint64_t used) {
    for (uint64_t from = 0, to = 0;; from++, to++) {
        uint64_t here = next_entry(old, &from, mark), there = next_entry(next, &to, used);
        if (here != there) found(c, "E7 entries of the table being built", &next->places[to], there, here);
        if (here == 0 || here != there) return;
        const struct aipc_dict_entry *entry = aipc_at(c->seg, here, sizeof *entry);
        if (entry == NULL) return; /* E2 has said so */
        if (aipc_dict_place_of(next, entry->hash, here) != &next->places[to])
            found(c, "E7 slot in the table being built", &next->places[to], here, 0);
    }
}

static void check_building(check *c, const aipc_dict_view *old, uint64_t old_used) {
    uint64_t building = aipc_load_relaxed64(&c->d->building), mark = aipc_load_relaxed64(&c->d->mark);
    uint64_t cleared = aipc_load_relaxed64(&c->d->cleared), used;
    aipc_dict_view next;
    if (building == 0) {
        if (mark != 0 || cleared != 0) found(c, "E7 mark of no table being built", &c->d->mark, mark, 0);
        return;
    }
    if (!view_table(c, building, &next, &used)) return;
    if (mark > old_used || cleared > next.capacity || (mark != 0 && cleared != next.capacity))
        found(c, "E7 mark", &c->d->mark, mark, old_used);
    else if (cleared != next.capacity && used != 0)
        found(c, "E7 used places of a table being cleared", &next.table->used, used, 0);
    else
        compare_tables(c, old, mark, &next, used);
}

/* ---- chains ------------------------------------------------------------------------------------ */

static bool is_part(check *c, uint64_t block) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(c->seg, block, &usable, &flags) == AIPC_OK && flags == AIPC_PART) return true;
    found(c, "E8 chain leads to another kind of block", c->d, block, 0);
    return false;
}

static void check_retired(check *c) {
    uint64_t left = aipc_limit(c->seg) / AIPC_BLOCK_MIN;
    for (uint64_t block = aipc_load_relaxed64(&c->d->retired); block != 0 && is_part(c, block); left--) {
        if (left == 0) {
            found(c, "E8 retired blocks do not end", &c->d->retired, block, 0);
            return;
        }
        c->report->parts++;
        block = aipc_load_relaxed64((uint64_t *)(void *)(c->seg->base + block));
    }
}

static void check_shedding(check *c) {
    uint64_t left = aipc_limit(c->seg) / aipc_dict_table_size(AIPC_DICT_CAPACITY_MIN), work = aipc_limit(c->seg), used;
    aipc_dict_view view;
    for (uint64_t table = aipc_load_relaxed64(&c->d->shedding); table != 0; left--) {
        if (left == 0 || work == 0) {
            found(c, "E8 shed tables do not end", &c->d->shedding, table, 0);
            return;
        }
        if (!view_table(c, table, &view, &used)) return;
        uint64_t shed = aipc_load_relaxed64(&view.table->shed);
        if (shed > used) found(c, "E8 shed places", &view.table->shed, shed, used);
        c->report->parts += check_places(c, &view, shed, used);
        work -= view.capacity < work ? view.capacity : work;
        table = aipc_load_relaxed64(&view.table->retired_next);
    }
}

aipc_status aipc_dict_check(aipc_ctx *ctx, struct aipc_dict *d, aipc_report *report) {
    check c = {.seg = ctx->seg, .d = d, .report = report};
    aipc_status status = aipc_domain_lock(ctx, &d->domain);
    if (status == AIPC_CORRUPT) {
        tripped(&c);
        return AIPC_OK;
    }
    if (status != AIPC_OK) return status;
    aipc_dict_view view = {0};
    uint64_t table = aipc_load_relaxed64(&d->table), used;
    c.next_version = aipc_load_relaxed64(&d->next_version);
    check_current(&c, table, &view, &used);
    if (view.table != NULL)
        check_building(&c, &view, used);
    else if (table == 0 && aipc_load_relaxed64(&d->building) != 0)
        found(&c, "E7 a table is built from none", &d->building, aipc_load_relaxed64(&d->building), 0);
    check_retired(&c);
    check_shedding(&c);
    aipc_domain_unlock(ctx, &d->domain);
    return AIPC_OK;
}
