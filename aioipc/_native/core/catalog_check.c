/* Checks C1-C6, D1-D2 and Y1-Y3 (catalog.h, holdings.h, pending.h), without memory of its own and without a false alarm.
 *
 * Phase 1, one hold of the catalog's lock: nothing of the catalog changes meanwhile, so C1-C5, D1, D2 and Y1-Y3 are
 * exact, and so is the ordered index (order.h).  Pins are counted against holdings in as many walks of the chains as it takes to count a small
 * hash table's worth of objects in each.
 *
 * Phase 2, one hold of the heap's lock: every INTERNAL block is classified by its own content (C6).  The catalog
 * goes on changing, and blocks in transit are nobody's for a moment, so what cannot be accounted for is
 * only a suspect.
 *
 * Phase 3, the catalog's lock again: each suspect is looked for in every place, orphan words included.  With
 * the lock held a block can leave those places only by being freed, in the heap's domain; a finding counts
 * only if nobody held that in between. */
#include "catalog.h"
#include "holdings.h"
#include "order.h"
#include "pending.h"

enum {
    FAR = 2048,     /* slots from home: a sound table at 3/4 load does not come near */
    BUCKETS = 1024, /* objects whose pins are counted in one walk: half of that */
    SUSPECTS = 64,
    TRIES = 3
};
#define PIN_WORK UINT64_C(50000000) /* holdings visited at most; beyond that a sample of the objects is checked */

typedef struct check {
    aipc_ctx *ctx;
    aipc_seg *seg;
    aipc_report *report;
    uint64_t named_pins;    /* of the objects in the table */
    uint64_t pin_holdings;  /* all of them */
    uint64_t named_holdings; /* those of objects in the table */
    uint64_t unique;         /* objects in the table */
    uint64_t registrations, pending, named_pending; /* all; those that objects in the table need, and have */
    uint32_t acquisitions;  /* of the catalog's lock when phase 1 held it */
    /* phase 2 */
    uint64_t anonymous, pins;
    uint64_t suspect[SUSPECTS];
    uint32_t suspects;
} check;

static void found(check *c, const char *what, const void *where, uint64_t is, uint64_t should) {
    aipc_report_add(c->report, what, aipc_offset(c->seg, where), is, should);
}

/* Acquire: phase 2 reads names of objects that were LIVE a moment ago. */
static uint64_t state_of(const struct aipc_object *object) { return aipc_load_acquire64(&object->state); }
static bool in_place(uint64_t state) { return state == AIPC_OBJECT_LIVE || aipc_state_pending(state); }
static uint64_t pins_of(const struct aipc_object *object) { return aipc_load_relaxed32(&object->pins); }

static uint64_t hash_of(const struct aipc_object *object) { return aipc_load_relaxed64(&object->hash); }
static aipc_key key_of(const struct aipc_object *object) {
    aipc_label label = aipc_label_of(object);
    return (aipc_key){.name = object->name, .hash = hash_of(object), .size = label.name_size, .kind = label.kind};
}

/* ---- C1, C2, C3: the table --------------------------------------------------------------------- */

/* What nothing else would contradict, and everything believes: which type it is, and how large. */
static void check_sealed(check *c, const struct aipc_object *object, const aipc_object_ref *ref) {
    uint64_t usable = 0, needed = ref->payload - ref->object + ref->size;
    uint32_t flags;
    uint8_t seal = aipc_object_seal(ref->type, ref->size, ref->count, aipc_label_of(object));
    if (aipc_label_of(object).seal != seal)
        found(c, "C8 seal of an object", object, aipc_label_of(object).seal, seal);
    else if (aipc_heap_size_of(c->seg, ref->object, &usable, &flags) == AIPC_OK && usable - needed >= AIPC_BLOCK_SLACK)
        found(c, "C8 object is smaller than its block", object, needed, usable);
}

/* Probing for its name, those who see it find it; others' way leads past it. */
static void check_unique(check *c, const aipc_names *names, const struct aipc_object *object, uint64_t index) {
    aipc_key key = key_of(object);
    aipc_place place;
    uint64_t displacement = (index - key.hash) & (names->capacity - 1), epoch = aipc_load_relaxed64(&c->seg->catalog->epoch);
    if (displacement > FAR) {
        found(c, "C2 name stands too far from its place", object, displacement, FAR);
        return;
    }
    const uint64_t eyes[] = {0, epoch};
    for (int i = 0; i < 2; i++) /* who is in no block, and who is in this one */
        if (aipc_state_visible(state_of(object), epoch, eyes[i]) &&
            aipc_names_locate(c->seg, names, &key, eyes[i], &place) == AIPC_OK && place.slot != &names->table->slots[index]) {
            found(c, "C2 probing does not end at the object", object, place.object, aipc_offset(c->seg, object));
            return;
        }
}

/* Of a block that is open, or was just committed and is not settled yet. */
static void check_state(check *c, const uint64_t *slot, const struct aipc_object *object) {
    uint64_t state = state_of(object), epoch = aipc_load_relaxed64(&c->seg->catalog->epoch), block = epoch - (epoch + 1) % 2;
    if (state == AIPC_OBJECT_LIVE) return;
    if (!aipc_state_pending(state))
        found(c, "C1 object in the table is not LIVE", slot, state, AIPC_OBJECT_LIVE);
    else if (state >> 8 != block)
        found(c, "C1 object in the table is of no open block", slot, state, block);
    c->pending += (state & 255) == AIPC_OBJECT_BOTH ? 2 : 1;
}

static void check_slot(check *c, const aipc_names *names, uint64_t index, uint64_t word, uint64_t run) {
    const uint64_t *slot = &names->table->slots[index];
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(c->seg, word & AIPC_SLOT_OFFSET, &ref);
    if (object == NULL) {
        found(c, "C1 slot leads to no object", slot, word, 0);
        return;
    }
    c->named_pins += pins_of(object);
    if (ref.kind == AIPC_ANONYMOUS) found(c, "C1 anonymous object in the table", slot, ref.object, 0);
    c->unique += ref.kind == AIPC_UNIQUE;
    check_state(c, slot, object);
    check_sealed(c, object, &ref);
    if (!aipc_object_hash_right(c->seg, object)) {
        found(c, "C1 object's hash", object, hash_of(object), 0);
        return;
    }
    if (!aipc_slot_may_be(word, hash_of(object))) found(c, "C1 slot's tag", slot, word, hash_of(object));
    if (((index - hash_of(object)) & (names->capacity - 1)) > run)
        found(c, "C2 an empty slot cuts the object off", slot, ref.object, run);
    else
        check_unique(c, names, object, index);
}

/* How many slots before the first one are not empty: probes wrap around. */
static uint64_t run_before_first(const aipc_names *names) {
    uint64_t run = 0;
    while (run < names->capacity && aipc_load_relaxed64(&names->table->slots[names->capacity - 1 - run]) != 0) run++;
    return run;
}

static void check_table(check *c) {
    struct aipc_catalog *catalog = c->seg->catalog;
    uint64_t live = 0, tombstones = 0, offset = aipc_load_relaxed64(&catalog->table);
    uint64_t count = aipc_load_relaxed64(&catalog->count);
    aipc_names names;
    if (aipc_names_view(c->seg, offset, &names) != AIPC_OK) {
        found(c, "C1 table of names", &catalog->table, offset, 0);
        return;
    }
    uint64_t run = run_before_first(&names);
    for (uint64_t i = 0; i < names.capacity; i++) {
        uint64_t word = aipc_load_relaxed64(&names.table->slots[i]);
        if (word > AIPC_TOMBSTONE) check_slot(c, &names, i, word, run);
        live += word > AIPC_TOMBSTONE;
        tombstones += word == AIPC_TOMBSTONE;
        run = word == 0 ? 0 : run + 1;
    }
    if (live != count) found(c, "C3 count", &catalog->count, count, live);
    if (c->unique != aipc_load_relaxed64(&catalog->unique))
        found(c, "C3 unique instances", &catalog->unique, aipc_load_relaxed64(&catalog->unique), c->unique);
    if (c->seg->ordered) aipc_order_check(c->seg, c->report, live - c->unique);
    if (tombstones != aipc_load_relaxed64(&catalog->tombstones))
        found(c, "C3 tombstones", &catalog->tombstones, aipc_load_relaxed64(&catalog->tombstones), tombstones);
    if ((live + tombstones) * 4 > names.capacity * 3)
        found(c, "C3 table is too full", &catalog->table, live + tombstones, names.capacity);
    c->report->objects += live + aipc_load_relaxed64(&catalog->anonymous);
}

/* ---- D1, D2, C4: holdings ---------------------------------------------------------------------- */

static const struct aipc_holding *holding_at(aipc_seg *seg, uint64_t offset) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL ||
        usable < sizeof(struct aipc_holding))
        return NULL;
    return (const void *)(seg->base + offset);
}

/* Ends on any bytes, because each record must name the one before it, and no record can name two. */
bool aipc_holdings_walk(aipc_seg *seg, const uint64_t *head, void (*visit)(void *arg, const struct aipc_holding *record),
                        void *arg) {
    uint64_t before = 0, offset = aipc_load_relaxed64(head);
    while (offset != 0) {
        const struct aipc_holding *record = holding_at(seg, offset);
        if (record == NULL || aipc_load_relaxed64(&record->prev) != before) return false;
        visit(arg, record);
        before = offset;
        offset = aipc_load_relaxed64(&record->next);
    }
    return true;
}

static uint32_t slots_used(aipc_seg *seg) {
    uint32_t used = aipc_load_seq_cst32(&seg->header->slots_used);
    return used < seg->participants ? used : seg->participants;
}

static void check_pin(check *c, const struct aipc_holding *record, uint64_t target) {
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(c->seg, target, &ref);
    if (object == NULL || pins_of(object) == 0) {
        found(c, "D2 holding names no pinned object", record, target, 0);
        return;
    }
    c->pin_holdings++;
    if (in_place(state_of(object)) && ref.kind != AIPC_ANONYMOUS) c->named_holdings++;
}

static void check_registration(void *arg, const struct aipc_holding *record) {
    check *c = arg;
    aipc_object_ref ref;
    uint64_t kind = aipc_load_relaxed64(&record->kind), target = aipc_load_relaxed64(&record->target);
    uint64_t serial = kind >> 8, epoch = aipc_load_relaxed64(&c->seg->catalog->epoch);
    c->registrations++;
    if (!aipc_holding_registers(kind))
        found(c, "D1 kind of a registration", record, kind, AIPC_HOLD_MADE);
    else if (serial % 2 == 0 || serial > epoch)
        found(c, "Y2 block of a registration", record, serial, epoch);
    check_pin(c, record, target);
    const struct aipc_object *object = aipc_object_read(c->seg, target, &ref);
    bool made = (kind & 255) == AIPC_HOLD_MADE;
    if (object != NULL && made && serial == epoch && state_of(object) == AIPC_OBJECT_LIVE)
        found(c, "Y3 object of a block", object, state_of(object), serial);
    if (object == NULL || ref.kind == AIPC_ANONYMOUS || state_of(object) >> 8 != serial) return;
    uint64_t what = state_of(object) & 255;
    c->named_pending += what == AIPC_OBJECT_BOTH || what == (made ? AIPC_OBJECT_NEW : AIPC_OBJECT_GONE);
}

static void check_owned(check *c, const struct aipc_holding *record, uint64_t target) {
    uint64_t usable = 0;
    uint32_t flags = 0;
    const uint64_t *link = NULL;
    if (aipc_heap_size_of(c->seg, target, &usable, &flags) == AIPC_OK && (flags & AIPC_PART) == AIPC_OWNED)
        link = aipc_at(c->seg, target + (usable & ~UINT64_C(7)) - 8, 8);
    if (link == NULL)
        found(c, "D2 holding names no owned block", record, target, 0);
    else if (aipc_load_relaxed64(link) != aipc_offset(c->seg, record))
        found(c, "D2 last word of an owned block was overwritten", link, aipc_load_relaxed64(link),
              aipc_offset(c->seg, record));
}

static void check_holding(void *arg, const struct aipc_holding *record) {
    check *c = arg;
    c->report->holdings++;
    uint64_t kind = aipc_load_relaxed64(&record->kind), target = aipc_load_relaxed64(&record->target);
    if (kind == AIPC_HOLD_PIN)
        check_pin(c, record, target);
    else if (kind == AIPC_HOLD_BLOCK)
        check_owned(c, record, target);
    else if (kind != AIPC_HOLD_SHARE) /* those are checked with what they count in (U1, U2) */
        found(c, "D1 kind of a holding", record, kind, AIPC_HOLD_PIN);
}

/* Counts of holdings by object, for the objects of one part of all. */
typedef struct tally {
    uint64_t seed;
    uint64_t target[BUCKETS], holdings[BUCKETS];
    uint64_t part, parts; /* a power of two */
    bool overflowed;
} tally;

static void count_holding(void *arg, const struct aipc_holding *record) {
    tally *t = arg;
    uint64_t target = aipc_load_relaxed64(&record->target), hash = aipc_scatter(target ^ t->seed);
    uint64_t kind = aipc_load_relaxed64(&record->kind);
    if ((kind != AIPC_HOLD_PIN && !aipc_holding_registers(kind)) || target == 0) return;
    if ((hash & (t->parts - 1)) != t->part) return;
    uint64_t at = hash >> 32;
    for (uint32_t i = 0; i < BUCKETS; i++, at++) {
        uint64_t *there = &t->target[at % BUCKETS];
        if (*there != 0 && *there != target) continue;
        *there = target;
        t->holdings[at % BUCKETS]++;
        return;
    }
    t->overflowed = true;
}

static void check_pin_counts(check *c) {
    tally t = {.seed = c->seg->seed, .parts = 1};
    while (t.parts * (BUCKETS / 2) < c->pin_holdings) t.parts *= 2;
    uint64_t walks = c->pin_holdings == 0 ? 0 : PIN_WORK / c->pin_holdings + 1;
    for (t.part = 0; t.part < t.parts && t.part < walks; t.part++) {
        memset(t.target, 0, sizeof t.target);
        memset(t.holdings, 0, sizeof t.holdings);
        t.overflowed = false;
        for (uint32_t slot = 0; slot < slots_used(c->seg); slot++) {
            (void)aipc_holdings_walk(c->seg, &c->seg->slots[slot].holdings, count_holding, &t);
            (void)aipc_holdings_walk(c->seg, &c->seg->slots[slot].registrations, count_holding, &t);
        }
        for (uint32_t i = 0; i < BUCKETS && !t.overflowed; i++) {
            aipc_object_ref ref;
            const struct aipc_object *object = t.target[i] == 0 ? NULL : aipc_object_read(c->seg, t.target[i], &ref);
            if (object != NULL && pins_of(object) != t.holdings[i])
                found(c, "C4 object's pins", object, pins_of(object), t.holdings[i]);
        }
    }
}

static void check_chain(check *c, uint32_t slot, const uint64_t *head,
                        void (*visit)(void *arg, const struct aipc_holding *record)) {
    bool free = aipc_life_state(aipc_load_seq_cst64(&c->seg->slots[slot].life)) == AIPC_SLOT_FREE;
    uint64_t first = aipc_load_relaxed64(head);
    if (free && first != 0) found(c, "D1 free slot has holdings", head, first, 0);
    if (!aipc_holdings_walk(c->seg, head, visit, c)) found(c, "D1 chain of holdings is broken", head, first, 0);
}

static void check_block(check *c) {
    const struct aipc_catalog *catalog = c->seg->catalog;
    uint64_t epoch = aipc_load_relaxed64(&catalog->epoch), owner = aipc_load_relaxed64(&catalog->owner);
    if ((epoch % 2 != 0) != (owner != 0)) found(c, "Y1 owner of the atomic block", &catalog->owner, owner, epoch);
    if (aipc_load_relaxed64(&catalog->pending) != c->registrations)
        found(c, "Y2 registrations", &catalog->pending, aipc_load_relaxed64(&catalog->pending), c->registrations);
    if (c->pending != c->named_pending) found(c, "Y3 objects of a block", catalog, c->pending, c->named_pending);
}

static void check_holdings(check *c) {
    for (uint32_t slot = 0; slot < slots_used(c->seg); slot++) {
        check_chain(c, slot, &c->seg->slots[slot].holdings, check_holding);
        check_chain(c, slot, &c->seg->slots[slot].registrations, check_registration);
    }
    check_block(c);
    check_pin_counts(c);
    /* Every object that holdings name was counted above: what is missing here has pins and no holdings. */
    if (c->named_pins != c->named_holdings)
        found(c, "C4 pins of all named objects", c->seg->catalog, c->named_pins, c->named_holdings);
}

/* ---- C5: retired memory ------------------------------------------------------------------------ */

static bool is_old_table(aipc_seg *seg, uint64_t offset) {
    aipc_names names;
    return offset != aipc_load_relaxed64(&seg->catalog->table) && aipc_names_view(seg, offset, &names) == AIPC_OK;
}

static bool is_dead_object(aipc_seg *seg, uint64_t offset) {
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(seg, offset, &ref);
    return object != NULL && state_of(object) == AIPC_OBJECT_DESTROYED && pins_of(object) == 0;
}

/* The next retired block, 0 at the end; NULL steps on bytes that are no block's. */
static bool next_retired(aipc_seg *seg, uint64_t *offset) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, *offset, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL) return false;
    *offset = aipc_load_relaxed64((const uint64_t *)(const void *)(seg->base + *offset));
    return true;
}

static void check_retired(check *c) {
    uint64_t *head = &c->seg->catalog->retired, offset = aipc_load_relaxed64(head);
    uint64_t anchor = 0, steps = 0, stride = 1; /* Brent: finds a circle within three rounds of it */
    while (offset != 0) {
        uint64_t here = offset;
        if (here == anchor || !next_retired(c->seg, &offset)) {
            found(c, "C5 list of retired memory is broken", head, here, 0);
            return;
        }
        if (!is_old_table(c->seg, here) && !is_dead_object(c->seg, here))
            aipc_report_add(c->report, "C5 retired memory is in use", here, 0, 0);
        if (++steps == stride) {
            anchor = here;
            stride *= 2;
            steps = 0;
        }
    }
}

static bool is_retired(aipc_seg *seg, uint64_t block) {
    uint64_t offset = aipc_load_relaxed64(&seg->catalog->retired);
    uint64_t most = (aipc_limit(seg) - seg->heap_begin) / AIPC_BLOCK_MIN;
    for (uint64_t i = 0; offset != 0 && i < most; i++) {
        if (offset == block) return true;
        if (!next_retired(seg, &offset)) return false;
    }
    return false;
}

/* ---- C6: every INTERNAL block has its place ---------------------------------------------------- */

static bool is_linked_holding(aipc_seg *seg, uint64_t block) {
    const struct aipc_holding *record = holding_at(seg, block);
    if (record == NULL) return false;
    uint64_t kind = aipc_load_relaxed64(&record->kind), prev = aipc_load_relaxed64(&record->prev);
    bool plain = kind == AIPC_HOLD_PIN || kind == AIPC_HOLD_BLOCK || kind == AIPC_HOLD_SHARE;
    if (!plain && !aipc_holding_registers(kind)) return false;
    if (prev != 0) {
        const struct aipc_holding *before = aipc_at(seg, prev, sizeof *before);
        return before != NULL && aipc_load_relaxed64(&before->next) == block;
    }
    for (uint32_t slot = 0; slot < slots_used(seg); slot++)
        if (aipc_load_relaxed64(&seg->slots[slot].holdings) == block ||
            aipc_load_relaxed64(&seg->slots[slot].registrations) == block)
            return true;
    return false;
}

/* Does looking the object up by its own name lead back to it?  Without the lock: the answer of a moment.  One that a block
 * has put into the place of another does not stand where its name leads: its slot is looked for. */
static bool is_in_table(aipc_ctx *ctx, const struct aipc_object *object, uint64_t block) {
    aipc_object_ref ref;
    aipc_names names;
    aipc_key key = key_of(object);
    if (aipc_names_lookup(ctx, &key, &ref) == AIPC_OK && ref.object == block) return true;
    return aipc_state_pending(state_of(object)) &&
           aipc_names_view(ctx->seg, aipc_load_acquire64(&ctx->seg->catalog->table), &names) == AIPC_OK &&
           aipc_names_slot_of(&names, key.hash, block) != NULL;
}

/* By content alone, with or without the lock. */
static bool has_its_place(check *c, uint64_t block, const struct aipc_object **live) {
    aipc_object_ref ref;
    *live = NULL;
    if (block == aipc_load_acquire64(&c->seg->catalog->table)) return true;
    const struct aipc_object *object = aipc_object_read(c->seg, block, &ref);
    if (object != NULL && aipc_object_hash_right(c->seg, object)) {
        *live = object;
        if (state_of(object) == AIPC_OBJECT_DESTROYED) return pins_of(object) != 0; /* a zombie */
        if (state_of(object) == AIPC_OBJECT_SHEDDING) return true; /* U3 */
        if (!in_place(state_of(object))) return false;
        return ref.kind == AIPC_ANONYMOUS || is_in_table(c->ctx, object, block);
    }
    return is_linked_holding(c->seg, block);
}

/* Under the heap's lock, and not the catalog's: only what is still an object after it was looked at counts. */
static void check_unnamed(check *c, const struct aipc_object *object, uint64_t block) {
    aipc_object_ref ref;
    if (aipc_label_of(object).kind == AIPC_ANONYMOUS && aipc_object_read(c->seg, block, &ref) != NULL &&
        state_of(object) == AIPC_OBJECT_LIVE)
        check_sealed(c, object, &ref);
}

static bool visit_block(void *arg, const aipc_block_info *block) {
    check *c = arg;
    if ((block->flags & AIPC_USED) == 0 || (block->flags & AIPC_PART) != AIPC_INTERNAL) return true;
    const struct aipc_object *object;
    if (!has_its_place(c, block->payload, &object)) {
        if (c->suspects < SUSPECTS) c->suspect[c->suspects++] = block->payload;
    } else if (object != NULL) {
        c->pins += pins_of(object);
        c->anonymous += aipc_label_of(object).kind == AIPC_ANONYMOUS && in_place(state_of(object));
        check_unnamed(c, object, block->payload);
    }
    return true;
}

static bool is_orphan(aipc_seg *seg, uint64_t block) {
    for (uint32_t slot = 0; slot < slots_used(seg); slot++)
        for (uint32_t i = 0; i < AIPC_CONTEXTS; i++)
            for (int o = 0; o < AIPC_ORPHANS; o++)
                if (aipc_load_seq_cst64(&aipc_context_of(seg, slot, i)->orphan[o]) == block) return true;
    return false;
}

/* pre: the catalog's lock.  A finding needs a stretch in which nobody had the heap: the count of acquisitions is
 * read before the lock word at first and after it at last, so that no hold can hide between. */
static void question(check *c, uint64_t block) {
    struct aipc_domain *heap = &c->seg->heap->domain;
    for (int i = 0; i < TRIES; i++) {
        const struct aipc_object *object;
        uint64_t usable;
        uint32_t flags, before = aipc_load_seq_cst32(&heap->acquisitions);
        if (aipc_load_seq_cst32(&heap->lock) != 0) continue;
        if (aipc_heap_size_of(c->seg, block, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL) return;
        if (has_its_place(c, block, &object) || is_retired(c->seg, block) || is_orphan(c->seg, block)) return;
        if (aipc_load_seq_cst32(&heap->lock) != 0 || aipc_load_seq_cst32(&heap->acquisitions) != before) continue;
        aipc_report_add(c->report, "C6 block of the catalog is nowhere linked", block, usable, 0);
        return;
    }
}

/* Sums over all objects, comparable only when the catalog stood still from phase 1 on. */
static void check_sums(check *c) {
    struct aipc_catalog *catalog = c->seg->catalog;
    uint64_t anonymous = aipc_load_relaxed64(&catalog->anonymous);
    if (aipc_load_seq_cst32(&catalog->domain.lock) != 0 ||
        aipc_load_seq_cst32(&catalog->domain.acquisitions) != c->acquisitions)
        return;
    if (anonymous != c->anonymous) found(c, "C3 anonymous objects", &catalog->anonymous, anonymous, c->anonymous);
    if (c->pins != c->pin_holdings) found(c, "C4 pins of all objects", catalog, c->pins, c->pin_holdings);
}

aipc_status aipc_catalog_check(aipc_ctx *ctx, aipc_report *report) {
    check c = {.ctx = ctx, .seg = ctx->seg, .report = report};
    struct aipc_domain *domain = &c.seg->catalog->domain;
    uint64_t findings = report->findings;
    aipc_status status = aipc_domain_lock(ctx, domain);
    if (status != AIPC_OK) return status;
    c.acquisitions = aipc_load_relaxed32(&domain->acquisitions);
    check_table(&c);
    check_holdings(&c);
    check_retired(&c);
    aipc_domain_unlock(ctx, domain);
    if (report->findings != findings) return AIPC_OK; /* what is broken cannot account for anything */

    status = aipc_heap_walk(ctx, visit_block, &c);
    if (status != AIPC_OK) return status == AIPC_CORRUPT ? AIPC_OK : status; /* the heap's check tells */
    check_sums(&c);
    if (c.suspects == 0) return AIPC_OK;
    status = aipc_domain_lock(ctx, domain);
    if (status != AIPC_OK) return status;
    for (uint32_t i = 0; i < c.suspects; i++) question(&c, c.suspect[i]);
    aipc_domain_unlock(ctx, domain);
    return AIPC_OK;
}
