/* A small object that several participants wait on, all of them in one process unless a test forks: what the tests of
 * lines, semaphores, events, limiters, conditions, barriers and read-write locks share.
 *
 *     sync_make(2, TYPE, &image, sizeof image, size)   a fresh segment with the object, participants 0 and 1 in it
 *     sync_at(0)                                       the object as participant 0 sees it
 *     ctxs[0], segs[0], bell[0], bell_fd[0]            what participant 0 calls the core with
 *     sync_end()                                       nothing is left over; everybody goes
 *
 * A scenario for crash.h or step.h: setup calls sync_make(1, ..) and sync_leave(); enter, and survive, sync_join(n). */
#ifndef AIPC_TEST_SYNC_FIXTURE_H
#define AIPC_TEST_SYNC_FIXTURE_H

#include "segment_fixture.h"

#include "leaks.h"

enum { SYNC_MANY = 4, SYNC_STALL_NS = 1000 };

static aipc_seg segs[SYNC_MANY];
static aipc_ctx *ctxs[SYNC_MANY];
static uint32_t bell[SYNC_MANY];
static int bell_fd[SYNC_MANY];
static int sync_count; /* participants now */
static aipc_object_spec sync_spec;
static uint64_t sync_payload, sync_holding[SYNC_MANY];
static aipc_report sync_report; /* of the latest sync_sound */

static inline void *sync_at(int i) { return segs[i].base + sync_payload; }

/* ---- coming and going ---------------------------------------------------------------------------- */

static inline void sync_enter(int i) {
    aipc_object_ref ref;
    bool created;
    ctxs[i] = enter(&segs[i]);
    OK(aipc_find_or_construct(ctxs[i], &sync_spec, &ref, &created));
    sync_payload = ref.payload;
    sync_holding[i] = ref.holding;
    OK(aipc_bell_take(&segs[i], &bell[i], &bell_fd[i]));
}

static inline void sync_hush(void) { /* attaching rings everybody */
    for (int i = 0; i < sync_count; i++) {
        aipc_os_drain(bell_fd[i]);
        aipc_bell_woken(&segs[i], bell[i]);
    }
}

/* Attaches participants 0 .. count - 1 to the segment there is. */
static inline void sync_join(int count) {
    for (int i = 0; i < count; i++) {
        fixture_attach(&segs[i]);
        sync_enter(i);
    }
    sync_count = count;
    sync_hush();
}

/* A fresh segment with one object: `size` bytes, beginning with the image, zero beyond it. */
static inline void sync_make(int count, uint64_t type, const void *image, uint64_t image_size, uint64_t size) {
    static uint8_t initial[4096];
    CHECK(count >= 1 && count <= SYNC_MANY && image_size <= size && size <= sizeof initial);
    memset(initial, 0, sizeof initial);
    memcpy(initial, image, image_size);
    sync_spec = (aipc_object_spec){.kind = AIPC_NAMED, .name = "object", .name_size = 6, .type = type, .size = size,
                                   .count = 1, .initial = initial};
    fixture_create(&segs[0]);
    sync_enter(0);
    for (int i = 1; i < count; i++) {
        fixture_attach(&segs[i]);
        sync_enter(i);
    }
    sync_count = count;
    sync_hush();
}

static inline void sync_go(int i) {
    aipc_ctx_leave(ctxs[i]);
    fixture_detach(&segs[i]);
}

static inline void sync_leave(void) {
    while (sync_count > 0) sync_go(--sync_count);
}

/* The whole fsck, as participant 0: nothing found; sync_report says the rest. */
static inline void sync_sound(void) { fixture_sound(&segs[0], &sync_report); }

static inline void sync_end(void) {
    sync_sound();
    CHECK_EQ(sync_report.nodes_waiting, 0);
    sync_leave();
    fixture_end();
}

/* How many findings of the whole fsck begin with `invariant`, e.g. "S1". */
static inline uint64_t sync_findings(const char *invariant) {
    uint64_t count = 0;
    sync_report = (aipc_report){0};
    OK(aipc_check(ctxs[0], &sync_report));
    for (uint64_t i = 0; i < sync_report.findings && i < AIPC_REPORT_ROOM; i++)
        count += strncmp(sync_report.finding[i].what, invariant, strlen(invariant)) == 0;
    return count;
}

/* ---- sleeping and waking ------------------------------------------------------------------------- */

/* How many nodes of participant i were notified; they go on waiting and must look. */
static inline uint32_t sync_collect(int i) {
    uint64_t tokens[16];
    uint32_t count;
    OK(aipc_wait_collect(ctxs[i], bell[i], tokens, 16, &count));
    return count;
}

/* Sleeps until something may have changed, and says how many were notified. */
static inline void sync_sleep(int i) { fixture_sleep(&segs[i], bell[i], bell_fd[i]); }

/* Falls asleep without sleeping: true when nothing has rung it so far.  Then: whether somebody has rung it since. */
static inline bool sync_asleep(int i) {
    aipc_bell_woken(&segs[i], bell[i]);
    return !aipc_bell_arm(&segs[i], bell[i]) && aipc_os_poll2(bell_fd[i], -1, 0) == AIPC_AGAIN;
}
static inline bool sync_rung(int i) {
    const bool result = aipc_os_poll2(bell_fd[i], -1, 0) == AIPC_OK;
    aipc_os_drain(bell_fd[i]);
    aipc_bell_woken(&segs[i], bell[i]);
    return result;
}

/* A node that has waited for long. */
static inline void sync_age(int i, uint32_t node) { segs[i].nodes[node - 1].since = 0; }

/* From here on participant i holds the waits lock as one does that was stopped: the others get AIPC_STALLED. */
static inline void sync_stall(int i) {
    for (int other = 0; other < sync_count; other++) segs[other].stall_ns = SYNC_STALL_NS;
    OK(aipc_domain_lock(ctxs[i], &segs[i].waits->domain));
}
static inline void sync_unstall(int i) { aipc_domain_unlock(ctxs[i], &segs[i].waits->domain); }

/* ---- the explorer (sync_explore.h), and threads under TSan ---------------------------------------- */

static uint8_t *sync_bases[SYNC_MANY];

/* All participants use one mapping: each word has one address. */
static inline void sync_see_through(aipc_seg *seg, uint8_t *base) {
#define MOVE(area) seg->area = (void *)(base + ((uint8_t *)seg->area - seg->base))
    MOVE(header), MOVE(heap), MOVE(catalog), MOVE(waits), MOVE(slots), MOVE(contexts), MOVE(nodes);
    for (int i = 0; i < AIPC_CONTEXTS; i++) MOVE(ctx[i].shared);
#undef MOVE
    seg->base = base;
}
static inline void sync_unite(void) {
    for (int i = 0; i < sync_count; i++) {
        sync_bases[i] = segs[i].base;
        sync_see_through(&segs[i], segs[0].base);
    }
}
static inline void sync_divide(void) {
    for (int i = sync_count - 1; i >= 0; i--) sync_see_through(&segs[i], sync_bases[i]);
}

#endif
