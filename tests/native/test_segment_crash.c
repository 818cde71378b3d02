// variants: hook
// leaves: bells
/* Whoever creates, opens, leaves or removes a segment may be killed at any point of it, its recoverer too. */
#include "segment_deaths.h"
#include "crash.h"

static void sweep(const char *what, const struct scenario *s, bool nested) {
    const uint64_t deaths = crash_sweep(s), recoverers = nested ? crash_sweep_nested(s) : 0;
    fprintf(stderr, "  %-12s %5" PRIu64 " deaths, %6" PRIu64 " recoverers' deaths\n", what, deaths, recoverers);
    CHECK(deaths > 10 && (!nested || recoverers > 50));
    if (A.base != NULL) fixture_detach(&A);
    forget_segment();
}

static void an_opener_may_die_anywhere(void) { sweep("open", &opening, true); }
static void an_opener_may_die_in_a_dead_ones_slot(void) { sweep("take over", &taking_over, true); }
static void a_leaver_may_die_anywhere(void) { sweep("detach", &leaving, true); }
static void the_last_leaver_may_die_anywhere(void) { sweep("last detach", &leaving_last, true); }
static void a_remover_may_die_anywhere(void) { sweep("remove", &removing, false); }
/* Nested in the short form only: all pairs would take half an hour. */
static void a_creator_may_die_anywhere(void) { sweep("create", &creating, !harness_full()); }
static void an_adopter_of_a_copy_may_die_anywhere(void) { sweep("adopt", &adopting, true); }
static void a_forked_child_may_die_while_it_attaches(void) { sweep("reattach", &reattaching, true); }

int main(void) {
    crash_nested_budget = 12;
    RUN(an_opener_may_die_anywhere);
    RUN(an_opener_may_die_in_a_dead_ones_slot);
    RUN(a_leaver_may_die_anywhere);
    RUN(the_last_leaver_may_die_anywhere);
    RUN(a_remover_may_die_anywhere);
    RUN(a_creator_may_die_anywhere);
    RUN(an_adopter_of_a_copy_may_die_anywhere);
    RUN(a_forked_child_may_die_while_it_attaches);
    return SUMMARY();
}
