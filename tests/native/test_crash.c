// variants: hook
// core: no
/* The crash sweep kills at every point, and sees what an unlogged change leaves behind. */
#include "crash.h"
#include "pair.h"

static void each_store_is_a_death_and_a_bare_pair_is_torn_once(void) {
    CHECK_EQ(crash_sweep(&bare_pair), 2);
    CHECK_EQ(pair->torn, 1);
}

static void a_logged_pair_is_never_torn(void) { CHECK_EQ(crash_sweep(&logged_pair), 6); }

static void a_recoverer_killed_at_any_point_leaves_enough_for_the_next(void) {
    /* Three of the six deaths find a log to undo (after the count, and after either store); undoing has
     * three points. */
    CHECK_EQ(crash_sweep_nested(&logged_pair), 9);
}

int main(void) {
    RUN(each_store_is_a_death_and_a_bare_pair_is_torn_once);
    RUN(a_logged_pair_is_never_torn);
    RUN(a_recoverer_killed_at_any_point_leaves_enough_for_the_next);
    return SUMMARY();
}
