#include "rwlock_state.h"

#include "os.h"

enum { NODES = 64 }; /* notified or removed in one hold of the lock */

#define NEVER UINT64_MAX
#define ORDER_AFTER_NS UINT64_C(1000000)

static uint64_t from_of(aipc_rwlock_want want) { return want == AIPC_UPGRADE ? AIPC_RW_UPGRADABLE : AIPC_RW_NOTHING; }
static uint64_t to_of(aipc_rwlock_want want) {
    return want == AIPC_READ ? AIPC_RW_READ : want == AIPC_UPGRADABLE ? AIPC_RW_UPGRADABLE : AIPC_RW_WRITE;
}

/* ---- whose turn it is: all of it under waits ------------------------------------------------------------ */

/* Who has waited longest for each. */
typedef struct heads {
    bool fair;
    uint32_t number[4];
    uint64_t since[4]; /* NEVER: nobody */
} heads;

static aipc_status remove_node(aipc_seg *seg, struct aipc_wait_queue *queue, uint32_t node) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    return aipc_tx_finish(&tx, aipc_wait_remove(&tx, queue, node));
}

/* The head of one queue, once those who withdrew without reaching it are out of the way. */
static aipc_status find_head(aipc_seg *seg, struct aipc_wait_queue *queue, uint32_t *number, uint64_t *since) {
    for (;;) { /* each turn removes a node */
        *number = aipc_load_relaxed32(&queue->head);
        *since = NEVER;
        if (*number == AIPC_NO_NODE) return AIPC_OK;
        const struct aipc_node *node = aipc_wait_node(seg, *number, queue);
        if (node == NULL) return aipc_corrupt(seg, "W2 head of a wait queue", queue, *number, 0);
        *since = aipc_load_relaxed64(&node->since);
        if (aipc_load_seq_cst32(&node->withdrawn) == 0) return AIPC_OK; /* SYNC withdrawn */
        aipc_status status = remove_node(seg, queue, *number);
        if (status != AIPC_OK) return status;
    }
}

static aipc_status find_heads(aipc_seg *seg, struct aipc_rwlock *rw, heads *h) {
    aipc_status status = AIPC_OK;
    h->fair = aipc_load_relaxed64(&rw->fair) != 0;
    for (int want = AIPC_READ; want <= AIPC_UPGRADE && status == AIPC_OK; want++)
        status = find_head(seg, &rw->waiters[want], &h->number[want], &h->since[want]);
    return status;
}

/* Whether one that has wanted this since then comes before all it cannot share with. */
static bool has_turn(const heads *h, aipc_rwlock_want want, uint64_t since) {
    switch (want) {
    case AIPC_READ:
        return h->since[AIPC_UPGRADE] == NEVER && (h->since[AIPC_WRITE] == NEVER || (h->fair && since <= h->since[AIPC_WRITE]));
    case AIPC_WRITE:
        if (h->fair && since > h->since[AIPC_READ]) return false;
        /* fall through */
    case AIPC_UPGRADABLE:
        return since <= h->since[AIPC_WRITE] && since <= h->since[AIPC_UPGRADABLE];
    default:
        return since <= h->since[AIPC_UPGRADE];
    }
}

/* Since when a newcomer counts as waiting: one that may barge comes before those who came within the last millisecond. */
static uint64_t arrival(const heads *h, bool barge) {
    uint64_t now = aipc_os_now();
    return barge && !h->fair ? now - ORDER_AFTER_NS : now;
}

/* Takes it for who has waited since then, or for a newcomer (NEVER). */
static aipc_status take(aipc_seg *seg, struct aipc_rwlock *rw, aipc_rwlock_want want, uint64_t since, bool barge,
                        aipc_rw_sum *sum) {
    heads h;
    *sum = (aipc_rw_sum){.writers = 1}; /* the gate stays closed if we fail early */
    aipc_status status = find_heads(seg, rw, &h);
    if (status != AIPC_OK) return status;
    bool turn = has_turn(&h, want, since == NEVER ? arrival(&h, barge) : since);
    return aipc_rw_take(seg, rw, from_of(want), to_of(want), turn, sum);
}

/* ---- taking it ------------------------------------------------------------------------------------------ */

aipc_status aipc_rwlock_try(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want) {
    aipc_seg *seg = ctx->seg;
    aipc_rw_sum sum;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = take(seg, rw, want, NEVER, true, &sum);
    aipc_rw_settle_gate(rw, &sum);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

static aipc_status enlist(aipc_seg *seg, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t bell, uint64_t token,
                          uint32_t *node) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    aipc_status status = aipc_tx_finish(&tx, aipc_wait_enlist(&tx, &rw->waiters[want], bell, token, want, node));
    if (status != AIPC_OK) return status;
    aipc_store_relaxed32(&rw->contended, aipc_load_relaxed32(&rw->contended) + 1);
    return AIPC_AGAIN;
}

aipc_status aipc_rwlock_wait(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t bell, uint64_t token,
                             bool barge, uint32_t *node) {
    aipc_seg *seg = ctx->seg;
    aipc_rw_sum sum;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    aipc_rw_close_gate(rw, AIPC_GATE_WAITERS); /* before the words are summed up for the last time */
    status = take(seg, rw, want, NEVER, barge, &sum);
    if (status == AIPC_AGAIN) status = enlist(seg, rw, want, bell, token, node);
    aipc_rw_settle_gate(rw, &sum);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

static aipc_status keep_waiting(aipc_seg *seg, uint32_t node) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    aipc_status status = aipc_tx_finish(&tx, aipc_wait_again(&tx, node));
    return status == AIPC_OK ? AIPC_AGAIN : status;
}

static aipc_status look_locked(aipc_seg *seg, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t number) {
    const struct aipc_node *node = aipc_wait_node(seg, number, &rw->waiters[want]);
    if (node == NULL) return aipc_corrupt(seg, "W1 wait node", &rw->waiters[want], number, 0);
    aipc_rw_sum sum;
    aipc_status status = take(seg, rw, want, aipc_load_relaxed64(&node->since), false, &sum);
    if (status == AIPC_OK) status = remove_node(seg, &rw->waiters[want], number);
    else if (status == AIPC_AGAIN) status = keep_waiting(seg, number);
    aipc_rw_settle_gate(rw, &sum);
    return status;
}

aipc_status aipc_rwlock_look(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = look_locked(seg, rw, want, node);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

/* ---- telling the others --------------------------------------------------------------------------------- */

typedef struct waking {
    struct aipc_rwlock *rw;
    heads heads;
    uint32_t budget; /* nodes of this hold */
    aipc_rings rings;
} waking;

/* Notifies a node.  AIPC_AGAIN: not in this hold. */
static aipc_status notify(aipc_seg *seg, waking *w, uint32_t number, const struct aipc_node *node) {
    aipc_bell_target target = aipc_wait_target(node);
    if (w->budget == 0 || !aipc_rings_add(&w->rings, &target)) return AIPC_AGAIN;
    w->budget--;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    return aipc_tx_finish(&tx, aipc_wait_notify(&tx, number, &target));
}

/* Rings also who was notified before: who did that may have been stopped before it rang. */
static aipc_status notify_head(aipc_seg *seg, waking *w, aipc_rwlock_want want) {
    uint32_t number = w->heads.number[want];
    const struct aipc_node *node = aipc_wait_node(seg, number, &w->rw->waiters[want]);
    return node == NULL ? AIPC_OK : notify(seg, w, number, node);
}

static aipc_status notify_reader(aipc_seg *seg, waking *w, uint32_t number, const struct aipc_node *node) {
    if (aipc_load_seq_cst32(&node->withdrawn) != 0) { /* SYNC withdrawn */
        if (w->budget == 0) return AIPC_AGAIN;
        w->budget--;
        return remove_node(seg, &w->rw->waiters[AIPC_READ], number);
    }
    if (aipc_load_relaxed32(&node->state) != AIPC_NODE_WAITING) return AIPC_OK;
    return notify(seg, w, number, node);
}

/* All that come before the next writer, together. */
static aipc_status notify_readers(aipc_seg *seg, waking *w) {
    struct aipc_wait_queue *queue = &w->rw->waiters[AIPC_READ];
    uint32_t number = aipc_load_relaxed32(&queue->head);
    for (uint32_t steps = 0; number != AIPC_NO_NODE; steps++) {
        const struct aipc_node *node = aipc_wait_node(seg, number, queue);
        if (node == NULL || steps > seg->node_count)
            return aipc_corrupt(seg, "W2 links of a wait queue", queue, number, 0);
        if (!has_turn(&w->heads, AIPC_READ, aipc_load_relaxed64(&node->since))) return AIPC_OK;
        uint32_t next = aipc_load_relaxed32(&node->next);
        aipc_status status = notify_reader(seg, w, number, node);
        if (status != AIPC_OK) return status;
        number = next;
    }
    return AIPC_OK;
}

static bool may_go(const heads *h, const aipc_rw_sum *sum, aipc_rwlock_want want) {
    if (h->since[want] == NEVER) return false;
    /* Whoever waits to upgrade what it has let go of meanwhile is to hear of that. */
    if (want == AIPC_UPGRADE) return sum->reads == 0 || sum->upgradables == 0;
    return has_turn(h, want, h->since[want]) && aipc_rw_possible(sum, AIPC_RW_NOTHING, to_of(want));
}

/* Under waits.  AIPC_AGAIN: there is more to do after ringing. */
static aipc_status tell_some(aipc_seg *seg, waking *w) {
    aipc_status status = find_heads(seg, w->rw, &w->heads);
    if (status != AIPC_OK) return status;
    aipc_rw_sum sum = aipc_rw_sum_up(seg, w->rw);
    aipc_rw_settle_gate(w->rw, &sum);
    for (int want = AIPC_WRITE; want <= AIPC_UPGRADE && status == AIPC_OK; want++)
        if (may_go(&w->heads, &sum, want)) status = notify_head(seg, w, want);
    if (status == AIPC_OK && may_go(&w->heads, &sum, AIPC_READ)) status = notify_readers(seg, w);
    return status;
}

static aipc_status tell_once(aipc_ctx *ctx, waking *w) {
    aipc_seg *seg = ctx->seg;
    w->budget = NODES;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = tell_some(seg, w);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    aipc_rings_ring(seg, &w->rings);
    return status;
}

aipc_status aipc_rw_tell(aipc_ctx *ctx, struct aipc_rwlock *rw) {
    aipc_seg *seg = ctx->seg;
    waking w = {.rw = rw};
    aipc_status status = AIPC_AGAIN;
    aipc_shield(seg, true);
    /* Those notified first may be back in line before the last ones were reached: so many turns, then all look. */
    for (uint32_t turns = seg->node_count / AIPC_RINGS + 2; status == AIPC_AGAIN && turns > 0; turns--)
        status = tell_once(ctx, &w);
    aipc_shield(seg, false);
    if (status != AIPC_OK) aipc_wait_rouse(seg);
    return status == AIPC_CORRUPT ? status : AIPC_OK;
}

/* The lock cannot be had: the node is left to who finds it in the queue, and everybody looks. */
static aipc_status withdraw(aipc_seg *seg, struct aipc_wait_queue *queue, uint32_t number) {
    struct aipc_node *node = aipc_wait_node(seg, number, queue);
    if (node == NULL) return AIPC_OK;
    (void)aipc_exchange_seq_cst32(&node->withdrawn, 1); /* SYNC withdrawn */
    aipc_wait_rouse(seg);
    return AIPC_OK;
}

aipc_status aipc_rwlock_cancel(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_shield(seg, true);
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    aipc_shield(seg, false);
    if (status != AIPC_OK) return status == AIPC_STALLED ? withdraw(seg, &rw->waiters[want], node) : status;
    status = remove_node(seg, &rw->waiters[want], node);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status == AIPC_OK ? aipc_rw_tell(ctx, rw) : status; /* it may have been what others waited behind */
}

aipc_status aipc_rwlock_close(aipc_ctx *ctx, struct aipc_rwlock *rw) {
    (void)rw; /* what it protects is gone: its waiters find that out for themselves */
    aipc_wait_rouse(ctx->seg);
    return AIPC_OK;
}

/* ---- the dead in the way -------------------------------------------------------------------------------- */

/* Without a lock: whether a participant keeps others from `to`, by what it holds or by waiting first. */
static bool in_the_way(aipc_seg *seg, const struct aipc_rwlock *rw, uint32_t slot, uint64_t to) {
    aipc_rw_sum its = {0};
    uint64_t word = aipc_load_seq_cst64(&rw->holders[slot]);
    if (aipc_rw_counts(seg, slot, word)) aipc_rw_add(&its, word);
    if (!aipc_rw_possible(&its, AIPC_RW_NOTHING, to)) return true;
    for (int want = AIPC_READ; want <= AIPC_UPGRADE; want++) {
        const struct aipc_node *node =
            aipc_wait_node(seg, aipc_load_relaxed32(&rw->waiters[want].head), &rw->waiters[want]);
        if (node != NULL && aipc_load_relaxed32(&node->slot) == slot) return true;
    }
    return false;
}

aipc_status aipc_rw_recover_one(aipc_ctx *ctx, struct aipc_rwlock *rw, uint64_t to) {
    aipc_seg *seg = ctx->seg;
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        uint32_t generation;
        if (slot == seg->slot || !in_the_way(seg, rw, slot, to)) continue;
        aipc_status status = aipc_participant_test(seg, slot, &generation);
        if (status == AIPC_OK) continue;
        if (status == AIPC_NOT_FOUND) status = seg->recover(ctx, slot, generation);
        if (status != AIPC_AGAIN) return status; /* somebody else is at it: it will tell */
    }
    return AIPC_NOT_FOUND;
}

aipc_status aipc_rwlock_try_recover(aipc_ctx *ctx, struct aipc_rwlock *rw, aipc_rwlock_want want) {
    for (;;) { /* each turn finds one dead */
        aipc_status status = aipc_rwlock_try(ctx, rw, want);
        if (status != AIPC_AGAIN) return status;
        status = aipc_rw_recover_one(ctx, rw, to_of(want));
        if (status != AIPC_OK) return status == AIPC_NOT_FOUND ? AIPC_AGAIN : status;
    }
}
