#include "dict_table.h"

/* ---- tables and entries ------------------------------------------------------------------------ */

aipc_status aipc_dict_view_at(aipc_seg *seg, uint64_t offset, aipc_dict_view *view) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART ||
        usable < sizeof(struct aipc_dict_table))
        return aipc_corrupt(seg, "E1 table is not a part of a container", seg->base, offset, 0);

    struct aipc_dict_table *table = (void *)(seg->base + offset);
    uint64_t capacity = aipc_load_relaxed64(&table->capacity);
    uint64_t words = (usable - sizeof *table) / sizeof table->slots[0];
    if (capacity < AIPC_DICT_CAPACITY_MIN || (capacity & (capacity - 1)) != 0 || capacity > words ||
        aipc_dict_room(capacity) > words - capacity)
        return aipc_corrupt(seg, "E1 capacity of a table", &table->capacity, capacity, words);
    *view = (aipc_dict_view){.table = table, .places = table->slots + capacity, .offset = offset,
                             .capacity = capacity, .room = aipc_dict_room(capacity)};
    return AIPC_OK;
}

aipc_status aipc_dict_used(aipc_seg *seg, const aipc_dict_view *view, uint64_t *used) {
    *used = aipc_load_acquire64(&view->table->used); /* SYNC dict-used: an iteration reads the places below it */
    if (*used <= view->room) return AIPC_OK;
    return aipc_corrupt(seg, "E4 used places", &view->table->used, *used, view->room);
}

aipc_status aipc_dict_entry_at(aipc_seg *seg, uint64_t offset, aipc_dict_found *found) {
    uint64_t usable;
    uint32_t flags;
    const struct aipc_dict_entry *entry = (const void *)(seg->base + (offset <= seg->mapped ? offset : 0));
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART || usable < sizeof *entry)
        return aipc_corrupt(seg, "E2 entry is not a part of a container", seg->base, offset, 0);

    /* Once each: nothing protects it from changing under a reader without leave to write. */
    const uint32_t key = aipc_load_relaxed32(&entry->key_size), original = aipc_load_relaxed32(&entry->original_size);
    const uint64_t value_at = aipc_dict_value_at(key, original);
    *found = (aipc_dict_found){.key = entry->bytes, .original = entry->bytes + key,
                               .value = (const uint8_t *)entry + value_at, .key_size = key, .original_size = original,
                               .value_size = aipc_load_relaxed64(&entry->value_size) & AIPC_SEALED,
                               .version = entry->version, .serial = entry->serial, .entry = offset};
    if (value_at > usable || found->value_size > usable - value_at)
        return aipc_corrupt(seg, "E2 sizes of an entry", entry, value_at + found->value_size, usable);
    return AIPC_OK;
}

/* ---- searching under the lock ------------------------------------------------------------------ */

aipc_status aipc_dict_locate(aipc_seg *seg, const aipc_dict_view *view, const aipc_dict_key *key,
                             aipc_dict_place *at, aipc_dict_found *found) {
    uint64_t mask = view->capacity - 1, index = key->hash & mask;
    *at = (aipc_dict_place){0};
    for (uint64_t steps = 0; steps <= mask; steps++, index = (index + 1) & mask) {
        uint64_t *slot = &view->table->slots[index], word = aipc_load_relaxed64(slot);
        if (word == 0) {
            if (at->slot == NULL) at->slot = slot;
            return AIPC_OK;
        }
        if (!aipc_dict_slot_may_be(word, key->hash)) continue;
        uint64_t place = aipc_dict_slot_place(word);
        if (place >= view->room) return aipc_corrupt(seg, "E4 slot leads to no place", slot, word, view->room);
        uint64_t entry = aipc_load_relaxed64(&view->places[place]);
        bool same = false;
        aipc_status status = entry == 0 ? AIPC_OK : aipc_dict_compare(seg, entry, key, &same, found);
        if (status != AIPC_OK) return status;
        if (entry == 0 && at->slot == NULL) at->slot = slot; /* most likely its own, from before it was deleted */
        if (!same) continue;
        *at = (aipc_dict_place){.place = place, .entry = entry};
        return AIPC_OK;
    }
    return AIPC_OK;
}

uint64_t *aipc_dict_empty_slot(const aipc_dict_view *view, uint64_t hash) {
    uint64_t mask = view->capacity - 1, index = hash & mask;
    for (uint64_t steps = 0; steps <= mask; steps++, index = (index + 1) & mask)
        if (aipc_load_relaxed64(&view->table->slots[index]) == 0) return &view->table->slots[index];
    return NULL;
}

uint64_t *aipc_dict_place_of(const aipc_dict_view *view, uint64_t hash, uint64_t entry) {
    uint64_t mask = view->capacity - 1, index = hash & mask;
    for (uint64_t steps = 0; steps <= mask; steps++, index = (index + 1) & mask) {
        uint64_t word = aipc_load_relaxed64(&view->table->slots[index]), place = aipc_dict_slot_place(word);
        if (word == 0) break;
        if (aipc_dict_slot_may_be(word, hash) && place < view->room &&
            aipc_load_relaxed64(&view->places[place]) == entry)
            return &view->places[place];
    }
    return NULL;
}
