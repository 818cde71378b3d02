// variants: hook
/* Death at every store of an atomic block, of its end, and of the recovery after it: all of it is there, or nothing, at every
 * moment, to whoever looks: before anybody has recovered the dead, while it is done, and afterwards. */
#include "catalog_fixture.h"
#include "crash.h"

static aipc_seg child_seg; /* of whoever dies, and of whoever recovers */
static aipc_ctx *child;
static bool commits, in_parts;

static void attach_child(void *unused) {
    (void)unused;
    aipc_segment_init(&child_seg, dup(fixture_fd), "");
    CHECK_EQ(aipc_segment_open(&child_seg), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&child_seg, &child), AIPC_OK);
}

static void leave_child(void) {
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
}

static bool made;
static uint64_t blocks_before;
static void setup(void *unused) {
    (void)unused;
    if (made) fixture_drop();
    made = true;
    fixture_make(1 << 16);
    make("gone", 8);
    make("replaced", 8);
    make("kept", 8);
    blocks_before = used_blocks(ctx);
}

static aipc_object_ref construct_in(const char *name, uint64_t size) {
    aipc_object_ref ref;
    CHECK_EQ(construct_as(child, name, size, &ref), AIPC_OK);
    return ref;
}
static void destroy_in(const char *name) {
    aipc_object_ref ref;
    CHECK_EQ(find_as(child, name, &ref), AIPC_OK);
    CHECK_EQ(aipc_destroy(child, &ref), AIPC_OK);
}

/* The block: one goes, one comes, one is replaced; one comes and goes; a part is taken back. */
static void run(void *unused) {
    (void)unused;
    struct aipc_lock *turn = &child_seg.catalog->turn;
    CHECK_EQ(aipc_lock_try(&child_seg, turn), AIPC_OK);
    CHECK_EQ(aipc_block_open(child, &child->block), AIPC_OK);
    const uint64_t block = child->block;
    aipc_object_ref fresh = construct_in("new", 16), nameless;
    destroy_in("gone");
    destroy_in("replaced");
    (void)construct_in("replaced", 16);
    if (in_parts) {
        const uint64_t mark = aipc_block_mark(&child_seg);
        (void)construct_in("never", 16);
        destroy_in("kept");
        destroy_in("new");
        CHECK_EQ(aipc_block_back_to(child, mark), AIPC_OK);
    } else {
        aipc_object_ref passing = construct_in("never", 16);
        CHECK_EQ(aipc_destroy(child, &passing), AIPC_OK);
        const aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .size = 24};
        CHECK_EQ(aipc_construct(child, &spec, &nameless), AIPC_OK);
        CHECK_EQ(aipc_destroy(child, &nameless), AIPC_OK);
    }
    CHECK_EQ(unpin_as(child, &fresh), AIPC_OK);
    child->block = 0;
    if (commits) CHECK_EQ(aipc_block_commit(child, block), AIPC_OK);
    CHECK_EQ(aipc_block_settle(child, child_seg.slot), AIPC_OK);
    CHECK(aipc_lock_release_fast(&child_seg, turn));
}

static bool seen(aipc_ctx *c, const char *name, uint64_t *size) {
    aipc_object_ref ref;
    const aipc_status status = find_as(c, name, &ref);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    *size = status == AIPC_OK ? ref.size : 0;
    return status == AIPC_OK;
}

/* All or nothing; which it was. */
static bool look(aipc_ctx *c) {
    uint64_t size, replaced;
    const bool committed = seen(c, "new", &size);
    CHECK(!committed || size == 16);
    CHECK_EQ(seen(c, "gone", &size), !committed);
    CHECK(seen(c, "replaced", &replaced));
    CHECK_EQ(replaced, committed ? 16 : 8);
    CHECK(seen(c, "kept", &size));
    CHECK(!seen(c, "never", &size));
    return committed;
}

static void survive(void *unused) {
    const bool before = look(ctx); /* takes no lock, and recovers nobody */
    attach_child(unused);          /* recovers whoever died */
    const bool committed = look(child);
    CHECK_EQ(before, committed);
    CHECK_EQ(look(ctx), committed);
    CHECK(commits || !committed);
    sound_as(child);
    CHECK_EQ(child_seg.catalog->pending, 0);
    CHECK_EQ(child_seg.catalog->epoch % 2, 0);
    CHECK_EQ(child_seg.catalog->owner, 0);
    uint64_t named, unique;
    CHECK_EQ(aipc_catalog_count(child, &named, &unique), AIPC_OK);
    CHECK_EQ(named, 3);
    CHECK_EQ(used_blocks(child), blocks_before);
    aipc_status turn = aipc_lock_try_recover(child, &child_seg.catalog->turn); /* and the next block can begin */
    CHECK_EQ(turn, AIPC_OK);
    uint64_t serial;
    CHECK_EQ(aipc_block_open(child, &serial), AIPC_OK);
    CHECK_EQ(aipc_block_settle(child, child_seg.slot), AIPC_OK);
    CHECK_EQ(aipc_lock_release_slow(child, &child_seg.catalog->turn), AIPC_OK);
    CHECK(no_orphans(child));
    leave_child();
}

/* For a nested sweep: survive() leaves nothing for a second one to look at. */
static void recover_only(void *unused) {
    attach_child(unused);
    leave_child();
}

static const struct scenario scenario = {.setup = setup, .enter = attach_child, .run = run, .survive = survive};
static const struct scenario nested = {.setup = setup, .enter = attach_child, .run = run, .survive = recover_only};

static void sweep(void) {
    const uint64_t deaths = crash_sweep(&scenario);
    fprintf(stderr, "   %5" PRIu64 " deaths\n", deaths);
    CHECK(deaths > 100);
}

static void a_block_that_commits(void) {
    commits = true;
    in_parts = false;
    sweep();
}
static void a_block_that_is_taken_back(void) {
    commits = in_parts = false;
    sweep();
}
static void a_block_of_which_a_part_is_taken_back(void) {
    commits = in_parts = true;
    sweep();
}

/* Who recovers dies as well; whoever looks in between sees all or nothing too. */
static void a_recoverer_may_die_too(void) {
    commits = true;
    in_parts = false;
    const uint64_t points = crash_points(&scenario), stride = points / (harness_full() ? 60 : 16) + 1;
    uint64_t deaths = 0;
    for (uint64_t k = 1; k <= points; k += stride) {
        uint64_t inner = UINT64_MAX, step = 0;
        for (bool died = true; died; inner += step) {
            NOTE("death at point %" PRIu64 ", recoverer's at %" PRIu64, k, inner);
            setup(NULL);
            (void)crash_child(nested.enter, nested.run, NULL, k);
            const bool before = look(ctx);
            died = crash_child(NULL, nested.survive, NULL, inner);
            CHECK_EQ(look(ctx), before);
            if (inner == UINT64_MAX) { /* how many points there are */
                died = true;
                step = *crash_passed / (harness_full() ? 60 : 16) + 1;
                inner = 1 - step;
            }
            deaths += died;
            survive(NULL);
        }
    }
    fprintf(stderr, "   %5" PRIu64 " recoverers died\n", deaths);
    CHECK(deaths > 100);
}

static void run_all(void) {
    RUN(a_block_that_commits);
    RUN(a_block_that_is_taken_back);
    RUN(a_block_of_which_a_part_is_taken_back);
    RUN(a_recoverer_may_die_too);
}

int main(void) {
    run_all();
    fixture_flags |= AIPC_FLAG_ORDERED;
    run_all();
    fixture_drop();
    return SUMMARY();
}
