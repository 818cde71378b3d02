// variants: hook
/* Death at every store of whatever takes, moves or gives back shares, and of the recovery after it: no count drifts,
 * what nobody owns is gone, and what somebody owns is there. */
#include "shares_fixture.h"
#include "crash.h"

/* Root, an object that nobody owns, leads to a, which leads to b and owns c: they go when that ends. */
static aipc_object_ref root, a, b, c;
static void (*operate)(aipc_ctx *by);

static aipc_seg child_seg; /* of whoever dies, and of whoever recovers */
static aipc_ctx *child;

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

static bool made;
static void setup(void *unused) {
    (void)unused;
    if (made) fixture_drop();
    made = true;
    fixture_make(1 << 16);
    root = node_as(ctx, "root", 1, 0);
    a = node(2);
    b = node(3);
    c = node_as(ctx, NULL, 4, AIPC_SOLE);
    const aipc_owner own = owner_in(&seg, &a, CHILD);
    CHECK_EQ(aipc_share_move_in(ctx, &own, c.holding), AIPC_OK);
    store(&a, NEXT, &b);
    store(&root, NEXT, &a);
    release(&a);
    release(&b);
    unpin(&root);
}

static void run(void *unused) {
    (void)unused;
    operate(child);
}

static void destroy_if_there(const char *name) {
    aipc_object_ref ref;
    const aipc_status status = find_as(child, name, &ref);
    if (status == AIPC_OK) CHECK_EQ(aipc_destroy(child, &ref), AIPC_OK);
    else CHECK_EQ(status, AIPC_NOT_FOUND);
}

static void survive(void *unused) {
    attach_child(unused); /* recovers whoever died */
    aipc_report report = shares_sound_as(child);
    CHECK_EQ(report.holdings, 0);
    destroy_if_there("root");
    destroy_if_there("abandoned");
    report = shares_sound_as(child);
    CHECK_EQ(report.objects, 0);
    CHECK_EQ(used_blocks(child), 1); /* the table of names */
    CHECK(no_orphans(child) && child_seg.catalog->shedding == 0);
    aipc_object_ref progress = node_as(child, "progress", 1, AIPC_SHARE_ANY);
    CHECK_EQ(aipc_share_release(child, child_seg.slot, progress.holding), AIPC_OK);
    detach_child();
}

/* survive() leaves nothing for a second one to look at: a nested sweep's may only recover. */
static void recover_only(void *unused) {
    attach_child(unused);
    detach_child();
}

static const struct scenario scenario = {.setup = setup, .enter = attach_child, .run = run, .survive = survive};

static uint64_t spread(uint64_t points) { return points / (harness_full() ? 60 : 20) + 1; }

/* The recoverer dies as well, all along what it does. */
static uint64_t sweep_nested(void) {
    const uint64_t points = crash_points(&scenario), stride = spread(points);
    uint64_t deaths = 0;
    for (uint64_t k = 1; k <= points; k += stride) {
        setup(NULL);
        (void)crash_child(attach_child, run, NULL, k);
        (void)crash_child(NULL, recover_only, NULL, UINT64_MAX);
        const uint64_t inner = *crash_passed, step = spread(inner);
        survive(NULL);
        for (uint64_t j = 1 + k % step; j <= inner; j += step) {
            NOTE("death at point %" PRIu64 ", recoverer's at %" PRIu64, k, j);
            setup(NULL);
            (void)crash_child(attach_child, run, NULL, k);
            deaths += crash_child(NULL, recover_only, NULL, j);
            survive(NULL);
        }
    }
    return deaths;
}

static void sweep(const char *label, void (*operation)(aipc_ctx *by)) {
    operate = operation;
    const uint64_t deaths = crash_sweep(&scenario), nested = sweep_nested();
    fprintf(stderr, "   %-40s %5" PRIu64 " deaths, %5" PRIu64 " of recoverers\n", label, deaths, nested);
    CHECK(deaths > 0 && nested > 0);
}

/* ---- operations -------------------------------------------------------------------------------- */

static aipc_object_ref take(aipc_ctx *by, const aipc_object_ref *of) { return share_as(by, of, AIPC_SHARE_ANY); }
static void give(aipc_ctx *by, const aipc_object_ref *ref) {
    CHECK_EQ(aipc_share_release(by, by->seg->slot, ref->holding), AIPC_OK);
}
static aipc_owner in(aipc_ctx *by, const aipc_object_ref *ref, uint64_t n) { return owner_in(by->seg, ref, n); }

static void construct_and_release(aipc_ctx *by) {
    const aipc_object_ref shared = node_as(by, NULL, 5, AIPC_SHARE_ANY), named = node_as(by, "named", 6, AIPC_SOLE);
    give(by, &shared);
    give(by, &named);
}
static void construct_and_keep(aipc_ctx *by) {
    (void)node_as(by, NULL, 5, AIPC_SHARE_ANY);
    (void)node_as(by, "named", 6, AIPC_SOLE);
    node_image image;
    aipc_object_ref ref;
    bool created;
    aipc_object_spec *spec = node_spec(&image, "found", 7, AIPC_SHARE_ANY, 1);
    CHECK_EQ(aipc_find_or_construct(by, spec, &ref, &created), AIPC_OK);
    CHECK_EQ(aipc_find_or_construct(by, spec, &ref, &created), AIPC_OK);
}
static void take_and_release(aipc_ctx *by) {
    aipc_object_ref first = take(by, &b), second = take(by, &b), locked;
    give(by, &first);
    CHECK_EQ(aipc_share_lock(by, aipc_pointer_to_object(&b), &locked), AIPC_OK);
    give(by, &second);
    (void)take(by, &a);
}
static void replace_what_a_word_owns(aipc_ctx *by) {
    aipc_object_ref next = node_as(by, NULL, 5, AIPC_SHARE_ANY);
    CHECK_EQ(store_as(by, &root, NEXT, &next), AIPC_OK); /* the end of a, b and c */
    const aipc_object_ref other = node_as(by, NULL, 6, AIPC_SHARE_ANY);
    CHECK_EQ(store_as(by, &next, NEXT, &other), AIPC_OK);
    give(by, &next);
    CHECK_EQ(store_as(by, &next, NEXT, NULL), AIPC_OK);
}
static void move_out_and_in(aipc_ctx *by) {
    aipc_object_ref out;
    const aipc_owner own = in(by, &a, CHILD), other = in(by, &root, CHILD);
    CHECK_EQ(aipc_share_move_out(by, &own, &out), AIPC_OK);
    CHECK_EQ(aipc_share_move_in(by, &other, out.holding), AIPC_OK);
    out = node_as(by, NULL, 5, AIPC_SOLE);
    CHECK_EQ(aipc_share_move_in(by, &other, out.holding), AIPC_OK); /* the end of c */
}
static void copy_what_a_word_owns(aipc_ctx *by) {
    aipc_object_ref copy;
    const aipc_owner next = in(by, &root, NEXT);
    CHECK_EQ(aipc_share_copy(by, &next, &copy), AIPC_OK);
    CHECK_EQ(store_as(by, &root, NEXT, NULL), AIPC_OK);
    give(by, &copy); /* the end of a, b and c */
}
static void construct_with_words(aipc_ctx *by) {
    node_image image;
    aipc_object_ref ref;
    aipc_object_spec *spec = node_spec(&image, NULL, 9, AIPC_SHARE_ANY, 2);
    const uint64_t words[] = {aipc_pointer_to_object(&a), aipc_pointer_to_object(&b)};
    memcpy(image.bytes + node_head() + 8, &words[0], 8);
    memcpy(image.bytes + node_head() + NODE_SIZE + 8, &words[1], 8);
    spec->words = words;
    spec->word_count = 2;
    CHECK_EQ(aipc_construct(by, spec, &ref), AIPC_OK);
    const aipc_owner next = in(by, &root, CHILD);
    CHECK_EQ(aipc_share_move_in(by, &next, ref.holding), AIPC_OK);
}
static void destroy_the_root(aipc_ctx *by) { CHECK_EQ(aipc_destroy(by, &root), AIPC_OK); }
static void destroy_a_pinned_root(aipc_ctx *by) {
    aipc_object_ref pin = root;
    CHECK_EQ(aipc_pin(by, &pin), AIPC_OK);
    CHECK_EQ(aipc_destroy(by, &root), AIPC_OK);
    CHECK_EQ(aipc_unpin(by, by->seg->slot, pin.holding), AIPC_OK);
}
static void change_what_a_share_is(aipc_ctx *by) {
    const aipc_object_ref sole = node_as(by, "abandoned", 5, AIPC_SOLE), other = node_as(by, NULL, 6, AIPC_SOLE);
    CHECK_EQ(aipc_share_abandon(by, sole.holding), AIPC_OK);
    CHECK_EQ(aipc_share_open(by, other.holding), AIPC_OK);
}

/* The child dies with shares: those of living objects, and the last ones. */
static void die_with_many(aipc_ctx *by) {
    for (int i = 0; i < 3; i++) (void)take(by, &b);
    aipc_object_ref list = node_as(by, NULL, 0, AIPC_SHARE_ANY);
    for (uint64_t i = 1; i < 4; i++) {
        const aipc_object_ref rest = list;
        list = node_as(by, NULL, i, AIPC_SHARE_ANY);
        const aipc_owner next = in(by, &list, NEXT);
        CHECK_EQ(aipc_share_move_in(by, &next, rest.holding), AIPC_OK);
    }
}

static void constructing(void) { sweep("construct, release", construct_and_release); }
static void constructing_and_keeping(void) { sweep("construct, keep", construct_and_keep); }
static void taking(void) { sweep("take, lock, release", take_and_release); }
static void storing(void) { sweep("store", replace_what_a_word_owns); }
static void moving(void) { sweep("move out, move in", move_out_and_in); }
static void copying(void) { sweep("copy, store, release", copy_what_a_word_owns); }
static void constructing_with_words(void) { sweep("construct with words", construct_with_words); }
static void destroying(void) { sweep("destroy", destroy_the_root); }
static void destroying_what_is_pinned(void) { sweep("destroy, unpin", destroy_a_pinned_root); }
static void changing(void) { sweep("abandon, open", change_what_a_share_is); }
static void holding(void) { sweep("die with many", die_with_many); }

int main(void) {
    RUN(constructing);
    RUN(constructing_and_keeping);
    RUN(taking);
    RUN(storing);
    RUN(moving);
    RUN(copying);
    RUN(constructing_with_words);
    RUN(destroying);
    RUN(destroying_what_is_pinned);
    RUN(changing);
    RUN(holding);
    fixture_drop();
    return SUMMARY();
}
