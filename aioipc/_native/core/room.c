#include "room.h"

#include "os.h"

enum { NODES = 64 }; /* withdrawn ones removed in one hold of the lock */
#define TIMES UINT32_C(0x7fffffff) /* aipc_node.got of who was notified: when, in ms */

static uint32_t now_ms(void) { return (uint32_t)(aipc_os_now() / 1000000) & TIMES; }

static bool withdrawn(const struct aipc_node *node) {
    return aipc_load_seq_cst32(&node->withdrawn) != 0; /* SYNC withdrawn */
}

/* Whether it was woken, and does not run. */
static bool stopped(const aipc_seg *seg, const struct aipc_node *node, uint32_t now) {
    uint32_t since = (now - aipc_load_relaxed32(&node->got)) & TIMES;
    return aipc_load_relaxed32(&node->state) == AIPC_NODE_NOTIFIED && since >= seg->stall_ns / 5 / 1000000;
}

/* ---- whose turn it is ------------------------------------------------------------------------------ */

/* Under the waits lock. */
static aipc_status look_before(aipc_seg *seg, const struct aipc_line *line, uint32_t node) {
    uint32_t number = aipc_load_relaxed32(&line->queue.head), now = now_ms();
    for (uint32_t steps = 0; number != node; steps++) {
        const struct aipc_node *before = aipc_wait_node(seg, number, &line->queue);
        if (before == NULL || steps > seg->node_count)
            return aipc_corrupt(seg, "W2 links of a wait queue", &line->queue, number, node);
        if (!withdrawn(before) && !stopped(seg, before, now)) return AIPC_AGAIN;
        number = aipc_load_relaxed32(&before->next);
    }
    return AIPC_OK;
}

aipc_status aipc_room_turn(aipc_ctx *ctx, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    const struct aipc_line *line = &seg->heap->line;
    if (aipc_load_relaxed32(&line->queue.head) == node) return AIPC_OK; /* nobody gets in front of it */
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = look_before(seg, line, node);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

aipc_status aipc_room_turn_recover(aipc_ctx *ctx) {
    aipc_status status = aipc_line_recover(ctx, &ctx->seg->heap->line);
    return status == AIPC_OK ? aipc_room_turn(ctx, AIPC_NO_NODE) : status;
}

/* ---- waking ---------------------------------------------------------------------------------------- */

static aipc_status notify(aipc_seg *seg, uint32_t number, struct aipc_node *node, uint32_t now, aipc_bell_target *target) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    aipc_status status = aipc_wait_notify(&tx, number, target);
    aipc_tx_set32(&tx, &node->got, now);
    return aipc_tx_finish(&tx, status);
}

static aipc_status remove_withdrawn(aipc_seg *seg, struct aipc_line *line, uint32_t number) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    return aipc_tx_finish(&tx, aipc_wait_remove(&tx, &line->queue, number));
}

/* Notifies the first that will look, unless it is about to.  Under the waits lock.  AIPC_AGAIN: not in this hold. */
static aipc_status wake_first(aipc_seg *seg, struct aipc_line *line, aipc_bell_target *target) {
    uint32_t number = aipc_load_relaxed32(&line->queue.head), next, now = now_ms(), budget = NODES;
    bool found = false; /* who will look */
    for (uint32_t steps = 0; number != AIPC_NO_NODE && !found; steps++, number = next) {
        struct aipc_node *node = aipc_wait_node(seg, number, &line->queue);
        if (node == NULL || steps > seg->node_count)
            return aipc_corrupt(seg, "W2 links of a wait queue", &line->queue, number, 0);
        aipc_status status = AIPC_OK;
        next = aipc_load_relaxed32(&node->next);
        if (withdrawn(node)) {
            if (budget-- == 0) return AIPC_AGAIN;
            status = remove_withdrawn(seg, line, number);
        } else if (!stopped(seg, node, now)) {
            found = true;
            if (aipc_load_relaxed32(&node->state) == AIPC_NODE_WAITING) status = notify(seg, number, node, now, target);
        }
        if (status != AIPC_OK) return status;
    }
    if (number == AIPC_NO_NODE) (void)aipc_exchange_seq_cst32(&line->asleep, 0); /* the whole queue was looked at */
    return AIPC_OK;
}

static aipc_status wake_once(aipc_ctx *ctx) {
    aipc_seg *seg = ctx->seg;
    aipc_bell_target target = {.set = false};
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = wake_first(seg, &seg->heap->line, &target);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    aipc_bell_ring(seg, &target);
    return status;
}

void aipc_room_wake(aipc_ctx *ctx) {
    aipc_status status;
    aipc_shield(ctx->seg, true);
    do
        status = wake_once(ctx);
    while (status == AIPC_AGAIN); /* each turn removes nodes */
    aipc_shield(ctx->seg, false);
    if (status != AIPC_OK) aipc_wait_rouse(ctx->seg);
}

/* ---- standing -------------------------------------------------------------------------------------- */

aipc_status aipc_room_stand(aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node) {
    return aipc_line_stand(ctx, &ctx->seg->heap->line, bell, token, node);
}

aipc_status aipc_room_again(aipc_ctx *ctx, uint32_t node) { return aipc_line_again(ctx, &ctx->seg->heap->line, node); }

aipc_status aipc_room_leave(aipc_ctx *ctx, uint32_t node) {
    aipc_status status = aipc_line_leave(ctx, &ctx->seg->heap->line, node);
    aipc_room_made(ctx); /* it may be the next one's turn */
    return status;
}

uint32_t aipc_room_waiters(const aipc_seg *seg) { return aipc_load_relaxed32(&seg->heap->line.queue.length); }

aipc_status aipc_room_check(aipc_ctx *ctx, aipc_report *report) {
    return aipc_line_check(ctx, &ctx->seg->heap->line, report);
}
