/* What is done with a pool, as something that may be killed at any point: of an owned one nothing is left with the dead. */
#ifndef AIPC_TEST_POOL_SCENARIOS_H
#define AIPC_TEST_POOL_SCENARIOS_H

#include "pool_fixture.h"

static void begin_pool(void *arg) {
    (void)arg;
    pool_make(1, 1, AIPC_POOL_OWNED);
    sync_leave();
}

static void come_to_pool(void *arg) { (void)arg; pool_join(2); }

/* New chunks, nodes that are handed out, cached, freed by the other one, and chunks that become idle. */
static void run_pool(void *arg) {
    enum { NODES = 2 * POOL_CHUNK + 1 };
    aipc_pool_node nodes[NODES];
    uint64_t payloads[NODES], freed;
    uint32_t got, given;
    (void)arg;
    OK(aipc_pool_take(ctxs[0], &views[0], nodes, NODES, &got));
    for (int n = 0; n < NODES - 1; n++) payloads[n] = aipc_pool_hand(&segs[0], &views[0], &nodes[n]);
    for (int n = 0; n < NODES - 2; n++) pool_free(1, payloads[n]);
    OK(aipc_pool_back(&segs[1], &views[1], payloads[NODES - 2], &nodes[0])); /* cached by the other one */
    OK(aipc_pool_give(ctxs[0], &views[0], &nodes[NODES - 1], 1, &given));
    OK(aipc_pool_trim(ctxs[0], &views[0], 0, &freed));
    (void)pool_allocate(0);
}

static void survive_pool(void *arg) { /* and may be killed too */
    uint64_t nodes[2 * POOL_CHUNK];
    (void)arg;
    pool_join(2);
    sync_sound();
    CHECK_EQ(pool_stats(0).free_nodes, pool_stats(0).chunks * POOL_CHUNK);
    CHECK(pool_stats(0).chunks <= 1);
    for (int n = 0; n < 2 * POOL_CHUNK; n++) nodes[n] = pool_allocate(n % 2);
    for (int n = 0; n < 2 * POOL_CHUNK; n++) pool_free(0, nodes[n]);
    CHECK_EQ(pool_stats(0).chunks, 1);
    sync_leave();
}

static const struct scenario pool_scenario = {begin_pool, come_to_pool, run_pool, survive_pool, NULL};

#endif
