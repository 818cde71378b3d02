#include "lock.h"

#include "os.h"

static bool current(const aipc_seg *seg, uint64_t word) {
    return aipc_participant_current(seg, aipc_lock_owner_slot(word), (uint32_t)(word >> 32));
}

/* What `word` becomes when this process takes it; 0 when it may not. */
static uint64_t taken(const aipc_seg *seg, uint64_t word) {
    uint64_t kept = word & AIPC_LOCK_WAITERS;
    if (aipc_lock_owner(word) == 0) return seg->self | kept;
    if (!current(seg, word)) /* handed to somebody who died before noticing: nothing was left half done */
        return seg->self | kept | (aipc_lock_granted(word) == 0 ? AIPC_LOCK_ABANDONED : 0);
    return 0;
}

aipc_status aipc_lock_try_slow(aipc_seg *seg, struct aipc_lock *lock) {
    if (seg->self == 0) return seg->forked ? AIPC_FORKED : AIPC_CLOSED;
    for (;;) {
        uint64_t word = aipc_load_seq_cst64(&lock->word);
        if ((word & AIPC_LOCK_CLOSED) != 0) return AIPC_CLOSED;
        uint64_t mine = taken(seg, word);
        if (mine == 0) return AIPC_AGAIN;
        if (aipc_cas_seq_cst64(&lock->word, word, mine)) { /* SYNC lock-word */
            if ((mine & AIPC_LOCK_ABANDONED) != 0) (void)aipc_fetch_add_seq_cst32(&lock->abandoned, 1);
            return AIPC_OK;
        }
    }
}

aipc_status aipc_lock_try_recover(aipc_ctx *ctx, struct aipc_lock *lock) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_lock_try(seg, lock);
    if (status != AIPC_AGAIN) return status;

    uint64_t word = aipc_load_seq_cst64(&lock->word);
    uint32_t slot = aipc_lock_owner_slot(word), generation;
    if (aipc_lock_owner(word) != 0 && slot < seg->participants && slot != seg->slot) {
        status = aipc_participant_test(seg, slot, &generation);
        if (status == AIPC_NOT_FOUND) status = seg->recover(ctx, slot, generation);
        if (status != AIPC_OK && status != AIPC_AGAIN) return status;
    }
    return aipc_lock_try(seg, lock);
}

aipc_status aipc_lock_spin(aipc_seg *seg, struct aipc_lock *lock, uint64_t ns) {
    aipc_status status = aipc_lock_try(seg, lock);
    if (status != AIPC_AGAIN || ns == 0 || aipc_os_cpus() == 1) return status;
    uint64_t end = aipc_os_now() + ns;
    do {
        for (int i = 0; i < 32; i++) {
            uint64_t word = aipc_load_relaxed64(&lock->word);
            if (aipc_lock_owner(word) == 0) {
                status = aipc_lock_try(seg, lock);
                if (status != AIPC_AGAIN) return status;
            } else if (aipc_lock_owner(word) == seg->self) {
                return AIPC_AGAIN; /* a task of this very process has it: it cannot run while we spin */
            }
            aipc_cpu_relax();
        }
    } while (aipc_os_now() < end);
    return AIPC_AGAIN;
}

/* ---- the queue: everything below runs under the waits lock -------------------------------------- */

static aipc_status remove_node(aipc_seg *seg, struct aipc_lock *lock, uint32_t node) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    aipc_status status = aipc_tx_finish(&tx, aipc_wait_remove(&tx, &lock->waiters, node));
    if (status == AIPC_OK && aipc_load_relaxed32(&lock->waiters.head) == AIPC_NO_NODE)
        (void)aipc_fetch_and_seq_cst64(&lock->word, ~AIPC_LOCK_WAITERS);
    return status;
}

static aipc_status notify(aipc_seg *seg, uint32_t node, aipc_bell_target *target) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    return aipc_tx_finish(&tx, aipc_wait_notify(&tx, node, target));
}

/* The head of the queue, once those who withdrew without reaching it are out of the way. */
static aipc_status first_waiter(aipc_seg *seg, struct aipc_lock *lock, uint32_t *number,
                                struct aipc_node **node) {
    for (;;) { /* each turn removes a node */
        *number = aipc_load_relaxed32(&lock->waiters.head);
        *node = *number == AIPC_NO_NODE ? NULL : aipc_wait_node(seg, *number, &lock->waiters);
        if (*number == AIPC_NO_NODE) return AIPC_OK;
        if (*node == NULL) return aipc_corrupt(seg, "W2 head of a wait queue", &lock->waiters, *number, 0);
        if (aipc_load_seq_cst32(&(*node)->withdrawn) == 0) return AIPC_OK; /* SYNC withdrawn */
        aipc_status status = remove_node(seg, lock, *number);
        if (status != AIPC_OK) return status;
    }
}

/* Whom the word shall name next: the first waiter once it has waited long enough, else nobody. */
static uint64_t heir(const struct aipc_node *first, uint32_t number) {
    if (aipc_os_now() - aipc_load_relaxed64(&first->since) < AIPC_LOCK_GRANT_AFTER_NS) return 0;
    return aipc_identity(aipc_load_relaxed32(&first->slot), aipc_load_relaxed32(&first->generation)) |
           (uint64_t)number << 4;
}

/* Passes the lock, whose word is `word` and this process's, on: to the first waiter or to whoever is fastest.
 * AIPC_NOT_OWNER: another thread released it in the same instant. */
static aipc_status pass_on(aipc_seg *seg, struct aipc_lock *lock, uint64_t word, aipc_bell_target *target) {
    uint32_t number;
    struct aipc_node *first;
    aipc_status status = first_waiter(seg, lock, &number, &first);
    uint64_t now = aipc_load_seq_cst64(&lock->word); /* without WAITERS, if those in the way were the last */
    if (((now ^ word) & ~AIPC_LOCK_WAITERS) != 0) return AIPC_NOT_OWNER;
    uint64_t next = now & AIPC_LOCK_CLOSED;
    if (number != AIPC_NO_NODE) next |= AIPC_LOCK_WAITERS;
    if (first != NULL && next == AIPC_LOCK_WAITERS) next |= heir(first, number);
    if (!aipc_cas_seq_cst64(&lock->word, now, next)) return AIPC_NOT_OWNER; /* SYNC lock-word */
    if (first == NULL) return status;
    if (aipc_load_seq_cst32(&first->withdrawn) != 0 && aipc_lock_granted(next) != 0) { /* SYNC withdrawn */
        status = pass_on(seg, lock, next, target); /* in the same instant: one of us two takes the grant back */
        return status == AIPC_NOT_OWNER ? AIPC_OK : status;
    }
    return notify(seg, number, target);
}

/* The lock is free or its owner gone: the first waiter must hear of it. */
static aipc_status wake_first_if_free(aipc_seg *seg, struct aipc_lock *lock, aipc_bell_target *target) {
    uint32_t number;
    struct aipc_node *first;
    aipc_status status = first_waiter(seg, lock, &number, &first);
    if (first == NULL || taken(seg, aipc_load_seq_cst64(&lock->word)) == 0) return status;
    return notify(seg, number, target);
}

/* Takes the lock for `node` if it may: granted to it, or free with it at the head (or barging). */
static aipc_status take_for(aipc_seg *seg, struct aipc_lock *lock, uint32_t node, bool barge) {
    for (;;) {
        uint64_t word = aipc_load_seq_cst64(&lock->word);
        uint64_t mine = 0;
        if ((word & AIPC_LOCK_CLOSED) != 0) return AIPC_CLOSED;
        if (aipc_lock_owner(word) == seg->self && aipc_lock_granted(word) == node)
            mine = word & ~(UINT64_C(0xffff) << 4);
        else if (barge || aipc_load_relaxed32(&lock->waiters.head) == node)
            mine = taken(seg, word);
        if (mine == 0) return AIPC_AGAIN;
        if (!aipc_cas_seq_cst64(&lock->word, word, mine)) continue; /* SYNC lock-word */
        if ((mine & AIPC_LOCK_ABANDONED) != 0) (void)aipc_fetch_add_seq_cst32(&lock->abandoned, 1);
        return AIPC_OK;
    }
}

static aipc_status wait_locked(aipc_seg *seg, struct aipc_lock *lock, uint32_t bell, uint64_t token, bool barge,
                               uint32_t *node) {
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    aipc_status status = aipc_tx_finish(&tx, aipc_wait_enlist(&tx, &lock->waiters, bell, token, 0, node));
    if (status != AIPC_OK) return status;
    aipc_store_relaxed32(&lock->contended, aipc_load_relaxed32(&lock->contended) + 1);
    (void)aipc_fetch_or_seq_cst64(&lock->word, AIPC_LOCK_WAITERS); /* SYNC lock-word */
    status = take_for(seg, lock, *node, barge);
    if (status == AIPC_AGAIN) return status;
    aipc_status removed = remove_node(seg, lock, *node);
    return removed != AIPC_OK ? removed : status;
}

aipc_status aipc_lock_wait(aipc_ctx *ctx, struct aipc_lock *lock, uint32_t bell, uint64_t token, bool barge,
                           uint32_t *node) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    status = wait_locked(seg, lock, bell, token, barge, node);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

aipc_status aipc_lock_look(aipc_ctx *ctx, struct aipc_lock *lock, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    uint32_t head;
    struct aipc_node *first, *mine = aipc_wait_node(seg, node, &lock->waiters);
    if (mine == NULL)
        status = aipc_corrupt(seg, "W1 wait node", &lock->waiters, node, 0);
    else
        status = first_waiter(seg, lock, &head, &first);
    if (status == AIPC_OK) status = take_for(seg, lock, node, false);
    if (status == AIPC_OK || status == AIPC_CLOSED) {
        aipc_status removed = remove_node(seg, lock, node);
        if (removed != AIPC_OK) status = removed;
    } else if (status == AIPC_AGAIN) {
        aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
        aipc_status kept = aipc_tx_finish(&tx, aipc_wait_again(&tx, node));
        if (kept != AIPC_OK) status = kept;
    }
    aipc_domain_unlock(ctx, &seg->waits->domain);
    return status;
}

static aipc_status cancel_locked(aipc_seg *seg, struct aipc_lock *lock, uint32_t node, aipc_bell_target *target) {
    uint64_t word = aipc_load_seq_cst64(&lock->word);
    bool granted = aipc_lock_owner(word) == seg->self && aipc_lock_granted(word) == node;
    aipc_status status = remove_node(seg, lock, node);
    if (status != AIPC_OK) return status;
    if (!granted) return wake_first_if_free(seg, lock, target);
    return pass_on(seg, lock, aipc_load_seq_cst64(&lock->word), target);
}

/* A cancellation must not fail because the queue cannot be reached: the node is left to others, and a grant that it
 * had or gets in this instant is taken back. */
static aipc_status withdraw(aipc_seg *seg, struct aipc_lock *lock, uint32_t number) {
    struct aipc_node *node = aipc_wait_node(seg, number, &lock->waiters);
    if (node == NULL) return AIPC_OK;
    (void)aipc_exchange_seq_cst32(&node->withdrawn, 1); /* SYNC withdrawn */
    uint64_t word = aipc_load_seq_cst64(&lock->word);
    bool granted = aipc_lock_owner(word) == seg->self && aipc_lock_granted(word) == number;
    if (granted) (void)aipc_cas_seq_cst64(&lock->word, word, word & (AIPC_LOCK_WAITERS | AIPC_LOCK_CLOSED));
    aipc_wait_rouse(seg);
    return AIPC_OK;
}

aipc_status aipc_lock_cancel(aipc_ctx *ctx, struct aipc_lock *lock, uint32_t node) {
    aipc_seg *seg = ctx->seg;
    aipc_bell_target target = {.set = false};
    aipc_shield(seg, true);
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    aipc_shield(seg, false);
    if (status != AIPC_OK) return status == AIPC_STALLED ? withdraw(seg, lock, node) : status;
    status = cancel_locked(seg, lock, node, &target);
    aipc_domain_unlock(ctx, &seg->waits->domain);
    aipc_bell_ring(seg, &target);
    return status;
}

static bool held_by_us(const aipc_seg *seg, uint64_t word) {
    return aipc_lock_owner(word) == seg->self && aipc_lock_granted(word) == 0;
}

/* A release must not fail because the queue cannot be reached (a stopped process, a signal, damage): the lock
 * becomes free, and every waiter is made to look, as after a death. */
static aipc_status release_unqueued(aipc_seg *seg, struct aipc_lock *lock) {
    uint64_t word;
    do {
        word = aipc_load_seq_cst64(&lock->word);
        if (!held_by_us(seg, word)) return AIPC_NOT_OWNER;
    } while (!aipc_cas_seq_cst64(&lock->word, word, word & (AIPC_LOCK_WAITERS | AIPC_LOCK_CLOSED)));
    aipc_wait_rouse(seg);
    return AIPC_OK;
}

aipc_status aipc_lock_release_slow(aipc_ctx *ctx, struct aipc_lock *lock) {
    aipc_seg *seg = ctx->seg;
    aipc_bell_target target = {.set = false};
    if (!held_by_us(seg, aipc_load_seq_cst64(&lock->word))) return AIPC_NOT_OWNER;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) {
        aipc_status released = release_unqueued(seg, lock);
        return released == AIPC_OK && status == AIPC_INTERRUPTED ? status : released;
    }
    uint64_t word = aipc_load_seq_cst64(&lock->word);
    status = held_by_us(seg, word) ? pass_on(seg, lock, word, &target) : AIPC_NOT_OWNER;
    aipc_domain_unlock(ctx, &seg->waits->domain);
    aipc_bell_ring(seg, &target);
    return status;
}

aipc_status aipc_lock_close(aipc_ctx *ctx, struct aipc_lock *lock) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->waits->domain);
    if (status != AIPC_OK) return status;
    (void)aipc_fetch_or_seq_cst64(&lock->word, AIPC_LOCK_CLOSED);
    uint32_t number;
    struct aipc_node *node;
    status = first_waiter(seg, lock, &number, &node);
    for (uint32_t steps = seg->node_count; node != NULL && status == AIPC_OK && steps > 0; steps--) {
        aipc_bell_target ignored; /* all are rung below */
        status = notify(seg, number, &ignored);
        number = aipc_load_relaxed32(&node->next);
        node = number == AIPC_NO_NODE ? NULL : aipc_wait_node(seg, number, &lock->waiters);
    }
    aipc_domain_unlock(ctx, &seg->waits->domain);
    aipc_bell_ring_all(seg);
    return status;
}

void aipc_lock_stats_get(aipc_seg *seg, const struct aipc_lock *lock, aipc_lock_stats *stats) {
    uint64_t word = aipc_load_seq_cst64(&lock->word);
    bool held = aipc_lock_owner(word) != 0;
    *stats = (aipc_lock_stats){
        .locked = held && current(seg, word),
        .abandoned = (word & AIPC_LOCK_ABANDONED) != 0 ||
                     (held && aipc_lock_granted(word) == 0 && !current(seg, word)),
        .mine = held && aipc_lock_owner(word) == seg->self && aipc_lock_granted(word) == 0,
        .owner_pid = held ? aipc_participant_pid(seg, aipc_lock_owner_slot(word)) : 0,
        .waiters = aipc_load_relaxed32(&lock->waiters.length),
        .contended = aipc_load_relaxed32(&lock->contended),
        .takeovers = aipc_load_relaxed32(&lock->abandoned)};
}
