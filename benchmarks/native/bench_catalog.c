/* Construct, find, unpin, destroy: ns per call, crash safety on, from 10 to a million names.
 *
 *     bench_catalog [hash | ordered] [rounds] [names]
 *
 * construct makes the object and its pin record, logged; find takes no lock; each call enters a context, as
 * the binding does. */
#include "catalog_fixture.h"

#include "bench_catalog_loops.h"

static aipc_object_ref *refs;

static void bench_open(size_t names) {
    refs = calloc(names, sizeof *refs);
    fixture_make((uint64_t)names * 352 + (16 << 20));
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

/* A hundred names in order, from somewhere in the middle: of a list of all names, one in `names` / 100 is wanted. */
static void bench_range(const char *name) {
    static uint64_t room[4096];
    const aipc_wanted wanted = {.kind = AIPC_NAMED, .prefix = name, .prefix_size = (uint32_t)strlen(name) - 2};
    aipc_list list = {.room = room, .size = sizeof room};
    aipc_ctx *c = entered();
    left(c, aipc_catalog_list(c, &wanted, &list));
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "ordered") == 0) fixture_flags |= AIPC_FLAG_ORDERED;
    bench_curve(argc > 2 ? atoi(argv[2]) : 5, argc > 3 ? (size_t)atol(argv[3]) : 1000000);
    return 0;
}
