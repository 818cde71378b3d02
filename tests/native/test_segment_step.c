// variants: plain
// leaves: bells
/* SIGKILL after sampled machine instructions of a segment's creation, its removal and the last one's leaving. */
#include "segment_step.h"

/* There is no memory to look at before it has made some. */
static void a_creator_may_die_at_any_instruction(void) {
    STEP_WATCH(&B.base, SIZE);
    const uint64_t deaths = step_sweep(&creating);
    fprintf(stderr, "  %-12s %4" PRIu64 " deaths\n", "create", deaths);
    CHECK(deaths > 30);
    forget_segment();
}
static void a_remover_may_die_at_any_instruction(void) { segment_step_sweep("remove", &removing, &A); }
static void the_last_leaver_may_die_at_any_instruction(void) { segment_step_sweep("last detach", &leaving_last, &B); }

int main(void) {
    RUN(a_creator_may_die_at_any_instruction);
    RUN(a_remover_may_die_at_any_instruction);
    RUN(the_last_leaver_may_die_at_any_instruction);
    return SUMMARY();
}
