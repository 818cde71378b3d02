// variants: hook
// core: no
/* The explorer proves a right lock, and finds the error of each wrong one. */
#include "explore.h"

static struct {
    uint32_t lock, ready;
    int inside, entered, most;
} shared;

static void reset(void *ctx) {
    (void)ctx;
    memset(&shared, 0, sizeof shared);
}

static void critical_section(void) {
    uint32_t anything = 0;
    shared.inside++;
    if (shared.inside > shared.most) shared.most = shared.inside;
    (void)aipc_load_relaxed32(&anything); /* a point at which others may come in */
    shared.inside--;
    shared.entered++;
}

static bool one_at_a_time(void *ctx) {
    (void)ctx;
    return shared.most <= 1;
}

static void cas_locker(int thread, void *ctx) {
    (void)thread, (void)ctx;
    while (!aipc_cas_seq_cst32(&shared.lock, 0, 1)) explore_wait();
    critical_section();
    aipc_store_release32(&shared.lock, 0);
}

static void spinning_locker(int thread, void *ctx) {
    (void)thread, (void)ctx;
    while (!aipc_cas_seq_cst32(&shared.lock, 0, 1)) {
    }
    critical_section();
    aipc_store_release32(&shared.lock, 0);
}

static void load_then_store_locker(int thread, void *ctx) {
    (void)thread, (void)ctx;
    while (aipc_load_acquire32(&shared.lock) != 0) explore_wait();
    aipc_store_release32(&shared.lock, 1);
    critical_section();
    aipc_store_release32(&shared.lock, 0);
}

/* Forgets that the other may have stored between the look and the sleep. */
static void waiter_without_recheck(int thread, void *ctx) {
    (void)ctx;
    if (thread == 1) {
        aipc_store_release32(&shared.ready, 1);
        return;
    }
    const bool ready = aipc_load_acquire32(&shared.ready) != 0;
    (void)aipc_load_relaxed32(&shared.lock);
    if (!ready) explore_wait();
}

static void waiter_for_ever(int thread, void *ctx) {
    (void)thread, (void)ctx;
    while (aipc_load_acquire32(&shared.ready) == 0) {
    }
}

static bool always(void *ctx) {
    (void)ctx;
    return true;
}

static void a_cas_lock_admits_one_thread_in_every_schedule(void) {
    const struct exploration plan = {
        .threads = 3, .preemptions = 100, .reset = reset, .body = cas_locker, .holds = one_at_a_time};
    const struct explored result = explore(&plan);
    CHECK(result.violation == NULL);
    CHECK(result.complete);
    CHECK(result.schedules > 100);
    CHECK_EQ(shared.entered, 3);
}

static void a_smaller_bound_means_fewer_schedules(void) {
    struct exploration plan = {.threads = 3, .reset = reset, .body = cas_locker, .holds = one_at_a_time};
    CHECK_EQ(explore(&plan).schedules, 6); /* the orders of three threads */
    plan.preemptions = 1;
    const uint64_t one = explore(&plan).schedules;
    plan.preemptions = 2;
    CHECK(6 < one && one < explore(&plan).schedules);
}

static void a_spinning_thread_gives_up_its_turn(void) {
    const struct exploration plan = {
        .threads = 2, .preemptions = 2, .reset = reset, .body = spinning_locker, .holds = one_at_a_time};
    const struct explored result = explore(&plan);
    CHECK(result.violation == NULL && result.complete);
}

static void a_load_then_store_lock_is_caught(void) {
    struct exploration plan = {
        .threads = 2, .preemptions = 1, .reset = reset, .body = load_then_store_locker, .holds = one_at_a_time};
    CHECK(explore(&plan).violation == NULL); /* it takes two preemptions to see it */
    plan.preemptions = 2;
    const struct explored result = explore(&plan);
    CHECK(result.violation != NULL && strcmp(result.violation, "property") == 0);
    CHECK(strlen(result.schedule) >= 2);
}

static void a_lost_wake_up_is_a_deadlock(void) {
    const struct exploration plan = {
        .threads = 2, .preemptions = 1, .reset = reset, .body = waiter_without_recheck, .holds = always};
    const struct explored result = explore(&plan);
    CHECK(result.violation != NULL && strcmp(result.violation, "deadlock") == 0);
}

static void waiting_for_ever_is_a_livelock(void) {
    const struct exploration plan = {
        .threads = 2, .preemptions = 0, .reset = reset, .body = waiter_for_ever, .holds = always};
    const struct explored result = explore(&plan);
    CHECK(result.violation != NULL && strcmp(result.violation, "livelock") == 0);
}

int main(void) {
    RUN(a_cas_lock_admits_one_thread_in_every_schedule);
    RUN(a_smaller_bound_means_fewer_schedules);
    RUN(a_spinning_thread_gives_up_its_turn);
    RUN(a_load_then_store_lock_is_caught);
    RUN(a_lost_wake_up_is_a_deadlock);
    RUN(waiting_for_ever_is_a_livelock);
    return SUMMARY();
}
