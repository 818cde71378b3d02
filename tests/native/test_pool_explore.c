// variants: hook
/* Pools: in every interleaving, within a bound, a node is one user's, and comes back once. */
#include "pool_fixture.h"

#include "sync_explore.h"

static uint64_t node, taken[SYNC_MANY];
static int freed;

static void reset(void *arg) {
    sync_reset(arg);
    freed = 0;
    memset(taken, 0, sizeof taken);
}

static void explore_pool(const char *what, struct exploration plan) {
    plan.reset = reset;
    if (!harness_full()) plan.max_schedules = 60000;
    holds(what, plan);
    sync_unstage();
}

static void stage(uint64_t max_idle, uint32_t flags) {
    pool_make(3, max_idle, flags);
    node = pool_allocate(0);
    sync_stage();
    for (int i = 0; i < 3; i++) {
        pool_see(i);
        segs[i].idle = sync_idle;
    }
    sync_save();
}

static bool sound(uint64_t free_nodes) {
    explorer.current = -1;
    sync_report = (aipc_report){0};
    return aipc_pool_check(ctxs[0], &views[0], &sync_report) == AIPC_OK && aipc_heap_check(ctxs[0], &sync_report) == AIPC_OK &&
           sync_report.findings == 0 && pool_stats(0).free_nodes == free_nodes;
}

/* Two free the same node: one of them is told. */
static void free_it(int i, void *arg) {
    (void)arg;
    const aipc_status status = pool_try_free(i, node);
    CHECK(status == AIPC_OK || status == AIPC_INVALID);
    freed += status == AIPC_OK;
}
static bool freed_once(void *arg) {
    (void)arg;
    return freed == 1 && sound(POOL_CHUNK);
}
static void who_frees_second_is_told(void) {
    stage(AIPC_POOL_NEVER, 0);
    explore_pool("free, free", (struct exploration){.threads = 2, .preemptions = 2, .body = free_it, .holds = freed_once});
    stage(AIPC_POOL_NEVER, 0);
    explore_pool("free, free, free", (struct exploration){.threads = 3, .preemptions = 1, .body = free_it, .holds = freed_once});
}

/* 0 is dead and owned it; 1 frees it while 2 settles; and takes one. */
static void free_or_settle(int i, void *arg) {
    if (i == 1) free_it(1, arg);
    if (i == 2) OK(aipc_pool_settle(ctxs[2], &views[2], segs[0].slot));
    if (i == 0) taken[0] = node; /* nothing: it is dead */
}
static bool back_once(void *arg) {
    (void)arg;
    return freed <= 1 && sound(POOL_CHUNK);
}
static void a_dead_ones_node_comes_back_once(void) {
    stage(AIPC_POOL_NEVER, AIPC_POOL_OWNED);
    explore_pool("free, settle", (struct exploration){.threads = 3, .preemptions = 2, .body = free_or_settle, .holds = back_once});
}

/* Nobody has another's node, also where a chunk comes and goes. */
static void take_and_free(int i, void *arg) {
    (void)arg;
    taken[i] = pool_allocate(i);
    for (int other = 0; other < 3; other++) CHECK(other == i || taken[other] != taken[i]);
    const uint64_t mine = taken[i];
    taken[i] = 0;
    pool_free(i, mine);
}
static bool all_are_back(void *arg) {
    (void)arg;
    return sound(POOL_CHUNK - 1);
}
static void a_node_is_one_users(void) {
    stage(0, 0);
    explore_pool("take and free, twice", (struct exploration){.threads = 2, .preemptions = 2, .body = take_and_free, .holds = all_are_back});
    stage(0, 0);
    explore_pool("take and free, three times", (struct exploration){.threads = 3, .preemptions = 1, .body = take_and_free, .holds = all_are_back});
}

/* The last node of a chunk that is given back, while another one takes. */
static void free_or_take(int i, void *arg) {
    if (i == 0) free_it(0, arg);
    else taken[1] = pool_allocate(1);
}
static bool one_is_out(void *arg) {
    (void)arg;
    return freed == 1 && sound(POOL_CHUNK - 1);
}
static void a_chunk_may_go_while_another_comes(void) {
    stage(0, 0);
    explore_pool("free the last, take", (struct exploration){.threads = 2, .preemptions = 2, .body = free_or_take, .holds = one_is_out});
}

int main(void) {
    sync_one_processor();
    RUN(who_frees_second_is_told);
    RUN(a_dead_ones_node_comes_back_once);
    RUN(a_node_is_one_users);
    RUN(a_chunk_may_go_while_another_comes);
    return SUMMARY();
}
