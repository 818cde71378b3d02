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

enum { NO_SLOT = AIPC_MAX_PARTICIPANTS, FIRST_RETRY_NS = 1000000, LAST_RETRY_NS = 50000000 };

/* Under the local lock.  The timer makes the watch descriptor readable while suspects are left, for every loop and
 * thread of the process: who took the hang-up may be gone before the suspect is proven dead. */
static aipc_status start_watching(aipc_seg *seg) {
    int epoll, timer;
    aipc_status status = aipc_os_epoll_create(&epoll, &seg->error);
    if (status != AIPC_OK) return status;
    status = aipc_os_timer_create(&timer, &seg->error);
    if (status == AIPC_OK) {
        status = aipc_os_epoll_add(epoll, timer, true, NO_SLOT, &seg->error);
        if (status != AIPC_OK) aipc_os_close(timer);
    }
    if (status != AIPC_OK) {
        aipc_os_close(epoll);
        return status;
    }
    seg->watch_epoll = epoll;
    seg->watch_timer = timer;
    return AIPC_OK;
}

aipc_status aipc_watch_open(aipc_seg *seg, int *fd) {
    if (seg->self == 0) return seg->forked ? AIPC_FORKED : AIPC_CLOSED;
    aipc_status status = AIPC_OK;
    aipc_local_lock(seg);
    aipc_bells_verify(seg);
    if (seg->watch_epoll < 0) status = start_watching(seg);
    *fd = seg->watch_epoll;
    aipc_local_unlock(seg);
    return status;
}

static void stop_watching(aipc_seg *seg, uint32_t slot) {
    int fd = seg->watch_fd[slot];
    seg->watch_fd[slot] = -1;
    if (fd < 0) return;
    aipc_os_epoll_remove(seg->watch_epoll, fd); /* closing is not enough when a forked child has a copy */
    aipc_os_close(fd);
}

static bool any_suspects(const aipc_seg *seg) {
    uint64_t all = 0;
    for (int i = 0; i < AIPC_MAX_PARTICIPANTS / 64; i++) all |= seg->suspects[i];
    return all != 0;
}

/* Under the local lock: looks again soon while there are suspects, later and later. */
static void schedule_retry(aipc_seg *seg) {
    if (seg->watch_epoll < 0) return;
    bool suspects = any_suspects(seg);
    uint64_t delay = seg->watch_retry_ns == 0 ? FIRST_RETRY_NS : seg->watch_retry_ns * 2;
    seg->watch_retry_ns = !suspects ? 0 : delay < LAST_RETRY_NS ? delay : LAST_RETRY_NS;
    if (suspects) aipc_os_timer_set(seg->watch_timer, seg->watch_retry_ns);
}

/* Under the local lock.  What cannot be watched (it died already, no descriptor is left, permissions) stays a
 * suspect, to be tested by the timer.  True: somebody watched before in this slot is gone. */
static bool watch_slot(aipc_seg *seg, uint32_t slot, uint64_t life) {
    bool succeeded = seg->watched[slot] != 0 && seg->watched[slot] != life;
    int fd, ignored;
    stop_watching(seg, slot);
    seg->watched[slot] = life;
    set_suspect(seg, slot, true);
    if (aipc_bell_open(seg, slot, aipc_life_generation(life), 0, &fd) != AIPC_OK) return succeeded;
    if (aipc_os_epoll_add(seg->watch_epoll, fd, false, slot, &ignored) == AIPC_OK) {
        seg->watch_fd[slot] = fd;
        set_suspect(seg, slot, false);
    } else {
        aipc_os_close(fd);
    }
    return succeeded;
}

/* Somebody is dead: all who wait here look again.  Whoever recovered it may itself have died before it told us. */
static void tell_of_death(aipc_seg *seg) {
    (void)aipc_fetch_add_seq_cst32(&seg->deaths_seen, 1);
    aipc_bell_ring_all(seg);
}

aipc_status aipc_watch_refresh(aipc_seg *seg) {
    uint32_t roster = aipc_load_seq_cst32(&seg->header->roster); /* SYNC roster */
    if (roster == aipc_load_relaxed32(&seg->roster_seen)) return AIPC_OK;
    bool succeeded = false;
    aipc_local_lock(seg);
    aipc_bells_verify(seg);
    aipc_status status = seg->watch_epoll >= 0 ? AIPC_OK : start_watching(seg);
    for (uint32_t slot = 0; slot < aipc_slots_used(seg) && status == AIPC_OK; slot++) {
        uint64_t life = aipc_load_seq_cst64(&seg->slots[slot].life);
        bool other = aipc_life_state(life) == AIPC_SLOT_LIVE && slot != seg->slot;
        if (other && seg->watched[slot] != life) succeeded |= watch_slot(seg, slot, life);
    }
    if (status == AIPC_OK) {
        aipc_store_relaxed32(&seg->roster_seen, roster);
        schedule_retry(seg);
    }
    aipc_local_unlock(seg);
    if (succeeded) tell_of_death(seg); /* its hang-up went unheard when its slot was taken again */
    return status;
}

/* False when this process does not watch. */
static bool collect_hangups(aipc_seg *seg) {
    uint64_t slots[32];
    aipc_local_lock(seg);
    aipc_bells_verify(seg);
    bool watching = seg->watch_epoll >= 0;
    for (int count = 32; watching && count == 32;) {
        count = aipc_os_epoll_collect(seg->watch_epoll, slots, 32);
        for (int i = 0; i < count; i++) {
            if (slots[i] == NO_SLOT) aipc_os_drain(seg->watch_timer);
            if (slots[i] >= seg->participants) continue;
            stop_watching(seg, (uint32_t)slots[i]);
            set_suspect(seg, (uint32_t)slots[i], true);
        }
    }
    aipc_local_unlock(seg);
    return watching;
}

/* Whether the slot is to be examined, and for whom. */
static bool suspected(aipc_seg *seg, uint32_t slot, uint64_t *life) {
    aipc_local_lock(seg);
    bool suspect = is_suspect(seg, slot);
    *life = seg->watched[slot];
    aipc_local_unlock(seg);
    return suspect;
}

/* Recovers the suspect when it is dead.  *resolved: its generation is over. */
static aipc_status examine(aipc_ctx *ctx, uint32_t slot, uint32_t watched, bool *resolved) {
    aipc_seg *seg = ctx->seg;
    uint32_t generation;
    aipc_status status = AIPC_OK;
    if (aipc_participant_current(seg, slot, watched)) {
        status = aipc_participant_test(seg, slot, &generation);
        if (status == AIPC_NOT_FOUND) status = seg->recover(ctx, slot, generation);
        if (status == AIPC_AGAIN) status = AIPC_OK; /* somebody else is at it */
    }
    *resolved = status == AIPC_OK && !aipc_participant_current(seg, slot, watched);
    return status;
}

/* Notes the outcome.  Alive so far: watch it again, in case its bell only was not there yet. */
static void conclude(aipc_seg *seg, uint32_t slot, uint64_t life, bool resolved) {
    aipc_local_lock(seg);
    if (seg->watched[slot] == life) { /* else another thread is ahead of us */
        if (resolved)
            set_suspect(seg, slot, false);
        else if (seg->watch_fd[slot] < 0 && seg->watch_epoll >= 0)
            (void)watch_slot(seg, slot, life);
    }
    aipc_local_unlock(seg);
}

aipc_status aipc_watch_collect(aipc_ctx *ctx) {
    aipc_seg *seg = ctx->seg;
    if (!collect_hangups(seg)) return AIPC_OK;
    bool deaths = false;
    aipc_status result = AIPC_OK;
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        uint64_t life;
        bool resolved;
        if (!suspected(seg, slot, &life)) continue;
        aipc_status status = examine(ctx, slot, aipc_life_generation(life), &resolved);
        if (status == AIPC_OK)
            conclude(seg, slot, life, resolved);
        else
            result = status; /* still a suspect */
        deaths |= resolved;
    }
    aipc_local_lock(seg);
    schedule_retry(seg);
    aipc_local_unlock(seg);
    if (deaths) tell_of_death(seg);
    return result;
}
