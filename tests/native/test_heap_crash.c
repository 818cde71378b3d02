// variants: hook
/* SIGKILL before every store of allocations and frees, and of the recovery after it. */
#include "crash.h"
#include "heap_script.h"

static void sweep(bool orphan, uint64_t seeds) {
    uint64_t deaths = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        const struct scenario s = script_scenario(seed, orphan);
        deaths += crash_sweep(&s);
    }
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
    CHECK(deaths > 100 * seeds);
}

static void a_death_at_any_store_loses_nothing_that_has_an_orphan_word(void) { sweep(true, harness_full() ? 60 : 8); }

static void a_death_without_an_orphan_word_loses_one_block_at_most(void) { sweep(false, harness_full() ? 60 : 8); }

static void a_recoverer_that_dies_is_recovered_too(void) {
    uint64_t deaths = 0;
    script.steps = 2;
    for (uint64_t seed = 1; seed <= (harness_full() ? 6 : 3); seed++) {
        const struct scenario s = script_scenario(seed, true);
        deaths += crash_sweep_nested(&s);
    }
    fprintf(stderr, "  %" PRIu64 " recoverers died\n", deaths);
    CHECK(deaths > 1000);
}

int main(void) {
    RUN_EACH(a_death_at_any_store_loses_nothing_that_has_an_orphan_word);
    RUN_EACH(a_death_without_an_orphan_word_loses_one_block_at_most);
    RUN_EACH(a_recoverer_that_dies_is_recovered_too);
    return SUMMARY();
}
