// variants: plain
/* SIGKILL after sampled machine instructions of the optimized queue. */
#include "queue_scenarios.h"
#include "step.h"

static void a_death_at_any_instruction_loses_and_doubles_nothing(void) {
    STEP_WATCH(&seg.base, FIXTURE_SIZE);
    for (int i = 0; i < QUEUE_SCENARIOS; i++) {
        const bool sampled = i == 0 || i == 5 || i == 7; /* first put, lease and settle, reclaim */
        if (!harness_full() && !sampled) continue;
        fprintf(stderr, "  %-18s %6" PRIu64 " deaths\n", queue_scenarios[i].name, step_sweep(&queue_scenarios[i].s));
    }
}

int main(void) {
    RUN(a_death_at_any_instruction_loses_and_doubles_nothing);
    fixture_end();
    return SUMMARY();
}
