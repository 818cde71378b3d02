// variants: plain
/* SIGKILL after sampled machine instructions of the optimized pool. */
#include "pool_scenarios.h"

#include "step.h"

static void a_death_at_any_instruction_loses_no_node(void) {
    STEP_WATCH(&segs[0].base, FIXTURE_SIZE);
    const uint64_t deaths = step_sweep(&pool_scenario);
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
    CHECK(deaths >= 40);
}

int main(void) {
    RUN(a_death_at_any_instruction_loses_no_node);
    fixture_end();
    return SUMMARY();
}
