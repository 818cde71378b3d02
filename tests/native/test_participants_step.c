// variants: plain
// leaves: bells
/* SIGKILL after sampled machine instructions of claiming a slot, joining, leaving, and recovering the dead. */
#include "segment_step.h"

static void an_opener_may_die_at_any_instruction(void) { segment_step_sweep("open", &opening, &B); }
static void an_opener_may_die_in_a_dead_ones_slot(void) { segment_step_sweep("take over", &taking_over, &B); }
static void a_leaver_may_die_at_any_instruction(void) { segment_step_sweep("detach", &leaving, &B); }
static void a_forked_child_may_die_while_it_attaches(void) { segment_step_sweep("reattach", &reattaching, &A); }

/* ---- the recovery of another ---------------------------------------------------------------------- */

/* Attached, with a peer killed since. */
static void enter_recovery(void *arg) {
    (void)arg;
    uint32_t *said = shared_words();
    *said = 0;
    OK(open_path(&B));
    const pid_t child = peer(said);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(harness_was_killed(child));
}

static void run_recovery(void *arg) {
    (void)arg;
    uint32_t recovered;
    aipc_ctx *ctx = enter(&B);
    OK(aipc_recover_all(ctx, &recovered));
    aipc_ctx_leave(ctx);
    CHECK_EQ(recovered, 1);
}

/* Nothing is left of the two; "pinned" has no owner and stays. */
static void survive_recovery(void *arg) {
    (void)arg;
    aipc_object_ref ref;
    OK(open_path(&C));
    aipc_ctx *ctx = enter(&C);
    if (aipc_find(ctx, AIPC_NAMED, "pinned", 6, &ref) == AIPC_OK) OK(aipc_destroy(ctx, &ref));
    aipc_ctx_leave(ctx);
    fixture_detach(&C);
    survive_persistent(arg);
}

static void a_recoverer_may_die_at_any_instruction(void) {
    const struct scenario s = {setup_persistent, enter_recovery, run_recovery, survive_recovery, NULL};
    segment_step_sweep("recover", &s, &B);
}

int main(void) {
    RUN(an_opener_may_die_at_any_instruction);
    RUN(an_opener_may_die_in_a_dead_ones_slot);
    RUN(a_leaver_may_die_at_any_instruction);
    RUN(a_forked_child_may_die_while_it_attaches);
    RUN(a_recoverer_may_die_at_any_instruction);
    return SUMMARY();
}
