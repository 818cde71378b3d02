/* A queue in a real segment (segment_fixture.h), and short names for what a test does with it. */
#ifndef AIPC_TEST_QUEUE_FIXTURE_H
#define AIPC_TEST_QUEUE_FIXTURE_H

#include "segment_fixture.h"

#include "types.h"

static aipc_queue_options queue_options; /* of the next one made */
static uint8_t queue_room[16384];
static uint64_t queue_pin; /* of the latest fixture_queue */

/* The queue named "queue", found or made; pinned. */
static inline struct aipc_queue *fixture_queue(aipc_seg *seg) {
    static uint8_t image[sizeof(struct aipc_queue) + AIPC_MAX_PARTICIPANTS * sizeof(struct aipc_queue_holder)];
    aipc_queue_init(image, &queue_options);
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "queue", .name_size = 5, .type = AIPC_TYPE_QUEUE,
                             .size = aipc_queue_object_size(seg->participants), .count = 1, .initial = image};
    aipc_object_ref ref;
    bool created;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_find_or_construct(ctx, &spec, &ref, &created));
    aipc_ctx_leave(ctx);
    queue_pin = ref.holding;
    struct aipc_queue *queue = aipc_queue_at(seg, ref.payload, ref.size);
    CHECK(queue != NULL);
    return queue;
}

/* Every byte of a message says which one it is. */
static inline void message_fill(uint8_t *bytes, uint64_t size, uint64_t number) {
    for (uint64_t i = 0; i < size; i++) bytes[i] = (uint8_t)(number * 31 + i + (number >> 8));
}
static inline void message_check(const uint8_t *bytes, uint64_t size, uint64_t number) {
    for (uint64_t i = 0; i < size; i++) CHECK_EQ(bytes[i], (uint8_t)(number * 31 + i + (number >> 8)));
}

static inline aipc_status put_message(aipc_seg *seg, struct aipc_queue *queue, uint64_t number, uint64_t size) {
    uint8_t *bytes = malloc(size + 1);
    uint32_t put;
    message_fill(bytes, size, number);
    aipc_bytes message = {.data = bytes, .size = size};
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_queue_put(ctx, queue, &message, 1, &put);
    aipc_ctx_leave(ctx);
    CHECK_EQ(put, status == AIPC_OK);
    free(bytes);
    return status;
}

/* Takes one message and compares it. */
static inline aipc_status take_message(aipc_seg *seg, struct aipc_queue *queue, uint64_t number, uint64_t size) {
    aipc_message message;
    uint32_t taken;
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_queue_take(ctx, queue, queue_room, sizeof queue_room, &message, 1, &taken);
    CHECK_EQ(taken, status == AIPC_OK);
    if (status == AIPC_OK) {
        CHECK_EQ(message.size, size);
        message_check(message.data, size, number);
        OK(aipc_queue_dispose(ctx, &message, 1));
    }
    aipc_ctx_leave(ctx);
    return status;
}

static inline aipc_status lease_message(aipc_seg *seg, struct aipc_queue *queue, aipc_message *message) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_queue_lease(ctx, queue, message);
    aipc_ctx_leave(ctx);
    return status;
}

static inline aipc_status settle_message(aipc_seg *seg, struct aipc_queue *queue, const aipc_message *message,
                                         aipc_settlement how) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_queue_settle(ctx, queue, message->item, message->serial, how);
    aipc_ctx_leave(ctx);
    return status;
}

static inline aipc_status report_done(aipc_seg *seg, struct aipc_queue *queue, uint64_t count) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_queue_task_done(ctx, queue, count);
    aipc_ctx_leave(ctx);
    return status;
}

static inline aipc_status joined(aipc_seg *seg, struct aipc_queue *queue) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_queue_joined(ctx, queue);
    aipc_ctx_leave(ctx);
    return status;
}

static inline aipc_status joined_since(aipc_seg *seg, struct aipc_queue *queue, uint64_t mark) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_queue_joined_since(ctx, queue, mark);
    aipc_ctx_leave(ctx);
    return status;
}

static inline aipc_queue_stats stats_of(const struct aipc_queue *queue) {
    aipc_queue_stats stats;
    aipc_queue_stats_get(queue, &stats);
    return stats;
}

/* Destroys the queue, gives this participant's pin back: its memory goes. */
static inline void fixture_drop_queue(aipc_seg *seg) {
    aipc_object_ref ref;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_find(ctx, AIPC_NAMED, "queue", 5, &ref));
    OK(aipc_pin(ctx, &ref));
    OK(aipc_destroy(ctx, &ref));
    OK(aipc_queue_close(ctx, aipc_queue_at(seg, ref.payload, ref.size)));
    OK(aipc_unpin(ctx, seg->slot, ref.holding));
    aipc_ctx_leave(ctx);
}

#endif
