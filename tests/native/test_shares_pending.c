// variants: hook
/* Where shares and atomic blocks meet: what a block has touched gets no owner, what has owners is no block's business, and a
 * block that destroys an owner lets go what it owned, at any death; with an ordered index, which the last share must leave. */
#include "shares_fixture.h"
#include "crash.h"
#include "pending.h"

static aipc_seg child_seg;
static aipc_ctx *child;
static uint64_t block;

static void attach_child(void *unused) {
    (void)unused;
    aipc_segment_init(&child_seg, dup(fixture_fd), "");
    CHECK_EQ(aipc_segment_open(&child_seg), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&child_seg, &child), AIPC_OK);
}
static void detach_child(void) {
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
}

static void open_block(aipc_ctx *by) {
    CHECK_EQ(aipc_lock_try(by->seg, &by->seg->catalog->turn), AIPC_OK);
    CHECK_EQ(aipc_block_open(by, &block), AIPC_OK);
    by->block = block;
}
static void end_block(aipc_ctx *by, bool commit) {
    by->block = 0;
    if (commit) CHECK_EQ(aipc_block_commit(by, block), AIPC_OK);
    CHECK_EQ(aipc_block_settle(by, by->seg->slot), AIPC_OK);
    CHECK(aipc_lock_release_fast(by->seg, &by->seg->catalog->turn));
}
static aipc_status take(aipc_ctx *by, const aipc_object_ref *of) {
    aipc_object_ref ref = *of;
    const aipc_status status = aipc_share_take(by, &ref, AIPC_SHARE_ANY);
    if (status == AIPC_OK) CHECK_EQ(aipc_share_release(by, by->seg->slot, ref.holding), AIPC_OK);
    return status;
}

static void what_a_block_has_touched_gets_no_owner(void) {
    fixture_make(1 << 16);
    attach_child(NULL);
    aipc_object_ref old = node_as(ctx, "old", 1, 0), owner = node_as(ctx, "owner", 2, 0), unused;
    open_block(ctx);
    aipc_object_ref fresh = node_as(ctx, "fresh", 3, 0);
    CHECK_EQ(aipc_destroy(ctx, &old), AIPC_OK);
    const aipc_object_ref *touched[] = {&old, &fresh};
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(take(ctx, touched[i]), AIPC_PENDING);
        CHECK_EQ(take(child, touched[i]), AIPC_PENDING);
        CHECK_EQ(store_as(child, &owner, NEXT, touched[i]), AIPC_PENDING);
        const uint64_t word = aipc_pointer_to_object(touched[i]);
        node_image image;
        aipc_object_spec *spec = node_spec(&image, NULL, 4, 0, 1);
        spec->words = &word;
        spec->word_count = 1;
        CHECK_EQ(aipc_construct(child, spec, &unused), AIPC_PENDING);
        CHECK_EQ(aipc_share_lock(child, word, &unused), AIPC_NOT_FOUND); /* nobody shares it */
    }
    shares_sound();
    CHECK_EQ(aipc_block_commit(ctx, block), AIPC_OK); /* and not settled yet */
    CHECK_EQ(take(child, &old), AIPC_NOT_FOUND);
    CHECK_EQ(store_as(child, &owner, NEXT, &fresh), AIPC_OK);
    shares_sound_as(child);
    ctx->block = 0;
    CHECK_EQ(aipc_block_settle(ctx, seg.slot), AIPC_OK);
    CHECK(aipc_lock_release_fast(&seg, &seg.catalog->turn));
    CHECK_EQ(shares_of(&fresh), 1);
    shares_sound();
    CHECK_EQ(aipc_destroy(ctx, &owner), AIPC_OK);
    CHECK(aipc_object_destroyed(&seg, &fresh));
    unpin(&old), unpin(&owner), unpin(&fresh);
    detach_child();
    drop();
}

static void what_has_owners_is_no_part_of_a_block(void) {
    fixture_make(1 << 16);
    attach_child(NULL);
    open_block(ctx);
    aipc_object_ref shared = node_as(ctx, "shared", 1, AIPC_SHARE_ANY), seen;
    CHECK_EQ(find_as(child, "shared", &seen), AIPC_OK);
    ctx->block = block;
    CHECK_EQ(aipc_destroy(ctx, &shared), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_destroy(child, &shared), AIPC_NOT_OWNER);
    end_block(ctx, false);
    CHECK_EQ(find_as(child, "shared", &seen), AIPC_OK);
    CHECK_EQ(shares_of(&shared), 1);
    release(&shared);
    CHECK_EQ(find_as(child, "shared", &seen), AIPC_NOT_FOUND);
    uint64_t named, unique;
    CHECK_EQ(aipc_catalog_count(ctx, &named, &unique), AIPC_OK);
    CHECK_EQ(named, 0);
    detach_child();
    drop();
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static bool made;
static aipc_object_ref root, inner;
static void setup(void *unused) {
    (void)unused;
    if (made) fixture_drop();
    made = true;
    fixture_make(1 << 16);
    root = node_as(ctx, "root", 1, 0);
    inner = node_as(ctx, "root/inner", 2, AIPC_SHARE_ANY); /* goes by its last share, under a name */
    aipc_object_ref last = node_as(ctx, NULL, 3, AIPC_SHARE_ANY);
    store(&inner, NEXT, &last);
    store(&root, NEXT, &inner);
    release(&last);
    release(&inner);
    unpin(&root);
}

/* A block that destroys an owner; one that makes an owner, and is taken back. */
static void run(void *unused) {
    (void)unused;
    open_block(child);
    aipc_object_ref there;
    CHECK_EQ(find_as(child, "root", &there), AIPC_OK);
    CHECK_EQ(aipc_destroy(child, &there), AIPC_OK);
    end_block(child, true);
    aipc_object_ref passing = node_as(child, "passing", 4, AIPC_SHARE_ANY);
    open_block(child);
    aipc_object_ref owner = node_as(child, "owner", 5, 0);
    CHECK_EQ(store_as(child, &owner, NEXT, &passing), AIPC_OK);
    CHECK_EQ(aipc_share_release(child, child_seg.slot, passing.holding), AIPC_OK);
    end_block(child, false);
    CHECK_EQ(unpin_as(child, &owner), AIPC_OK);
}

static void survive(void *unused) {
    attach_child(unused); /* recovers whoever died */
    aipc_report report = shares_sound_as(child);
    CHECK_EQ(report.holdings, 0);
    CHECK_EQ(child_seg.catalog->pending, 0);
    aipc_object_ref ref, within;
    const aipc_status status = find_as(child, "root", &ref);
    CHECK_EQ(find_as(child, "root/inner", &within), status);
    CHECK_EQ(find_as(child, "passing", &within), AIPC_NOT_FOUND);
    CHECK_EQ(find_as(child, "owner", &within), AIPC_NOT_FOUND);
    if (status == AIPC_OK) CHECK_EQ(aipc_destroy(child, &ref), AIPC_OK);
    report = shares_sound_as(child);
    CHECK_EQ(report.objects, 0);
    CHECK_EQ(used_blocks(child), 1); /* the table of names */
    CHECK(no_orphans(child) && child_seg.catalog->shedding == 0);
    detach_child();
}

static void a_death_anywhere_leaves_no_share_behind(void) {
    const struct scenario scenario = {.setup = setup, .enter = attach_child, .run = run, .survive = survive};
    const uint64_t deaths = crash_sweep(&scenario);
    fprintf(stderr, "   %5" PRIu64 " deaths\n", deaths);
    CHECK(deaths > 100);
    fixture_drop();
    made = false;
}

static void run_all(void) {
    RUN(what_a_block_has_touched_gets_no_owner);
    RUN(what_has_owners_is_no_part_of_a_block);
    RUN(a_death_anywhere_leaves_no_share_behind);
}

int main(void) {
    run_all();
    fixture_flags |= AIPC_FLAG_ORDERED;
    run_all();
    return SUMMARY();
}
