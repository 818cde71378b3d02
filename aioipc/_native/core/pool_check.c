/* A pool's fsck: reads everything under its lock, believes nothing, changes nothing. */
#include "participants.h"
#include "pool.h"

typedef struct check {
    aipc_seg *seg;
    const aipc_pool_view *view;
    aipc_report *report;
    uint64_t chunks, free_nodes;
    uint64_t idle, partial; /* by how many of their nodes are free */
} check;

static void found(check *c, const char *what, uint64_t where, uint64_t found_there, uint64_t expected) {
    aipc_report_add(c->report, what, where, found_there, expected);
}

static uint64_t word_of(const check *c, uint64_t chunk, uint32_t index) {
    return aipc_load_seq_cst64(aipc_pool_word_at(c->seg, aipc_pool_header(c->view, chunk, index)));
}

/* J1, but for whom a node that is handed out belongs to.  Whether it is free. */
static bool check_node(check *c, uint64_t chunk, uint32_t index) {
    uint64_t header = aipc_pool_header(c->view, chunk, index), word = word_of(c, chunk, index);
    uint32_t state = aipc_pool_state(word), value = aipc_pool_value(word);
    bool right = word == aipc_pool_word(c->seg, header, state, index, value) && state != 0 &&
                 value <= (state == AIPC_POOL_FREE ? c->view->per_chunk : c->seg->participants - 1);
    if (!right) found(c, "J1 node of a pool", header, word, aipc_pool_word(c->seg, header, AIPC_POOL_FREE, index, 0));
    if (right && state == AIPC_POOL_CACHED &&
        aipc_life_state(aipc_load_seq_cst64(&c->seg->slots[value].life)) == AIPC_SLOT_FREE)
        found(c, "J1 node cached by nobody", header, value, 0);
    return right && state == AIPC_POOL_FREE;
}

/* J1 and J3 of one chunk. */
static void check_nodes(check *c, uint64_t offset, const struct aipc_pool_chunk *chunk) {
    uint64_t free = aipc_load_relaxed64(&chunk->free), where = aipc_offset(c->seg, &chunk->free);
    uint32_t count = 0, listed = 0, next = (uint32_t)(free >> 32);
    for (uint32_t i = 0; i < c->view->per_chunk; i++) count += check_node(c, offset, i);
    while (next != 0 && next <= c->view->per_chunk && listed <= count) {
        uint64_t word = word_of(c, offset, next - 1);
        if (aipc_pool_state(word) != AIPC_POOL_FREE) break;
        listed++;
        next = aipc_pool_value(word);
    }
    if (next != 0 || listed != count || (uint32_t)free != count) found(c, "J3 free nodes of a chunk", where, free, count);
    c->free_nodes += count;
    c->idle += count == c->view->per_chunk;
    c->partial += count != 0 && count < c->view->per_chunk;
}

static void check_chunks(check *c) {
    uint64_t from = aipc_offset(c->seg, &c->view->pool->chunks), prev = 0;
    uint64_t offset = aipc_load_relaxed64(&c->view->pool->chunks), most = c->seg->limit / AIPC_BLOCK_MIN;
    while (offset != 0) {
        const struct aipc_pool_chunk *chunk = aipc_pool_chunk_at(c->seg, c->view, offset);
        if (chunk == NULL || c->chunks == most) {
            found(c, "J2 chunk of a pool", from, offset, 0);
            return;
        }
        if (aipc_load_relaxed64(&chunk->all[1]) != prev)
            found(c, "J2 backward link of a chunk", offset, aipc_load_relaxed64(&chunk->all[1]), prev);
        check_nodes(c, offset, chunk);
        c->chunks++;
        prev = offset;
        from = aipc_offset(c->seg, &chunk->all[0]);
        offset = aipc_load_relaxed64(&chunk->all[0]);
    }
}

/* J4: as many as there are of such chunks, each such a one. */
static void check_list(check *c, const uint64_t *head, bool idle, uint64_t expected) {
    uint64_t offset = aipc_load_relaxed64(head), prev = 0, count = 0;
    for (; offset != 0 && count <= expected; count++) {
        const struct aipc_pool_chunk *chunk = aipc_pool_chunk_at(c->seg, c->view, offset);
        if (chunk == NULL) break;
        uint32_t free = (uint32_t)aipc_load_relaxed64(&chunk->free);
        if (free == 0 || (free == c->view->per_chunk) != idle)
            found(c, "J4 chunk in a list not its own", offset, free, c->view->per_chunk);
        if (aipc_load_relaxed64(&chunk->listed[1]) != prev)
            found(c, "J4 backward link of a chunk", offset, aipc_load_relaxed64(&chunk->listed[1]), prev);
        prev = offset;
        offset = aipc_load_relaxed64(&chunk->listed[0]);
    }
    if (offset != 0 || count != expected) found(c, "J4 chunks of a list", aipc_offset(c->seg, head), count, expected);
}

static void check_counter(check *c, const uint64_t *counter, uint64_t expected) {
    uint64_t value = aipc_load_relaxed64(counter);
    if (value != expected) found(c, "J5 counter of a pool", aipc_offset(c->seg, counter), value, expected);
}

aipc_status aipc_pool_check(aipc_ctx *ctx, const aipc_pool_view *view, aipc_report *report) {
    struct aipc_pool *pool = view->pool;
    check c = {.seg = ctx->seg, .view = view, .report = report};
    aipc_status status = aipc_domain_lock(ctx, &pool->domain);
    if (status != AIPC_OK) return status;
    check_chunks(&c);
    check_list(&c, &pool->idle, true, c.idle);
    check_list(&c, &pool->partial, false, c.partial);
    check_counter(&c, &pool->chunk_count, c.chunks);
    check_counter(&c, &pool->idle_count, c.idle);
    check_counter(&c, &pool->free_nodes, c.free_nodes);
    aipc_domain_unlock(ctx, &pool->domain);
    report->parts += c.chunks;
    return AIPC_OK;
}
