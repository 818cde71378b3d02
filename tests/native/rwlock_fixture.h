/* A read-write lock that several participants of sync_fixture.h use. */
#ifndef AIPC_TEST_RWLOCK_FIXTURE_H
#define AIPC_TEST_RWLOCK_FIXTURE_H

#include "sync_fixture.h"

#include "rwlock_state.h" /* the units of holders' words */

#define TOKEN 7

static inline struct aipc_rwlock *rw_at(int i) { return sync_at(i); }

static inline void rw_make(int count, bool fair) {
    struct aipc_rwlock image = {0};
    aipc_rwlock_init(&image, fair);
    sync_make(count, AIPC_TYPE_RWLOCK, &image, sizeof image, aipc_rwlock_object_size(FIXTURE_PARTICIPANTS));
}

/* ---- one call of participant i --------------------------------------------------------------------- */

static inline aipc_status try(int i, aipc_rwlock_want want) { return aipc_rwlock_try(ctxs[i], rw_at(i), want); }
static inline aipc_status stand(int i, aipc_rwlock_want want, uint32_t *node) {
    return aipc_rwlock_wait(ctxs[i], rw_at(i), want, bell[i], TOKEN, false, node);
}
static inline uint32_t waits(int i, aipc_rwlock_want want) { /* the node of one that has to wait */
    uint32_t node = AIPC_NO_NODE;
    CHECK_EQ(stand(i, want, &node), AIPC_AGAIN);
    return node;
}
static inline aipc_status look(int i, aipc_rwlock_want want, uint32_t node) {
    return aipc_rwlock_look(ctxs[i], rw_at(i), want, node);
}
static inline aipc_status cancel(int i, aipc_rwlock_want want, uint32_t node) {
    return aipc_rwlock_cancel(ctxs[i], rw_at(i), want, node);
}
static inline aipc_status release(int i, aipc_rwlock_want held) { return aipc_rwlock_release(ctxs[i], rw_at(i), held); }
static inline aipc_status convert(int i, aipc_rwlock_want from, aipc_rwlock_want to) {
    return aipc_rwlock_convert(ctxs[i], rw_at(i), from, to);
}

/* The same as a program does it: fast paths first. */
static inline void read_lock(int i) {
    if (!aipc_rwlock_read_fast(&segs[i], rw_at(i))) OK(try(i, AIPC_READ));
}
static inline void read_unlock(int i) {
    if (!aipc_rwlock_release_read_fast(&segs[i], rw_at(i))) OK(release(i, AIPC_READ));
}

/* Waits, asleep, until participant i has it. */
static inline void acquire(int i, aipc_rwlock_want want) {
    uint32_t node;
    if (want == AIPC_READ && aipc_rwlock_read_fast(&segs[i], rw_at(i))) return;
    for (aipc_status status = stand(i, want, &node); status != AIPC_OK; status = look(i, want, node)) {
        CHECK_EQ(status, AIPC_AGAIN);
        sync_sleep(i);
    }
}

/* ---- what is so now ---------------------------------------------------------------------------------- */

static inline aipc_rwlock_stats rw_stats(int i) {
    aipc_rwlock_stats stats;
    aipc_rwlock_stats_get(&segs[i], rw_at(i), &stats);
    return stats;
}
/* What participant i holds: its word without the generation. */
static inline uint32_t held_by(int i) {
    const uint64_t word = rw_at(0)->holders[segs[i].slot];
    return word >> 32 == segs[i].generation ? (uint32_t)word : 0;
}
static inline bool is_abandoned(int i) { return rw_stats(i).abandoned; }

static inline void rw_sound(void) {
    sync_report = (aipc_report){0};
    OK(aipc_rwlock_check(ctxs[0], rw_at(0), &sync_report));
    OK(aipc_waits_check(ctxs[0], &sync_report));
    if (sync_report.findings != 0) fprintf(stderr, "  %s\n", sync_report.finding[0].what);
    CHECK_EQ(sync_report.findings, 0);
}

/* Nobody holds it, and readers need no lock. */
static inline void rw_idle(void) {
    rw_sound();
    for (int i = 0; i < sync_count; i++) CHECK_EQ(held_by(i), 0);
    read_lock(0);
    CHECK_EQ(rw_at(0)->gate, AIPC_GATE_OPEN);
    CHECK(aipc_rwlock_read_fast(&segs[0], rw_at(0)));
    CHECK(aipc_rwlock_release_read_fast(&segs[0], rw_at(0)) && aipc_rwlock_release_read_fast(&segs[0], rw_at(0)));
}

static inline void rw_end(void) {
    rw_idle();
    sync_end();
}

#endif
