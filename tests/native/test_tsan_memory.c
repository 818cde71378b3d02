// variants: tsan plain
/* Threads of several participants over one mapping wait for memory, and take and free nodes: ThreadSanitizer sees all. */
#include "pool_fixture.h"

#include <pthread.h>

enum { PARTICIPANTS = 3, SLOTS = 8, BLOCK = 20000 };

static uint32_t rounds;
static uint64_t slots[SLOTS]; /* nodes on their way from one to another */

static void wait_for_block(int i) {
    aipc_ctx *ctx = enter(&segs[i]);
    uint64_t block;
    uint32_t node = AIPC_NO_NODE;
    for (;;) {
        aipc_status status = aipc_room_turn(ctx, node);
        if (status == AIPC_OK) status = aipc_heap_allocate(ctx, BLOCK, 16, 0, NULL, &block);
        if (status == AIPC_OK) break;
        CHECK(status == AIPC_AGAIN || status == AIPC_FULL);
        if (node == AIPC_NO_NODE) {
            OK(aipc_room_stand(ctx, bell[i], 1, &node));
        } else if (aipc_room_turn(ctx, node) != AIPC_OK || aipc_heap_allocate(ctx, BLOCK, 16, 0, NULL, &block) != AIPC_OK) {
            fixture_sleep(&segs[i], bell[i], bell_fd[i]);
            OK(aipc_room_again(ctx, node));
        } else {
            break;
        }
    }
    if (node != AIPC_NO_NODE) OK(aipc_room_leave(ctx, node));
    OK(aipc_heap_free(ctx, block, 0, NULL));
    aipc_ctx_leave(ctx);
}

static void pass_node_on(int i, uint32_t n) {
    aipc_pool_node node;
    uint32_t got, given;
    aipc_ctx *ctx = enter(&segs[i]);
    OK(aipc_pool_take(ctx, &views[i], &node, 1, &got));
    const uint64_t mine = aipc_pool_hand(&segs[i], &views[i], &node);
    const uint64_t other = aipc_exchange_seq_cst64(&slots[n % SLOTS], mine);
    if (other != 0) {
        OK(aipc_pool_back(&segs[i], &views[i], other, &node));
        OK(aipc_pool_give(ctx, &views[i], &node, 1, &given));
    }
    aipc_ctx_leave(ctx);
}

static void *work(void *arg) {
    const int i = (int)(intptr_t)arg;
    for (uint32_t n = 0; n < rounds; n++) {
        wait_for_block(i);
        for (uint32_t k = 0; k < 4; k++) pass_node_on(i, n * 7 + k * 3 + (uint32_t)i);
    }
    return NULL;
}

static void all_use_all(void) {
    pthread_t threads[PARTICIPANTS];
    uint64_t block, rest;
    rounds = harness_full() ? 20000 : 1000;
    pool_make(PARTICIPANTS, 0, 0);
    uint64_t node = pool_allocate(0); /* so that a chunk stays */
    OK(aipc_heap_allocate(ctxs[0], BLOCK, 16, 0, NULL, &block)); /* there is room for one of them, and for some chunks */
    OK(aipc_heap_allocate(ctxs[0], 4000, 16, 0, NULL, &rest));
    uint64_t small = rest;
    for (uint64_t size = fixture_size; size >= BLOCK; size -= 16) (void)aipc_heap_allocate(ctxs[0], size, 16, 0, NULL, &rest);
    OK(aipc_heap_free(ctxs[0], block, 0, NULL));
    OK(aipc_heap_free(ctxs[0], small, 0, NULL));
    sync_unite();
    for (int i = 0; i < PARTICIPANTS; i++) pool_see(i);
    for (intptr_t i = 0; i < PARTICIPANTS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < PARTICIPANTS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int n = 0; n < SLOTS; n++)
        if (slots[n] != 0) pool_free(0, slots[n]);
    pool_free(0, node);
    CHECK_EQ(aipc_room_waiters(&segs[0]), 0);
    sync_divide();
    for (int i = 0; i < PARTICIPANTS; i++) pool_see(i);
    sync_end();
}

int main(void) {
    RUN(all_use_all);
    return SUMMARY();
}
