// variants: hook
/* Every interleaving, within a bound, of who waits for a notification, who gives it, and who gives up or leaves: it is
 * never lost while somebody waits for it, nor had by two. */
#include "sync_explore.h"

static struct {
    uint32_t node[SYNC_MANY]; /* of those who stand there from the start */
    int notified, closed, items, taken;
} seen;
static uint32_t stood[SYNC_MANY];

static uint64_t more(void) { return harness_full() ? 400000 : 30000; } /* schedules, where 8000 are not all */

static struct aipc_condition *at(int i) { return sync_at(i); }

static void stand(int i, uint32_t *node) { OK(aipc_condition_stand(ctxs[i], at(i), bell[i], 1, node)); }

/* `mask`: who stands there from the start, in the order of their numbers; `tokens` of them notified. */
static void stage(int count, unsigned mask, uint32_t tokens) {
    static const struct aipc_condition image;
    sync_make(count, AIPC_TYPE_CONDITION, &image, sizeof image, sizeof image);
    for (int i = 0; i < count; i++)
        if ((mask >> i & 1) != 0) stand(i, &stood[i]);
    sync_stage();
    OK(aipc_condition_notify(ctxs[0], at(0), tokens));
    sync_hush();
    sync_save();
}

static void reset(void *arg) {
    sync_reset(arg);
    memset(&seen, 0, sizeof seen);
    memcpy(seen.node, stood, sizeof stood);
}

static aipc_status check(aipc_ctx *ctx, aipc_report *report) {
    const aipc_status status = aipc_lock_check(ctx, &at(0)->own, report);
    return status == AIPC_OK ? aipc_condition_check(ctx, at(0), report) : status;
}

/* ---- what each of them does ------------------------------------------------------------------------ */

static aipc_status wait_for(int i, uint32_t node) {
    aipc_status status;
    while ((status = aipc_condition_look(ctxs[i], at(i), node)) == AIPC_AGAIN) explored_sleep(i);
    seen.notified += status == AIPC_OK;
    seen.closed += status == AIPC_CLOSED;
    return status;
}
static void give_up(int i) { OK(aipc_condition_cancel(ctxs[i], at(i), seen.node[i])); }

/* 0 notifies, 1 gives up, 2 waits behind it: its notification comes. */
static void (*way_to_give_up)(int i);
static void notify_cancel_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) OK(aipc_condition_notify(ctxs[0], at(0), 1));
    else if (i == 1) way_to_give_up(1);
    else OK(wait_for(2, seen.node[2]));
}
static bool third_notified(void *arg) {
    (void)arg;
    if (seen.node[1] != 0 && way_to_give_up == give_up) /* what it could not take away is swept by whoever comes */
        OK(aipc_condition_notify(ctxs[0], at(0), 0));
    return sync_tidy(check) && seen.notified == 1;
}

static void leave(int i) { OK(aipc_waits_release(ctxs[i], segs[i].slot)); }

/* A stopped process is whoever has the lock. */
static uint64_t stalls;
static aipc_status impatient(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    (void)seg, (void)word, (void)value;
    stalls++;
    return AIPC_STALLED;
}

static const struct exploration three_of_them = {.threads = 3, .preemptions = 1, .reset = reset,
                                                 .body = notify_cancel_wait, .holds = third_notified};

static void a_notification_of_one_who_gives_up_goes_to_the_next(void) {
    way_to_give_up = give_up;
    stage(3, 6, 0);
    holds("notify, cancel, wait", three_of_them);
    sync_unstage();
    way_to_give_up = leave;
    stage(3, 6, 0);
    holds("notify, leave, wait", three_of_them);
    sync_unstage();
}

static void who_cannot_reach_the_queue_passes_it_on_all_the_same(void) {
    way_to_give_up = give_up;
    stage(3, 6, 0);
    segs[1].idle = impatient;
    sync_save();
    holds("notify, withdraw, wait", three_of_them);
    CHECK(stalls > 100);
    sync_unstage();
}

/* 0 and 1 have a token each and give up, 2 waits and gets one of them; the other is for nobody. */
static void cancel_cancel_wait(int i, void *arg) {
    (void)arg;
    if (i < 2) give_up(i);
    else OK(wait_for(2, seen.node[2]));
}
static void two_give_up_at_once(void) {
    struct exploration plan = {.threads = 3, .preemptions = 1, .reset = reset, .body = cancel_cancel_wait,
                               .holds = third_notified, .max_schedules = more()};
    way_to_give_up = give_up;
    stage(3, 7, 2);
    holds("cancel, cancel, wait", plan);
    sync_reset(NULL);
    segs[0].idle = segs[1].idle = impatient;
    sync_save();
    stalls = 0;
    holds("withdraw, withdraw, wait", plan);
    CHECK(stalls > 100);
    sync_unstage();
}

/* One notification, two who wait: one goes, and the other is there for the next. */
static void look_at_once(int i, void *arg) {
    (void)arg;
    if (i == 0) OK(aipc_condition_notify(ctxs[0], at(0), 1));
    else seen.notified += aipc_condition_look(ctxs[i], at(i), seen.node[i]) == AIPC_OK;
}
static bool one_notified(void *arg) {
    (void)arg;
    explorer.current = -1;
    for (int i = 1; i < 3; i++)
        if (aipc_wait_node(&segs[i], seen.node[i], NULL) != NULL) {
            seen.notified += aipc_condition_look(ctxs[i], at(i), seen.node[i]) == AIPC_OK;
            if (aipc_wait_node(&segs[i], seen.node[i], NULL) != NULL) give_up(i);
        }
    return sync_tidy(check) && seen.notified == 1;
}
static void a_notification_is_for_one(void) {
    stage(3, 6, 0);
    holds("notify, look, look", (struct exploration){.threads = 3, .preemptions = 1, .reset = reset,
                                                     .body = look_at_once, .holds = one_notified});
    sync_unstage();
}

/* ---- with its lock --------------------------------------------------------------------------------- */

static void acquire(int i) {
    struct aipc_lock *lock = &at(i)->own;
    uint32_t node;
    aipc_status status = aipc_lock_try(&segs[i], lock);
    if (status == AIPC_AGAIN) status = aipc_lock_wait(ctxs[i], lock, bell[i], 1, false, &node);
    while (status == AIPC_AGAIN) {
        explored_sleep(i);
        status = aipc_lock_look(ctxs[i], lock, node);
    }
    OK(status);
}
static void release(int i) {
    if (!aipc_lock_release_fast(&segs[i], &at(i)->own)) OK(aipc_lock_release_slow(ctxs[i], &at(i)->own));
}

static uint32_t at_once; /* how many are notified by each put */
static void put_and_take(int i, void *arg) {
    uint32_t node;
    (void)arg;
    acquire(i);
    if (i == 0) {
        seen.items = sync_threads - 1;
        OK(aipc_condition_notify(ctxs[0], at(0), at_once));
    } else {
        while (seen.items == 0) {
            stand(i, &node);
            release(i);
            OK(wait_for(i, node));
            acquire(i);
        }
        seen.items--;
        seen.taken++;
    }
    release(i);
}
static bool all_taken(void *arg) {
    (void)arg;
    return sync_tidy(check) && seen.taken == sync_threads - 1 && at(0)->own.word == 0;
}
static void nobody_sleeps_beside_an_item(void) {
    struct exploration plan = {.threads = 2, .preemptions = 2, .reset = reset, .body = put_and_take, .holds = all_taken,
                               .max_schedules = more()};
    stage(3, 0, 0);
    at_once = 1;
    holds("put, take", plan);
    at_once = AIPC_EVERYBODY;
    plan.threads = 3;
    plan.preemptions = 1;
    holds("put for all, take, take", plan);
    sync_unstage();
}

/* ---- the end --------------------------------------------------------------------------------------- */

static void close_and_wait(int i, void *arg) {
    uint32_t node;
    (void)arg;
    if (i == 0) {
        OK(aipc_condition_close(ctxs[0], at(0)));
        return;
    }
    const aipc_status status = aipc_condition_stand(ctxs[i], at(i), bell[i], 1, &node);
    if (status == AIPC_OK) CHECK_EQ(wait_for(i, node), AIPC_CLOSED);
    else CHECK_EQ(status, AIPC_CLOSED);
}
static bool tidy(void *arg) {
    (void)arg;
    return sync_tidy(check);
}
static void a_closed_condition_holds_nobody(void) {
    stage(3, 0, 0);
    holds("close, wait, wait", (struct exploration){.threads = 3, .preemptions = 1, .reset = reset,
                                                    .body = close_and_wait, .holds = tidy});
    sync_unstage();
}

/* ---- controls -------------------------------------------------------------------------------------- */

/* Cancels without passing anything on. */
static void just_go(int i) {
    OK(aipc_domain_lock(ctxs[i], &segs[i].waits->domain));
    struct aipc_wait_queue *queue =
        aipc_wait_node(&segs[i], seen.node[i], &at(i)->served) != NULL ? &at(i)->served : &at(i)->waiters;
    aipc_tx tx = aipc_tx_begin(&segs[i], &segs[i].waits->domain);
    OK(aipc_tx_finish(&tx, aipc_wait_remove(&tx, queue, seen.node[i])));
    aipc_domain_unlock(ctxs[i], &segs[i].waits->domain);
}
static void withdraw_in_silence(int i) { aipc_wait_withdraw(&segs[i], seen.node[i], &at(i)->withdrawn); }
static void withdraw_uncounted(int i) {
    uint32_t nowhere = 0;
    aipc_wait_withdraw(&segs[i], seen.node[i], &nowhere);
    aipc_wait_rouse(&segs[i]);
}
static void wrong_ways_to_give_up_are_caught(void) {
    stage(3, 6, 0);
    way_to_give_up = just_go;
    fails("not passed on", "deadlock", three_of_them);
    way_to_give_up = withdraw_in_silence;
    fails("nobody looks", "deadlock", three_of_them);
    way_to_give_up = withdraw_uncounted;
    fails("nobody sweeps", "deadlock", three_of_them);
    sync_unstage();
}

int main(void) {
    sync_one_processor();
    RUN(a_notification_of_one_who_gives_up_goes_to_the_next);
    RUN(who_cannot_reach_the_queue_passes_it_on_all_the_same);
    RUN(two_give_up_at_once);
    RUN(a_notification_is_for_one);
    RUN(nobody_sleeps_beside_an_item);
    RUN(a_closed_condition_holds_nobody);
    RUN(wrong_ways_to_give_up_are_caught);
    return SUMMARY();
}
