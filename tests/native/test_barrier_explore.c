// variants: hook
/* Every interleaving, within a bound, of who arrives, goes away, breaks and destroys a barrier: so many come through
 * together as there are parties, each with a place of its own, and nobody sleeps in a cycle that is over. */
#include "sync_explore.h"

static struct {
    uint32_t node[SYNC_MANY]; /* of those who stand there from the start */
    int through, broken, closed, arrived, doubled;
    uint64_t places[8]; /* by cycle, a bit for each */
    bool gone, arrived_without;
} seen;
static uint32_t stood[SYNC_MANY];
static uint64_t stalls;

static uint64_t more(void) { return harness_full() ? 400000 : 30000; } /* schedules, where 8000 are not all */

static struct aipc_barrier *at(int i) { return sync_at(i); }

static aipc_status arrive(int i, uint32_t *node, uint32_t *place) {
    return aipc_barrier_arrive(ctxs[i], at(i), bell[i], 1, node, place);
}

/* `mask`: who has arrived from the start. */
static void stage(int count, uint64_t parties, unsigned mask) {
    struct aipc_barrier image = {0};
    uint32_t place;
    aipc_barrier_init(&image, parties);
    sync_make(count, AIPC_TYPE_BARRIER, &image, sizeof image, sizeof image);
    for (int i = 0; i < count; i++)
        if ((mask >> i & 1) != 0) CHECK_EQ(arrive(i, &stood[i], &place), AIPC_AGAIN);
    sync_stage();
}

static void reset(void *arg) {
    sync_reset(arg);
    memset(&seen, 0, sizeof seen);
    memcpy(seen.node, stood, sizeof stood);
}

static aipc_status check(aipc_ctx *ctx, aipc_report *report) { return aipc_barrier_check(ctx, at(0), report); }

/* ---- what each of them does ------------------------------------------------------------------------ */

static void note(aipc_status status, uint64_t cycle, uint32_t place) {
    seen.through += status == AIPC_OK;
    seen.broken += status == AIPC_BROKEN;
    seen.closed += status == AIPC_CLOSED;
    if (status != AIPC_OK) return;
    seen.doubled += (seen.places[cycle] >> place & 1) != 0;
    seen.places[cycle] |= UINT64_C(1) << place;
}

static aipc_status pass(int i, uint64_t cycle) {
    uint32_t node, place;
    aipc_status status = arrive(i, &node, &place);
    while (status == AIPC_AGAIN) {
        explored_sleep(i);
        status = aipc_barrier_look(ctxs[i], at(i), node, &place);
    }
    note(status, cycle, place);
    return status;
}

static void all_arrive(int i, void *arg) {
    (void)arg;
    OK(pass(i, 0));
}
static bool all_through(void *arg) {
    (void)arg;
    return sync_tidy(check) && seen.through == sync_threads && seen.doubled == 0 &&
           seen.places[0] == (UINT64_C(1) << sync_threads) - 1;
}
static void twice(int i, void *arg) {
    (void)arg;
    for (uint64_t cycle = 0; cycle < 2; cycle++) OK(pass(i, cycle));
}
static bool all_through_twice(void *arg) {
    (void)arg;
    return sync_tidy(check) && seen.through == 4 && seen.places[0] == 3 && seen.places[1] == 3 && seen.doubled == 0;
}
static void all_come_through_together(void) {
    stage(3, 3, 0);
    holds("three arrive", (struct exploration){.threads = 3, .preemptions = 1, .reset = reset, .body = all_arrive,
                                               .holds = all_through, .max_schedules = more()});
    sync_unstage();
    stage(2, 2, 0);
    holds("two arrive twice", (struct exploration){.threads = 2, .preemptions = 2, .reset = reset, .body = twice,
                                                   .holds = all_through_twice, .max_schedules = more()});
    sync_unstage();
}

/* ---- going away ------------------------------------------------------------------------------------ */

/* Of three parties 1 has arrived, and goes; 2 comes, but 0, who is there, is not enough for it then. */
static void go_and_come(int i, void *arg) {
    uint32_t place, waiting;
    bool broken;
    (void)arg;
    if (i == 0) {
        OK(aipc_barrier_waiting(ctxs[0], at(0), &waiting, &broken));
        CHECK(waiting <= 2 && !broken);
    } else if (i == 1) {
        OK(aipc_barrier_cancel(ctxs[1], at(1), seen.node[1]));
        seen.gone = true;
    } else {
        const bool gone = seen.gone;
        const aipc_status status = arrive(2, &seen.node[2], &place);
        if (status == AIPC_OK) seen.through++, seen.arrived_without = gone;
        else CHECK_EQ(status, AIPC_AGAIN);
    }
}
static bool only_together(void *arg) {
    uint32_t place;
    (void)arg;
    explorer.current = -1;
    const aipc_status first = aipc_barrier_look(ctxs[0], at(0), seen.node[0], &place);
    if ((first == AIPC_OK) != (seen.through == 1) || seen.arrived_without) return false;
    if (first == AIPC_AGAIN) OK(aipc_barrier_cancel(ctxs[0], at(0), seen.node[0]));
    if (seen.through == 0) OK(aipc_barrier_cancel(ctxs[2], at(2), seen.node[2]));
    OK(aipc_barrier_reset(ctxs[0], at(0))); /* sweeps */
    return sync_tidy(check);
}
static const struct exploration going = {.threads = 3, .preemptions = 1, .reset = reset, .body = go_and_come,
                                         .holds = only_together};

/* A stopped process is whoever has the lock. */
static aipc_status impatient(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    (void)seg, (void)word, (void)value;
    stalls++;
    return AIPC_STALLED;
}

static void who_goes_has_not_arrived(void) {
    stage(3, 3, 3);
    holds("look on, cancel, arrive", going);
    sync_reset(NULL);
    segs[1].idle = impatient;
    sync_save();
    stalls = 0;
    holds("look on, withdraw, arrive", going);
    CHECK(stalls > 100);
    sync_unstage();
}

/* ---- breaking -------------------------------------------------------------------------------------- */

static aipc_status (*end_it)(aipc_ctx *ctx, struct aipc_barrier *b);
static void arrive_or_end(int i, void *arg) {
    (void)arg;
    if (i == 2) OK(end_it(ctxs[2], at(2)));
    else (void)pass(i, 0);
}
static bool both_or_none(void *arg) {
    (void)arg;
    const int ended = end_it == aipc_barrier_abort ? seen.broken : seen.closed;
    return sync_tidy(check) && (seen.through == 2 || ended == 2) && seen.doubled == 0;
}
static void both_are_through_or_both_are_told(void) {
    const struct exploration plan = {.threads = 3, .preemptions = 1, .reset = reset, .body = arrive_or_end,
                                     .holds = both_or_none, .max_schedules = more()};
    stage(3, 2, 0);
    end_it = aipc_barrier_abort;
    holds("arrive, arrive, abort", plan);
    end_it = aipc_barrier_close;
    holds("arrive, arrive, destroy", plan);
    sync_unstage();
}

/* Who is sent away comes again. */
static void arrive_and_reset(int i, void *arg) {
    (void)arg;
    if (i == 2) OK(aipc_barrier_reset(ctxs[2], at(2)));
    else while (pass(i, 0) == AIPC_BROKEN) continue;
}
static bool both_through(void *arg) {
    (void)arg;
    return sync_tidy(check) && seen.through == 2 && seen.doubled == 0 && seen.broken <= 1;
}
static void who_is_sent_away_by_a_reset_can_come_again(void) {
    stage(3, 2, 0);
    holds("arrive, arrive, reset", (struct exploration){.threads = 3, .preemptions = 1, .reset = reset, .body = arrive_and_reset,
                                                        .holds = both_through, .max_schedules = more()});
    sync_unstage();
}

/* ---- controls -------------------------------------------------------------------------------------- */

/* Counted as it always was. */
static void withdraw_uncounted(int i, void *arg) {
    uint32_t nowhere = 0;
    if (i == 1) {
        aipc_wait_withdraw(&segs[1], seen.node[1], &nowhere);
        seen.gone = true;
    } else {
        go_and_come(i, arg);
    }
}
/* Ends the cycle, and tells nobody. */
static void end_in_silence(int i, void *arg) {
    (void)arg;
    if (i == 1) (void)aipc_exchange_seq_cst64(&at(1)->word, 1 << 2 | 2);
    else (void)pass(i, 0);
}
static void wrong_barriers_are_caught(void) {
    stage(3, 3, 3);
    struct exploration plan = going;
    plan.body = withdraw_uncounted;
    fails("withdrawn, but counted", "property", plan);
    sync_unstage();
    stage(2, 2, 0);
    fails("nobody is told", "deadlock", (struct exploration){.threads = 2, .preemptions = 1, .reset = reset,
                                                             .body = end_in_silence, .holds = both_through});
    sync_unstage();
}

int main(void) {
    sync_one_processor();
    RUN(all_come_through_together);
    RUN(who_goes_has_not_arrived);
    RUN(both_are_through_or_both_are_told);
    RUN(who_is_sent_away_by_a_reset_can_come_again);
    RUN(wrong_barriers_are_caught);
    return SUMMARY();
}
