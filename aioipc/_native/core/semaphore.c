#include "semaphore.h"

void aipc_semaphore_init(struct aipc_semaphore *image, uint64_t value, uint64_t bound) {
    *image = (struct aipc_semaphore){.value = value, .bound = bound, .initial = value};
}

aipc_status aipc_semaphore_try(struct aipc_semaphore *s, uint32_t node) {
    for (;;) {
        uint64_t reserved = aipc_line_reserved(&s->line, node), value = aipc_load_seq_cst64(&s->value);
        if (value <= reserved) return AIPC_AGAIN;
        if (aipc_cas_seq_cst64(&s->value, value, value - 1)) return AIPC_OK;
    }
}

/* Is there a permit, and set aside for somebody else? */
static bool refused(const struct aipc_semaphore *s, uint32_t node) {
    uint64_t value = aipc_load_seq_cst64(&s->value);
    return value != 0 && value <= aipc_line_reserved(&s->line, node);
}

aipc_status aipc_semaphore_try_recover(aipc_ctx *ctx, struct aipc_semaphore *s) {
    aipc_status status = aipc_semaphore_try(s, AIPC_NO_NODE);
    if (status != AIPC_AGAIN || !refused(s, AIPC_NO_NODE)) return status;
    status = aipc_line_recover(ctx, &s->line);
    if (status == AIPC_OK) status = aipc_semaphore_try(s, AIPC_NO_NODE);
    if (status == AIPC_AGAIN && refused(s, AIPC_NO_NODE)) (void)aipc_line_wake_head(ctx, &s->line);
    return status;
}

aipc_status aipc_semaphore_stand(aipc_ctx *ctx, struct aipc_semaphore *s, uint32_t bell, uint64_t token, uint32_t *node) {
    aipc_status status = aipc_line_stand(ctx, &s->line, bell, token, node);
    if (status == AIPC_OK && refused(s, *node)) (void)aipc_line_wake_head(ctx, &s->line);
    return status;
}

aipc_status aipc_semaphore_add(struct aipc_semaphore *s, uint64_t count) {
    for (;;) {
        uint64_t value = aipc_load_seq_cst64(&s->value), bound = aipc_load_relaxed64(&s->bound);
        if (value > bound || count > bound - value) return AIPC_INVALID;
        if (aipc_cas_seq_cst64(&s->value, value, value + count)) return AIPC_OK; /* SYNC line-asleep */
    }
}

aipc_status aipc_semaphore_leave(aipc_ctx *ctx, struct aipc_semaphore *s, uint32_t node) {
    aipc_status status = aipc_line_leave(ctx, &s->line, node);
    if (aipc_line_asleep(&s->line) && aipc_load_seq_cst64(&s->value) != 0) (void)aipc_line_wake(ctx, &s->line, 1);
    return status;
}

aipc_status aipc_semaphore_check(aipc_ctx *ctx, const struct aipc_semaphore *s, aipc_report *report) {
    uint64_t value = aipc_load_seq_cst64(&s->value), bound = aipc_load_relaxed64(&s->bound);
    if (value > bound || bound > AIPC_SEMAPHORE_MAX)
        aipc_report_add(report, "S1 permits of a semaphore", aipc_offset(ctx->seg, s), value, bound);
    return aipc_line_check(ctx, &s->line, report);
}
