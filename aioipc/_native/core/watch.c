#include "watch.h"

#include "os.h"

static bool is_suspect(const aipc_seg *seg, uint32_t slot) {
    return (seg->suspects[slot / 64] >> slot % 64 & 1) != 0;
}
static void set_suspect(aipc_seg *seg, uint32_t slot, bool suspect) {
    uint64_t bit = UINT64_C(1) << slot % 64;
    if (suspect)
        seg->suspects[slot / 64] |= bit;
    else
        seg->suspects[slot / 64] &= ~bit;
}

aipc_status aipc_watch_open(aipc_seg *seg, int *fd) {
    aipc_status status = AIPC_OK;
    aipc_local_lock(seg);
    if (seg->watch_epoll < 0) status = aipc_os_epoll_create(&seg->watch_epoll, &seg->error);
    *fd = seg->watch_epoll;
    aipc_local_unlock(seg);
    return status;
}

static void stop_watching(aipc_seg *seg, uint32_t slot) {
    if (seg->watch_fd[slot] >= 0) aipc_os_close(seg->watch_fd[slot]);
    seg->watch_fd[slot] = -1;
}

/* Under the local lock. */
static aipc_status watch_slot(aipc_seg *seg, uint32_t slot, uint64_t life) {
    stop_watching(seg, slot);
    seg->watched[slot] = life;
    int fd;
    aipc_status status = aipc_bell_open(seg, slot, aipc_life_generation(life), 0, &fd);
    if (status == AIPC_NOT_FOUND) { /* died already, or about to make its bell: the test will tell */
        set_suspect(seg, slot, true);
        return AIPC_OK;
    }
    if (status != AIPC_OK) return status;
    status = aipc_os_epoll_add(seg->watch_epoll, fd, slot, &seg->error);
    if (status != AIPC_OK) {
        aipc_os_close(fd);
        return status;
    }
    seg->watch_fd[slot] = fd;
    return AIPC_OK;
}

aipc_status aipc_watch_refresh(aipc_seg *seg) {
    uint32_t roster = aipc_load_seq_cst32(&seg->header->roster); /* SYNC roster */
    if (roster == seg->roster_seen) return AIPC_OK;
    aipc_status status = AIPC_OK;
    aipc_local_lock(seg);
    for (uint32_t slot = 0; slot < aipc_slots_used(seg) && status == AIPC_OK; slot++) {
        uint64_t life = aipc_load_seq_cst64(&seg->slots[slot].life);
        bool other = aipc_life_state(life) == AIPC_SLOT_LIVE && slot != seg->slot;
        if (other && seg->watched[slot] != life) status = watch_slot(seg, slot, life);
    }
    if (status == AIPC_OK)
        seg->roster_seen = roster;
    else /* watch it next time */
        seg->roster_seen = roster - 1;
    aipc_local_unlock(seg);
    return status;
}

static void collect_hangups(aipc_seg *seg) {
    uint64_t slots[32];
    aipc_local_lock(seg);
    for (int count = 32; count == 32;) {
        count = aipc_os_epoll_collect(seg->watch_epoll, slots, 32);
        for (int i = 0; i < count; i++) {
            if (slots[i] >= seg->participants) continue;
            stop_watching(seg, (uint32_t)slots[i]);
            set_suspect(seg, (uint32_t)slots[i], true);
        }
    }
    aipc_local_unlock(seg);
}

/* Recovers the suspect when it is dead.  *resolved: its generation is over. */
static aipc_status examine(aipc_ctx *ctx, uint32_t slot, bool *resolved) {
    aipc_seg *seg = ctx->seg;
    uint32_t watched = aipc_life_generation(seg->watched[slot]);
    uint32_t generation;
    aipc_status status = AIPC_OK;
    if (aipc_participant_current(seg, slot, watched)) {
        status = aipc_participant_test(seg, slot, &generation);
        if (status == AIPC_NOT_FOUND) status = seg->recover(ctx, slot, generation);
        if (status == AIPC_AGAIN) status = AIPC_OK; /* somebody else is at it */
    }
    *resolved = status == AIPC_OK && !aipc_participant_current(seg, slot, watched);
    if (status == AIPC_OK && !*resolved && seg->watch_fd[slot] < 0) {
        /* Alive so far: watch it again, in case its bell only was not there yet. */
        aipc_local_lock(seg);
        set_suspect(seg, slot, false);
        status = watch_slot(seg, slot, seg->watched[slot]);
        aipc_local_unlock(seg);
    }
    return status;
}

aipc_status aipc_watch_collect(aipc_ctx *ctx, bool *suspects) {
    aipc_seg *seg = ctx->seg;
    *suspects = false;
    if (seg->watch_epoll < 0) return AIPC_OK;
    collect_hangups(seg);
    bool deaths = false;
    aipc_status result = AIPC_OK;
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        if (!is_suspect(seg, slot)) continue;
        bool resolved;
        aipc_status status = examine(ctx, slot, &resolved);
        if (status != AIPC_OK) result = status;
        aipc_local_lock(seg);
        if (resolved) set_suspect(seg, slot, false);
        *suspects |= is_suspect(seg, slot);
        aipc_local_unlock(seg);
        deaths |= resolved;
    }
    if (deaths) {
        /* Whoever recovered it may itself have died before it told the others. */
        (void)aipc_fetch_add_seq_cst32(&seg->deaths_seen, 1);
        aipc_bell_ring_all(seg);
    }
    return result;
}
