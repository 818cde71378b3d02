// variants: hook
/* Semaphores, limiters and events: in every interleaving, within a bound, nobody sleeps on who could be served, and nothing
 * is lost or doubled, though waiters give up, withdraw and die at any instant. */
#include "types.h"

#include "sync_explore.h"

static struct {
    int got, inside, most;
    uint64_t total; /* of permits or tokens in the end */
} seen;
static bool aged;             /* whoever stands has waited for long already */
static bool hasty[SYNC_MANY]; /* finds every lock that it would wait for stalled */
static uint32_t first;        /* the place of participant 1, where it stands before all begin */

/* ---- the three of them ----------------------------------------------------------------------------- */

static const struct kind {
    const char *name;
    void (*make)(uint64_t there, uint64_t used);
    aipc_status (*attempt)(int i, uint32_t node);
    void (*provide)(int i);
    aipc_status (*stand)(int i, uint32_t *node);
    aipc_status (*leave)(int i, uint32_t node);
    struct aipc_line *(*line)(int i);
    aipc_status (*check)(aipc_ctx *ctx, aipc_report *report);
    uint64_t (*left)(void);
} *kind;

static struct aipc_semaphore *semaphore(int i) { return sync_at(i); }
static void semaphore_make(uint64_t there, uint64_t used) {
    struct aipc_semaphore image;
    aipc_semaphore_init(&image, there - used, AIPC_SEMAPHORE_MAX);
    sync_make(3, AIPC_TYPE_SEMAPHORE, &image, sizeof image, sizeof image);
}
static aipc_status semaphore_attempt(int i, uint32_t node) { return aipc_semaphore_try(semaphore(i), node); }
static void semaphore_provide(int i) {
    OK(aipc_semaphore_add(semaphore(i), 1));
    if (aipc_line_asleep(&semaphore(i)->line)) OK(aipc_line_wake(ctxs[i], &semaphore(i)->line, 1));
}
static aipc_status semaphore_stand(int i, uint32_t *node) {
    return aipc_semaphore_stand(ctxs[i], semaphore(i), bell[i], 1, node);
}
static aipc_status semaphore_leave(int i, uint32_t node) { return aipc_semaphore_leave(ctxs[i], semaphore(i), node); }
static struct aipc_line *semaphore_line(int i) { return &semaphore(i)->line; }
static aipc_status semaphore_check(aipc_ctx *ctx, aipc_report *report) {
    return aipc_semaphore_check(ctx, semaphore(0), report);
}
static uint64_t semaphore_left(void) { return semaphore(0)->value; }

static struct aipc_limiter *limiter(int i) { return sync_at(i); }
static void limiter_make(uint64_t there, uint64_t used) { /* by participant 0 */
    struct aipc_limiter image;
    aipc_limiter_init(&image, there);
    sync_make(3, AIPC_TYPE_LIMITER, &image, sizeof image, aipc_limiter_object_size(FIXTURE_PARTICIPANTS));
    for (uint64_t n = 0; n < used; n++) OK(aipc_limiter_try(ctxs[0], limiter(0), AIPC_NO_NODE));
}
static aipc_status limiter_attempt(int i, uint32_t node) { return aipc_limiter_try(ctxs[i], limiter(i), node); }
static void limiter_provide(int i) { OK(aipc_limiter_give(ctxs[i], limiter(i))); }
static aipc_status limiter_stand(int i, uint32_t *node) {
    return aipc_limiter_stand(ctxs[i], limiter(i), bell[i], 1, node);
}
static aipc_status limiter_leave(int i, uint32_t node) { return aipc_limiter_leave(ctxs[i], limiter(i), node); }
static struct aipc_line *limiter_line(int i) { return &limiter(i)->line; }
static aipc_status limiter_check(aipc_ctx *ctx, aipc_report *report) { return aipc_limiter_check(ctx, limiter(0), report); }
static uint64_t limiter_left(void) {
    aipc_limiter_stats stats;
    aipc_limiter_stats_get(&segs[0], limiter(0), &stats);
    return stats.total - stats.borrowed;
}

static struct aipc_event *event(int i) { return sync_at(i); }
static void event_make(uint64_t there, uint64_t used) {
    (void)there, (void)used;
    static const struct aipc_event image;
    sync_make(3, AIPC_TYPE_EVENT, &image, sizeof image, sizeof image);
}
static aipc_status event_attempt(int i, uint32_t node) { /* all waited before the first time */
    (void)node;
    return aipc_event_happened(event(i), 0) ? AIPC_OK : AIPC_AGAIN;
}
static void event_provide(int i) { /* and is cleared at once */
    (void)aipc_event_set(event(i));
    if (aipc_line_asleep(&event(i)->line)) OK(aipc_line_wake(ctxs[i], &event(i)->line, AIPC_EVERYBODY));
    aipc_event_clear(event(i));
}
static aipc_status event_stand(int i, uint32_t *node) {
    return aipc_line_stand(ctxs[i], &event(i)->line, bell[i], 1, node);
}
static aipc_status event_leave(int i, uint32_t node) { return aipc_line_leave(ctxs[i], &event(i)->line, node); }
static struct aipc_line *event_line(int i) { return &event(i)->line; }
static aipc_status event_check(aipc_ctx *ctx, aipc_report *report) { return aipc_event_check(ctx, event(0), report); }
static uint64_t event_left(void) { return seen.total - (uint64_t)seen.got; }

static const struct kind kinds[] = {
    {"semaphore", semaphore_make, semaphore_attempt, semaphore_provide, semaphore_stand, semaphore_leave, semaphore_line, semaphore_check, semaphore_left},
    {"limiter", limiter_make, limiter_attempt, limiter_provide, limiter_stand, limiter_leave, limiter_line, limiter_check, limiter_left},
    {"event", event_make, event_attempt, event_provide, event_stand, event_leave, event_line, event_check, event_left},
};
enum { SEMAPHORE, LIMITER, EVENT, KINDS };

/* ---- what each of them does -------------------------------------------------------------------------- */

static uint32_t stand(int i) {
    uint32_t node;
    OK(kind->stand(i, &node));
    if (aged) sync_age(i, node);
    return node;
}

/* With a place in the line. */
static void wait_as(int i, uint32_t node) {
    aipc_status status = kind->attempt(i, node);
    while (status == AIPC_AGAIN) {
        explored_sleep(i);
        status = kind->attempt(i, node);
        if (status != AIPC_AGAIN) break;
        OK(aipc_line_again(ctxs[i], kind->line(i), node));
        status = kind->attempt(i, node);
    }
    OK(kind->leave(i, node));
    OK(status);
    seen.got++;
}
static void wait_for_it(int i) {
    if (i == 1) {
        wait_as(1, first);
        return;
    }
    aipc_bell_woken(&segs[i], bell[i]); /* what was rung until now was not for this */
    if (kind->attempt(i, AIPC_NO_NODE) == AIPC_OK) seen.got++;
    else wait_as(i, stand(i));
}

/* What its recovery leaves behind. */
static void die(int i) {
    OK(aipc_waits_release(ctxs[i], segs[i].slot));
    aipc_participant_end(&segs[i], segs[i].slot);
    (void)aipc_fetch_add_seq_cst32(&segs[i].header->recoveries, 1);
    aipc_bell_ring_all(&segs[i]);
}

static aipc_status idle(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    return hasty[seg - segs] ? AIPC_STALLED : sync_idle(seg, word, value);
}

static bool nothing_left_behind(void) {
    explorer.current = -1;
    memset(hasty, 0, sizeof hasty);
    OK(aipc_line_wake(ctxs[0], kind->line(0), AIPC_EVERYBODY)); /* finds those who withdrew */
    return sync_tidy(kind->check) && kind->left() == seen.total - (uint64_t)seen.got && !aipc_line_asleep(kind->line(0));
}

static uint64_t total; /* how many come to be had in a schedule */
static void reset(void *arg) {
    sync_reset(arg);
    memset(&seen, 0, sizeof seen);
    memset(hasty, 0, sizeof hasty);
    seen.total = total;
}

static void stage(int which, uint64_t there, uint64_t used, bool old) {
    kind = &kinds[which];
    kind->make(there, used);
    total = there;
    aged = old;
    sync_stage();
    for (int i = 0; i < sync_count; i++) segs[i].idle = idle;
    first = stand(1);
    sync_save();
}

/* With young waiters (the short form: of semaphores alone), and with old ones: then the last permit is the first one's. */
static void explore_kind(int which, uint64_t there, const char *what, struct exploration plan) {
    plan.reset = reset;
    for (int old = 0; old < 2; old++) {
        char name[64];
        if (which == EVENT ? old : which == LIMITER && !old && !harness_full()) continue;
        stage(which, there, there, old != 0);
        snprintf(name, sizeof name, "%s: %s%s", kind->name, what, old ? ", in order" : "");
        holds(name, plan);
        sync_unstage();
    }
}
static void explore_kinds(uint64_t there, const char *what, struct exploration plan) {
    for (int which = 0; which < KINDS; which++) explore_kind(which, there, what, plan);
}

/* Of those that have tens of thousands. */
static uint64_t at_most(uint64_t schedules) { return harness_full() ? 0 : schedules; }

/* ---- nobody sleeps for ever -------------------------------------------------------------------------- */

static void provide_or_wait(int i, void *arg) {
    (void)arg;
    if (i != 0) {
        wait_for_it(i);
        return;
    }
    for (uint64_t n = 0; n < total; n++) kind->provide(0);
}
static bool all_got_it(void *arg) {
    (void)arg;
    return nothing_left_behind() && seen.got == sync_threads - 1;
}
static void what_is_provided_reaches_who_waits(void) {
    explore_kinds(1, "provide, wait", (struct exploration){.threads = 2, .preemptions = 2, .body = provide_or_wait, .holds = all_got_it});
    explore_kinds(2, "provide two, wait, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = provide_or_wait, .holds = all_got_it});
}

/* 1 gives up. */
static void provide_cancel_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) kind->provide(0);
    if (i == 1) OK(kind->leave(1, first));
    if (i == 2) wait_for_it(2);
}
static bool the_other_got_it(void *arg) {
    (void)arg;
    return nothing_left_behind() && seen.got == 1;
}
static void who_gives_up_passes_a_wake_up_on(void) {
    explore_kinds(1, "provide, cancel, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = provide_cancel_wait, .holds = the_other_got_it});
}

/* 1 withdraws when it would have to wait for the lock. */
static void provide_withdraw_wait(int i, void *arg) {
    if (i == 1) hasty[1] = true;
    provide_cancel_wait(i, arg);
}
static void who_withdraws_takes_nothing_along(void) {
    explore_kinds(1, "provide, withdraw, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = provide_withdraw_wait, .holds = the_other_got_it});
}

/* 1 looks in vain first. */
static void provide_die_wait(int i, void *arg) {
    if (i == 1) {
        OK(aipc_line_again(ctxs[1], kind->line(1), first));
        die(1);
    } else {
        provide_cancel_wait(i, arg);
    }
}
static void who_dies_in_line_takes_nothing_along(void) {
    explore_kinds(1, "provide, die, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = provide_die_wait, .holds = the_other_got_it});
}

/* 1 takes what there is if it can, and dies with it: a token comes back. */
static void borrow_die_wait(int i, void *arg) {
    if (i == 1) {
        (void)limiter_attempt(1, first);
        die(1);
    } else {
        provide_cancel_wait(i, arg);
    }
}
static void who_dies_has_borrowed_nothing(void) {
    explore_kind(LIMITER, 1, "give, borrow and die, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = borrow_die_wait, .holds = the_other_got_it});
}

/* 2 takes it when it is there, and provides it again: 1 gets it all the same. */
static void provide_wait_snatch(int i, void *arg) {
    (void)arg;
    if (i == 0) kind->provide(0);
    if (i == 1) wait_for_it(1);
    if (i == 2 && kind->attempt(2, AIPC_NO_NODE) == AIPC_OK) kind->provide(2);
}
static void who_was_overtaken_gets_it_later(void) {
    for (int which = 0; which < EVENT; which++)
        explore_kind(which, 1, "provide, wait, snatch", (struct exploration){.threads = 3, .preemptions = 2, .max_schedules = at_most(6000), .body = provide_wait_snatch, .holds = the_other_got_it});
}

/* ---- nothing is had twice ------------------------------------------------------------------------------ */

static void use(int i, void *arg) {
    uint32_t anything = 0;
    (void)arg;
    wait_for_it(i);
    seen.inside++;
    if (seen.inside > seen.most) seen.most = seen.inside;
    (void)aipc_load_relaxed32(&anything); /* a point at which others may come in */
    seen.inside--;
    seen.got--;
    kind->provide(i);
}
static bool one_at_a_time(void *arg) {
    (void)arg;
    return nothing_left_behind() && seen.most == 1;
}
static void one_permit_is_one_users(void) {
    for (int n = 0; n < 2 * EVENT; n++) {
        stage(n / 2, 1, 0, n % 2 != 0);
        holds(kind->name, (struct exploration){.threads = 3, .preemptions = 2, .max_schedules = at_most(4000), .reset = reset, .body = use, .holds = one_at_a_time});
        sync_unstage();
    }
}

static void provide_or_resize(int i, void *arg) {
    (void)arg;
    if (i == 0) OK(aipc_limiter_resize(ctxs[0], limiter(0), 2));
    else wait_for_it(i);
}
static bool both_got_it(void *arg) {
    (void)arg;
    seen.total = 2;
    return nothing_left_behind() && seen.got == 2;
}
static void more_tokens_reach_who_waits(void) {
    explore_kind(LIMITER, 0, "resize, wait, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = provide_or_resize, .holds = both_got_it});
}

/* ---- behind one that is stopped ------------------------------------------------------------------------- */

/* 1 stands first, for long, and does not run. */
static void provide_two_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        kind->provide(0);
        kind->provide(0);
    } else {
        wait_for_it(2);
    }
}
static bool it_cost_no_more_than_one(void *arg) {
    (void)arg;
    explorer.current = -1;
    OK(kind->attempt(1, first));
    seen.got++;
    OK(kind->leave(1, first));
    return nothing_left_behind() && seen.got == 2;
}
static void one_that_is_stopped_costs_one_permit(void) {
    for (int which = 0; which < EVENT; which++)
        explore_kind(which, 2, "provide two, one waits", (struct exploration){.threads = 2, .preemptions = 2, .max_schedules = at_most(6000), .body = provide_two_wait, .holds = it_cost_no_more_than_one});
}

/* 0 is stopped between its change and its wake-up; 1 sleeps, and what there is is set aside for it; 2 comes after that. */
static void provide_silently(int i) {
    uint64_t *own = &limiter(i)->holders[segs[i].slot];
    if (kind == &kinds[SEMAPHORE]) OK(aipc_semaphore_add(semaphore(i), 1));
    else CHECK(aipc_cas_seq_cst64(own, *own, *own - 1));
}
static bool provided(void) { /* without a point at which others may come in */
    return kind == &kinds[SEMAPHORE] ? semaphore(0)->value != 0 : (uint32_t)limiter(0)->holders[segs[0].slot] == 0;
}
static void provide_silently_use_use(int i, void *arg) {
    if (i == 0) {
        provide_silently(0);
        return;
    }
    if (i == 1) explored_sleep(1);
    while (i == 2 && !provided()) explore_wait();
    use(i, arg);
}
static bool both_used_it(void *arg) {
    (void)arg;
    return nothing_left_behind() && seen.most == 1;
}
static void who_comes_later_wakes_whom_it_is_set_aside_for(void) {
    for (int which = 0; which < EVENT; which++) {
        stage(which, 1, 1, true);
        OK(aipc_line_again(ctxs[1], kind->line(1), first));
        sync_save();
        holds(kind->name, (struct exploration){.threads = 3, .preemptions = 1, .reset = reset, .body = provide_silently_use_use, .holds = both_used_it});
        sync_unstage();
    }
}

int main(void) {
    sync_one_processor();
    RUN(what_is_provided_reaches_who_waits);
    RUN(who_gives_up_passes_a_wake_up_on);
    RUN(who_withdraws_takes_nothing_along);
    RUN(who_dies_in_line_takes_nothing_along);
    RUN(who_dies_has_borrowed_nothing);
    RUN(who_was_overtaken_gets_it_later);
    RUN(one_permit_is_one_users);
    RUN(more_tokens_reach_who_waits);
    RUN(one_that_is_stopped_costs_one_permit);
    RUN(who_comes_later_wakes_whom_it_is_set_aside_for);
    return SUMMARY();
}
