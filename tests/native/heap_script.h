/* What the crash and step sweeps kill: random sequences of allocations and frees on a heap of mixed blocks.
 *
 * With an orphan word each block has exactly one keeper at any moment, so after a death nothing may be
 * lost.  Without one, the block that the dead was just about to note or to free is lost, and no other. */
#ifndef AIPC_TEST_HEAP_SCRIPT_H
#define AIPC_TEST_HEAP_SCRIPT_H

#include "heap_fixture.h"

static struct {
    uint64_t seed;
    bool orphan; /* whether the script uses one */
    int steps;
} script = {.steps = 6};

static uint64_t script_state;
static uint64_t script_below(uint64_t n) {
    script_state ^= script_state << 13;
    script_state ^= script_state >> 7;
    script_state ^= script_state << 17;
    return script_state % n;
}

static void script_take(int i, uint64_t size, uint64_t alignment, bool keep) {
    uint64_t payload, *orphan = keep ? &ctx.shared->orphan[1] : NULL;
    const aipc_status status = aipc_heap_allocate(&ctx, size, alignment, 0, orphan, &payload);
    if (status == AIPC_FULL) return;
    CHECK_EQ(status, AIPC_OK);
    fill(payload);
    if (keep)
        move_word(orphan, &shared->table[i]);
    else
        aipc_store_release64(&shared->table[i], payload);
}

static void script_drop(int i, bool keep) {
    const uint64_t payload = shared->table[i];
    uint64_t *orphan = keep ? &ctx.shared->orphan[1] : NULL;
    check_filled(payload);
    if (keep)
        move_word(&shared->table[i], orphan);
    else
        aipc_store_release64(&shared->table[i], 0);
    CHECK_EQ(aipc_heap_free(&ctx, payload, 0, orphan), AIPC_OK);
}

static void script_step(bool keep) {
    const int i = (int)script_below(24);
    const uint64_t sizes[] = {24, 100, 1100, 3000};
    if (shared->table[i] != 0)
        script_drop(i, keep);
    else
        script_take(i, script_below(sizes[script_below(4)]), script_below(4) == 0 ? UINT64_C(64) << script_below(4) : 16, keep);
}

static void script_setup(void *unused) {
    (void)unused;
    fixture_make(24576);
    script_state = script.seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 40; i++) script_step(true);
}

static void script_run(void *unused) {
    (void)unused;
    script_state = (script.seed + 1000) * UINT64_C(0xd1b54a32d192ed03) | 1;
    for (int i = 0; i < script.steps; i++) script_step(script.orphan);
}

static void script_survive(void *unused) {
    (void)unused;
    fixture_recover_dead();
    const aipc_report report = fixture_sound();
    uint64_t owned = 0;
    for (int i = 0; i < FIXTURE_TABLE; i++) {
        if (shared->table[i] == 0) continue;
        check_filled(shared->table[i]);
        owned++;
    }
    CHECK(report.user_blocks == owned || (!script.orphan && report.user_blocks == owned + 1));
    /* It goes on: these steps may be killed too, in a nested sweep. */
    script_state = (script.seed + 2000) * UINT64_C(0xd1b54a32d192ed03) | 1;
    for (int i = 0; i < 4; i++) script_step(true);
    fixture_sound();
}

static struct scenario script_scenario(uint64_t seed, bool orphan) {
    script.seed = seed;
    script.orphan = orphan;
    return (struct scenario){.setup = script_setup, .run = script_run, .survive = script_survive};
}

#endif
