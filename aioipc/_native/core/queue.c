#include "queue.h"

#include <string.h>

#include "queue_ring.h"

void aipc_queue_init(void *image, const aipc_queue_options *options) {
    struct aipc_queue *queue = image;
    memset(queue, 0, sizeof *queue);
    queue->maxsize = options->maxsize;
    queue->max_bytes = options->max_bytes;
    queue->codec = options->codec;
    queue->seal = aipc_queue_seal(queue);
}

struct aipc_queue *aipc_queue_at(aipc_seg *seg, uint64_t payload, uint64_t size) {
    return size < aipc_queue_object_size(seg->participants) ? NULL : aipc_at(seg, payload, size);
}

/* ---- waiting ------------------------------------------------------------------------------------ */

struct aipc_line *aipc_queue_line(struct aipc_queue *queue, aipc_queue_role role) {
    return role == AIPC_GETTERS ? &queue->getters : role == AIPC_PUTTERS ? &queue->putters : &queue->joiners;
}

aipc_status aipc_queue_stand(aipc_ctx *ctx, struct aipc_queue *queue, aipc_queue_role role, uint32_t bell,
                             uint64_t token, uint32_t *node) {
    return aipc_line_stand(ctx, aipc_queue_line(queue, role), bell, token, node);
}

aipc_status aipc_queue_again(aipc_ctx *ctx, struct aipc_queue *queue, aipc_queue_role role, uint32_t node) {
    return aipc_line_again(ctx, aipc_queue_line(queue, role), node);
}

/* Is there something that the next in line can use?  Joiners are all woken at once. */
static bool usable_by_next(const struct aipc_queue *queue, aipc_queue_role role) {
    if (role == AIPC_JOINERS) return false;
    if (aipc_load_seq_cst32(&queue->state) != 0) return true;
    return role == AIPC_GETTERS ? aipc_queue_queued(queue) != 0 : aipc_queue_has_room(queue, 0, 0, 1);
}

aipc_status aipc_queue_leave(aipc_ctx *ctx, struct aipc_queue *queue, aipc_queue_role role, uint32_t node) {
    struct aipc_line *line = aipc_queue_line(queue, role);
    aipc_status status = aipc_line_leave(ctx, line, node);
    if (aipc_line_asleep(line) && usable_by_next(queue, role)) (void)aipc_line_wake(ctx, line, 1);
    return status;
}

void aipc_queue_wake_getters(aipc_ctx *ctx, struct aipc_queue *queue, uint32_t count) {
    if (aipc_line_asleep(&queue->getters)) (void)aipc_line_wake(ctx, &queue->getters, count);
}

/* Bytes change by redo, messages by publish. */
void aipc_queue_wake_putters(aipc_ctx *ctx, struct aipc_queue *queue, uint32_t count) {
    bool asleep = queue->max_bytes != 0 ? aipc_line_asleep_after_redo(&queue->putters) : aipc_line_asleep(&queue->putters);
    if (asleep) (void)aipc_line_wake(ctx, &queue->putters, count);
}

/* Whoever leaves messages unfinished leaves it to who finishes them.  What was put since then changes nothing. */
void aipc_queue_wake_joiners(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t before) {
    if (aipc_queue_all_done(queue) != before && aipc_line_asleep_after_redo(&queue->joiners))
        (void)aipc_line_wake(ctx, &queue->joiners, AIPC_EVERYBODY);
}

static void wake_all(aipc_ctx *ctx, struct aipc_queue *queue) {
    (void)aipc_line_wake(ctx, &queue->getters, AIPC_EVERYBODY);
    (void)aipc_line_wake(ctx, &queue->putters, AIPC_EVERYBODY);
    (void)aipc_line_wake(ctx, &queue->joiners, AIPC_EVERYBODY);
}

/* ---- ending -------------------------------------------------------------------------------------- */

aipc_status aipc_queue_shutdown(aipc_ctx *ctx, struct aipc_queue *queue, bool immediate) {
    if ((aipc_load_seq_cst32(&queue->state) & AIPC_QUEUE_CLOSED) != 0) return AIPC_CLOSED;
    aipc_status status = aipc_domain_lock(ctx, &queue->in.domain); /* puts under way end before it */
    if (status != AIPC_OK) return status;
    (void)aipc_fetch_or_seq_cst32(&queue->state, immediate ? AIPC_QUEUE_SHUTDOWN | AIPC_QUEUE_DISCARD : AIPC_QUEUE_SHUTDOWN);
    aipc_domain_unlock(ctx, &queue->in.domain);
    if (immediate) status = aipc_queue_tend(ctx, queue);
    wake_all(ctx, queue);
    return status;
}

aipc_status aipc_queue_close(aipc_ctx *ctx, struct aipc_queue *queue) {
    (void)aipc_fetch_or_seq_cst32(&queue->state, AIPC_QUEUE_CLOSED);
    wake_all(ctx, queue);
    return AIPC_OK;
}

/* ---- looking ------------------------------------------------------------------------------------- */

void aipc_queue_stats_get(const struct aipc_queue *queue, aipc_queue_stats *stats) {
    uint64_t returned = aipc_load_relaxed64(&queue->out.returns);
    *stats = (aipc_queue_stats){
        .maxsize = queue->maxsize,
        .max_bytes = queue->max_bytes,
        .queued = aipc_queue_queued(queue),
        .bytes = aipc_queue_bytes(queue),
        .unfinished = aipc_queue_unfinished(queue),
        .leased = aipc_load_relaxed64(&queue->out.leases),
        .put = aipc_load_relaxed64(&queue->in.count),
        .taken = aipc_load_relaxed64(&queue->out.taken) + returned,
        .returned = returned,
        .getters = aipc_load_relaxed32(&queue->getters.queue.length),
        .putters = aipc_load_relaxed32(&queue->putters.queue.length),
        .joiners = aipc_load_relaxed32(&queue->joiners.queue.length),
        .codec = queue->codec,
        .state = aipc_load_seq_cst32(&queue->state)};
}
