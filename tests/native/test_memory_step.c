// variants: plain
/* SIGKILL after sampled machine instructions of what memory_script.h does. */
#include "memory_script.h"
#include "step.h"

static void setup_watched(void *unused) {
    setup_resize(unused);
    STEP_WATCH(&seg.base, seg.mapped);
}
static void setup_many_watched(void *unused) {
    setup_many(unused);
    STEP_WATCH(&seg.base, seg.mapped);
}

static void a_death_at_any_instruction_of_a_resize_loses_nothing(void) {
    struct scenario s = resizing;
    s.setup = setup_watched;
    script_size = 200, script_want = 600;
    for (script_ways = 0; script_ways < 3; script_ways++) {
        script_front = script_back = script_ways == 0 ? 100 : 900;
        script_may_move = script_ways == 0;
        CHECK(step_sweep(&s) > 0);
    }
}

static void a_death_at_any_instruction_among_many_leaves_all_or_none(void) {
    struct scenario s = many;
    s.setup = setup_many_watched;
    CHECK(step_sweep(&s) > 0);
}

int main(void) {
    RUN_EACH(a_death_at_any_instruction_of_a_resize_loses_nothing);
    RUN_EACH(a_death_at_any_instruction_among_many_leaves_all_or_none);
    return SUMMARY();
}
