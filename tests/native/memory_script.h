/* What the crash and step sweeps kill: blocks by the hundred, blocks that get another size, zeros.
 *
 * However it ends, as many blocks are used as were before, or as the step that was under way leaves: no block is lost,
 * none is there twice, and what one contained is whole somewhere. */
#ifndef AIPC_TEST_MEMORY_SCRIPT_H
#define AIPC_TEST_MEMORY_SCRIPT_H

#include "heap_fixture.h"
#include "memory.h"

enum { SCRIPT_MANY = 70, SCRIPT_KEPT = 180 };
enum { SCRIPT_OTHERS = 3 }; /* blocks beside the one that gets another size */

/* [front] [the block, `name` 5] [back] [wall]; front and back are free */
static uint64_t script_front, script_back, script_size;
static void make_neighbours(void) {
    fixture_make(1 << 15);
    const uint64_t first = allocate(40, 16), front = allocate(script_front, 16);
    shared->table[0] = allocate(script_size, 16);
    const uint64_t back = allocate(script_back, 16), wall = allocate(40, 16), hole = allocate(400, 16);
    shared->table[1] = first, shared->table[2] = wall, shared->table[3] = allocate(40, 16);
    release(front), release(back), release(hole);
    for (uint64_t i = 1; i < 4; i++) fill(shared->table[i]);
    write_content(shared->table[0], 5, SCRIPT_KEPT);
}

static uint64_t script_want;
static uint32_t script_ways;
static bool script_may_move;
static void setup_resize(void *unused) {
    (void)unused;
    make_neighbours();
}
static void run_resize(void *unused) {
    (void)unused;
    aipc_resizing r = {.payload = shared->table[0], .minimum = script_want, .preferred = script_want, .ways = script_ways};
    CHECK_EQ(aipc_resize(&ctx, &r, 16, script_may_move), AIPC_OK);
    shared->table[0] = r.payload;
}

/* Whoever recovered may be killed here as well. */
static void go_on(void) {
    uint64_t *orphan = &ctx.shared->orphan[0], payload;
    CHECK_EQ(aipc_heap_allocate(&ctx, 500, 16, 0, orphan, &payload), AIPC_OK);
    CHECK_EQ(aipc_heap_free(&ctx, payload, 0, orphan), AIPC_OK);
    fixture_sound();
}

static bool find_content(void *arg, const aipc_block_info *block) {
    int *found = arg;
    const bool used = (block->flags & AIPC_USED) != 0 && block->size - AIPC_BLOCK_OVERHEAD >= SCRIPT_KEPT;
    if (used) *found += has_content(block->payload, 5, SCRIPT_KEPT);
    return true;
}
static void survive_resize(void *unused) {
    (void)unused;
    int found = 0;
    fixture_recover_dead();
    CHECK_EQ(fixture_sound().user_blocks, SCRIPT_OTHERS + 1);
    CHECK_EQ(aipc_heap_walk(&ctx, find_content, &found), AIPC_OK);
    CHECK_EQ(found, 1);
    for (uint64_t i = 1; i < 4; i++) check_filled(shared->table[i]);
    go_on();
}

/* ---- many, and zeros ---------------------------------------------------------------------------- */
static uint64_t script_alignment = 16;
static void setup_many(void *unused) {
    (void)unused;
    script_front = 700, script_size = 200, script_back = 900;
    make_neighbours();
}
static void run_many(void *unused) {
    (void)unused;
    uint64_t sizes[SCRIPT_MANY], payloads[SCRIPT_MANY], freed;
    for (uint64_t i = 0; i < SCRIPT_MANY; i++) sizes[i] = i * 37 % 90;
    CHECK_EQ(aipc_allocate_many(&ctx, &(aipc_many){sizes, false, SCRIPT_MANY, script_alignment, payloads}), AIPC_OK);
    for (uint64_t i = 0; i < SCRIPT_MANY; i++) memset(seg.base + payloads[i], 0xee, usable_size(payloads[i]));
    shared->align[0] = 1; /* they are ours from here on */
    CHECK_EQ(aipc_deallocate_many(&ctx, payloads, SCRIPT_MANY, &freed), AIPC_OK);
    shared->align[0] = 2;
    CHECK_EQ(aipc_zero_free_memory(&ctx), AIPC_OK);
}
static void survive_many(void *unused) {
    (void)unused;
    fixture_recover_dead();
    const uint64_t used = fixture_sound().user_blocks - SCRIPT_OTHERS - 1;
    if (shared->align[0] == 0) CHECK(used == 0 || used == SCRIPT_MANY); /* all: the call was over */
    if (shared->align[0] == 1) CHECK(used <= SCRIPT_MANY);
    if (shared->align[0] == 2) CHECK_EQ(used, 0);
    for (uint64_t i = 1; i < 4; i++) check_filled(shared->table[i]);
    CHECK(has_content(shared->table[0], 5, SCRIPT_KEPT));
    go_on();
}

static const struct scenario resizing = {.setup = setup_resize, .run = run_resize, .survive = survive_resize};
static const struct scenario many = {.setup = setup_many, .run = run_many, .survive = survive_many};

#endif
