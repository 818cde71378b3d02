// variants: plain tsan
/* Threads over one mapping: one replaces an object in atomic blocks, or takes that back, without end; others look for it, and
 * always find one of the two; yet others construct and destroy around it. */
#include "catalog_fixture.h"

#include <pthread.h>

enum { READERS = 2, CHANGERS = 2, TURNS_PER_BLOCK = 4 };

static uint32_t stop;
static uint64_t operations[1 + READERS + CHANGERS];

typedef struct worker {
    int index;
    aipc_ctx *ctx;
} worker;

static void replace_in_a_block(worker *w) {
    const bool commit = operations[w->index] % TURNS_PER_BLOCK != 0;
    aipc_object_ref old, fresh, beside;
    CHECK_EQ(aipc_block_open(w->ctx, &w->ctx->block), AIPC_OK);
    const uint64_t block = w->ctx->block;
    CHECK_EQ(find_as(w->ctx, "x", &old), AIPC_OK);
    CHECK_EQ(aipc_destroy(w->ctx, &old), AIPC_OK);
    CHECK_EQ(construct_as(w->ctx, "x", 8 + operations[w->index] % 32, &fresh), AIPC_OK);
    CHECK_EQ(construct_as(w->ctx, "beside", 8, &beside), AIPC_OK);
    CHECK_EQ(aipc_destroy(w->ctx, &beside), AIPC_OK);
    CHECK_EQ(unpin_as(w->ctx, &beside), AIPC_OK);
    CHECK_EQ(unpin_as(w->ctx, &fresh), AIPC_OK);
    w->ctx->block = 0;
    if (commit) CHECK_EQ(aipc_block_commit(w->ctx, block), AIPC_OK);
    CHECK_EQ(aipc_block_settle(w->ctx, seg.slot), AIPC_OK);
}

static void look(worker *w) {
    aipc_object_ref ref;
    CHECK_EQ(find_as(w->ctx, "x", &ref), AIPC_OK);
    CHECK(ref.size >= 8 && ref.size < 40 && ref.type == 107);
    aipc_status status = find_as(w->ctx, "beside", &ref);
    CHECK_EQ(status, AIPC_NOT_FOUND);
}

static void change(worker *w) {
    char name[16];
    snprintf(name, sizeof name, "%d of %d", (int)(operations[w->index] % 50), w->index);
    aipc_object_ref ref;
    aipc_status status = find_as(w->ctx, name, &ref);
    if (status == AIPC_OK) {
        CHECK_EQ(aipc_destroy(w->ctx, &ref), AIPC_OK);
    } else {
        CHECK_EQ(construct_as(w->ctx, name, 8, &ref), AIPC_OK);
        CHECK_EQ(unpin_as(w->ctx, &ref), AIPC_OK);
    }
    CHECK_EQ(construct_as(w->ctx, "x", 8, &ref), AIPC_EXISTS);
}

static void *work(void *argument) {
    worker *w = argument;
    void (*step)(worker *) = w->index == 0 ? replace_in_a_block : w->index <= READERS ? look : change;
    while (aipc_load_relaxed32(&stop) == 0) {
        step(w);
        operations[w->index]++;
    }
    return NULL;
}

static void one_of_the_two_is_always_found(void) {
    enum { ALL = 1 + READERS + CHANGERS };
    fixture_make(1 << 18);
    aipc_store_relaxed32(&stop, 0);
    make("x", 8);
    pthread_t threads[ALL];
    worker workers[ALL];
    for (int i = 0; i < ALL; i++) {
        workers[i] = (worker){.index = i};
        operations[i] = 0;
        CHECK_EQ(aipc_ctx_enter(&seg, &workers[i].ctx), AIPC_OK);
        CHECK_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    usleep(harness_full() ? 10000000 : 700000);
    aipc_store_relaxed32(&stop, 1);
    for (int i = 0; i < ALL; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(operations[i] > 10);
        CHECK(no_orphans(workers[i].ctx));
        aipc_ctx_leave(workers[i].ctx);
    }
    fprintf(stderr, "   %" PRIu64 " blocks, %" PRIu64 " looks\n", operations[0], operations[1] + operations[2]);
    CHECK_EQ(aipc_catalog_collect(ctx), AIPC_OK);
    sound();
    fixture_drop();
}

int main(void) {
    RUN(one_of_the_two_is_always_found);
    fixture_flags |= AIPC_FLAG_ORDERED;
    RUN(one_of_the_two_is_always_found);
    return SUMMARY();
}
