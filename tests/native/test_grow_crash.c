// variants: hook
// leaves: bells
/* Whoever grows, trims, refills or shrinks a segment may be killed at any point of it, its recoverer too. */
#include "grow_deaths.h"
#include "crash.h"

static void sweep(const char *what, const struct scenario *s) {
    const uint64_t deaths = crash_sweep(s), recoverers = crash_sweep_nested(s);
    fprintf(stderr, "  %-12s %5" PRIu64 " deaths, %6" PRIu64 " recoverers' deaths\n", what, deaths, recoverers);
    CHECK(deaths > 30 && recoverers > 50);
}

static void a_grower_may_die_anywhere(void) {
    sweep("grow", &growing);
    sweep("grow full", &growing_full);
}
static void a_trimmer_may_die_anywhere(void) {
    sweep("trim", &trimming);
    sweep("trim pieces", &trimming_pieces);
}
static void who_gets_pages_again_may_die_anywhere(void) { sweep("refill", &refilling); }
static void a_shrinker_may_die_anywhere(void) { sweep("shrink", &shrinking); }

int main(void) {
    crash_budget = 400;
    crash_nested_budget = 12;
    RUN(a_grower_may_die_anywhere);
    RUN(a_trimmer_may_die_anywhere);
    RUN(who_gets_pages_again_may_die_anywhere);
    RUN(a_shrinker_may_die_anywhere);
    if (A.base != NULL) fixture_detach(&A);
    fixture_end();
    return SUMMARY();
}
