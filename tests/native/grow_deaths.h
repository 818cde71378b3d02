/* Who is killed while it grows, trims, refills or shrinks a segment, and what must be found afterwards: for crash.h and
 * step.h. */
#ifndef AIPC_TEST_GROW_DEATHS_H
#define AIPC_TEST_GROW_DEATHS_H

#include "grow_fixture.h"

enum { GROW_SIZE = 1 << 20, GROW_MOST = 8 << 20, GROW_KEPT = 4, GROW_BLOCK = 60000 };

static aipc_seg B, C;
static uint64_t grow_kept[GROW_KEPT], grow_loose[GROW_KEPT];

/* Blocks that stay between blocks that go. */
static inline void grow_setup(void *arg) {
    (void)arg;
    grow_create(GROW_SIZE, GROW_MOST);
    for (int i = 0; i < GROW_KEPT; i++) {
        grow_kept[i] = take(&A, GROW_BLOCK);
        fill(&A, grow_kept[i], GROW_BLOCK);
        grow_loose[i] = take(&A, GROW_BLOCK);
    }
    for (int i = 0; i < GROW_KEPT; i++) give(&A, grow_loose[i]);
}
static inline void grow_setup_used_to_the_end(void *arg) {
    grow_setup(arg);
    (void)take(&A, stats_of(&A).largest_free);
}
static inline void grow_setup_trimmed(void *arg) {
    grow_setup(arg);
    (void)trim(&A);
}
/* Holes beside each other, with something free between. */
static inline void grow_setup_pieces(void *arg) {
    grow_setup_trimmed(arg);
    for (int i = 1; i < GROW_KEPT; i++) give(&A, grow_kept[i]);
}
static inline void grow_setup_alone(void *arg) {
    grow_setup_pieces(arg);
    fixture_detach(&A);
}

static inline void grow_enter(void *arg) {
    (void)arg;
    fixture_attach(&B);
}

static inline void grow_run_grow(void *arg) {
    (void)arg;
    OK(grow(&B, 1 << 20));
}
static inline void grow_run_trim(void *arg) {
    (void)arg;
    (void)trim(&B);
}
static inline void grow_run_allocate(void *arg) {
    (void)arg;
    give(&B, take(&B, 70000));
    give(&B, take(&B, stats_of(&B).largest_free));
}
static inline void grow_run_shrink(void *arg) {
    (void)arg;
    aipc_ctx *ctx = enter(&B);
    OK(aipc_shrink_to_fit(ctx));
    aipc_ctx_leave(ctx);
}

/* What a dead one had allocated is nobody's. */
static int grow_still_kept;
static uint64_t grow_found[16];
static int grow_count;
static inline bool grow_find_lost(void *arg, const aipc_block_info *block) {
    (void)arg;
    bool lost = (block->flags & (AIPC_USED | AIPC_PART | AIPC_HOLE)) == AIPC_USED && grow_count < 16;
    for (int i = 0; i < grow_still_kept; i++) lost = lost && block->payload != grow_kept[i];
    if (lost) grow_found[grow_count++] = block->payload;
    return true;
}
static inline void grow_free_lost(aipc_seg *seg) {
    aipc_ctx *ctx = enter(seg);
    grow_count = 0;
    OK(aipc_heap_walk(ctx, grow_find_lost, NULL));
    aipc_ctx_leave(ctx);
    for (int i = 0; i < grow_count; i++) give(seg, grow_found[i]);
}

/* Sound; all that is free can be had and used; what is kept is as it was; what a dead one had in hand goes on. */
static inline void grow_survive(void *arg) {
    const int kept = grow_still_kept = *(const int *)arg;
    fixture_attach(&C);
    sound(&C);
    grow_free_lost(&C);
    CHECK(C.header->size <= GROW_MOST && length_of() >= C.header->size);
    const uint64_t largest = stats_of(&C).largest_free, all = largest != 0 ? take(&C, largest) : 0;
    if (all != 0) fill(&C, all, largest);
    for (int i = 0; i < kept; i++) CHECK(is_filled(&C, grow_kept[i], GROW_BLOCK));
    sound(&C);
    if (all != 0) give(&C, all);
    CHECK_EQ(grow(&C, 2 << 20), AIPC_OK);
    (void)trim(&C);
    sound(&C);
    CHECK(blocks_of() < GROW_SIZE);
    fixture_detach(&C);
}

static int grow_all_kept = GROW_KEPT, grow_one_kept = 1;
static const struct scenario growing = {grow_setup, grow_enter, grow_run_grow, grow_survive, &grow_all_kept};
static const struct scenario growing_full = {grow_setup_used_to_the_end, grow_enter, grow_run_grow, grow_survive, &grow_all_kept};
static const struct scenario trimming = {grow_setup, grow_enter, grow_run_trim, grow_survive, &grow_all_kept};
static const struct scenario trimming_pieces = {grow_setup_pieces, grow_enter, grow_run_trim, grow_survive, &grow_one_kept};
static const struct scenario refilling = {grow_setup_pieces, grow_enter, grow_run_allocate, grow_survive, &grow_one_kept};
static const struct scenario shrinking = {grow_setup_alone, grow_enter, grow_run_shrink, grow_survive, &grow_one_kept};

#endif
