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
 * Invariants:
 *   C1  every slot word is 0, a tombstone, or leads to a LIVE, NAMED or UNIQUE object whose hash gives the tag
 *   C2  every object in the table is reached by probing from its hash; no (kind, name) occurs twice
 *   C3  count and tombstones are what a walk finds; count + tombstones <= 3/4 capacity
 *   C4  an object's pins are the number of holdings that name it
 *   C5  retired memory is DESTROYED with no pins, or an old table
 *   C6  every AIPC_INTERNAL block is an object, a table, a holding, or on the retired list or an orphan
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

/* Constructs and pins.  AIPC_EXISTS when the name is taken: then *ref is the existing object, not pinned. */
aipc_status aipc_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref);
/* Looks a name up without a lock.  AIPC_NOT_FOUND.  *ref may be destroyed at any time: pin it to use it.
 * A type is not compared: the caller does. */
aipc_status aipc_find(aipc_ctx *ctx, uint8_t kind, const char *name, uint32_t name_size, aipc_object_ref *ref);
/* Finds or constructs, and pins; *created says which.  Exactly one creator under races. */
aipc_status aipc_find_or_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref, bool *created);
/* Pins an object found before: it stays readable until unpinned or until this process dies.  AIPC_NOT_FOUND when it
 * has been destroyed or is another one by now (serial).  Callers keep one pin per process and object. */
aipc_status aipc_pin(aipc_ctx *ctx, aipc_object_ref *ref);
/* Gives back a pin that stands in `slot`'s chain (one's own, or a dead participant's in recovery);
 * frees the object when it was destroyed and this was the last. */
aipc_status aipc_unpin(aipc_ctx *ctx, uint32_t slot, uint64_t holding);
/* Takes the name away and marks the object DESTROYED; AIPC_NOT_FOUND when that was done before.  Memory goes
 * with the last pin.  Waking whoever waits on the object is the caller's business (lock.h). */
aipc_status aipc_destroy(aipc_ctx *ctx, const aipc_object_ref *ref);
/* Fills a ref from an object's offset and serial (a pickle, a pin). Takes the lock. */
aipc_status aipc_object_at(aipc_ctx *ctx, uint64_t object, uint64_t serial, aipc_object_ref *ref);
bool aipc_object_destroyed(aipc_seg *seg, const aipc_object_ref *ref);

typedef struct aipc_object_info {
    aipc_object_ref ref;
    char name[AIPC_NAME_MAX];
    uint32_t name_size;
    uint64_t pins;
} aipc_object_info;
/* Copies all named and unique objects as one consistent snapshot; AIPC_AGAIN when there are more than
 * `capacity` (*copied says how many): ask again with more room. */
aipc_status aipc_catalog_list(aipc_ctx *ctx, aipc_object_info *infos, uint64_t capacity, uint64_t *copied);

/* Makes room for `names` without a later pause. */
aipc_status aipc_catalog_reserve(aipc_ctx *ctx, uint64_t names);
/* Frees what was retired and is no longer looked at; called by destroy, unpin and recovery. */
aipc_status aipc_catalog_collect(aipc_ctx *ctx);

/* The next named or unique object at or behind table slot *cursor (start at 0), protected by this context's
 * second hazard until the next call; AIPC_NOT_FOUND at the end.  No snapshot: what comes and goes meanwhile may be missed. */
aipc_status aipc_catalog_next(aipc_ctx *ctx, uint64_t *cursor, aipc_object_ref *ref);

/* Protects the object at this offset in the same way, if there is one, living or destroyed; AIPC_NOT_FOUND. */
aipc_status aipc_catalog_hold(aipc_ctx *ctx, uint64_t object, aipc_object_ref *ref);

aipc_status aipc_catalog_check(aipc_ctx *ctx, aipc_report *report);

#endif
