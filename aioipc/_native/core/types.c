#include "types.h"

uint64_t aipc_type_part(aipc_tx *tx, uint64_t type, uint64_t payload, uint64_t size) {
    if (type == AIPC_TYPE_DICT) {
        struct aipc_dict *d = size < sizeof *d ? NULL : aipc_at(tx->seg, payload, sizeof *d);
        return d == NULL ? 0 : aipc_dict_shed(tx, d);
    }
    if (type == AIPC_TYPE_QUEUE) {
        struct aipc_queue *queue = aipc_queue_at(tx->seg, payload, size);
        return queue == NULL ? 0 : aipc_queue_shed(tx, queue);
    }
    return 0; /* locks have no parts */
}

/* The object's payload if it is as large as its type needs. */
static void *payload_of(aipc_seg *seg, const aipc_object_ref *ref, uint64_t needed, aipc_report *report) {
    void *payload = ref->size < needed ? NULL : aipc_at(seg, ref->payload, needed);
    if (payload == NULL) aipc_report_add(report, "C1 object is smaller than its type", ref->object, ref->size, needed);
    return payload;
}

aipc_status aipc_type_check(aipc_ctx *ctx, const aipc_object_ref *ref, aipc_report *report) {
    if (ref->type == AIPC_TYPE_LOCK || ref->type == AIPC_TYPE_RLOCK || ref->type == AIPC_TYPE_ONCE ||
        ref->type == AIPC_TYPE_LEADER) {
        struct aipc_lock *lock = payload_of(ctx->seg, ref, sizeof *lock, report);
        return lock == NULL ? AIPC_OK : aipc_lock_check(ctx, lock, report);
    }
    if (ref->type == AIPC_TYPE_DICT) {
        struct aipc_dict *d = payload_of(ctx->seg, ref, sizeof *d, report);
        return d == NULL ? AIPC_OK : aipc_dict_check(ctx, d, report);
    }
    if (ref->type == AIPC_TYPE_QUEUE) {
        struct aipc_queue *queue = payload_of(ctx->seg, ref, aipc_queue_object_size(ctx->seg->participants), report);
        return queue == NULL ? AIPC_OK : aipc_queue_check(ctx, queue, report);
    }
    if (ref->type == AIPC_TYPE_SEMAPHORE || ref->type == AIPC_TYPE_BOUNDED_SEMAPHORE) {
        struct aipc_semaphore *s = payload_of(ctx->seg, ref, sizeof *s, report);
        return s == NULL ? AIPC_OK : aipc_semaphore_check(ctx, s, report);
    }
    if (ref->type == AIPC_TYPE_EVENT) {
        struct aipc_event *e = payload_of(ctx->seg, ref, sizeof *e, report);
        return e == NULL ? AIPC_OK : aipc_event_check(ctx, e, report);
    }
    if (ref->type == AIPC_TYPE_LIMITER) {
        uint64_t size = aipc_limiter_object_size(ctx->seg->participants);
        struct aipc_limiter *limiter = payload_of(ctx->seg, ref, size, report);
        return limiter == NULL ? AIPC_OK : aipc_limiter_check(ctx, limiter, report);
    }
    return AIPC_OK;
}
