// variants: hook
/* Every interleaving, within a bound, of what two or three participants do with a lock, the queues, the bells and
 * the slots.  The participants live in one process; each schedule starts from a copy of the segment's bytes and of
 * their attachments. */
#include "segment_fixture.h"
#include "explore.h"

#include <sched.h>

enum { MANY = 3 };

static aipc_seg segs[MANY], saved_segs[MANY];
static aipc_ctx *ctxs[MANY];
static struct aipc_lock *locks[MANY]; /* the same one */
static uint32_t bell[MANY];
static int bell_fd[MANY];
static uint8_t *saved;
static bool exact; /* compare the swiftest way too: hand the lock over at once */

static struct {
    int inside, most, entered, closed, cancelled;
} seen;

/* A futex: nothing comes between the comparison and the sleep. */
static aipc_status idle(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    (void)seg;
    if (explorer.current < 0) return AIPC_OK;
    if (aipc_load_relaxed32(word) == value) explore_wait_on(word);
    return AIPC_OK;
}

/* One address for each word: the explorer knows words by their addresses. */
static void see_through(aipc_seg *seg, uint8_t *base) {
#define MOVE(area) seg->area = (void *)(base + ((uint8_t *)seg->area - seg->base))
    MOVE(header), MOVE(heap), MOVE(catalog), MOVE(waits), MOVE(slots), MOVE(contexts), MOVE(nodes);
    for (int i = 0; i < AIPC_CONTEXTS; i++) MOVE(ctx[i].shared);
    seg->base = base;
}
static uint8_t *bases[MANY];

static void stage(void) {
    fixture_create(&segs[0]);
    for (int i = 1; i < MANY; i++) fixture_attach(&segs[i]);
    for (int i = 0; i < MANY; i++) {
        segs[i].idle = idle;
        bases[i] = segs[i].base;
        see_through(&segs[i], segs[0].base);
        locks[i] = fixture_lock(&segs[i]);
        OK(aipc_bell_take(&segs[i], &bell[i], &bell_fd[i]));
        ctxs[i] = enter(&segs[i]);
    }
    for (int i = 0; i < MANY; i++) /* opens all write ends: schedules must not */
        for (int j = 0; j < MANY; j++) {
            (void)aipc_bell_arm(&segs[j], bell[j]);
            aipc_bell_ring_all(&segs[i]);
        }
    for (int i = 0; i < MANY; i++) aipc_bell_woken(&segs[i], bell[i]);
    saved = realloc(saved, FIXTURE_SIZE);
    memcpy(saved, segs[0].base, FIXTURE_SIZE);
    memcpy(saved_segs, segs, sizeof segs);
    exact = false;
}

static void reset(void *arg) {
    (void)arg;
    memcpy(segs[0].base, saved, FIXTURE_SIZE);
    memcpy(segs, saved_segs, sizeof segs);
    for (int i = 0; i < MANY; i++) aipc_os_drain(bell_fd[i]);
    memset(&seen, 0, sizeof seen);
}

static void unstage(void) {
    aipc_report report;
    reset(NULL);
    fixture_sound(&segs[0], &report);
    for (int i = MANY - 1; i >= 0; i--) {
        aipc_ctx_leave(ctxs[i]);
        see_through(&segs[i], bases[i]);
        fixture_detach(&segs[i]);
    }
    fixture_end();
}

/* ---- what each of them does ------------------------------------------------------------------------ */

static void sleep_on_bell(int i) {
    uint64_t tokens[4];
    uint32_t count;
    if (!aipc_bell_arm(&segs[i], bell[i]))
        while (aipc_os_poll2(bell_fd[i], -1, 0) != AIPC_OK) explore_wait();
    aipc_os_drain(bell_fd[i]);
    aipc_bell_woken(&segs[i], bell[i]);
    OK(aipc_wait_collect(ctxs[i], bell[i], tokens, 4, &count));
}

static aipc_status stand(int i, uint32_t *node) {
    const aipc_status status = aipc_lock_wait(ctxs[i], locks[i], bell[i], 1, false, node);
    if (status == AIPC_AGAIN && exact) segs[i].nodes[*node - 1].since = 0; /* has waited long enough for a hand-over */
    return status;
}

static aipc_status acquire(int i) {
    uint32_t node;
    aipc_status status = aipc_lock_try(&segs[i], locks[i]);
    if (status == AIPC_AGAIN) {
        for (status = stand(i, &node); status == AIPC_AGAIN; status = aipc_lock_look(ctxs[i], locks[i], node))
            sleep_on_bell(i);
    }
    return status;
}

static void release(int i) {
    if (!aipc_lock_release_fast(&segs[i], locks[i])) OK(aipc_lock_release_slow(ctxs[i], locks[i]));
}

static void critical_section(void) {
    uint32_t anything = 0;
    seen.inside++;
    if (seen.inside > seen.most) seen.most = seen.inside;
    (void)aipc_load_relaxed32(&anything); /* a point at which others may come in */
    seen.inside--;
    seen.entered++;
}

static bool tidy(void) {
    static aipc_report report;
    memset(&report, 0, sizeof report);
    explorer.current = -1;
    return aipc_waits_check(ctxs[0], &report) == AIPC_OK && aipc_lock_check(ctxs[0], locks[0], &report) == AIPC_OK &&
           report.findings == 0 && report.nodes_waiting == 0 && seen.most <= 1;
}

static int workers;
static bool all_entered(void *arg) {
    (void)arg;
    return tidy() && seen.entered == workers && locks[0]->word == 0;
}

/* In the long form one preemption more, and fifty times as many schedules. */
static struct explored run(const char *what, struct exploration plan) {
    plan.preemptions += harness_full();
    if (plan.max_schedules == 0) plan.max_schedules = harness_full() ? 600000 : 12000;
    if (plan.reset == NULL) plan.reset = reset;
    workers = plan.threads;
    const struct explored result = explore(&plan);
    fprintf(stderr, "  %-34s %7" PRIu64 " schedules, %d preemptions%s%s%s\n", what, result.schedules, plan.preemptions,
            result.complete ? ", all" : "", result.violation ? ": " : "", result.violation ? result.violation : "");
    return result;
}
static void holds(const char *what, struct exploration plan) {
    const struct explored result = run(what, plan);
    CHECK(result.violation == NULL);
}
static void fails(const char *what, const char *violation, struct exploration plan) {
    const struct explored result = run(what, plan);
    CHECK(result.violation != NULL && strcmp(result.violation, violation) == 0);
}

/* ---- lock -------------------------------------------------------------------------------------------- */

static void lock_and_release(int i, void *arg) {
    (void)arg;
    OK(acquire(i));
    critical_section();
    release(i);
}

static void lock_twice(int i, void *arg) {
    lock_and_release(i, arg);
    lock_and_release(i, arg);
}
static bool all_entered_twice(void *arg) {
    (void)arg;
    return tidy() && seen.entered == 2 * workers && locks[0]->word == 0;
}

static void one_at_a_time_and_nobody_sleeps_for_ever(void) {
    stage();
    const struct exploration two = {.threads = 2, .preemptions = 4, .body = lock_and_release, .holds = all_entered};
    const struct exploration twice = {.threads = 2, .preemptions = 2, .body = lock_twice, .holds = all_entered_twice};
    const struct exploration three = {.threads = 3, .preemptions = 2, .body = lock_and_release, .holds = all_entered};
    for (int i = 0; i < 2; i++) {
        exact = i != 0;
        holds(exact ? "two lock, hand over" : "two lock", two);
        holds(exact ? "two lock twice, hand over" : "two lock twice", twice);
        holds(exact ? "three lock, hand over" : "three lock", three);
    }
    unstage();
}

/* 0 holds it and lets go; 1 waits and gives up; 2 must get it in the end. */
static void reset_held(void *arg) {
    reset(arg);
    OK(aipc_lock_try(&segs[0], locks[0]));
}
static void release_cancel_acquire(int i, void *arg) {
    (void)arg;
    uint32_t node;
    if (i == 0) {
        release(0);
    } else if (i == 1) {
        const aipc_status status = stand(1, &node);
        if (status == AIPC_AGAIN) {
            OK(aipc_lock_cancel(ctxs[1], locks[1], node));
        } else {
            OK(status);
            critical_section();
            release(1);
        }
    } else {
        OK(acquire(2));
        critical_section();
        release(2);
    }
}
static bool third_entered(void *arg) {
    (void)arg;
    return tidy() && seen.entered >= 1 && locks[0]->word == 0;
}
static void a_cancelled_wait_passes_on_what_came_too_late(void) {
    stage();
    struct exploration plan = {.threads = 3, .preemptions = 1, .reset = reset_held, .body = release_cancel_acquire, .holds = third_entered};
    holds("release, cancel, acquire", plan);
    exact = true;
    holds("grant, cancel, acquire", plan);
    unstage();
}

/* Two waits of one process, one of which is cancelled, against a release. */
static void release_and_two_of_one_process(int i, void *arg) {
    (void)arg;
    uint32_t first, second;
    if (i == 0) {
        release(0);
        return;
    }
    aipc_status status = stand(1, &first);
    if (status == AIPC_OK) {
        release(1);
        return;
    }
    CHECK_EQ(status, AIPC_AGAIN);
    status = stand(1, &second);
    CHECK_EQ(status, AIPC_AGAIN); /* the first stands before it */
    OK(aipc_lock_cancel(ctxs[1], locks[1], first));
    for (status = aipc_lock_look(ctxs[1], locks[1], second); status == AIPC_AGAIN;
         status = aipc_lock_look(ctxs[1], locks[1], second))
        sleep_on_bell(1);
    OK(status);
    critical_section();
    release(1);
}
static bool free_and_tidy(void *arg) {
    (void)arg;
    return tidy() && locks[0]->word == 0;
}
static void a_cancelled_wait_wakes_the_next_task_of_its_own_process(void) {
    stage();
    struct exploration plan = {.threads = 2, .preemptions = 2, .reset = reset_held, .body = release_and_two_of_one_process, .holds = free_and_tidy};
    holds("two waits of one process", plan);
    exact = true;
    holds("two waits, hand over", plan);
    unstage();
}

static void close_against_others(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        OK(aipc_lock_close(ctxs[0], locks[0]));
        return;
    }
    const aipc_status status = acquire(i);
    if (status == AIPC_CLOSED) {
        seen.closed++;
    } else {
        OK(status);
        critical_section();
        release(i);
    }
}
static bool closed_for_good(void *arg) {
    (void)arg;
    return tidy() && seen.closed + seen.entered == workers - 1 && locks[0]->word == AIPC_LOCK_CLOSED;
}
static void closing_reaches_every_waiter(void) {
    stage();
    holds("close, lock", (struct exploration){.threads = 2, .preemptions = 2, .body = close_against_others, .holds = closed_for_good});
    holds("close, lock, lock", (struct exploration){.threads = 3, .preemptions = 1, .body = close_against_others, .holds = closed_for_good});
    unstage();
}

/* The owner goes in an orderly way, still holding the lock: what a detach leaves for others. */
static void leave_or_acquire(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        aipc_participant_end(&segs[0], segs[0].slot);
        (void)aipc_fetch_add_seq_cst32(&segs[0].header->recoveries, 1);
        segs[0].self = 0;
        aipc_bell_ring_all(&segs[0]);
        return;
    }
    OK(acquire(1));
    critical_section();
    CHECK((locks[1]->word & AIPC_LOCK_ABANDONED) != 0);
    release(1);
}
static bool one_entered(void *arg) {
    (void)arg;
    aipc_report report = {0};
    explorer.current = -1;
    return seen.entered == 1 && locks[1]->word == 0 && aipc_waits_check(ctxs[1], &report) == AIPC_OK && report.findings == 0;
}
static void a_waiter_gets_the_lock_of_one_who_leaves(void) {
    stage();
    holds("leave, lock", (struct exploration){.threads = 2, .preemptions = 2, .reset = reset_held, .body = leave_or_acquire, .holds = one_entered});
    unstage();
}

/* ---- wrong locks ------------------------------------------------------------------------------------- */

/* lock.c's wait without the second look once WAITERS is set. */
static aipc_status wait_without_second_look(int i, bool tell, uint32_t *node) {
    aipc_seg *seg = &segs[i];
    OK(aipc_domain_lock(ctxs[i], &seg->waits->domain));
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    OK(aipc_wait_enlist(&tx, &locks[i]->waiters, bell[i], 1, 0, node));
    aipc_tx_commit(&tx);
    if (tell) (void)aipc_fetch_or_seq_cst64(&locks[i]->word, AIPC_LOCK_WAITERS);
    aipc_domain_unlock(ctxs[i], &seg->waits->domain);
    return AIPC_AGAIN;
}
static void lock_wrongly(int i, const bool *tell) {
    uint32_t node;
    aipc_status status = aipc_lock_try(&segs[i], locks[i]);
    if (status == AIPC_AGAIN)
        for (status = wait_without_second_look(i, *tell, &node); status == AIPC_AGAIN; status = aipc_lock_look(ctxs[i], locks[i], node))
            sleep_on_bell(i);
    OK(status);
    critical_section();
    release(i);
}
static void forget_second_look(int i, void *arg) {
    (void)arg;
    lock_wrongly(i, &(bool){true});
}
/* It looks again, but has told nobody that it waits. */
static void forget_to_tell(int i, void *arg) {
    (void)arg;
    lock_wrongly(i, &(bool){false});
}
/* Cancels without handing on. */
static void forget_to_pass_on(int i, void *arg) {
    uint32_t node;
    if (i != 1) {
        release_cancel_acquire(i, arg);
        return;
    }
    if (stand(1, &node) == AIPC_OK) {
        release(1);
        return;
    }
    OK(aipc_domain_lock(ctxs[1], &segs[1].waits->domain));
    aipc_tx tx = aipc_tx_begin(&segs[1], &segs[1].waits->domain);
    OK(aipc_wait_remove(&tx, &locks[1]->waiters, node));
    aipc_tx_commit(&tx);
    if (locks[1]->waiters.head == AIPC_NO_NODE) (void)aipc_fetch_and_seq_cst64(&locks[1]->word, ~AIPC_LOCK_WAITERS);
    aipc_domain_unlock(ctxs[1], &segs[1].waits->domain);
}
/* Takes a lock that looks free without a CAS. */
static void take_with_a_store(int i, void *arg) {
    (void)arg;
    if (aipc_load_seq_cst64(&locks[i]->word) != 0) return;
    aipc_store_release64(&locks[i]->word, segs[i].self);
    critical_section();
    aipc_store_release64(&locks[i]->word, 0);
}
static void wrong_locks_are_caught(void) {
    stage();
    fails("no second look", "deadlock", (struct exploration){.threads = 2, .preemptions = 2, .body = forget_second_look, .holds = all_entered});
    fails("WAITERS not set", "deadlock", (struct exploration){.threads = 2, .preemptions = 2, .body = forget_to_tell, .holds = all_entered});
    fails("cancelled wake-up lost", "deadlock", (struct exploration){.threads = 3, .preemptions = 1, .reset = reset_held, .body = forget_to_pass_on, .holds = third_entered});
    fails("store for CAS", "property", (struct exploration){.threads = 2, .preemptions = 2, .body = take_with_a_store, .holds = free_and_tidy});
    unstage();
}

/* ---- bells ------------------------------------------------------------------------------------------- */

static uint32_t published;

static void (*ring)(aipc_seg *seg, const aipc_bell_target *target) = aipc_bell_ring;
static bool (*arm)(aipc_seg *seg, uint32_t bell) = aipc_bell_arm;

/* 0 sleeps until all the others have published; they ring it. */
static void publish_or_sleep(int i, void *arg) {
    (void)arg;
    if (i != 0) {
        (void)aipc_fetch_add_seq_cst32(&published, 1);
        ring(&segs[i], &(aipc_bell_target){segs[0].slot, segs[0].generation, bell[0], true});
        return;
    }
    while (aipc_load_seq_cst32(&published) + 1 < (uint32_t)workers) {
        if (!arm(&segs[0], bell[0]))
            while (aipc_os_poll2(bell_fd[0], -1, 0) != AIPC_OK) explore_wait();
        aipc_os_drain(bell_fd[0]);
        aipc_bell_woken(&segs[0], bell[0]);
    }
}
static void reset_published(void *arg) {
    reset(arg);
    published = 0;
}
static bool heard(void *arg) {
    (void)arg;
    return true; /* else it would have slept for ever */
}

static void a_bell_is_never_missed(void) {
    stage();
    struct exploration plan = {.threads = 2, .preemptions = 3, .reset = reset_published, .body = publish_or_sleep, .holds = heard};
    holds("one rings", plan);
    plan.threads = 3;
    plan.preemptions = 2;
    holds("two ring", plan);
    unstage();
}

/* Looks whether anybody sleeps before it says that there is something. */
static void ring_late(aipc_seg *seg, const aipc_bell_target *target) {
    struct aipc_bell *shared = &seg->slots[target->slot].bells[target->bell];
    const bool armed = (aipc_load_seq_cst32(&shared->armed) & 1) != 0;
    (void)aipc_fetch_add_seq_cst32(&shared->rung, 1);
    int ignored;
    if (armed) (void)aipc_os_ring(bell_fd[0], &ignored);
}
static bool arm_blindly(aipc_seg *seg, uint32_t which) {
    (void)aipc_bell_arm(seg, which);
    return false;
}
static void wrong_bells_are_caught(void) {
    stage();
    const struct exploration plan = {.threads = 2, .preemptions = 2, .reset = reset_published, .body = publish_or_sleep, .holds = heard};
    ring = ring_late;
    fails("armed read before rung is moved", "deadlock", plan);
    ring = aipc_bell_ring;
    arm = arm_blindly;
    fails("rung not read after armed is set", "deadlock", plan);
    arm = aipc_bell_arm;
    unstage();
}

/* ---- the slab and its lists ---------------------------------------------------------------------------- */

/* All enlist twice in one queue; 0 notifies whoever is first, the others collect and leave again. */
static void churn(int i, void *arg) {
    (void)arg;
    aipc_seg *seg = &segs[i];
    uint32_t nodes[2], count;
    uint64_t tokens[2];
    for (int n = 0; n < 2; n++) (void)wait_without_second_look(i, false, &nodes[n]);
    OK(aipc_domain_lock(ctxs[i], &seg->waits->domain));
    aipc_bell_target target;
    aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
    OK(aipc_wait_notify(&tx, locks[i]->waiters.head, &target));
    aipc_tx_commit(&tx);
    aipc_domain_unlock(ctxs[i], &seg->waits->domain);
    OK(aipc_wait_collect(ctxs[i], bell[i], tokens, 2, &count));
    if (i == 1) { /* as when it detaches */
        OK(aipc_waits_release(ctxs[1], segs[1].slot));
        return;
    }
    for (int n = 0; n < 2; n++) OK(aipc_lock_cancel(ctxs[i], locks[i], nodes[n]));
}
static void the_lists_of_waiters_stay_whole(void) {
    stage();
    holds("enlist, notify, collect, remove", (struct exploration){.threads = 2, .preemptions = 2, .body = churn, .holds = free_and_tidy});
    holds("the same by three", (struct exploration){.threads = 3, .preemptions = 1, .body = churn, .holds = free_and_tidy});
    unstage();
}

/* ---- slots --------------------------------------------------------------------------------------------- */

static uint64_t life_before;
static int claim_fd[MANY], prepared, prepared_dirty;
static aipc_status claimed[MANY];

static aipc_status count_preparation(aipc_seg *seg, bool dirty) {
    if (dirty) OK(aipc_recover_begin(seg, seg->slot));
    uint32_t anything = 0;
    prepared++;
    prepared_dirty += dirty;
    (void)aipc_load_relaxed32(&anything);
    return AIPC_OK;
}

/* One slot is to be had; 1 and 2 are nobody yet. */
static void reset_claim(void *arg) {
    reset(arg);
    int error;
    for (int i = 1; i < MANY; i++) {
        if (claim_fd[i] > 0) close(claim_fd[i]);
        OK(aipc_os_reopen(segs[0].fd, "", segs[0].device, segs[0].inode, &claim_fd[i], &error));
        segs[i].self = 0;
        segs[i].participants = 2;
        claimed[i] = AIPC_AGAIN;
    }
    segs[0].participants = 2;
    segs[0].slots[1].life = life_before;
    prepared = prepared_dirty = 0;
    published = 0;
}
static void claim(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        claimed[0] = aipc_recover(ctxs[0], 1, aipc_life_generation(life_before));
        aipc_store_release32(&published, 1); /* they try again after a millisecond: now */
        return;
    }
    do claimed[i] = aipc_participant_claim(&segs[i], claim_fd[i], count_preparation);
    while (claimed[i] == AIPC_NO_SLOT && prepared == 0 && (explore_wait(), true)); /* under recovery: claim_patiently */
}
static void claim_only(int i, void *arg) { claim(i + 1, arg); }

static bool one_claimed(void *arg) {
    (void)arg;
    const uint64_t life = segs[0].slots[1].life;
    explorer.current = -1;
    return (claimed[1] == AIPC_OK) + (claimed[2] == AIPC_OK) == 1 && prepared == 1 &&
           aipc_life_state(life) == AIPC_SLOT_LIVE && aipc_life_generation(life) > aipc_life_generation(life_before);
}
static void a_slot_has_one_owner(void) {
    stage();
    for (int i = 1; i < MANY; i++) {
        see_through(&segs[i], bases[i]);
        fixture_detach(&segs[i]); /* its description would hold the lock */
    }
    for (int i = 1; i < MANY; i++) {
        segs[i] = segs[0]; /* the same mapping, and nobody's */
        segs[i].self = segs[i].slot = segs[i].generation = 0;
        segs[i].next = NULL;
    }
    memcpy(saved, segs[0].base, FIXTURE_SIZE);
    memcpy(saved_segs, segs, sizeof segs);
    life_before = aipc_life(4, AIPC_SLOT_FREE);
    holds("two claim a free slot", (struct exploration){.threads = 2, .preemptions = 3, .reset = reset_claim, .body = claim_only, .holds = one_claimed});
    life_before = aipc_life(5, AIPC_SLOT_LIVE);
    holds("two claim a dead one's slot", (struct exploration){.threads = 2, .preemptions = 3, .reset = reset_claim, .body = claim_only, .holds = one_claimed});
    holds("recover, claim, claim", (struct exploration){.threads = 3, .preemptions = 1, .reset = reset_claim, .body = claim, .holds = one_claimed});
    reset(NULL);
    aipc_ctx_leave(ctxs[0]);
    fixture_detach(&segs[0]);
    fixture_end();
}

int main(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0); /* spinning before sleeping is nothing to explore */
    RUN(one_at_a_time_and_nobody_sleeps_for_ever);
    RUN(a_cancelled_wait_passes_on_what_came_too_late);
    RUN(a_cancelled_wait_wakes_the_next_task_of_its_own_process);
    RUN(closing_reaches_every_waiter);
    RUN(a_waiter_gets_the_lock_of_one_who_leaves);
    RUN(wrong_locks_are_caught);
    RUN(a_bell_is_never_missed);
    RUN(wrong_bells_are_caught);
    RUN(the_lists_of_waiters_stay_whole);
    RUN(a_slot_has_one_owner);
    return SUMMARY();
}
