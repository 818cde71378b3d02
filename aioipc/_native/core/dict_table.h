/* The dict's parts on their own: tables, entries, and the steps by which a table is replaced.  See dict.h. */
#ifndef AIPC_DICT_TABLE_H
#define AIPC_DICT_TABLE_H

#include <string.h>

#include "dict.h"
#include "seal.h"

#define AIPC_DICT_PLACE UINT64_C(0x000000ffffffffff)

enum { AIPC_DICT_CAPACITY_MIN = 16 };

static inline uint64_t aipc_dict_slot_word(uint64_t hash, uint64_t place) {
    return (hash & ~AIPC_DICT_PLACE) | (place + 1);
}
static inline bool aipc_dict_slot_may_be(uint64_t word, uint64_t hash) {
    return word != 0 && ((word ^ hash) & ~AIPC_DICT_PLACE) == 0;
}
/* Of a slot in use; UINT64_MAX, which is no place, when the word makes no sense. */
static inline uint64_t aipc_dict_slot_place(uint64_t word) { return (word & AIPC_DICT_PLACE) - 1; }

/* ---- tables ------------------------------------------------------------------------------------ */

/* A table whose capacity was found to fit its block (E1). */
typedef struct aipc_dict_view {
    struct aipc_dict_table *table;
    uint64_t *places;
    uint64_t offset, capacity, room; /* room: places */
} aipc_dict_view;

static inline uint64_t aipc_dict_room(uint64_t capacity) { return capacity - capacity / 8; }
static inline uint64_t aipc_dict_table_size(uint64_t capacity) {
    return sizeof(struct aipc_dict_table) + (capacity + aipc_dict_room(capacity)) * sizeof(uint64_t);
}

/* pre: the block cannot be freed meanwhile: a hazard names it, or the lock is held. */
aipc_status aipc_dict_view_at(aipc_seg *seg, uint64_t offset, aipc_dict_view *view);
/* `used`, checked to be within the table's room. */
aipc_status aipc_dict_used(aipc_seg *seg, const aipc_dict_view *view, uint64_t *used);

/* ---- entries ----------------------------------------------------------------------------------- */

static inline uint64_t aipc_dict_value_at(uint64_t key_size, uint64_t original_size) {
    return (sizeof(struct aipc_dict_entry) + key_size + original_size + 15) & ~UINT64_C(15);
}

/* Fills *found when the block can be an entry (E2).  pre: as for tables. */
aipc_status aipc_dict_entry_at(aipc_seg *seg, uint64_t offset, aipc_dict_found *found);

/* Starts loading an entry, whatever the offset is. */
static inline void aipc_dict_fetch(const aipc_seg *seg, uint64_t offset) {
    if (offset - AIPC_BLOCK_OVERHEAD >= seg->mapped) return;
    __builtin_prefetch(seg->base + offset);
    __builtin_prefetch(seg->base + offset + sizeof(struct aipc_dict_entry));
}

/* Does the entry bear the key?  Then *found is filled. */
static inline aipc_status aipc_dict_compare(aipc_seg *seg, uint64_t offset, const aipc_dict_key *key, bool *same,
                                            aipc_dict_found *found) {
    const struct aipc_dict_entry *entry = aipc_at(seg, offset, sizeof *entry);
    *same = false;
    if (entry == NULL) return aipc_corrupt(seg, "E2 place leads outside the segment", seg->base, offset, 0);
    if (entry->hash != key->hash || entry->key_size != key->size) return AIPC_OK;
    aipc_status status = aipc_dict_entry_at(seg, offset, found);
    *same = status == AIPC_OK && found->key_size == key->size && memcmp(found->key, key->bytes, key->size) == 0;
    return status;
}

/* ---- under the lock ---------------------------------------------------------------------------- */

typedef struct aipc_dict_place {
    uint64_t place, entry;  /* entry 0: the key is not there */
    uint64_t *slot;         /* then: where it would be put, an empty slot or one of a deleted key; NULL: all are in use */
} aipc_dict_place;

aipc_status aipc_dict_locate(aipc_seg *seg, const aipc_dict_view *view, const aipc_dict_key *key,
                             aipc_dict_place *at, aipc_dict_found *found);
uint64_t *aipc_dict_empty_slot(const aipc_dict_view *view, uint64_t hash);
/* The place of exactly this entry; NULL. */
uint64_t *aipc_dict_place_of(const aipc_dict_view *view, uint64_t hash, uint64_t entry);

/* The capacity of the table that should replace this one now; 0: none should.  AIPC_CORRUPT: E6. */
aipc_status aipc_dict_wanted(aipc_seg *seg, const struct aipc_dict *d, const aipc_dict_view *view, uint64_t *capacity);
uint64_t aipc_dict_capacity_for(uint64_t count, uint64_t used);

/* What is left of a clear and of a rebuild, a bounded piece of each: a transaction or two.  The current table may be
 * another one afterwards.  pre: no transaction is open. */
aipc_status aipc_dict_step(aipc_ctx *ctx, struct aipc_dict *d);

/* ---- not under the lock ------------------------------------------------------------------------ */

/* Allocates the first table, or one of the capacity that is wanted and at least `least`, and links it.  Does nothing
 * when others were faster, or when the table is fine and `least` 0. */
aipc_status aipc_dict_grow(aipc_ctx *ctx, struct aipc_dict *d, uint64_t least);

/* Takes the lock, unless the dict is closed. */
aipc_status aipc_dict_lock(aipc_ctx *ctx, struct aipc_dict *d);
/* Gives the lock back, and frees what is retired as far as nobody looks at it: now and then, and at once after a
 * change that retired so many bytes. */
aipc_status aipc_dict_leave(aipc_ctx *ctx, struct aipc_dict *d, uint64_t retired);

/* What the seal of its value's size is of, beside that. */
static inline uint64_t aipc_dict_sizes(const struct aipc_dict_entry *entry) {
    return (uint64_t)entry->key_size << 32 | entry->original_size;
}

#endif
