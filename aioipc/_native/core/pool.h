/* Pool: nodes of one size, cut out of chunks, for whoever takes and frees many of them.
 *
 * A chunk is a PART block with `per_chunk` nodes.  A node is a header word and its payload, as a block is:
 *
 *     tag 16 | state 2 | index 20 | value 20 | 0 6
 *
 *     FREE     `value` is the next free node of the chunk (index + 1).  Only who holds the domain touches it
 *     CACHED   of the participant in slot `value`, which has not handed it out.  Only that one touches it
 *     USED     handed out by the participant in slot `value`: a user's.  Whoever gives it back does so by a CAS
 *
 * Every node goes through CACHED: FREE <-> CACHED under the domain, logged; CACHED -> USED by a store of its owner, USED ->
 * CACHED by the CAS of who frees it, without a lock.  So a second free of a node loses, wherever it comes from; a word that
 * the log may take back is nobody else's; and a process that caches nodes needs no lock for most of what it does.
 *
 * Deaths.  What a dead participant had CACHED goes back, and what was USED by it, if the pool's nodes are owned (OWNED);
 * a PRIVATE pool goes with its owner, as a whole.  Its recovery finds the pools by its pins: who has nodes of either kind keeps a pin.
 *
 * Chunks with free nodes stand in `partial`, those without any other in `idle`; the others in neither.  Nodes are taken
 * from partial chunks first, so that idle ones come to be.  More than `max_idle` of those are not kept: the chunk is unlinked into an
 * orphan word, and freed when the domain is released.  All in O(1), but for settling: that looks at every node.
 *
 *   J1  a node's tag, index and state are right; CACHED names a slot whose participant lives or is not yet recovered
 *   J2  a chunk is a PART block of the right size that names its pool; all of them are linked both ways
 *   J3  a chunk's free list has its FREE nodes, each once, as many as it says
 *   J4  `partial` has exactly the chunks with some free nodes, `idle` those with all; both linked both ways
 *   J5  the pool's counters are what a walk finds
 */
#ifndef AIPC_POOL_H
#define AIPC_POOL_H

#include "retire.h"

#define AIPC_POOL_NEVER UINT64_MAX /* max_idle: idle chunks are kept for ever */
enum { AIPC_POOL_CHUNK_MAX = 65536 }; /* nodes of a chunk */

/* What a new one starts with; `owner`: of a PRIVATE one, else 0.  pre: 1 <= size < 2^40, 1 <= per_chunk <= AIPC_POOL_CHUNK_MAX. */
void aipc_pool_init(struct aipc_pool *image, uint64_t size, uint32_t per_chunk, uint64_t max_idle, uint32_t flags,
                    uint64_t owner);

/* A pool as a process knows it: what never changes, found to be possible. */
typedef struct aipc_pool_view {
    struct aipc_pool *pool;
    uint64_t offset, size, stride, max_idle, owner;
    uint32_t per_chunk, flags;
} aipc_pool_view;
bool aipc_pool_at(aipc_seg *seg, uint64_t payload, uint64_t size, aipc_pool_view *view);

/* A node that this participant has CACHED. */
typedef struct aipc_pool_node {
    uint64_t header; /* offset of its header word */
    uint64_t word;   /* what that says */
} aipc_pool_node;

/* Takes up to `want` nodes, with a new chunk when there are none; *got of them are CACHED here.  AIPC_FULL, with *got < want. */
aipc_status aipc_pool_take(aipc_ctx *ctx, const aipc_pool_view *view, aipc_pool_node *nodes, uint32_t want, uint32_t *got);
/* Gives CACHED ones back; idle chunks beyond max_idle are freed.  Does not fail because the heap is held by a stopped
 * process.  *given of them are not ours any more. */
aipc_status aipc_pool_give(aipc_ctx *ctx, const aipc_pool_view *view, const aipc_pool_node *nodes, uint32_t count,
                           uint32_t *given);
/* Hands a node out: its payload's offset.  No lock, no context. */
uint64_t aipc_pool_hand(aipc_seg *seg, const aipc_pool_view *view, const aipc_pool_node *node);
/* The other way: CACHED here.  AIPC_INVALID when `payload` is no node of this pool that is handed out; somebody may have been
 * faster. */
aipc_status aipc_pool_back(aipc_seg *seg, const aipc_pool_view *view, uint64_t payload, aipc_pool_node *node);
/* Whether it is one that is handed out: AIPC_OK or AIPC_INVALID. */
aipc_status aipc_pool_test(aipc_seg *seg, const aipc_pool_view *view, uint64_t payload);

/* Frees idle chunks until `keep` are left; *freed of them. */
aipc_status aipc_pool_trim(aipc_ctx *ctx, const aipc_pool_view *view, uint64_t keep, uint64_t *freed);
/* Gives back what the participant in `slot`, which is dead or leaves, has CACHED, and what it owns. */
aipc_status aipc_pool_settle(aipc_ctx *ctx, const aipc_pool_view *view, uint32_t slot);

typedef struct aipc_pool_stats {
    uint64_t chunks, idle_chunks, free_nodes; /* nodes that are cached are not free */
} aipc_pool_stats;
void aipc_pool_stats_get(const aipc_pool_view *view, aipc_pool_stats *stats);

/* Unlinks a chunk of a destroyed pool (types.h). */
uint64_t aipc_pool_shed(aipc_tx *tx, struct aipc_pool *pool);
aipc_status aipc_pool_check(aipc_ctx *ctx, const aipc_pool_view *view, aipc_report *report);

/* --- inside of the unit --- */

enum { AIPC_POOL_FREE = 1, AIPC_POOL_CACHED = 2, AIPC_POOL_USED = 3 }; /* states of a pool's node */
enum { AIPC_CHUNK_HEAD = 72 }; /* where the first node's header lies */

uint64_t aipc_pool_word(const aipc_seg *seg, uint64_t header, uint32_t state, uint32_t index, uint32_t value);
static inline uint32_t aipc_pool_state(uint64_t word) { return (uint32_t)(word >> 46 & 3); }
static inline uint32_t aipc_pool_index(uint64_t word) { return (uint32_t)(word >> 26 & 0xfffff); }
static inline uint32_t aipc_pool_value(uint64_t word) { return (uint32_t)(word >> 6 & 0xfffff); }
/* A chunk of this pool, NULL when `offset` is none. */
struct aipc_pool_chunk *aipc_pool_chunk_at(aipc_seg *seg, const aipc_pool_view *view, uint64_t offset);
static inline uint64_t aipc_pool_header(const aipc_pool_view *view, uint64_t chunk, uint32_t index) {
    return chunk + AIPC_CHUNK_HEAD + index * view->stride;
}
/* The word of a node in a chunk that was found to be one. */
static inline uint64_t *aipc_pool_word_at(const aipc_seg *seg, uint64_t header) {
    return (uint64_t *)(void *)(seg->base + header);
}

#endif
