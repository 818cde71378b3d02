// variants: plain
// leaves: bells
/* SIGKILL after sampled machine instructions of growing, trimming, refilling and shrinking. */
#include "grow_deaths.h"
#include "step.h"

/* Bytes of it are there all the time. */
static void sweep(const char *what, const struct scenario *s, uint64_t size) {
    STEP_WATCH(&B.base, size);
    const uint64_t deaths = step_sweep(s);
    fprintf(stderr, "  %-12s %4" PRIu64 " deaths\n", what, deaths);
    CHECK(deaths > 30);
}

static void a_grower_may_die_at_any_instruction(void) { sweep("grow", &growing, GROW_SIZE); }
static void a_trimmer_may_die_at_any_instruction(void) { sweep("trim", &trimming_pieces, GROW_SIZE); }
static void who_gets_pages_again_may_die_at_any_instruction(void) { sweep("refill", &refilling, GROW_SIZE); }
static void a_shrinker_may_die_at_any_instruction(void) { sweep("shrink", &shrinking, GROW_SIZE / 8); }

int main(void) {
    RUN(a_grower_may_die_at_any_instruction);
    RUN(a_trimmer_may_die_at_any_instruction);
    RUN(who_gets_pages_again_may_die_at_any_instruction);
    RUN(a_shrinker_may_die_at_any_instruction);
    if (A.base != NULL) fixture_detach(&A);
    fixture_end();
    return SUMMARY();
}
