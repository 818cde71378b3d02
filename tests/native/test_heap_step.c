// variants: plain
/* SIGKILL after sampled machine instructions of the optimized heap: what the compiler made of the log. */
#include "heap_script.h"
#include "step.h"

static void a_death_at_any_instruction_loses_nothing(void) {
    uint64_t deaths = 0;
    script.steps = 2;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        const struct scenario s = script_scenario(seed, true);
        deaths += step_sweep(&s);
    }
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
}

int main(void) {
    RUN(a_death_at_any_instruction_loses_nothing);
    return SUMMARY();
}
