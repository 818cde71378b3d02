// variants: plain asan
/* Pools, one instant after another. */
#include "pool_fixture.h"

enum { MANY = 3 * POOL_CHUNK };

static void nodes_are_apart_and_come_back(void) {
    uint64_t nodes[MANY];
    pool_make(2, AIPC_POOL_NEVER, 0);
    for (int round = 0; round < 2; round++) {
        for (int n = 0; n < MANY; n++) {
            nodes[n] = pool_allocate(n % 2);
            for (int o = 0; o < n; o++) CHECK(nodes[n] >= nodes[o] + POOL_SIZE || nodes[o] >= nodes[n] + POOL_SIZE);
        }
        CHECK_EQ(pool_stats(0).chunks, 3);
        CHECK_EQ(pool_stats(0).free_nodes, 0);
        for (int n = 0; n < MANY; n++) pool_free((n + 1) % 2, nodes[n]); /* by the other one */
        CHECK_EQ(pool_stats(0).free_nodes, MANY);
        CHECK_EQ(pool_stats(0).idle_chunks, 3);
        sync_sound();
    }
    sync_end();
}

static void idle_chunks_beyond_the_limit_are_freed(void) {
    uint64_t nodes[MANY], free_before;
    aipc_heap_stats heap;
    pool_make(1, 1, 0);
    OK(aipc_heap_stats_get(ctxs[0], &heap));
    free_before = heap.free_bytes;
    for (int n = 0; n < MANY; n++) nodes[n] = pool_allocate(0);
    for (int n = 0; n < MANY; n++) pool_free(0, nodes[n]);
    CHECK_EQ(pool_stats(0).chunks, 1);
    uint64_t freed;
    OK(aipc_pool_trim(ctxs[0], &views[0], 0, &freed));
    CHECK_EQ(freed, 1);
    OK(aipc_heap_stats_get(ctxs[0], &heap));
    CHECK_EQ(heap.free_bytes, free_before);
    pool_free(0, pool_allocate(0));
    sync_end();
}

/* More than can be on their way at once. */
static void many_chunks_that_become_idle_at_once_are_freed(void) {
    enum { LOTS = 40 };
    aipc_pool_node nodes[LOTS];
    uint32_t got, given;
    struct aipc_pool image;
    aipc_pool_init(&image, POOL_SIZE, 1, 2, 0, 0);
    sync_make(1, AIPC_TYPE_POOL, &image, sizeof image, sizeof image);
    pool_see(0);
    OK(aipc_pool_take(ctxs[0], &views[0], nodes, LOTS, &got));
    CHECK_EQ(pool_stats(0).chunks, LOTS);
    OK(aipc_pool_give(ctxs[0], &views[0], nodes, LOTS, &given));
    CHECK_EQ(given, LOTS);
    CHECK_EQ(pool_stats(0).chunks, 2);
    sync_end();
}

static void half_used_chunks_are_filled_first(void) {
    uint64_t nodes[MANY];
    pool_make(1, 0, 0);
    for (int n = 0; n < MANY; n++) nodes[n] = pool_allocate(0);
    for (int n = 0; n < MANY; n += POOL_CHUNK) pool_free(0, nodes[n]);
    CHECK_EQ(pool_stats(0).chunks, 3);
    for (int n = 0; n < MANY; n += POOL_CHUNK) nodes[n] = pool_allocate(0);
    CHECK_EQ(pool_stats(0).chunks, 3);
    for (int n = MANY - 1; n >= 0; n--) pool_free(0, nodes[n]);
    CHECK_EQ(pool_stats(0).chunks, 0);
    sync_end();
}

static void what_is_no_node_is_refused(void) {
    pool_make(2, AIPC_POOL_NEVER, 0);
    uint64_t node = pool_allocate(0), other = pool_allocate(1), block;
    OK(aipc_heap_allocate(ctxs[0], 1000, 16, 0, NULL, &block));
    memcpy(segs[0].base + block, segs[0].base + node - 8, 48); /* a header of elsewhere */
    const uint64_t wrong[] = {0, 8, node + 8, node + 16, node - 16, block, block + 8, block + 16, UINT64_MAX, UINT64_MAX - 15,
                              fixture_size, fixture_size - 16, fixture_size + 16};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQ(pool_try_free(0, wrong[i]), AIPC_INVALID);
        CHECK_EQ(aipc_pool_test(&segs[1], &views[1], wrong[i]), AIPC_INVALID);
    }
    OK(aipc_pool_test(&segs[1], &views[1], node));
    pool_free(1, node);
    CHECK_EQ(pool_try_free(0, node), AIPC_INVALID); /* again */
    CHECK_EQ(aipc_deallocate(ctxs[0], other), AIPC_INVALID); /* the heap knows no nodes */
    pool_free(0, other);
    OK(aipc_heap_free(ctxs[0], block, 0, NULL));
    sync_end();
}

static void another_pools_node_is_refused(void) {
    struct aipc_pool image;
    aipc_pool_view second;
    aipc_pool_node node;
    pool_make(1, AIPC_POOL_NEVER, 0);
    aipc_pool_init(&image, POOL_SIZE, POOL_CHUNK, AIPC_POOL_NEVER, 0, 0);
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "other", .name_size = 5, .type = AIPC_TYPE_POOL,
                             .size = sizeof image, .count = 1, .initial = &image};
    aipc_object_ref ref;
    OK(aipc_construct(ctxs[0], &spec, &ref));
    CHECK(aipc_pool_at(&segs[0], ref.payload, sizeof image, &second));
    uint64_t payload = pool_allocate(0);
    CHECK_EQ(aipc_pool_back(&segs[0], &second, payload, &node), AIPC_INVALID);
    pool_free(0, payload);
    sync_end();
}

static void a_full_heap_is_said_so_and_nothing_is_lost(void) {
    aipc_pool_node nodes[64];
    uint32_t got, given;
    uint64_t block;
    pool_make(1, 0, 0);
    OK(aipc_pool_take(ctxs[0], &views[0], nodes, 2, &got));
    for (uint64_t size = fixture_size; size >= 1; size /= 2)
        while (aipc_heap_allocate(ctxs[0], size, 16, 0, NULL, &block) == AIPC_OK) {}
    CHECK_EQ(aipc_pool_take(ctxs[0], &views[0], nodes + 2, 60, &got), AIPC_FULL);
    CHECK_EQ(got, POOL_CHUNK - 2);
    OK(aipc_pool_give(ctxs[0], &views[0], nodes, POOL_CHUNK, &given));
    CHECK_EQ(given, POOL_CHUNK);
    CHECK_EQ(pool_stats(0).chunks, 0);
    sync_end();
}

/* A participant that caches one node and hands one out, and is gone. */
static uint64_t take_and_die(void) {
    uint64_t *said = (uint64_t *)(void *)shared_words();
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        aipc_pool_node nodes[2];
        uint32_t got;
        fixture_attach(&segs[3]);
        sync_enter(3);
        pool_see(3);
        OK(aipc_pool_take(ctxs[3], &views[3], nodes, 2, &got));
        said[0] = aipc_pool_hand(&segs[3], &views[3], &nodes[0]);
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
    uint32_t recovered;
    OK(aipc_recover_all(ctxs[0], &recovered));
    CHECK_EQ(recovered, 1);
    return said[0];
}

static void what_the_dead_had_cached_comes_back(void) {
    pool_make(1, AIPC_POOL_NEVER, 0);
    uint64_t handed = take_and_die();
    CHECK_EQ(pool_stats(0).free_nodes, POOL_CHUNK - 1);
    pool_free(0, handed); /* others may know it */
    CHECK_EQ(pool_stats(0).free_nodes, POOL_CHUNK);
    sync_end();
    pool_make(1, AIPC_POOL_NEVER, AIPC_POOL_OWNED);
    handed = take_and_die();
    CHECK_EQ(pool_stats(0).free_nodes, POOL_CHUNK);
    CHECK_EQ(pool_try_free(0, handed), AIPC_INVALID);
    sync_end();
    pool_make(1, 0, AIPC_POOL_OWNED);
    (void)take_and_die();
    CHECK_EQ(pool_stats(0).chunks, 0);
    sync_end();
}

static void many_chunks_of_a_dead_one_are_settled(void) {
    pool_make(1, 2, AIPC_POOL_OWNED);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&segs[3]);
        sync_enter(3);
        pool_see(3);
        for (int n = 0; n < 100; n++) (void)pool_allocate(3);
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
    uint32_t recovered;
    uint64_t mine = pool_allocate(0);
    OK(aipc_recover_all(ctxs[0], &recovered));
    CHECK_EQ(pool_stats(0).chunks, 3);
    CHECK_EQ(pool_stats(0).free_nodes, 3 * POOL_CHUNK - 1);
    pool_free(0, mine);
    sync_end();
}

static void who_leaves_takes_nothing_along(void) {
    aipc_pool_node node;
    uint32_t got;
    pool_make(2, AIPC_POOL_NEVER, 0);
    OK(aipc_pool_take(ctxs[1], &views[1], &node, 1, &got));
    sync_go(1);
    sync_count = 1;
    CHECK_EQ(pool_stats(0).free_nodes, POOL_CHUNK);
    sync_end();
}

static void a_private_pool_goes_with_its_process(void) {
    aipc_heap_stats before, after;
    struct aipc_pool image;
    pool_make(1, AIPC_POOL_NEVER, 0);
    OK(aipc_heap_stats_get(ctxs[0], &before));
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        aipc_object_ref ref;
        fixture_attach(&segs[3]);
        ctxs[3] = enter(&segs[3]);
        aipc_pool_init(&image, POOL_SIZE, POOL_CHUNK, AIPC_POOL_NEVER, AIPC_POOL_PRIVATE, segs[3].self);
        aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .type = AIPC_TYPE_PRIVATE_POOL, .size = sizeof image,
                                 .name = "", .count = 1, .initial = &image};
        OK(aipc_construct(ctxs[3], &spec, &ref));
        CHECK(aipc_pool_at(&segs[3], ref.payload, ref.size, &views[3]));
        for (int n = 0; n < 20; n++) (void)pool_allocate(3);
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
    uint32_t recovered;
    OK(aipc_recover_all(ctxs[0], &recovered));
    OK(aipc_heap_stats_get(ctxs[0], &after));
    CHECK_EQ(after.free_bytes, before.free_bytes);
    CHECK_EQ(after.used_blocks, before.used_blocks);
    sync_end();
}

static void a_destroyed_pool_is_taken_apart(void) {
    aipc_heap_stats before, after;
    pool_make(1, AIPC_POOL_NEVER, 0);
    OK(aipc_heap_stats_get(ctxs[0], &before));
    for (int n = 0; n < MANY; n++) (void)pool_allocate(0);
    aipc_object_ref ref;
    OK(aipc_find(ctxs[0], AIPC_NAMED, "object", 6, &ref));
    OK(aipc_destroy(ctxs[0], &ref));
    OK(aipc_unpin(ctxs[0], segs[0].slot, sync_holding[0]));
    OK(aipc_heap_stats_get(ctxs[0], &after));
    CHECK(after.free_bytes > before.free_bytes);
    CHECK_EQ(after.used_blocks, before.used_blocks - 2); /* the object and the handle's record */
    sync_end();
}

static void damage_is_found_and_harms_nothing(void) {
    aipc_pool_node node;
    uint32_t got;
    uint64_t nodes[2 * POOL_CHUNK];
    pool_make(1, 0, 0);
    for (int n = 0; n < 2 * POOL_CHUNK; n++) nodes[n] = pool_allocate(0);
    pool_free(0, nodes[0]);
    struct aipc_pool *pool = views[0].pool;
    const uint64_t partial = pool->partial;
    static const uint64_t values[] = {0, 8, 16, 1, UINT64_MAX, UINT64_C(1) << 32, 0x4000, UINT64_C(0x500000005)};
    for (uint64_t at = 0; at < 12 * 8; at += 8) { /* of the pool, and of the chunk that is not full */
        uint64_t *word = at < 6 * 8 ? &pool->chunks + at / 8 : (uint64_t *)(void *)(segs[0].base + partial) + at / 8 - 6;
        const uint64_t sound = *word;
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            if (values[i] == sound) continue;
            *word = values[i];
            NOTE("word %" PRIu64 " is %" PRIx64, at / 8, values[i]);
            CHECK(sync_findings("J") != 0);
            *word = sound;
        }
    }
    uint64_t *header = (uint64_t *)(void *)(segs[0].base + nodes[0] - 8);
    const uint64_t sound = *header;
    for (int byte = 0; byte < 64; byte += 8) {
        *header = sound ^ UINT64_C(1) << byte;
        CHECK(sync_findings("J1") + sync_findings("J3") != 0);
        CHECK_EQ(aipc_pool_take(ctxs[0], &views[0], &node, 1, &got), AIPC_CORRUPT);
        CHECK_EQ(pool_try_free(0, nodes[0]), AIPC_INVALID);
    }
    *header = sound;
    for (int n = 1; n < 2 * POOL_CHUNK; n++) pool_free(0, nodes[n]);
    CHECK_EQ(pool_stats(0).chunks, 0);
    sync_end();
}

/* Whatever the pool's words and those of its chunks say, every operation comes to an end with an answer. */
static void random_damage_stops_nobody(void) {
    static uint8_t copy[FIXTURE_SIZE];
    uint64_t nodes[MANY], freed;
    aipc_pool_node taken[MANY];
    uint32_t got, given, random = 1;
    pool_make(1, 1, AIPC_POOL_OWNED);
    for (int n = 0; n < MANY; n++) nodes[n] = pool_allocate(0);
    for (int n = 0; n < POOL_CHUNK + 1; n++) pool_free(0, nodes[n]);
    memcpy(copy, segs[0].base, fixture_size);
    for (int round = 0; round < 10000; round++) {
        random = random * 1664525 + 1013904223;
        const uint64_t from = random >> 8 & 1 ? views[0].offset + 1088 + 48 : nodes[MANY - 1] - 72 - 3 * 48 - 8;
        segs[0].base[from + (random >> 12) % (random >> 8 & 1 ? 48 : 200)] ^= (uint8_t)(random >> 24 | 1);
        NOTE("round %d", round);
        (void)aipc_pool_take(ctxs[0], &views[0], taken, 6, &got);
        (void)aipc_pool_give(ctxs[0], &views[0], taken, got, &given);
        for (int n = 0; n < MANY; n += 3)
            if (aipc_pool_back(&segs[0], &views[0], nodes[n], taken) == AIPC_OK)
                (void)aipc_pool_give(ctxs[0], &views[0], taken, 1, &given);
        (void)aipc_pool_trim(ctxs[0], &views[0], 0, &freed);
        (void)aipc_pool_settle(ctxs[0], &views[0], 0);
        sync_report = (aipc_report){0};
        (void)aipc_pool_check(ctxs[0], &views[0], &sync_report);
        memcpy(segs[0].base, copy, fixture_size);
    }
    sync_end();
}

int main(void) {
    RUN(nodes_are_apart_and_come_back);
    RUN(idle_chunks_beyond_the_limit_are_freed);
    RUN(many_chunks_that_become_idle_at_once_are_freed);
    RUN(half_used_chunks_are_filled_first);
    RUN(what_is_no_node_is_refused);
    RUN(another_pools_node_is_refused);
    RUN(a_full_heap_is_said_so_and_nothing_is_lost);
    RUN(what_the_dead_had_cached_comes_back);
    RUN(many_chunks_of_a_dead_one_are_settled);
    RUN(who_leaves_takes_nothing_along);
    RUN(a_private_pool_goes_with_its_process);
    RUN(a_destroyed_pool_is_taken_apart);
    RUN(damage_is_found_and_harms_nothing);
    RUN(random_damage_stops_nobody);
    return SUMMARY();
}
