#include "types.h"

static bool is_pool(uint64_t type) { return type >= AIPC_TYPE_POOL && type <= AIPC_TYPE_ADAPTIVE_POOL; }

uint64_t aipc_type_part(aipc_tx *tx, uint64_t type, uint64_t payload, uint64_t size) {
    if (type == AIPC_TYPE_DICT) {
        struct aipc_dict *d = size < sizeof *d ? NULL : aipc_at(tx->seg, payload, sizeof *d);
        return d == NULL ? 0 : aipc_dict_shed(tx, d);
    }
    if (type == AIPC_TYPE_QUEUE) {
        struct aipc_queue *queue = aipc_queue_at(tx->seg, payload, size);
        return queue == NULL ? 0 : aipc_queue_shed(tx, queue);
    }
    if (type == AIPC_TYPE_VECTOR_IO) {
        struct aipc_vector *vector = size < sizeof *vector ? NULL : aipc_at(tx->seg, payload, sizeof *vector);
        return vector == NULL ? 0 : aipc_vector_shed(tx, vector);
    }
    if (is_pool(type)) {
        aipc_pool_view view;
        return aipc_pool_at(tx->seg, payload, size, &view) ? aipc_pool_shed(tx, view.pool) : 0;
    }
    return 0; /* the others have no parts */
}

/* Bytes an object of this type has at least; 0 for a type that is none of ours. */
static uint64_t size_of(const aipc_seg *seg, uint64_t type) {
    switch (type) {
    case AIPC_TYPE_LOCK:
    case AIPC_TYPE_RLOCK:
    case AIPC_TYPE_ONCE: return sizeof(struct aipc_lock);
    case AIPC_TYPE_LEADER: return sizeof(struct aipc_leader);
    case AIPC_TYPE_QUEUE: return aipc_queue_object_size(seg->participants);
    case AIPC_TYPE_DICT: return sizeof(struct aipc_dict);
    case AIPC_TYPE_RWLOCK: return aipc_rwlock_object_size(seg->participants);
    case AIPC_TYPE_CONDITION: return sizeof(struct aipc_condition);
    case AIPC_TYPE_SEMAPHORE:
    case AIPC_TYPE_BOUNDED_SEMAPHORE: return sizeof(struct aipc_semaphore);
    case AIPC_TYPE_EVENT: return sizeof(struct aipc_event);
    case AIPC_TYPE_BARRIER: return sizeof(struct aipc_barrier);
    case AIPC_TYPE_LIMITER: return aipc_limiter_object_size(seg->participants);
    case AIPC_TYPE_POOL:
    case AIPC_TYPE_PRIVATE_POOL:
    case AIPC_TYPE_ADAPTIVE_POOL: return sizeof(struct aipc_pool);
    case AIPC_TYPE_ATOMIC_INT64:
    case AIPC_TYPE_ATOMIC_UINT64: return sizeof(uint64_t);
    case AIPC_TYPE_ATOMIC_INT32:
    case AIPC_TYPE_ATOMIC_UINT32:
    case AIPC_TYPE_ATOMIC_BOOL:
    case AIPC_TYPE_ATOMIC_FLAG: return sizeof(uint32_t);
    default: return 0;
    }
}

uint32_t aipc_type_domains(aipc_seg *seg, const aipc_object_ref *ref, struct aipc_domain *domains[AIPC_DOMAINS]) {
    uint64_t needed = ref->type == AIPC_TYPE_VECTOR_IO ? sizeof(struct aipc_vector) : size_of(seg, ref->type);
    void *payload = needed == 0 || ref->size < needed ? NULL : aipc_at(seg, ref->payload, needed);
    if (payload == NULL) return 0;
    if (ref->type == AIPC_TYPE_VECTOR_IO) {
        domains[0] = &((struct aipc_vector *)payload)->domain;
        return 1;
    }
    if (ref->type == AIPC_TYPE_DICT) {
        domains[0] = &((struct aipc_dict *)payload)->domain;
        return 1;
    }
    if (is_pool(ref->type)) {
        domains[0] = &((struct aipc_pool *)payload)->domain;
        return 1;
    }
    if (ref->type != AIPC_TYPE_QUEUE) return 0; /* under waits, or one word each */
    domains[0] = &((struct aipc_queue *)payload)->in.domain;
    domains[1] = &((struct aipc_queue *)payload)->out.domain;
    return 2;
}

static aipc_status check_condition(aipc_ctx *ctx, struct aipc_condition *c, aipc_report *report) {
    aipc_status status = aipc_lock_check(ctx, &c->own, report);
    return status == AIPC_OK ? aipc_condition_check(ctx, c, report) : status;
}

static aipc_status check_payload(aipc_ctx *ctx, uint64_t type, void *payload, aipc_report *report) {
    switch (type) {
    case AIPC_TYPE_LOCK:
    case AIPC_TYPE_RLOCK:
    case AIPC_TYPE_ONCE:
    case AIPC_TYPE_LEADER: return aipc_lock_check(ctx, payload, report);
    case AIPC_TYPE_QUEUE: return aipc_queue_check(ctx, payload, report);
    case AIPC_TYPE_DICT: return aipc_dict_check(ctx, payload, report);
    case AIPC_TYPE_RWLOCK: return aipc_rwlock_check(ctx, payload, report);
    case AIPC_TYPE_CONDITION: return check_condition(ctx, payload, report);
    case AIPC_TYPE_SEMAPHORE:
    case AIPC_TYPE_BOUNDED_SEMAPHORE: return aipc_semaphore_check(ctx, payload, report);
    case AIPC_TYPE_EVENT: return aipc_event_check(ctx, payload, report);
    case AIPC_TYPE_BARRIER: return aipc_barrier_check(ctx, payload, report);
    case AIPC_TYPE_LIMITER: return aipc_limiter_check(ctx, payload, report);
    default: return AIPC_OK; /* any value is one */
    }
}

static aipc_status check_stream(aipc_ctx *ctx, const aipc_object_ref *ref, aipc_report *report) {
    struct aipc_stream *stream = ref->type == AIPC_TYPE_VECTOR_IO ? aipc_vector_at(ctx->seg, ref->payload, ref->size)
                                                                  : aipc_buffer_at(ctx->seg, ref->payload, ref->size);
    if (stream != NULL && ref->type == AIPC_TYPE_VECTOR_IO) { /* a log that is not empty belongs to who holds the lock */
        struct aipc_domain *domain = &((struct aipc_vector *)(void *)stream)->domain;
        aipc_status status = aipc_domain_lock(ctx, domain);
        if (status != AIPC_OK) return status;
        aipc_domain_unlock(ctx, domain);
    }
    if (stream != NULL) return aipc_stream_check(ctx, stream, ref->size, report);
    aipc_report_add(report, "V1 room of a stream", ref->object, ref->size, sizeof *stream);
    return AIPC_OK;
}

aipc_status aipc_type_forsake(aipc_ctx *ctx, const aipc_object_ref *ref, uint32_t slot, bool *ends) {
    aipc_pool_view view;
    *ends = false;
    if (!is_pool(ref->type) || !aipc_pool_at(ctx->seg, ref->payload, ref->size, &view)) return AIPC_OK;
    uint32_t generation = aipc_life_generation(aipc_load_seq_cst64(&ctx->seg->slots[slot].life));
    *ends = (view.flags & AIPC_POOL_PRIVATE) != 0 && view.owner == aipc_identity(slot, generation);
    return *ends ? AIPC_OK : aipc_pool_settle(ctx, &view, slot);
}

static aipc_status check_pool(aipc_ctx *ctx, const aipc_object_ref *ref, aipc_report *report) {
    aipc_pool_view view;
    if (aipc_pool_at(ctx->seg, ref->payload, ref->size, &view)) return aipc_pool_check(ctx, &view, report);
    aipc_report_add(report, "J2 size of a pool's nodes", ref->object, view.stride, view.size);
    return AIPC_OK;
}

aipc_status aipc_type_check(aipc_ctx *ctx, const aipc_object_ref *ref, aipc_report *report) {
    if ((ref->type & AIPC_TYPE_STRUCT) != 0 || ref->type == AIPC_TYPE_ARRAY) {
        aipc_described_check(ctx->seg, ref->payload, ref->size, ref->count, ref->type, report);
        return AIPC_OK;
    }
    if (ref->type == AIPC_TYPE_BUFFER_IO || ref->type == AIPC_TYPE_VECTOR_IO) return check_stream(ctx, ref, report);
    uint64_t needed = size_of(ctx->seg, ref->type);
    if (needed == 0) return AIPC_OK;
    if (is_pool(ref->type) && ref->size >= needed) return check_pool(ctx, ref, report);
    void *payload = ref->size < needed ? NULL : aipc_at(ctx->seg, ref->payload, needed);
    if (payload != NULL) return check_payload(ctx, ref->type, payload, report);
    aipc_report_add(report, "C1 object is smaller than its type", ref->object, ref->size, needed);
    return AIPC_OK;
}
