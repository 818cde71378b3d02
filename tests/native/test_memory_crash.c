// variants: hook
/* SIGKILL before every store of what memory_script.h does, and of the recovery after it. */
#include "crash.h"
#include "memory_script.h"

static void ways(uint64_t (*sweep)(const struct scenario *)) {
    static const struct {
        uint64_t front, size, back, want;
        uint32_t ways;
        bool may_move;
    } cases[] = {
        {100, 200, 900, 500, AIPC_GROW_FORWARD, false},   {100, 200, 300, 512, AIPC_GROW_FORWARD, false},
        {700, 200, 100, 500, AIPC_GROW_BACKWARD, false},  {210, 200, 100, 420, AIPC_GROW_BACKWARD, false},
        {400, 200, 400, 900, AIPC_GROW_FORWARD | AIPC_GROW_BACKWARD, false}, {2000, 1500, 100, 1800, AIPC_GROW_BACKWARD, false},
        {100, 200, 100, 3000, 0, true},                   {100, 1500, 100, 190, AIPC_SHRINK, false},
        {100, 1500, 1000, 190, AIPC_SHRINK, false},
    };
    uint64_t deaths = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        script_front = cases[i].front, script_size = cases[i].size, script_back = cases[i].back;
        script_want = cases[i].want, script_ways = cases[i].ways, script_may_move = cases[i].may_move;
        deaths += sweep(&resizing);
    }
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
    CHECK(deaths > 300);
}

static void a_death_while_a_block_gets_another_size_loses_nothing(void) { ways(crash_sweep); }
static void nor_does_the_death_of_who_recovers(void) {
    crash_nested_budget = 12;
    ways(crash_sweep_nested);
}

static void a_death_among_many_leaves_all_or_none(void) {
    for (script_alignment = 16; script_alignment <= 64; script_alignment *= 4) CHECK(crash_sweep(&many) > 500);
}

static void also_of_who_recovers_them(void) {
    script_alignment = 16;
    CHECK(crash_sweep_nested(&many) > 100);
}

int main(void) {
    RUN_EACH(a_death_while_a_block_gets_another_size_loses_nothing);
    RUN_EACH(nor_does_the_death_of_who_recovers);
    RUN_EACH(a_death_among_many_leaves_all_or_none);
    RUN_EACH(also_of_who_recovers_them);
    return SUMMARY();
}
