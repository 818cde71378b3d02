#include "condition.h"

#include "os.h"

enum { NODES = 64 }; /* notified in one hold of the lock */

/* Takes the waits lock, once nothing is left of those who withdrew. */
static aipc_status enter(aipc_ctx *ctx, struct aipc_condition *c) {
    aipc_status status = aipc_wait_sweep(ctx, &c->waiters, &c->served, &c->withdrawn);
    return status == AIPC_OK ? aipc_domain_lock(ctx, &ctx->seg->waits->domain) : status;
}

static bool closed(const struct aipc_condition *c) { return aipc_load_seq_cst32(&c->closed) != 0; }

aipc_status aipc_condition_stand(aipc_ctx *ctx, struct aipc_condition *c, uint32_t bell, uint64_t token,
                                 uint32_t *node) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = enter(ctx, c);
    if (status != AIPC_OK) return status;
    if (closed(c)) {
        status = AIPC_CLOSED;
    } else {
        aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
        uint64_t want = aipc_offset(seg, &c->waiters);
        status = aipc_tx_finish(&tx, aipc_wait_enlist(&tx, &c->waiters, bell, token, want, node));
        if (status == AIPC_OK) aipc_store_relaxed32(&c->contended, aipc_load_relaxed32(&c->contended) + 1);
    }
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

static aipc_status look_locked(aipc_seg *seg, struct aipc_condition *c, uint32_t node) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    if (aipc_wait_node(seg, node, &c->served) != NULL)
        return aipc_tx_finish(&tx, aipc_wait_remove(&tx, &c->served, node));
    bool over = closed(c);
    aipc_status status = AIPC_CORRUPT;
    if (aipc_wait_node(seg, node, &c->waiters) == NULL)
        status = aipc_corrupt(seg, "W1 wait node", &c->waiters, node, 0);
    else
        status = over ? aipc_wait_remove(&tx, &c->waiters, node) : aipc_wait_again(&tx, node);
    status = aipc_tx_finish(&tx, status);
    return status != AIPC_OK ? status : over ? AIPC_CLOSED : AIPC_AGAIN;
}

aipc_status aipc_condition_look(aipc_ctx *ctx, struct aipc_condition *c, uint32_t node) {
    aipc_status status = enter(ctx, c);
    if (status != AIPC_OK) return status;
    status = look_locked(ctx->seg, c, node);
    aipc_domain_unlock(ctx, &ctx->seg->waits->domain);
    return status;
}

aipc_status aipc_condition_cancel(aipc_ctx *ctx, struct aipc_condition *c, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_bell_target heir = {.set = false};
    aipc_shield(seg, true);
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    aipc_shield(seg, false);
    if (status == AIPC_STALLED) {
        aipc_wait_withdraw(seg, node, &c->withdrawn);
        aipc_wait_rouse(seg); /* a token that it had, or got in this instant, is passed on by who looks */
        return AIPC_OK;
    }
    if (status != AIPC_OK) return status;
    struct aipc_wait_queue *queue = aipc_wait_node(seg, node, &c->served) != NULL ? &c->served : &c->waiters;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    status = aipc_tx_finish(&tx, aipc_wait_forsake(&tx, queue, node, &heir));
    aipc_domain_unlock(ctx, &seg->waits->domain);
    if (status == AIPC_OK) aipc_bell_ring(seg, &heir);
    return status;
}

/* Under the waits lock.  AIPC_AGAIN: more after ringing. */
static aipc_status notify_some(aipc_seg *seg, struct aipc_condition *c, uint64_t called, uint32_t *left,
                               aipc_rings *rings) {
    for (int n = 0; *left > 0; n++, --*left) {
        uint32_t number;
        if (n == NODES) return AIPC_AGAIN;
        aipc_status status = aipc_wait_first(seg, &c->waiters, &number);
        if (status != AIPC_OK || number == AIPC_NO_NODE) return status;
        const struct aipc_node *node = &seg->nodes[number - 1];
        if (aipc_load_relaxed64(&node->since) > called) return AIPC_OK; /* it came while others were rung */
        aipc_bell_target target = aipc_wait_target(node);
        if (!aipc_rings_add(rings, &target)) return AIPC_AGAIN;
        aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
        status = aipc_tx_finish(&tx, aipc_wait_give(&tx, &c->waiters, number, &c->served, AIPC_GOT_TOKEN, &target));
        if (status != AIPC_OK) return status;
        aipc_store_relaxed64(&c->notified, aipc_load_relaxed64(&c->notified) + 1);
    }
    return AIPC_OK;
}

aipc_status aipc_condition_notify(aipc_ctx *ctx, struct aipc_condition *c, uint32_t count) {
    aipc_seg *seg = ctx->seg;
    aipc_rings rings = {.count = 0};
    uint64_t called = aipc_os_now();
    aipc_status status = AIPC_AGAIN;
    aipc_shield(seg, true);
    while (status == AIPC_AGAIN) { /* each turn notifies somebody who waited when this was called */
        status = enter(ctx, c);
        if (status != AIPC_OK) break;
        status = notify_some(seg, c, called, &count, &rings);
        aipc_domain_unlock(ctx, &seg->waits->domain);
        aipc_rings_ring(seg, &rings);
    }
    aipc_shield(seg, false);
    return status;
}

aipc_status aipc_condition_close(aipc_ctx *ctx, struct aipc_condition *c) {
    (void)aipc_exchange_seq_cst32(&c->closed, 1);
    aipc_wait_rouse(ctx->seg);
    return AIPC_OK;
}

static void check_queue(aipc_seg *seg, aipc_report *report, const struct aipc_wait_queue *queue, uint32_t got,
                        uint64_t want) {
    uint32_t left = aipc_wait_queue_check(seg, report, queue), number = aipc_load_relaxed32(&queue->head);
    const struct aipc_node *node;
    for (; left > 0 && (node = aipc_wait_node(seg, number, queue)) != NULL; left--) {
        if (aipc_load_relaxed32(&node->got) != got)
            aipc_report_add(report, "N2 token of a wait node", aipc_offset(seg, node), aipc_load_relaxed32(&node->got), got);
        if (aipc_load_relaxed64(&node->want) != want)
            aipc_report_add(report, "N2 queue of a token", aipc_offset(seg, node), aipc_load_relaxed64(&node->want), want);
        number = aipc_load_relaxed32(&node->next);
    }
}

aipc_status aipc_condition_check(aipc_ctx *ctx, const struct aipc_condition *c, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    uint64_t want = aipc_offset(seg, &c->waiters);
    if (c->seal != aipc_condition_seal(c))
        aipc_report_add(report, "N3 lock of a condition", aipc_offset(seg, c), c->seal, aipc_condition_seal(c));
    check_queue(seg, report, &c->waiters, 0, want);
    check_queue(seg, report, &c->served, AIPC_GOT_TOKEN, want);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}
