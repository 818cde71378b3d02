// variants: plain
/* SIGKILL after sampled machine instructions of an optimized atomic block, with the real recovery behind it. */
#include "lock.h"
#include "segment_fixture.h"
#include "step.h"

static aipc_seg seg;

static aipc_object_spec spec_of(const char *name, uint64_t size) {
    return (aipc_object_spec){.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name), .type = 77,
                              .size = size, .count = 1};
}

static aipc_object_ref construct(aipc_ctx *ctx, const char *name, uint64_t size) {
    aipc_object_ref ref;
    const aipc_object_spec spec = spec_of(name, size);
    OK(aipc_construct(ctx, &spec, &ref));
    return ref;
}

static uint64_t size_of(aipc_ctx *ctx, const char *name) {
    aipc_object_ref ref;
    const aipc_status status = aipc_find(ctx, AIPC_NAMED, name, (uint32_t)strlen(name), &ref);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    return status == AIPC_OK ? ref.size : 0;
}

static void setup(void *arg) {
    (void)arg;
    fixture_create(&seg);
    aipc_ctx *ctx = enter(&seg);
    (void)construct(ctx, "old", 8);
    aipc_ctx_leave(ctx);
    fixture_detach(&seg);
}

static void attach(void *arg) {
    (void)arg;
    fixture_attach(&seg);
}

/* One is replaced, one comes; a part is taken back. */
static void run(void *arg) {
    (void)arg;
    aipc_object_ref old;
    aipc_ctx *ctx = enter(&seg);
    OK(aipc_lock_try(&seg, &seg.catalog->turn));
    OK(aipc_block_open(ctx, &ctx->block));
    const uint64_t block = ctx->block;
    OK(aipc_find(ctx, AIPC_NAMED, "old", 3, &old));
    OK(aipc_destroy(ctx, &old));
    (void)construct(ctx, "old", 16);
    (void)construct(ctx, "new", 24);
    const uint64_t mark = aipc_block_mark(&seg);
    (void)construct(ctx, "never", 8);
    OK(aipc_block_back_to(ctx, mark));
    ctx->block = 0;
    OK(aipc_block_commit(ctx, block));
    OK(aipc_block_settle(ctx, seg.slot));
    CHECK(aipc_lock_release_fast(&seg, &seg.catalog->turn));
    aipc_ctx_leave(ctx);
}

static void survive(void *arg) {
    (void)arg;
    aipc_report report;
    fixture_attach(&seg);
    fixture_sound(&seg, &report);
    aipc_ctx *ctx = enter(&seg);
    const bool committed = size_of(ctx, "new") == 24;
    CHECK_EQ(size_of(ctx, "old"), committed ? 16 : 8);
    CHECK_EQ(size_of(ctx, "new"), committed ? 24 : 0);
    CHECK_EQ(size_of(ctx, "never"), 0);
    CHECK_EQ(report.objects, committed ? 2 : 1);
    CHECK_EQ(report.holdings, 0);
    CHECK_EQ(seg.catalog->pending, 0);
    CHECK_EQ(seg.catalog->epoch % 2, 0);
    OK(aipc_lock_try_recover(ctx, &seg.catalog->turn));
    OK(aipc_block_open(ctx, &ctx->block));
    ctx->block = 0;
    OK(aipc_block_settle(ctx, seg.slot));
    OK(aipc_lock_release_slow(ctx, &seg.catalog->turn));
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
