#include "participants.h"

#include "os.h"

/* ---- liveness ---------------------------------------------------------------------------------- */

aipc_status aipc_participant_test(aipc_seg *seg, uint32_t slot, uint32_t *generation) {
    uint64_t life = aipc_load_seq_cst64(&seg->slots[slot].life);
    *generation = aipc_life_generation(life);
    if (aipc_life_state(life) == AIPC_SLOT_FREE) {
        *generation = 0;
        return AIPC_OK;
    }
    if (slot == seg->slot && *generation == seg->generation && seg->self != 0) return AIPC_OK;

    aipc_status status = aipc_seg_verify_descriptors(seg);
    if (status == AIPC_OK)
        status = aipc_os_test_bytes(seg->fd, AIPC_LIVENESS_BASE + slot, 1, &seg->error);
    if (status == AIPC_AGAIN) return AIPC_OK; /* locked: alive, or being recovered */
    if (status != AIPC_OK) return status;
    /* A free byte proves death only for the generation that is still there. */
    return aipc_load_seq_cst64(&seg->slots[slot].life) == life ? AIPC_NOT_FOUND : AIPC_OK;
}

uint64_t aipc_participant_pid(const aipc_seg *seg, uint32_t slot) {
    return slot < seg->participants ? aipc_load_relaxed64(&seg->slots[slot].pid) : 0;
}

/* ---- claiming a slot --------------------------------------------------------------------------- */

aipc_status aipc_slot_lock(aipc_seg *seg, int fd, uint32_t slot) {
    return aipc_os_lock_byte(fd, AIPC_LIVENESS_BASE + slot, &seg->error);
}

static void raise_to32(uint32_t *word, uint32_t least) {
    for (uint32_t now = aipc_load_relaxed32(word); now < least; now = aipc_load_relaxed32(word))
        if (aipc_cas_seq_cst32(word, now, least)) return;
}

static void describe_self(struct aipc_slot *slot) {
    aipc_store_relaxed64(&slot->pid, aipc_os_pid());
    aipc_store_relaxed64(&slot->start_time, aipc_os_start_time());
    aipc_store_relaxed64(&slot->pid_namespace, aipc_os_pid_namespace());
    aipc_store_relaxed64(&slot->attached_at, aipc_os_wall_clock());
    aipc_store_relaxed32(&slot->uid, aipc_os_uid());
}

static void become(aipc_seg *seg) {
    struct aipc_slot *slot = &seg->slots[seg->slot];
    for (uint32_t i = 0; i < AIPC_CONTEXTS; i++)
        if ((seg->lost_contexts >> i & 1) == 0) seg->ctx[i] = (aipc_ctx){.seg = seg, .shared = aipc_context_of(seg, seg->slot, i),
                                 .lock_word = aipc_lock_word(seg->slot, i, seg->generation)};
    aipc_store_release32(&seg->free_contexts, ((1u << AIPC_CONTEXTS) - 1) & ~seg->lost_contexts);
    raise_to32(&seg->header->slots_used, seg->slot + 1); /* before LIVE: P3 */
    describe_self(slot);
    for (uint32_t i = 0; i < AIPC_PINS; i++) /* there are none, but for damaged words, which would keep memory for ever */
        if (aipc_load_relaxed64(&slot->pinned[i]) != 0) (void)aipc_exchange_seq_cst64(&slot->pinned[i], 0);
    (void)aipc_exchange_seq_cst64(&slot->life, aipc_life(seg->generation, AIPC_SLOT_LIVE));
    seg->forked = 0;
    seg->self = aipc_identity(seg->slot, seg->generation);
}

/* pre: the slot's byte is locked on our description. */
static aipc_status take_slot(aipc_seg *seg, uint32_t slot, aipc_status (*prepare)(aipc_seg *seg, bool dirty)) {
    uint64_t life = aipc_load_acquire64(&seg->slots[slot].life);
    uint32_t generation = aipc_life_generation(life) + 1;
    seg->slot = slot;
    seg->generation = generation != 0 ? generation : 1; /* 0 means nobody */
    aipc_status status = prepare(seg, aipc_life_state(life) != AIPC_SLOT_FREE);
    if (status == AIPC_OK) become(seg);
    return status;
}

aipc_status aipc_participant_claim(aipc_seg *seg, int fd, aipc_status (*prepare)(aipc_seg *seg, bool dirty)) {
    for (int dead = 0; dead < 2; dead++) /* slots that are free first, then those of the dead */
        for (uint32_t slot = 0; slot < seg->participants; slot++) {
            uint64_t life = aipc_load_acquire64(&seg->slots[slot].life);
            if (!dead && aipc_life_state(life) != AIPC_SLOT_FREE) continue;
            aipc_status status = aipc_slot_lock(seg, fd, slot);
            if (status == AIPC_AGAIN) continue;
            if (status == AIPC_OK) status = take_slot(seg, slot, prepare);
            if (status == AIPC_OK) return AIPC_OK;
            int ignored;
            (void)aipc_os_unlock_byte(fd, AIPC_LIVENESS_BASE + slot, &ignored);
            return status;
        }
    return AIPC_NO_SLOT;
}

void aipc_participant_end(aipc_seg *seg, uint32_t slot_index) {
    struct aipc_slot *slot = &seg->slots[slot_index];
    uint32_t generation = aipc_life_generation(aipc_load_relaxed64(&slot->life)) + 1;
    (void)aipc_exchange_seq_cst64(&slot->life, aipc_life(generation, AIPC_SLOT_FREE));
}

aipc_status aipc_participants_list(aipc_seg *seg, aipc_participant_info *infos, uint32_t capacity,
                                   uint32_t *count) {
    *count = 0;
    for (uint32_t i = 0; i < aipc_slots_used(seg) && *count < capacity; i++) {
        struct aipc_slot *slot = &seg->slots[i];
        uint32_t generation;
        aipc_status status = aipc_participant_test(seg, i, &generation);
        if (status != AIPC_OK && status != AIPC_NOT_FOUND) return status;
        if (generation == 0) continue;
        infos[(*count)++] = (aipc_participant_info){
            .slot = i, .generation = generation, .uid = aipc_load_relaxed32(&slot->uid),
            .pid = aipc_load_relaxed64(&slot->pid),
            .pid_namespace = aipc_load_relaxed64(&slot->pid_namespace),
            .start_time = aipc_load_relaxed64(&slot->start_time),
            .attached_at = aipc_load_relaxed64(&slot->attached_at),
            .alive = status == AIPC_OK, .self = seg->self == aipc_identity(i, generation)};
    }
    return AIPC_OK;
}

/* ---- contexts ---------------------------------------------------------------------------------- */


aipc_status aipc_ctx_enter(aipc_seg *seg, aipc_ctx **out) {
    if (seg->self == 0) return seg->forked ? AIPC_FORKED : AIPC_CLOSED;
    for (;;) {
        uint32_t free = aipc_load_relaxed32(&seg->free_contexts);
        if (free == 0) return AIPC_AGAIN;
        uint32_t index = (uint32_t)__builtin_ctz(free);
        if (!aipc_cas_seq_cst32(&seg->free_contexts, free, free & ~(1u << index))) continue;

        aipc_ctx *ctx = &seg->ctx[index];
        uint32_t *used = &seg->slots[seg->slot].contexts_used;
        if (aipc_load_relaxed32(used) <= index) raise_to32(used, index + 1);
        aipc_store_relaxed64(&ctx->shared->thread, aipc_os_thread());
        ctx->block = 0;
        if (ctx->untidy) seg->tidy(ctx);
        *out = ctx;
        return AIPC_OK;
    }
}

void aipc_ctx_leave(aipc_ctx *ctx) {
    aipc_seg *seg = ctx->seg;
    if (ctx->lock_word == 0) return; /* a forked child's, of an operation that was the parent's */
    (void)aipc_fetch_or_seq_cst32(&seg->free_contexts, 1u << (uint32_t)(ctx - seg->ctx));
}

/* The forking thread may have been in the middle of an operation (a signal handler forks while it waits), and return into
 * it: that must not go on as the parent.  Its context never becomes one of ours. */
static void lose_contexts(aipc_seg *seg) {
    for (uint32_t i = 0; i < AIPC_CONTEXTS; i++) {
        aipc_ctx *ctx = &seg->ctx[i];
        bool busy = (seg->free_contexts >> i & 1) == 0;
        if (busy && ctx->shared != NULL && ctx->shared->thread == aipc_os_thread()) seg->lost_contexts |= 1u << i;
        *ctx = (aipc_ctx){.seg = seg, .shared = &seg->nobody};
    }
}

void aipc_participants_in_child(aipc_seg *seg) {
    if (seg->self != 0) lose_contexts(seg);
    seg->self = 0;
    seg->forked = 1;
    seg->lock = 0;
    seg->uninterruptible = 0; /* for the sake of threads that are the parent's */
    seg->liveness_page = NULL; /* not inherited: MADV_DONTFORK */
}
