/* What the files of the catalog share among themselves. */
#ifndef AIPC_CATALOG_PARTS_H
#define AIPC_CATALOG_PARTS_H

#include "names.h"
#include "retire.h"

static inline aipc_status aipc_catalog_lock(aipc_ctx *ctx) { return aipc_domain_lock(ctx, &ctx->seg->catalog->domain); }
static inline void aipc_catalog_unlock(aipc_ctx *ctx) { aipc_domain_unlock(ctx, &ctx->seg->catalog->domain); }
static inline aipc_tx aipc_catalog_begin(aipc_seg *seg) { return aipc_tx_begin(seg, &seg->catalog->domain); }

/* Of two that came one after the other: the first that failed. */
static inline aipc_status aipc_worse(aipc_status status, aipc_status then) { return status == AIPC_OK ? then : status; }

/* One more or less (`by` may be -1), before the publish or by redo. */
static inline void aipc_count_before(aipc_tx *tx, uint64_t *word, uint64_t by) {
    aipc_tx_set(tx, word, aipc_load_relaxed64(word) + by);
}
static inline void aipc_count_after(aipc_tx *tx, uint64_t *word, uint64_t by) {
    aipc_tx_after(tx, word, aipc_load_relaxed64(word) + by);
}

/* ---- catalog_room.c --------------------------------------------------------------------------- */

/* A block of the catalog's that nobody knows yet, in an orphan word; *word is NULL when there is none. */
aipc_status aipc_catalog_block(aipc_ctx *ctx, uint64_t size, uint32_t flags, uint64_t **word, uint64_t *offset);

/* A fresh table, in case it is needed under the lock. */
typedef struct aipc_spare {
    uint64_t *word;
    uint64_t offset, capacity;
} aipc_spare;
aipc_status aipc_spare_get(aipc_ctx *ctx, aipc_spare *spare, uint64_t capacity);

/* Under the lock: the table as it is now. */
aipc_status aipc_names_current(aipc_seg *seg, aipc_names *names);
/* Under the lock: counts that can be calculated with. */
aipc_status aipc_names_counted(aipc_seg *seg, const aipc_names *names);
/* Under the lock: swaps the spare table in when `more` names would not fit into the current one.  AIPC_AGAIN: the spare is
 * too small, spare->capacity says what is wanted. */
aipc_status aipc_names_make_room(aipc_ctx *ctx, aipc_names *names, uint64_t more, aipc_spare *spare);

/* ---- catalog.c, catalog_end.c ----------------------------------------------------------------- */

/* An object still in its place, and where that is. */
typedef struct aipc_living {
    struct aipc_object *object;
    aipc_object_ref ref;
    uint64_t state;
    aipc_names names; /* anonymous objects have none */
    uint64_t *slot;   /* NULL: not looked for */
} aipc_living;

/* Under the lock: the object that ref means, if it is still that one and not DESTROYED; AIPC_NOT_FOUND. */
aipc_status aipc_find_living(aipc_seg *seg, const aipc_object_ref *ref, aipc_living *found);
/* Under the lock: what stands at this offset, if it is an object LIVE or pending.  The place of an anonymous object, or of one
 * known by offset alone, may have become anything: what is read there counts only when state and hash agree. */
bool aipc_living_at(aipc_seg *seg, uint64_t offset, aipc_living *found);
/* Under the lock: takes it out of the table and makes it DESTROYED, or SHEDDING when it owns something; its memory goes with
 * the last pin. */
aipc_status aipc_take_away(aipc_seg *seg, const aipc_living *it);
/* The same as the end of a transaction that may have changed more already; when it fails, the transaction is still open. */
aipc_status aipc_end_living(aipc_tx *tx, const aipc_living *it);
/* Under the lock, in no transaction: makes an object LIVE that a block has made which is over.  AIPC_PENDING: one that is open
 * has touched it; AIPC_NOT_FOUND: one that is over has destroyed it.  (pending.c) */
aipc_status aipc_settle_living(aipc_seg *seg, aipc_living *it);
/* Under the lock: drops one of `slot`'s holdings on an object; the record becomes an orphan, its bit is set in *words. */
aipc_status aipc_drop_holding(aipc_ctx *ctx, uint32_t slot, uint64_t holding, uint32_t *words);
/* Frees these orphans, what is retired as far as nobody looks at it, and gives back what SHEDDING objects own.  pre: the lock is held; it is given back. */
aipc_status aipc_collect_and_unlock(aipc_ctx *ctx, uint32_t words);

/* ---- catalog_check.c -------------------------------------------------------------------------- */

/* Under the lock: visits the sound beginning of a chain of holdings.  False: it does not end where it should. */
bool aipc_holdings_walk(aipc_seg *seg, const uint64_t *head, void (*visit)(void *arg, const struct aipc_holding *record),
                        void *arg);

#endif
