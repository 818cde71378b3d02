/* The table of names: open addressing over 64-bit slot words, read without a lock.  See catalog.h.
 *
 * A slot word is 0 (never used since the table was made, or cleaned), 1 (tombstone) or
 * tag 16 | offset 48; the tag is the top of the hash, the place to start probing its bottom.
 */
#ifndef AIPC_NAMES_H
#define AIPC_NAMES_H

#include <string.h>

#include "catalog.h"

#define AIPC_TOMBSTONE UINT64_C(1)
#define AIPC_SLOT_OFFSET UINT64_C(0x0000ffffffffffff)

enum { AIPC_TABLE_MIN = 16, AIPC_TABLE_FIRST = 32 };

typedef struct aipc_key {
    const char *name;
    uint64_t hash;
    uint32_t size;
    uint8_t kind;
} aipc_key;

/* A table whose capacity was found to fit its block. */
typedef struct aipc_names {
    struct aipc_table *table;
    uint64_t offset, capacity;
} aipc_names;

/* Where a key stands, or would be put. */
typedef struct aipc_place {
    uint64_t *slot;  /* NULL: the table is full to the last slot, which C3 forbids */
    uint64_t word;   /* what the slot holds: the object's word, 0 or a tombstone */
    uint64_t object; /* 0: the key is not there, for who asks */
    bool pending;    /* and it may be, if another's block commits */
} aipc_place;

static inline uint64_t aipc_slot_word(uint64_t hash, uint64_t object) {
    return (hash & ~AIPC_SLOT_OFFSET) | object;
}
static inline bool aipc_slot_may_be(uint64_t word, uint64_t hash) {
    return word > AIPC_TOMBSTONE && ((word ^ hash) & ~AIPC_SLOT_OFFSET) == 0;
}

/* Named and unique objects are hashed apart: separate namespaces do not crowd each other's slots. */
aipc_key aipc_key_of(const aipc_seg *seg, uint8_t kind, const char *name, uint32_t size);

/* Where behind an object its place in the ordered index is; how many words that has. */
static inline uint64_t aipc_object_tower(uint32_t name_size) {
    return sizeof(struct aipc_object) + ((name_size + 15u) & ~UINT64_C(15));
}
static inline uint32_t aipc_object_levels(const aipc_seg *seg, uint8_t kind, uint64_t hash) {
    uint64_t dice = hash >> 24 | UINT64_C(1) << (2 * AIPC_LEVELS - 2); /* bits that neither tag nor place is made of */
    return seg->ordered && kind == AIPC_NAMED ? 1 + (uint32_t)__builtin_ctzll(dice) / 2 : 0;
}
/* Bytes of the object's header with its padded name and that place: where the payload starts. */
static inline uint64_t aipc_object_head(const aipc_seg *seg, uint8_t kind, uint32_t name_size, uint64_t hash) {
    return aipc_object_tower(name_size) + ((aipc_object_levels(seg, kind, hash) * 8u + 15u) & ~UINT64_C(15));
}

/* The half word of an object that says what its name is.  Read and written as one: a stale handle may lead to a
 * block that is just being filled. */
typedef struct aipc_label {
    uint16_t name_size;
    uint8_t kind, seal;
} aipc_label;
_Static_assert(sizeof(aipc_label) == 4 && offsetof(struct aipc_object, name_size) % 4 == 0 &&
                   offsetof(struct aipc_object, kind) == offsetof(struct aipc_object, name_size) + 2,
               "label");

static inline aipc_label aipc_label_of(const struct aipc_object *object) {
    uint32_t word = aipc_load_relaxed32((const uint32_t *)(const void *)&object->name_size);
    aipc_label label;
    memcpy(&label, &word, sizeof label);
    return label;
}
static inline void aipc_label_set(struct aipc_object *object, aipc_label label) {
    uint32_t word;
    memcpy(&word, &label, sizeof word);
    aipc_store_relaxed32((uint32_t *)(void *)&object->name_size, word);
}

/* Is an object of this state there, to who is in the block `mine` (0: in none) while the epoch is this? */
static inline bool aipc_state_visible(uint64_t state, uint64_t epoch, uint64_t mine) {
    uint64_t block = state >> 8;
    switch (state & 255) {
    case AIPC_OBJECT_LIVE: return block == 0;
    case AIPC_OBJECT_NEW: return block != epoch || block == mine;
    case AIPC_OBJECT_GONE: return block == epoch && block != mine;
    default: return false;
    }
}
static inline uint64_t aipc_state_of(const struct aipc_object *object) { return aipc_load_acquire64(&object->state); }
static inline bool aipc_state_pending(uint64_t state) {
    return (state & 255) >= AIPC_OBJECT_NEW && (state & 255) <= AIPC_OBJECT_BOTH;
}

/* What aipc_object.seal must be. */
uint8_t aipc_object_seal(uint64_t type, uint64_t size, uint32_t count, aipc_label label);

/* Starts loading an object, whatever `offset` is: its block's header and fields, its name. */
static inline void aipc_object_fetch(const aipc_seg *seg, uint64_t offset) {
    if (offset - AIPC_BLOCK_OVERHEAD >= seg->mapped) return;
    __builtin_prefetch(seg->base + offset - AIPC_BLOCK_OVERHEAD);
    __builtin_prefetch(seg->base + offset + offsetof(struct aipc_object, name));
}

/* Reads an object's fields into *ref when the block at `offset` can be an object: INTERNAL, large enough for
 * the name and payload it claims, of a known kind.  NULL otherwise. */
struct aipc_object *aipc_object_read(aipc_seg *seg, uint64_t offset, aipc_object_ref *ref);
/* Is the hash that of kind and name?  What tells an object from other bytes with certainty.
 * pre: aipc_object_read. */
bool aipc_object_hash_right(aipc_seg *seg, const struct aipc_object *object);
uint64_t aipc_anonymous_hash(const aipc_seg *seg, uint64_t serial);

/* For tables of offsets. */
static inline uint64_t aipc_scatter(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

aipc_status aipc_names_view(aipc_seg *seg, uint64_t offset, aipc_names *names);
uint64_t aipc_names_capacity(uint64_t live); /* for so many names and one more, with room to spare */
uint64_t aipc_names_table_size(uint64_t capacity);

/* Lock-free.  AIPC_NOT_FOUND; AIPC_AGAIN when tables were swapped under it time and again. */
aipc_status aipc_names_lookup(aipc_ctx *ctx, const aipc_key *key, aipc_object_ref *ref);

/* Under the catalog's lock.  `mine`: the block of who asks. */
aipc_status aipc_names_locate(aipc_seg *seg, const aipc_names *names, const aipc_key *key, uint64_t mine, aipc_place *place);
/* The slot with exactly this object, NULL when there is none. */
uint64_t *aipc_names_slot_of(const aipc_names *names, uint64_t hash, uint64_t object);
/* Moves all names into the fresh (zeroed, private) table `fresh` that stands in `*orphan`, and retires
 * the old one. */
aipc_status aipc_names_rebuild(aipc_ctx *ctx, const aipc_names *old, uint64_t fresh, uint64_t *orphan);

#endif
