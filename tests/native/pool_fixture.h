/* A pool, and what the tests of pool.h share (sync_fixture.h). */
#ifndef AIPC_TEST_POOL_FIXTURE_H
#define AIPC_TEST_POOL_FIXTURE_H

#include "sync_fixture.h"

#include "types.h"

enum { POOL_SIZE = 40, POOL_CHUNK = 4 };

static aipc_pool_view views[SYNC_MANY];

static inline void pool_see(int i) { CHECK(aipc_pool_at(&segs[i], sync_payload, sizeof(struct aipc_pool), &views[i])); }

static inline void pool_join(int count) {
    sync_join(count);
    for (int i = 0; i < count; i++) pool_see(i);
}

static inline void pool_make(int count, uint64_t max_idle, uint32_t flags) {
    struct aipc_pool image;
    aipc_pool_init(&image, POOL_SIZE, POOL_CHUNK, max_idle, flags, 0);
    sync_make(count, AIPC_TYPE_POOL, &image, sizeof image, sizeof image);
    for (int i = 0; i < count; i++) pool_see(i);
}

/* One node, as who does not cache any does it. */
static inline uint64_t pool_allocate(int i) {
    aipc_pool_node node;
    uint32_t got;
    OK(aipc_pool_take(ctxs[i], &views[i], &node, 1, &got));
    CHECK_EQ(got, 1);
    const uint64_t payload = aipc_pool_hand(&segs[i], &views[i], &node);
    CHECK(payload % 16 == 0);
    memset(segs[i].base + payload, 0xff, POOL_SIZE);
    return payload;
}
static inline aipc_status pool_try_free(int i, uint64_t payload) {
    aipc_pool_node node;
    uint32_t given;
    const aipc_status status = aipc_pool_back(&segs[i], &views[i], payload, &node);
    if (status != AIPC_OK) return status;
    OK(aipc_pool_give(ctxs[i], &views[i], &node, 1, &given));
    CHECK_EQ(given, 1);
    return AIPC_OK;
}
static inline void pool_free(int i, uint64_t payload) { OK(pool_try_free(i, payload)); }

static inline aipc_pool_stats pool_stats(int i) {
    aipc_pool_stats stats;
    aipc_pool_stats_get(&views[i], &stats);
    return stats;
}

#endif
