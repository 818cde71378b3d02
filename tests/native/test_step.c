// variants: plain
// core: no
/* The instruction sweep really stops between two stores of optimized code. */
#include "pair.h"
#include "step.h"

static void a_bare_pair_is_torn_between_its_two_stores(void) {
    CHECK(step_sweep(&bare_pair) >= 2);
    CHECK(pair->torn >= 1);
}

static void a_logged_pair_is_never_torn(void) { CHECK(step_sweep(&logged_pair) >= 6); }

/* Of some dozen instructions three are seen from outside: the first, and the two stores. */
static void only_what_others_can_see_is_a_point(void) {
    static uint8_t *base;
    pair_reset(NULL);
    base = (uint8_t *)pair;
    const uint64_t all = step_points(&bare_pair);
    STEP_WATCH(&base, sizeof *pair);
    pair_reset(NULL);
    const uint64_t seen = step_points(&bare_pair);
    CHECK(seen == all || seen == 3); /* ptrace, trap flag */
    CHECK(step_sweep(&bare_pair) == seen && pair->torn > 0);
    STEP_WATCH(NULL, 0);
}

static void count_up(void *ctx) {
    (void)ctx;
    for (uint64_t tens = 0; tens < 100; tens += 10)
        for (uint64_t ones = 1; ones <= 10; ones++) aipc_store_release64(&pair->words[0], tens + ones);
}

/* The same instruction a hundred times: each time is a death of its own. */
static void a_death_in_a_loop_leaves_what_was_done_by_then(void) {
    static uint8_t *base;
    const struct scenario counting = {pair_reset, NULL, count_up, pair_reset, NULL};
    pair_reset(NULL);
    base = (uint8_t *)pair;
    STEP_WATCH(&base, sizeof *pair);
    const uint64_t points = step_points(&counting);
    CHECK(points > 100);
    for (uint64_t i = 0; i < points; i++) {
        pair_reset(NULL);
        CHECK(step_until(&counting, i));
        CHECK(pair->words[0] == i || points > 101); /* trap flag, ptrace */
    }
    CHECK_EQ(pair->words[0], 100);
    STEP_WATCH(NULL, 0);
}

static void ptrace_stops_there_too(void) {
    pair_reset(NULL);
    pair->torn = 0;
    const uint64_t instructions = traced_until(&bare_pair, UINT64_MAX);
    for (uint64_t n = 1; n <= instructions; n++) {
        pair_reset(NULL);
        CHECK_EQ(traced_until(&bare_pair, n), n);
        pair_count_torn(NULL);
    }
    CHECK(pair->torn >= 1);
}

int main(void) {
    RUN(a_bare_pair_is_torn_between_its_two_stores);
    RUN(a_logged_pair_is_never_torn);
    RUN(only_what_others_can_see_is_a_point);
    RUN(a_death_in_a_loop_leaves_what_was_done_by_then);
    RUN(ptrace_stops_there_too);
    return SUMMARY();
}
