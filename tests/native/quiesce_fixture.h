/* A segment with some of everything that has a domain, and copies of it. */
#ifndef AIPC_TEST_QUIESCE_FIXTURE_H
#define AIPC_TEST_QUIESCE_FIXTURE_H

#include "leaks.h"
#include "queue_fixture.h"

enum { QUEUES = 2, MESSAGES = 5 };

static aipc_seg A, B, C;
static struct aipc_queue *queue_a;

static inline struct aipc_dict *fixture_dict(aipc_seg *seg) {
    struct aipc_dict image;
    aipc_dict_init(&image);
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "dict", .name_size = 4, .type = AIPC_TYPE_DICT,
                             .size = sizeof image, .count = 1, .initial = &image};
    aipc_object_ref ref;
    bool created;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_find_or_construct(ctx, &spec, &ref, &created));
    aipc_ctx_leave(ctx);
    return (void *)(seg->base + ref.payload);
}

static inline struct aipc_vector *fixture_vector(aipc_seg *seg) {
    struct aipc_vector image;
    aipc_vector_init(&image);
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "vector", .name_size = 6, .type = AIPC_TYPE_VECTOR_IO,
                             .size = sizeof image, .count = 1, .initial = &image};
    aipc_object_ref ref;
    bool created;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_find_or_construct(ctx, &spec, &ref, &created));
    aipc_ctx_leave(ctx);
    return (void *)(seg->base + ref.payload);
}

static inline void set_key(aipc_seg *seg, struct aipc_dict *d, uint8_t value) {
    const aipc_dict_key key = aipc_dict_key_of(seg, "key", 3);
    aipc_dict_draft draft;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_dict_draft_make(ctx, d, &key, NULL, 0, 1, &draft));
    *draft.value = value;
    OK(aipc_dict_put(ctx, d, &draft, AIPC_DICT_ALWAYS, 0, NULL, NULL));
    aipc_ctx_leave(ctx);
}
static inline uint8_t get_key(aipc_seg *seg, struct aipc_dict *d) {
    const aipc_dict_key key = aipc_dict_key_of(seg, "key", 3);
    aipc_dict_found found;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_dict_get(ctx, d, &key, &found));
    const uint8_t value = *found.value;
    aipc_dict_done(ctx);
    aipc_ctx_leave(ctx);
    return value;
}

/* An anonymous queue too, which no table of names has, and a destroyed one that somebody still has. */
static inline void make_some_of_everything(void) {
    static uint8_t image[sizeof(struct aipc_queue) + AIPC_MAX_PARTICIPANTS * sizeof(struct aipc_queue_holder)];
    fixture_create(&A);
    queue_options = (aipc_queue_options){0};
    queue_a = fixture_queue(&A);
    aipc_queue_init(image, &queue_options);
    for (int i = 0; i < QUEUES; i++) {
        aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .name = "", .type = AIPC_TYPE_QUEUE, .count = 1,
                                 .size = aipc_queue_object_size(A.participants), .initial = image};
        aipc_object_ref ref;
        aipc_ctx *ctx = enter(&A);
        OK(aipc_construct(ctx, &spec, &ref));
        if (i != 0) OK(aipc_destroy(ctx, &ref));
        aipc_ctx_leave(ctx);
    }
    for (uint64_t n = 0; n < MESSAGES; n++) OK(put_message(&A, queue_a, n, 100));
    set_key(&A, fixture_dict(&A), 42);
    (void)fixture_lock(&A);
}

/* Who opens the copy finds what was in the segment. */
static inline void check_copy(int copy) {
    static aipc_report report;
    aipc_segment_init(&C, dup(copy), "");
    OK(aipc_segment_open(&C));
    CHECK(memcmp(C.header->uuid, A.header->uuid, 16) != 0);
    fixture_sound(&C, &report);
    CHECK_EQ(get_key(&C, fixture_dict(&C)), 42);
    struct aipc_queue *queue = fixture_queue(&C);
    for (uint64_t n = 0; n < MESSAGES; n++) OK(take_message(&C, queue, n, 100));
    fixture_detach(&C);
}

static inline bool drop_message(aipc_seg *seg, struct aipc_queue *queue) {
    aipc_message message;
    uint32_t taken;
    aipc_ctx *ctx = enter(seg);
    const aipc_status status = aipc_queue_take(ctx, queue, queue_room, sizeof queue_room, &message, 1, &taken);
    if (status == AIPC_OK) OK(aipc_queue_dispose(ctx, &message, 1));
    aipc_ctx_leave(ctx);
    return status == AIPC_OK;
}

/* Nobody has any domain: everything can be done, also after somebody died while doing this. */
static inline void check_all_free(aipc_seg *seg) {
    static aipc_report report;
    struct aipc_queue *queue = fixture_queue(seg);
    set_key(seg, fixture_dict(seg), 42);
    OK(put_message(seg, queue, MESSAGES, 3000));
    while (drop_message(seg, queue)) {}
    for (uint64_t n = 0; n < MESSAGES; n++) OK(put_message(seg, queue, n, 100));
    fixture_sound(seg, &report);
    CHECK_EQ(seg->heap->domain.lock | seg->catalog->domain.lock | seg->waits->domain.lock, 0);
}

static inline aipc_status snapshot(aipc_seg *seg, int copy) {
    aipc_ctx *ctx = enter(seg);
    const aipc_status status = aipc_snapshot(ctx, copy);
    CHECK_EQ(ctx->shared->domain, 0);
    aipc_ctx_leave(ctx);
    return status;
}

#endif
