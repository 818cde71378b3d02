// variants: hook
/* Pools: who uses one, and who recovers it, is killed before any access that changes something. */
#include "pool_scenarios.h"

#include "crash.h"

static void a_death_at_any_point_loses_no_node(void) {
    crash_budget = 900;
    const uint64_t deaths = crash_sweep(&pool_scenario);
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
    CHECK(deaths >= 500);
}

static void a_recoverer_may_die_too(void) {
    const uint64_t deaths = crash_sweep_pairs(&pool_scenario, harness_full() ? 100 : 25);
    fprintf(stderr, "  %" PRIu64 " recoverers died\n", deaths);
    CHECK(deaths >= 200);
}

int main(void) {
    RUN(a_death_at_any_point_loses_no_node);
    RUN(a_recoverer_may_die_too);
    fixture_end();
    return SUMMARY();
}
