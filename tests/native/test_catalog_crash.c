// variants: hook
/* Death at every store of every operation of the catalog, and of the recovery after it: nothing is half done,
 * nothing is leaked, and the next one goes on. */
#include "catalog_fixture.h"
#include "crash.h"

enum { BASE = 23, FULL = 24 }; /* names before an operation; with FULL, the next one makes the table grow */

/* What the operations work on.  Made by the parent; the child inherits the mapping, not the participation. */
static struct {
    const char *label;
    void (*prepare)(void);
    void (*operate)(aipc_ctx *c);
    int names;
} plan;

static aipc_seg child_seg; /* of whoever dies, and of whoever recovers */
static aipc_ctx *child;

static const char *base_name(int i) {
    static char name[16];
    snprintf(name, sizeof name, "base%d", i);
    return name;
}

static void attach_child(void *unused) {
    (void)unused;
    aipc_segment_init(&child_seg, dup(fixture_fd), "");
    CHECK_EQ(aipc_segment_open(&child_seg), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&child_seg, &child), AIPC_OK);
}

static bool made;
static void setup(void *unused) {
    (void)unused;
    if (made) fixture_drop();
    made = true;
    fixture_make(1 << 16);
    for (int i = 0; i < plan.names; i++) {
        aipc_object_ref ref = construct(base_name(i), 8);
        memset(seg.base + ref.payload, i, 8);
        unpin(&ref);
    }
    if (plan.prepare != NULL) plan.prepare();
}

static void run(void *unused) {
    (void)unused;
    plan.operate(child);
}

/* The target exists whole, or not at all. */
static void check_target(const char *name) {
    aipc_object_ref ref;
    const aipc_status status = find_as(child, name, &ref);
    if (status == AIPC_NOT_FOUND) return;
    CHECK_EQ(status, AIPC_OK);
    CHECK_EQ(ref.size, 40);
    CHECK_EQ(aipc_pin(child, &ref), AIPC_OK);
    CHECK_EQ(unpin_as(child, &ref), AIPC_OK);
}

static uint64_t internal_blocks[256], internal_count;
static bool note_internal(void *unused, const aipc_block_info *block) {
    (void)unused;
    if ((block->flags & AIPC_INTERNAL) != 0 && internal_count < 256) internal_blocks[internal_count++] = block->payload;
    return true;
}
/* Anonymous objects outlive who made them, known or not. */
static void destroy_anonymous(void) {
    internal_count = 0;
    CHECK_EQ(aipc_heap_walk(child, note_internal, NULL), AIPC_OK);
    for (uint64_t i = 0; i < internal_count; i++) {
        aipc_object_ref ref;
        if (aipc_object_read(&child_seg, internal_blocks[i], &ref) != NULL && ref.kind == AIPC_ANONYMOUS)
            CHECK_EQ(aipc_destroy(child, &ref), AIPC_OK);
    }
}

static void survive(void *unused) {
    attach_child(unused); /* recovers whoever died */
    sound_as(child);
    aipc_object_ref ref;
    for (int i = 0; i < plan.names; i++) {
        CHECK_EQ(find_as(child, base_name(i), &ref), AIPC_OK);
        for (int j = 0; j < 8; j++) CHECK_EQ(child_seg.base[ref.payload + (uint64_t)j], i);
    }
    check_target("target");
    check_target("other");
    CHECK_EQ(construct_as(child, "progress", 8, &ref), AIPC_OK);
    CHECK_EQ(aipc_destroy(child, &ref), AIPC_OK);
    CHECK_EQ(unpin_as(child, &ref), AIPC_OK);
    destroy_all_as(child);
    destroy_anonymous();
    const aipc_report report = sound_as(child);
    CHECK_EQ(report.objects, 0);
    CHECK_EQ(report.holdings, 0);
    CHECK_EQ(used_blocks(child), 1);
    CHECK(no_orphans(child));
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
}

/* survive() leaves nothing for a second one to look at: a nested sweep's may only recover. */
static void recover_only(void *unused) {
    attach_child(unused);
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
}

static const struct scenario scenario = {.setup = setup, .enter = attach_child, .run = run, .survive = survive};

static void sweep(const char *label, int names, void (*prepare)(void), void (*operate)(aipc_ctx *c)) {
    plan.label = label;
    plan.names = names;
    plan.prepare = prepare;
    plan.operate = operate;
    const uint64_t deaths = crash_sweep(&scenario);
    fprintf(stderr, "   %-40s %5" PRIu64 " deaths\n", label, deaths);
    CHECK(deaths > 0);
}

/* All pairs of deaths would take an hour: so many of each are tried, spread evenly. */
static uint64_t spread(uint64_t points) { return points / (harness_full() ? 50 : 25) + 1; }

/* The recoverer dies as well, all along what it does. */
static uint64_t sweep_nested(int names, void (*prepare)(void), void (*operate)(aipc_ctx *c)) {
    plan.names = names;
    plan.prepare = prepare;
    plan.operate = operate;
    const uint64_t points = crash_points(&scenario), stride = spread(points);
    uint64_t deaths = 0;
    for (uint64_t k = 1; k <= points; k += stride) {
        uint64_t inner = 0, step = 1;
        for (bool died = true; died; inner += step) {
            NOTE("death at point %" PRIu64 ", recoverer's at %" PRIu64, k, inner);
            setup(NULL);
            (void)crash_child(attach_child, run, NULL, k); /* a seed that hashes otherwise may end it sooner */
            died = crash_child(NULL, recover_only, NULL, inner == 0 ? UINT64_MAX : inner);
            if (inner == 0) {
                died = true;
                step = spread(*crash_passed);
                inner = 1 - step;
            } else {
                deaths += died;
            }
            survive(NULL);
        }
    }
    return deaths;
}

/* ---- operations -------------------------------------------------------------------------------- */
static aipc_object_ref target;
static uint64_t owned;

static void construct_target(aipc_ctx *c) { CHECK_EQ(construct_as(c, "target", 40, &target), AIPC_OK); }
static void find_or_construct_target(aipc_ctx *c) {
    const aipc_object_spec spec = spec_of("target", 40);
    bool created;
    CHECK_EQ(aipc_find_or_construct(c, &spec, &target, &created), AIPC_OK);
}
static void construct_taken(aipc_ctx *c) { CHECK_EQ(construct_as(c, base_name(0), 40, &target), AIPC_EXISTS); }
static void find_target(aipc_ctx *c) {
    aipc_object_ref ref;
    CHECK_EQ(find_as(c, "target", &ref), AIPC_OK);
    CHECK_EQ(find_as(c, "missing", &ref), AIPC_NOT_FOUND);
}
static void destroy_target(aipc_ctx *c) { CHECK_EQ(aipc_destroy(c, &target), AIPC_OK); }
static void pin_unpin(aipc_ctx *c) {
    CHECK_EQ(aipc_pin(c, &target), AIPC_OK);
    CHECK_EQ(aipc_unpin(c, c->seg->slot, target.holding), AIPC_OK);
}
static void last_unpin_of_a_zombie(aipc_ctx *c) {
    CHECK_EQ(aipc_pin(c, &target), AIPC_OK);
    CHECK_EQ(aipc_destroy(c, &target), AIPC_OK);
    CHECK_EQ(aipc_unpin(c, c->seg->slot, target.holding), AIPC_OK);
}
static void anonymous(aipc_ctx *c) {
    const aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .size = 24};
    aipc_object_ref ref;
    CHECK_EQ(aipc_construct(c, &spec, &ref), AIPC_OK);
    CHECK_EQ(aipc_destroy(c, &ref), AIPC_OK);
    CHECK_EQ(aipc_unpin(c, c->seg->slot, ref.holding), AIPC_OK);
}
static void owned_blocks(aipc_ctx *c) {
    CHECK_EQ(aipc_owned_allocate(c, 100, 16, &owned), AIPC_OK);
    uint64_t second;
    CHECK_EQ(aipc_owned_allocate(c, 10, 64, &second), AIPC_OK);
    CHECK_EQ(aipc_deallocate(c, owned), AIPC_OK);
}
static void reserve_room(aipc_ctx *c) { CHECK_EQ(aipc_catalog_reserve(c, 200), AIPC_OK); }
static void shrink(aipc_ctx *c) { CHECK_EQ(aipc_catalog_shrink(c), AIPC_OK); }
static void make_room(void) { CHECK_EQ(aipc_catalog_reserve(ctx, 200), AIPC_OK); }

static void make_target(void) {
    make("target", 40);
    target = find("target");
}
/* A run of tombstones before the target, in a table with room for few. */
static void make_tombstones(void) {
    make_target();
    char name[8];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "t%d", i);
        make(name, 8);
        destroy(name);
    }
}
static void destroy_some(aipc_ctx *c) {
    destroy_target(c);
    aipc_object_ref ref;
    CHECK_EQ(construct_as(c, "other", 40, &ref), AIPC_OK);
    CHECK_EQ(aipc_destroy(c, &ref), AIPC_OK);
}
/* What a reader held is freed by whoever comes after it. */
static void destroy_under_a_reader(aipc_ctx *c) {
    aipc_ctx *reader;
    CHECK_EQ(aipc_ctx_enter(c->seg, &reader), AIPC_OK);
    aipc_exchange_seq_cst64(&reader->shared->hazard[1], target.object);
    CHECK_EQ(aipc_destroy(c, &target), AIPC_OK);
    aipc_exchange_seq_cst64(&reader->shared->hazard[1], 0);
    aipc_ctx_leave(reader);
    CHECK_EQ(aipc_catalog_collect(c), AIPC_OK);
}

static void a_death_at_any_store_leaves_all_or_nothing(void) {
    sweep("construct", BASE, NULL, construct_target);
    sweep("construct that grows", FULL, NULL, construct_target);
    sweep("construct of a taken name", BASE, NULL, construct_taken);
    sweep("find_or_construct, new", BASE, NULL, find_or_construct_target);
    sweep("find_or_construct, there", BASE, make_target, find_or_construct_target);
    sweep("find", BASE, make_target, find_target);
    sweep("destroy", BASE - 1, make_target, destroy_target);
    sweep("destroy among tombstones", 2, make_tombstones, destroy_some);
    sweep("pin, unpin", 3, make_target, pin_unpin);
    sweep("destroy a pinned object, last unpin", 3, make_target, last_unpin_of_a_zombie);
    sweep("destroy under a reader, collect", 3, make_target, destroy_under_a_reader);
    sweep("anonymous object", 3, NULL, anonymous);
    sweep("owned blocks", 3, NULL, owned_blocks);
    sweep("reserve", 3, NULL, reserve_room);
    sweep("shrink", 3, make_room, shrink);
}

static void a_recoverer_may_die_too(void) {
    uint64_t deaths = sweep_nested(FULL, NULL, construct_target);
    deaths += sweep_nested(3, make_target, last_unpin_of_a_zombie);
    deaths += sweep_nested(3, NULL, owned_blocks);
    deaths += sweep_nested(2, make_tombstones, destroy_some);
    fprintf(stderr, "   %" PRIu64 " recoverers died\n", deaths);
    CHECK(deaths > 0);
}

int main(void) {
    RUN(a_death_at_any_store_leaves_all_or_nothing);
    RUN(a_recoverer_may_die_too);
    fixture_flags |= AIPC_FLAG_ORDERED;
    RUN(a_death_at_any_store_leaves_all_or_nothing);
    RUN(a_recoverer_may_die_too);
    fixture_drop();
    return SUMMARY();
}
