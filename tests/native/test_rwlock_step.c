// variants: plain
/* SIGKILL after sampled machine instructions of the optimized read-write lock. */
#include "rwlock_scenarios.h"
#include "step.h"

static void a_death_at_any_instruction_leaves_nothing_held(void) {
    STEP_WATCH(&segs[0].base, FIXTURE_SIZE);
    for (int i = 0; i < RWLOCK_SCENARIOS; i++) {
        if (!harness_full() && i != 2 && i != 5) continue; /* all transitions; a dead predecessor, waiters of all kinds */
        const uint64_t deaths = step_sweep(&rwlock_scenarios[i].s);
        fprintf(stderr, "  %-20s %6" PRIu64 " deaths\n", rwlock_scenarios[i].name, deaths);
        CHECK(deaths > 10);
    }
}

int main(void) {
    RUN(a_death_at_any_instruction_leaves_nothing_held);
    fixture_end();
    return SUMMARY();
}
