/* A segment that grows, is trimmed and shrinks. */
#ifndef AIPC_TEST_GROW_FIXTURE_H
#define AIPC_TEST_GROW_FIXTURE_H

#include "segment_fixture.h"

#include <sys/stat.h>

static aipc_seg A;


static inline void grow_create(uint64_t size, uint64_t max_size) {
    if (A.base != NULL) fixture_detach(&A);
    fixture_size = size;
    fixture_max_size = max_size;
    fixture_create(&A);
}

static inline aipc_status grow(aipc_seg *seg, uint64_t extra) {
    aipc_growth growth = aipc_growth_by(extra);
    aipc_status status;
    do status = aipc_grow_prepare(seg, &growth);
    while (status == AIPC_AGAIN);
    if (status != AIPC_OK) return status;
    aipc_ctx *ctx = enter(seg);
    status = aipc_grow_finish(ctx, &growth);
    aipc_ctx_leave(ctx);
    return status;
}

/* Bytes given back. */
static inline uint64_t trim(aipc_seg *seg) {
    aipc_trim trim = {0};
    aipc_ctx *ctx = enter(seg);
    aipc_status status;
    while ((status = aipc_trim_next(ctx, &trim)) == AIPC_OK) {
        OK(aipc_trim_punch(seg, &trim));
        OK(aipc_trim_done(ctx, &trim));
    }
    aipc_ctx_leave(ctx);
    CHECK_EQ(status, AIPC_NOT_FOUND);
    return trim.given;
}

static inline uint64_t take(aipc_seg *seg, uint64_t size) {
    uint64_t payload = 0;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_heap_allocate(ctx, size, 16, 0, NULL, &payload));
    aipc_ctx_leave(ctx);
    return payload;
}
static inline void give(aipc_seg *seg, uint64_t payload) {
    aipc_ctx *ctx = enter(seg);
    OK(aipc_heap_free(ctx, payload, 0, NULL));
    aipc_ctx_leave(ctx);
}

static inline uint8_t pattern(uint64_t payload) { return (uint8_t)(payload >> 4 ^ payload >> 12 ^ 0x5a); }
static inline void fill(aipc_seg *seg, uint64_t payload, uint64_t size) {
    memset(seg->base + payload, pattern(payload), size);
}
static inline bool is_filled(aipc_seg *seg, uint64_t payload, uint64_t size) {
    const uint8_t *bytes = seg->base + payload;
    return bytes[0] == pattern(payload) && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static inline aipc_heap_stats stats_of(aipc_seg *seg) {
    aipc_heap_stats stats;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    return stats;
}

static inline aipc_report sound(aipc_seg *seg) {
    aipc_report report;
    fixture_sound(seg, &report);
    return report;
}

/* Bytes that the object has, and how long it is. */
static inline uint64_t blocks_of(void) {
    struct stat st;
    CHECK(fstat(fixture_fd, &st) == 0);
    return (uint64_t)st.st_blocks * 512;
}
static inline uint64_t length_of(void) {
    struct stat st;
    CHECK(fstat(fixture_fd, &st) == 0);
    return (uint64_t)st.st_size;
}

#endif
