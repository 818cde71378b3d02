/* The catalog: names of objects, looked up without a lock.
 *
 * An object is one heap block: aipc_object, its name padded to 16 bytes, its payload (16-byte aligned).
 * The table of names is open addressing in a block of its own; a slot word is the object's offset and 16
 * bits of its hash.  Objects never move and are immutable once published, so a reader needs two
 * hazards: the table, and the object whose name it compares.
 *
 *   reader                                     writer (holds the catalog's lock)
 *   hazard[0] = table; is it still current?    insert: publish the slot word       // SYNC name-publish
 *   for each slot with my tag:                 destroy: publish a tombstone
 *     hazard[1] = object; slot unchanged?      grow: build a new table aside, publish catalog.table
 *       table still current?                   unlinked memory is retired: freed when no hazard names it
 *     compare                                  (retire.h)
 *   hazards = 0
 *
 * The table is looked at again after the slot, since destroyers change the current table only: a slot of an old one
 * goes on naming an object that is freed.
 *
 * Freeing comes after the commit.  When the heap's lock cannot be had for it (AIPC_STALLED, AIPC_INTERRUPTED), destroy,
 * unpin and find_or_construct return that although they are done; the blocks stay in this context's orphan
 * words, and go when it detaches or dies.
 *
 * An object whose tag is that of a name, but which is no whole object, is AIPC_CORRUPT: it must not pass for another name's.
 *
 * An atomic block (pending.h) can make an object be there for some and not for others.  Those who are in none see what it
 * did not touch, and what it did as if it were not open.
 *
 * Invariants:
 *   C1  every slot word is 0, a tombstone, or leads to a NAMED or UNIQUE object whose hash gives the tag, and which is
 *       LIVE, or pending in a block that is open or was just committed
 *   C2  every object in the table is reached by probing from its hash; nobody sees a (kind, name) twice
 *   C3  count, unique and tombstones are what a walk finds; count + tombstones <= 3/4 capacity
 *   C4  an object's pins are the number of holdings and registrations that name it
 *   C5  retired memory is DESTROYED with no pins, or an old table; nothing SHEDDING is retired
 *   C6  every AIPC_INTERNAL block is an object, a table, a holding, or on the retired list or an orphan
 *   C8  an object's seal is that of what it seals, and its block is as large as it says  (C7: check.h)
 *
 * Lock: the catalog's own; the heap's is taken before or after, never inside.
 */
#ifndef AIPC_CATALOG_H
#define AIPC_CATALOG_H

#include "heap.h"

typedef struct aipc_object_spec {
    uint8_t kind;          /* AIPC_NAMED, AIPC_UNIQUE (name: of the type), AIPC_ANONYMOUS (no name) */
    const char *name;      /* not zero-terminated */
    uint32_t name_size;    /* <= AIPC_NAME_MAX */
    uint64_t type;
    uint64_t size;         /* bytes of payload */
    uint32_t count;
    const void *initial;   /* `size` - `zeros` bytes to start with, or NULL for zeros */
    uint64_t zeros;        /* so many of the last bytes are zero */
    uint32_t shares;       /* 0, or the caller gets a share instead of a pin: AIPC_SHARE_ANY, AIPC_SOLE (shares.h) */
    uint32_t word_count;   /* owning words among the initial bytes that are not 0, AIPC_WORDS_AT_ONCE at most */
    const uint64_t *words;
} aipc_object_spec;

/* What a caller keeps of an object: its place, and the serial that proves it is still the same one. */
typedef struct aipc_object_ref {
    uint64_t object;       /* payload offset of the block, that is of struct aipc_object */
    uint64_t payload;
    uint64_t size;
    uint64_t type;
    uint64_t serial;
    uint64_t hash;         /* of kind and name: leads to the object's slot, without a look at memory that may be
                              somebody else's by now */
    uint64_t holding;      /* the caller's pin, 0 when it has none */
    uint32_t count;
    uint8_t kind;
} aipc_object_ref;

/* pre: a new segment.  Allocates the first table. */
aipc_status aipc_catalog_format(aipc_ctx *ctx);

/* Constructs and pins.  AIPC_EXISTS when the name is taken: then *ref is the existing object, not pinned.  AIPC_PENDING when
 * another's block may yet take it.  AIPC_NOT_FOUND, AIPC_NOT_OWNER: one of the words leads to nothing any more, or has a sole
 * owner already.  With shares or words it is never a part of a block: it is true at once. */
aipc_status aipc_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref);
/* Looks a name up without a lock.  AIPC_NOT_FOUND.  *ref may be destroyed at any time: pin it to use it.
 * A type is not compared: the caller does. */
aipc_status aipc_find(aipc_ctx *ctx, uint8_t kind, const char *name, uint32_t name_size, aipc_object_ref *ref);
/* Finds or constructs, and pins; *created says which.  Exactly one creator under races.  With spec->shares, what is found must be
 * shared already: AIPC_NOT_OWNER. */
aipc_status aipc_find_or_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref, bool *created);
/* Pins an object found before: it stays readable until unpinned or until this process dies.  AIPC_NOT_FOUND when it
 * has been destroyed or is another one by now (serial).  Callers keep one pin per process and object. */
aipc_status aipc_pin(aipc_ctx *ctx, aipc_object_ref *ref);
/* Gives back a pin that stands in `slot`'s chain (one's own, or a dead participant's in recovery);
 * frees the object when it was destroyed and this was the last. */
aipc_status aipc_unpin(aipc_ctx *ctx, uint32_t slot, uint64_t holding);
/* Takes the name away and marks the object DESTROYED; AIPC_NOT_FOUND when that was done before, AIPC_PENDING when another's
 * block has done something to it, AIPC_NOT_OWNER when somebody has a share of it.  Memory goes with the last pin.  As part of a block: at its end.  Waking whoever waits on the object is the caller's business (lock.h). */
aipc_status aipc_destroy(aipc_ctx *ctx, const aipc_object_ref *ref);
/* Fills a ref from an object's offset and serial (a pickle, a pin). Takes the lock. */
aipc_status aipc_object_at(aipc_ctx *ctx, uint64_t object, uint64_t serial, aipc_object_ref *ref);
/* Was the object of a handle destroyed?  By the block `mine` too, before its end; 0: by what is over. */
bool aipc_object_gone(aipc_seg *seg, const aipc_object_ref *ref, uint64_t mine);
/* Is it there for who is in the block `mine`, handle or no handle? */
bool aipc_object_visible(aipc_seg *seg, const aipc_object_ref *ref, uint64_t mine);
static inline bool aipc_object_destroyed(aipc_seg *seg, const aipc_object_ref *ref) { return aipc_object_gone(seg, ref, 0); }

/* Which objects are wanted: of this kind (0: of both), with names that begin with `prefix`, are not less than `start`, and
 * less than `stop`.  Bytes are compared.  NULL: any. */
typedef struct aipc_wanted {
    uint8_t kind;
    const char *prefix, *start, *stop;
    uint32_t prefix_size, start_size, stop_size;
} aipc_wanted;
/* One of the objects that were listed; name_size bytes of its name follow, and then, at a multiple of 8, the next one. */
typedef struct aipc_listed {
    uint64_t object, payload, serial, type, hash, size, pins;
    uint32_t count;
    uint16_t name_size;
    uint8_t kind, reserved;
} aipc_listed;
typedef struct aipc_list {
    void *room;       /* aligned to 8 */
    uint64_t size;    /* bytes of it */
    uint64_t used;    /* bytes that were needed, also when there was no room for them */
    uint64_t objects; /* how many there are */
} aipc_list;
static inline uint64_t aipc_listed_size(uint32_t name_size) { return sizeof(aipc_listed) + ((name_size + 7u) & ~UINT64_C(7)); }
/* Copies the wanted objects as one consistent snapshot.  AIPC_AGAIN when they need more room: list->used says how much.
 * NAMED ones of an ordered index come in order, and cost nothing for those that are not wanted. */
aipc_status aipc_catalog_list(aipc_ctx *ctx, const aipc_wanted *wanted, aipc_list *list);
/* The same without the lock, in no order: for a reader, whose look tells whether it was true. */
aipc_status aipc_catalog_list_seen(aipc_seg *seg, const aipc_wanted *wanted, aipc_list *list);
/* How many there are. */
aipc_status aipc_catalog_count(aipc_ctx *ctx, uint64_t *named, uint64_t *unique);

/* Payload bytes of the largest block that somebody could ever be given, of this alignment: when the segment has grown to
 * max_size and nobody else has anything in it. */
uint64_t aipc_catalog_most(const aipc_seg *seg, uint64_t alignment);

/* Makes room for `names` without a later pause. */
aipc_status aipc_catalog_reserve(aipc_ctx *ctx, uint64_t names);
/* Gives back the room of the table that is not needed now. */
aipc_status aipc_catalog_shrink(aipc_ctx *ctx);
/* Frees what was retired and is no longer looked at; called by destroy, unpin and recovery. */
aipc_status aipc_catalog_collect(aipc_ctx *ctx);

/* The next named or unique object at or behind table slot *cursor (start at 0), protected by this context's
 * second hazard until the next call; AIPC_NOT_FOUND at the end.  No snapshot: what comes and goes meanwhile may be missed. */
aipc_status aipc_catalog_next(aipc_ctx *ctx, uint64_t *cursor, aipc_object_ref *ref);

/* Protects the object at this offset in the same way, if there is one, living or destroyed; AIPC_NOT_FOUND. */
aipc_status aipc_catalog_hold(aipc_ctx *ctx, uint64_t object, aipc_object_ref *ref);

aipc_status aipc_catalog_check(aipc_ctx *ctx, aipc_report *report);

#endif
