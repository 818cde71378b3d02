#include "names.h"

#include "seal.h"
#include "siphash.h"

enum {
    SWAPS = 8,  /* tables replaced during one lookup before it asks for the lock */
    CHANGES = 64, /* slots changed under one lookup before it starts again */
    AHEAD = 16  /* objects fetched ahead by a rebuild */
};

#define ANONYMOUS_SALT UINT64_C(0xa0761d6478bd642f)
#define UNIQUE_SALT UINT64_C(0xe7037ed1a0b428db)

/* ---- objects ----------------------------------------------------------------------------------- */

aipc_key aipc_key_of(const aipc_seg *seg, uint8_t kind, const char *name, uint32_t size) {
    uint64_t seed = kind == AIPC_UNIQUE ? seg->seed ^ UNIQUE_SALT : seg->seed;
    return (aipc_key){.name = name, .hash = aipc_siphash(seed, name, size), .size = size, .kind = kind};
}

uint64_t aipc_anonymous_hash(const aipc_seg *seg, uint64_t serial) {
    return aipc_siphash(seg->seed ^ ANONYMOUS_SALT, &serial, sizeof serial);
}

uint8_t aipc_object_seal(uint64_t type, uint64_t size, uint32_t count, aipc_label label) {
    uint64_t rest = (uint64_t)count << 32 | (uint64_t)label.name_size << 8 | label.kind;
    return aipc_crc8(aipc_crc8(aipc_crc8(0xff, type), size), rest);
}

struct aipc_object *aipc_object_read(aipc_seg *seg, uint64_t offset, aipc_object_ref *ref) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL) return NULL;
    if (usable < sizeof(struct aipc_object)) return NULL;

    struct aipc_object *object = (void *)(seg->base + offset);
    aipc_label label = aipc_label_of(object);
    uint64_t hash = aipc_load_relaxed64(&object->hash);
    uint64_t header = aipc_object_head(seg, label.kind, label.name_size, hash);
    *ref = (aipc_object_ref){.object = offset, .payload = offset + header, .kind = label.kind,
                             .size = aipc_load_relaxed64(&object->size),
                             .type = aipc_load_relaxed64(&object->type),
                             .serial = aipc_load_relaxed64(&object->serial),
                             .hash = hash,
                             .count = aipc_load_relaxed32(&object->count)};
    if (label.kind < AIPC_NAMED || label.kind > AIPC_ANONYMOUS || label.name_size > AIPC_NAME_MAX) return NULL;
    if (header > usable || ref->size > usable - header) return NULL;
    return object;
}

bool aipc_object_hash_right(aipc_seg *seg, const struct aipc_object *object) {
    aipc_label label = aipc_label_of(object);
    uint64_t name[(AIPC_NAME_MAX + 7) / 8], hash;
    if (label.kind == AIPC_ANONYMOUS) {
        hash = aipc_anonymous_hash(seg, aipc_load_relaxed64(&object->serial));
    } else {
        const uint64_t *words = (const uint64_t *)(const void *)object->name;
        uint32_t size = label.name_size & AIPC_NAME_MAX;
        if (aipc_at(seg, aipc_offset(seg, object), aipc_object_tower(size)) == NULL) return false; /* reused meanwhile */
        for (size_t i = 0; i * 8 < size; i++) name[i] = aipc_load_relaxed64(&words[i]);
        hash = aipc_key_of(seg, label.kind, (const char *)name, size).hash;
    }
    return aipc_load_relaxed64(&object->hash) == hash;
}

/* A slot with the tag of a key leads to an object with another name: one time in 65,536, or because the object is
 * damaged.  Then it must not pass for another one: there would soon be two of that name. */
static aipc_status check_other(aipc_seg *seg, uint64_t offset, const aipc_key *key) {
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(seg, offset, &ref);
    if (object != NULL && aipc_slot_may_be(aipc_slot_word(ref.hash, offset), key->hash) && aipc_object_hash_right(seg, object))
        return AIPC_OK;
    return aipc_corrupt(seg, "C1 slot leads to a damaged object", seg->base + offset, ref.hash, key->hash);
}

/* Does the block named by a slot word bear the key?  Its bytes may be anything, but stay where they are. */
static aipc_status compare(aipc_seg *seg, uint64_t offset, const aipc_key *key, bool *same) {
    const struct aipc_object *object = aipc_at(seg, offset, sizeof *object);
    if (object == NULL) return aipc_corrupt(seg, "C1 slot leads outside the segment", seg->catalog, offset, 0);
    aipc_label label = aipc_label_of(object);
    uint64_t reach = sizeof *object + ((uint64_t)key->size + 7) / 8 * 8;
    *same = aipc_load_relaxed64(&object->hash) == key->hash && label.name_size == key->size &&
            label.kind == key->kind && aipc_at(seg, offset, reach) != NULL &&
            memcmp(object->name, key->name, key->size) == 0;
    return *same ? AIPC_OK : check_other(seg, offset, key);
}

/* ---- tables ------------------------------------------------------------------------------------ */

aipc_status aipc_names_view(aipc_seg *seg, uint64_t offset, aipc_names *names) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL ||
        usable < sizeof(struct aipc_table))
        return aipc_corrupt(seg, "C1 table of names is not a block of the catalog", &seg->catalog->table, offset, 0);

    struct aipc_table *table = (void *)(seg->base + offset);
    uint64_t capacity = aipc_load_relaxed64(&table->capacity);
    uint64_t room = (usable - sizeof *table) / sizeof table->slots[0];
    if (capacity < AIPC_TABLE_MIN || (capacity & (capacity - 1)) != 0 || capacity > room)
        return aipc_corrupt(seg, "C1 capacity of the table of names", &table->capacity, capacity, room);
    *names = (aipc_names){.table = table, .offset = offset, .capacity = capacity};
    return AIPC_OK;
}

uint64_t aipc_names_capacity(uint64_t live) {
    uint64_t capacity = AIPC_TABLE_MIN;
    while ((live + 1) * 2 > capacity) capacity *= 2;
    return capacity;
}

uint64_t aipc_names_table_size(uint64_t capacity) {
    return sizeof(struct aipc_table) + capacity * sizeof(uint64_t);
}

uint64_t aipc_catalog_most(const aipc_seg *seg, uint64_t alignment) {
    return aipc_heap_most(seg, aipc_names_table_size(AIPC_TABLE_FIRST), alignment);
}

/* ---- looking up without a lock ----------------------------------------------------------------- */

typedef struct lookup {
    aipc_ctx *ctx;
    const aipc_key *key;
    aipc_names names;
    uint32_t changes; /* slots that changed between two looks */
} lookup;

/* An object with the key's name: is it there for who asks?  AIPC_AGAIN: look again.  A state that is the same before and
 * after the epoch was read belongs to it: one that came back meanwhile did so in one block, where the epoch stands still. */
static aipc_status look_at_state(lookup *l, const struct aipc_object *object) {
    uint64_t state = aipc_load_seq_cst64(&object->state), epoch;
    if (state == AIPC_OBJECT_LIVE) return AIPC_OK;
    if (!aipc_state_pending(state)) return AIPC_AGAIN; /* destroyed since, and so the slot is another's */
    epoch = aipc_load_seq_cst64(&l->ctx->seg->catalog->epoch); /* SYNC block-epoch */
    if (aipc_load_seq_cst64(&object->state) != state) return AIPC_AGAIN;
    return aipc_state_visible(state, epoch, l->ctx->block) ? AIPC_OK : AIPC_NOT_FOUND;
}

/* The slot word `word` has the key's tag.  AIPC_OK: it is the key's, and *ref is filled.  AIPC_NOT_FOUND: another
 * name's, or not there for who asks.  AIPC_AGAIN: the slot changed, look at it again, or the table did (then *swapped). */
static aipc_status look_closer(lookup *l, const uint64_t *slot, uint64_t word, aipc_object_ref *ref, bool *swapped) {
    aipc_seg *seg = l->ctx->seg;
    uint64_t offset = word & AIPC_SLOT_OFFSET;
    aipc_object_fetch(seg, offset); /* while the exchange drains the stores */

    (void)aipc_exchange_seq_cst64(&l->ctx->shared->hazard[1], offset); /* SYNC hazard */
    if (aipc_load_seq_cst64(slot) != word) return AIPC_AGAIN;
    /* Destroyers change the current table only: a slot of an old one proves nothing. */
    if (aipc_load_seq_cst64(&seg->catalog->table) != l->names.offset) {
        *swapped = true;
        return AIPC_AGAIN;
    }
    bool same = false;
    aipc_status status = compare(seg, offset, l->key, &same);
    if (status != AIPC_OK) return status;
    if (!same) return AIPC_NOT_FOUND;
    const struct aipc_object *object = aipc_object_read(seg, offset, ref);
    if (object == NULL) return aipc_corrupt(seg, "C1 slot leads to no object", slot, word, 0);
    return look_at_state(l, object);
}

static aipc_status probe(lookup *l, aipc_object_ref *ref) {
    uint64_t mask = l->names.capacity - 1;
    uint64_t at = l->key->hash & mask;
    for (uint64_t steps = 0; steps <= mask;) {
        const uint64_t *slot = &l->names.table->slots[at];
        uint64_t word = aipc_load_acquire64(slot); /* SYNC name-publish */
        if (word == 0) return AIPC_NOT_FOUND;
        if (aipc_slot_may_be(word, l->key->hash)) {
            bool swapped = false;
            aipc_status status = look_closer(l, slot, word, ref, &swapped);
            if (status == AIPC_AGAIN && !swapped && ++l->changes < CHANGES) continue;
            if (status != AIPC_NOT_FOUND) return status;
        }
        at = (at + 1) & mask;
        steps++;
    }
    return AIPC_NOT_FOUND;
}

/* AIPC_AGAIN: the table was replaced; or a block has begun or ended, and may have put another object in the place of one
 * while we looked for either. */
static aipc_status lookup_once(lookup *l, aipc_object_ref *ref) {
    aipc_seg *seg = l->ctx->seg;
    uint64_t epoch = aipc_load_seq_cst64(&seg->catalog->epoch); /* SYNC block-epoch */
    uint64_t offset = aipc_load_acquire64(&seg->catalog->table); /* SYNC name-publish */
    (void)aipc_exchange_seq_cst64(&l->ctx->shared->hazard[0], offset); /* SYNC hazard */
    if (aipc_load_seq_cst64(&seg->catalog->table) != offset) return AIPC_AGAIN;
    aipc_status status = aipc_names_view(seg, offset, &l->names);
    if (status == AIPC_OK) status = probe(l, ref);
    return status == AIPC_NOT_FOUND && aipc_load_seq_cst64(&seg->catalog->epoch) != epoch ? AIPC_AGAIN : status;
}

aipc_status aipc_names_lookup(aipc_ctx *ctx, const aipc_key *key, aipc_object_ref *ref) {
    lookup l = {.ctx = ctx, .key = key};
    aipc_status status = AIPC_AGAIN;
    for (int i = 0; i < SWAPS && status == AIPC_AGAIN; i++) {
        l.changes = 0;
        status = lookup_once(&l, ref);
    }
    aipc_store_release64(&ctx->shared->hazard[1], 0);
    aipc_store_release64(&ctx->shared->hazard[0], 0);
    return status;
}

/* ---- under the lock ---------------------------------------------------------------------------- */

/* The object in a slot has the key's name. */
static aipc_status locate_object(aipc_seg *seg, uint64_t *slot, uint64_t word, uint64_t mine, aipc_place *place) {
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(seg, word & AIPC_SLOT_OFFSET, &ref);
    uint64_t state = object == NULL ? 0 : aipc_state_of(object), epoch = aipc_load_relaxed64(&seg->catalog->epoch);
    if (state != AIPC_OBJECT_LIVE && !aipc_state_pending(state))
        return aipc_corrupt(seg, "C1 slot leads to no object", slot, word, state);
    if (aipc_state_visible(state, epoch, mine))
        *place = (aipc_place){.slot = slot, .word = word, .object = ref.object};
    else if (state >> 8 == epoch && epoch != mine)
        place->pending = true;
    return AIPC_OK;
}

aipc_status aipc_names_locate(aipc_seg *seg, const aipc_names *names, const aipc_key *key, uint64_t mine, aipc_place *place) {
    uint64_t mask = names->capacity - 1;
    uint64_t at = key->hash & mask;
    *place = (aipc_place){0};
    for (uint64_t steps = 0; steps <= mask; steps++, at = (at + 1) & mask) {
        uint64_t *slot = &names->table->slots[at];
        uint64_t word = aipc_load_relaxed64(slot);
        if (aipc_slot_may_be(word, key->hash)) {
            bool same = false;
            aipc_status status = compare(seg, word & AIPC_SLOT_OFFSET, key, &same);
            if (status == AIPC_OK && same) status = locate_object(seg, slot, word, mine, place);
            if (status != AIPC_OK || place->object != 0) return status;
            continue;
        }
        if (word > AIPC_TOMBSTONE) continue;
        if (place->slot == NULL) {
            place->slot = slot;
            place->word = word;
        }
        if (word == 0) return AIPC_OK;
    }
    return AIPC_OK;
}

uint64_t *aipc_names_slot_of(const aipc_names *names, uint64_t hash, uint64_t object) {
    uint64_t mask = names->capacity - 1;
    uint64_t at = hash & mask;
    for (uint64_t steps = 0; steps <= mask; steps++, at = (at + 1) & mask) {
        uint64_t word = aipc_load_relaxed64(&names->table->slots[at]);
        if (word == aipc_slot_word(hash, object)) return &names->table->slots[at];
        if (word == 0) break;
    }
    return NULL;
}

/* ---- growing ----------------------------------------------------------------------------------- */

static void fetch_ahead(const aipc_seg *seg, const aipc_names *old, uint64_t at) {
    if (at >= old->capacity) return;
    aipc_object_fetch(seg, aipc_load_relaxed64(&old->table->slots[at]) & AIPC_SLOT_OFFSET);
}

static aipc_status move_name(aipc_seg *seg, uint64_t word, const aipc_names *fresh) {
    uint64_t offset = word & AIPC_SLOT_OFFSET;
    const struct aipc_object *object = aipc_at(seg, offset, sizeof *object);
    uint64_t hash = object == NULL ? 0 : aipc_load_relaxed64(&object->hash);
    if (object == NULL || !aipc_slot_may_be(word, hash))
        return aipc_corrupt(seg, "C1 slot leads to no object", seg->catalog, word, 0);
    uint64_t mask = fresh->capacity - 1;
    uint64_t at = hash & mask;
    while (aipc_load_relaxed64(&fresh->table->slots[at]) != 0) at = (at + 1) & mask; /* ends: half are 0 */
    aipc_store_relaxed64(&fresh->table->slots[at], word);
    return AIPC_OK;
}

aipc_status aipc_names_rebuild(aipc_ctx *ctx, const aipc_names *old, uint64_t fresh, uint64_t *orphan) {
    aipc_seg *seg = ctx->seg;
    struct aipc_catalog *catalog = seg->catalog;
    aipc_names next;
    aipc_status status = aipc_names_view(seg, fresh, &next);
    if (status != AIPC_OK) return status;

    uint64_t live = 0;
    for (uint64_t i = 0; i < old->capacity; i++) {
        uint64_t word = aipc_load_relaxed64(&old->table->slots[i]);
        fetch_ahead(seg, old, i + AHEAD);
        if (word <= AIPC_TOMBSTONE) continue;
        if (++live > next.capacity / 2)
            return aipc_corrupt(seg, "C3 more names than were counted", &catalog->count, live,
                                aipc_load_relaxed64(&catalog->count));
        status = move_name(seg, word, &next);
        if (status != AIPC_OK) return status;
    }
    aipc_tx tx = aipc_tx_begin(seg, &catalog->domain);
    aipc_tx_after(&tx, orphan, 0);
    aipc_tx_after(&tx, &old->table->retired_next, aipc_load_relaxed64(&catalog->retired));
    aipc_tx_after(&tx, &catalog->retired, old->offset);
    aipc_tx_after(&tx, &catalog->tombstones, 0);
    aipc_tx_publish(&tx, &catalog->table, fresh); /* SYNC name-publish */
    return AIPC_OK;
}
