#include "lock.h"
#include "waiters.h"

/* What one pass over the slab adds up; the sums must agree in the end, which leaves no room for a node
 * that stands nowhere or a ring of nodes that no queue leads to. */
typedef struct totals {
    uint32_t waiting, notified;     /* by state */
    uint32_t queued, ready, freed;  /* reached by walking queues, ready lists, the free list */
} totals;

static struct aipc_node *waiting_node(aipc_seg *seg, uint32_t number, const struct aipc_wait_queue *queue) {
    return number == AIPC_NO_NODE ? NULL : aipc_wait_node(seg, number, queue);
}

uint32_t aipc_wait_queue_check(aipc_seg *seg, aipc_report *report, const struct aipc_wait_queue *queue) {
    uint32_t count = 0, prev = AIPC_NO_NODE, number = aipc_load_relaxed32(&queue->head);
    struct aipc_node *node;
    while ((node = waiting_node(seg, number, queue)) != NULL && count <= seg->node_count) {
        if (aipc_load_relaxed32(&node->prev) != prev)
            aipc_report_add(report, "W2 backward link of a wait queue", aipc_offset(seg, node),
                            aipc_load_relaxed32(&node->prev), prev);
        prev = number;
        number = aipc_load_relaxed32(&node->next);
        count++;
    }
    if (number != AIPC_NO_NODE || count > seg->node_count)
        aipc_report_add(report, "W2 forward link of a wait queue", aipc_offset(seg, queue), number, 0);
    if (aipc_load_relaxed32(&queue->tail) != prev)
        aipc_report_add(report, "W2 tail of a wait queue", aipc_offset(seg, queue),
                        aipc_load_relaxed32(&queue->tail), prev);
    if (aipc_load_relaxed32(&queue->length) != count)
        aipc_report_add(report, "W2 length of a wait queue", aipc_offset(seg, queue),
                        aipc_load_relaxed32(&queue->length), count);
    return count;
}

static uint32_t walk_ready(aipc_seg *seg, aipc_report *report, uint32_t slot, uint32_t bell_index) {
    const struct aipc_bell *bell = &seg->slots[slot].bells[bell_index];
    uint32_t count = 0, prev = AIPC_NO_NODE, number = aipc_load_relaxed32(&bell->ready_head);
    struct aipc_node *node;
    while ((node = waiting_node(seg, number, NULL)) != NULL && count <= seg->node_count) {
        if (aipc_load_relaxed32(&node->state) != AIPC_NODE_NOTIFIED || aipc_load_relaxed32(&node->slot) != slot ||
            aipc_load_relaxed32(&node->bell) != bell_index || aipc_load_relaxed32(&node->ready_prev) != prev)
            aipc_report_add(report, "W3 node in a ready list", aipc_offset(seg, node), number, prev);
        prev = number;
        number = aipc_load_relaxed32(&node->ready_next);
        count++;
    }
    if (number != AIPC_NO_NODE || aipc_load_relaxed32(&bell->ready_tail) != prev || count > seg->node_count)
        aipc_report_add(report, "W3 end of a ready list", aipc_offset(seg, bell), number,
                        aipc_load_relaxed32(&bell->ready_tail));
    return count;
}

static uint32_t walk_free(aipc_seg *seg, aipc_report *report, uint32_t used) {
    uint32_t count = 0, number = aipc_load_relaxed32(&seg->waits->free_node);
    while (number != AIPC_NO_NODE && count <= used) {
        if (number - 1 >= used || aipc_load_relaxed32(&seg->nodes[number - 1].state) != AIPC_NODE_FREE) {
            aipc_report_add(report, "W1 free list of wait nodes", aipc_offset(seg, seg->waits), number, used);
            break;
        }
        number = aipc_load_relaxed32(&seg->nodes[number - 1].next);
        count++;
    }
    return count;
}

static void check_node(aipc_seg *seg, aipc_report *report, uint32_t index, totals *sum) {
    const struct aipc_node *node = &seg->nodes[index];
    uint32_t state = aipc_load_relaxed32(&node->state);
    if (state == AIPC_NODE_FREE) return;
    uint64_t queue_offset = aipc_load_relaxed64(&node->queue);
    const struct aipc_wait_queue *queue = aipc_at(seg, queue_offset, sizeof *queue);
    if (state > AIPC_NODE_NOTIFIED || queue == NULL || aipc_wait_node(seg, index + 1, queue) == NULL) {
        aipc_report_add(report, "W1 wait node", aipc_offset(seg, node), state, queue_offset);
        return;
    }
    if (!aipc_participant_current(seg, aipc_load_relaxed32(&node->slot), aipc_load_relaxed32(&node->generation)))
        aipc_report_add(report, "W4 waiter of a participant that has ended", aipc_offset(seg, node),
                        aipc_load_relaxed32(&node->slot), aipc_load_relaxed32(&node->generation));
    sum->waiting++;
    sum->notified += state == AIPC_NODE_NOTIFIED;
    if (aipc_load_relaxed32(&node->prev) != AIPC_NO_NODE) return;
    if (aipc_load_relaxed32(&queue->head) != index + 1)
        aipc_report_add(report, "W2 head of a wait queue", queue_offset, aipc_load_relaxed32(&queue->head), index + 1);
    else
        sum->queued += aipc_wait_queue_check(seg, report, queue);
}

static void expect(aipc_report *report, const char *what, uint64_t offset, uint64_t found, uint64_t expected) {
    if (found != expected) aipc_report_add(report, what, offset, found, expected);
}

static void check_slab(aipc_seg *seg, aipc_report *report) {
    const struct aipc_waits *waits = seg->waits;
    uint64_t at = aipc_offset(seg, waits);
    uint32_t used = aipc_load_relaxed32(&waits->nodes_used);
    totals sum = {0};
    if (used > seg->node_count) {
        aipc_report_add(report, "W1 nodes_used", at, used, seg->node_count);
        return;
    }
    for (uint32_t i = 0; i < used; i++) check_node(seg, report, i, &sum);
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++)
        for (uint32_t bell = 0; bell < AIPC_BELLS; bell++) sum.ready += walk_ready(seg, report, slot, bell);
    sum.freed = walk_free(seg, report, used);
    expect(report, "W2 waiting nodes reached through their queues", at, sum.queued, sum.waiting);
    expect(report, "W3 notified nodes reached through ready lists", at, sum.ready, sum.notified);
    expect(report, "W1 free nodes reached through the free list", at, sum.freed, used - sum.waiting);
    expect(report, "W5 number of waiters", at, aipc_load_relaxed32(&waits->waiting), sum.waiting);
    report->nodes_waiting = sum.waiting;
}

aipc_status aipc_waits_check(aipc_ctx *ctx, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    check_slab(seg, report);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

aipc_status aipc_lock_check(aipc_ctx *ctx, struct aipc_lock *lock, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    uint64_t word = aipc_load_seq_cst64(&lock->word), at = aipc_offset(seg, lock);
    uint32_t granted = aipc_lock_granted(word);
    if ((aipc_lock_owner(word) == 0) != (word >> 32 == 0) || aipc_lock_owner_slot(word) >= seg->participants)
        aipc_report_add(report, "K1 owner of a lock", at, word, seg->participants);
    /* A grant to somebody who died before noticing outlives its node; the word is taken over then.  While he is being
     * recovered this looks like damage: check.c looks again. */
    if (granted != 0 && aipc_wait_node(seg, granted, &lock->waiters) == NULL &&
        aipc_participant_current(seg, aipc_lock_owner_slot(word), (uint32_t)(word >> 32)))
        aipc_report_add(report, "K1 lock granted to a node that does not wait for it", at, granted, 0);
    uint32_t queued = aipc_wait_queue_check(seg, report, &lock->waiters);
    if (queued != 0 && (word & AIPC_LOCK_WAITERS) == 0)
        aipc_report_add(report, "K2 waiters nobody would wake", at, word, queued);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}
