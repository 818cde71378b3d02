#include "pool.h"

enum { BATCH = 32, CHUNKS = 8, NEXT = 0, PREV = 1 }; /* nodes moved, chunks looked through, in one hold of the lock */

#define SIZE_MAX_ (UINT64_C(1) << 40)
#define LOW_MASK UINT64_C(0x0000ffffffffffff)

/* ---- nodes ----------------------------------------------------------------------------------------- */

/* As a block's, of another seed: no block's header is a node's. */
static inline uint64_t tag(const aipc_seg *seg, uint64_t header, uint64_t low) {
    return (low ^ header * UINT64_C(0xd1b54a32d192ed03) ^ ~seg->seed) * UINT64_C(0x9e3779b97f4a7c15) & ~LOW_MASK;
}

static inline uint64_t word_of(const aipc_seg *seg, uint64_t header, uint32_t state, uint32_t index, uint32_t value) {
    uint64_t low = (uint64_t)state << 46 | (uint64_t)index << 26 | (uint64_t)value << 6;
    return tag(seg, header, low) | low;
}

uint64_t aipc_pool_word(const aipc_seg *seg, uint64_t header, uint32_t state, uint32_t index, uint32_t value) {
    return word_of(seg, header, state, index, value);
}

static inline bool is_word(const aipc_seg *seg, uint64_t header, uint64_t word) {
    return (tag(seg, header, word & LOW_MASK) | (word & LOW_MASK)) == word;
}

static inline uint64_t chunk_of(const aipc_pool_view *view, uint64_t header, uint64_t word) {
    return header - AIPC_CHUNK_HEAD - aipc_pool_index(word) * view->stride;
}

static inline uint64_t chunk_bytes(const aipc_pool_view *view) { return AIPC_CHUNK_HEAD + view->per_chunk * view->stride; }

struct aipc_pool_chunk *aipc_pool_chunk_at(aipc_seg *seg, const aipc_pool_view *view, uint64_t offset) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART || usable < chunk_bytes(view))
        return NULL;
    struct aipc_pool_chunk *chunk = (void *)(seg->base + offset);
    return aipc_load_relaxed64(&chunk->pool) == view->offset ? chunk : NULL;
}

/* The same on the way to a node, whose own word must be right too: it lies in the segment and names the pool. */
static inline struct aipc_pool_chunk *chunk_near(aipc_seg *seg, const aipc_pool_view *view, uint64_t offset) {
    struct aipc_pool_chunk *chunk = (offset & 15) != 0 ? NULL : aipc_at(seg, offset, chunk_bytes(view));
    return chunk != NULL && aipc_load_relaxed64(&chunk->pool) == view->offset ? chunk : NULL;
}

/* ---- the pool -------------------------------------------------------------------------------------- */

static uint64_t stride_of(uint64_t size) { return (size + 8 + 15) & ~UINT64_C(15); }

void aipc_pool_init(struct aipc_pool *image, uint64_t size, uint32_t per_chunk, uint64_t max_idle, uint32_t flags,
                    uint64_t owner) {
    *image = (struct aipc_pool){.size = size, .stride = stride_of(size), .per_chunk = per_chunk, .flags = flags,
                                .max_idle = max_idle, .owner = owner};
}

bool aipc_pool_at(aipc_seg *seg, uint64_t payload, uint64_t size, aipc_pool_view *view) {
    struct aipc_pool *pool = size < sizeof *pool ? NULL : aipc_at(seg, payload, sizeof *pool);
    if (pool == NULL) return false;
    *view = (aipc_pool_view){.pool = pool, .offset = payload, .size = pool->size, .stride = pool->stride,
                             .max_idle = pool->max_idle, .owner = pool->owner, .per_chunk = pool->per_chunk, .flags = pool->flags};
    return view->size - 1 < SIZE_MAX_ && view->stride == stride_of(view->size) &&
           view->per_chunk - 1 < AIPC_POOL_CHUNK_MAX && view->flags <= (AIPC_POOL_OWNED | AIPC_POOL_PRIVATE);
}

void aipc_pool_stats_get(const aipc_pool_view *view, aipc_pool_stats *stats) {
    *stats = (aipc_pool_stats){.chunks = aipc_load_relaxed64(&view->pool->chunk_count),
                               .idle_chunks = aipc_load_relaxed64(&view->pool->idle_count),
                               .free_nodes = aipc_load_relaxed64(&view->pool->free_nodes)};
}

/* ---- lists of chunks ------------------------------------------------------------------------------- */

static uint64_t *links_of(struct aipc_pool_chunk *chunk, bool all) { return all ? chunk->all : chunk->listed; }

/* Changes three words. */
static aipc_status link_chunk(aipc_tx *tx, const aipc_pool_view *view, uint64_t *head, uint64_t offset,
                              struct aipc_pool_chunk *chunk, bool all) {
    uint64_t first = aipc_load_relaxed64(head), *links = links_of(chunk, all);
    if (first != 0) {
        struct aipc_pool_chunk *second = aipc_pool_chunk_at(tx->seg, view, first);
        if (second == NULL || aipc_load_relaxed64(&links_of(second, all)[PREV]) != 0)
            return aipc_corrupt(tx->seg, "J4 first of a pool's chunks", head, first, 0);
        aipc_tx_set(tx, &links_of(second, all)[PREV], offset);
    }
    aipc_tx_set(tx, &links[NEXT], first);
    aipc_tx_set(tx, &links[PREV], 0);
    aipc_tx_set(tx, head, offset);
    return AIPC_OK;
}

/* Changes two words.  Nothing is believed that the neighbours do not confirm. */
static aipc_status unlink_chunk(aipc_tx *tx, const aipc_pool_view *view, uint64_t *head, uint64_t offset,
                                struct aipc_pool_chunk *chunk, bool all) {
    uint64_t *links = links_of(chunk, all);
    uint64_t next = aipc_load_relaxed64(&links[NEXT]), prev = aipc_load_relaxed64(&links[PREV]);
    struct aipc_pool_chunk *after = next == 0 ? NULL : aipc_pool_chunk_at(tx->seg, view, next);
    struct aipc_pool_chunk *before = prev == 0 ? NULL : aipc_pool_chunk_at(tx->seg, view, prev);
    if ((next != 0 && after == NULL) || (prev != 0 && before == NULL))
        return aipc_corrupt(tx->seg, "J4 links of a pool's chunk", links, next, prev);
    uint64_t *to_it = before == NULL ? head : &links_of(before, all)[NEXT];
    if (aipc_load_relaxed64(to_it) != offset || (after != NULL && aipc_load_relaxed64(&links_of(after, all)[PREV]) != offset))
        return aipc_corrupt(tx->seg, "J4 links of a pool's chunk", links, next, prev);
    aipc_tx_set(tx, to_it, next);
    if (after != NULL) aipc_tx_set(tx, &links_of(after, all)[PREV], prev);
    return AIPC_OK;
}

static void add_to(aipc_tx *tx, uint64_t *counter, uint64_t change) {
    aipc_tx_set(tx, counter, aipc_load_relaxed64(counter) + change);
}

/* At most six words. */
__attribute__((noinline)) static aipc_status move_chunk(aipc_tx *tx, const aipc_pool_view *view, uint64_t offset,
                                                        struct aipc_pool_chunk *chunk, uint32_t before, uint32_t after) {
    struct aipc_pool *pool = view->pool;
    uint32_t all = view->per_chunk;
    uint64_t *from = before == all ? &pool->idle : before != 0 ? &pool->partial : NULL;
    uint64_t *to = after == all ? &pool->idle : after != 0 ? &pool->partial : NULL;
    aipc_status status = AIPC_OK;
    if (from != NULL) status = unlink_chunk(tx, view, from, offset, chunk, false);
    if (status == AIPC_OK && to != NULL) status = link_chunk(tx, view, to, offset, chunk, false);
    if (from == &pool->idle) add_to(tx, &pool->idle_count, UINT64_MAX);
    if (to == &pool->idle) add_to(tx, &pool->idle_count, 1);
    return status;
}

/* The chunk had `before` free nodes and has `after`: another list may be its own. */
static inline aipc_status relist(aipc_tx *tx, const aipc_pool_view *view, uint64_t offset, struct aipc_pool_chunk *chunk,
                                 uint32_t before, uint32_t after) {
    uint32_t all = view->per_chunk;
    bool stays = before != 0 && before != all && after != 0 && after != all;
    return stays ? AIPC_OK : move_chunk(tx, view, offset, chunk, before, after);
}

/* ---- one node, under the domain -------------------------------------------------------------------- */

static inline bool counts(const aipc_pool_view *view, uint64_t free) {
    return (uint32_t)free <= view->per_chunk && free >> 32 <= view->per_chunk && ((uint32_t)free == 0) == (free >> 32 == 0);
}

/* FREE -> CACHED.  AIPC_AGAIN: no chunk has any. */
static inline aipc_status pop(aipc_seg *seg, const aipc_pool_view *view, aipc_pool_node *node) {
    struct aipc_pool *pool = view->pool;
    uint64_t offset = aipc_load_relaxed64(&pool->partial);
    if (offset == 0) offset = aipc_load_relaxed64(&pool->idle);
    if (offset == 0) return AIPC_AGAIN;
    struct aipc_pool_chunk *chunk = chunk_near(seg, view, offset);
    if (chunk == NULL) return aipc_corrupt(seg, "J2 chunk of a pool", &pool->partial, offset, 0);
    uint64_t free = aipc_load_relaxed64(&chunk->free);
    if (free == 0 || !counts(view, free)) return aipc_corrupt(seg, "J3 free nodes of a chunk", &chunk->free, free, 0);

    uint32_t index = (uint32_t)(free >> 32) - 1, left = (uint32_t)free - 1;
    uint64_t header = aipc_pool_header(view, offset, index), *at = aipc_pool_word_at(seg, header);
    uint64_t word = aipc_load_relaxed64(at), next = aipc_pool_value(word);
    if (word != word_of(seg, header, AIPC_POOL_FREE, index, (uint32_t)next) || !counts(view, next << 32 | left))
        return aipc_corrupt(seg, "J1 free node", at, word, word_of(seg, header, AIPC_POOL_FREE, index, 0));
    *node = (aipc_pool_node){header, word_of(seg, header, AIPC_POOL_CACHED, index, seg->slot)};
    aipc_tx tx = aipc_tx_begin(seg, &pool->domain);
    aipc_tx_set(&tx, at, node->word);
    aipc_tx_set(&tx, &chunk->free, next << 32 | left);
    add_to(&tx, &pool->free_nodes, UINT64_MAX);
    return aipc_tx_finish(&tx, relist(&tx, view, offset, chunk, left + 1, left));
}

/* CACHED -> FREE. */
static inline aipc_status push(aipc_seg *seg, const aipc_pool_view *view, const aipc_pool_node *node) {
    struct aipc_pool *pool = view->pool;
    uint64_t offset = chunk_of(view, node->header, node->word), *at = aipc_pool_word_at(seg, node->header);
    struct aipc_pool_chunk *chunk = chunk_near(seg, view, offset);
    if (chunk == NULL) return aipc_corrupt(seg, "J2 chunk of a node", at, offset, 0);
    if (aipc_load_relaxed64(at) != node->word) return aipc_corrupt(seg, "J1 cached node", at, aipc_load_relaxed64(at), node->word);
    uint64_t free = aipc_load_relaxed64(&chunk->free);
    uint32_t index = aipc_pool_index(node->word), count = (uint32_t)free;
    if (!counts(view, free) || count == view->per_chunk)
        return aipc_corrupt(seg, "J3 free nodes of a chunk", &chunk->free, free, view->per_chunk - 1);
    aipc_tx tx = aipc_tx_begin(seg, &pool->domain);
    aipc_tx_set(&tx, at, word_of(seg, node->header, AIPC_POOL_FREE, index, (uint32_t)(free >> 32)));
    aipc_tx_set(&tx, &chunk->free, (uint64_t)(index + 1) << 32 | (count + 1));
    add_to(&tx, &pool->free_nodes, 1);
    return aipc_tx_finish(&tx, relist(&tx, view, offset, chunk, count, count + 1));
}

/* ---- chunks ---------------------------------------------------------------------------------------- */

/* All nodes free, in order.  Nobody else knows it yet. */
static void fill_chunk(aipc_seg *seg, const aipc_pool_view *view, uint64_t offset) {
    struct aipc_pool_chunk *chunk = (void *)(seg->base + offset);
    for (uint32_t i = 0; i < view->per_chunk; i++) {
        uint64_t header = aipc_pool_header(view, offset, i);
        uint32_t next = i + 1 < view->per_chunk ? i + 2 : 0;
        aipc_store_relaxed64(aipc_pool_word_at(seg, header), word_of(seg, header, AIPC_POOL_FREE, i, next));
    }
    for (int i = 0; i < 2; i++) aipc_store_relaxed64(&chunk->all[i], 0), aipc_store_relaxed64(&chunk->listed[i], 0);
    aipc_store_relaxed64(&chunk->free, UINT64_C(1) << 32 | view->per_chunk);
    aipc_store_release64(&chunk->pool, view->offset);
}

static aipc_status link_fresh(aipc_ctx *ctx, const aipc_pool_view *view, uint64_t *word) {
    aipc_seg *seg = ctx->seg;
    struct aipc_pool *pool = view->pool;
    uint64_t offset = aipc_load_relaxed64(word);
    struct aipc_pool_chunk *chunk = (void *)(seg->base + offset);
    aipc_status status = aipc_domain_lock(ctx, &pool->domain);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_tx_begin(seg, &pool->domain);
    status = link_chunk(&tx, view, &pool->chunks, offset, chunk, true);
    if (status == AIPC_OK) status = relist(&tx, view, offset, chunk, 0, view->per_chunk);
    add_to(&tx, &pool->chunk_count, 1);
    add_to(&tx, &pool->free_nodes, view->per_chunk);
    aipc_tx_set(&tx, word, 0);
    status = aipc_tx_finish(&tx, status);
    aipc_domain_unlock(ctx, &pool->domain);
    return status;
}

static aipc_status add_chunk(aipc_ctx *ctx, const aipc_pool_view *view) {
    uint64_t *word = aipc_orphan_word(ctx), offset;
    if (word == NULL) return AIPC_AGAIN;
    aipc_status status = aipc_heap_allocate(ctx, chunk_bytes(view), AIPC_ALIGNMENT, AIPC_PART, word, &offset);
    if (status != AIPC_OK) return status;
    fill_chunk(ctx->seg, view, offset);
    status = link_fresh(ctx, view, word);
    if (status != AIPC_OK) (void)aipc_orphan_free(ctx, word);
    return status;
}

/* Unlinks an idle chunk into an orphan word. */
static aipc_status drop_chunk(aipc_seg *seg, const aipc_pool_view *view, uint64_t *word) {
    struct aipc_pool *pool = view->pool;
    uint64_t offset = aipc_load_relaxed64(&pool->idle);
    struct aipc_pool_chunk *chunk = aipc_pool_chunk_at(seg, view, offset);
    if (chunk == NULL || (uint32_t)aipc_load_relaxed64(&chunk->free) != view->per_chunk)
        return aipc_corrupt(seg, "J4 idle chunk", &pool->idle, offset, 0);
    aipc_tx tx = aipc_tx_begin(seg, &pool->domain);
    aipc_status status = relist(&tx, view, offset, chunk, view->per_chunk, 0);
    if (status == AIPC_OK) status = unlink_chunk(&tx, view, &pool->chunks, offset, chunk, true);
    aipc_tx_set(&tx, &chunk->pool, 0);
    add_to(&tx, &pool->chunk_count, UINT64_MAX);
    add_to(&tx, &pool->free_nodes, 0 - (uint64_t)view->per_chunk);
    aipc_tx_set(&tx, word, offset);
    return aipc_tx_finish(&tx, status);
}

/* Under the domain: unlinks what is idle beyond `keep`, as much as there are orphan words for. */
static aipc_status drop_idle(aipc_ctx *ctx, const aipc_pool_view *view, uint64_t keep, uint32_t *words) {
    aipc_status status = AIPC_OK;
    while (status == AIPC_OK && aipc_load_relaxed64(&view->pool->idle_count) > keep && aipc_load_relaxed64(&view->pool->idle) != 0) {
        uint64_t *word = aipc_orphan_word(ctx);
        if (word == NULL) break;
        status = drop_chunk(ctx->seg, view, word);
        if (status == AIPC_OK) *words |= aipc_orphan_bit(ctx, word);
    }
    return status;
}

/* ---- operations ------------------------------------------------------------------------------------ */

static aipc_status take_some(aipc_ctx *ctx, const aipc_pool_view *view, aipc_pool_node *nodes, uint32_t want, uint32_t *got) {
    aipc_status status = aipc_domain_lock(ctx, &view->pool->domain);
    if (status != AIPC_OK) return status;
    for (int i = 0; i < BATCH && *got < want && status == AIPC_OK; i++) {
        status = pop(ctx->seg, view, &nodes[*got]);
        *got += status == AIPC_OK;
    }
    aipc_domain_unlock(ctx, &view->pool->domain);
    return status;
}

aipc_status aipc_pool_take(aipc_ctx *ctx, const aipc_pool_view *view, aipc_pool_node *nodes, uint32_t want, uint32_t *got) {
    aipc_status status = AIPC_OK;
    *got = 0;
    while (*got < want && status == AIPC_OK) {
        status = take_some(ctx, view, nodes, want, got);
        if (status == AIPC_AGAIN) status = add_chunk(ctx, view);
    }
    return status;
}

static aipc_status give_some(aipc_ctx *ctx, const aipc_pool_view *view, const aipc_pool_node *nodes, uint32_t count,
                             uint32_t *given) {
    uint32_t words = 0;
    aipc_status status = aipc_domain_lock(ctx, &view->pool->domain);
    if (status != AIPC_OK) return status;
    for (int i = 0; i < BATCH && *given < count && status == AIPC_OK; i++) {
        status = push(ctx->seg, view, &nodes[*given]);
        *given += status == AIPC_OK;
    }
    if (status == AIPC_OK) status = drop_idle(ctx, view, view->max_idle, &words);
    aipc_domain_unlock(ctx, &view->pool->domain);
    aipc_status freed = aipc_orphans_free(ctx, words);
    return status == AIPC_OK ? freed : status;
}

aipc_status aipc_pool_give(aipc_ctx *ctx, const aipc_pool_view *view, const aipc_pool_node *nodes, uint32_t count, uint32_t *given) {
    aipc_status status = AIPC_OK;
    uint64_t freed;
    *given = 0;
    while (*given < count && status == AIPC_OK) status = give_some(ctx, view, nodes, count, given);
    if (status != AIPC_OK || aipc_load_relaxed64(&view->pool->idle_count) <= view->max_idle) return status;
    return aipc_pool_trim(ctx, view, view->max_idle, &freed); /* more chunks became idle than there are orphan words */
}

uint64_t aipc_pool_hand(aipc_seg *seg, const aipc_pool_view *view, const aipc_pool_node *node) {
    (void)view;
    uint64_t word = word_of(seg, node->header, AIPC_POOL_USED, aipc_pool_index(node->word), seg->slot);
    aipc_store_release64(aipc_pool_word_at(seg, node->header), word);
    return node->header + 8;
}

/* The word of a node of this pool that is handed out; NULL when `payload` is none. */
static inline uint64_t *used_at(aipc_seg *seg, const aipc_pool_view *view, uint64_t payload, uint64_t *word) {
    uint64_t header = payload - 8;
    uint64_t *at = (payload & 15) != 0 || payload < seg->heap_begin ? NULL : aipc_at(seg, header, 8);
    if (at == NULL) return NULL;
    *word = aipc_load_seq_cst64(at);
    if (aipc_pool_state(*word) != AIPC_POOL_USED || aipc_pool_index(*word) >= view->per_chunk || !is_word(seg, header, *word))
        return NULL;
    return chunk_near(seg, view, chunk_of(view, header, *word)) != NULL ? at : NULL;
}

aipc_status aipc_pool_back(aipc_seg *seg, const aipc_pool_view *view, uint64_t payload, aipc_pool_node *node) {
    uint64_t word, *at = used_at(seg, view, payload, &word);
    if (at == NULL) return AIPC_INVALID;
    *node = (aipc_pool_node){payload - 8, word_of(seg, payload - 8, AIPC_POOL_CACHED, aipc_pool_index(word), seg->slot)};
    return aipc_cas_seq_cst64(at, word, node->word) ? AIPC_OK : AIPC_INVALID;
}

aipc_status aipc_pool_test(aipc_seg *seg, const aipc_pool_view *view, uint64_t payload) {
    uint64_t word;
    return used_at(seg, view, payload, &word) != NULL ? AIPC_OK : AIPC_INVALID;
}

aipc_status aipc_pool_trim(aipc_ctx *ctx, const aipc_pool_view *view, uint64_t keep, uint64_t *freed) {
    aipc_status status = AIPC_OK;
    *freed = 0;
    for (uint32_t words = 1; words != 0 && status == AIPC_OK;) {
        status = aipc_domain_lock(ctx, &view->pool->domain);
        if (status != AIPC_OK) return status;
        words = 0;
        status = drop_idle(ctx, view, keep, &words);
        aipc_domain_unlock(ctx, &view->pool->domain);
        *freed += (uint64_t)__builtin_popcount(words);
        aipc_status gone = aipc_orphans_free(ctx, words);
        if (status == AIPC_OK) status = gone;
    }
    return status;
}

/* ---- the dead -------------------------------------------------------------------------------------- */

/* A node that the participant in `slot` left behind. */
static aipc_status settle_node(aipc_seg *seg, const aipc_pool_view *view, uint64_t chunk, uint32_t index, uint32_t slot) {
    uint64_t header = aipc_pool_header(view, chunk, index), *at = aipc_pool_word_at(seg, header);
    aipc_pool_node node = {header, word_of(seg, header, AIPC_POOL_CACHED, index, slot)};
    uint64_t used = word_of(seg, header, AIPC_POOL_USED, index, slot);
    /* Somebody may free it just now: then it is that one's. */
    if ((view->flags & AIPC_POOL_OWNED) != 0 && aipc_load_seq_cst64(at) == used)
        (void)aipc_cas_seq_cst64(at, used, node.word);
    return aipc_load_seq_cst64(at) == node.word ? push(seg, view, &node) : AIPC_OK;
}

static aipc_status settle_chunk(aipc_seg *seg, const aipc_pool_view *view, uint64_t offset, struct aipc_pool_chunk *chunk,
                                uint32_t slot) {
    aipc_status status = AIPC_OK;
    if ((uint32_t)aipc_load_relaxed64(&chunk->free) == view->per_chunk) return AIPC_OK;
    for (uint32_t i = 0; i < view->per_chunk && status == AIPC_OK; i++) status = settle_node(seg, view, offset, i, slot);
    return status;
}

/* From *offset on.  A chunk that was freed meanwhile: from the beginning again. */
static aipc_status settle_some(aipc_seg *seg, const aipc_pool_view *view, uint64_t *offset, uint32_t slot) {
    for (int n = 0; n < CHUNKS && *offset != 0; n++) {
        struct aipc_pool_chunk *chunk = aipc_pool_chunk_at(seg, view, *offset);
        if (chunk == NULL) {
            if (*offset == aipc_load_relaxed64(&view->pool->chunks) || n != 0)
                return aipc_corrupt(seg, "J2 chunk of a pool", &view->pool->chunks, *offset, 0);
            *offset = aipc_load_relaxed64(&view->pool->chunks);
            return AIPC_OK;
        }
        aipc_status status = settle_chunk(seg, view, *offset, chunk, slot);
        if (status != AIPC_OK) return status;
        *offset = aipc_load_relaxed64(&chunk->all[NEXT]);
    }
    return AIPC_OK;
}

aipc_status aipc_pool_settle(aipc_ctx *ctx, const aipc_pool_view *view, uint32_t slot) {
    aipc_seg *seg = ctx->seg;
    struct aipc_domain *domain = &view->pool->domain;
    uint64_t offset = 0, holds = seg->mapped / AIPC_BLOCK_MIN, freed;
    aipc_status status;
    do {
        status = aipc_domain_lock(ctx, domain);
        if (status != AIPC_OK) return status;
        if (offset == 0) offset = aipc_load_relaxed64(&view->pool->chunks);
        status = settle_some(seg, view, &offset, slot);
        if (holds-- == 0) status = aipc_corrupt(seg, "J2 chunks of a pool go round", view->pool, offset, 0);
        aipc_domain_unlock(ctx, domain);
    } while (status == AIPC_OK && offset != 0);
    return status == AIPC_OK ? aipc_pool_trim(ctx, view, view->max_idle, &freed) : status;
}

uint64_t aipc_pool_shed(aipc_tx *tx, struct aipc_pool *pool) {
    uint64_t offset = aipc_load_relaxed64(&pool->chunks), usable;
    uint32_t flags;
    if (offset == 0 || aipc_heap_size_of(tx->seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART ||
        usable < sizeof(struct aipc_pool_chunk))
        return 0;
    aipc_tx_set(tx, &pool->chunks, aipc_load_relaxed64(&((struct aipc_pool_chunk *)(void *)(tx->seg->base + offset))->all[NEXT]));
    return offset;
}
