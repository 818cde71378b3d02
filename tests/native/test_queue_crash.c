// variants: hook
/* A queue whose user is killed before any of its stores; and whose survivors are. */
#include "queue_scenarios.h"
#include "crash.h"

static void a_death_at_any_point_loses_and_doubles_nothing(void) {
    crash_budget = 60;
    for (int i = 0; i < QUEUE_SCENARIOS; i++) {
        uint64_t deaths = crash_sweep(&queue_scenarios[i].s);
        fprintf(stderr, "  %-18s %6" PRIu64 " deaths, %" PRIu64 " points\n", queue_scenarios[i].name, deaths, *crash_passed);
    }
}

static void a_recoverer_may_die_too(void) {
    for (int i = 0; i < QUEUE_SCENARIOS; i++) {
        uint64_t deaths = crash_sweep_pairs(&queue_scenarios[i].s, harness_full() ? 30 : 4);
        fprintf(stderr, "  %-18s %6" PRIu64 " recoverers died\n", queue_scenarios[i].name, deaths);
    }
}

int main(void) {
    RUN(a_death_at_any_point_loses_and_doubles_nothing);
    RUN(a_recoverer_may_die_too);
    fixture_end();
    return SUMMARY();
}
