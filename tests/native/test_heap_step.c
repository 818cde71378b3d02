// variants: plain
/* SIGKILL after sampled machine instructions of the optimized heap: what the compiler made of the log. */
#include "heap_script.h"
#include "step.h"

static void setup(void *ctx_of_script) {
    script_setup(ctx_of_script);
    STEP_WATCH(&seg.base, seg.mapped);
}

static void a_death_at_any_instruction_loses_nothing(void) {
    uint64_t deaths = 0;
    script.steps = 2;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct scenario s = script_scenario(seed, true);
        s.setup = setup;
        deaths += step_sweep(&s);
    }
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
}

int main(void) {
    RUN_EACH(a_death_at_any_instruction_loses_nothing);
    return SUMMARY();
}
