/* Construct, find, unpin, destroy: ns per call, crash safety on, from 10 to a million names.
 *
 *     bench_catalog [rounds] [names]
 *
 * construct makes the object and its pin record, logged; find takes no lock; each call enters a context, as
 * the binding does. */
#include "catalog_fixture.h"

#include "bench_catalog_loops.h"

static aipc_object_ref *refs;

static void bench_open(size_t names) {
    refs = calloc(names, sizeof *refs);
    fixture_make((uint64_t)names * 320 + (16 << 20));
}
static void bench_close(void) {
    fixture_drop();
    free(refs);
}

static aipc_ctx *entered(void) {
    aipc_ctx *c;
    if (aipc_ctx_enter(&seg, &c) != AIPC_OK) abort();
    return c;
}
static void left(aipc_ctx *c, aipc_status status) {
    if (status != AIPC_OK) abort();
    aipc_ctx_leave(c);
}

static void bench_construct(const char *name, size_t i) {
    aipc_ctx *c = entered();
    left(c, construct_as(c, name, BENCH_PAYLOAD, &refs[i]));
}
static void bench_find(const char *name, size_t i) {
    (void)i;
    aipc_object_ref ref;
    aipc_ctx *c = entered();
    left(c, find_as(c, name, &ref));
}
static void bench_give_back(size_t i) {
    aipc_ctx *c = entered();
    left(c, aipc_unpin(c, seg.slot, refs[i].holding));
}
static void bench_destroy(const char *name, size_t i) {
    (void)name;
    aipc_ctx *c = entered();
    left(c, aipc_destroy(c, &refs[i]));
}

int main(int argc, char **argv) {
    bench_curve(argc > 1 ? atoi(argv[1]) : 5, argc > 2 ? (size_t)atol(argv[2]) : 1000000);
    return 0;
}
