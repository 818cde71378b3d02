#include "barrier.h"

enum { NODES = 64 }; /* served in one hold of the lock */

#define BROKEN UINT64_C(1)
#define THROUGH UINT64_C(2)

static uint64_t cycle_of(uint64_t word) { return word >> 2; }
static uint64_t word_of(const struct aipc_barrier *b) { return aipc_load_seq_cst64(&b->word); }
static bool closed(const struct aipc_barrier *b) { return aipc_load_seq_cst32(&b->closed) != 0; }

void aipc_barrier_init(struct aipc_barrier *image, uint64_t parties) { image->parties = parties; }

/* ---- cycles: everything up to the next headline runs under the waits lock ------------------------- */

static aipc_status serve(aipc_seg *seg, struct aipc_barrier *b, uint32_t node, bool through) {
    aipc_bell_target target; /* noted */
    uint32_t place = aipc_load_relaxed32(&b->place) + 1;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    if (through) aipc_tx_set32(&tx, &b->place, place);
    return aipc_tx_finish(&tx, aipc_wait_give(&tx, &b->waiters, node, &b->served, through ? place : 0, &target));
}

/* Tells those of the last cycle what came of it.  AIPC_AGAIN: more after ringing. */
static aipc_status settle(aipc_seg *seg, struct aipc_barrier *b, aipc_rings *rings) {
    uint64_t word = word_of(b);
    for (int n = 0; n < NODES; n++) {
        uint32_t head = aipc_load_relaxed32(&b->waiters.head);
        if (head == AIPC_NO_NODE) return AIPC_OK;
        const struct aipc_node *node = aipc_wait_node(seg, head, &b->waiters);
        if (node == NULL) return aipc_corrupt(seg, "W2 head of a wait queue", &b->waiters, head, 0);
        if (aipc_load_relaxed64(&node->want) == cycle_of(word)) return AIPC_OK;
        aipc_bell_target target = aipc_wait_target(node);
        if (!aipc_rings_add(rings, &target)) return AIPC_AGAIN;
        aipc_status status = serve(seg, b, head, (word & THROUGH) != 0);
        if (status != AIPC_OK) return status;
    }
    return AIPC_AGAIN;
}

/* pre: settled. */
static void end_cycle(struct aipc_barrier *b, uint64_t how) {
    aipc_store_relaxed32(&b->place, 0); /* nobody is served from it before the word says so */
    (void)aipc_exchange_seq_cst64(&b->word, (cycle_of(word_of(b)) + 1) << 2 | how);
}

/* ---- holds --------------------------------------------------------------------------------------- */

/* Takes the lock, with nobody left of the last cycle, nor of those who withdrew.  Whom to ring then is in *rings. */
static aipc_status enter(aipc_ctx *ctx, struct aipc_barrier *b, aipc_rings *rings) {
    aipc_seg *seg = ctx->seg;
    for (;;) { /* each turn but the last serves or sweeps somebody */
        aipc_status status = aipc_wait_sweep(ctx, &b->waiters, &b->served, &b->withdrawn);
        if (status == AIPC_OK) status = aipc_domain_lock(ctx, &seg->waits->domain);
        if (status != AIPC_OK) return status;
        status = settle(seg, b, rings);
        /* Whoever withdrew before this look has not arrived. */
        if (status == AIPC_OK && aipc_load_seq_cst32(&b->withdrawn) == 0) return AIPC_OK; /* SYNC withdrawn */
        aipc_domain_unlock(ctx, &seg->waits->domain);
        aipc_rings_ring(seg, rings);
        if (status != AIPC_OK && status != AIPC_AGAIN) return status;
    }
}

static void leave(aipc_ctx *ctx, aipc_rings *rings) {
    aipc_domain_unlock(ctx, &ctx->seg->waits->domain);
    aipc_rings_ring(ctx->seg, rings);
}

/* The same after the end of a cycle: those who stood there are told.  Who cannot be told now finds out by looking. */
static void leave_settling(aipc_ctx *ctx, struct aipc_barrier *b, aipc_rings *rings) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = settle(seg, b, rings);
    leave(ctx, rings);
    if (status == AIPC_AGAIN) {
        aipc_shield(seg, true);
        status = enter(ctx, b, rings);
        aipc_shield(seg, false);
        if (status == AIPC_OK) leave(ctx, rings);
    }
    if (status != AIPC_OK) aipc_wait_rouse(seg);
}

/* ---- arriving ------------------------------------------------------------------------------------ */

typedef struct arrival {
    struct aipc_barrier *b;
    uint32_t bell;
    uint64_t token;
    uint32_t *node;
    bool last, proven; /* so it ends the cycle; those who stand there live */
    uint64_t slots[AIPC_MAX_PARTICIPANTS / 64]; /* of the other processes that stand there */
} arrival;

/* Notes whose the waiters are; false when they are all of this process. */
static bool note_others(aipc_seg *seg, arrival *a) {
    bool others = false;
    uint32_t number = aipc_load_relaxed32(&a->b->waiters.head);
    const struct aipc_node *node;
    for (uint32_t steps = 0; steps < seg->node_count; steps++) {
        if (number == AIPC_NO_NODE || (node = aipc_wait_node(seg, number, &a->b->waiters)) == NULL) break;
        uint32_t slot = aipc_load_relaxed32(&node->slot);
        if (slot != seg->slot) {
            a->slots[slot / 64] |= UINT64_C(1) << slot % 64;
            others = true;
        }
        number = aipc_load_relaxed32(&node->next);
    }
    return others;
}

/* Recovers those of them who have died: their nodes are gone then. */
static aipc_status prove(aipc_ctx *ctx, arrival *a) {
    aipc_seg *seg = ctx->seg;
    for (uint32_t slot = 0; slot < seg->participants; slot++) {
        uint32_t generation;
        if ((a->slots[slot / 64] >> slot % 64 & 1) == 0) continue;
        aipc_status status = aipc_participant_test(seg, slot, &generation);
        if (status == AIPC_NOT_FOUND) status = seg->recover(ctx, slot, generation);
        if (status != AIPC_OK && status != AIPC_AGAIN) return status;
    }
    a->proven = true;
    return AIPC_OK;
}

static aipc_status enlist(aipc_seg *seg, const arrival *a) {
    struct aipc_barrier *b = a->b;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    uint64_t want = cycle_of(word_of(b));
    aipc_status status = aipc_tx_finish(&tx, aipc_wait_enlist(&tx, &b->waiters, a->bell, a->token, want, a->node));
    if (status == AIPC_OK) aipc_store_relaxed32(&b->contended, aipc_load_relaxed32(&b->contended) + 1);
    return status == AIPC_OK ? AIPC_AGAIN : status;
}

/* Under the waits lock.  AIPC_OK: the last one, or (a->last is false) to be proven first. */
static aipc_status arrive(aipc_seg *seg, arrival *a) {
    struct aipc_barrier *b = a->b;
    uint64_t parties = aipc_load_relaxed64(&b->parties);
    if (closed(b)) return AIPC_CLOSED;
    if ((word_of(b) & BROKEN) != 0) return AIPC_BROKEN;
    if (parties - 1 >= AIPC_MAX_NODES) return aipc_corrupt(seg, "B3 parties", b, parties, AIPC_MAX_NODES);
    if (aipc_load_relaxed32(&b->waiters.length) + UINT64_C(1) < parties) return enlist(seg, a);
    a->last = a->proven || !note_others(seg, a);
    if (a->last) end_cycle(b, THROUGH);
    return AIPC_OK;
}

aipc_status aipc_barrier_arrive(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t bell, uint64_t token, uint32_t *node,
                                uint32_t *place) {
    arrival a = {.b = b, .bell = bell, .token = token, .node = node};
    aipc_rings rings = {.count = 0};
    for (;;) { /* at most twice */
        aipc_status status = enter(ctx, b, &rings);
        if (status != AIPC_OK) return status;
        status = arrive(ctx->seg, &a);
        if (a.last) {
            *place = (uint32_t)aipc_load_relaxed64(&b->parties) - 1;
            leave_settling(ctx, b, &rings);
            return AIPC_OK;
        }
        leave(ctx, &rings);
        if (status == AIPC_OK) status = prove(ctx, &a);
        if (status != AIPC_OK) return status;
    }
}

/* ---- waiting ------------------------------------------------------------------------------------- */

static aipc_status look(aipc_seg *seg, struct aipc_barrier *b, uint32_t number, uint32_t *place) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    const struct aipc_node *node = aipc_wait_node(seg, number, &b->served);
    if (node != NULL) {
        uint32_t got = aipc_load_relaxed32(&node->got);
        if (got >= aipc_load_relaxed64(&b->parties)) return aipc_corrupt(seg, "B3 number of a party", node, got, 0);
        *place = got - 1;
        aipc_status status = aipc_tx_finish(&tx, aipc_wait_remove(&tx, &b->served, number));
        return status == AIPC_OK && got == 0 ? AIPC_BROKEN : status;
    }
    if (aipc_wait_node(seg, number, &b->waiters) == NULL)
        return aipc_corrupt(seg, "W1 wait node", &b->waiters, number, 0);
    bool over = closed(b);
    aipc_status status = over ? aipc_wait_remove(&tx, &b->waiters, number) : aipc_wait_again(&tx, number);
    status = aipc_tx_finish(&tx, status);
    return status != AIPC_OK ? status : over ? AIPC_CLOSED : AIPC_AGAIN;
}

aipc_status aipc_barrier_look(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node, uint32_t *place) {
    aipc_rings rings = {.count = 0};
    aipc_status status = enter(ctx, b, &rings);
    if (status != AIPC_OK) return status;
    status = look(ctx->seg, b, node, place);
    leave(ctx, &rings);
    return status;
}

aipc_status aipc_barrier_give_up(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node, uint32_t *place) {
    aipc_rings rings = {.count = 0};
    aipc_status status = enter(ctx, b, &rings);
    if (status != AIPC_OK) return status;
    status = look(ctx->seg, b, node, place);
    if (status != AIPC_AGAIN) {
        leave(ctx, &rings);
        return status;
    }
    end_cycle(b, BROKEN);
    leave_settling(ctx, b, &rings);
    return aipc_barrier_look(ctx, b, node, place);
}

aipc_status aipc_barrier_cancel(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_shield(seg, true);
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    aipc_shield(seg, false);
    if (status == AIPC_STALLED) {
        aipc_wait_withdraw(seg, node, &b->withdrawn); /* nobody waits for that: whoever arrives sweeps */
        return AIPC_OK;
    }
    if (status != AIPC_OK) return status;
    struct aipc_wait_queue *queue = aipc_wait_node(seg, node, &b->served) != NULL ? &b->served : &b->waiters;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    status = aipc_tx_finish(&tx, aipc_wait_remove(&tx, queue, node));
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

/* ---- the rest ------------------------------------------------------------------------------------ */

static aipc_status break_up(aipc_ctx *ctx, struct aipc_barrier *b, uint64_t how) {
    aipc_rings rings = {.count = 0};
    aipc_status status = enter(ctx, b, &rings);
    if (status != AIPC_OK) return status;
    if (aipc_load_relaxed32(&b->waiters.head) != AIPC_NO_NODE || (word_of(b) & BROKEN) != how) end_cycle(b, how);
    leave_settling(ctx, b, &rings);
    return AIPC_OK;
}

aipc_status aipc_barrier_reset(aipc_ctx *ctx, struct aipc_barrier *b) { return break_up(ctx, b, 0); }
aipc_status aipc_barrier_abort(aipc_ctx *ctx, struct aipc_barrier *b) { return break_up(ctx, b, BROKEN); }

aipc_status aipc_barrier_close(aipc_ctx *ctx, struct aipc_barrier *b) {
    (void)aipc_exchange_seq_cst32(&b->closed, 1);
    aipc_wait_rouse(ctx->seg);
    return AIPC_OK;
}

aipc_status aipc_barrier_waiting(aipc_ctx *ctx, struct aipc_barrier *b, uint32_t *waiting, bool *broken) {
    aipc_rings rings = {.count = 0};
    aipc_status status = enter(ctx, b, &rings);
    if (status != AIPC_OK) return status;
    *waiting = aipc_load_relaxed32(&b->waiters.length);
    *broken = (word_of(b) & BROKEN) != 0;
    leave(ctx, &rings);
    return AIPC_OK;
}

/* ---- checking ------------------------------------------------------------------------------------ */

static void check_served(aipc_seg *seg, aipc_report *report, const struct aipc_barrier *b, uint64_t parties) {
    uint32_t left = aipc_wait_queue_check(seg, report, &b->served), number = aipc_load_relaxed32(&b->served.head);
    const struct aipc_node *node;
    for (; left > 0 && (node = aipc_wait_node(seg, number, &b->served)) != NULL; left--) {
        if (aipc_load_relaxed32(&node->got) >= parties)
            aipc_report_add(report, "B3 number of a party", aipc_offset(seg, node), aipc_load_relaxed32(&node->got), parties);
        number = aipc_load_relaxed32(&node->next);
    }
}

static void check_waiters(aipc_seg *seg, aipc_report *report, const struct aipc_barrier *b, uint64_t parties) {
    uint64_t word = word_of(b), arrived = 0;
    uint32_t left = aipc_wait_queue_check(seg, report, &b->waiters), number = aipc_load_relaxed32(&b->waiters.head);
    const struct aipc_node *node;
    for (; left > 0 && (node = aipc_wait_node(seg, number, &b->waiters)) != NULL; left--) {
        uint64_t want = aipc_load_relaxed64(&node->want);
        bool present = want == cycle_of(word);
        if (want > cycle_of(word) || (arrived > 0 && !present))
            aipc_report_add(report, "B1 cycle of a party", aipc_offset(seg, node), want, cycle_of(word));
        if (aipc_load_relaxed32(&node->got) != 0)
            aipc_report_add(report, "B3 number of a party", aipc_offset(seg, node), aipc_load_relaxed32(&node->got), 0);
        arrived += present;
        number = aipc_load_relaxed32(&node->next);
    }
    if (arrived >= parties) aipc_report_add(report, "B1 parties that wait", aipc_offset(seg, b), arrived, parties);
    if (arrived > 0 && (word & BROKEN) != 0)
        aipc_report_add(report, "B2 parties wait for a broken barrier", aipc_offset(seg, b), arrived, 0);
}

aipc_status aipc_barrier_check(aipc_ctx *ctx, const struct aipc_barrier *b, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    uint64_t parties = aipc_load_relaxed64(&b->parties);
    if (parties - 1 >= AIPC_MAX_NODES) aipc_report_add(report, "B3 parties", aipc_offset(seg, b), parties, AIPC_MAX_NODES);
    check_waiters(seg, report, b, parties);
    check_served(seg, report, b, parties);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}
