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

/* Every pair of points would take days: some of them, from all over. */
static uint64_t sweep_pairs(const struct scenario *s, uint64_t budget) {
    const uint64_t stride = crash_points(s) / budget + 1;
    uint64_t deaths = 0;
    bool died = true, recoverer_died;
    for (uint64_t k = 1 + stride / 2; died; k += stride) {
        crash_pair(s, k, UINT64_MAX, &died, &recoverer_died);
        const uint64_t inner_stride = *crash_passed / budget + 1;
        recoverer_died = true;
        for (uint64_t j = 1 + (k * 7) % inner_stride; recoverer_died; j += inner_stride) {
            crash_pair(s, k, j, &died, &recoverer_died);
            deaths += recoverer_died;
        }
    }
    return deaths;
}

static void a_recoverer_may_die_too(void) {
    for (int i = 0; i < QUEUE_SCENARIOS; i++) {
        uint64_t deaths = sweep_pairs(&queue_scenarios[i].s, harness_full() ? 30 : 4);
        fprintf(stderr, "  %-18s %6" PRIu64 " recoverers died\n", queue_scenarios[i].name, deaths);
    }
}

int main(void) {
    RUN(a_death_at_any_point_loses_and_doubles_nothing);
    RUN(a_recoverer_may_die_too);
    fixture_end();
    return SUMMARY();
}
