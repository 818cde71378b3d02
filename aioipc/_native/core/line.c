#include "line.h"

#include "os.h"

enum { NODES = 64 }; /* notified or removed in one hold */

typedef struct waking {
    struct aipc_line *line;
    uint32_t left;      /* to be notified */
    uint32_t budget;    /* of this hold */
    aipc_rings rings;
} waking;

static aipc_status remove_node(aipc_seg *seg, struct aipc_line *line, uint32_t node) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    return aipc_tx_finish(&tx, aipc_wait_remove(&tx, &line->queue, node));
}

static bool withdrawn(const struct aipc_node *node) {
    return aipc_load_seq_cst32(&node->withdrawn) != 0; /* SYNC withdrawn */
}

/* Under the waits lock.  Nothing is set aside for a head that gave up; if it does so in this instant, one of us two sees the
 * other. */
static void decide_order(aipc_seg *seg, struct aipc_line *line) {
    const struct aipc_node *head = aipc_wait_node(seg, aipc_load_relaxed32(&line->queue.head), &line->queue);
    bool ordered = head != NULL && !withdrawn(head) &&
                   aipc_os_now() - aipc_load_relaxed64(&head->since) >= AIPC_LINE_ORDER_AFTER_NS;
    if (aipc_load_relaxed32(&line->ordered) != ordered) (void)aipc_exchange_seq_cst32(&line->ordered, ordered);
    if (ordered && withdrawn(head)) (void)aipc_exchange_seq_cst32(&line->ordered, 0);
}

aipc_status aipc_line_stand(aipc_ctx *ctx, struct aipc_line *line, uint32_t bell, uint64_t token, uint32_t *node) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    status = aipc_tx_finish(&tx, aipc_wait_enlist(&tx, &line->queue, bell, token, 0, node));
    if (status == AIPC_OK) {
        aipc_store_relaxed32(&line->contended, aipc_load_relaxed32(&line->contended) + 1);
        (void)aipc_exchange_seq_cst32(&line->asleep, 1); /* SYNC line-asleep */
    }
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

aipc_status aipc_line_again(aipc_ctx *ctx, struct aipc_line *line, uint32_t number) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    struct aipc_node *node = aipc_wait_node(seg, number, &line->queue);
    if (node == NULL) {
        status = aipc_corrupt(seg, "W1 wait node", &line->queue, number, 0);
    } else {
        aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
        status = aipc_tx_finish(&tx, aipc_wait_again(&tx, number));
        (void)aipc_exchange_seq_cst32(&line->asleep, 1); /* SYNC line-asleep */
        decide_order(seg, line);
    }
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

/* The lock cannot be had: the node is left to who finds it in the queue. */
static aipc_status withdraw(aipc_seg *seg, struct aipc_line *line, uint32_t number) {
    struct aipc_node *node = aipc_wait_node(seg, number, &line->queue);
    if (node == NULL) return AIPC_OK;
    (void)aipc_exchange_seq_cst32(&node->withdrawn, 1); /* SYNC withdrawn */
    (void)aipc_exchange_seq_cst32(&line->ordered, 0);
    aipc_wait_rouse(seg); /* a wake-up that this node had is everybody's now */
    return AIPC_OK;
}

aipc_status aipc_line_leave(aipc_ctx *ctx, struct aipc_line *line, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_shield(seg, true);
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    aipc_shield(seg, false);
    if (status != AIPC_OK) return status == AIPC_STALLED ? withdraw(seg, line, node) : status;
    status = remove_node(seg, line, node);
    if (status == AIPC_OK && aipc_load_relaxed32(&line->queue.head) == AIPC_NO_NODE)
        (void)aipc_exchange_seq_cst32(&line->asleep, 0);
    decide_order(seg, line);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

aipc_status aipc_line_wake_head(aipc_ctx *ctx, struct aipc_line *line) {
    aipc_seg *seg = ctx->seg;
    aipc_bell_target target = {.set = false};
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    uint32_t head = aipc_load_relaxed32(&line->queue.head);
    if (aipc_wait_node(seg, head, &line->queue) != NULL) {
        aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
        status = aipc_tx_finish(&tx, aipc_wait_notify(&tx, head, &target));
    }
    aipc_domain_unlock(ctx, &seg->waits->domain);
    aipc_bell_ring(seg, &target);
    return status;
}

/* AIPC_OK: the head was dead, somebody else may be the head now.  AIPC_AGAIN: nobody is to be recovered. */
static aipc_status recover_head(aipc_ctx *ctx, const struct aipc_line *line) {
    aipc_seg *seg = ctx->seg;
    const struct aipc_node *head = aipc_wait_node(seg, aipc_load_relaxed32(&line->queue.head), &line->queue);
    uint32_t slot = head == NULL ? seg->slot : aipc_load_relaxed32(&head->slot), generation;
    if (slot == seg->slot || slot >= seg->participants) return AIPC_AGAIN;
    aipc_status status = aipc_participant_test(seg, slot, &generation);
    if (status == AIPC_OK) return AIPC_AGAIN;
    return status == AIPC_NOT_FOUND ? seg->recover(ctx, slot, generation) : status;
}

aipc_status aipc_line_recover(aipc_ctx *ctx, const struct aipc_line *line) {
    aipc_status status = AIPC_OK;
    for (uint32_t turns = ctx->seg->participants; turns > 0 && status == AIPC_OK; turns--)
        status = recover_head(ctx, line);
    return status == AIPC_AGAIN ? AIPC_OK : status;
}

/* Notifies one node, or removes it when its owner gave up.  AIPC_AGAIN: not in this hold. */
static aipc_status wake_node(aipc_seg *seg, waking *w, uint32_t number, const struct aipc_node *node) {
    bool gone = withdrawn(node);
    if (!gone && aipc_load_relaxed32(&node->state) != AIPC_NODE_WAITING) return AIPC_OK;
    if (w->budget == 0) return AIPC_AGAIN;
    w->budget--;
    if (gone) return remove_node(seg, w->line, number);
    aipc_bell_target target = aipc_wait_target(node);
    if (!aipc_rings_add(&w->rings, &target)) return AIPC_AGAIN;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    aipc_status status = aipc_tx_finish(&tx, aipc_wait_notify(&tx, number, &target));
    if (status == AIPC_OK) w->left--;
    return status;
}

/* Under the waits lock.  AIPC_AGAIN: there is more to do after ringing. */
static aipc_status wake_some(aipc_seg *seg, waking *w) {
    uint32_t number = aipc_load_relaxed32(&w->line->queue.head);
    for (uint32_t steps = 0; number != AIPC_NO_NODE; steps++) {
        if (w->left == 0) return AIPC_OK; /* those behind may sleep on */
        const struct aipc_node *node = aipc_wait_node(seg, number, &w->line->queue);
        if (node == NULL || steps > seg->node_count)
            return aipc_corrupt(seg, "W2 links of a wait queue", &w->line->queue, number, 0);
        uint32_t next = aipc_load_relaxed32(&node->next);
        aipc_status status = wake_node(seg, w, number, node);
        if (status != AIPC_OK) return status;
        number = next;
    }
    (void)aipc_exchange_seq_cst32(&w->line->asleep, 0); /* the whole queue was looked at */
    return AIPC_OK;
}

static aipc_status wake_once(aipc_ctx *ctx, waking *w) {
    aipc_seg *seg = ctx->seg;
    w->budget = NODES;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = wake_some(seg, w);
    decide_order(seg, w->line);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    aipc_rings_ring(seg, &w->rings);
    return status;
}

aipc_status aipc_line_wake(aipc_ctx *ctx, struct aipc_line *line, uint32_t count) {
    aipc_seg *seg = ctx->seg;
    waking w = {.line = line, .left = count};
    aipc_status status = AIPC_AGAIN;
    aipc_shield(seg, true);
    /* Those notified first may be back in line before the last ones were reached: so many turns, then all look. */
    for (uint32_t turns = seg->node_count / AIPC_RINGS + 2; status == AIPC_AGAIN && turns > 0; turns--)
        status = wake_once(ctx, &w);
    aipc_shield(seg, false);
    if (status != AIPC_OK) aipc_wait_rouse(seg);
    return status == AIPC_CORRUPT ? status : AIPC_OK;
}

aipc_status aipc_line_check(aipc_ctx *ctx, const struct aipc_line *line, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    uint32_t length = aipc_load_relaxed32(&line->queue.length), found = 0;
    uint32_t number = aipc_load_relaxed32(&line->queue.head), asleep = aipc_load_seq_cst32(&line->asleep);
    uint32_t ordered = aipc_load_seq_cst32(&line->ordered);
    const struct aipc_node *node = NULL;
    for (; number != AIPC_NO_NODE && found <= length && found <= seg->node_count; found++) {
        node = aipc_wait_node(seg, number, &line->queue);
        if (node == NULL) break;
        number = aipc_load_relaxed32(&node->next);
    }
    if (found != length || number != AIPC_NO_NODE)
        aipc_report_add(report, "W2 length of a line", aipc_offset(seg, line), found, length);
    if (asleep > 1) aipc_report_add(report, "N1 asleep", aipc_offset(seg, line), asleep, 1);
    if (ordered > 1) aipc_report_add(report, "N1 ordered", aipc_offset(seg, line), ordered, 1);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}
