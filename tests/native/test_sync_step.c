// variants: plain
/* SIGKILL after sampled machine instructions of the optimized semaphore, limiter and event. */
#include "sync_scenarios.h"

#include "step.h"

static void a_death_at_any_instruction_loses_and_doubles_nothing(void) {
    STEP_WATCH(&segs[0].base, FIXTURE_SIZE);
    for (int i = 0; i < SYNC_SCENARIOS; i++) {
        const bool sampled = i == 1 || i == 2; /* semaphore, limiter */
        if (!harness_full() && !sampled) continue;
        const uint64_t deaths = step_sweep(&sync_scenarios[i].s);
        fprintf(stderr, "  %-10s %6" PRIu64 " deaths\n", sync_scenarios[i].name, deaths);
        CHECK(deaths >= (i == 0 ? 3 : 40));
    }
}

int main(void) {
    RUN(a_death_at_any_instruction_loses_and_doubles_nothing);
    fixture_end();
    return SUMMARY();
}
