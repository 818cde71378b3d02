// variants: plain
/* SIGKILL after sampled machine instructions of the optimized catalog, with the real recovery behind it: what the
 * compiler made of publishing, orphan words and holdings. */
#include "segment_fixture.h"
#include "step.h"

static aipc_seg seg;

static aipc_object_spec spec_of(const char *name) {
    return (aipc_object_spec){.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name), .type = 77,
                              .size = 40, .count = 1};
}

static void setup(void *arg) {
    (void)arg;
    fixture_create(&seg);
    fixture_detach(&seg);
}

static void attach(void *arg) {
    (void)arg;
    fixture_attach(&seg);
}

/* Two objects come and go, one stays, an owned block is allocated; fixture_detach never runs. */
static void run(void *arg) {
    (void)arg;
    aipc_object_ref stays, goes;
    uint64_t payload;
    aipc_ctx *ctx = enter(&seg);
    aipc_object_spec first = spec_of("stays"), second = spec_of("goes");
    OK(aipc_construct(ctx, &first, &stays));
    OK(aipc_construct(ctx, &second, &goes));
    OK(aipc_owned_allocate(ctx, 100, 16, &payload));
    OK(aipc_find(ctx, AIPC_NAMED, "goes", 4, &(aipc_object_ref){0}));
    OK(aipc_destroy(ctx, &goes));
    OK(aipc_unpin(ctx, seg.slot, goes.holding));
    aipc_ctx_leave(ctx);
}

static bool there(aipc_ctx *ctx, const char *name) {
    aipc_object_ref ref;
    aipc_status status = aipc_find(ctx, AIPC_NAMED, name, (uint32_t)strlen(name), &ref);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    return status == AIPC_OK;
}

/* Whatever was done is whole: a name leads to its object, and there is nothing else in the heap. */
static void survive(void *arg) {
    (void)arg;
    aipc_report report;
    aipc_object_ref ref;
    bool created;
    fixture_attach(&seg);
    fixture_sound(&seg, &report);
    CHECK_EQ(report.holdings, 0);
    CHECK_EQ(report.owned_blocks, 0);
    aipc_ctx *ctx = enter(&seg);
    uint64_t objects = (uint64_t)there(ctx, "stays") + (uint64_t)there(ctx, "goes");
    CHECK_EQ(report.objects, objects);
    CHECK_EQ(report.internal_blocks, objects + 1); /* and the table */
    aipc_object_spec again = spec_of("stays");
    OK(aipc_find_or_construct(ctx, &again, &ref, &created));
    OK(aipc_destroy(ctx, &ref));
    aipc_ctx_leave(ctx);
    fixture_detach(&seg);
}

static void a_death_at_any_instruction_leaves_all_or_nothing(void) {
    const struct scenario s = {setup, attach, run, survive, NULL};
    STEP_WATCH(&seg.base, FIXTURE_SIZE);
    fprintf(stderr, "  %" PRIu64 " deaths\n", step_sweep(&s));
}

int main(void) {
    RUN(a_death_at_any_instruction_leaves_all_or_nothing);
    fixture_end();
    return SUMMARY();
}
