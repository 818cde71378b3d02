/* Pointers that own: ns per call, crash safety on.
 *
 *     bench_shares [rounds]
 *
 * Each call enters a context, as the binding does. */
#include "shares_fixture.h"

#include "bench_shares_loops.h"

static aipc_object_ref owner, targets[2];

static aipc_ctx *entered(void) {
    aipc_ctx *c;
    if (aipc_ctx_enter(&seg, &c) != AIPC_OK) abort();
    return c;
}
static void left(aipc_ctx *c, aipc_status status) {
    if (status != AIPC_OK) abort();
    aipc_ctx_leave(c);
}

static void bench_open(void) {
    fixture_make(16 << 20);
    owner = node_as(ctx, NULL, 0, 0);
    for (int i = 0; i < 2; i++) targets[i] = node((uint64_t)i);
}
static void bench_close(void) {
    CHECK_EQ(aipc_destroy(ctx, &owner), AIPC_OK);
    fixture_drop();
}

static void give_up(const aipc_object_ref *ref) {
    aipc_ctx *c = entered();
    left(c, aipc_share_release(c, seg.slot, ref->holding));
}
static void bench_make(void) {
    static const char bytes[BENCH_PAYLOAD];
    const aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .type = 7, .size = sizeof bytes, .initial = bytes, .count = 1,
                                   .shares = AIPC_SHARE_ANY};
    aipc_object_ref ref;
    aipc_ctx *c = entered();
    left(c, aipc_construct(c, &spec, &ref));
    give_up(&ref);
}
static void bench_copy(void) {
    aipc_object_ref ref = targets[0];
    aipc_ctx *c = entered();
    left(c, aipc_share_take(c, &ref, AIPC_SHARE_OF_SHARED));
    give_up(&ref);
}
static void bench_lock(void) {
    aipc_object_ref ref;
    aipc_ctx *c = entered();
    left(c, aipc_share_lock(c, aipc_pointer_to_object(&targets[0]), &ref));
    give_up(&ref);
}
static void bench_assign(int i) {
    const aipc_owner word = {&owner, owner.payload + node_head() + 8};
    aipc_ctx *c = entered();
    left(c, aipc_share_store(c, &word, &targets[i & 1]));
}

int main(int argc, char **argv) {
    bench_all(argc > 1 ? atoi(argv[1]) : 5);
    return 0;
}
