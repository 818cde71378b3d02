/* The dict: bytes to bytes, in the order of insertion, read without a lock, grown without a pause.
 *
 *   aipc_dict -> table: slots[hash] -> places[0 .. used) -> entry (key, original key, value)
 *
 * Entries are immutable blocks.  A key is in the dict when a place of the current table names its entry; that one
 * word is all that a write publishes:
 *     insert    places[used] = entry, as yet out of everybody's sight; publish the slot
 *     replace   publish places[p] = the new entry          (the order stays)
 *     delete    publish places[p] = 0                      (a hole, for good; the slot serves the next key of its tag)
 *     clear     publish table = 0                          (its entries are retired later, in bounded steps)
 *     rebuild   publish table = the one that was built
 *
 *   reader                                             writer (holds the domain's lock)
 *   hazard[0] = table; still the dict's?               unlinked entries and tables are retired: freed when no
 *   slot with my tag: entry = places[p]                hazard names them (retire.h)
 *   hazard[1] = entry                                              // SYNC hazard
 *   places[p] still this entry?  table still the dict's?
 *   compare hash and key
 *
 * The table is looked at after the place: the places of a table that is no longer the dict's go on naming entries that
 * are freed.  As long as a key is there its slot stays the same one, so a search that misses it has crossed a moment when
 * it was not there.
 *
 * Growing.  When the places in use are five eighths of the slots, or three quarters of the places are holes, an empty table is
 * linked as `building`; each later write clears some of its slots, or moves some places into it.  Replaced and deleted
 * entries that were moved already are changed there too.  When all are moved it is published.  A writer never does more
 * than one such step in one hold of the lock; a reader never notices.
 *
 * Invariants:
 *   E1  the current table, and the one being built, are PART blocks large enough for their capacity, a power of two
 *   E2  each place below `used` is 0 or leads to an entry: a PART block large enough for what it says it holds
 *   E3  an entry's hash is that of its key; probing from it leads to a slot with its tag and place; no key occurs twice
 *   E4  each slot in use leads to a place below `used`, and each place that is no hole has exactly one slot
 *       and stands between `first` and `top`
 *   E5  serials ascend with the places; serials and versions are below next_version
 *   E6  count is the number of places that are not 0
 *   E7  `building` holds exactly the entries of the places below `mark`, in their order
 *   E8  retired and shedding are chains of PART blocks that end; a shed table's places lead to entries
 *
 * Lock: the dict's own domain; the heap's is taken before or after, never inside.
 */
#ifndef AIPC_DICT_H
#define AIPC_DICT_H

#include "retire.h"

enum { AIPC_DICT_KEY_MAX = 0x7fffffff };

/* A key as it is compared, and its hash: made once for each operation. */
typedef struct aipc_dict_key {
    const void *bytes;
    uint64_t size;
    uint64_t hash;
} aipc_dict_key;
aipc_dict_key aipc_dict_key_of(const aipc_seg *seg, const void *bytes, uint64_t size);

/* An entry, in place.  It stays as it is until this context's next search, for a key or a name, or aipc_dict_done; a draft
 * may be made of it and put. */
typedef struct aipc_dict_found {
    const uint8_t *key, *original, *value;
    uint64_t key_size, original_size, value_size;
    uint64_t version; /* of this very entry: for compare-and-set */
    uint64_t serial;  /* its rank in the order of insertion */
    uint64_t entry;   /* the block, for aipc_value_pin */
} aipc_dict_found;

/* An entry that nobody knows yet.  It belongs to the operation under way: it does not outlive the context. */
typedef struct aipc_dict_draft {
    uint8_t *value;    /* to be filled in by the caller, before put */
    uint64_t value_size;
    uint64_t original_size;
    uint64_t *word;    /* the orphan word that names it; NULL once it was put or discarded */
    uint64_t entry;
    aipc_dict_key key; /* the caller's bytes */
    uint64_t version, serial; /* the entry's, once it was put */
} aipc_dict_draft;

typedef enum aipc_dict_mode {
    AIPC_DICT_ALWAYS,     /* insert or replace */
    AIPC_DICT_ABSENT,     /* insert; AIPC_EXISTS when the key is there: *found (or NULL) is that entry, protected as
                             by get */
    AIPC_DICT_PRESENT,    /* replace; AIPC_NOT_FOUND when the key is not there */
    AIPC_DICT_VERSION     /* replace that version; AIPC_AGAIN when there is another one, AIPC_NOT_FOUND: none */
} aipc_dict_mode;

/* The payload of a new dict, sizeof(struct aipc_dict) bytes: what aipc_find_or_construct copies in. */
void aipc_dict_init(struct aipc_dict *image);

/* ---- reading: no lock, and nobody is stopped ---------------------------------------------------
 * AIPC_CLOSED from any operation: the dict was destroyed. */

/* AIPC_NOT_FOUND. */
aipc_status aipc_dict_get(aipc_ctx *ctx, struct aipc_dict *d, const aipc_dict_key *key, aipc_dict_found *found);

/* Where an iteration stands; all zeros at its beginning.  One direction for each cursor. */
typedef struct aipc_dict_cursor {
    uint64_t table; /* serial of the table it walked last; 0: none yet */
    uint64_t place; /* next: to be looked at; prev: the one before */
    uint64_t last;  /* serial of the entry that came last */
    uint64_t end;   /* serials from here on came after the beginning */
} aipc_dict_cursor;

/* The next entry in the order of insertion, or against it; AIPC_NOT_FOUND at the end.  A key that is there all the
 * time comes exactly once, whatever is rebuilt meanwhile.  One that is inserted after the beginning does not come; what
 * is replaced or deleted meanwhile comes as it is at that moment. */
aipc_status aipc_dict_next(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_cursor *cursor, aipc_dict_found *found);
aipc_status aipc_dict_prev(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_cursor *cursor, aipc_dict_found *found);
/* The youngest entry; AIPC_NOT_FOUND when there is none.  popitem: then delete that version, again on AIPC_AGAIN. */
aipc_status aipc_dict_last(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_found *found);

/* Ends the protection of what was found. */
void aipc_dict_done(aipc_ctx *ctx);

/* Keys, at some moment. */
uint64_t aipc_dict_count(const struct aipc_dict *d);

/* ---- writing -----------------------------------------------------------------------------------
 * An operation that returns anything but AIPC_OK has changed nothing; only AIPC_CORRUPT may come after the change. */

/* Allocates an entry with room for a value, and copies the keys.  `original` (NULL, 0: none) is kept beside the key for
 * the caller's own use.  AIPC_FULL; AIPC_INVALID: a key of more than AIPC_DICT_KEY_MAX bytes. */
aipc_status aipc_dict_draft_make(aipc_ctx *ctx, struct aipc_dict *d, const aipc_dict_key *key, const void *original,
                                 uint64_t original_size, uint64_t value_size, aipc_dict_draft *draft);
/* Stores it.  AIPC_OK: the draft says its version and serial, and is used up; `replaced` (or NULL): there was an entry
 * before.  Otherwise the draft stays the caller's, to put again or to discard.  AIPC_FULL: no memory for a larger
 * table. */
/* AIPC_EXISTS from the other modes: the key is there, and its original key, which it keeps, is not the draft's.  *found
 * is that entry, protected as by get: make a draft with its original. */
aipc_status aipc_dict_put(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_draft *draft, aipc_dict_mode mode,
                          uint64_t version, aipc_dict_found *found, bool *replaced);
aipc_status aipc_dict_discard(aipc_ctx *ctx, aipc_dict_draft *draft);

/* Takes a key away.  AIPC_NOT_FOUND; version != 0: AIPC_AGAIN when the entry is of another one.  `found` (or NULL): the
 * entry that went, protected as by get; after aipc_dict_done, aipc_dict_collect frees it. */
aipc_status aipc_dict_delete(aipc_ctx *ctx, struct aipc_dict *d, const aipc_dict_key *key, uint64_t version,
                             aipc_dict_found *found);
/* Takes all keys away at once.  Their memory is freed step by step, by this call and by later writers. */
aipc_status aipc_dict_clear(aipc_ctx *ctx, struct aipc_dict *d);
/* Frees what was retired and is no longer looked at.  Every fourth write does some of it, and every write that retires a
 * large value; so a dict that nobody writes to may keep a few small blocks. */
aipc_status aipc_dict_collect(aipc_ctx *ctx, struct aipc_dict *d);
/* The same, but never waits: when somebody holds a lock, a later write does it. */
void aipc_dict_collect_if_free(aipc_ctx *ctx, struct aipc_dict *d);
/* Makes a table with room for so many keys, and fills it, before they come. */
aipc_status aipc_dict_reserve(aipc_ctx *ctx, struct aipc_dict *d, uint64_t keys);

/* ---- the whole --------------------------------------------------------------------------------- */

/* The object was destroyed: every later operation, in any process, says AIPC_CLOSED.  After aipc_destroy, with a pin
 * still held: a death in between leaves others with a dict that has no name any more, not a name that is closed. */
void aipc_dict_close(struct aipc_dict *d);
bool aipc_dict_closed(const struct aipc_dict *d);

typedef struct aipc_dict_stats {
    uint64_t count, holes, capacity, rebuilds;
    uint64_t retired_blocks; /* waiting to be freed; at most 1000 are counted */
    bool building, shedding;
} aipc_dict_stats;
aipc_status aipc_dict_stats_get(aipc_ctx *ctx, struct aipc_dict *d, aipc_dict_stats *stats);

/* Unlinks one block of a dict that nobody uses any more, within a transaction of another domain (at most six log
 * entries), and returns its payload offset; 0 when none is left. */
uint64_t aipc_dict_shed(aipc_tx *tx, struct aipc_dict *d);

/* Reports what breaks E1-E8, and counts the blocks in report->parts.  Holds the lock for the length of the walk. */
aipc_status aipc_dict_check(aipc_ctx *ctx, struct aipc_dict *d, aipc_report *report);

#endif
