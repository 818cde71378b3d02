// variants: tsan plain
/* Threads of several participants over one mapping grow, trim, allocate and free at once. */
#include "grow_fixture.h"

#include <pthread.h>

enum { PARTICIPANTS = 3, THREADS = 2, KEPT = 6, SIZE = 1 << 20, MOST = 64 << 20 };

static aipc_seg segs[PARTICIPANTS];
static uint8_t *bases[PARTICIPANTS];
static uint32_t rounds, grown, trimmed;

static void see_through(aipc_seg *seg, uint8_t *base) {
#define MOVE(area) seg->area = (void *)(base + ((uint8_t *)seg->area - seg->base))
    MOVE(header), MOVE(heap), MOVE(catalog), MOVE(waits), MOVE(slots), MOVE(contexts), MOVE(nodes);
    for (int i = 0; i < AIPC_CONTEXTS; i++) MOVE(ctx[i].shared);
    seg->base = base;
}

static uint32_t below(uint32_t *state, uint32_t n) {
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % n;
}

typedef struct kept {
    uint64_t payload, size;
} kept;

static void replace(aipc_seg *seg, kept *k, uint64_t size) {
    aipc_ctx *ctx = enter(seg);
    if (k->payload != 0) {
        CHECK(is_filled(seg, k->payload, k->size));
        OK(aipc_heap_free(ctx, k->payload, 0, NULL));
        k->payload = 0;
    }
    const aipc_status status = aipc_heap_allocate(ctx, size, 16, 0, NULL, &k->payload);
    aipc_ctx_leave(ctx);
    CHECK(status == AIPC_OK || status == AIPC_FULL);
    k->size = size;
    if (status == AIPC_OK) fill(seg, k->payload, size);
}

static void look(aipc_seg *seg) {
    static _Thread_local aipc_report report;
    aipc_ctx *ctx = enter(seg);
    memset(&report, 0, sizeof report);
    OK(aipc_heap_check(ctx, &report));
    aipc_ctx_leave(ctx);
    CHECK_EQ(report.findings, 0);
}

static void *hammer(void *arg) {
    const int index = (int)(intptr_t)arg;
    aipc_seg *seg = &segs[index / THREADS];
    uint32_t random = (uint32_t)index + 1;
    kept blocks[KEPT] = {{0}};
    for (uint32_t n = 0; n < rounds; n++) {
        const uint32_t what = below(&random, 100);
        if (what == 0) {
            const aipc_status status = grow(seg, 65536);
            CHECK(status == AIPC_OK || status == AIPC_INVALID);
            (void)aipc_fetch_add_seq_cst32(&grown, status == AIPC_OK);
        } else if (what < 4) {
            (void)aipc_fetch_add_seq_cst32(&trimmed, trim(seg) != 0);
        } else if (what < 6) {
            look(seg);
        } else {
            replace(seg, &blocks[below(&random, KEPT)], 1 + below(&random, what < 20 ? 200000 : 3000));
        }
    }
    for (int i = 0; i < KEPT; i++)
        if (blocks[i].payload != 0) give(seg, blocks[i].payload);
    return NULL;
}

static void threads_grow_trim_and_allocate_at_once(void) {
    pthread_t threads[PARTICIPANTS * THREADS];
    aipc_report report;
    rounds = harness_full() ? 20000 : 6000;
    fixture_size = SIZE;
    fixture_max_size = MOST;
    fixture_create(&segs[0]);
    for (int i = 1; i < PARTICIPANTS; i++) fixture_attach(&segs[i]);
    for (int i = 0; i < PARTICIPANTS; i++) {
        bases[i] = segs[i].base;
        see_through(&segs[i], segs[0].base);
    }
    for (int i = 0; i < PARTICIPANTS * THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < PARTICIPANTS * THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    fixture_sound(&segs[0], &report);
    CHECK_EQ(report.user_blocks, 0);
    CHECK_EQ(segs[0].header->size, SIZE + (uint64_t)grown * 65536);
    CHECK(grown > 10 && trimmed > 10);
    fprintf(stderr, "  grown %u times, trimmed %u times\n", grown, trimmed);
    for (int i = PARTICIPANTS - 1; i >= 0; i--) {
        see_through(&segs[i], bases[i]);
        fixture_detach(&segs[i]);
    }
    fixture_end();
}

int main(void) {
    RUN(threads_grow_trim_and_allocate_at_once);
    return SUMMARY();
}
