// variants: plain asan
/* Atomic blocks: the table of pending.h row by row, for who is in the block and for who is not; parts that are taken back;
 * what others may not touch; the check.  With either index. */
#include "catalog_fixture.h"

static aipc_seg other_seg; /* another participant */
static aipc_ctx *other;
static uint64_t block;

static void begin(void) {
    fixture_make(1 << 17);
    aipc_segment_init(&other_seg, dup(fixture_fd), "");
    CHECK_EQ(aipc_segment_open(&other_seg), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&other_seg, &other), AIPC_OK);
}

static void end(void) {
    aipc_ctx_leave(other);
    CHECK_EQ(aipc_segment_detach(&other_seg), AIPC_OK);
    fixture_drop();
}

static void open_block(void) {
    CHECK_EQ(aipc_lock_try(&seg, &seg.catalog->turn), AIPC_OK);
    CHECK_EQ(aipc_block_open(ctx, &block), AIPC_OK);
    ctx->block = block;
}

static void end_block(bool commit) {
    ctx->block = 0;
    if (commit) CHECK_EQ(aipc_block_commit(ctx, block), AIPC_OK);
    CHECK_EQ(aipc_block_settle(ctx, seg.slot), AIPC_OK);
    if (!aipc_lock_release_fast(&seg, &seg.catalog->turn)) CHECK_EQ(aipc_lock_release_slow(ctx, &seg.catalog->turn), AIPC_OK);
    CHECK_EQ(seg.catalog->pending, 0);
}

static bool seen(aipc_ctx *c, const char *name) {
    aipc_object_ref ref;
    const aipc_status status = find_as(c, name, &ref);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    return status == AIPC_OK;
}
static uint64_t size_seen(aipc_ctx *c, const char *name) {
    aipc_object_ref ref;
    CHECK_EQ(find_as(c, name, &ref), AIPC_OK);
    return ref.size;
}
static uint64_t named_seen(aipc_ctx *c) {
    uint64_t named, unique;
    CHECK_EQ(aipc_catalog_count(c, &named, &unique), AIPC_OK);
    CHECK_EQ(unique, 0);
    const aipc_wanted wanted = {.kind = AIPC_NAMED};
    CHECK_EQ(list_as(c, &wanted).objects, named);
    return named;
}
static aipc_status destroy_as(aipc_ctx *c, const char *name) {
    aipc_object_ref ref;
    const aipc_status status = find_as(c, name, &ref);
    return status == AIPC_OK ? aipc_destroy(c, &ref) : status;
}

static void what_a_block_does_is_seen_by_itself_alone(void) {
    begin();
    make("old", 8);
    make("both", 8);
    open_block();
    aipc_object_ref fresh = construct("fresh", 16), again, unused;
    destroy("old");
    destroy("both");
    again = construct("both", 24);
    CHECK(seen(ctx, "fresh") && !seen(other, "fresh"));
    CHECK(!seen(ctx, "old") && seen(other, "old"));
    CHECK_EQ(size_seen(ctx, "both"), 24);
    CHECK_EQ(size_seen(other, "both"), 8);
    CHECK_EQ(named_seen(ctx), 2);
    CHECK_EQ(named_seen(other), 2);
    CHECK_EQ(construct_as(other, "fresh", 8, &unused), AIPC_PENDING);
    CHECK_EQ(construct_as(other, "old", 8, &unused), AIPC_EXISTS);
    CHECK_EQ(destroy_as(other, "old"), AIPC_PENDING);
    CHECK_EQ(destroy_as(other, "fresh"), AIPC_NOT_FOUND);
    CHECK_EQ(aipc_destroy(other, &fresh), AIPC_PENDING);
    CHECK_EQ(aipc_object_at(other, fresh.object, fresh.serial, &unused), AIPC_NOT_FOUND);
    CHECK_EQ(construct_as(other, "beside", 8, &unused), AIPC_OK);
    CHECK_EQ(construct_as(ctx, "beside", 8, &unused), AIPC_EXISTS);
    sound();
    sound_as(other);
    end_block(true);
    CHECK(seen(other, "fresh") && !seen(other, "old"));
    CHECK_EQ(size_seen(other, "both"), 24);
    CHECK_EQ(named_seen(other), 3);
    sound();
    unpin(&fresh);
    unpin(&again);
    end();
}

static void a_block_that_fails_has_done_nothing(void) {
    begin();
    make("old", 8);
    make("both", 8);
    const uint64_t before = used_blocks(ctx);
    open_block();
    aipc_object_ref fresh = construct("fresh", 16), again, nameless;
    destroy("old");
    destroy("both");
    again = construct("both", 24);
    const aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .size = 24};
    CHECK_EQ(aipc_construct(ctx, &spec, &nameless), AIPC_OK);
    CHECK_EQ(seg.catalog->anonymous, 1);
    end_block(false);
    CHECK(!seen(ctx, "fresh") && seen(ctx, "old"));
    CHECK_EQ(size_seen(ctx, "both"), 8);
    CHECK(aipc_object_gone(&seg, &fresh, 0) && aipc_object_gone(&seg, &nameless, 0));
    CHECK_EQ(seg.catalog->anonymous, 0);
    sound();
    unpin(&fresh);
    unpin(&again);
    unpin(&nameless);
    CHECK_EQ(used_blocks(ctx), before);
    end();
}

static void a_part_of_a_block_is_taken_back(void) {
    begin();
    make("old", 8);
    open_block();
    aipc_object_ref outer = construct("outer", 8), twice;
    const uint64_t mark = aipc_block_mark(&seg);
    destroy("outer");
    destroy("old");
    twice = construct("outer", 16);
    CHECK_EQ(size_seen(ctx, "outer"), 16);
    CHECK(aipc_object_gone(&seg, &outer, block) && !aipc_object_gone(&seg, &outer, 0));
    sound();
    CHECK_EQ(aipc_block_back_to(ctx, mark), AIPC_OK);
    CHECK_EQ(size_seen(ctx, "outer"), 8);
    CHECK(seen(ctx, "old"));
    CHECK(!aipc_object_gone(&seg, &outer, block));
    sound();
    destroy("old");
    end_block(true);
    CHECK_EQ(size_seen(other, "outer"), 8);
    CHECK(!seen(other, "old"));
    unpin(&outer);
    unpin(&twice);
    sound();
    end();
}

static void constructed_and_destroyed_is_nothing(void) {
    begin();
    for (int commit = 0; commit < 2; commit++) {
        open_block();
        for (int i = 0; i < 5; i++) {
            aipc_object_ref ref = construct("x", 8 + (uint64_t)i), unused;
            destroy("x");
            CHECK_EQ(construct_as(other, "x", 8, &unused), AIPC_PENDING); /* it may come back */
            unpin(&ref);
        }
        CHECK_EQ(named_seen(ctx) + named_seen(other), 0);
        sound();
        end_block(commit != 0);
        CHECK_EQ(named_seen(ctx) + named_seen(other), 0);
        check_empty();
    }
    end();
}

static void nobody_opens_a_second_block(void) {
    begin();
    open_block();
    uint64_t serial;
    CHECK_EQ(aipc_lock_try(&other_seg, &other_seg.catalog->turn), AIPC_AGAIN);
    CHECK_EQ(aipc_block_open(other, &serial), AIPC_CORRUPT); /* without its turn */
    CHECK_EQ(aipc_block_commit(other, block), AIPC_NOT_OWNER);
    other->block = block;
    aipc_object_ref ref;
    CHECK_EQ(construct_as(other, "x", 8, &ref), AIPC_NOT_OWNER);
    other->block = 0;
    end_block(true);
    ctx->block = block; /* it is over */
    CHECK_EQ(construct_as(ctx, "x", 8, &ref), AIPC_NOT_OWNER);
    ctx->block = 0;
    CHECK_EQ(aipc_block_commit(ctx, block), AIPC_NOT_OWNER);
    check_empty();
    end();
}

/* The participant leaves, and takes back what it had not finished. */
static void leaving_takes_back(void) {
    begin();
    make("old", 8);
    CHECK_EQ(aipc_lock_try(&other_seg, &other_seg.catalog->turn), AIPC_OK);
    CHECK_EQ(aipc_block_open(other, &other->block), AIPC_OK);
    aipc_object_ref ref;
    CHECK_EQ(construct_as(other, "new", 8, &ref), AIPC_OK);
    CHECK_EQ(destroy_as(other, "old"), AIPC_OK);
    aipc_ctx_leave(other);
    CHECK_EQ(aipc_segment_detach(&other_seg), AIPC_OK);
    CHECK(exists("old") && !exists("new"));
    open_block();
    end_block(true);
    sound();
    fixture_drop();
}

static void a_full_segment_can_be_emptied_by_a_block(void) {
    begin();
    char name[16];
    int made = 0;
    aipc_object_ref ref;
    for (;; made++) {
        snprintf(name, sizeof name, "n%d", made);
        if (construct_as(ctx, name, 8, &ref) != AIPC_OK) break;
        unpin(&ref);
    }
    open_block();
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "n%d", i);
        destroy(name);
    }
    CHECK_EQ(construct_as(ctx, "more", 100000, &ref), AIPC_FULL);
    end_block(true);
    CHECK_EQ(named_seen(other), (uint64_t)made - 8);
    sound();
    end();
}

/* ---- order --------------------------------------------------------------------------------------- */

static void expect_list(const aipc_wanted *wanted, const char *names) {
    char got[256] = "";
    const aipc_list list = list_as(ctx, wanted);
    const aipc_listed *at = list.room;
    for (uint64_t i = 0; i < list.objects; i++, at = listed_next(at)) {
        strncat(got, (const char *)(at + 1), at->name_size);
        strcat(got, " ");
    }
    CHECK(strcmp(got, names) == 0);
}

static void names_come_in_order(void) {
    fixture_make(1 << 16);
    const char *const names[] = {"b", "", "abc", "ab", "abd", "c", "a"};
    for (int i = 0; i < 7; i++) make(names[i], 8);
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED}, " a ab abc abd b c ");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED, .prefix = "ab", .prefix_size = 2}, "ab abc abd ");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED, .start = "aba", .start_size = 3}, "abc abd b c ");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED, .stop = "abc", .stop_size = 3}, " a ab ");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED, .prefix = "ab", .prefix_size = 2, .start = "abc", .start_size = 3,
                               .stop = "b", .stop_size = 1}, "abc abd ");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED, .prefix = "z", .prefix_size = 1}, "");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED, .start = "b", .start_size = 1, .stop = "a", .stop_size = 1}, "");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED, .stop = "", .stop_size = 0}, "");
    destroy("abc");
    destroy("");
    expect_list(&(aipc_wanted){.kind = AIPC_NAMED}, "a ab abd b c ");
    sound();
    fixture_drop();
}

/* Names come and go at random; what is listed is what an array says, and each invariant holds. */
static void random_names_stay_in_order(void) {
    enum { NAMES = 400 };
    static bool there[NAMES];
    memset(there, 0, sizeof there);
    fixture_make(1 << 18);
    char name[16], before[16];
    for (int round = 0; round < 4000; round++) {
        const uint64_t n = below(NAMES);
        snprintf(name, sizeof name, "n%03d", (int)n);
        if (there[n])
            destroy(name);
        else
            make(name, 8);
        there[n] = !there[n];
        if (round % 200 != 0) continue;
        sound();
        const uint64_t first = below(NAMES), last = below(NAMES);
        char from[16], to[16];
        snprintf(from, sizeof from, "n%03d", (int)first);
        snprintf(to, sizeof to, "n%03d", (int)last);
        const aipc_list list = list_as(ctx, &(aipc_wanted){.kind = AIPC_NAMED, .start = from, .start_size = 4,
                                                           .stop = to, .stop_size = 4});
        uint64_t expected = 0;
        for (uint64_t i = first; i < last; i++) expected += there[i];
        CHECK_EQ(list.objects, expected);
        const aipc_listed *at = list.room;
        *before = '\0';
        for (uint64_t i = 0; i < list.objects; i++, at = listed_next(at)) {
            snprintf(name, sizeof name, "%.*s", at->name_size, (const char *)(at + 1));
            CHECK(strcmp(before, name) < 0 || !seg.ordered);
            CHECK(there[atoi(name + 1)]);
            strcpy(before, name);
        }
    }
    destroy_all_as(ctx);
    check_empty();
    fixture_drop();
}

static void a_table_shrinks_when_names_are_gone(void) {
    fixture_make(1 << 18);
    const uint64_t free = seg.heap->free_bytes;
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        make(name, 8);
    }
    CHECK_EQ(aipc_catalog_shrink(ctx), AIPC_OK);
    CHECK(exists("n999"));
    destroy_all_as(ctx);
    CHECK(seg.heap->free_bytes < free);
    CHECK_EQ(aipc_catalog_shrink(ctx), AIPC_OK);
    CHECK_EQ(seg.heap->free_bytes, free);
    check_empty();
    fixture_drop();
}

static void run_all(void) {
    RUN(what_a_block_does_is_seen_by_itself_alone);
    RUN(a_block_that_fails_has_done_nothing);
    RUN(a_part_of_a_block_is_taken_back);
    RUN(constructed_and_destroyed_is_nothing);
    RUN(nobody_opens_a_second_block);
    RUN(leaving_takes_back);
    RUN(a_full_segment_can_be_emptied_by_a_block);
    RUN(random_names_stay_in_order);
    RUN(a_table_shrinks_when_names_are_gone);
}

int main(void) {
    run_all();
    fixture_flags |= AIPC_FLAG_ORDERED;
    run_all();
    RUN(names_come_in_order);
    return SUMMARY();
}
