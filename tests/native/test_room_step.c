// variants: plain
/* SIGKILL after sampled machine instructions of the optimized waiting for memory. */
#include "room_scenarios.h"

#include "step.h"

static void a_death_at_any_instruction_leaves_nobody_in_line(void) {
    STEP_WATCH(&segs[0].base, FIXTURE_SIZE);
    const uint64_t deaths = step_sweep(&room_scenario);
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
    CHECK(deaths >= 40);
}

int main(void) {
    RUN(a_death_at_any_instruction_leaves_nobody_in_line);
    fixture_end();
    return SUMMARY();
}
