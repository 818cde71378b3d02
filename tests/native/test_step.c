// variants: plain
// core: no
/* The instruction sweep really stops between two stores of optimized code. */
#include "pair.h"
#include "step.h"

static void a_bare_pair_is_torn_between_its_two_stores(void) {
    CHECK(step_sweep(&bare_pair) >= 2);
    CHECK(pair->torn >= 1);
}

static void a_logged_pair_is_never_torn(void) { CHECK(step_sweep(&logged_pair) >= 6); }

int main(void) {
    RUN(a_bare_pair_is_torn_between_its_two_stores);
    RUN(a_logged_pair_is_never_torn);
    return SUMMARY();
}
