// leaves: bells
/* Growing, trimming and shrinking a segment, by one process. */
#include "grow_fixture.h"

static aipc_seg B;

static void a_segment_grows_for_all_who_have_it(void) {
    grow_create(FIXTURE_SIZE, 64 << 20);
    fixture_attach(&B);
    const uint64_t before = stats_of(&A).free_bytes;
    CHECK_EQ(grow(&A, 1 << 20), AIPC_OK);
    CHECK_EQ(B.header->size, FIXTURE_SIZE + (1 << 20));
    CHECK(stats_of(&B).free_bytes >= before + (1 << 20) - 8192);
    const uint64_t block = take(&B, 1 << 20);
    fill(&B, block, 1 << 20);
    CHECK(is_filled(&A, block, 1 << 20));
    sound(&A);
    give(&A, block);
    fixture_detach(&B);
    sound(&A);
}

static void what_cannot_be_had_changes_nothing(void) {
    grow_create(FIXTURE_SIZE, 1 << 20);
    CHECK_EQ(grow(&A, 1 << 20), AIPC_INVALID);
    CHECK_EQ(A.header->size, FIXTURE_SIZE);
    CHECK_EQ(grow(&A, UINT64_MAX & ~UINT64_C(4095)), AIPC_INVALID);
    CHECK_EQ(grow(&A, (1 << 20) - FIXTURE_SIZE), AIPC_OK);
    CHECK_EQ(grow(&A, 4096), AIPC_INVALID);
    CHECK_EQ(grow(&A, 0), AIPC_OK);
    CHECK_EQ(A.header->size, 1 << 20);
    sound(&A);
}

static void pages_go_and_come_again(void) {
    grow_create(16 << 20, 64 << 20);
    const uint64_t whole = blocks_of();
    const uint64_t kept = take(&A, 1 << 20), freed = take(&A, 8 << 20), other = take(&A, 1 << 20);
    fill(&A, kept, 1 << 20);
    fill(&A, other, 1 << 20);
    give(&A, freed);
    const aipc_heap_stats before = stats_of(&A);
    const uint64_t given = trim(&A);
    CHECK(given > 12 << 20);
    CHECK(blocks_of() + given <= whole);
    const aipc_heap_stats after = stats_of(&A);
    CHECK_EQ(after.free_bytes, before.free_bytes);
    CHECK(after.largest_free + 64 >= before.largest_free);
    sound(&A);
    CHECK_EQ(trim(&A), 0);
    const uint64_t again = take(&A, after.largest_free);
    fill(&A, again, after.largest_free);
    sound(&A);
    CHECK(is_filled(&A, kept, 1 << 20) && is_filled(&A, other, 1 << 20));
    give(&A, again);
    give(&A, kept);
    give(&A, other);
    sound(&A);
    CHECK(stats_of(&A).largest_free > 15 << 20);
}

static void a_large_request_gets_its_pages_in_parts(void) {
    grow_create(256 << 20, 256 << 20);
    (void)trim(&A);
    const uint64_t block = take(&A, 200 << 20);
    fill(&A, block, 200 << 20);
    give(&A, block);
    sound(&A);
    (void)trim(&A);
    const uint64_t small = take(&A, 100000);
    CHECK(blocks_of() < 16 << 20);
    give(&A, small);
    sound(&A);
}

static void alignment_is_kept_in_what_comes_again(void) {
    grow_create(16 << 20, 16 << 20);
    (void)trim(&A);
    for (uint64_t alignment = 16; alignment <= 1 << 20; alignment *= 2) {
        uint64_t payload = 0;
        aipc_ctx *ctx = enter(&A);
        OK(aipc_heap_allocate(ctx, 10000, alignment, 0, NULL, &payload));
        aipc_ctx_leave(ctx);
        CHECK_EQ(payload % alignment, 0);
        fill(&A, payload, 10000);
        sound(&A);
    }
}

static void holes_join_when_what_was_between_them_is_free(void) {
    enum { MANY = 40 };
    uint64_t block[MANY];
    grow_create(16 << 20, 16 << 20);
    for (int i = 0; i < MANY; i++) block[i] = take(&A, 100000);
    for (int i = 0; i < MANY; i += 2) give(&A, block[i]);
    (void)trim(&A);
    CHECK(A.heap->hole_count >= MANY / 2);
    sound(&A);
    for (int i = 1; i < MANY; i += 2) give(&A, block[i]);
    const uint64_t all = take(&A, 15 << 20);
    give(&A, all);
    (void)trim(&A);
    sound(&A);
    CHECK_EQ(A.heap->hole_count, 1);
}

static void a_hole_is_no_block(void) {
    grow_create(16 << 20, 16 << 20);
    (void)trim(&A);
    aipc_ctx *ctx = enter(&A);
    uint64_t size;
    uint32_t flags;
    for (uint64_t at = A.heap->hole_first; at < A.heap->hole_first + 64; at += 8) {
        CHECK_EQ(aipc_heap_free(ctx, at, 0, NULL), AIPC_INVALID);
        CHECK_EQ(aipc_heap_size_of(&A, at, &size, &flags), AIPC_INVALID);
    }
    aipc_ctx_leave(ctx);
    sound(&A);
}

static void what_is_free_at_the_end_is_cut_off(void) {
    grow_create(16 << 20, 64 << 20);
    const uint64_t kept = take(&A, 1 << 20), middle = take(&A, 4 << 20), last = take(&A, 1 << 20);
    fill(&A, kept, 1 << 20);
    give(&A, middle);
    give(&A, last);
    for (int trimmed = 0; trimmed < 2; trimmed++) {
        if (trimmed) {
            CHECK_EQ(grow(&A, 8 << 20), AIPC_OK);
            (void)trim(&A);
        }
        aipc_ctx *ctx = enter(&A);
        OK(aipc_shrink_to_fit(ctx));
        aipc_ctx_leave(ctx);
        fixture_detach(&A);
        CHECK(length_of() < 2 << 20);
        fixture_attach(&A);
        CHECK_EQ(length_of(), A.header->size);
        sound(&A);
        CHECK(is_filled(&A, kept, 1 << 20));
    }
    fixture_attach(&B);
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(aipc_shrink_to_fit(ctx), AIPC_AGAIN);
    CHECK_EQ(aipc_raise_max(ctx, 1 << 30), AIPC_AGAIN);
    fixture_detach(&B);
    CHECK_EQ(aipc_raise_max(ctx, 1 << 20), AIPC_INVALID);
    OK(aipc_raise_max(ctx, 1 << 30));
    aipc_ctx_leave(ctx);
    fixture_detach(&A);
    fixture_attach(&A);
    CHECK_EQ(grow(&A, 100 << 20), AIPC_OK);
    sound(&A);
}

static void a_short_rest_of_a_dead_grower_is_used(void) {
    grow_create(FIXTURE_SIZE, 64 << 20);
    CHECK(ftruncate(fixture_fd, 8 << 20) == 0);
    sound(&A);
    CHECK_EQ(grow(&A, 1 << 20), AIPC_OK);
    const uint64_t block = take(&A, 1 << 20);
    fill(&A, block, 1 << 20);
    CHECK_EQ(length_of(), 8 << 20);
    sound(&A);
}

int main(void) {
    RUN(a_segment_grows_for_all_who_have_it);
    RUN(what_cannot_be_had_changes_nothing);
    RUN(pages_go_and_come_again);
    RUN(a_large_request_gets_its_pages_in_parts);
    RUN(alignment_is_kept_in_what_comes_again);
    RUN(holes_join_when_what_was_between_them_is_free);
    RUN(a_hole_is_no_block);
    RUN(what_is_free_at_the_end_is_cut_off);
    RUN(a_short_rest_of_a_dead_grower_is_used);
    fixture_detach(&A);
    fixture_end();
    return SUMMARY();
}
