#include "waiters.h"

#include "os.h"

enum {
    BATCH = 12, /* nodes per transaction: their changes must fit into the log */
    NODES = 64  /* forsaken in one hold of the lock */
};

static uint32_t number_of(const aipc_seg *seg, const struct aipc_node *node) {
    return (uint32_t)(node - seg->nodes) + 1;
}

static struct aipc_node *at(aipc_seg *seg, uint32_t node) {
    return node - 1 < seg->node_count ? &seg->nodes[node - 1] : NULL;
}

static aipc_status broken(aipc_seg *seg, const char *what, const void *where, uint64_t found,
                          uint64_t expected) {
    return aipc_corrupt(seg, what, where, found, expected);
}

struct aipc_node *aipc_wait_node(aipc_seg *seg, uint32_t number, const struct aipc_wait_queue *queue) {
    struct aipc_node *node = at(seg, number);
    if (node == NULL || aipc_load_relaxed32(&node->state) == AIPC_NODE_FREE ||
        aipc_load_relaxed32(&node->slot) >= seg->participants ||
        aipc_load_relaxed32(&node->bell) >= AIPC_BELLS)
        return NULL;
    if (queue != NULL && aipc_load_relaxed64(&node->queue) != aipc_offset(seg, queue)) return NULL;
    return node;
}

aipc_bell_target aipc_wait_target(const struct aipc_node *node) {
    return (aipc_bell_target){aipc_load_relaxed32(&node->slot), aipc_load_relaxed32(&node->generation),
                              aipc_load_relaxed32(&node->bell), true};
}

static struct aipc_bell *bell_of(aipc_seg *seg, const struct aipc_node *node) {
    return &seg->slots[aipc_load_relaxed32(&node->slot)].bells[aipc_load_relaxed32(&node->bell)];
}

/* ---- the slab ---------------------------------------------------------------------------------- */

static aipc_status take_free(aipc_tx *tx, struct aipc_node **out) {
    aipc_seg *seg = tx->seg;
    struct aipc_waits *waits = seg->waits;
    uint32_t number = aipc_load_relaxed32(&waits->free_node);
    if (number != AIPC_NO_NODE) {
        struct aipc_node *node = at(seg, number);
        if (node == NULL || aipc_load_relaxed32(&node->state) != AIPC_NODE_FREE)
            return broken(seg, "W1 free list of wait nodes", &waits->free_node, number, 0);
        aipc_tx_set32(tx, &waits->free_node, aipc_load_relaxed32(&node->next));
        *out = node;
        return AIPC_OK;
    }
    uint32_t used = aipc_load_relaxed32(&waits->nodes_used);
    if (used >= seg->node_count) return AIPC_NO_WAITER;
    aipc_tx_set32(tx, &waits->nodes_used, used + 1);
    *out = &seg->nodes[used];
    return AIPC_OK;
}

static void give_free(aipc_tx *tx, struct aipc_node *node) {
    struct aipc_waits *waits = tx->seg->waits;
    aipc_tx_set32(tx, &node->state, AIPC_NODE_FREE);
    aipc_tx_set32(tx, &node->next, aipc_load_relaxed32(&waits->free_node));
    aipc_tx_set32(tx, &waits->free_node, number_of(tx->seg, node));
    aipc_tx_set32(tx, &waits->waiting, aipc_load_relaxed32(&waits->waiting) - 1);
}

/* ---- queues ------------------------------------------------------------------------------------ */

/* Changes six words. */
static aipc_status link_last(aipc_tx *tx, struct aipc_wait_queue *queue, struct aipc_node *node) {
    aipc_seg *seg = tx->seg;
    uint32_t number = number_of(seg, node), tail = aipc_load_relaxed32(&queue->tail);
    struct aipc_node *last = tail == AIPC_NO_NODE ? NULL : aipc_wait_node(seg, tail, queue);
    if (tail != AIPC_NO_NODE && last == NULL)
        return broken(seg, "W2 tail of a wait queue", &queue->tail, tail, 0);
    aipc_tx_set(tx, &node->queue, aipc_offset(seg, queue));
    aipc_tx_set32(tx, &node->next, AIPC_NO_NODE);
    aipc_tx_set32(tx, &node->prev, tail);
    aipc_tx_set32(tx, last != NULL ? &last->next : &queue->head, number);
    aipc_tx_set32(tx, &queue->tail, number);
    aipc_tx_set32(tx, &queue->length, aipc_load_relaxed32(&queue->length) + 1);
    return AIPC_OK;
}

aipc_status aipc_wait_enlist(aipc_tx *tx, struct aipc_wait_queue *queue, uint32_t bell, uint64_t token,
                             uint64_t want, uint32_t *out) {
    aipc_seg *seg = tx->seg;
    struct aipc_node *node = NULL;
    aipc_status status = take_free(tx, &node);
    if (status != AIPC_OK) return status;
    aipc_tx_set(tx, &node->token, token);
    aipc_tx_set(tx, &node->since, aipc_os_now());
    aipc_tx_set32(tx, &node->slot, seg->slot);
    aipc_tx_set32(tx, &node->generation, seg->generation);
    aipc_tx_set32(tx, &node->got, 0);
    aipc_store_relaxed32(&node->bell, bell);
    aipc_store_relaxed32(&node->withdrawn, 0);
    aipc_store_relaxed64(&node->want, want);
    aipc_tx_set32(tx, &node->state, AIPC_NODE_WAITING);
    status = link_last(tx, queue, node);
    aipc_tx_set32(tx, &seg->waits->waiting, aipc_load_relaxed32(&seg->waits->waiting) + 1);
    *out = number_of(seg, node);
    return status;
}

/* The place that must hold `number` on one side of a node: the neighbour's link, or the list's end. */
static uint32_t *link_to(aipc_seg *seg, uint32_t neighbour, bool next, const struct aipc_wait_queue *queue,
                         uint32_t *end) {
    if (neighbour == AIPC_NO_NODE) return end;
    struct aipc_node *node = aipc_wait_node(seg, neighbour, queue);
    return node == NULL ? NULL : next ? &node->next : &node->prev;
}

/* Changes three words. */
static aipc_status take_out(aipc_tx *tx, struct aipc_wait_queue *queue, struct aipc_node *node) {
    aipc_seg *seg = tx->seg;
    uint32_t number = number_of(seg, node);
    uint32_t next = aipc_load_relaxed32(&node->next), prev = aipc_load_relaxed32(&node->prev);
    uint32_t *before = link_to(seg, prev, true, queue, &queue->head);
    uint32_t *after = link_to(seg, next, false, queue, &queue->tail);
    if (before == NULL || after == NULL || aipc_load_relaxed32(before) != number ||
        aipc_load_relaxed32(after) != number)
        return broken(seg, "W2 links of a wait queue", node, number, 0);
    aipc_tx_set32(tx, before, next);
    aipc_tx_set32(tx, after, prev);
    aipc_tx_set32(tx, &queue->length, aipc_load_relaxed32(&queue->length) - 1);
    return AIPC_OK;
}

aipc_status aipc_wait_remove(aipc_tx *tx, struct aipc_wait_queue *queue, uint32_t number) {
    aipc_seg *seg = tx->seg;
    struct aipc_node *node = aipc_wait_node(seg, number, queue);
    if (node == NULL) return broken(seg, "W1 wait node", queue, number, 0);
    aipc_status status = aipc_wait_again(tx, number);
    if (status == AIPC_OK) status = take_out(tx, queue, node);
    if (status == AIPC_OK) give_free(tx, node);
    return status;
}

aipc_status aipc_wait_first(aipc_seg *seg, const struct aipc_wait_queue *queue, uint32_t *number) {
    *number = aipc_load_relaxed32(&queue->head);
    for (uint32_t steps = 0; *number != AIPC_NO_NODE; steps++) {
        const struct aipc_node *node = aipc_wait_node(seg, *number, queue);
        if (node == NULL || steps > seg->node_count)
            return broken(seg, "W2 links of a wait queue", queue, *number, 0);
        if (aipc_load_seq_cst32(&node->withdrawn) == 0) return AIPC_OK; /* SYNC withdrawn */
        *number = aipc_load_relaxed32(&node->next);
    }
    return AIPC_OK;
}

aipc_status aipc_wait_give(aipc_tx *tx, struct aipc_wait_queue *from, uint32_t number, struct aipc_wait_queue *to,
                           uint32_t got, aipc_bell_target *target) {
    struct aipc_node *node = aipc_wait_node(tx->seg, number, from);
    if (node == NULL) return broken(tx->seg, "W1 wait node", from, number, 0);
    aipc_status status = take_out(tx, from, node);
    if (status == AIPC_OK) status = link_last(tx, to, node);
    if (status != AIPC_OK) return status;
    aipc_tx_set32(tx, &node->got, got);
    return aipc_wait_notify(tx, number, target);
}

aipc_status aipc_wait_forsake(aipc_tx *tx, struct aipc_wait_queue *queue, uint32_t number, aipc_bell_target *target) {
    aipc_seg *seg = tx->seg;
    const struct aipc_node *node = aipc_wait_node(seg, number, queue);
    bool token = node != NULL && aipc_load_relaxed32(&node->got) == AIPC_GOT_TOKEN;
    target->set = false;
    aipc_status status = aipc_wait_remove(tx, queue, number);
    if (status != AIPC_OK || !token) return status;
    uint32_t heir;
    uint64_t want = aipc_load_relaxed64(&node->want);
    struct aipc_wait_queue *from = aipc_at(seg, want, sizeof *from);
    if (from == NULL) return broken(seg, "W1 queue of a token", node, want, 0);
    status = aipc_wait_first(seg, from, &heir);
    if (status != AIPC_OK || heir == AIPC_NO_NODE) return status;
    if (aipc_load_relaxed64(&seg->nodes[heir - 1].want) != want)
        return broken(seg, "W1 queue of a token", from, heir, want);
    return aipc_wait_give(tx, from, heir, queue, AIPC_GOT_TOKEN, target);
}

/* ---- ready lists ------------------------------------------------------------------------------- */

aipc_status aipc_wait_notify(aipc_tx *tx, uint32_t number, aipc_bell_target *target) {
    aipc_seg *seg = tx->seg;
    struct aipc_node *node = aipc_wait_node(seg, number, NULL);
    if (node == NULL) return broken(seg, "W1 wait node", seg->waits, number, 0);
    *target = aipc_wait_target(node);
    if (aipc_load_relaxed32(&node->state) == AIPC_NODE_NOTIFIED) return AIPC_OK;

    struct aipc_bell *bell = bell_of(seg, node);
    uint32_t tail = aipc_load_relaxed32(&bell->ready_tail);
    struct aipc_node *last = tail == AIPC_NO_NODE ? NULL : aipc_wait_node(seg, tail, NULL);
    if (tail != AIPC_NO_NODE && last == NULL)
        return broken(seg, "W3 tail of a ready list", &bell->ready_tail, tail, 0);
    aipc_tx_set32(tx, &node->state, AIPC_NODE_NOTIFIED);
    aipc_tx_set32(tx, &node->ready_next, AIPC_NO_NODE);
    aipc_tx_set32(tx, &node->ready_prev, tail);
    aipc_tx_set32(tx, last != NULL ? &last->ready_next : &bell->ready_head, number);
    aipc_tx_set32(tx, &bell->ready_tail, number);
    return AIPC_OK;
}

aipc_status aipc_wait_again(aipc_tx *tx, uint32_t number) {
    aipc_seg *seg = tx->seg;
    struct aipc_node *node = aipc_wait_node(seg, number, NULL);
    if (node == NULL) return broken(seg, "W1 wait node", seg->waits, number, 0);
    if (aipc_load_relaxed32(&node->state) != AIPC_NODE_NOTIFIED) return AIPC_OK;

    struct aipc_bell *bell = bell_of(seg, node);
    uint32_t next = aipc_load_relaxed32(&node->ready_next), prev = aipc_load_relaxed32(&node->ready_prev);
    struct aipc_node *after = next == AIPC_NO_NODE ? NULL : aipc_wait_node(seg, next, NULL);
    struct aipc_node *before = prev == AIPC_NO_NODE ? NULL : aipc_wait_node(seg, prev, NULL);
    uint32_t *from_before = before != NULL ? &before->ready_next : &bell->ready_head;
    uint32_t *from_after = after != NULL ? &after->ready_prev : &bell->ready_tail;
    if ((next != AIPC_NO_NODE && after == NULL) || (prev != AIPC_NO_NODE && before == NULL) ||
        aipc_load_relaxed32(from_before) != number || aipc_load_relaxed32(from_after) != number)
        return broken(seg, "W3 links of a ready list", node, number, 0);
    aipc_tx_set32(tx, from_before, next);
    aipc_tx_set32(tx, from_after, prev);
    aipc_tx_set32(tx, &node->state, AIPC_NODE_WAITING);
    return AIPC_OK;
}

/* ---- whole operations -------------------------------------------------------------------------- */

static aipc_status collect_some(aipc_tx *tx, struct aipc_bell *bell, uint64_t *tokens, uint32_t capacity,
                                uint32_t *count) {
    aipc_seg *seg = tx->seg;
    for (uint32_t n = 0; n < BATCH; n++) {
        uint32_t number = aipc_load_relaxed32(&bell->ready_head);
        if (number == AIPC_NO_NODE) return AIPC_OK;
        if (*count == capacity) return AIPC_AGAIN;
        struct aipc_node *node = aipc_wait_node(seg, number, NULL);
        if (node == NULL || aipc_load_relaxed32(&node->state) != AIPC_NODE_NOTIFIED)
            return broken(seg, "W3 head of a ready list", &bell->ready_head, number, 0);
        aipc_status status = aipc_wait_again(tx, number);
        if (status != AIPC_OK) return status;
        tokens[(*count)++] = aipc_load_relaxed64(&node->token);
    }
    return AIPC_AGAIN;
}

aipc_status aipc_wait_collect(aipc_ctx *ctx, uint32_t bell_index, uint64_t *tokens, uint32_t capacity,
                              uint32_t *count) {
    aipc_seg *seg = ctx->seg;
    struct aipc_bell *bell = &seg->slots[seg->slot].bells[bell_index];
    *count = 0;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    do {
        aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
        status = collect_some(&tx, bell, tokens, capacity, count);
        if (status == AIPC_OK || status == AIPC_AGAIN)
            aipc_tx_commit(&tx);
        else
            aipc_tx_abort(&tx);
    } while (status == AIPC_AGAIN && *count < capacity);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

void aipc_wait_rouse(aipc_seg *seg) {
    (void)aipc_fetch_add_seq_cst32(&seg->header->recoveries, 1);
    aipc_bell_ring_all(seg);
}

/* Forsakes one node, if there is room for one more bell to ring. */
static aipc_status forsake(aipc_seg *seg, struct aipc_wait_queue *queue, uint32_t number, aipc_rings *rings) {
    aipc_bell_target target;
    if (rings->count == AIPC_RINGS) return AIPC_AGAIN;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    aipc_status status = aipc_tx_finish(&tx, aipc_wait_forsake(&tx, queue, number, &target));
    if (status == AIPC_OK && target.set) (void)aipc_rings_add(rings, &target);
    return status;
}

/* From *index on; AIPC_AGAIN: not all in this hold of the lock. */
static aipc_status release_some(aipc_seg *seg, uint32_t slot, uint32_t *index, aipc_rings *rings) {
    uint32_t used = aipc_load_relaxed32(&seg->waits->nodes_used), budget = NODES;
    if (used > seg->node_count) return broken(seg, "W1 nodes_used", &seg->waits->nodes_used, used, seg->node_count);
    for (; *index < used; ++*index) {
        const struct aipc_node *node = &seg->nodes[*index];
        if (aipc_load_relaxed32(&node->state) == AIPC_NODE_FREE || aipc_load_relaxed32(&node->slot) != slot)
            continue;
        if (budget-- == 0) return AIPC_AGAIN;
        struct aipc_wait_queue *queue = aipc_at(seg, aipc_load_relaxed64(&node->queue), sizeof *queue);
        if (queue == NULL) return broken(seg, "W1 queue of a wait node", node, aipc_load_relaxed64(&node->queue), 0);
        aipc_status status = forsake(seg, queue, *index + 1, rings);
        if (status != AIPC_OK) return status;
    }
    return AIPC_OK;
}

aipc_status aipc_waits_release(aipc_ctx *ctx, uint32_t slot) {
    aipc_seg *seg = ctx->seg;
    aipc_rings rings = {.count = 0};
    aipc_status status = AIPC_AGAIN;
    for (uint32_t index = 0; status == AIPC_AGAIN;) { /* nobody enlists for it any more: one pass is enough */
        status = aipc_domain_lock(ctx, &seg->waits->domain);
        if (status != AIPC_OK) return status;
        status = release_some(seg, slot, &index, &rings);
        aipc_domain_unlock(ctx, &seg->waits->domain);
        aipc_rings_ring(seg, &rings);
    }
    return status;
}

/* ---- withdrawn nodes --------------------------------------------------------------------------- */

void aipc_wait_withdraw(aipc_seg *seg, uint32_t number, uint32_t *withdrawn) {
    struct aipc_node *node = aipc_wait_node(seg, number, NULL);
    if (node == NULL) return;
    (void)aipc_exchange_seq_cst32(&node->withdrawn, 1); /* SYNC withdrawn */
    (void)aipc_fetch_add_seq_cst32(withdrawn, 1);
}

static aipc_status sweep_queue(aipc_seg *seg, struct aipc_wait_queue *queue, uint32_t *budget, aipc_rings *rings) {
    uint32_t number = aipc_load_relaxed32(&queue->head);
    for (uint32_t steps = 0; number != AIPC_NO_NODE; steps++) {
        const struct aipc_node *node = aipc_wait_node(seg, number, queue);
        if (node == NULL || steps > seg->node_count)
            return broken(seg, "W2 links of a wait queue", queue, number, 0);
        uint32_t next = aipc_load_relaxed32(&node->next);
        if (aipc_load_seq_cst32(&node->withdrawn) != 0) { /* SYNC withdrawn */
            if (*budget == 0) return AIPC_AGAIN;
            --*budget;
            aipc_status status = forsake(seg, queue, number, rings);
            if (status != AIPC_OK) return status;
        }
        number = next;
    }
    return AIPC_OK;
}

aipc_status aipc_wait_sweep(aipc_ctx *ctx, struct aipc_wait_queue *waiters, struct aipc_wait_queue *served,
                            uint32_t *withdrawn) {
    aipc_seg *seg = ctx->seg;
    aipc_rings rings = {.count = 0};
    aipc_status status = AIPC_AGAIN;
    while (status == AIPC_AGAIN && aipc_load_seq_cst32(withdrawn) != 0) { /* each turn removes a node */
        uint32_t budget = NODES;
        status = aipc_domain_lock(ctx, &seg->waits->domain);
        if (status != AIPC_OK) return status;
        uint32_t seen = aipc_load_seq_cst32(withdrawn);
        status = sweep_queue(seg, waiters, &budget, &rings);
        if (status == AIPC_OK) status = sweep_queue(seg, served, &budget, &rings);
        /* Not while there is more to do, nor if somebody withdrew behind our back: then the next one sweeps. */
        if (status == AIPC_OK) (void)aipc_cas_seq_cst32(withdrawn, seen, 0);
        aipc_domain_unlock(ctx, &seg->waits->domain);
        aipc_rings_ring(seg, &rings);
    }
    return status == AIPC_AGAIN ? AIPC_OK : status;
}
