/* What a node of a pool costs, beside a block of the heap: `name  median  min  max` in ns for each case.
 *
 *     pair             take and give back, as who does not cache does it
 *     cached pair      hand out of the cache, and back into it
 *     256 at a time    take, hand out, and give back */
#include "aipc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAIRS = 1000000, ROUNDS = 9, MANY = 256 };

static aipc_seg seg;
static aipc_ctx *ctx;
static aipc_pool_view view;

static void ok(aipc_status status) {
    if (status != AIPC_OK) abort();
}

static void heap_pair(uint32_t n) {
    uint64_t block;
    for (uint32_t i = 0; i < n; i++) {
        ok(aipc_heap_allocate(ctx, 64, 16, 0, NULL, &block));
        ok(aipc_heap_free(ctx, block, 0, NULL));
    }
}
static void pool_pair(uint32_t n) {
    aipc_pool_node node;
    uint32_t got;
    for (uint32_t i = 0; i < n; i++) {
        ok(aipc_pool_take(ctx, &view, &node, 1, &got));
        ok(aipc_pool_back(&seg, &view, aipc_pool_hand(&seg, &view, &node), &node));
        ok(aipc_pool_give(ctx, &view, &node, 1, &got));
    }
}
static void cached_pair(uint32_t n) {
    aipc_pool_node node;
    uint32_t got;
    ok(aipc_pool_take(ctx, &view, &node, 1, &got));
    for (uint32_t i = 0; i < n; i++) ok(aipc_pool_back(&seg, &view, aipc_pool_hand(&seg, &view, &node), &node));
    ok(aipc_pool_give(ctx, &view, &node, 1, &got));
}
static void many(uint32_t n) {
    static aipc_pool_node nodes[MANY];
    uint32_t got;
    for (uint32_t i = 0; i < n; i += MANY) {
        ok(aipc_pool_take(ctx, &view, nodes, MANY, &got));
        for (uint32_t k = 0; k < MANY; k++)
            ok(aipc_pool_back(&seg, &view, aipc_pool_hand(&seg, &view, &nodes[k]), &nodes[k]));
        ok(aipc_pool_give(ctx, &view, nodes, MANY, &got));
    }
}

static int ascending(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void measure(const char *name, void (*work)(uint32_t)) {
    double ns[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        const uint64_t began = aipc_os_now();
        work(PAIRS);
        ns[r] = (double)(aipc_os_now() - began) / PAIRS;
    }
    qsort(ns, ROUNDS, sizeof ns[0], ascending);
    printf("%-46s %8.1f %8.1f %8.1f\n", name, ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
}

int main(void) {
    const uint64_t size = 64 << 20;
    const int fd = memfd_create("aipc-bench", MFD_CLOEXEC);
    int error;
    char bells[96];
    aipc_segment_init(&seg, fd, "");
    ok(aipc_segment_create(&seg, &(aipc_create_options){.size = size, .max_size = size, .participants = 8, .mode = 0600,
                                                        .algorithm = AIPC_BEST_FIT}));
    strcpy(bells, seg.bell_path);
    ok(aipc_ctx_enter(&seg, &ctx));
    struct aipc_pool image;
    aipc_object_ref ref;
    aipc_pool_init(&image, 64, 64, AIPC_POOL_NEVER, 0, 0);
    aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .name = "", .type = AIPC_TYPE_POOL, .size = sizeof image, .count = 1,
                             .initial = &image};
    ok(aipc_construct(ctx, &spec, &ref));
    if (!aipc_pool_at(&seg, ref.payload, ref.size, &view)) abort();
    measure("heap pair", heap_pair);
    measure("pair, of an empty pool", pool_pair);
    aipc_pool_node kept;
    uint32_t got;
    ok(aipc_pool_take(ctx, &view, &kept, 1, &got));
    measure("pair", pool_pair);
    measure("cached pair", cached_pair);
    measure("256 at a time", many);
    ok(aipc_pool_give(ctx, &view, &kept, 1, &got));
    aipc_ctx_leave(ctx);
    ok(aipc_segment_detach(&seg));
    (void)aipc_os_remove_directory(bells, &error);
    return 0;
}
